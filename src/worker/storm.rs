//! Storm control: bounds on what a port or a network has flooded.
//!
//! One bucket a kind, and only frames that would be flooded touch it.

use crossbeam::utils::CachePadded;

use super::bucket::Bucket;
use super::counters::Counter;
use crate::config;
use crate::drop_reason::DropReason;
use crate::fib::MacKey;

/// Why a frame is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is for all.
    Broadcast,
    /// It is for a group.
    Multicast,
    /// Nobody knows where its destination is.
    UnknownUnicast,
}

impl Kind {
    /// All of them, in the order of the discriminants.
    pub const ALL: [Self; 3] = [Self::Broadcast, Self::Multicast, Self::UnknownUnicast];
    const BROADCAST: u64 = 0xffff_ffff_ffff;

    /// Of a frame that is flooded, by its destination.
    #[inline]
    pub(super) fn of(destination: MacKey) -> Self {
        if destination.bits() == Self::BROADCAST {
            Self::Broadcast
        } else if destination.is_group() {
            Self::Multicast
        } else {
            Self::UnknownUnicast
        }
    }

    /// What a frame over the limit is counted as.
    pub(super) fn reason(self) -> DropReason {
        match self {
            Self::Broadcast => DropReason::StormBroadcast,
            Self::Multicast => DropReason::StormMulticast,
            Self::UnknownUnicast => DropReason::StormUnknownUnicast,
        }
    }
}

/// The limits of one port or one network, and what they kept back.
pub struct StormControl {
    buckets: [Option<CachePadded<Bucket>>; 3],
    /// Packets that were dropped, by number of worker.
    dropped: Box<[CachePadded<[Counter; 3]>]>,
}

/// A limit and its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormReport {
    /// Packets a second.
    pub limit: u32,
    /// Packets that were dropped.
    pub dropped: u64,
}

impl StormControl {
    /// With full buckets, for so many workers. `hertz` is the rate of [`crate::dpdk::cycles`].
    pub fn new(limits: &config::StormControl, hertz: u64, workers: usize) -> Self {
        let config::StormControl { broadcast, multicast, unknown_unicast, burst } = *limits;
        let bucket = |limit: Option<u32>| {
            limit.map(|limit| CachePadded::new(Bucket::new(limit, burst, hertz)))
        };
        Self::with([broadcast, multicast, unknown_unicast].map(bucket), workers)
    }

    fn with(buckets: [Option<CachePadded<Bucket>>; 3], workers: usize) -> Self {
        Self { buckets, dropped: (0..workers).map(|_| Default::default()).collect() }
    }

    /// Another one with as many tokens, for one worker.
    pub(super) fn detached(&self) -> Self {
        let copy = |bucket: &Option<CachePadded<Bucket>>| {
            bucket.as_ref().map(|bucket| CachePadded::new(bucket.detached()))
        };
        Self::with(self.buckets.each_ref().map(copy), 1)
    }

    /// Takes a packet's token; `false`, and counted for this worker, where there is none.
    #[inline]
    pub(super) fn admits(&self, kind: Kind, now: u64, worker: usize) -> bool {
        let admitted = self.buckets[kind as usize].as_ref().is_none_or(|bucket| bucket.take(now));
        if !admitted && let Some(dropped) = self.dropped.get(worker) {
            dropped[kind as usize].add(1);
        }
        admitted
    }

    /// What a kind's limit is and did; `None` where there is none.
    pub fn report(&self, kind: Kind) -> Option<StormReport> {
        let bucket = self.buckets[kind as usize].as_ref()?;
        let dropped = self.dropped.iter().map(|of| of[kind as usize].get()).sum();
        Some(StormReport { limit: bucket.limit(), dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERTZ: u64 = 1_000_000_000;

    #[test]
    fn each_kind_has_its_own_limit_and_drops_of_all_workers() {
        let limits = config::StormControl { broadcast: Some(0), ..Default::default() };
        let control = StormControl::new(&limits, HERTZ, 2);
        let kinds = [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 1]]
            .map(|mac| Kind::of(MacKey::from(mac)));
        assert_eq!(kinds, Kind::ALL);
        for worker in [1, 0, 1] {
            let admitted = kinds.map(|kind| control.admits(kind, 1 << 40, worker));
            assert_eq!(admitted, [false, true, true]);
        }
        assert_eq!(
            kinds.map(|kind| control.report(kind)),
            [Some(StormReport { limit: 0, dropped: 3 }), None, None]
        );
    }
}
