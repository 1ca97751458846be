//! Broadcast, unknown unicast and multicast: what becomes of such a frame before it is flooded.

use super::context::Context;
use super::forward::Lane;
use super::replicate::{self, Origin};
use super::snapshot::Snapshot;
use super::suppression;
use crate::dpdk::Mbuf;
use crate::fib::Reader;

/// Floods a frame to its network.
#[inline(never)]
pub(super) fn forward(
    context: &mut Context,
    reader: &Reader,
    snapshot: &Snapshot,
    lane: &Lane,
    origin: Origin,
    frame: Mbuf,
) {
    let frame = match &lane.network.suppression {
        Some(with) => suppression::answer(context, reader, snapshot, lane, with, origin, frame),
        None => Some(frame),
    };
    let Some(frame) = frame else { return };
    replicate::flood(context, snapshot, lane.ingress.network(), origin, frame);
}
