//! The last stage: a frame and where it goes become a packet on a port.

use super::context::Context;
use super::event::Event;
use super::fragment;
use super::group_policy;
use super::oversize;
use super::replicate::Origin;
use super::snapshot::{Adjacency, Kind, Snapshot};
use super::target::Target;
use crate::dpdk::{Mbuf, Mempool};
use crate::drop_reason::DropReason;
use crate::tunnel::{
    AnyTemplate, GRE_TEMPLATE_LENGTH, PlainIpv6Template, TEMPLATE_LENGTH, Template, Ttl, Variable,
};
use crate::wire::checksum::{Pieces, Sum};
use crate::wire::ethernet::{self, ethertype};
use crate::wire::flow::Flow;
use crate::wire::traffic_class::{ECN, hop_limit};
use crate::wire::{udp, vxlan};

/// Bytes of both MAC addresses, which a VLAN tag goes behind.
const MACS: usize = 12;
/// Bytes of a VLAN tag.
const TAG: usize = size_of::<ethernet::Tag>();

/// Sends a frame to its one target, or the original of a flood to its last. Where it came from is asked only where it
/// does not leave.
#[inline(always)]
pub(super) fn send(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: impl Fn() -> Origin,
    mut frame: Mbuf,
    target: Target,
) {
    let Adjacency { kind, port, vlan_or_limit, .. } = *target.adjacency;
    // One by one, the most frequent first: a jump through a table is hard to predict.
    let reason = if matches!(kind, Kind::Tunnel | Kind::SummedTunnel) {
        if frame.len() > usize::from(vlan_or_limit) {
            DropReason::Oversize
        } else {
            let packet = variable(&frame, Flow::of(frame.data()), target);
            match outer_room(&mut frame) {
                Some(room) => {
                    target.adjacency.template.write(room, packet);
                    if kind == Kind::SummedTunnel {
                        Template::finish_pseudo_header(room);
                        frame.have_udp_checksum_computed(false);
                    }
                    return context.transmitter.send(port, frame);
                }
                None => DropReason::NoHeadroom,
            }
        }
    } else if kind == Kind::Local {
        return context.transmitter.send(port, frame);
    } else if matches!(kind, Kind::GreTunnel | Kind::AnyTunnel) {
        let encapsulated = match kind {
            Kind::GreTunnel => encapsulate_by_gre(&mut frame, target),
            _ => encapsulate(snapshot, &mut frame, target),
        };
        match encapsulated {
            Ok(()) => return context.transmitter.send(port, frame),
            Err(reason) => reason,
        }
    } else if kind == Kind::Spread {
        return send_by_flow(context, snapshot, origin(), frame, target);
    } else {
        return send_otherwise(context, snapshot, origin(), frame, target);
    };
    fail(context, snapshot, origin(), frame, target, reason);
}

/// Sends a frame from a tunnel, which only goes to access ports (split horizon).
#[inline(always)]
pub(super) fn deliver(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: impl Fn() -> Origin,
    frame: Mbuf,
    target: Target,
) {
    let Adjacency { kind, port, .. } = *target.adjacency;
    if kind == Kind::Local {
        context.transmitter.send(port, frame);
    } else {
        send_otherwise(context, snapshot, origin(), frame, target);
    }
}

/// Drops a frame that cannot be encapsulated.
#[cold]
#[inline(never)]
pub(super) fn fail(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    target: Target,
    reason: DropReason,
) {
    if reason == DropReason::Oversize && !origin.from_tunnel {
        return oversize::handle(context, snapshot, origin, frame, target);
    }
    context.drop(origin.port, frame, reason);
}

/// Puts a short GRE header before a frame. The usual frame's way calls nothing, and so saves no registers.
#[inline(never)]
fn encapsulate_by_gre(frame: &mut Mbuf, target: Target) -> Result<(), DropReason> {
    if frame.len() > usize::from(target.adjacency.vlan_or_limit) {
        return Err(DropReason::Oversize);
    }
    match Flow::of_usual(frame.data()) {
        Some(flow) => put_gre_header(frame, variable(frame, flow, target), target),
        None => put_gre_header_of_any_flow(frame, target),
    }
}

#[inline(never)]
fn put_gre_header_of_any_flow(frame: &mut Mbuf, target: Target) -> Result<(), DropReason> {
    let packet = variable(frame, Flow::of(frame.data()), target);
    put_gre_header(frame, packet, target)
}

/// What the outer header of one packet says of it, but for an inherited time to live.
#[inline(always)]
pub(super) fn variable(frame: &Mbuf, flow: Flow, target: Target) -> Variable {
    Variable {
        inner: frame.len() as u16,
        id: target.vni(),
        entropy_port: flow.entropy_port(),
        traffic_class: flow.traffic_class,
        hop_limit: 0,
    }
}

#[inline(always)]
fn put_gre_header(to: &mut Mbuf, packet: Variable, target: Target) -> Result<(), DropReason> {
    let room = to.prepend(GRE_TEMPLATE_LENGTH).and_then(|room| room.first_chunk_mut());
    let room = room.ok_or(DropReason::NoHeadroom)?;
    let Adjacency { template, form, .. } = target.adjacency;
    template.write_gre(*form, room, packet);
    Ok(())
}

/// Puts an outer header before a frame that has no short one.
#[inline(always)]
fn encapsulate(snapshot: &Snapshot, frame: &mut Mbuf, target: Target) -> Result<(), DropReason> {
    if frame.len() > usize::from(target.adjacency.vlan_or_limit) {
        return Err(DropReason::Oversize);
    }
    match template(snapshot, target)?.plain_ipv6() {
        Some(plain) => put_plain_ipv6_header(plain, frame, target),
        None => put_any_header(snapshot, frame, target),
    }
}

#[inline(always)]
fn put_plain_ipv6_header(
    template: PlainIpv6Template,
    frame: &mut Mbuf,
    target: Target,
) -> Result<(), DropReason> {
    let inner_sum = if template.sums() { sum_of(frame) } else { Sum::default() };
    let packet = variable(frame, Flow::of(frame.data()), target);
    let room = frame.prepend(AnyTemplate::LONGEST).and_then(|room| room.first_chunk_mut());
    template.write(room.ok_or(DropReason::NoHeadroom)?, packet, inner_sum);
    if template.leaves_checksum() {
        frame.have_udp_checksum_computed(true);
    }
    Ok(())
}

#[inline(never)]
fn put_any_header(snapshot: &Snapshot, frame: &mut Mbuf, target: Target) -> Result<(), DropReason> {
    any_header(snapshot, target, frame, Flow::of(frame.data()))?.write(frame)
}

/// Sends a frame to a peer by that of its next hops that is its flow's.
#[inline(never)]
fn send_by_flow(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    target: Target,
) {
    match target.of_flow(snapshot, || Flow::of(frame.data())) {
        Some(target) => send(context, snapshot, || origin, frame, target),
        None => context.drop(origin.port, frame, DropReason::PortRemoved),
    }
}

/// Sends a frame with the tags of its port.
#[inline(never)]
fn send_tagged(context: &mut Context, origin: Origin, frame: Mbuf, target: Target) {
    match push_tags(frame, target, &context.headers) {
        Ok(frame) => context.transmitter.send(target.adjacency.port, frame),
        Err(reason) => context.count_drop(origin.port, reason),
    }
}

/// What is neither encapsulated nor sent as it is, and what group policy has to do with.
#[inline(never)]
fn send_otherwise(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    target: Target,
) {
    match target.adjacency.kind {
        Kind::LocalVlan | Kind::LocalPair => send_tagged(context, origin, frame, target),
        Kind::Guarded | Kind::GroupTunnel => {
            group_policy::send(context, snapshot, origin, frame, target);
        }
        Kind::Unresolved => {
            context.drop(origin.port, frame, DropReason::NextHopUnresolved);
            context.report(Event::Unresolved { adjacency: target.index() });
        }
        Kind::Vacant
        | Kind::Local
        | Kind::Tunnel
        | Kind::SummedTunnel
        | Kind::GreTunnel
        | Kind::AnyTunnel
        | Kind::Spread
        | Kind::Silent => {
            context.drop(origin.port, frame, DropReason::PortRemoved);
        }
    }
}

/// Sends a copy that shares the frame's bytes.
#[inline]
pub(super) fn send_copy(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: &mut Mbuf,
    flow: Flow,
    target: Target,
) {
    context.counters.copies.add(1);
    count_sent(context, snapshot, frame, target);
    let Some(target) = target.of_flow(snapshot, || flow) else {
        return context.count_drop(origin.port, DropReason::PortRemoved);
    };
    let Adjacency { kind, port, vlan_or_limit, .. } = *target.adjacency;
    let copy = match kind {
        Kind::Tunnel | Kind::SummedTunnel | Kind::GreTunnel | Kind::AnyTunnel
            if frame.len() > usize::from(vlan_or_limit) =>
        {
            return oversize::handle_copy(context, snapshot, origin, frame, flow, target);
        }
        Kind::AnyTunnel => any_header(snapshot, target, frame, flow)
            .and_then(|header| any_encapsulated_copy(context, frame, header)),
        Kind::Tunnel | Kind::SummedTunnel | Kind::GreTunnel => {
            encapsulated_copy(context, frame, flow, target)
        }
        Kind::Local => frame.share(&context.headers).ok_or(DropReason::NoMbuf),
        Kind::LocalVlan | Kind::LocalPair => frame
            .share(&context.headers)
            .ok_or(DropReason::NoMbuf)
            .and_then(|copy| push_tags(copy, target, &context.headers)),
        Kind::Guarded | Kind::GroupTunnel => {
            return group_policy::send_copy(context, snapshot, origin, frame, flow, target);
        }
        Kind::Unresolved => {
            context.report(Event::Unresolved { adjacency: target.index() });
            Err(DropReason::NextHopUnresolved)
        }
        Kind::Vacant | Kind::Spread | Kind::Silent => Err(DropReason::PortRemoved),
    };
    match copy {
        Ok(copy) => context.transmitter.send(port, copy),
        Err(reason) => context.count_drop(origin.port, reason),
    }
}

/// Counts a flooded frame, for whom it goes to.
#[inline]
pub(super) fn count_sent(context: &Context, snapshot: &Snapshot, frame: &Mbuf, target: Target) {
    if let Some(traffic) = snapshot.traffic.get(context.number) {
        traffic.passed::<false>(target.index(), 1, frame.len() as u64);
    }
}

/// The outer header in an mbuf of its own, before shared bytes.
#[inline]
fn encapsulated_copy(
    context: &mut Context,
    frame: &mut Mbuf,
    flow: Flow,
    target: Target,
) -> Result<Mbuf, DropReason> {
    let mut header = context.headers.allocate().ok_or(DropReason::NoMbuf)?;
    let rest = frame.share(&context.headers).ok_or(DropReason::NoMbuf)?;
    let packet = variable(frame, flow, target);
    let kind = target.adjacency.kind;
    if kind == Kind::GreTunnel {
        put_gre_header(&mut header, packet, target)?;
    } else {
        let room = outer_room(&mut header).ok_or(DropReason::NoHeadroom)?;
        target.adjacency.template.write(room, packet);
        if kind == Kind::SummedTunnel {
            Template::finish_pseudo_header(room);
            header.have_udp_checksum_computed(false);
        }
    }
    header.chain(rest);
    Ok(header)
}

/// The outer header of one packet that has no short one.
pub(super) struct AnyHeader<'r> {
    template: &'r AnyTemplate,
    packet: Variable,
    inner_sum: Sum,
    /// Zero: it names none.
    group: u16,
}

impl AnyHeader<'_> {
    /// Puts it before what an mbuf holds.
    #[inline(always)]
    pub fn write(&self, to: &mut Mbuf) -> Result<(), DropReason> {
        self.write_to(to)?;
        if let Some(over_ipv6) = self.template.leaves_checksum() {
            to.have_udp_checksum_computed(over_ipv6);
        }
        Ok(())
    }

    /// The same, but for what is left to the device.
    #[inline(always)]
    fn write_to(&self, to: &mut Mbuf) -> Result<(), DropReason> {
        let room = to.prepend(self.template.length()).ok_or(DropReason::NoHeadroom)?;
        self.template.write(room, self.packet, self.inner_sum);
        if self.group != 0 {
            self.template.name_group(room, self.group);
        }
        Ok(())
    }

    /// The same with the group of the place that the frame comes from.
    pub fn of_group(self, snapshot: &Snapshot, origin: Origin) -> Self {
        Self { group: snapshot.group_policies.group_of(origin.adjacency), ..self }
    }
}

#[inline(always)]
fn template<'r>(snapshot: &'r Snapshot, target: Target) -> Result<&'r AnyTemplate, DropReason> {
    let template = snapshot.templates.get(target.adjacency.pair_or_index as usize);
    template.ok_or(DropReason::PortRemoved)
}

#[inline(always)]
pub(super) fn any_header<'r>(
    snapshot: &'r Snapshot,
    target: Target,
    frame: &Mbuf,
    flow: Flow,
) -> Result<AnyHeader<'r>, DropReason> {
    let template = template(snapshot, target)?;
    let inner_sum = if template.sums() { sum_of(frame) } else { Sum::default() };
    let mut packet = variable(frame, flow, target);
    if !template.is_plain() {
        (packet.traffic_class, packet.hop_limit) = marks(template, frame, packet.traffic_class);
    }
    Ok(AnyHeader { template, packet, inner_sum, group: 0 })
}

/// Traffic class and time to live where not both are as usual.
#[cold]
#[inline(never)]
fn marks(template: &AnyTemplate, frame: &Mbuf, class: u8) -> (u8, u8) {
    let class = match template.maps_priority() {
        true => class & ECN | class_of(frame.priority()),
        false => class,
    };
    let hop_limit = match template.inherits_ttl() {
        // Packets with zero are not sent (RFC 1122 section 3.2.1.7).
        true => hop_limit(frame.data()).map_or(Ttl::USUAL, |limit| limit.max(1)),
        false => 0,
    };
    (class, hop_limit)
}

/// The class selector (RFC 2474 section 4.2.2) with the priority of a VLAN tag's control word, as a traffic class.
fn class_of(control: u16) -> u8 {
    (control >> 13 << 5) as u8
}

#[inline(never)]
fn sum_of(frame: &Mbuf) -> Sum {
    if frame.segments() == 1 { Sum::of(frame.data()) } else { sum_of_chain(frame) }
}

#[cold]
#[inline(never)]
fn sum_of_chain(frame: &Mbuf) -> Sum {
    let mut pieces = Pieces::default();
    frame.chunks().for_each(|chunk| pieces.add(chunk));
    pieces.sum()
}

#[inline(always)]
pub(super) fn any_encapsulated_copy(
    context: &mut Context,
    frame: &mut Mbuf,
    header: AnyHeader,
) -> Result<Mbuf, DropReason> {
    let mut copy = context.headers.allocate().ok_or(DropReason::NoMbuf)?;
    let rest = frame.share(&context.headers).ok_or(DropReason::NoMbuf)?;
    header.write(&mut copy)?;
    copy.chain(rest);
    Ok(copy)
}

/// Sends a frame that is longer than what fits in fragments of the outer packet.
///
/// # Errors
/// Why it was not sent.
pub(super) fn send_in_fragments(
    context: &mut Context,
    snapshot: &Snapshot,
    origin: Origin,
    frame: Mbuf,
    flow: Flow,
    target: Target,
) -> Result<(), DropReason> {
    if frame.len() + AnyTemplate::LONGEST > usize::from(u16::MAX) {
        return Err(DropReason::Oversize);
    }
    let Adjacency { kind, port, vlan_or_limit, .. } = *target.adjacency;
    let mut packet = context.headers.allocate().ok_or(DropReason::NoMbuf)?;
    let is_summed = match kind {
        Kind::Tunnel | Kind::SummedTunnel => {
            let room = outer_room(&mut packet).ok_or(DropReason::NoHeadroom)?;
            target.adjacency.template.write(room, variable(&frame, flow, target));
            if kind == Kind::SummedTunnel {
                Template::finish_pseudo_header(room);
            }
            kind == Kind::SummedTunnel
        }
        Kind::GreTunnel => {
            put_gre_header(&mut packet, variable(&frame, flow, target), target)?;
            false
        }
        _ => {
            let mut header = any_header(snapshot, target, &frame, flow)?;
            if kind == Kind::GroupTunnel {
                header = header.of_group(snapshot, origin);
            }
            header.write_to(&mut packet)?;
            header.template.leaves_checksum().is_some()
        }
    };
    let header = packet.len();
    packet.chain(frame);
    if is_summed {
        complete_udp(&mut packet, header - udp::LENGTH - vxlan::LENGTH);
    }
    let mtu = vlan_or_limit.saturating_add((header - ethernet::LENGTH) as u16);
    fragment::send(context, (port, mtu), packet, DropReason::Oversize)
}

/// Does what else the device does: it cannot where a datagram leaves in pieces. In the checksum's place is the sum of the
/// pseudo-header.
fn complete_udp(packet: &mut Mbuf, at: usize) {
    let mut pieces = Pieces::default();
    for (number, chunk) in packet.chunks().enumerate() {
        pieces.add(if number == 0 { chunk.get(at..).unwrap_or_default() } else { chunk });
    }
    let sum = match !pieces.sum().fold() {
        0 => 0xffff,
        sum => sum,
    };
    let field = packet.data_mut().and_then(|data| data.get_mut(at + 6..)?.first_chunk_mut());
    if let Some(field) = field {
        *field = u16::to_be_bytes(sum);
    }
}

#[inline(always)]
pub(super) fn outer_room(frame: &mut Mbuf) -> Option<&mut [u8; TEMPLATE_LENGTH]> {
    frame.prepend(TEMPLATE_LENGTH)?.first_chunk_mut()
}

/// Bytes of the tags that frames get at a port.
pub(super) fn length_of_tags(kind: Kind) -> usize {
    match kind {
        Kind::LocalVlan => TAG,
        Kind::LocalPair => 2 * TAG,
        _ => 0,
    }
}

/// Puts a port's VLAN tags behind the MAC addresses, with the priority of the tag that the frame came with. Of two
/// tags both have it.
#[inline(always)]
pub(super) fn push_tags(frame: Mbuf, target: Target, pool: &Mempool) -> Result<Mbuf, DropReason> {
    let Adjacency { kind, vlan_or_limit: vlan, pair_or_index: pair, .. } = *target.adjacency;
    let priority = frame.priority();
    let tag = |tpid: u16, id: u16| {
        let [[a, b], [c, d]] = [tpid, priority | id].map(u16::to_be_bytes);
        [a, b, c, d]
    };
    match kind {
        Kind::LocalPair => {
            let tags = [tag((pair >> 16) as u16, vlan), tag(ethertype::VLAN, pair as u16)];
            insert_tags(frame, tags, pool)
        }
        _ => insert_tags(frame, [tag(ethertype::VLAN, vlan)], pool),
    }
}

/// As many as the compiler knows of: few bytes are moved sooner than a call is made.
#[inline(always)]
fn insert_tags<const COUNT: usize>(
    mut frame: Mbuf,
    tags: [[u8; TAG]; COUNT],
    pool: &Mempool,
) -> Result<Mbuf, DropReason> {
    let tags = tags.as_flattened();
    // Moving the addresses writes over bytes that a copy of the frame may be looking at.
    if frame.is_shared() {
        return tagged_chain(frame, tags, pool);
    }
    if frame.prepend(COUNT * TAG).is_none() {
        return Err(DropReason::NoHeadroom);
    }
    let data = frame.data_mut().ok_or(DropReason::NoHeadroom)?;
    let header = data.get_mut(..MACS + COUNT * TAG).ok_or(DropReason::TruncatedEthernet)?;
    header.copy_within(COUNT * TAG.., 0);
    header[MACS..].copy_from_slice(tags);
    Ok(frame)
}

/// The tagged Ethernet header in an mbuf of its own, before shared bytes.
#[inline(never)]
fn tagged_chain(mut frame: Mbuf, tags: &[u8], pool: &Mempool) -> Result<Mbuf, DropReason> {
    let mut header = pool.allocate().ok_or(DropReason::NoMbuf)?;
    let macs: [u8; MACS] =
        *frame.data().first_chunk::<MACS>().ok_or(DropReason::TruncatedEthernet)?;
    if !header.append(&macs) || !header.append(tags) || !frame.trim_front(MACS) {
        return Err(DropReason::NoHeadroom);
    }
    header.chain(frame);
    Ok(header)
}

/// Takes the VLAN tags behind the MAC addresses away, so many, and remembers the priority of the outermost.
#[inline(always)]
pub(super) fn pop_tags<const COUNT: usize>(
    frame: &mut Mbuf,
    control: u16,
) -> Result<(), DropReason> {
    let data = frame.data_mut().ok_or(DropReason::Segmented)?;
    let header = data.get_mut(..ethernet::LENGTH + COUNT * TAG).ok_or(DropReason::TruncatedVlan)?;
    header.copy_within(..MACS, COUNT * TAG);
    frame.trim_front(COUNT * TAG);
    frame.note_tag(control);
    Ok(())
}
