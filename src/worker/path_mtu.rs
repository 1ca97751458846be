//! Routers' words on packets of ours that were too big, heard on their way to the kernel.

use super::context::Context;
use super::event::Event;
use super::snapshot::Snapshot;
use crate::dpdk::Mbuf;
use crate::too_big::Report;

/// Tells the control core what a frame for the kernel says of a peer's path.
#[inline(never)]
pub(super) fn hear(context: &mut Context, snapshot: &Snapshot, frame: &Mbuf) {
    if snapshot.learns_path_mtus
        && let Some(report) = Report::read(frame.data(), &snapshot.vtep)
    {
        context.report(Event::TooBig(report));
    }
}
