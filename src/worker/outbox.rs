//! Frames that the control core makes: a worker floods them.

use crossbeam::queue::ArrayQueue;

use super::context::Context;
use super::forward::Lane;
use super::multicast::Audience;
use super::replicate::{self, Origin};
use super::snapshot::Snapshot;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;

/// A frame for all of a network.
pub struct Outgoing {
    /// Network index.
    pub network: u32,
    /// The network's, so that no later one with the same index sees the frame.
    pub identity: u64,
    /// Untagged.
    pub frame: Mbuf,
}

/// The way from the control core to the first worker. Full means lost.
pub type Outbox = ArrayQueue<Outgoing>;

/// Frames that it holds.
pub const OUTBOX: usize = 256;

/// Frames flooded in one round of the poll loop.
const BATCH: usize = 8;
/// Where its drops are counted: the first underlay port.
const PORT: u16 = 0;
/// It came in nowhere.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Floods some of what waits. Returns whether there was anything.
#[cold]
#[inline(never)]
pub(super) fn serve(context: &mut Context, snapshot: &Snapshot, outbox: &Outbox) -> bool {
    let mut any = false;
    for Outgoing { network: index, identity, frame } in
        std::iter::from_fn(|| outbox.pop()).take(BATCH)
    {
        any = true;
        context.counters.copies.add(1);
        let network = snapshot.networks.get(index as usize);
        let Some(network) = network.filter(|network| network.identity == identity) else {
            context.drop(PORT, frame, DropReason::NetworkRemoved);
            continue;
        };
        let to = (Audience::Network, &*network.flood);
        let origin = Origin { port: PORT, adjacency: NOWHERE, from_tunnel: false };
        replicate::flood(context, snapshot, &Lane::made_here(index, network), to, origin, frame);
    }
    any
}
