//! VXLAN (RFC 7348) in what IP carries.

use std::net::IpAddr;

use super::ip::Segment;
use super::{Inner, Label, Outer, Received, Vtep};
use crate::drop_reason::DropReason;
use crate::wire::{Malformed, checksum, ethernet, udp, vxlan};

pub(super) fn decapsulate(
    segment: &Segment,
    vtep: &Vtep,
    received: Received,
) -> Result<Outer, DropReason> {
    let (udp, payload) = udp::Header::parse(segment.bytes).map_err(|_| DropReason::UdpLength)?;
    if udp.destination_port.get() != vtep.udp_port {
        return Ok(Outer::Punt);
    }
    if segment.is_fragment {
        return Err(DropReason::Fragment);
    }
    if udp.length() < udp::LENGTH || udp.length() > segment.length {
        return Err(DropReason::UdpLength);
    }
    if udp.checksum.get() != 0 {
        if !received.udp_verified {
            let bytes = segment.bytes.get(..udp.length()).ok_or(DropReason::Segmented)?;
            let right = match (segment.source, segment.destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    checksum::verify_udp_v4(source, destination, bytes)
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    checksum::verify_udp_v6(source, destination, bytes)
                }
                _ => false,
            };
            if !right {
                return Err(DropReason::UdpChecksum);
            }
        }
    } else if segment.source.is_ipv6() && !vtep.zero_checksum {
        return Err(DropReason::UdpZeroChecksum);
    }
    if udp.length() < udp::LENGTH + vxlan::LENGTH {
        return Err(DropReason::TruncatedVxlan);
    }
    let (vxlan, _) = vxlan::Header::parse(payload).map_err(|malformed| match malformed {
        Malformed::Flags(_) => DropReason::VxlanFlags,
        _ => DropReason::Segmented,
    })?;
    if vxlan.carries_no_ethernet() {
        return Err(DropReason::VxlanGpe);
    }
    if vtep.drops_reserved_bits && vxlan.has_reserved_bits(vtep.knows_groups) {
        return Err(DropReason::VxlanReserved);
    }
    if udp.length() < udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH {
        return Err(DropReason::InnerTruncated);
    }
    let offset = segment.at + udp::LENGTH + vxlan::LENGTH;
    let (label, end) = (Label::Vxlan(vxlan.vni()), segment.at + udp.length());
    let inner = Inner::new(segment.source, label, offset, end);
    let inner = Inner { class: segment.class, ..inner };
    Ok(match vxlan.group_policy().filter(|_| vtep.knows_groups) {
        Some(policy) => Outer::Grouped(inner, policy),
        None => Outer::Tunnel(inner),
    })
}
