//! Packets from underlay ports: tunnel traffic is taken apart, the rest goes to the kernel twin.

use super::context::Context;
use super::forward::{Lane, Lanes, forward};
use super::snapshot::{Attachment, Snapshot, UnderlayPort};
use crate::dpdk::{Burst, Checksum, Mbuf};
use crate::drop_reason::DropReason;
use crate::fib::{MacKey, Reader};
use crate::tunnel::{Inner, Outer, Received, decapsulate};
use crate::wire::ethernet::{self, is_tag};

/// Takes a burst from one underlay port apart, and forwards what was inside.
#[inline]
pub(super) fn process<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    index: u16,
    port: &UnderlayPort,
    burst: &mut Burst,
) {
    let mut lanes = Lanes::new();
    for frame in burst.iter() {
        frame.prefetch();
    }
    for mut frame in burst.drain(..) {
        match inspect(snapshot, port, &frame) {
            Ok(Outer::Tunnel(inner)) => match unwrap(snapshot, &mut frame, inner) {
                Ok((ingress, destination, source)) => {
                    let network = &snapshot.networks[ingress.network as usize];
                    lanes.push(Lane { frame, network, ingress, source, destination });
                }
                Err(reason) => context.drop(index, frame, reason),
            },
            Ok(Outer::Punt) => match port.twin {
                Some(twin) => context.transmitter.send(twin, frame),
                None => context.drop(index, frame, DropReason::NoTwin),
            },
            Err(reason) => context.drop(index, frame, reason),
        }
    }
    forward::<true>(context, reader, snapshot, index, &mut lanes);
}

/// The outer headers' verdict.
#[inline(always)]
fn inspect(snapshot: &Snapshot, port: &UnderlayPort, frame: &Mbuf) -> Result<Outer, DropReason> {
    let data = frame.data();
    let header: &[u8; ethernet::LENGTH] =
        data.first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    if header[..6] != port.mac && header[0] & 1 == 0 {
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

/// Cuts the outer headers and any padding off, and finds network and peer.
#[inline(always)]
fn unwrap(
    snapshot: &Snapshot,
    frame: &mut Mbuf,
    inner: Inner,
) -> Result<(Attachment, MacKey, MacKey), DropReason> {
    let network = snapshot.vnis.get(inner.vni).ok_or(DropReason::UnknownVni)?;
    let adjacency = snapshot.peers.get(u32::from(inner.source)).ok_or(DropReason::UnknownPeer)?;
    let keeps_inner_vlan =
        snapshot.networks.get(network as usize).ok_or(DropReason::UnknownVni)?.keeps_inner_vlan;
    if !frame.truncate(inner.end) || !frame.trim_front(inner.offset) {
        return Err(DropReason::Segmented);
    }
    let header: &[u8; ethernet::LENGTH] =
        frame.data().first_chunk().ok_or(DropReason::Segmented)?;
    let (destination, source) = MacKey::pair(header);
    if source.is_group() || source.is_zero() {
        return Err(DropReason::InvalidSource);
    }
    if is_tag(u16::from_be_bytes([header[12], header[13]])) && !keeps_inner_vlan {
        return Err(DropReason::InnerVlan);
    }
    Ok((Attachment { network, adjacency }, destination, source))
}
