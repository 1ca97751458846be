//! Frames whose sender left work to its device: passed on to a port whose other side does it, or finished here.

use std::num::NonZeroU16;

use super::context::Context;
use super::forward::Lane;
use super::multicast::Audience;
use super::output;
use super::replicate::{self, Origin};
use super::segment;
use super::snapshot::{Adjacency, FloodList, Kind, Snapshot};
use super::target::Target;
use super::whole::leave_to_guest;
use crate::dpdk::{Mbuf, Offloads, Unfinished, Work};
use crate::drop_reason::DropReason;
use crate::tunnel::TEMPLATE_LENGTH;
use crate::wire::flow::Flow;
use crate::wire::transport::Transport;
use crate::wire::{ethernet, ipv4};

/// Sends a frame that [may be unfinished](Mbuf::may_be_unfinished) to its one target.
#[cold]
#[inline(never)]
pub(super) fn send(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    target: Target,
) {
    let Some(target) = target.of_flow(snapshot, || Flow::of(frame.data())) else {
        return context.drop(origin.port, frame, DropReason::PortRemoved);
    };
    let target = match target.adjacency.kind {
        Kind::Guarded => match snapshot.group_policies.admit(origin, &frame, target) {
            Ok(target) => target,
            Err(reason) => return context.drop(origin.port, frame, reason),
        },
        _ => target,
    };
    if let Some(Unfinished { segments }) = frame.unfinished() {
        let offloads = context.transmitter.offloads(target.adjacency.port);
        let found = Transport::find(frame.data(), frame.len());
        let way = found.and_then(|found| way(&frame, &found, segments, target, offloads));
        if let Some(way) = way {
            return match pass_on(context, frame, &way, target) {
                Ok(frame) => context.transmitter.send(target.adjacency.port, frame),
                Err(reason) => context.count_drop(origin.port, reason),
            };
        }
    }
    finish(context, origin.port, frame, |context, frame| {
        output::send(context, snapshot, || origin, frame, target);
    });
}

/// Floods such a frame: finished, because not all targets may be able to.
#[cold]
#[inline(never)]
pub(super) fn flood(
    context: &mut Context,
    snapshot: &Snapshot,
    lane: &Lane,
    to: (Audience, &FloodList),
    origin: Origin,
    frame: Mbuf,
) {
    finish(context, origin.port, frame, |context, frame| {
        replicate::flood(context, snapshot, lane, to, origin, frame);
    });
}

/// What the target's port is told, if its other side is to finish the frame.
fn way(
    frame: &Mbuf,
    found: &Transport,
    segments: Option<NonZeroU16>,
    target: Target,
    offloads: Offloads,
) -> Option<Work> {
    let Adjacency { kind, vlan_or_limit, .. } = *target.adjacency;
    let (checksums, tcp4, tcp6) = match kind {
        Kind::Local | Kind::LocalVlan | Kind::LocalPair => {
            (Offloads::CHECKSUMS, Offloads::TCP4_SEGMENTS, Offloads::TCP6_SEGMENTS)
        }
        Kind::Tunnel => {
            (Offloads::INNER_CHECKSUMS, Offloads::INNER_SEGMENTS, Offloads::INNER_SEGMENTS)
        }
        _ => return None,
    };
    let needed = match segments {
        Some(_) if !found.is_tcp => return None,
        Some(_) if found.over_ipv6 => tcp6,
        Some(_) => tcp4,
        None => checksums,
    };
    if !offloads.contain(needed) || !found.is_plain() {
        return None;
    }
    let mut work = work(found, segments);
    if kind == Kind::Tunnel {
        const OUTER: (usize, usize) = (ethernet::LENGTH, ipv4::LENGTH);
        work.before_ip += TEMPLATE_LENGTH - OUTER.0 - OUTER.1;
        work.outer = Some(OUTER);
        let payload = found.end - found.payload_at;
        let longest = segments.map_or(payload, |size| payload.min(size.get().into()));
        let fits = found.payload_at + longest <= usize::from(vlan_or_limit);
        // The outer IP header has the length of all segments together.
        let is_ip = frame.len() + TEMPLATE_LENGTH - OUTER.0 <= usize::from(u16::MAX);
        return (fits && is_ip).then_some(work);
    }
    work.before_ip += output::length_of_tags(kind);
    Some(work)
}

/// What a device is told of a frame with these headers and none around them.
pub(super) fn work(found: &Transport, segments: Option<NonZeroU16>) -> Work {
    Work {
        before_ip: found.ip_at,
        ip: found.at - found.ip_at,
        transport: found.payload_at - found.at,
        over_ipv6: found.over_ipv6,
        is_tcp: found.is_tcp,
        segments,
        outer: None,
    }
}

/// Makes the frame ready for its port.
fn pass_on(
    context: &Context,
    mut frame: Mbuf,
    work: &Work,
    target: Target,
) -> Result<Mbuf, DropReason> {
    let kind = target.adjacency.kind;
    if kind == Kind::Tunnel {
        let packet = output::variable(&frame, Flow::of(frame.data()), target);
        let room = output::outer_room(&mut frame).ok_or(DropReason::NoHeadroom)?;
        target.adjacency.template.write(room, packet);
    } else if output::length_of_tags(kind) > 0 {
        frame = output::push_tags(frame, target, &context.headers)?;
    }
    let guest = context.transmitter.guest(target.adjacency.port);
    if let Some(pool) = guest.filter(|_| work.segments.is_some()) {
        return Ok(leave_to_guest(frame, work, pool));
    }
    frame.leave(work);
    Ok(frame)
}

/// Finishes a frame here, and goes on with what becomes of it: one frame, or several.
pub(super) fn finish(
    context: &mut Context,
    ingress: u16,
    mut frame: Mbuf,
    mut go_on: impl FnMut(&mut Context, Mbuf),
) {
    let Some(Unfinished { segments }) = frame.unfinished() else { return go_on(context, frame) };
    let finished = match (Transport::find(frame.data(), frame.len()), segments) {
        (Some(found), None) => complete(&mut frame, &found).map(|()| go_on(context, frame)),
        (Some(found), Some(size)) if found.is_tcp => {
            segment::cut(context, &frame, &found, size, go_on)
        }
        _ => Err(DropReason::BadOffload),
    };
    if let Err(reason) = finished {
        context.count_drop(ingress, reason);
    }
}

fn complete(frame: &mut Mbuf, found: &Transport) -> Result<(), DropReason> {
    let sum = found.complete(frame.chunks());
    let data = frame.data_mut().ok_or(DropReason::Segmented)?;
    data[found.checksum_at()].copy_from_slice(&sum.to_be_bytes());
    frame.note_finished();
    Ok(())
}
