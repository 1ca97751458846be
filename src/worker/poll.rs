//! The poll loop of one lcore.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use super::capture::Capture;
use super::context::Context;
use super::forward::Lanes;
use super::idle::{Idle, Idler};
use super::mailbox::{Mailbox, Order, Receiver, Released};
use super::outbox::{self, Outbox};
use super::sampler::{Sampler, Watch};
use super::snapshot::{PortEntry, Snapshot};
use super::{access, mirror, reassembly, replicate, underlay};
use crate::dpdk::{Burst, cycles, sift};
use crate::drop_reason::DropReason;
use crate::fib::{Published, Reader};

/// What all workers read, and the control core alone writes.
pub struct Shared {
    /// The world as it is.
    pub snapshot: Published<Snapshot>,
    /// The coarse clock, in ticks that wrap.
    pub tick: AtomicU16,
    /// Set once, to end the poll loops.
    pub stop: AtomicBool,
    /// Frames that the control core makes, for the first worker.
    pub outbox: Outbox,
}

/// One worker: made on the control core, run on its lcore. It may stay on the heap where it was made, so it keeps
/// others off its cache lines.
#[repr(align(128))]
pub struct Worker {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    reader: Reader,
    receivers: Vec<Receiver>,
    sampler: Option<Arc<Sampler>>,
    context: Context,
    idler: Idler,
}

impl Worker {
    /// Without ports yet.
    pub fn new(
        shared: Arc<Shared>,
        mailbox: Arc<Mailbox>,
        reader: Reader,
        context: Context,
        idle: Idle,
    ) -> Self {
        let receivers = Vec::with_capacity(context.counters.ports.len());
        let idler = Idler::new(idle);
        Self { shared, mailbox, reader, receivers, sampler: None, context, idler }
    }

    /// Polls until told to stop.
    pub fn run(mut self) {
        let counters = self.context.counters.clone();
        let mut before = cycles();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.reader.quiescent();
            // Behind it: who has seen the epoch in which something was ordered takes the order before the next snapshot.
            if self.mailbox.has_orders() {
                self.take_orders();
            }
            self.context.now = before;
            let active = self.round();
            let now = cycles();
            counters.polls.add(1);
            counters.total_cycles.add(now.wrapping_sub(before));
            if active {
                counters.busy_cycles.add(now.wrapping_sub(before));
                self.idler.active();
            } else {
                counters.empty_polls.add(1);
                self.idler.empty(&mut self.reader);
            }
            before = now;
        }
        while self.context.transmitter.flush() {}
    }

    #[cold]
    fn take_orders(&mut self) {
        while let Some(order) = self.mailbox.next() {
            match order {
                Order::Transmit(index, port) => {
                    self.context.transmitter.attach(index, port);
                    self.mirror();
                }
                Order::Receive(receiver) => {
                    self.receivers.push(receiver);
                    self.sample(self.sampler.clone());
                    self.mirror();
                }
                Order::Watch(port, watch) => self.watch(port, watch),
                Order::Sample(sampler) => self.sample(sampler),
                Order::Mirror(mirrors) => {
                    self.context.mirrors = mirrors;
                    self.mirror();
                }
                Order::Release(port) => {
                    self.watch(port, None);
                    let place = self.receivers.iter().position(|of| of.port == port);
                    let receiver = place.map(|place| self.receivers.remove(place));
                    let transmit = self.context.transmitter.detach(port);
                    replicate::forget(&mut self.context, port);
                    let counted = self.context.counters.ports[usize::from(port)].take();
                    self.mailbox.release(Released { port, transmit, receiver, counted });
                }
            }
        }
        self.context.transmitter.follow_links();
    }

    fn watch(&mut self, port: u16, watch: Option<Arc<Capture>>) {
        for receiver in self.receivers.iter_mut().filter(|of| of.port == port) {
            let others = receiver.watch.take().unwrap_or_default();
            receiver.watch = Watch { capture: watch.clone(), ..others }.some();
        }
        self.context.transmitter.watch(port, watch.clone());
        if let Some(place) = self.context.watches.get_mut(usize::from(port)) {
            *place = watch;
        }
    }

    fn sample(&mut self, sampler: Option<Arc<Sampler>>) {
        for receiver in &mut self.receivers {
            let others = receiver.watch.take().unwrap_or_default();
            let sampler = sampler.clone().filter(|of| of.concerns(receiver.port));
            receiver.watch = Watch { sampler, ..others }.some();
        }
        self.sampler = sampler;
    }

    fn mirror(&mut self) {
        let mirrors = self.context.mirrors.as_ref();
        self.context.transmitter.mirror(mirrors);
        for receiver in &mut self.receivers {
            let others = receiver.watch.take().unwrap_or_default();
            let mirrors = mirrors.filter(|of| of.looks_at_incoming(receiver.port)).cloned();
            receiver.watch = Watch { mirrors, ..others }.some();
        }
    }

    /// Serves every queue once. Returns whether there was anything to do.
    #[inline]
    fn round(&mut self) -> bool {
        let Self { shared, reader, receivers, context, .. } = self;
        let snapshot = shared.snapshot.load(reader);
        let tick = shared.tick.load(Ordering::Relaxed);
        if tick != context.tick {
            context.tick = tick;
            reassembly::expire(context, snapshot);
        }
        let mut active = false;
        let mut burst = Burst::new();
        for Receiver { port, queues, watch } in receivers {
            for queue in queues {
                queue.receive(&mut burst);
                if burst.is_empty() {
                    continue;
                }
                active = true;
                let packets = burst.len() as u64;
                let bytes = match watch {
                    None => dispatch(context, reader, snapshot, *port, &mut burst, |_| ()),
                    Some(watch) => watch.dispatch(context, reader, snapshot, *port, &mut burst),
                };
                let counters = &context.counters.ports[usize::from(*port)];
                counters.rx_packets.add(packets);
                counters.rx_bytes.add(bytes);
                queue.note(packets, bytes);
                context.counters.bursts.add(1);
            }
        }
        if context.number == 0 && !shared.outbox.is_empty() {
            active |= outbox::serve(context, snapshot, &shared.outbox);
        }
        active |= replicate::advance(context, reader, snapshot);
        active |= context.transmitter.flush();
        while !context.transmitter.copies.is_empty() {
            // Copies may leave by a port that is mirrored itself, to a port, and no further.
            mirror::serve(context, snapshot);
            context.transmitter.flush();
        }
        active
    }
}

/// Sends a burst on its way; `observe` sees what has been found of its frames before anything comes of it. Returns its
/// bytes.
#[inline(always)]
pub(super) fn dispatch<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    index: u16,
    burst: &mut Burst,
    observe: impl FnOnce(&Lanes<'r>),
) -> u64 {
    match snapshot.ports.get(usize::from(index)) {
        Some(PortEntry::Access(port)) => {
            access::process(context, reader, snapshot, (index, port), burst, observe)
        }
        Some(PortEntry::Underlay(port)) => {
            underlay::process(context, reader, snapshot, (index, port), burst, observe)
        }
        Some(PortEntry::Twin { underlay }) => sift(burst, |frame| {
            context.transmitter.send(*underlay, frame);
            None
        }),
        Some(PortEntry::Mirror) => sift(burst, |frame| {
            context.drop(index, frame, DropReason::MirrorPort);
            None
        }),
        Some(PortEntry::Vacant) | None => sift(burst, |frame| {
            context.drop(index, frame, DropReason::PortRemoved);
            None
        }),
    }
}
