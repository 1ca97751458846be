//! Packets from underlay ports: tunnel traffic is taken apart, the rest goes to the kernel twin.

use super::context::Context;
use super::event::Event;
use super::flood_group;
use super::forward::{Classifier, Lane, Lanes, forward};
use super::fragment;
use super::group_policy;
use super::origin::{Origins, Telling};
use super::path_mtu;
use super::reassembly::{self, Taken};
use super::snapshot::{Attachment, Snapshot, UnderlayPort};
use crate::dpdk::{Burst, Checksum, Mbuf, sift_ahead};
use crate::drop_reason::DropReason;
use crate::fib::{MacKey, Reader};
use crate::tunnel::{Inner, Keyed, Mark, Outer, PRIORITY, Plain, PlainIpv6, Received, decapsulate};
use crate::wire::ethernet::{self, ethertype, is_tag};
use crate::wire::gre;

/// Takes a burst from one underlay port apart, and forwards what was inside. Returns
/// the bytes that came.
#[inline(always)]
pub(super) fn process<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    port: (u16, &UnderlayPort),
    burst: &mut Burst,
    observe: impl FnOnce(&Lanes<'r>),
) -> u64 {
    // A burst's packets are mostly of one shape, so what this one cannot be is not tried first.
    match burst.first().map_or(Likely::Plain, |frame| Likely::of(frame.data())) {
        Likely::Plain => process_as::<Plain>(context, reader, snapshot, port, burst, observe),
        Likely::Keyed => process_as::<Keyed>(context, reader, snapshot, port, burst, observe),
        Likely::PlainIpv6 => {
            process_as::<PlainIpv6>(context, reader, snapshot, port, burst, observe)
        }
    }
}

/// The shape that a packet has if it has any.
enum Likely {
    Plain,
    Keyed,
    PlainIpv6,
}

impl Likely {
    /// By EtherType and protocol.
    #[inline(always)]
    fn of(packet: &[u8]) -> Self {
        const PROTOCOL: usize = ethernet::LENGTH + 9;
        let Some(header) = packet.first_chunk::<{ PROTOCOL + 1 }>() else { return Self::Plain };
        match u16::from_be_bytes([header[12], header[13]]) {
            ethertype::IPV6 => Self::PlainIpv6,
            _ if header[PROTOCOL] == gre::PROTOCOL => Self::Keyed,
            _ => Self::Plain,
        }
    }
}

/// The same, fastest where the packets have the shape `S`.
#[inline(never)]
fn process_as<'r, S: Telling>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    (index, port): (u16, &UnderlayPort),
    burst: &mut Burst,
    observe: impl FnOnce(&Lanes<'r>),
) -> u64 {
    let mut lanes = Lanes::new();
    let mut origins = Origins::new(snapshot);
    let mut classifier = Classifier::new(reader, snapshot);
    let peek = |frame: &Mbuf| prefetch_network::<S>(snapshot, frame);
    let bytes = sift_ahead(burst, peek, |mut frame| {
        let kept = match recognise::<S>(snapshot, port, &frame) {
            Ok(Some(packet)) => packet.origin(&mut origins).and_then(|ingress| {
                let span = (S::OFFSET, packet.end());
                lanes.push(unwrap(&mut classifier, &mut frame, ingress, span)?);
                Ok(true)
            }),
            Ok(None) => unwrap_any(
                snapshot,
                context.tick,
                &mut origins,
                &mut classifier,
                &mut lanes,
                &mut frame,
            ),
            Err(reason) => Err(reason),
        };
        if let Ok(true) = kept {
            return Some(frame);
        }
        let tick = context.tick;
        otherwise(context, snapshot, (index, port), frame, kept, |frame| {
            unwrap_any(snapshot, tick, &mut origins, &mut classifier, &mut lanes, frame)
        })
    });
    for (network, address) in origins.strangers {
        context.report(Event::Stranger { network, address });
    }
    observe(&lanes);
    forward::<true, false>(context, reader, snapshot, index, burst, &mut lanes);
    bytes
}

/// Networks whose first words the cache holds anyway.
const FEW: usize = 64;

/// With many networks each packet may be of another one. A wrong guess costs a cache line.
#[inline(always)]
fn prefetch_network<S: Telling>(snapshot: &Snapshot, frame: &Mbuf) {
    if snapshot.networks.len() <= FEW {
        return;
    }
    // The last word before the inner frame, of which the upper 24 bits are mostly the VNI.
    let word = frame.data().get(S::OFFSET - 4..).and_then(<[u8]>::first_chunk);
    let Some(word) = word.copied().map(u32::from_be_bytes) else { return };
    let network = snapshot.vnis.get(word >> 8);
    if let Some(network) = network.and_then(|index| snapshot.networks.get(index as usize)) {
        network.fib.prefetch();
    }
}

/// Tells a packet of a shape; `None`: what it is, is not known yet.
#[inline(always)]
fn recognise<S: Telling>(
    snapshot: &Snapshot,
    port: &UnderlayPort,
    frame: &Mbuf,
) -> Result<Option<S>, DropReason> {
    let data = frame.data();
    let header: &[u8; ethernet::LENGTH] =
        data.first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    let (destination, _) = MacKey::pair(header);
    if destination != port.mac && !destination.is_group() {
        return Err(DropReason::NotOurMac);
    }
    Ok(S::recognise(data, &snapshot.vtep, received(frame)))
}

/// What is known of a packet besides its bytes.
#[inline(always)]
pub(super) fn received(frame: &Mbuf) -> Received {
    let (ip, udp) = (frame.ip_checksum(), frame.l4_checksum());
    Received {
        length: frame.len(),
        ipv4_verified: ip == Checksum::Good,
        udp_verified: udp == Checksum::Good,
    }
}

/// Takes a packet apart that has not the shape of the burst's first, and pushes its lane. `false` for what is no tunnel
/// packet.
#[inline(never)]
fn unwrap_any<'r>(
    snapshot: &'r Snapshot,
    tick: u16,
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    lanes: &mut Lanes<'r>,
    frame: &mut Mbuf,
) -> Result<bool, DropReason> {
    match Likely::of(frame.data()) {
        Likely::Plain => unwrap_as::<Plain>(snapshot, tick, origins, classifier, lanes, frame),
        Likely::Keyed => unwrap_as::<Keyed>(snapshot, tick, origins, classifier, lanes, frame),
        Likely::PlainIpv6 => {
            unwrap_as::<PlainIpv6>(snapshot, tick, origins, classifier, lanes, frame)
        }
    }
}

/// Each shape apart, so that it keeps its state in registers.
#[inline(never)]
fn unwrap_as<'r, S: Telling>(
    snapshot: &'r Snapshot,
    tick: u16,
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    lanes: &mut Lanes<'r>,
    frame: &mut Mbuf,
) -> Result<bool, DropReason> {
    let Some(packet) = S::recognise(frame.data(), &snapshot.vtep, received(frame)) else {
        return unwrap_other(snapshot, tick, origins, classifier, lanes, frame);
    };
    let ingress = packet.origin(origins)?;
    lanes.push(unwrap(classifier, frame, ingress, (S::OFFSET, packet.end()))?);
    Ok(true)
}

#[inline(never)]
fn unwrap_other<'r>(
    snapshot: &'r Snapshot,
    tick: u16,
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    lanes: &mut Lanes<'r>,
    frame: &mut Mbuf,
) -> Result<bool, DropReason> {
    let lane = match decapsulate(frame.data(), &snapshot.vtep, received(frame))? {
        Outer::Tunnel(inner) => {
            let ingress = origins.of_any(&inner)?;
            let order = snapshot.orders.get(&ingress.location().adjacency());
            if order.is_some_and(|order| !order.admits(inner.sequence, tick)) {
                return Err(DropReason::GreSequence);
            }
            unwrap_marked(classifier, frame, ingress, &inner)?
        }
        Outer::Grouped(inner, policy) => {
            let ingress = origins.of_any(&inner)?;
            group_policy::unwrap(classifier, frame, ingress, &inner, policy)?
        }
        Outer::Punt => match flood_group::lane(snapshot, origins, classifier, frame)? {
            Some(lane) => lane,
            None => return Ok(false),
        },
    };
    lanes.push(lane);
    Ok(true)
}

/// What has no lane at first sight. A fragment may complete a packet, which is returned if it has one; all else goes to the
/// kernel or is dropped.
#[inline(never)]
fn otherwise(
    context: &mut Context,
    snapshot: &Snapshot,
    (index, port): (u16, &UnderlayPort),
    frame: Mbuf,
    verdict: Result<bool, DropReason>,
    unwrap: impl FnOnce(&mut Mbuf) -> Result<bool, DropReason>,
) -> Option<Mbuf> {
    let taken = match verdict {
        Ok(_) | Err(DropReason::Fragment) => {
            reassembly::take(context, snapshot, (index, port.mac), frame)
        }
        Err(_) => Taken::Not(frame),
    };
    let (frame, verdict) = match taken {
        Taken::Not(frame) => (frame, verdict),
        Taken::Kept => return None,
        Taken::Whole(mut whole) => {
            let verdict = unwrap(&mut whole);
            (whole, verdict)
        }
    };
    match verdict {
        Ok(true) => return Some(frame),
        Ok(false) => punt(context, snapshot, (index, port), frame),
        Err(reason) => context.drop(index, frame, reason),
    }
    None
}

/// Hands a frame to the kernel, after a look at what it says of packets of ours.
#[inline(never)]
fn punt(
    context: &mut Context,
    snapshot: &Snapshot,
    (index, port): (u16, &UnderlayPort),
    frame: Mbuf,
) {
    path_mtu::hear(context, snapshot, &frame);
    let Some(twin) = port.twin else { return context.drop(index, frame, DropReason::NoTwin) };
    if frame.len() <= usize::from(twin.mtu) + ethernet::LONGEST {
        return context.transmitter.send(twin.port, frame);
    }
    let sent = fragment::send(context, (twin.port, twin.mtu), frame, DropReason::TwinOversize);
    if let Err(reason) = sent {
        context.count_drop(index, reason);
    }
}

/// Has an inner frame say what its outer header says of congestion and priority, and cuts that off.
#[inline(always)]
pub(super) fn unwrap_marked<'r>(
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
    ingress: Attachment,
    &Inner { class, offset, end, .. }: &Inner,
) -> Result<Lane<'r>, DropReason> {
    if class & PRIORITY != 0 && classifier.takes_priorities(ingress) {
        frame.note_tag(u16::from(class & PRIORITY) << 8);
    }
    if let Some(mark) = Mark::of(class) {
        let packet = frame.data_mut().ok_or(DropReason::Segmented)?;
        let end = packet.len().min(end);
        mark.tell(packet.get_mut(offset..end).ok_or(DropReason::Segmented)?)?;
    }
    unwrap(classifier, frame, ingress, (offset, end))
}

/// Cuts the outer headers and any padding off.
#[inline(always)]
fn unwrap<'r>(
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
    ingress: Attachment,
    (offset, end): (usize, usize),
) -> Result<Lane<'r>, DropReason> {
    let header: Option<&[u8; ethernet::LENGTH]> =
        frame.data().get(offset..).and_then(<[u8]>::first_chunk);
    let header = header.ok_or(DropReason::Segmented)?;
    let (destination, source) = MacKey::pair(header);
    let tagged = is_tag(u16::from_be_bytes([header[12], header[13]]));
    if !frame.narrow(offset, end) {
        return Err(DropReason::Segmented);
    }
    // Last of all: whatever has a lane is forwarded.
    classifier.lane(ingress, source, destination, tagged)
}
