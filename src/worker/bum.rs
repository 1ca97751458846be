//! Broadcast, unknown unicast and multicast: what becomes of such a frame before it is flooded.

use super::context::Context;
use super::forward::Lane;
use super::multicast::Audience;
use super::offload;
use super::replicate::{self, Origin};
use super::snapshot::{PortEntry, Snapshot};
use super::storm::{Kind, StormControl};
use super::suppression::{self, Aside};
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::{MacKey, Reader};
use crate::wire::ethernet;

/// Floods a frame to its network, or to the members of its multicast group; or puts it aside for [`answer`].
#[inline(never)]
pub(super) fn forward<'l, 'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &Snapshot,
    lane: &'l Lane<'r>,
    origin: Origin,
    frame: Mbuf,
    aside: &mut Aside<'l, 'r>,
) {
    if !origin.from_tunnel
        && let Err(reason) = police(context, snapshot, lane, origin, &frame)
    {
        return context.drop(origin.port, frame, reason);
    }
    let frame = match &lane.network.suppression {
        Some(with) => aside.put(lane, with, origin, frame),
        None => Some(frame),
    };
    if let Some(frame) = frame {
        flood(context, reader, snapshot, lane, origin, frame);
    }
}

/// Deals with what was put aside.
#[inline(never)]
pub(super) fn answer<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &Snapshot,
    aside: Aside<'_, 'r>,
) {
    suppression::answer(context, reader, snapshot, aside, |context, lane, origin, frame| {
        flood(context, reader, snapshot, lane, origin, frame);
    });
}

fn flood(
    context: &mut Context,
    reader: &Reader,
    snapshot: &Snapshot,
    lane: &Lane,
    origin: Origin,
    mut frame: Mbuf,
) {
    let chosen = match &lane.network.multicast {
        Some(multicast) => multicast.choose(context, reader, lane, &mut frame),
        None => Ok((Audience::Network, &*lane.network.flood)),
    };
    match chosen {
        Ok(to) if !origin.from_tunnel && frame.may_be_unfinished() => {
            offload::flood(context, snapshot, lane, to, origin, frame);
        }
        Ok(to) => replicate::flood(context, snapshot, lane, to, origin, frame),
        Err(reason) => context.drop(origin.port, frame, reason),
    }
}

/// Storm control, the port's before the network's: what one port has too much of must not use up what others share.
#[inline(always)]
fn police(
    context: &Context,
    snapshot: &Snapshot,
    lane: &Lane,
    origin: Origin,
    frame: &Mbuf,
) -> Result<(), DropReason> {
    let port = match snapshot.ports.get(usize::from(origin.port)) {
        Some(PortEntry::Access(port)) => port.storm.as_deref(),
        _ => None,
    };
    let network = lane.network.storm.as_deref();
    if port.is_none() && network.is_none() {
        return Ok(());
    }
    let header: &[u8; ethernet::LENGTH] =
        frame.data().first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    let kind = Kind::of(MacKey::pair(header).0);
    let admits = |storm: &StormControl| storm.admits(kind, context.now, context.number);
    let admitted = [port, network].into_iter().flatten().all(admits);
    if admitted { Ok(()) } else { Err(kind.reason()) }
}
