//! Multicast groups of the underlay: what comes to one. Out of the way of what comes to us alone.

use super::forward::{Classifier, Lane};
use super::group_policy;
use super::origin::Origins;
use super::snapshot::Snapshot;
use super::stranger::is_own;
use super::underlay::{received, unwrap_marked};
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::tunnel::{Outer, decapsulate, group_of};

/// The lane of a frame that came to a group of ours; `None` for any other packet.
#[inline(never)]
pub(super) fn lane<'r>(
    snapshot: &Snapshot,
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
) -> Result<Option<Lane<'r>>, DropReason> {
    let admissions = &snapshot.admissions;
    if !admissions.has_groups() {
        return Ok(None);
    }
    let group = group_of(frame.data()).filter(|group| admissions.has_group(*group));
    let Some(group) = group else { return Ok(None) };
    let vtep = snapshot.vtep.at_group(group);
    let (inner, policy) = match decapsulate(frame.data(), &vtep, received(frame))? {
        Outer::Tunnel(inner) => (inner, None),
        Outer::Grouped(inner, policy) => (inner, Some(policy)),
        Outer::Punt => return Ok(None),
    };
    if is_own(&snapshot.vtep, inner.source()) {
        return Err(DropReason::OwnPacket);
    }
    let ingress = origins.of_any(&inner)?;
    if !admissions.is_group_of(ingress.network(), group) {
        return Err(DropReason::WrongGroup);
    }
    let lane = match policy {
        None => unwrap_marked(classifier, frame, ingress, &inner),
        Some(policy) => group_policy::unwrap(classifier, frame, ingress, &inner, policy),
    };
    lane.map(Some)
}
