//! Sequence numbers of GRE packets (RFC 2890).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

/// What sequence numbers are between us and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// Not sent; those that come are of no interest.
    Off,
    /// Sent; those that come are of no interest.
    Sent,
    /// Sent, and wanted in order.
    Strict,
}

impl Sequence {
    /// Whether packets are numbered.
    pub fn is_sent(self) -> bool {
        self != Self::Off
    }
}

/// The next number to a peer, from 0, modulo 2^32. All workers and all outer headers to that peer take from one, so
/// that no number is sent twice, whatever becomes of next hops.
///
/// Numbers are taken in the order of encapsulation. Where several workers send to one peer, or its packets take several
/// queues, they may arrive in another.
#[derive(Clone, Debug, Default)]
pub struct SequenceNumbers(Arc<CachePadded<AtomicU32>>);

impl SequenceNumbers {
    /// Others that go on from the same one.
    pub fn detached(&self) -> Self {
        Self(Arc::new(CachePadded::new(self.0.load(Ordering::Relaxed).into())))
    }

    /// The next one.
    #[inline]
    pub fn take(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The newest number from a peer, which all workers share: what is not newer comes too late, or twice (RFC 2890 section
/// 2.2).
#[derive(Clone, Debug, Default)]
pub struct Order(Arc<CachePadded<AtomicU64>>);

impl Order {
    /// Ticks without anything new, after which the peer has begun anew.
    const PATIENCE: u16 = 3;
    const TICK: u32 = 32;
    /// Beside number and tick: there was one.
    const BEGUN: u64 = 1 << 48;

    /// Another one that goes on from the same number.
    pub fn detached(&self) -> Self {
        Self(Arc::new(CachePadded::new(self.0.load(Ordering::Relaxed).into())))
    }

    /// Whether a packet that comes at `tick` of the coarse clock is in order. One without a number is not.
    #[inline]
    pub fn admits(&self, number: Option<u32>, tick: u16) -> bool {
        let Some(number) = number else { return false };
        let newest = Self::BEGUN | u64::from(tick) << Self::TICK | u64::from(number);
        let advance = |last: u64| {
            let ahead = number.wrapping_sub(last as u32) as i32;
            let waited = tick.wrapping_sub((last >> Self::TICK) as u16);
            (ahead > 0 || waited >= Self::PATIENCE || last == 0).then_some(newest)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_repeated_numbers_are_out_of_order() {
        let order = Order::default();
        for (number, admitted) in [(7, true), (9, true), (8, false), (9, false), (10, true)] {
            assert_eq!(order.admits(Some(number), 5), admitted, "{number}");
        }
        assert!(!order.admits(None, 5), "no number, no place in the order");
    }

    #[test]
    fn numbers_wrap() {
        let order = Order::default();
        assert!(order.admits(Some(u32::MAX), 0) && order.admits(Some(0), 0));
        assert!(!order.admits(Some(u32::MAX), 0));
        assert!(!order.admits(Some(1 << 31), 0), "half of all numbers ahead is behind");
        assert!(order.admits(Some((1 << 31) - 1), 0));
    }

    #[test]
    fn a_peer_that_began_anew_is_heard_after_a_while() {
        let order = Order::default();
        assert!(order.admits(Some(1_000_000), u16::MAX - 1));
        for tick in [u16::MAX - 1, u16::MAX, 0] {
            assert!(!order.admits(Some(0), tick), "{tick}");
        }
        assert!(order.admits(Some(2), 1) && order.admits(Some(3), 1) && !order.admits(Some(3), 1));
    }

    #[test]
    fn of_many_workers_one_gets_each_number_and_none_goes_back() {
        let order = Order::default();
        let admitted: usize = std::thread::scope(|scope| {
            let count = || (1..=50_000).filter(|number| order.admits(Some(*number), 0)).count();
            let workers = [(); 4].map(|()| scope.spawn(count));
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert!(admitted <= 50_000, "{admitted}");
        assert!(!order.admits(Some(50_000), 0) && order.admits(Some(50_001), 0));
    }
}
