//! From a frame in words to its bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::IntoBytes;

use super::words::{Frame, Payload, Upper};
use crate::wire::ethernet::{self, ethertype};
use crate::wire::{checksum, gre, ipv4, ipv6, vxlan};

/// Bytes of the longest frame: what an IP packet can have, behind the longest Ethernet header.
const LONGEST: usize = ethernet::LONGEST + 65_535;

const ICMP: u8 = 1;
/// The source port of tunnels: the first of those for short use (RFC 6335 section 6).
const DYNAMIC_PORT: u16 = 49_152;

/// The bytes of a frame, which has as many as the shortest on a wire, without FCS, or as it says.
///
/// # Errors
/// It says less than its headers take, or more than there can be.
pub fn build(frame: &Frame) -> Result<Vec<u8>, String> {
    let mut bytes = encode(frame)?;
    if frame.length.is_none() && bytes.len() < ethernet::LEAST {
        bytes.resize(ethernet::LEAST, 0);
    }
    Ok(bytes)
}

fn encode(frame: &Frame) -> Result<Vec<u8>, String> {
    let bytes = encode_with(frame, 0)?;
    let Some(length) = frame.length else { return Ok(bytes) };
    match length {
        _ if length < bytes.len() => {
            Err(format!("length {length}: the headers alone take {}", bytes.len()))
        }
        LONGEST.. => Err(format!("length {length}: a frame has {LONGEST} bytes at most")),
        _ => encode_with(frame, length - bytes.len()),
    }
}

/// With so many bytes of payload.
fn encode_with(frame: &Frame, filler: usize) -> Result<Vec<u8>, String> {
    let mut bytes = [frame.destination.0, frame.source.0].concat();
    for vlan in &frame.vlans {
        bytes.extend(ethertype::VLAN.to_be_bytes());
        bytes.extend(vlan.to_be_bytes());
    }
    let filler = vec![0; filler];
    let (kind, payload) = match &frame.payload {
        // For experiments (IEEE 802 section 9.2.3).
        Payload::None => (0x88b5, filler),
        Payload::Arp(addresses) => (ethertype::ARP, [arp(frame, *addresses), filler].concat()),
        Payload::Ip(source, destination, upper) => packet(*source, *destination, upper, filler)?,
    };
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

fn arp(frame: &Frame, addresses: Option<(IpAddr, IpAddr)>) -> Vec<u8> {
    let octets = |address| match address {
        Some(IpAddr::V4(address)) => Ipv4Addr::octets(&address),
        _ => [0; 4],
    };
    let (asked, asker) = addresses.unzip();
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
    bytes.extend(frame.source.0);
    bytes.extend(octets(asker));
    bytes.extend([0; 6]);
    bytes.extend(octets(asked));
    bytes
}

/// EtherType and bytes of an IP packet.
fn packet(
    source: IpAddr,
    destination: IpAddr,
    upper: &Upper,
    filler: Vec<u8>,
) -> Result<(u16, Vec<u8>), String> {
    let ends = (source, destination);
    let (protocol, segment) = match upper {
        // No next header (RFC 8200 section 4.7); protocol 253 is for experiments (RFC 3692).
        Upper::None if source.is_ipv6() => (59, filler),
        Upper::None => (253, filler),
        Upper::Udp(from, to) => (ipv4::UDP, udp(ends, *from, *to, &filler)),
        Upper::Tcp(from, to) => (ipv4::TCP, tcp(ends, *from, *to, &filler)),
        Upper::Icmp if source.is_ipv6() => (
            ipv6::ICMPV6,
            summed(ends, ipv6::ICMPV6, [vec![128, 0, 0, 0, 0, 0, 0, 0], filler].concat(), 2),
        ),
        Upper::Icmp => {
            let mut message = [vec![8, 0, 0, 0, 0, 0, 0, 0], filler].concat();
            let sum = checksum::compute(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            (ICMP, message)
        }
        Upper::Vxlan(vni, group, inner) => {
            let header = vxlan::Header::new(*vni);
            let header = group.map_or(header, |group| header.of_group(group));
            let payload = [header.as_bytes(), &encode(inner)?, &filler].concat();
            (ipv4::UDP, udp(ends, DYNAMIC_PORT, vxlan::PORT, &payload))
        }
        Upper::Gre(key, inner) => {
            let flags = if key.is_some() { gre::KEY } else { 0 };
            let mut payload = [flags.to_be_bytes(), gre::ETHERNET.to_be_bytes()].concat();
            payload.extend(key.iter().flat_map(|key| key.to_be_bytes()));
            payload.extend(encode(inner)?);
            (gre::PROTOCOL, [payload, filler].concat())
        }
    };
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let (kind, header) = match ends {
        (IpAddr::V4(source), IpAddr::V4(destination))
            if usize::from(length) == segment.len() && length <= u16::MAX - ipv4::LENGTH as u16 =>
        {
            let header = ipv4::Header::between(source, destination, protocol, 0, length);
            (ethertype::IPV4, header.as_bytes().to_vec())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) if usize::from(length) == segment.len() => {
            let header = ipv6::Header::new(protocol, 64, length).between(source, destination);
            (ethertype::IPV6, header.as_bytes().to_vec())
        }
        _ => return Err("an IP packet has 65535 bytes at most".to_owned()),
    };
    Ok((kind, [header, segment].concat()))
}

fn udp(ends: (IpAddr, IpAddr), from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).wrapping_add(8);
    let header = [from, to, length, 0].map(u16::to_be_bytes).concat();
    summed(ends, ipv4::UDP, [&header, payload].concat(), 6)
}

fn tcp(ends: (IpAddr, IpAddr), from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    // A SYN with a header of five words.
    let header = [from, to, 0, 0, 0, 0, 0x5002, 0xffff, 0, 0].map(u16::to_be_bytes).concat();
    summed(ends, ipv4::TCP, [&header, payload].concat(), 16)
}

/// With its checksum, which covers a pseudo-header.
fn summed(
    (source, destination): (IpAddr, IpAddr),
    protocol: u8,
    mut segment: Vec<u8>,
    at: usize,
) -> Vec<u8> {
    let mut covered = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            [source.octets(), destination.octets()].concat()
        }
        (source, destination) => {
            let octets = |address| match address {
                IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address).octets(),
                IpAddr::V6(address) => Ipv6Addr::octets(&address),
            };
            [octets(source), octets(destination)].concat()
        }
    };
    covered.extend((segment.len() as u32).to_be_bytes());
    covered.extend([0, 0, 0, protocol]);
    covered.extend(&segment);
    // A UDP checksum of zero would be none (RFC 768).
    let sum = match checksum::compute(&covered) {
        0 => u16::MAX,
        sum => sum,
    };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::frame::words;
    use crate::tunnel::{Outer, Received, Vtep, decapsulate};

    fn built(text: &str) -> Result<Vec<u8>, String> {
        build(&words::frame(&format!("02:00:00:00:00:01 to 02:00:00:00:00:02 {text}")).unwrap())
    }

    #[test]
    fn a_frame_is_as_long_as_it_says_or_as_the_shortest() {
        for (text, length) in [
            ("", 60),
            ("length 14", 14),
            ("vlan 5 length 1400", 1400),
            ("arp", 60),
            ("arp length 42", 42),
            ("10.0.0.1 to 10.0.0.2 udp 1 to 2 length 1514", 1514),
            ("fe80::1 to fe80::2 tcp 1 to 2", 74),
            ("10.0.0.1 to 10.0.0.2 length 65549", 65_549),
        ] {
            assert_eq!(built(text).map(|frame| frame.len()), Ok(length), "{text}");
        }
        let short = built("arp length 41").unwrap_err();
        assert_eq!(short, "length 41: the headers alone take 42");
        let long = built("10.0.0.1 to 10.0.0.2 length 65550").unwrap_err();
        assert_eq!(long, "an IP packet has 65535 bytes at most");
        assert!(built("length 70000").unwrap_err().contains("at most"));
    }

    #[test]
    fn headers_and_checksums_are_right() {
        let frame = built("10.0.0.1 to 10.0.0.2 udp 1 to 53 length 61").unwrap();
        let (link, packet) = ethernet::Header::parse(&frame).unwrap();
        assert_eq!((link.destination.0[5], link.source.0[5]), (2, 1));
        let (ip, segment) = ipv4::Header::parse(packet).unwrap();
        assert!(checksum::verify(&packet[..20]) && ip.total_length() == 47);
        assert!(checksum::verify_udp_v4(ip.source(), ip.destination(), segment));
        let frame = built("fe80::1 to fe80::2 icmp length 101").unwrap();
        let (ip, message) = ipv6::Header::parse(&frame[14..]).unwrap();
        assert!(checksum::verify_icmpv6(ip.source(), ip.destination(), message));
        let frame = built("10.0.0.1 to 10.0.0.2 icmp").unwrap();
        assert!(checksum::verify(&frame[34..42]));
    }

    #[test]
    fn tunnels_are_what_a_vtep_takes() {
        let inner = "02:00:00:00:00:03 to 02:00:00:00:00:04 length 50";
        let vtep = Vtep { gre: true, ..Vtep::vxlan([192, 0, 2, 1].into(), 4789) };
        for tunnel in ["vxlan 101", "vxlan 101 group 9", "gre", "gre 7", "nvgre 101"] {
            let frame = built(&format!("192.0.2.2 to 192.0.2.1 {tunnel} {inner}")).unwrap();
            let length = frame.len();
            let received = Received { length, ipv4_verified: false, udp_verified: false };
            let Ok(Outer::Tunnel(found)) = decapsulate(&frame, &vtep, received) else {
                panic!("{tunnel}")
            };
            assert_eq!(found.end - found.offset, 50, "{tunnel}");
            assert_eq!(frame[found.offset + 5], 4);
        }
    }
}
