//! Broadcast, unknown unicast and multicast: what becomes of such a frame before it is flooded.

use super::context::Context;
use super::forward::Lane;
use super::replicate::{self, Origin};
use super::snapshot::Snapshot;
use crate::dpdk::Mbuf;

/// Floods a frame to its network.
#[inline(never)]
pub(super) fn forward(
    context: &mut Context,
    snapshot: &Snapshot,
    lane: &Lane,
    origin: Origin,
    frame: Mbuf,
) {
    replicate::flood(context, snapshot, lane.ingress.network(), origin, frame);
}
