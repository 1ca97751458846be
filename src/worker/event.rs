//! What workers tell the control core.

use std::net::IpAddr;

use crossbeam::queue::ArrayQueue;

use super::snapshot::{AdjacencyIndex, Attachment};
use crate::fib::MacKey;
use crate::neighbours::Claim;
use crate::too_big::Report;

/// Something a worker saw that only the control core may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A source MAC that the FIB does not have at this adjacency: new, or moved.
    Learn {
        /// Its network, and where it came in.
        ingress: Attachment,
        /// The MAC.
        mac: MacKey,
    },
    /// A word on an address that is not known so.
    Bind {
        /// Network index.
        network: u32,
        /// What was said.
        claim: Claim,
    },
    /// A VTEP that is no peer yet sent to a network that learns its peers.
    Stranger {
        /// Network index.
        network: u32,
        /// Its address.
        address: IpAddr,
    },
    /// A packet was dropped because its peer has no next hop.
    Unresolved {
        /// The peer's adjacency.
        adjacency: AdjacencyIndex,
    },
    /// A router says that a packet to a peer was too big.
    TooBig(Report),
}

const _: () = assert!(size_of::<Event>() == 32);

/// A worker's queue to the control core. Full means lost: the packet path never waits.
pub type EventQueue = ArrayQueue<Event>;

/// Events that a queue holds.
pub const EVENT_QUEUE: usize = 1 << 15;

/// Remembers what was reported in the current tick, so that a stream of packets from one new MAC is one event.
/// A fixed, direct-mapped table: a collision costs a repeated event, no more.
pub struct Reported {
    seen: Box<Seen>,
}

/// In cache lines of its own.
#[repr(align(128))]
struct Seen([u64; Reported::SIZE]);

impl Reported {
    const SIZE: usize = 4096;

    /// Nothing reported yet.
    pub fn new() -> Self {
        Self { seen: Box::new(Seen([0; Self::SIZE])) }
    }

    /// Queues an event unless it was queued in this tick. `false` when the queue is full.
    #[inline]
    pub fn report(&mut self, event: Event, tick: u16, queue: &EventQueue) -> bool {
        let mark = Self::mark(event) ^ (u64::from(tick) << 1 | 1);
        let slot = &mut self.seen.0[(Self::mark(event) >> 52) as usize & (Self::SIZE - 1)];
        if *slot == mark {
            return true;
        }
        let queued = queue.push(event).is_ok();
        if queued {
            *slot = mark;
        }
        queued
    }

    #[inline]
    fn mark(event: Event) -> u64 {
        let (high, low) = match event {
            Event::Learn { ingress, mac } => (ingress.bits(), mac.bits()),
            Event::Bind { network, claim } => {
                let [high, low] = claim.address.words();
                let said = u64::from(network) << 8
                    | u64::from(claim.overrides) << 2
                    | claim.router.map_or(0, |router| 2 | u64::from(router));
                let place = MacKey::from(claim.mac.0).bits() ^ said << 32;
                (high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low, place.rotate_left(17))
            }
            Event::Stranger { address, .. } => {
                let [high, low] = words(address);
                (!high, low)
            }
            Event::TooBig(Report { peer, udp_port, mtu }) => {
                let [high, low] = words(peer);
                let said = u64::from(udp_port.unwrap_or(0)) << 16 | u64::from(mtu);
                (high ^ said << 32 ^ 1, low)
            }
            Event::Unresolved { adjacency } => (u64::MAX, u64::from(adjacency)),
        };
        (high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// An address as two numbers.
fn words(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits();
    [(bits >> 64) as u64, bits as u64]
}

impl Default for Reported {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::Location;

    #[test]
    fn one_event_a_tick_and_none_forgotten_when_the_queue_is_full() {
        let queue = EventQueue::new(1);
        let mut reported = Reported::new();
        let learn = |low| Event::Learn {
            ingress: Attachment::new(1, Location::new(2, 1)),
            mac: MacKey::from([2, 0, 0, 0, 0, low]),
        };
        assert!(reported.report(learn(1), 7, &queue));
        assert!(reported.report(learn(1), 7, &queue), "a repetition is no loss");
        assert!(!reported.report(learn(2), 7, &queue), "full");
        assert_eq!(queue.pop(), Some(learn(1)));
        assert!(reported.report(learn(2), 7, &queue), "a lost event is tried again");
        assert_eq!(queue.pop(), Some(learn(2)));
        assert!(reported.report(learn(1), 8, &queue));
        assert_eq!(queue.pop(), Some(learn(1)), "and each tick anew");
        let narrow = |last, mtu| {
            let peer = IpAddr::from([192, 0, 2, last]);
            Event::TooBig(Report { peer, udp_port: Some(4789), mtu })
        };
        for event in [narrow(2, 1400), narrow(2, 1300), narrow(3, 1300)] {
            assert!(reported.report(event, 8, &queue) && reported.report(event, 8, &queue));
            assert_eq!((queue.pop(), queue.pop()), (Some(event), None));
        }
    }
}
