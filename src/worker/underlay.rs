//! Packets from underlay ports: tunnel traffic is taken apart, the rest goes to the kernel twin.

use super::context::Context;
use super::forward::{Classifier, Lane, Lanes, forward};
use super::snapshot::{Attachment, Snapshot, UnderlayPort};
use crate::dpdk::{Burst, Checksum, Mbuf, sift};
use crate::drop_reason::DropReason;
use crate::fib::{Location, MacKey, Reader};
use crate::tunnel::{Inner, Outer, Received, decapsulate};
use crate::wire::ethernet::{self, is_tag};

/// Takes a burst from one underlay port apart, and forwards what was inside. Returns
/// the bytes that came.
#[inline(never)]
pub(super) fn process<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    index: u16,
    port: &UnderlayPort,
    burst: &mut Burst,
) -> u64 {
    let mut lanes = Lanes::new();
    let mut origins = Origins { snapshot, last: None };
    let mut classifier = Classifier::new(reader, snapshot);
    let bytes = sift(burst, |mut frame| {
        let reason = match inspect(snapshot, port, &frame) {
            Ok(Outer::Tunnel(inner)) => {
                match unwrap(&mut origins, &mut classifier, &mut frame, inner) {
                    Ok(lane) => {
                        lanes.push(lane);
                        return Some(frame);
                    }
                    Err(reason) => reason,
                }
            }
            Ok(Outer::Punt) => match port.twin {
                Some(twin) => {
                    context.transmitter.send(twin, frame);
                    return None;
                }
                None => DropReason::NoTwin,
            },
            Err(reason) => reason,
        };
        context.drop(index, frame, reason);
        None
    });
    forward::<true>(context, reader, snapshot, index, burst, &lanes);
    bytes
}

/// The outer headers' verdict.
#[inline(always)]
fn inspect(snapshot: &Snapshot, port: &UnderlayPort, frame: &Mbuf) -> Result<Outer, DropReason> {
    let data = frame.data();
    let header: &[u8; ethernet::LENGTH] =
        data.first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    let (destination, _) = MacKey::pair(header);
    if destination != port.mac && !destination.is_group() {
        return Err(DropReason::NotOurMac);
    }
    let (ip, udp) = (frame.ip_checksum(), frame.l4_checksum());
    let received = Received {
        length: frame.len(),
        ipv4_verified: ip == Checksum::Good,
        udp_verified: udp == Checksum::Good,
    };
    decapsulate(data, snapshot.vtep, received)
}

/// Which network and peer tunnel packets come from. Neighbours mostly come from the same.
struct Origins<'r> {
    snapshot: &'r Snapshot,
    last: Option<(u64, Attachment)>,
}

impl Origins<'_> {
    #[inline(always)]
    fn of(&mut self, inner: &Inner) -> Result<Attachment, DropReason> {
        let key = u64::from(u32::from(inner.source)) << 32 | u64::from(inner.vni);
        match self.last {
            Some((last, attachment)) if last == key => Ok(attachment),
            _ => {
                let attachment = self.find(inner)?;
                self.last = Some((key, attachment));
                Ok(attachment)
            }
        }
    }

    #[inline(always)]
    fn find(&self, inner: &Inner) -> Result<Attachment, DropReason> {
        let snapshot = self.snapshot;
        let network = snapshot.vnis.get(inner.vni).ok_or(DropReason::UnknownVni)?;
        let peer = snapshot.peers.get(u32::from(inner.source)).ok_or(DropReason::UnknownPeer)?;
        let adjacency = snapshot.adjacencies.get(peer as usize).ok_or(DropReason::UnknownPeer)?;
        Ok(Attachment::new(network, Location::new(peer, adjacency.generation)))
    }
}

/// Cuts the outer headers and any padding off, and finds network and peer.
#[inline(always)]
fn unwrap<'r>(
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
    inner: Inner,
) -> Result<Lane<'r>, DropReason> {
    let ingress = origins.of(&inner)?;
    let header: Option<&[u8; ethernet::LENGTH]> =
        frame.data().get(inner.offset..).and_then(<[u8]>::first_chunk);
    let header = header.ok_or(DropReason::Segmented)?;
    let (destination, source) = MacKey::pair(header);
    let tagged = is_tag(u16::from_be_bytes([header[12], header[13]]));
    if !frame.narrow(inner.offset, inner.end) {
        return Err(DropReason::Segmented);
    }
    // Last of all: whatever has a lane is forwarded.
    classifier.lane(ingress, source, destination, tagged)
}
