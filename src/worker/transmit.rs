//! Sending: one buffer a port, emptied when full and at the end of each round.

use std::sync::Arc;

use super::counters::WorkerCounters;
use crate::dpdk::{Burst, Mbuf, MbufRing, Mempool, TxQueue};
use crate::drop_reason::DropReason;

/// How a worker reaches a port.
pub enum TxPath {
    /// A transmit queue of its own.
    Queue(TxQueue),
    /// The device has fewer queues than there are workers: another worker sends for this one.
    Handoff(Arc<MbufRing>),
}

/// A port, as one worker sends to it: in cache lines of its own, because each packet writes to the buffer.
#[repr(align(128))]
pub struct TxPort {
    /// How frames get there; `None` where there is no such port.
    pub path: Option<TxPath>,
    /// What other workers hand to this one, where this one owns their transmit queue.
    pub handed: Option<Arc<MbufRing>>,
    /// Whether the device sends chains of segments.
    pub sends_chains: bool,
    buffer: Burst,
}

impl TxPort {
    /// With an empty buffer.
    pub fn new(path: Option<TxPath>, handed: Option<Arc<MbufRing>>, sends_chains: bool) -> Self {
        Self { path, handed, sends_chains, buffer: Burst::new() }
    }
}

/// All ports, as one worker sends to them, by port index.
pub struct Transmitter {
    ports: Box<[TxPort]>,
    counters: Arc<WorkerCounters>,
    /// For copies towards devices that cannot send chains.
    pool: Mempool,
}

impl Transmitter {
    /// From the ports by index.
    pub fn new(ports: Vec<TxPort>, counters: Arc<WorkerCounters>, pool: Mempool) -> Self {
        Self { ports: ports.into(), counters, pool }
    }

    /// Queues a frame for a port.
    #[inline(always)]
    pub fn send(&mut self, index: u16, frame: Mbuf) {
        let Some(port) = self.ports.get_mut(usize::from(index)) else {
            return self.count_drop(index, DropReason::PortRemoved);
        };
        port.buffer.push(frame);
        if port.buffer.is_full() {
            flush(port, index, &self.counters, &self.pool);
        }
    }

    /// Sends what is queued, here and by the workers that hand over to this one. Returns whether there was
    /// anything.
    #[inline]
    pub fn flush(&mut self) -> bool {
        let mut active = false;
        for (index, port) in self.ports.iter_mut().enumerate() {
            if !port.buffer.is_empty() {
                active = true;
                flush(port, index as u16, &self.counters, &self.pool);
            }
            if let Some(ring) = &port.handed {
                ring.dequeue(&mut port.buffer);
                if !port.buffer.is_empty() {
                    active = true;
                    flush(port, index as u16, &self.counters, &self.pool);
                }
            }
        }
        active
    }

    #[cold]
    fn count_drop(&self, index: u16, reason: DropReason) {
        let port = usize::from(index).min(self.counters.ports.len() - 1);
        self.counters.ports[port].count_drops(reason, 1);
    }
}

#[inline]
fn flush(port: &mut TxPort, index: u16, counters: &WorkerCounters, pool: &Mempool) {
    let counters = &counters.ports[usize::from(index)];
    let lost = match &mut port.path {
        Some(TxPath::Queue(queue)) => {
            let (mut before, segments) = weigh(&port.buffer);
            if segments != port.buffer.len() && !port.sends_chains {
                flatten(&mut port.buffer, counters, pool);
                before = weigh(&port.buffer).0;
            }
            counters.tx_packets.add(queue.send(&mut port.buffer) as u64);
            counters.tx_bytes.add(before - weigh(&port.buffer).0);
            DropReason::TxFull
        }
        Some(TxPath::Handoff(ring)) => {
            ring.enqueue(&mut port.buffer);
            DropReason::HandoffFull
        }
        None => DropReason::PortRemoved,
    };
    if !port.buffer.is_empty() {
        counters.count_drops(lost, port.buffer.len() as u64);
        port.buffer.clear();
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
        match frame.copy(pool) {
            Some(copy) => {
                *frame = copy;
                true
            }
            None => {
                counters.count_drops(DropReason::NoMbuf, 1);
                false
            }
        }
    });
}
