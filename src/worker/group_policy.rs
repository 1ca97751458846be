//! Group policy (draft-smith-vxlan-group-policy): of which group the sender of a frame is, and which places let it in.
//!
//! None of it is in the way of other frames: places with a list of groups, and peers that are told of groups, are
//! adjacencies of their own kinds, and packets that name a group have none of the most frequent shapes.

use hashbrown::HashMap;

use super::context::Context;
use super::forward::{Classifier, Lane};
use super::outbox::NOWHERE;
use super::output;
use super::oversize;
use super::replicate::Origin;
use super::snapshot::{Adjacency, AdjacencyIndex, Attachment, Kind, Network, Snapshot};
use super::target::Target;
use super::underlay::unwrap_marked;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::tunnel::Inner;
use crate::wire::flow::Flow;
use crate::wire::vxlan;

/// What a snapshot knows of group policy.
#[derive(Default)]
pub struct GroupPolicies {
    /// By adjacency; those behind the last have none.
    pub ways: Box<[WayPolicy]>,
    /// For [`Kind::Guarded`].
    pub guards: Box<[Guard]>,
    /// Networks by index that have peers who tell of groups: as they are to a frame whose source MAC is not to be learned.
    pub unlearned: HashMap<u32, Network>,
}

/// What group policy has to do with a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WayPolicy {
    /// Nothing.
    #[default]
    None,
    /// It is a place whose stations are of this group.
    Group(u16),
    /// It is a peer that tells of groups, and is told.
    Tells,
}

/// A place that lets in only what comes from some groups.
pub struct Guard {
    /// The place.
    pub place: Adjacency,
    /// The groups, ascending; zero: senders of none.
    pub accepts: Box<[u16]>,
}

/// Noted with a frame that is let in anywhere.
const APPLIED: u16 = 0;

impl GroupPolicies {
    /// The group of what comes in at a place; zero: none.
    pub(super) fn group_of(&self, place: AdjacencyIndex) -> u16 {
        match self.ways.get(place as usize) {
            Some(WayPolicy::Group(group)) => *group,
            _ => 0,
        }
    }

    /// The place behind a guard, if it lets a frame in.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn admit<'r>(
        &'r self,
        origin: Origin,
        frame: &Mbuf,
        target: Target<'r>,
    ) -> Result<Target<'r>, DropReason> {
        let guard = self.guard(target)?;
        let group = match origin {
            Origin { from_tunnel: true, .. } => match frame.noted() {
                Some(APPLIED) => None,
                noted => Some(noted.unwrap_or_default()),
            },
            Origin { adjacency: NOWHERE, .. } => None,
            Origin { adjacency, .. } => Some(self.group_of(adjacency)),
        };
        match group.is_none_or(|group| guard.accepts.binary_search(&group).is_ok()) {
            true => Ok(target.by(&guard.place)),
            false => Err(DropReason::GroupPolicy),
        }
    }

    fn guard(&self, target: Target) -> Result<&Guard, DropReason> {
        let guard = self.guards.get(target.adjacency.pair_or_index as usize);
        guard.ok_or(DropReason::PortRemoved)
    }
}

/// Sends a frame to a place that has a guard, or to a peer that is told of groups.
#[inline(never)]
pub(super) fn send(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    mut frame: Mbuf,
    target: Target,
) {
    if target.adjacency.kind == Kind::Guarded {
        return match snapshot.group_policies.admit(origin, &frame, target) {
            Ok(place) => output::deliver(context, snapshot, || origin, frame, place),
            Err(reason) => context.drop(origin.port, frame, reason),
        };
    }
    let Adjacency { port, vlan_or_limit, .. } = *target.adjacency;
    let encapsulated = match frame.len() > usize::from(vlan_or_limit) {
        true => Err(DropReason::Oversize),
        false => output::any_header(snapshot, target, &frame, Flow::of(frame.data()))
            .and_then(|header| header.of_group(snapshot, origin).write(&mut frame)),
    };
    match encapsulated {
        Ok(()) => context.transmitter.send(port, frame),
        Err(reason) => output::fail(context, snapshot, origin, frame, target, reason),
    }
}

/// The same with a copy that shares the frame's bytes.
#[inline(never)]
pub(super) fn send_copy(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: &mut Mbuf,
    flow: Flow,
    target: Target,
) {
    let Adjacency { kind, port, vlan_or_limit, .. } = *target.adjacency;
    let sent = if kind == Kind::Guarded {
        snapshot.group_policies.admit(origin, frame, target).and_then(|place| {
            let copy = frame.share(&context.headers).ok_or(DropReason::NoMbuf)?;
            output::deliver(context, snapshot, || origin, copy, place);
            Ok(())
        })
    } else if frame.len() > usize::from(vlan_or_limit) {
        return oversize::handle_copy(context, snapshot, origin, frame, flow, target);
    } else {
        output::any_header(snapshot, target, frame, flow).and_then(|header| {
            let header = header.of_group(snapshot, origin);
            let copy = output::any_encapsulated_copy(context, frame, header)?;
            context.transmitter.send(port, copy);
            Ok(())
        })
    };
    if let Err(reason) = sent {
        context.count_drop(origin.port, reason);
    }
}

impl<'r> Target<'r> {
    /// The same past a guard: for what Ferry itself says.
    #[inline]
    pub fn past_guard(self, snapshot: &'r Snapshot) -> Self {
        if self.adjacency.kind != Kind::Guarded {
            return self;
        }
        let guard = snapshot.group_policies.guard(self);
        guard.map_or(self, |guard| self.by(&guard.place))
    }
}

/// The lane of a frame whose outer header tells of group policy.
///
/// # Errors
/// Its sender does not tell of groups, so these are reserved bits, and such are dropped; or those of any tunnel packet.
#[cold]
#[inline(never)]
pub(super) fn unwrap<'r>(
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
    ingress: Attachment,
    inner: &Inner,
    policy: vxlan::GroupPolicy,
) -> Result<Lane<'r>, DropReason> {
    let snapshot = classifier.snapshot();
    let tells = tells(snapshot, ingress);
    match policy {
        _ if !tells && snapshot.vtep.drops_reserved_bits => return Err(DropReason::VxlanReserved),
        _ if !tells => {}
        vxlan::GroupPolicy { applied: true, .. } => frame.note(APPLIED),
        vxlan::GroupPolicy { group: 0, .. } => {}
        vxlan::GroupPolicy { group, .. } => frame.note(group),
    }
    let mut unwrap =
        |classifier: &mut Classifier<'r>| unwrap_marked(classifier, frame, ingress, inner);
    let unlearned = snapshot.group_policies.unlearned.get(&ingress.network());
    match unlearned.filter(|_| tells && policy.dont_learn) {
        Some(network) => classifier.alone(unwrap).map(|lane| lane.in_network(network)),
        None => unwrap(classifier),
    }
}

/// Whether what comes from a peer tells of groups.
fn tells(snapshot: &Snapshot, ingress: Attachment) -> bool {
    let peer = ingress.location().adjacency();
    snapshot.group_policies.ways.get(peer as usize) == Some(&WayPolicy::Tells)
        || snapshot.admissions.tells(ingress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{Form, Template};

    fn adjacency(kind: Kind) -> Adjacency {
        Adjacency {
            template: Template::VACANT,
            kind,
            form: Form::Vxlan,
            port: 7,
            generation: 1,
            vlan_or_limit: 0,
            pair_or_index: 0,
        }
    }

    #[test]
    fn a_way_has_the_group_of_its_place_or_none() {
        let ways = [WayPolicy::None, WayPolicy::Group(100), WayPolicy::Tells].into();
        let policies = GroupPolicies { ways, ..GroupPolicies::default() };
        assert_eq!([0, 1, 2, 3, NOWHERE].map(|way| policies.group_of(way)), [0, 100, 0, 0, 0]);
    }

    #[test]
    fn a_target_without_its_guard_is_no_target() {
        let guarded = adjacency(Kind::Guarded);
        let target = Target::new(3, &guarded, 1);
        let guard = Guard { place: adjacency(Kind::Local), accepts: [5].into() };
        let policies = GroupPolicies { guards: [guard].into(), ..GroupPolicies::default() };
        assert_eq!(policies.guard(target).map(|guard| guard.place.port), Ok(7));
        let none = GroupPolicies::default();
        assert_eq!(none.guard(target).err(), Some(DropReason::PortRemoved));
    }
}
