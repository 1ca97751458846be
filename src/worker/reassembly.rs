//! Tunnel packets that come in fragments, put together where the VTEP's policy says so.
//!
//! Each fragment's bytes are copied to their place in one mbuf, and the fragment is freed at once. So a packet holds one
//! mbuf, however small its fragments are, and the number of packets is bounded.
//!
//! Each worker puts together what comes to it: devices tell fragments apart by their addresses alone, so that all of a packet
//! come to one queue.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::context::Context;
use super::counters::WorkerCounters;
use super::origin::may_be_peer;
use super::snapshot::Snapshot;
use super::spans::{Misfit, Spans};
use super::stranger::is_own;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::MacKey;
use crate::tunnel::{Classes, Datagram, Fragment};

/// Packets that a worker can put together at once.
pub const MOST_PACKETS: usize = 512;

/// How packets that come in fragments are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPolicy {
    /// Packets that each worker puts together at once, [`MOST_PACKETS`] at most.
    pub packets: u16,
    /// Cycles until one is given up.
    pub timeout: u64,
}

/// One worker's packets of which fragments are missing.
pub(super) struct Reassembly {
    places: HashMap<Datagram, u16>,
    /// New ones take the place of the oldest, turn by turn.
    packets: Box<[Option<Packet>]>,
    turn: usize,
    /// Fragments in all of them.
    held: u64,
}

struct Packet {
    of: Datagram,
    /// Where its first fragment came in: what becomes of all is counted there.
    port: u16,
    since: u64,
    /// `None`: it is the kernel's, as its first fragment says, and so are those that follow.
    tunnel: Option<Tunnel>,
}

struct Tunnel {
    payload: Mbuf,
    spans: Spans,
    classes: Classes,
    fragments: u64,
}

/// What became of a frame.
pub(super) enum Taken {
    /// It is no fragment of what may be a tunnel packet, or they are not put together.
    Not(Mbuf),
    /// It waits for others, or was dropped.
    Kept,
    /// The packet that it completed, in one mbuf, as if it had come so.
    Whole(Mbuf),
}

/// Takes a frame that may be a fragment of a tunnel packet, and whose IPv4 header adds up. `mac` is the port's.
#[cold]
#[inline(never)]
pub(super) fn take(
    context: &mut Context,
    snapshot: &Snapshot,
    (port, mac): (u16, MacKey),
    frame: Mbuf,
) -> Taken {
    let Some(policy) = snapshot.fragments else { return Taken::Not(frame) };
    let Some(fragment) = Fragment::parse(frame.data()) else { return Taken::Not(frame) };
    let Datagram { source, destination, .. } = fragment.of;
    if !is_to_us(snapshot, destination) || !may_be_peer(snapshot, source) {
        return Taken::Not(frame);
    }
    let now = context.now;
    let Context { reassembly, counters, packets: pool, .. } = context;
    let known = reassembly.find(&fragment.of, now, policy.timeout, counters);
    let place = match known {
        Some(place) => place,
        None => {
            let is_kernels = fragment.start == 0 && !fragment.begins_tunnel(&snapshot.vtep);
            let tunnel = match is_kernels {
                true => None,
                false => match pool.allocate() {
                    Some(payload) => Some(Tunnel {
                        payload,
                        spans: Spans::default(),
                        classes: Classes::default(),
                        fragments: 0,
                    }),
                    None => {
                        context.drop(port, frame, DropReason::NoMbuf);
                        return Taken::Kept;
                    }
                },
            };
            let packet = Packet { of: fragment.of, port, since: now, tunnel };
            reassembly.begin(packet, policy.packets.into(), counters)
        }
    };
    let taken = match reassembly.add(place, &fragment) {
        Added::NotOurs => return Taken::Not(frame),
        Added::Waits => Taken::Kept,
        Added::Twice => {
            context.count_drop(port, DropReason::BadFragment);
            Taken::Kept
        }
        Added::Misfit => {
            reassembly.give_up(place, DropReason::BadFragment, counters);
            context.count_drop(port, DropReason::BadFragment);
            Taken::Kept
        }
        Added::Completes => match reassembly.remove(place) {
            Some(Packet { of, tunnel: Some(tunnel), .. }) => {
                counters.merged.add(tunnel.fragments - 1);
                match with_headers(tunnel, &of, mac) {
                    Ok(whole) => Taken::Whole(whole),
                    Err(reason) => {
                        context.count_drop(port, reason);
                        Taken::Kept
                    }
                }
            }
            _ => Taken::Kept,
        },
    };
    context.counters.fragments_held.set(context.reassembly.held);
    taken
}

/// Once a tick: gives up what has waited for too long, or all of it where packets are not put together any more.
#[cold]
#[inline(never)]
pub(super) fn expire(context: &mut Context, snapshot: &Snapshot) {
    let now = context.now;
    let Context { reassembly, counters, .. } = context;
    if reassembly.places.is_empty() {
        return;
    }
    let timeout = snapshot.fragments.map_or(0, |policy| policy.timeout);
    for place in 0..reassembly.packets.len() {
        let since = reassembly.packets[place].as_ref().map(|packet| packet.since);
        if since.is_some_and(|since| now.wrapping_sub(since) >= timeout) {
            reassembly.give_up(place, DropReason::FragmentTimeout, counters);
        }
    }
    counters.fragments_held.set(reassembly.held);
}

/// What became of a fragment.
enum Added {
    NotOurs,
    Waits,
    Twice,
    Misfit,
    Completes,
}

impl Reassembly {
    /// Without packets, and with room for as many as there may be: nothing is allocated later.
    pub fn new() -> Self {
        // Twice as many, because a map that is more than half full might grow for want of unused places.
        let places = HashMap::with_capacity(2 * MOST_PACKETS);
        let packets = std::iter::repeat_with(|| None).take(MOST_PACKETS).collect();
        Self { places, packets, turn: 0, held: 0 }
    }

    /// The place of a packet, unless it is too old for more fragments.
    fn find(
        &mut self,
        of: &Datagram,
        now: u64,
        timeout: u64,
        counters: &WorkerCounters,
    ) -> Option<usize> {
        let place = usize::from(*self.places.get(of)?);
        if now.wrapping_sub(self.packets[place].as_ref()?.since) < timeout {
            return Some(place);
        }
        self.give_up(place, DropReason::FragmentTimeout, counters);
        None
    }

    /// Makes place for another packet, and gives up the oldest where there are as many as may be.
    fn begin(&mut self, packet: Packet, most: usize, counters: &WorkerCounters) -> usize {
        self.turn = (self.turn + 1) % most.clamp(1, MOST_PACKETS);
        let place = self.turn;
        self.give_up(place, DropReason::FragmentOverflow, counters);
        self.places.insert(packet.of, place as u16);
        self.packets[place] = Some(packet);
        place
    }

    fn add(&mut self, place: usize, fragment: &Fragment) -> Added {
        let packet = self.packets.get_mut(place).and_then(Option::as_mut);
        let Some(tunnel) = packet.and_then(|packet| packet.tunnel.as_mut()) else {
            return Added::NotOurs;
        };
        let Some(end) = fragment.end() else { return Added::Misfit };
        match tunnel.spans.add(fragment.start, end, fragment.is_last) {
            Ok(true) => {}
            Ok(false) => return Added::Twice,
            Err(Misfit) => return Added::Misfit,
        }
        if !tunnel.payload.place(fragment.start.into(), fragment.payload) {
            return Added::Misfit;
        }
        tunnel.classes.add(fragment);
        tunnel.fragments += 1;
        self.held += 1;
        if tunnel.spans.is_whole() { Added::Completes } else { Added::Waits }
    }

    fn remove(&mut self, place: usize) -> Option<Packet> {
        let packet = self.packets.get_mut(place)?.take()?;
        self.places.remove(&packet.of);
        self.held -= packet.fragments();
        Some(packet)
    }

    fn give_up(&mut self, place: usize, reason: DropReason, counters: &WorkerCounters) {
        if let Some(packet) = self.remove(place) {
            counters.ports[usize::from(packet.port)].count_drops(reason, packet.fragments());
        }
    }
}

impl Packet {
    fn fragments(&self) -> u64 {
        self.tunnel.as_ref().map_or(0, |tunnel| tunnel.fragments)
    }
}

fn with_headers(tunnel: Tunnel, of: &Datagram, mac: MacKey) -> Result<Mbuf, DropReason> {
    let Tunnel { mut payload, classes, .. } = tunnel;
    let class = classes.of_packet().ok_or(DropReason::BadFragment)?;
    let headers = of.headers(mac.octets(), class, payload.len() as u16);
    payload.prepend(headers.len()).ok_or(DropReason::NoHeadroom)?.copy_from_slice(&headers);
    Ok(payload)
}

fn is_to_us(snapshot: &Snapshot, destination: IpAddr) -> bool {
    is_own(&snapshot.vtep, destination) || snapshot.admissions.has_group(destination)
}
