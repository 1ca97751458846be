//! `ferry trace --live`: some of the frames that come in pass the stages one by one, and the [`Story`] of each goes to the
//! control core, in one of a fixed number of slots.
//!
//! What that costs is bounded: of each burst that comes in while no sample is due the clock is read; while one is, the
//! filter runs on each frame until it has found one; and each sample costs its two flushes and a copy of what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use super::bucket::Bucket;
use super::capture::Capture;
use super::context::Context;
use super::counters::WorkerCounters;
use super::filter::Filter;
use super::mirror::{self, Copies, Mirrors};
use super::poll::dispatch;
use super::snapshot::Snapshot;
use super::story::{Room, Story, follow};
use crate::dpdk::{Burst, Mbuf, TxQueue, cycles};
use crate::fib::Reader;

/// Stories that may wait for the control core.
const SLOTS: usize = 64;
/// Packets that a story has, and their bytes. A flood to more is counted.
const PACKETS: usize = 16;
const BYTES: usize = 24 << 10;
/// Drops by port and reason of one frame, and what the control core is told: one for each of a flood's first copies, and more.
const OTHERS: usize = 128;

/// Who wants to see some frames.
pub struct Sampler {
    port: Option<u16>,
    filter: Option<Filter>,
    bucket: Bucket,
    empty: ArrayQueue<Box<Story>>,
    full: ArrayQueue<Box<Story>>,
    lost: AtomicU64,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.debug_struct("Sampler").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Sampler {
    /// Of frames that come in by a port, or by any; at most `rate` a second, of each the first `longest` bytes. `hertz` is the
    /// rate of [`cycles`].
    pub fn new(
        port: Option<u16>,
        filter: Option<Filter>,
        rate: u32,
        longest: usize,
        hertz: u64,
    ) -> Arc<Self> {
        let bucket = Bucket::new(rate, Some(rate), hertz);
        let (empty, full) = (ArrayQueue::new(SLOTS), ArrayQueue::new(SLOTS));
        let room = Room { frame: longest, packets: PACKETS, bytes: BYTES, others: OTHERS };
        while empty.push(Story::new(room)).is_ok() {}
        Arc::new(Self { port, filter, bucket, empty, full, lost: AtomicU64::default() })
    }

    /// Whether it is about a port.
    pub(super) fn concerns(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }

    /// The next story; [`Sampler::give_back`] is due.
    pub fn next(&self) -> Option<Box<Story>> {
        self.full.pop()
    }

    /// Gives a slot back.
    pub fn give_back(&self, story: Box<Story>) {
        let _ = self.empty.push(story);
    }

    /// Samples that found no slot.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A slot for a frame, if it is wanted. Of several segments the filter sees the first, which has the headers.
    fn begin(&self, port: u16, frame: &Mbuf) -> Option<Box<Story>> {
        let now = cycles();
        let accepts = |of: &Filter| of.accepts(frame.data(), frame.len());
        let wanted = self.bucket.has(now) && self.filter.as_ref().is_none_or(accepts);
        if !wanted || !self.bucket.take(now) {
            return None;
        }
        let Some(mut story) = self.empty.pop() else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        story.begin(now, port, frame);
        Some(story)
    }

    /// Sends a burst on its way, and those of its frames that are wanted one by one. Returns its bytes.
    fn dispatch<'r>(
        &self,
        context: &mut Context,
        reader: &'r Reader,
        snapshot: &'r Snapshot,
        index: u16,
        burst: &mut Burst,
    ) -> u64 {
        let mut bytes = 0;
        for frame in std::mem::take(burst) {
            let mut story = self.begin(index, &frame);
            if story.is_none() {
                burst.push(frame);
                continue;
            }
            if !burst.is_empty() {
                bytes += dispatch(context, reader, snapshot, index, burst, |_| ());
            }
            bytes += follow(context, reader, snapshot, (index, frame), &mut story, false);
            if let Some(story) = story {
                // There is room for all slots.
                let _ = self.full.push(story);
            }
        }
        if !burst.is_empty() {
            bytes += dispatch(context, reader, snapshot, index, burst, |_| ());
        }
        bytes
    }
}

/// Who looks at what comes in by a port, or leaves by it.
#[derive(Default)]
pub struct Watch {
    /// All of it.
    pub(super) capture: Option<Arc<Capture>>,
    /// Some of it, and what becomes of it.
    pub(super) sampler: Option<Arc<Sampler>>,
    /// Copies of it go elsewhere.
    pub(super) mirrors: Option<Arc<Mirrors>>,
}

impl Watch {
    /// Itself, if there is anybody.
    pub(super) fn some(self) -> Option<Self> {
        let Self { capture, sampler, mirrors } = &self;
        let is_any = capture.is_some() || sampler.is_some() || mirrors.is_some();
        is_any.then_some(self)
    }

    /// Sends a burst on its way. Returns its bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn dispatch<'r>(
        &self,
        context: &mut Context,
        reader: &'r Reader,
        snapshot: &'r Snapshot,
        index: u16,
        burst: &mut Burst,
    ) -> u64 {
        if let Some(capture) = &self.capture {
            capture.come(burst);
        }
        if let Some(mirrors) = &self.mirrors {
            mirrors.come(&mut context.transmitter.copies, &context.counters, index, burst);
        }
        let bytes = match &self.sampler {
            Some(sampler) => sampler.dispatch(context, reader, snapshot, index, burst),
            None => dispatch(context, reader, snapshot, index, burst, |_| ()),
        };
        if !context.transmitter.copies.is_empty() {
            mirror::serve(context, snapshot);
        }
        bytes
    }

    /// Sends what is to leave by a port, and shows what the device took. Returns how many that were.
    #[cold]
    #[inline(never)]
    pub(super) fn leave(
        &self,
        queue: &mut TxQueue,
        burst: &mut Burst,
        index: u16,
        worker: &WorkerCounters,
        copies: &mut Copies,
    ) -> usize {
        let mirrors = self.mirrors.as_ref();
        let before = mirrors.map(|mirrors| mirrors.leave(copies, worker, index, burst));
        let sent = match &self.capture {
            None => queue.send(burst),
            Some(capture) => capture.leave(queue, burst),
        };
        if let Some(before) = before {
            copies.keep(before, sent);
        }
        sent
    }
}
