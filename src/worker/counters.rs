//! Each worker's counters: written by that worker alone, read by anybody.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::drop_reason::DropReason;

/// A counter with one writer, so that adding needs no locked instruction.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the owning worker calls this.
    #[inline(always)]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters of one port.
pub struct PortCounters {
    /// Frames taken from the port.
    pub rx_packets: Counter,
    /// Their bytes.
    pub rx_bytes: Counter,
    /// Frames given to the device.
    pub tx_packets: Counter,
    /// Their bytes.
    pub tx_bytes: Counter,
    drops: [Counter; DropReason::COUNT],
}

/// What became of a port's frames, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCount {
    /// Frames taken from it.
    pub rx: u64,
    /// Frames given to it.
    pub tx: u64,
    /// Frames dropped, for any reason.
    pub drops: u64,
}

impl AddAssign for PortCount {
    fn add_assign(&mut self, more: Self) {
        self.rx += more.rx;
        self.tx += more.tx;
        self.drops += more.drops;
    }
}

impl Default for PortCounters {
    fn default() -> Self {
        let (rx_packets, rx_bytes, tx_packets, tx_bytes) = Default::default();
        let drops = std::array::from_fn(|_| Counter::default());
        Self { rx_packets, rx_bytes, tx_packets, tx_bytes, drops }
    }
}

impl PortCounters {
    /// Counts dropped frames.
    #[inline(always)]
    pub fn count_drops(&self, reason: DropReason, count: u64) {
        self.drops[reason as usize].add(count);
    }

    /// What it has counted so far, and sets it to zero. Only the owning worker calls this.
    pub(super) fn take(&self) -> PortCount {
        let take = |counter: &Counter| {
            let count = counter.get();
            counter.set(0);
            count
        };
        take(&self.rx_bytes);
        take(&self.tx_bytes);
        PortCount {
            rx: take(&self.rx_packets),
            tx: take(&self.tx_packets),
            drops: self.drops.iter().map(take).sum(),
        }
    }

    /// Frames dropped for a reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize].get()
    }
}

/// One worker's counters. Their own cache lines (in pairs, as CPUs fetch them): neighbours on the heap are
/// other workers'.
#[repr(align(128))]
pub struct WorkerCounters {
    /// By port index.
    pub ports: Box<[CachePadded<PortCounters>]>,
    /// Frames made here, beyond those that came in: by replication, of packets cut into segments, as queries for members of
    /// multicast groups, as answers to what does not fit, and as fragments of it.
    pub copies: Counter,
    /// Frames kept for later: unfinished replication. A level, not a sum.
    pub held: Counter,
    /// Fragments that wait for others of their packet. A level, not a sum.
    pub fragments_held: Counter,
    /// Fragments and TCP segments that became part of another frame.
    pub merged: Counter,
    /// Rounds of the poll loop.
    pub polls: Counter,
    /// Rounds in which nothing arrived.
    pub empty_polls: Counter,
    /// Receive bursts that were not empty.
    pub bursts: Counter,
    /// Cycles spent in rounds that did something.
    pub busy_cycles: Counter,
    /// Cycles of all rounds.
    pub total_cycles: Counter,
    /// Events that found the queue to the control core full.
    pub events_lost: Counter,
}

impl WorkerCounters {
    /// All zero, for so many ports.
    pub fn new(ports: usize) -> Self {
        Self {
            ports: (0..ports).map(|_| CachePadded::default()).collect(),
            copies: Counter::default(),
            held: Counter::default(),
            fragments_held: Counter::default(),
            merged: Counter::default(),
            polls: Counter::default(),
            empty_polls: Counter::default(),
            bursts: Counter::default(),
            busy_cycles: Counter::default(),
            total_cycles: Counter::default(),
            events_lost: Counter::default(),
        }
    }
}

impl Counter {
    /// Sets a level. Only the owning worker calls this, or who knows that it does not write.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

const _: () =
    assert!(align_of::<WorkerCounters>() == 128 && align_of::<CachePadded<PortCounters>>() == 128);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// The pairs of cache lines that something lies in.
    fn lines<T: ?Sized>(of: &T) -> std::ops::RangeInclusive<usize> {
        let first = std::ptr::from_ref(of).addr();
        first / 128..=(first + size_of_val(of) - 1) / 128
    }

    #[test]
    fn no_cache_line_holds_counters_of_two_workers_or_ports() {
        let workers: Vec<_> = (0..8).map(|_| Arc::new(WorkerCounters::new(3))).collect();
        let mut all: Vec<_> = workers.iter().map(|worker| lines(&**worker)).collect();
        all.extend(workers.iter().flat_map(|worker| worker.ports.iter().map(lines)));
        all.sort_by_key(|lines| *lines.start());
        assert!(all.windows(2).all(|pair| pair[0].end() < pair[1].start()), "{all:?}");
    }
}
