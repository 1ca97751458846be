//! The decision on a packet from the underlay: ours to decapsulate, the kernel's, or bad.
//!
//! Pure: bytes in, verdict out. The checks are those of RFC 7348 sections 4.1 and 5 and RFC 1122 section 3.2.

use std::net::Ipv4Addr;

use crate::drop_reason::DropReason;
use crate::wire::{Malformed, checksum, ethernet, ipv4, udp, vxlan};

/// Our own tunnel end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// The address that outer packets come to.
    pub address: Ipv4Addr,
    /// The UDP port that VXLAN comes to.
    pub udp_port: u16,
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
    /// A tunnel packet.
    Tunnel(Inner),
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
    // checksum and the I flag.
    let strange = (word(12) ^ 0x0045_0008) & 0x00ff_ffff
        | (word(20) ^ u64::from(ipv4::UDP) << 24) & 0xff00_ff3f
        | (word(30) ^ (address | udp_port << 48)) & 0xffff_0000_ffff_ffff
        | (word(40) ^ 0x0008_0000) & 0x0008_ffff;
    let (total, datagram) = (usize::from(number(16)), usize::from(number(38)));
    let fits = ethernet::LENGTH + total <= received.length;
    let holds_a_frame = datagram >= udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH;
    if strange != 0 || total != ipv4::LENGTH + datagram || !fits || !holds_a_frame {
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
    if ethernet.ethertype.get() != ethernet::ethertype::IPV4 {
        return Ok(Outer::Punt);
    }
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
    if ip.protocol != ipv4::UDP || ip.destination() != vtep.address || ip.is_later_fragment() {
        return Ok(Outer::Punt);
    }
    let segment = packet.get(ip_header..).ok_or(DropReason::UdpLength)?;
    let (udp, payload) = udp::Header::parse(segment).map_err(|_| DropReason::UdpLength)?;
    if udp.destination_port.get() != vtep.udp_port {
        return Ok(Outer::Punt);
    }
    if ip.is_fragment() {
        return Err(DropReason::Fragment);
    }
    if udp.length() < udp::LENGTH || ip_header + udp.length() > ip.total_length() {
        return Err(DropReason::UdpLength);
    }
    if udp.checksum.get() != 0 && !received.udp_verified {
        let segment = segment.get(..udp.length()).ok_or(DropReason::Segmented)?;
        if !checksum::verify_udp_v4(ip.source(), ip.destination(), segment) {
            return Err(DropReason::UdpChecksum);
        }
    }
    if udp.length() < udp::LENGTH + vxlan::LENGTH {
        return Err(DropReason::TruncatedVxlan);
    }
    let (vxlan, _) = vxlan::Header::parse(payload).map_err(|malformed| match malformed {
        Malformed::Flags(_) => DropReason::VxlanFlags,
        _ => DropReason::Segmented,
    })?;
    if udp.length() < udp::LENGTH + vxlan::LENGTH + ethernet::LENGTH {
        return Err(DropReason::InnerTruncated);
    }
    let udp_at = ethernet::LENGTH + ip_header;
    Ok(Outer::Tunnel(Inner {
        vni: vxlan.vni(),
        source: ip.source(),
        offset: udp_at + udp::LENGTH + vxlan::LENGTH,
        end: udp_at + udp.length(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{OuterHeader, TEMPLATE_LENGTH, Template};
    use proptest::prelude::*;

    const VTEP: Vtep = Vtep { address: Ipv4Addr::new(192, 0, 2, 1), udp_port: 4789 };
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const IP: usize = 14;
    const UDP: usize = 34;
    const VXLAN: usize = 42;

    /// A tunnel packet around `inner` bytes, as a peer's Ferry would send it.
    fn packet(inner: usize) -> Vec<u8> {
        let outer = OuterHeader {
            source_mac: [2, 0, 0, 0, 0, 2],
            next_hop_mac: [2, 0, 0, 0, 0, 1],
            source: PEER,
            destination: VTEP.address,
            udp_port: 4789,
        };
        let mut header = [0; TEMPLATE_LENGTH];
        Template::new(&outer).write(&mut header, inner as u16, 0x01_0203, 50_000);
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
        assert_eq!(changed(60, 12, &[0x86, 0xdd]), Ok(Outer::Punt));
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

    proptest! {
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
