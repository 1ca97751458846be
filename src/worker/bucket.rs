//! A limit on how many packets a second may do something.
//!
//! All workers share it, so that the rate holds however many there are: a compare-and-swap for each packet that passes. It is
//! the generic cell rate algorithm (ITU-T I.371 annex A): one number, the time at which the next packet is due if none
//! is early, where others keep a time and a level.

use std::sync::atomic::{AtomicU64, Ordering};

/// A limit and its use.
pub(super) struct Bucket {
    limit: u32,
    /// Cycles between two packets; `None` where none may pass.
    gap: Option<u64>,
    /// Cycles that a packet may be early.
    tolerance: u64,
    /// When the next packet is due.
    due: AtomicU64,
}

impl Bucket {
    /// A full one, of `limit` packets a second, of which `burst` may come at once: by default a tenth of a second's.
    /// `hertz` is the rate of [`crate::dpdk::cycles`].
    pub fn new(limit: u32, burst: Option<u32>, hertz: u64) -> Self {
        let gap = hertz.checked_div(limit.into());
        let burst = burst.unwrap_or(limit / 10).max(1);
        let tolerance = gap.unwrap_or(0).saturating_mul(u64::from(burst) - 1);
        Self { limit, gap, tolerance, due: AtomicU64::new(0) }
    }

    /// Another one that is as full.
    pub fn detached(&self) -> Self {
        let due = self.due.load(Ordering::Relaxed).into();
        Self { due, ..*self }
    }

    /// Packets a second.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether there is a token.
    pub fn has(&self, now: u64) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        self.gap.is_some() && due.saturating_sub(now) <= self.tolerance
    }

    /// Takes a packet's token; `false` where there is none, and then nothing is written.
    #[inline]
    pub fn take(&self, now: u64) -> bool {
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
        let taken = || {
            let has = ten.has(1 << 40);
            assert_eq!(has, ten.take(1 << 40));
            has
        };
        assert_eq!((0..50).filter(|_| taken()).count(), 10);
        let usual = Bucket::new(1000, None, HERTZ);
        assert_eq!((0..500).filter(|_| usual.take(1 << 40)).count(), 100);
        let none = bucket(0, 10);
        assert!(!none.take(1 << 40) && !none.has(1 << 40));
    }
}
