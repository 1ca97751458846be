//! Sending: one buffer a port, emptied when full and at the end of each round.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::counters::WorkerCounters;
use crate::dpdk::{BURST, Burst, Mbuf, MbufRing, Mempool, TxQueue};
use crate::drop_reason::DropReason;

/// How a worker reaches a port.
pub enum TxPath {
    /// A transmit queue of its own.
    Queue(TxQueue),
    /// The device has fewer queues than there are workers: another worker sends for this one.
    Handoff(Arc<MbufRing>),
}

/// A port, as one worker sends to it.
pub struct TxPort {
    /// How frames get there.
    pub path: TxPath,
    /// What other workers hand to this one, where this one owns their transmit queue.
    pub handed: Option<Arc<MbufRing>>,
    /// Whether the device sends chains of segments.
    pub sends_chains: bool,
    buffer: ArrayVec<Mbuf, BURST>,
    /// Of the buffer: its bytes, and whether a packet in it has several segments.
    bytes: u64,
    chained: bool,
}

impl TxPort {
    /// With an empty buffer.
    pub fn new(path: TxPath, handed: Option<Arc<MbufRing>>, sends_chains: bool) -> Self {
        Self { path, handed, sends_chains, buffer: ArrayVec::new(), bytes: 0, chained: false }
    }
}

/// All ports, as one worker sends to them, by port index.
pub struct Transmitter {
    ports: Box<[Option<TxPort>]>,
    counters: Arc<WorkerCounters>,
    /// For copies towards devices that cannot send chains.
    pool: Mempool,
}

impl Transmitter {
    /// From the ports by index.
    pub fn new(ports: Vec<Option<TxPort>>, counters: Arc<WorkerCounters>, pool: Mempool) -> Self {
        Self { ports: ports.into(), counters, pool }
    }

    /// Queues a frame for a port.
    #[inline(always)]
    pub fn send(&mut self, index: u16, frame: Mbuf) {
        match self.ports.get_mut(usize::from(index)) {
            Some(Some(port)) => {
                port.bytes += frame.len() as u64;
                port.chained |= frame.segments() != 1;
                port.buffer.push(frame);
                if port.buffer.is_full() {
                    flush(port, index, &self.counters, &self.pool);
                }
            }
            _ => self.count_drop(index, DropReason::PortRemoved),
        }
    }

    /// Sends what is queued, here and by the workers that hand over to this one. Returns whether there was
    /// anything.
    #[inline]
    pub fn flush(&mut self) -> bool {
        let mut active = false;
        for (index, port) in self.ports.iter_mut().enumerate() {
            let Some(port) = port else { continue };
            if !port.buffer.is_empty() {
                active = true;
                flush(port, index as u16, &self.counters, &self.pool);
            }
            if let Some(ring) = &port.handed {
                let mut burst = Burst::new();
                ring.dequeue(&mut burst);
                if !burst.is_empty() {
                    active = true;
                    port.buffer = burst;
                    port.bytes = port.buffer.iter().map(|frame| frame.len() as u64).sum();
                    port.chained = true;
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
    let bytes = |frames: &[Mbuf]| frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
    let lost = match &mut port.path {
        TxPath::Queue(queue) => {
            if !port.sends_chains && port.chained {
                flatten(&mut port.buffer, counters, pool);
            }
            let total = port.bytes;
            counters.tx_packets.add(queue.send(&mut port.buffer) as u64);
            counters.tx_bytes.add(total - bytes(&port.buffer));
            DropReason::TxFull
        }
        TxPath::Handoff(ring) => {
            ring.enqueue(&mut port.buffer);
            DropReason::HandoffFull
        }
    };
    port.bytes = 0;
    port.chained = false;
    if !port.buffer.is_empty() {
        counters.count_drops(lost, port.buffer.len() as u64);
        port.buffer.clear();
    }
}

/// Turns chains into single segments, for devices that send nothing else.
fn flatten(
    buffer: &mut ArrayVec<Mbuf, BURST>,
    counters: &super::counters::PortCounters,
    pool: &Mempool,
) {
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
