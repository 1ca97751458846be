//! The stages that both directions share: look up, learn, decide, send. A whole burst goes
//! through one stage before the next, so that the memory latency of its packets overlaps.

use arrayvec::ArrayVec;

use super::context::Context;
use super::event::Event;
use super::output::{self, Target};
use super::replicate::{self, Origin};
use super::snapshot::{Attachment, Network, Snapshot};
use crate::dpdk::{BURST, Mbuf};
use crate::drop_reason::DropReason;
use crate::fib::{Entry, Hit, MacKey, Reader};

/// A frame whose network is known: untagged, and without outer headers.
pub(super) struct Lane<'r> {
    pub frame: Mbuf,
    pub network: &'r Network,
    pub ingress: Attachment,
    pub source: MacKey,
    pub destination: MacKey,
}

/// A burst of them.
pub(super) type Lanes<'r> = ArrayVec<Lane<'r>, BURST>;

/// Where a frame goes.
#[derive(Clone, Copy)]
pub(super) enum Decision<'r> {
    Send(Target<'r>),
    Flood,
    Drop(DropReason),
}

/// Looks up, learns, decides and sends. `FROM_TUNNEL` is the direction.
#[inline(always)]
pub(super) fn forward<'r, const FROM_TUNNEL: bool>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    port: u16,
    lanes: &mut Lanes<'r>,
) {
    let probes: ArrayVec<_, BURST> = lanes
        .iter()
        .map(|lane| {
            let fib = &lane.network.fib;
            (fib.probe(lane.source, reader), fib.probe(lane.destination, reader))
        })
        .collect();
    let decisions: ArrayVec<_, BURST> = lanes
        .iter()
        .zip(probes)
        .map(|(lane, (source, destination))| {
            if lane.network.learning {
                learn(context, lane, source.finish());
            }
            let entry = destination.finish().map(|hit| hit.entry());
            decide::<FROM_TUNNEL>(snapshot, lane, entry)
        })
        .collect();
    for (lane, decision) in lanes.drain(..).zip(decisions) {
        match decision {
            Decision::Send(target) => output::send(context, port, lane.frame, target),
            Decision::Flood => {
                let Attachment { network, adjacency } = lane.ingress;
                let origin = Origin { port, adjacency, from_tunnel: FROM_TUNNEL };
                replicate::flood(context, snapshot, network, origin, lane.frame);
            }
            Decision::Drop(reason) => context.drop(port, lane.frame, reason),
        }
    }
}

/// Marks a known source as seen, or reports a new or moved one. A static entry never moves.
#[inline(always)]
fn learn(context: &mut Context, lane: &Lane, hit: Option<Hit>) {
    if let Some(hit) = hit {
        let entry = hit.entry();
        if entry.adjacency() == lane.ingress.adjacency {
            if context.tick.wrapping_sub(entry.tick()) >= lane.network.refresh_after {
                hit.refresh(context.tick);
            }
            return;
        }
        if entry.is_static() {
            return;
        }
    }
    let Attachment { network, adjacency } = lane.ingress;
    context.report(Event::Learn { network, adjacency, mac: lane.source });
}

/// The forwarding decision: pure, the same for the workers, for traces and for tests.
#[inline(always)]
pub(super) fn decide<'r, const FROM_TUNNEL: bool>(
    snapshot: &'r Snapshot,
    lane: &Lane,
    entry: Option<Entry>,
) -> Decision<'r> {
    if lane.destination.is_group() {
        return if lane.destination.is_bridge_reserved() {
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
    if !FROM_TUNNEL && index == lane.ingress.adjacency {
        return Decision::Drop(DropReason::SamePort);
    }
    Decision::Send(Target { index, adjacency, vni: lane.network.vni })
}
