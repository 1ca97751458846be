//! What routers of the underlay say of packets of ours that are too big for the path.

use std::net::IpAddr;

use crate::tunnel::Vtep;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::flow::FIRST_ENTROPY_PORT;
use crate::wire::{checksum, gre, icmp, ipv4, ipv6, udp};

/// A router's word on the way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The peer that the packet was for.
    pub peer: IpAddr,
    /// The UDP port that it was for; `None`: it was GRE.
    pub udp_port: Option<u16>,
    /// The largest packet that the path is said to carry, in bytes.
    pub mtu: u16,
}

impl Report {
    /// Reads a frame that came to this VTEP. `None` where it says nothing of that kind, or what nobody could say of a
    /// packet of ours: that is how a forged word is told from a router's, who alone has seen one.
    pub fn read(frame: &[u8], vtep: &Vtep) -> Option<Self> {
        let (header, packet) = ethernet::Header::parse(frame).ok()?;
        match header.ethertype.get() {
            ethertype::IPV4 => over_ipv4(packet, vtep),
            ethertype::IPV6 => over_ipv6(packet, vtep),
            _ => None,
        }
    }
}

fn over_ipv4(packet: &[u8], vtep: &Vtep) -> Option<Report> {
    let (ip, _) = ipv4::Header::parse(packet).ok()?;
    let to_us = ip.destination() == vtep.address && ip.protocol == icmp::PROTOCOL;
    if !to_us || ip.is_fragment() {
        return None;
    }
    let message = packet.get(ip.header_length()..ip.total_length())?;
    let (header, quoted) = icmp::Header::parse(message).ok()?;
    let mtu = header.mtu_v4()?;
    if !checksum::verify(message) {
        return None;
    }
    let (ours, _) = ipv4::Header::parse(quoted).ok()?;
    let could_be = ours.source() == vtep.address
        && ours.dont_fragment()
        && !ours.is_later_fragment()
        && ours.total_length() > usize::from(mtu);
    let peer = ours.destination().into();
    let payload = quoted.get(ours.header_length()..).filter(|_| could_be)?;
    Some(Report { peer, udp_port: port_of(ours.protocol, payload)?, mtu })
}

fn over_ipv6(packet: &[u8], vtep: &Vtep) -> Option<Report> {
    let (ip, rest) = ipv6::Header::parse(packet).ok()?;
    if Some(ip.destination()) != vtep.ipv6 || ip.next_header != ipv6::ICMPV6 {
        return None;
    }
    let message = rest.get(..ip.payload_length())?;
    let (header, quoted) = icmp::Header::parse(message).ok()?;
    let mtu = u16::try_from(header.mtu_v6()?).ok()?;
    if !checksum::verify_icmpv6(ip.source(), ip.destination(), message) {
        return None;
    }
    let (ours, payload) = ipv6::Header::parse(quoted).ok()?;
    let could_be =
        Some(ours.source()) == vtep.ipv6 && ipv6::LENGTH + ours.payload_length() > usize::from(mtu);
    let peer = ours.destination().into();
    let payload = Some(payload).filter(|_| could_be)?;
    Some(Report { peer, udp_port: port_of(ours.next_header, payload)?, mtu })
}

/// The UDP port of a tunnel packet, or that it is GRE; `None` where it is none of ours.
fn port_of(protocol: u8, payload: &[u8]) -> Option<Option<u16>> {
    match protocol {
        ipv4::UDP => {
            let (udp, _) = udp::Header::parse(payload).ok()?;
            let ours = udp.source_port.get() >= FIRST_ENTROPY_PORT;
            ours.then(|| Some(udp.destination_port.get()))
        }
        gre::PROTOCOL => {
            let (gre, _) = gre::Header::parse(payload).ok()?;
            (gre.protocol.get() == gre::ETHERNET).then_some(None)
        }
        _ => None,
    }
}
