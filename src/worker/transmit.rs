//! Sending: one buffer a port, emptied when full and at the end of each round.

use std::sync::Arc;

use super::capture::Capture;
use super::coalesce::coalesce;
use super::counters::WorkerCounters;
use super::mirror::{Copies, Mirrors};
use super::sampler::Watch;
use super::story::Story;
use crate::dpdk::{Burst, Mbuf, MbufRing, Mempool, Offloads, Port, PortState, TxQueue};
use crate::drop_reason::DropReason;

/// How a worker reaches a port.
pub enum TxPath {
    /// A transmit queue of its own.
    Queue(TxQueue),
    /// The same, while it is [closed](PortState::is_closed).
    Closed(TxQueue),
    /// The device has fewer queues than there are workers: another worker sends for this one.
    Handoff(Arc<MbufRing>),
    /// Nowhere: in a dry run nothing is sent.
    Nowhere,
}

/// A port, as one worker sends to it: in cache lines of its own, because each packet writes to the buffer.
#[repr(align(128))]
pub struct TxPort {
    /// How frames get there; `None` where there is no such port.
    pub path: Option<TxPath>,
    /// What other workers hand to this one, where this one owns their transmit queue.
    pub handed: Option<Arc<MbufRing>>,
    /// For copies, where the device cannot send chains of segments.
    pub flat: Option<Mempool>,
    /// To whom this one hands over while the other side does not serve its queue.
    pub substitute: Option<Arc<MbufRing>>,
    /// The other side; `None` where there is no such port.
    pub state: Option<Arc<PortState>>,
    /// Who looks at what leaves.
    watch: Option<Watch>,
    /// Whether a mirror's copies go there, whose receiver looks on.
    ends_mirror: bool,
    /// Where the other side is a guest, which may take TCP packets whole: for their headers.
    guest: Option<Mempool>,
    /// Whether the driver has frames of its own to send.
    needs_turns: bool,
    buffer: Burst,
}

impl TxPort {
    /// To a port, with an empty buffer. Copies come from `pool` where the device cannot send chains.
    pub fn new(port: &Port, pool: &Mempool, path: Option<TxPath>) -> Self {
        let flat = (!port.sends_chains()).then(|| pool.clone());
        let needs_turns = port.needs_turns() && matches!(path, Some(TxPath::Queue(_)));
        let state = port.state();
        let guest = state.changes().then(|| pool.clone());
        Self { path, flat, state: Some(state), guest, needs_turns, ..Self::vacant() }
    }

    /// In place of a port with such another side, for whoever only wants to know what would be sent there.
    pub(super) fn nowhere(state: Arc<PortState>) -> Self {
        Self { path: Some(TxPath::Nowhere), state: Some(state), ..Self::vacant() }
    }

    /// What waits to be sent.
    pub(super) fn buffered(&self) -> &[Mbuf] {
        &self.buffer
    }

    /// Sends what waits; a guest gets TCP packets whole, if its driver takes them so.
    #[inline(always)]
    fn flush(&mut self, index: u16, worker: &WorkerCounters, copies: &mut Copies) {
        if self.guest.is_some() && self.buffer.len() > 1 {
            self.coalesce(worker);
        }
        flush(self, index, worker, copies);
    }

    /// Not where somebody looks on: who does sees packets as they are on the wire. Nor for a queue that the guest leaves
    /// alone, as whole packets are many mbufs in the ring to another worker.
    #[inline(never)]
    fn coalesce(&mut self, worker: &WorkerCounters) {
        if let (Some(pool), Some(state), Some(TxPath::Queue(queue)), None, false) =
            (&self.guest, &self.state, &self.path, &self.watch, self.ends_mirror)
            && state.serves(queue.number())
        {
            worker.merged.add(coalesce(&mut self.buffer, state.offloads(), pool) as u64);
        }
    }

    fn follow_link(&mut self) {
        let is_closed = self.state.as_ref().is_some_and(|state| state.is_closed());
        self.path = match self.path.take() {
            Some(TxPath::Queue(queue) | TxPath::Closed(queue)) => {
                Some(if is_closed { TxPath::Closed(queue) } else { TxPath::Queue(queue) })
            }
            other => other,
        };
    }

    fn vacant() -> Self {
        let buffer = Burst::new();
        let (path, handed, flat, substitute, state, guest, watch) = Default::default();
        let (ends_mirror, needs_turns) = (false, false);
        Self {
            path,
            handed,
            flat,
            substitute,
            state,
            guest,
            watch,
            ends_mirror,
            needs_turns,
            buffer,
        }
    }
}

/// All ports, as one worker sends to them, by port index.
pub struct Transmitter {
    ports: Vec<TxPort>,
    counters: Arc<WorkerCounters>,
    /// Of the one frame that is under way, while there is one.
    pub(super) story: Option<Box<Story>>,
    /// Of what left by mirrored ports, and came in by them.
    pub(super) copies: Copies,
}

impl Transmitter {
    /// Without ports yet, and with room for as many as there are counters for.
    pub fn new(counters: Arc<WorkerCounters>) -> Self {
        Self {
            ports: Vec::with_capacity(counters.ports.len()),
            counters,
            story: None,
            copies: Copies::new(),
        }
    }

    /// Sends by another port from now on.
    pub(super) fn attach(&mut self, index: u16, port: TxPort) {
        let index = usize::from(index);
        // Within the room that there is: no allocation.
        while self.ports.len() <= index {
            self.ports.push(TxPort::vacant());
        }
        self.ports[index] = port;
    }

    /// Sends by a port no longer; nothing waits in its buffer between rounds.
    pub(super) fn detach(&mut self, index: u16) -> TxPort {
        let port = self.ports.get_mut(usize::from(index));
        port.map_or_else(TxPort::vacant, |port| std::mem::replace(port, TxPort::vacant()))
    }

    /// Shows somebody what leaves by a port, or nobody.
    pub(super) fn watch(&mut self, index: u16, capture: Option<Arc<Capture>>) {
        if let Some(port) = self.ports.get_mut(usize::from(index)) {
            let others = port.watch.take().unwrap_or_default();
            port.watch = Watch { capture, ..others }.some();
        }
    }

    /// Copies what leaves by ports from now on, or nothing.
    pub(super) fn mirror(&mut self, mirrors: Option<&Arc<Mirrors>>) {
        for (index, port) in (0..).zip(&mut self.ports) {
            port.ends_mirror = mirrors.is_some_and(|mirrors| mirrors.end_at(index));
            let others = port.watch.take().unwrap_or_default();
            let mirrors = mirrors.filter(|of| of.looks_at_outgoing(index)).cloned();
            port.watch = Watch { mirrors, ..others }.some();
        }
    }

    /// Looks at the links of all ports.
    pub(super) fn follow_links(&mut self) {
        self.ports.iter_mut().for_each(TxPort::follow_link);
    }

    /// Queues a frame for a port.
    #[inline(always)]
    pub fn send(&mut self, index: u16, frame: Mbuf) {
        let Some(port) = self.ports.get_mut(usize::from(index)) else {
            return self.count_drop(index, DropReason::PortRemoved);
        };
        port.buffer.push(frame);
        if port.buffer.is_full() {
            match &mut self.story {
                None => port.flush(index, &self.counters, &mut self.copies),
                Some(story) => story.flush(port, index, &self.counters, &mut self.copies),
            }
        }
    }

    /// What a port's other side does of what a frame's sender left to its device.
    pub fn offloads(&self, index: u16) -> Offloads {
        let state = self.ports.get(usize::from(index)).and_then(|port| port.state.as_ref());
        state.map_or(Offloads::NONE, |state| state.offloads())
    }

    /// Where headers for a guest come from, if a port's other side is one.
    pub(super) fn guest(&self, index: u16) -> Option<&Mempool> {
        self.ports.get(usize::from(index))?.guest.as_ref()
    }

    /// Sends what is queued, here and by the workers that hand over to this one. Returns whether there was
    /// anything.
    #[inline]
    pub fn flush(&mut self) -> bool {
        let mut active = false;
        for (index, port) in self.ports.iter_mut().enumerate() {
            if !port.buffer.is_empty() {
                active = true;
                port.flush(index as u16, &self.counters, &mut self.copies);
            }
            if port.needs_turns
                && let Some(TxPath::Queue(queue) | TxPath::Closed(queue)) = &mut port.path
            {
                queue.turn();
            }
            if let Some(ring) = &port.handed {
                ring.dequeue(&mut port.buffer);
                if !port.buffer.is_empty() {
                    active = true;
                    port.flush(index as u16, &self.counters, &mut self.copies);
                }
            }
        }
        active
    }

    /// Sends what is queued here, and has the story under way tell of it.
    pub(super) fn flush_told(&mut self) {
        let Some(story) = &mut self.story else { return };
        for (index, port) in (0..).zip(&mut self.ports) {
            if !port.buffer.is_empty() {
                story.flush(port, index, &self.counters, &mut self.copies);
            }
        }
    }

    #[cold]
    fn count_drop(&self, index: u16, reason: DropReason) {
        let port = usize::from(index).min(self.counters.ports.len() - 1);
        self.counters.ports[port].count_drops(reason, 1);
    }
}

#[inline]
pub(super) fn flush(port: &mut TxPort, index: u16, worker: &WorkerCounters, copies: &mut Copies) {
    let counters = &worker.ports[usize::from(index)];
    let lost = match &mut port.path {
        Some(TxPath::Queue(queue)) => {
            let (mut before, segments) = weigh(&port.buffer);
            if segments != port.buffer.len()
                && let Some(pool) = &port.flat
            {
                flatten(&mut port.buffer, counters, pool);
                before = weigh(&port.buffer).0;
            }
            let sent = match &port.watch {
                None => queue.send(&mut port.buffer),
                Some(watch) => watch.leave(queue, &mut port.buffer, index, worker, copies),
            };
            counters.tx_packets.add(sent as u64);
            counters.tx_bytes.add(before - weigh(&port.buffer).0);
            if port.buffer.is_empty() {
                return;
            }
            refused(port)
        }
        Some(TxPath::Handoff(ring)) => {
            ring.enqueue(&mut port.buffer);
            DropReason::HandoffFull
        }
        Some(TxPath::Closed(_)) => DropReason::LinkDown,
        Some(TxPath::Nowhere) => {
            if port.state.as_ref().is_none_or(|state| state.is_up()) {
                port.buffer.clear();
            }
            DropReason::LinkDown
        }
        None => DropReason::PortRemoved,
    };
    if !port.buffer.is_empty() {
        if let Some(watch) = port.watch.as_ref().and_then(|watch| watch.capture.as_ref()) {
            port.buffer.iter().for_each(|frame| watch.lose(frame, true, lost));
        }
        counters.count_drops(lost, port.buffer.len() as u64);
        port.buffer.clear();
    }
}

/// Finds another way for what a device did not take, or else the reason why it is lost.
#[cold]
#[inline(never)]
fn refused(port: &mut TxPort) -> DropReason {
    let Some(TxPath::Queue(queue)) = &port.path else { return DropReason::PortRemoved };
    let Some(state) = &port.state else { return DropReason::PortRemoved };
    match &port.substitute {
        _ if !state.is_up() => DropReason::LinkDown,
        Some(ring) if !state.serves(queue.number()) => {
            ring.enqueue(&mut port.buffer);
            DropReason::HandoffFull
        }
        _ => DropReason::TxFull,
    }
}

/// Bytes and segments of frames.
#[inline(always)]
fn weigh(frames: &[Mbuf]) -> (u64, usize) {
    let add = |(bytes, segments), frame: &Mbuf| {
        (bytes + frame.len() as u64, segments + usize::from(frame.segments()))
    };
    frames.iter().fold((0, 0), add)
}

/// Turns chains into single segments, for devices that send nothing else.
fn flatten(buffer: &mut Burst, counters: &super::counters::PortCounters, pool: &Mempool) {
    buffer.retain(|frame| {
        if frame.segments() == 1 {
            return true;
        }
        let reason = match frame.copy(pool) {
            Some(copy) if copy.segments() == 1 => {
                *frame = copy;
                return true;
            }
            Some(_) => DropReason::Oversize,
            None => DropReason::NoMbuf,
        };
        counters.count_drops(reason, 1);
        false
    });
}
