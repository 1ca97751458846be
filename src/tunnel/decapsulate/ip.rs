//! Every kind of packet, and what is wrong with it: down to what IP carries.

use std::net::IpAddr;

use super::{Outer, Received, Vtep, gre, vxlan};
use crate::drop_reason::DropReason;
use crate::wire::{self, Malformed, checksum, ethernet, ipv4, ipv6};

/// Takes a packet apart step by step.
#[inline(never)]
pub(super) fn decapsulate(
    frame: &[u8],
    vtep: &Vtep,
    received: Received,
) -> Result<Outer, DropReason> {
    let truncated = |_| DropReason::TruncatedEthernet;
    let (ethernet, packet) = ethernet::Header::parse(frame).map_err(truncated)?;
    match ethernet.ethertype.get() {
        ethernet::ethertype::IPV4 => over_ipv4(packet, vtep, received),
        ethernet::ethertype::IPV6 => over_ipv6(packet, vtep, received),
        _ => Ok(Outer::Punt),
    }
}

/// What IP carries.
pub(super) struct Segment<'p> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Bytes from the frame's begin.
    pub at: usize,
    /// Bytes by the IP header.
    pub length: usize,
    /// Those of the packet's first mbuf.
    pub bytes: &'p [u8],
    pub is_fragment: bool,
    /// Of the IP header.
    pub class: u8,
}

fn over_ipv4(packet: &[u8], vtep: &Vtep, received: Received) -> Result<Outer, DropReason> {
    let (ip, _) = ipv4::Header::parse(packet).map_err(|malformed| match malformed {
        Malformed::Truncated(_) => DropReason::TruncatedIpv4,
        _ => DropReason::Ipv4Header,
    })?;
    let ip_header = ip.header_length();
    if received.length < ethernet::LENGTH + ip.total_length() {
        return Err(DropReason::Ipv4Header);
    }
    if !received.ipv4_verified {
        let header = packet.get(..ip_header).ok_or(DropReason::TruncatedIpv4)?;
        if !checksum::verify(header) {
            return Err(DropReason::Ipv4Checksum);
        }
    }
    // A later fragment has no ports that tell whose it is; the kernel gives up on it in time.
    if ip.destination() != vtep.address || ip.is_later_fragment() {
        return Ok(Outer::Punt);
    }
    let segment = Segment {
        source: ip.source().into(),
        destination: ip.destination().into(),
        at: ethernet::LENGTH + ip_header,
        length: ip.total_length() - ip_header,
        bytes: packet.get(ip_header..).unwrap_or_default(),
        is_fragment: ip.is_fragment(),
        class: ip.traffic_class,
    };
    by_protocol(ip.protocol, &segment, vtep, received)
}

fn over_ipv6(packet: &[u8], vtep: &Vtep, received: Received) -> Result<Outer, DropReason> {
    let Some(own) = vtep.ipv6 else { return Ok(Outer::Punt) };
    let (ip, rest) = ipv6::Header::parse(packet).map_err(|malformed| match malformed {
        Malformed::Truncated(_) => DropReason::TruncatedIpv6,
        _ => DropReason::Ipv6Header,
    })?;
    let at = ethernet::LENGTH + ipv6::LENGTH;
    if received.length < at + ip.payload_length() {
        return Err(DropReason::Ipv6Header);
    }
    if ip.destination() != own {
        return Ok(Outer::Punt);
    }
    let (source, destination) = (ip.source().into(), own.into());
    let length = ip.payload_length();
    let class = ip.traffic_class();
    let mut segment =
        Segment { source, destination, at, length, bytes: rest, is_fragment: false, class };
    let mut protocol = ip.next_header;
    if let (ipv6::FRAGMENT, Some([next, _, high, low, ..])) = (protocol, rest.first_chunk::<8>()) {
        // As over IPv4: only the first fragment tells what it is. RFC 8200 section 4.5: offset, 2 bits, more.
        if u16::from_be_bytes([*high, *low]) & !7 != 0 || length < 8 {
            return Ok(Outer::Punt);
        }
        protocol = *next;
        segment.at += 8;
        segment.length -= 8;
        segment.bytes = &rest[8..];
        segment.is_fragment = true;
    }
    by_protocol(protocol, &segment, vtep, received)
}

fn by_protocol(
    protocol: u8,
    segment: &Segment,
    vtep: &Vtep,
    received: Received,
) -> Result<Outer, DropReason> {
    match protocol {
        ipv4::UDP => vxlan::decapsulate(segment, vtep, received),
        wire::gre::PROTOCOL if vtep.gre => gre::decapsulate(segment),
        // No tunnel of ours, or behind extension headers, which no VTEP sends.
        _ => Ok(Outer::Punt),
    }
}
