//! The decision on a packet from the underlay: ours to decapsulate, the kernel's, or bad.
//!
//! Pure: bytes in, verdict out. The checks are those of RFC 7348 sections 4.1 and 5, RFC 1122 section 3.2, RFC 8200
//! and RFC 2784.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::drop_reason::DropReason;
use crate::wire::{Malformed, checksum, ethernet, gre, ipv4, ipv6, udp, vxlan};

/// Our own tunnel end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// The address that outer IPv4 packets come to; `0.0.0.0` where there is none.
    pub address: Ipv4Addr,
    /// The UDP port that VXLAN comes to.
    pub udp_port: u16,
    /// The address that outer IPv6 packets come to.
    pub ipv6: Option<Ipv6Addr>,
    /// Whether Ethernet over GRE, and so NVGRE, is ours; else it is the kernel's.
    pub gre: bool,
    /// Whether UDP over IPv6 may come without a checksum (RFC 6935).
    pub zero_checksum: bool,
    /// Whether VXLAN with reserved bits set is dropped; RFC 7348 section 5 ignores them.
    pub drops_reserved_bits: bool,
}

impl Vtep {
    /// VXLAN over IPv4 as RFC 7348 has it, and nothing else.
    pub fn vxlan(address: Ipv4Addr, udp_port: u16) -> Self {
        let (gre, zero_checksum, drops_reserved_bits) = (false, false, false);
        Self { address, udp_port, ipv6: None, gre, zero_checksum, drops_reserved_bits }
    }
}

/// What is known of a packet besides the bytes of its first segment.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of the whole packet.
    pub length: usize,
    /// Whether the device found the IPv4 header checksum right; if not, it is computed here.
    pub ipv4_verified: bool,
    /// Whether the device found the UDP checksum right; if not, a non-zero one is computed here.
    pub udp_verified: bool,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// A tunnel packet of the most frequent kind, VXLAN over IPv4.
    Tunnel(Inner),
    /// Any other tunnel packet.
    AnyTunnel(AnyInner),
    /// Not tunnel traffic: for the kernel.
    Punt,
}

/// Where the tenant's frame lies in a tunnel packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The 24-bit network ID.
    pub vni: u32,
    /// The sending VTEP.
    pub source: Ipv4Addr,
    /// Bytes before the inner frame.
    pub offset: usize,
    /// Bytes up to its end; what follows is Ethernet padding.
    pub end: usize,
}

/// Where the tenant's frame lies in any other tunnel packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyInner {
    /// The sending VTEP.
    pub source: IpAddr,
    /// What names the network.
    pub label: Label,
    /// Bytes before the inner frame.
    pub offset: usize,
    /// Bytes up to its end; what follows is Ethernet padding.
    pub end: usize,
}

/// What a tunnel packet says of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// A VXLAN network ID, 24 bits.
    Vxlan(u32),
    /// Ethernet over GRE. Only the sender tells whether it is NVGRE.
    Gre {
        /// The key: in NVGRE a network ID (24 bits) and a flow ID (8).
        key: Option<u32>,
        /// Whether a checksum or a sequence number is there, neither of which NVGRE has.
        extended: bool,
    },
}

/// Decides on an Ethernet frame from an underlay port.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn decapsulate(frame: &[u8], vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
    match frame.first_chunk().and_then(|header| plain(header, vtep, received)) {
        Some(inner) => Ok(Outer::Tunnel(inner)),
        None => decapsulate_any(frame, vtep, received),
    }
}

/// Bytes before the inner frame, in nearly every tunnel packet.
const PLAIN: usize = ethernet::LENGTH + ipv4::LENGTH + udp::LENGTH + vxlan::LENGTH;

/// Recognises what nearly every tunnel packet is, some words at a time: IPv4 without options or fragments, lengths
/// that agree, no UDP checksum. Whatever else it is, [`decapsulate_any`] tells.
#[inline(always)]
fn plain(header: &[u8; PLAIN + ethernet::LENGTH], vtep: Vtep, received: Received) -> Option<Inner> {
    let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let half = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let address = u64::from(u32::from(vtep.address).swap_bytes());
    let udp_port = u64::from(vtep.udp_port.swap_bytes());
    // EtherType, version and header length; fragment flag, offset and protocol; destination address and port; UDP
    // checksum, the I flag and GPE's P flag.
    let strange = (word(12) ^ 0x0045_0008) & 0x00ff_ffff
        | (word(20) ^ u64::from(ipv4::UDP) << 24) & 0xff00_ff3f
        | (word(30) ^ (address | udp_port << 48)) & 0xffff_0000_ffff_ffff
        | (word(40) ^ 0x0008_0000) & 0x000c_ffff;
    let (total, datagram) = (usize::from(number(16)), usize::from(number(38)));
    let fits = ethernet::LENGTH + total <= received.length;
    let holds_a_frame = datagram >= udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH;
    if strange != 0 || total != ipv4::LENGTH + datagram || !fits || !holds_a_frame {
        return None;
    }
    if vtep.drops_reserved_bits && (word(40) & 0xffff_fff7_0000 != 0 || header[49] != 0) {
        return None;
    }
    if !received.ipv4_verified {
        // All ones in one's complement: a multiple of 0xffff. The first byte is 0x45, so the sum is not zero.
        let (first, second) = (word(14), word(22));
        let low = (first & 0xffff_ffff) + (second & 0xffff_ffff) + u64::from(half(30));
        if !(low + (first >> 32) + (second >> 32)).is_multiple_of(0xffff) {
            return None;
        }
    }
    Some(Inner {
        vni: half(46).swap_bytes() >> 8,
        source: half(26).swap_bytes().into(),
        offset: PLAIN,
        end: ethernet::LENGTH + total,
    })
}

/// Every kind of packet.
#[inline(never)]
fn decapsulate_any(frame: &[u8], vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
    let truncated = |_| DropReason::TruncatedEthernet;
    let (ethernet, packet) = ethernet::Header::parse(frame).map_err(truncated)?;
    match ethernet.ethertype.get() {
        ethernet::ethertype::IPV4 => over_ipv4(packet, vtep, received),
        ethernet::ethertype::IPV6 => over_ipv6(packet, vtep, received),
        _ => Ok(Outer::Punt),
    }
}

/// What IP carries.
struct Segment<'p> {
    source: IpAddr,
    destination: IpAddr,
    /// Bytes from the frame's begin.
    at: usize,
    /// Bytes by the IP header.
    length: usize,
    /// Those of the packet's first mbuf.
    bytes: &'p [u8],
    is_fragment: bool,
}

fn over_ipv4(packet: &[u8], vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
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
    };
    by_protocol(ip.protocol, &segment, vtep, received)
}

fn over_ipv6(packet: &[u8], vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
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
    let mut segment = Segment { source, destination, at, length, bytes: rest, is_fragment: false };
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
    vtep: Vtep,
    received: Received,
) -> Result<Outer, DropReason> {
    match protocol {
        ipv4::UDP => over_udp(segment, vtep, received),
        gre::PROTOCOL if vtep.gre => over_gre(segment),
        // No tunnel of ours, or behind extension headers, which no VTEP sends.
        _ => Ok(Outer::Punt),
    }
}

fn over_udp(segment: &Segment, vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
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
    if vtep.drops_reserved_bits && vxlan.has_reserved_bits() {
        return Err(DropReason::VxlanReserved);
    }
    if udp.length() < udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH {
        return Err(DropReason::InnerTruncated);
    }
    let offset = segment.at + udp::LENGTH + vxlan::LENGTH;
    let (vni, end) = (vxlan.vni(), segment.at + udp.length());
    Ok(match segment.source {
        IpAddr::V4(source) => Outer::Tunnel(Inner { vni, source, offset, end }),
        source => Outer::AnyTunnel(AnyInner { source, label: Label::Vxlan(vni), offset, end }),
    })
}

fn over_gre(segment: &Segment) -> Result<Outer, DropReason> {
    let truncated = |_| DropReason::TruncatedGre;
    let (header, rest) = gre::Header::parse(segment.bytes).map_err(truncated)?;
    // Tunnels of other payloads may be the kernel's.
    if header.protocol.get() != gre::ETHERNET {
        return Ok(Outer::Punt);
    }
    if segment.is_fragment {
        return Err(DropReason::Fragment);
    }
    let options = header.options(rest).map_err(|malformed| match malformed {
        Malformed::Truncated(_) => DropReason::TruncatedGre,
        _ => DropReason::GreFlags,
    })?;
    if options.length > segment.length {
        return Err(DropReason::TruncatedGre);
    }
    if options.checksum {
        let bytes = segment.bytes.get(..segment.length).ok_or(DropReason::Segmented)?;
        if !checksum::verify(bytes) {
            return Err(DropReason::GreChecksum);
        }
    }
    if segment.length < options.length + ethernet::LENGTH {
        return Err(DropReason::InnerTruncated);
    }
    let extended = options.checksum || options.sequence.is_some();
    Ok(Outer::AnyTunnel(AnyInner {
        source: segment.source,
        label: Label::Gre { key: options.key, extended },
        offset: segment.at + options.length,
        end: segment.at + segment.length,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::any_template::tests::{encaps, outer, packet as any_packet};
    use crate::tunnel::{Encap, OuterHeader, TEMPLATE_LENGTH, Template};
    use proptest::prelude::*;

    const VTEP: Vtep = Vtep {
        address: Ipv4Addr::new(192, 0, 2, 1),
        udp_port: 4789,
        ipv6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        gre: true,
        zero_checksum: false,
        drops_reserved_bits: false,
    };
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const IP: usize = 14;
    const UDP: usize = 34;
    const VXLAN: usize = 42;

    /// A tunnel packet around `inner` bytes, as a peer's Ferry would send it.
    fn packet(inner: usize) -> Vec<u8> {
        let outer = OuterHeader {
            source_mac: [2, 0, 0, 0, 0, 2],
            next_hop_mac: [2, 0, 0, 0, 0, 1],
            source: PEER.into(),
            destination: VTEP.address.into(),
            ttl: Template::TTL,
            encap: Encap::vxlan(4789),
            id: None,
        };
        let mut header = [0; TEMPLATE_LENGTH];
        Template::new(&outer).unwrap().write(&mut header, inner as u16, 0x01_0203, 50_000);
        let mut packet = header.to_vec();
        packet.extend(std::iter::repeat_n(0x5a, inner));
        packet
    }

    fn decide(packet: &[u8]) -> Result<Outer, DropReason> {
        let received = Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
        decapsulate(packet, VTEP, received)
    }

    /// The verdict on a packet with some bytes replaced and its IPv4 checksum made right.
    fn changed(inner: usize, at: usize, bytes: &[u8]) -> Result<Outer, DropReason> {
        let mut packet = packet(inner);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        let end = (IP + usize::from(packet[IP] & 15) * 4).clamp(IP + 20, packet.len());
        packet[IP + 10..IP + 12].fill(0);
        let sum = checksum::compute(&packet[IP..end]);
        packet[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
        decide(&packet)
    }

    fn tunnel(offset: usize, end: usize) -> Result<Outer, DropReason> {
        Ok(Outer::Tunnel(Inner { vni: 0x01_0203, source: PEER, offset, end }))
    }

    #[test]
    fn what_encapsulation_writes_is_taken_apart() {
        assert_eq!(decide(&packet(60)), tunnel(50, 110));
        let mut padded = packet(20);
        padded.extend([0; 9]);
        assert_eq!(
            decide(&padded),
            tunnel(50, 70),
            "Ethernet padding is no part of the inner frame"
        );
    }

    #[test]
    fn each_fault_has_its_reason() {
        assert_eq!(changed(60, IP, &[0x65]), Err(DropReason::Ipv4Header));
        assert_eq!(changed(60, IP, &[0x44]), Err(DropReason::Ipv4Header));
        assert_eq!(changed(60, IP + 2, &[0xff, 0xff]), Err(DropReason::Ipv4Header));
        assert_eq!(changed(60, IP + 6, &[0x20]), Err(DropReason::Fragment));
        assert_eq!(changed(60, UDP + 4, &[0, 7]), Err(DropReason::UdpLength));
        assert_eq!(changed(60, UDP + 4, &[0xff, 0]), Err(DropReason::UdpLength));
        assert_eq!(changed(60, UDP + 4, &[0, 15]), Err(DropReason::TruncatedVxlan));
        assert_eq!(changed(60, UDP + 4, &[0, 29]), Err(DropReason::InnerTruncated));
        assert_eq!(changed(60, UDP + 6, &[1, 2]), Err(DropReason::UdpChecksum));
        assert_eq!(changed(60, VXLAN, &[0xf7]), Err(DropReason::VxlanFlags));
        let mut packet = packet(60);
        packet[IP + 10] ^= 1;
        assert_eq!(decide(&packet), Err(DropReason::Ipv4Checksum));
    }

    #[test]
    fn what_is_not_ours_goes_to_the_kernel() {
        assert_eq!(changed(60, 12, &[0x88, 0xcc]), Ok(Outer::Punt));
        assert_eq!(changed(60, IP + 9, &[1]), Ok(Outer::Punt));
        assert_eq!(changed(60, IP + 16, &[192, 0, 2, 9]), Ok(Outer::Punt));
        assert_eq!(changed(60, IP + 7, &[5]), Ok(Outer::Punt));
        assert_eq!(changed(60, UDP + 2, &[0x21, 0x18]), Ok(Outer::Punt), "port 8472");
    }

    #[test]
    fn options_ttl_source_port_and_reserved_bits_do_not_matter() {
        assert_eq!(changed(60, IP + 8, &[1]), tunnel(50, 110));
        assert_eq!(changed(60, UDP, &[0, 1]), tunnel(50, 110));
        for reserved in [VXLAN + 1, VXLAN + 2, VXLAN + 3, VXLAN + 7] {
            assert_eq!(changed(60, reserved, &[0xff]), tunnel(50, 110));
        }
        let mut options = packet(60);
        options.splice(UDP..UDP, [1, 1, 1, 0]);
        options[IP] = 0x46;
        options[IP + 3] += 4;
        options[IP + 10..IP + 12].fill(0);
        let sum = checksum::compute(&options[IP..UDP + 4]);
        options[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decide(&options), tunnel(54, 114));
    }

    #[test]
    fn a_right_udp_checksum_is_accepted() {
        let mut packet = packet(61);
        let sum = checksum::compute_udp_v4(PEER, VTEP.address, &packet[UDP..]);
        packet[UDP + 6..UDP + 8].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decide(&packet), tunnel(50, 111));
    }

    /// What [`any_packet`] makes, for each family and encapsulation.
    fn all() -> impl Iterator<Item = OuterHeader> {
        let both = |encap| [outer(false, encap, None), outer(true, encap, None)];
        encaps().into_iter().flat_map(both)
    }

    #[test]
    fn every_encapsulation_over_both_families_is_taken_apart() {
        let vtep = Vtep { zero_checksum: true, ..VTEP };
        for outer in all() {
            let mut packet = any_packet(&outer, 0x01_0203, &[7; 60]);
            packet.extend([0; 5]);
            let received =
                Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
            let (offset, end) = (outer.length(), outer.length() + 60);
            let label = match outer.encap {
                Encap::Vxlan { .. } => Label::Vxlan(0x01_0203),
                Encap::Nvgre { flow_id } => Label::Gre {
                    key: Some(if flow_id { 0x0102_0350 } else { 0x0102_0300 }),
                    extended: false,
                },
                Encap::Gre { key, checksum, sequence } => {
                    Label::Gre { key: key.then_some(0x01_0203), extended: checksum || sequence }
                }
            };
            let right = match (label, outer.source) {
                (Label::Vxlan(vni), IpAddr::V4(source)) => {
                    Outer::Tunnel(Inner { vni, source, offset, end })
                }
                (label, source) => Outer::AnyTunnel(AnyInner { source, label, offset, end }),
            };
            assert_eq!(decapsulate(&packet, vtep, received), Ok(right), "{outer:?}");
        }
    }

    #[test]
    fn cut_anywhere_no_encapsulation_is_delivered() {
        for outer in all() {
            let packet = any_packet(&outer, 0x01_0203, &[7; 60]);
            for length in 0..packet.len() {
                assert!(decide(&packet[..length]).is_err(), "{outer:?} {length}");
            }
        }
    }

    #[test]
    fn ipv6_faults_have_their_reasons() {
        let with = |checksum, at: usize, bytes: &[u8]| {
            let encap = Encap::Vxlan { udp_port: 4789, checksum };
            let mut packet = any_packet(&outer(true, encap, None), 0x01_0203, &[7; 60]);
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            decide(&packet)
        };
        assert_eq!(with(false, 0, &[]), Err(DropReason::UdpZeroChecksum));
        assert!(matches!(with(true, 0, &[]), Ok(Outer::AnyTunnel(_))));
        assert_eq!(with(true, 100, &[9]), Err(DropReason::UdpChecksum));
        assert_eq!(with(true, 14, &[0x50]), Err(DropReason::Ipv6Header));
        assert_eq!(with(true, 18, &[1, 0]), Err(DropReason::Ipv6Header));
        assert_eq!(with(true, 53, &[9]), Ok(Outer::Punt), "another's address");
        assert_eq!(with(true, 20, &[58]), Ok(Outer::Punt), "ICMPv6");
        assert_eq!(with(true, 56, &[1, 2]), Ok(Outer::Punt), "another UDP port");
        let mut fragment = any_packet(&outer(true, Encap::vxlan(4789), None), 0x01_0203, &[7; 60]);
        fragment.splice(54..54, [17, 0, 0, 1, 0, 0, 0, 9]);
        fragment[20] = 44;
        fragment[19] += 8;
        assert_eq!(decide(&fragment), Err(DropReason::Fragment));
        fragment[57] = 9;
        assert_eq!(decide(&fragment), Ok(Outer::Punt), "a later fragment");
        let no_ipv6 = Vtep { ipv6: None, ..VTEP };
        let received =
            Received { length: fragment.len(), ipv4_verified: false, udp_verified: false };
        assert_eq!(decapsulate(&fragment, no_ipv6, received), Ok(Outer::Punt));
    }

    #[test]
    fn gre_faults_have_their_reasons() {
        const GRE: usize = 34;
        let with = |checksum, at: usize, bytes: &[u8]| {
            let encap = Encap::Gre { key: true, checksum, sequence: false };
            let mut packet = any_packet(&outer(false, encap, None), 0x01_0203, &[7; 60]);
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            decide(&packet)
        };
        assert!(matches!(with(true, 0, &[]), Ok(Outer::AnyTunnel(_))));
        assert_eq!(with(true, 80, &[9]), Err(DropReason::GreChecksum));
        assert_eq!(with(false, GRE + 1, &[1]), Err(DropReason::GreFlags), "version 1");
        assert_eq!(with(false, GRE, &[0x60]), Err(DropReason::GreFlags), "RFC 1701's routing");
        assert_eq!(with(false, GRE + 2, &[8, 0]), Ok(Outer::Punt), "IPv4 in GRE");
        let mut fragment =
            any_packet(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 60]);
        fragment[IP + 6] = 0x20;
        fragment[IP + 10..IP + 12].fill(0);
        let sum = checksum::compute(&fragment[IP..GRE]);
        fragment[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decide(&fragment), Err(DropReason::Fragment));
        let packet = any_packet(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 13]);
        assert_eq!(decide(&packet), Err(DropReason::InnerTruncated));
        let packet = any_packet(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 60]);
        let received = Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
        let none = decapsulate(&packet, Vtep { gre: false, ..VTEP }, received);
        assert_eq!(none, Ok(Outer::Punt), "without GRE in the configuration it is the kernel's");
    }

    #[test]
    fn gpe_and_reserved_bits() {
        assert_eq!(changed(60, VXLAN, &[0x0c, 0, 0, 1]), Err(DropReason::VxlanGpe));
        assert_eq!(changed(60, VXLAN, &[0x0c, 0, 0, 3]), tunnel(50, 110), "GPE with Ethernet");
        for bit in (0..32).chain(56..64).filter(|bit| *bit != 4) {
            let mut packet = packet(60);
            packet[VXLAN + bit / 8] |= 0x80 >> (bit % 8);
            let received =
                Received { length: packet.len(), ipv4_verified: false, udp_verified: false };
            let strict = Vtep { drops_reserved_bits: true, ..VTEP };
            let found = decapsulate(&packet, strict, received);
            assert_eq!(found, Err(DropReason::VxlanReserved), "bit {bit}");
        }
        let strict = Vtep { drops_reserved_bits: true, ..VTEP };
        let received = Received { length: 110, ipv4_verified: false, udp_verified: false };
        assert_eq!(decapsulate(&packet(60), strict, received), tunnel(50, 110));
    }

    proptest! {
        #[test]
        fn no_change_of_any_encapsulation_reaches_beyond_the_packet(
            changes in prop::collection::vec((12..110usize, any::<u8>()), 0..4),
            which in 0..16usize,
        ) {
            let mut packet = any_packet(&all().nth(which).unwrap(), 0x01_0203, &[7; 60]);
            for (at, byte) in changes {
                if let Some(place) = packet.get_mut(at) {
                    *place = byte;
                }
            }
            let received =
                Received { length: packet.len(), ipv4_verified: true, udp_verified: true };
            if let Ok(Outer::AnyTunnel(inner)) = decapsulate(&packet, VTEP, received) {
                prop_assert!(inner.offset + 14 <= inner.end && inner.end <= packet.len());
            }
        }

        #[test]
        fn cut_anywhere_it_is_dropped_and_never_panics(length in 0..110usize) {
            prop_assert!(decide(&packet(60)[..length]).is_err());
        }

        #[test]
        fn no_change_makes_it_panic_or_reach_beyond_the_packet(
            changes in prop::collection::vec((0..110usize, any::<u8>()), 0..8)
        ) {
            let mut packet = packet(60);
            for (at, byte) in changes {
                packet[at] = byte;
            }
            let received =
                Received { length: packet.len(), ipv4_verified: true, udp_verified: true };
            let any = decapsulate_any(&packet, VTEP, received);
            prop_assert_eq!(decapsulate(&packet, VTEP, received), any, "the short way differs");
            if let Ok(Outer::Tunnel(inner)) = decapsulate(&packet, VTEP, received) {
                prop_assert!(inner.offset + 14 <= inner.end && inner.end <= packet.len());
            }
        }
    }
}
