//! Storm control: bounds on what a port or a network has flooded.
//!
//! One bucket a kind, shared by all workers, so that the rate holds however many serve a port: a compare-and-swap for each frame
//! that would be flooded, and nothing for any other. A bucket is the generic cell rate algorithm (ITU-T I.371 annex A): one
//! number, the time at which the next packet is due if none is early, where others keep a time and a level.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

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
}

/// A limit and its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormReport {
    /// Packets a second.
    pub limit: u32,
    /// Packets that were dropped.
    pub dropped: u64,
}

struct Bucket {
    limit: u32,
    /// Cycles between two packets; `None` where none may pass.
    gap: Option<u64>,
    /// Cycles that a packet may be early.
    tolerance: u64,
    /// When the next packet is due.
    due: AtomicU64,
    dropped: AtomicU64,
}

impl StormControl {
    /// With full buckets. `hertz` is the rate of [`crate::dpdk::cycles`].
    pub fn new(limits: &config::StormControl, hertz: u64) -> Self {
        let config::StormControl { broadcast, multicast, unknown_unicast, burst } = *limits;
        let bucket = |limit: Option<u32>| {
            limit.map(|limit| CachePadded::new(Bucket::new(limit, burst, hertz)))
        };
        Self { buckets: [broadcast, multicast, unknown_unicast].map(bucket) }
    }

    /// Takes a packet's token; `false`, and counted, where there is none.
    #[inline]
    pub(super) fn admits(&self, kind: Kind, now: u64) -> bool {
        let Some(bucket) = &self.buckets[kind as usize] else { return true };
        let admitted = bucket.take(now);
        if !admitted {
            bucket.dropped.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// What a kind's limit is and did; `None` where there is none.
    pub fn report(&self, kind: Kind) -> Option<StormReport> {
        let bucket = self.buckets[kind as usize].as_ref()?;
        let dropped = bucket.dropped.load(Ordering::Relaxed);
        Some(StormReport { limit: bucket.limit, dropped })
    }
}

impl Bucket {
    fn new(limit: u32, burst: Option<u32>, hertz: u64) -> Self {
        let gap = hertz.checked_div(limit.into());
        let burst = burst.unwrap_or(limit / 10).max(1);
        let tolerance = gap.unwrap_or(0).saturating_mul(u64::from(burst) - 1);
        Self { limit, gap, tolerance, due: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    fn take(&self, now: u64) -> bool {
        let Some(gap) = self.gap else { return false };
        let next = |due: u64| {
            let due = due.max(now);
            (due - now <= self.tolerance).then(|| due.saturating_add(gap))
        };
        self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERTZ: u64 = 1_000_000_000;

    fn bucket(limit: u32, burst: u32) -> Bucket {
        Bucket::new(limit, Some(burst), HERTZ)
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_rate_and_burst(
            limit in 1..100_000u32,
            burst in 1..100u32,
            steps in prop::collection::vec(0..3_000_000u64, 1..300),
        ) {
            let bucket = bucket(limit, burst);
            let mut now = 1 << 40;
            let mut admitted = Vec::new();
            for step in steps {
                now += step;
                if bucket.take(now) {
                    admitted.push(now);
                }
            }
            let gap = HERTZ / u64::from(limit);
            for (first, from) in admitted.iter().enumerate() {
                for (count, to) in (1u64..).zip(&admitted[first..]) {
                    prop_assert!(count <= u64::from(burst) + (to - from) / gap);
                }
            }
        }

        #[test]
        fn who_keeps_the_rate_loses_nothing(limit in 1..100_000u32, burst in 1..100u32) {
            let bucket = bucket(limit, burst);
            let gap = HERTZ / u64::from(limit);
            prop_assert!((1..1000).all(|number| bucket.take((1 << 40) + number * gap)));
        }
    }

    #[test]
    fn a_full_bucket_is_a_burst_and_zero_lets_nothing_pass() {
        let ten = bucket(1000, 10);
        assert_eq!((0..50).filter(|_| ten.take(1 << 40)).count(), 10);
        let usual = Bucket::new(1000, None, HERTZ);
        assert_eq!((0..500).filter(|_| usual.take(1 << 40)).count(), 100);
        let none = bucket(0, 10);
        assert!(!none.take(1 << 40));
    }

    #[test]
    fn each_kind_has_its_own() {
        let limits = config::StormControl { broadcast: Some(0), ..Default::default() };
        let control = StormControl::new(&limits, HERTZ);
        let kinds = [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 1]]
            .map(|mac| Kind::of(MacKey::from(mac)));
        assert_eq!(kinds, Kind::ALL);
        assert_eq!(kinds.map(|kind| control.admits(kind, 1 << 40)), [false, true, true]);
        assert_eq!(
            kinds.map(|kind| control.report(kind)),
            [Some(StormReport { limit: 0, dropped: 1 }), None, None]
        );
    }
}
