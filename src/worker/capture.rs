//! Frames that somebody wants to see: copied by workers while they pass, into slots that there is a fixed number of. What
//! finds no slot is counted; no worker waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;

use super::filter::Filter;
use crate::dpdk::{BURST, Burst, Mbuf, TxQueue, cycles};
use crate::drop_reason::DropReason;

/// Bytes that the slots of a capture have together, about.
const MEMORY: usize = 8 << 20;
/// Slots at least.
const SLOTS: usize = 256;

/// What somebody wants to see of a port.
pub struct Capture {
    filter: Option<Filter>,
    incoming: bool,
    outgoing: bool,
    longest: usize,
    empty: ArrayQueue<Vec<u8>>,
    full: ArrayQueue<Captured>,
    lost: AtomicU64,
    ended: AtomicBool,
}

/// A frame, or its first bytes.
pub struct Captured {
    /// When, in [`cycles`].
    pub at: u64,
    /// Bytes of the frame.
    pub length: usize,
    /// Those that were captured.
    pub bytes: Vec<u8>,
    /// Whether it left, or was to leave, by the port; else it came in there.
    pub is_outgoing: bool,
    /// Why it was dropped, if it was.
    pub dropped: Option<DropReason>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.debug_struct("Capture").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Capture {
    /// Of frames that come in, that leave, or both; of each the first `longest` bytes.
    pub fn new(
        filter: Option<Filter>,
        (incoming, outgoing): (bool, bool),
        longest: usize,
    ) -> Arc<Self> {
        let slots = (MEMORY / longest.max(1)).clamp(SLOTS, 1 << 14);
        let (empty, full) = (ArrayQueue::new(slots), ArrayQueue::new(slots));
        while empty.push(Vec::with_capacity(longest)).is_ok() {}
        let (lost, ended) = Default::default();
        Arc::new(Self { filter, incoming, outgoing, longest, empty, full, lost, ended })
    }

    /// The most bytes of a frame.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The next frame that was captured; [`Capture::give_back`] is due.
    pub fn next(&self) -> Option<Captured> {
        self.full.pop()
    }

    /// Gives a slot back.
    pub fn give_back(&self, captured: Captured) {
        let _ = self.empty.push(captured.bytes);
    }

    /// Frames that found no slot.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Nobody looks any more, or the port goes.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether that was said.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Copies what came in.
    pub(super) fn come(&self, burst: &Burst) {
        if self.incoming {
            burst.iter().for_each(|frame| self.keep(self.copy(frame, false)));
        }
    }

    /// Sends, and keeps copies of what was sent. Returns how many that were.
    pub(super) fn leave(&self, queue: &mut TxQueue, burst: &mut Burst) -> usize {
        if !self.outgoing {
            return queue.send(burst);
        }
        // Before: what is sent is the device's.
        let copies: ArrayVec<_, BURST> = burst.iter().map(|frame| self.copy(frame, true)).collect();
        let sent = queue.send(burst);
        for (number, copy) in copies.into_iter().enumerate() {
            match copy {
                Some(copy) if number >= sent => self.give_back(copy),
                copy => self.keep(copy),
            }
        }
        sent
    }

    /// Copies a frame that is dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn lose(&self, frame: &Mbuf, is_outgoing: bool, reason: DropReason) {
        if if is_outgoing { self.outgoing } else { self.incoming } {
            let copy = self.copy(frame, is_outgoing);
            self.keep(copy.map(|copy| Captured { dropped: Some(reason), ..copy }));
        }
    }

    fn copy(&self, frame: &Mbuf, is_outgoing: bool) -> Option<Captured> {
        let length = frame.len();
        let accepts = |bytes| self.filter.as_ref().is_none_or(|of| of.accepts(bytes, length));
        let in_one = frame.segments() == 1;
        if in_one && !accepts(frame.data()) {
            return None;
        }
        let Some(mut bytes) = self.empty.pop() else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        bytes.clear();
        for chunk in frame.chunks() {
            let room = self.longest - bytes.len();
            bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        }
        let wanted = in_one || accepts(&bytes);
        let captured = Captured { at: cycles(), length, bytes, is_outgoing, dropped: None };
        if wanted {
            return Some(captured);
        }
        self.give_back(captured);
        None
    }

    fn keep(&self, captured: Option<Captured>) {
        if let Some(captured) = captured {
            // There is room for all slots.
            let _ = self.full.push(captured);
        }
    }
}
