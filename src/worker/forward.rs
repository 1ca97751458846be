//! The stages that both directions share: start the lookups of a whole burst, so that their cache misses
//! overlap, then learn, decide and send.

use arrayvec::ArrayVec;

use super::bum;
use super::context::Context;
use super::event::Event;
use super::moves;
use super::offload;
use super::output;
use super::replicate::Origin;
use super::snapshot::{AdjacencyIndex, Attachment, Network, Snapshot};
use super::suppression::{self, Aside};
use super::target::Target;
use super::traffic::{Count, Tally};
use crate::dpdk::{BURST, Burst};
use crate::drop_reason::DropReason;
use crate::fib::{Buckets, Entry, Location, MacKey, Probe, Reader};

/// What is known of a frame that is untagged, without outer headers, and of a known network; its lookups have begun.
pub(super) struct Lane<'r> {
    pub(super) network: &'r Network,
    pub(super) ingress: Attachment,
    /// `None`: the lane before has the same MAC and ingress, hence the same answer.
    source: Option<Probe<'r>>,
    destination: Option<Probe<'r>>,
}

impl<'r> Lane<'r> {
    /// Of a frame that no port received.
    pub(super) fn made_here(index: u32, network: &'r Network) -> Self {
        let ingress = Attachment::new(index, Location::from_bits(0));
        Self { network, ingress, source: None, destination: None }
    }

    /// The same in another version of its network.
    pub(super) fn in_network(self, network: &'r Network) -> Self {
        Self { network, ..self }
    }

    /// Both lookups, of source and destination: of a burst's first frame, which takes after none.
    pub(super) fn lookups(&self) -> Option<(Probe<'r>, Probe<'r>)> {
        self.source.zip(self.destination)
    }
}

/// Of the frames of a burst, in their order.
pub(super) type Lanes<'r> = ArrayVec<Lane<'r>, BURST>;

/// Makes lanes of a burst's frames. Frames come in trains, so it keeps what was known of the last.
pub(super) struct Classifier<'r> {
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    last: Option<Last<'r>>,
}

struct Last<'r> {
    ingress: Attachment,
    network: &'r Network,
    buckets: Buckets<'r>,
    source: MacKey,
    destination: MacKey,
}

impl<'r> Classifier<'r> {
    /// For one burst.
    #[inline(always)]
    pub fn new(reader: &'r Reader, snapshot: &'r Snapshot) -> Self {
        Self { reader, snapshot, last: None }
    }

    /// A frame that came in by `ingress`, between two MACs. `tagged` is whether a VLAN tag is left within.
    #[inline(always)]
    pub fn lane(
        &mut self,
        ingress: Attachment,
        source: MacKey,
        destination: MacKey,
        tagged: bool,
    ) -> Result<Lane<'r>, DropReason> {
        let last = match &mut self.last {
            Some(last) if last.ingress == ingress => last,
            _ => self.last.insert(Last::new(self.reader, self.snapshot, ingress)?),
        };
        let network = last.network;
        if tagged && !network.keeps_inner_vlan {
            return Err(DropReason::InnerVlan);
        }
        let mut lane = Lane { network, ingress, source: None, destination: None };
        if source != last.source {
            if !source.is_station() {
                return Err(DropReason::InvalidSource);
            }
            last.source = source;
            lane.source = Some(last.buckets.probe(source));
        }
        if destination != last.destination {
            last.destination = destination;
            lane.destination = Some(last.buckets.probe(destination));
        }
        Ok(lane)
    }
}

impl<'r> Classifier<'r> {
    /// What it goes by.
    pub fn snapshot(&self) -> &'r Snapshot {
        self.snapshot
    }

    /// Makes a lane that takes after none, and that none takes after.
    pub fn alone(
        &mut self,
        lane: impl FnOnce(&mut Self) -> Result<Lane<'r>, DropReason>,
    ) -> Result<Lane<'r>, DropReason> {
        self.last = None;
        let lane = lane(self);
        self.last = None;
        lane
    }

    /// Whether the outer DSCP is a priority to this network.
    #[inline(never)]
    pub fn takes_priorities(&self, ingress: Attachment) -> bool {
        let network = self.snapshot.networks.get(ingress.network() as usize);
        network.is_some_and(|network| network.takes_priorities)
    }
}

impl<'r> Last<'r> {
    #[inline(always)]
    fn new(
        reader: &'r Reader,
        snapshot: &'r Snapshot,
        ingress: Attachment,
    ) -> Result<Self, DropReason> {
        let network = snapshot.networks.get(ingress.network() as usize);
        let network = network.ok_or(DropReason::NetworkRemoved)?;
        let buckets = network.fib.buckets(reader);
        Ok(Self { ingress, network, buckets, source: MacKey::NONE, destination: MacKey::NONE })
    }
}

/// Where a frame goes.
#[derive(Clone, Copy)]
pub(super) enum Decision<'r> {
    Send(Target<'r>),
    Flood,
    Drop(DropReason),
}

impl Decision<'_> {
    /// Whom alone it goes to.
    fn peer(self) -> Option<AdjacencyIndex> {
        match self {
            Decision::Send(target) => Some(target.index()),
            Decision::Flood | Decision::Drop(_) => None,
        }
    }
}

/// Learns, decides and sends. `FROM_TUNNEL` is the direction, `UNFINISHED` whether senders may have left work to their
/// device.
#[inline(always)]
pub(super) fn forward<'r, const FROM_TUNNEL: bool, const UNFINISHED: bool>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    port: u16,
    burst: &mut Burst,
    lanes: &mut Lanes<'r>,
) {
    match snapshot.traffic.get(context.number) {
        None => {
            finish::<FROM_TUNNEL, UNFINISHED>(context, reader, snapshot, port, burst, lanes, ())
        }
        Some(traffic) => {
            let tally = Tally::<FROM_TUNNEL>::new(traffic);
            finish::<FROM_TUNNEL, UNFINISHED>(context, reader, snapshot, port, burst, lanes, tally);
        }
    }
}

#[inline(never)]
fn finish<'r, const FROM_TUNNEL: bool, const UNFINISHED: bool>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    port: u16,
    burst: &mut Burst,
    lanes: &mut Lanes<'r>,
    mut tally: impl Count,
) {
    let mut decision = Decision::Flood;
    let mut aside = Aside::new();
    let mut lanes = lanes.as_mut_slice();
    for frame in burst.drain(..) {
        let Some((lane, behind)) = lanes.split_first_mut() else { break };
        lanes = behind;
        let lane = &*lane;
        let origin = || {
            let adjacency = lane.ingress.location().adjacency();
            Origin { port, adjacency, from_tunnel: FROM_TUNNEL }
        };
        if let Some(destination) = lane.destination {
            let entry = destination.finish(&lane.network.fib, reader).map(|hit| hit.entry());
            decision = decide::<FROM_TUNNEL>(snapshot, lane, destination.key(), entry);
            tally.turn(lane.ingress, || decision.peer());
        }
        if let Some(source) = lane.source
            && lane.network.sources.matter()
            && let Err(reason) = learn::<FROM_TUNNEL>(context, reader, snapshot, lane, source)
        {
            // The next one of its train is judged as well.
            if let Some(next) = lanes.first_mut() {
                next.source.get_or_insert(source);
            }
            tally.refuse(frame.len());
            context.drop(port, frame, reason);
            continue;
        }
        tally.add(frame.len());
        match decision {
            Decision::Send(target) => {
                if let Some(suppression) = &lane.network.suppression {
                    suppression::listen(context, reader, lane, suppression, &frame);
                }
                if FROM_TUNNEL {
                    output::deliver(context, snapshot, origin, frame, target);
                } else if UNFINISHED && frame.may_be_unfinished() {
                    offload::send(context, snapshot, origin(), frame, target);
                } else {
                    output::send(context, snapshot, origin, frame, target);
                }
            }
            Decision::Flood => {
                bum::forward(context, reader, snapshot, lane, origin(), frame, &mut aside);
            }
            Decision::Drop(reason) => context.drop(port, frame, reason),
        }
    }
    tally.end();
    if !aside.is_empty() {
        bum::answer(context, reader, snapshot, aside);
    }
}

/// Marks a known source as seen, or reports a new or moved one. Whoever may not move is dropped.
#[inline(always)]
fn learn<'r, const FROM_TUNNEL: bool>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &Snapshot,
    lane: &Lane<'r>,
    source: Probe<'r>,
) -> Result<(), DropReason> {
    let mac = source.key();
    if let Some(hit) = source.finish(&lane.network.fib, reader) {
        let entry = hit.entry();
        if entry.location() != lane.ingress.location() {
            return moves::judge(context, snapshot, lane, mac, entry, FROM_TUNNEL);
        }
        if context.tick.wrapping_sub(entry.tick()) >= lane.network.refresh_after {
            hit.refresh(context.tick);
        }
    } else if lane.network.sources.are_learned() {
        context.report(Event::Learn { ingress: lane.ingress, mac });
    }
    Ok(())
}

/// The forwarding decision: pure, the same for the workers, for traces and for tests.
#[inline(always)]
pub(super) fn decide<'r, const FROM_TUNNEL: bool>(
    snapshot: &'r Snapshot,
    lane: &Lane,
    destination: MacKey,
    entry: Option<Entry>,
) -> Decision<'r> {
    if destination.is_group() {
        return if destination.is_bridge_reserved() {
            Decision::Drop(DropReason::ReservedMulticast)
        } else {
            Decision::Flood
        };
    }
    let Some(entry) = entry else { return Decision::Flood };
    let Some(adjacency) = snapshot.adjacency_of(entry) else { return Decision::Flood };
    let index = entry.adjacency();
    if FROM_TUNNEL && !adjacency.is_local() {
        return Decision::Drop(DropReason::SplitHorizon);
    }
    if !FROM_TUNNEL && index == lane.ingress.location().adjacency() {
        return Decision::Drop(DropReason::SamePort);
    }
    Decision::Send(Target::new(index, adjacency, lane.network.vni))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::fib::{Domain, FibWriter};
    use crate::tunnel::Vtep;
    use crate::worker::{Admissions, AnyPeers, IndexMap, MovePolicy, Sources};

    fn network(vni: u32) -> Network {
        Network {
            vni,
            refresh_after: 1,
            sources: Sources::new(true, MovePolicy::Allow),
            keeps_inner_vlan: false,
            takes_priorities: false,
            fib: FibWriter::new(10).shared(),
            flood: std::sync::Arc::default(),
            suppression: None,
            storm: None,
            multicast: None,
            identity: u64::from(vni),
        }
    }

    fn mac(last: u8) -> MacKey {
        [2, 0, 0, 0, 0, last].into()
    }

    #[test]
    fn a_lane_takes_after_the_one_before_only_where_ingress_and_mac_are_the_same() {
        let snapshot = Snapshot {
            ports: Box::default(),
            networks: [network(1), network(2)].into(),
            oversize: Box::default(),
            adjacencies: Box::default(),
            orders: Default::default(),
            vnis: IndexMap::new(&[]),
            peers: IndexMap::new(&[]),
            any_peers: AnyPeers::default(),
            admissions: Admissions::default(),
            templates: Box::default(),
            spreads: Box::default(),
            group_policies: Default::default(),
            vtep: Vtep::vxlan(Ipv4Addr::LOCALHOST, 4789),
            learns_path_mtus: false,
            traffic: Box::default(),
            fragments: None,
        };
        let reader = Domain::new(1).register().unwrap();
        let mut classifier = Classifier::new(&reader, &snapshot);
        let port = |network, adjacency| Attachment::new(network, Location::new(adjacency, 1));
        let mut looked_up = |ingress, source, destination, tagged| {
            let lane = classifier.lane(ingress, mac(source), mac(destination), tagged)?;
            Ok((lane.network.vni, lane.source.is_some(), lane.destination.is_some()))
        };
        assert_eq!(looked_up(port(0, 5), 1, 2, false), Ok((1, true, true)));
        assert_eq!(looked_up(port(0, 5), 1, 2, false), Ok((1, false, false)));
        assert_eq!(looked_up(port(0, 5), 3, 2, false), Ok((1, true, false)));
        assert_eq!(looked_up(port(0, 5), 3, 4, false), Ok((1, false, true)));
        assert_eq!(looked_up(port(0, 6), 3, 4, false), Ok((1, true, true)), "another port");
        assert_eq!(looked_up(port(1, 6), 3, 4, false), Ok((2, true, true)), "another network");
        assert_eq!(looked_up(port(0, 5), 3, 4, true), Err(DropReason::InnerVlan));
        assert_eq!(looked_up(port(0, 5), 3, 4, false), Ok((1, true, true)), "none before it");
        let multicast = classifier.lane(port(0, 5), [1, 0, 0, 0, 0, 1].into(), mac(9), false);
        assert_eq!(multicast.err(), Some(DropReason::InvalidSource));
        let lane = classifier.lane(port(0, 5), mac(3), mac(9), false).unwrap();
        assert!(lane.source.is_none() && lane.destination.is_some(), "the dropped one has no lane");
        assert_eq!(
            classifier.lane(port(7, 5), mac(3), mac(9), false).err(),
            Some(DropReason::NetworkRemoved)
        );
    }
}
