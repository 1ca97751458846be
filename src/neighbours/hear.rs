//! What a frame says of addresses, and what it asks.

use std::net::IpAddr;

use super::address::Address;
use super::record::Kind;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::{MacAddr, arp, dhcp, ipv4, ipv6, nd, udp};

/// A station's word, or a server's, on where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address.
    pub address: Address,
    /// Its MAC.
    pub mac: MacAddr,
    /// Where that is said.
    pub kind: Kind,
    /// Whether it is a router's, where that is said.
    pub router: Option<bool>,
    /// Whether it replaces what was known (RFC 4861 section 7.2.5: not if the override flag is clear).
    pub overrides: bool,
}

/// What a frame says and asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub claim: Option<Claim>,
    /// Whose MAC it asks everybody for, and tells its own with it. Who asks one station wants to know whether that is there; who
    /// asks for its own address, or without having one, wants to know who else has it (RFC 5227, RFC 4862): nobody else can answer
    /// that.
    pub asked: Option<Address>,
}

/// Whether [`hear`] may understand something of a frame: ARP, ICMPv6, and UDP to DHCP clients over IPv4. Tells most other
/// frames apart by a few bytes, among them the tenants' own UDP.
#[inline(always)]
pub fn concerns(frame: &[u8]) -> bool {
    let Some(header) = frame.first_chunk::<38>() else { return false };
    match u16::from_be_bytes([header[12], header[13]]) {
        ethertype::ARP => true,
        ethertype::IPV6 => header[20] == ipv6::ICMPV6,
        ethertype::IPV4 => {
            let has_options = header[14] != 0x45;
            let port = u16::from_be_bytes([header[36], header[37]]);
            header[23] == ipv4::UDP && (has_options || port == dhcp::CLIENT_PORT)
        }
        _ => false,
    }
}

/// What an untagged frame says and asks. Damaged packets, which stations discard, say nothing.
///
/// Inlined with ARP: as a whole, the answer is copied by wider loads than the stores that made it, which waits for those.
#[inline(always)]
pub fn hear(frame: &[u8]) -> Heard {
    let Ok((header, packet)) = ethernet::Header::parse(frame) else { return Heard::default() };
    let mut heard = match header.ethertype.get() {
        ethertype::ARP => in_arp(packet).unwrap_or_default(),
        ethertype::IPV6 => in_ipv6(packet).unwrap_or_default(),
        ethertype::IPV4 => Heard { claim: in_ipv4(packet), asked: None },
        _ => Heard::default(),
    };
    if !header.destination.is_multicast() {
        heard.asked = None;
    }
    heard
}

fn is_station(mac: MacAddr) -> bool {
    !mac.is_multicast() && !mac.is_zero()
}

#[inline(always)]
fn in_arp(packet: &[u8]) -> Option<Heard> {
    let (packet, _) = arp::Packet::parse(packet).ok()?;
    let asks = match packet.operation.get() {
        arp::Packet::REQUEST => true,
        arp::Packet::REPLY => false,
        _ => return None,
    };
    let mac = Some(packet.sender_mac).filter(|mac| is_station(*mac))?;
    // A probe has none (RFC 5227 section 2.1.1).
    let address = Address::of_ipv4(packet.sender())?;
    let claim = Claim { address, mac, kind: Kind::Arp, router: None, overrides: true };
    let asked = Address::of_ipv4(packet.target()).filter(|asked| asks && *asked != address);
    Some(Heard { claim: Some(claim), asked })
}

#[inline(never)]
fn in_ipv6(packet: &[u8]) -> Option<Heard> {
    let (ip, rest) = ipv6::Header::parse(packet).ok()?;
    if ip.next_header != ipv6::ICMPV6 {
        return None;
    }
    let claim = |ip, mac: Option<MacAddr>, router, overrides| {
        let address = Address::of_station(IpAddr::V6(ip))?;
        let mac = mac.filter(|mac| is_station(*mac))?;
        Some(Claim { address, mac, kind: Kind::Nd, router, overrides })
    };
    match nd::Message::parse(ip, rest).ok()?? {
        nd::Message::Solicitation { target, source } => {
            // One that looks for duplicates has no source.
            let claim = claim(ip.source(), source, None, true)?;
            let asked = Address::of_ipv6(target).filter(|asked| *asked != claim.address);
            Some(Heard { claim: Some(claim), asked })
        }
        nd::Message::Advertisement { target, mac, router, overrides } => {
            Some(Heard { claim: claim(target, mac, Some(router), overrides), asked: None })
        }
        nd::Message::Router { source } => {
            Some(Heard { claim: claim(ip.source(), source, Some(true), true), asked: None })
        }
    }
}

#[inline(never)]
fn in_ipv4(packet: &[u8]) -> Option<Claim> {
    let (ip, _) = ipv4::Header::parse(packet).ok()?;
    if ip.protocol != ipv4::UDP || ip.is_fragment() {
        return None;
    }
    let (udp, message) = udp::Header::parse(packet.get(ip.header_length()..)?).ok()?;
    if (udp.source_port.get(), udp.destination_port.get()) != (dhcp::SERVER_PORT, dhcp::CLIENT_PORT)
    {
        return None;
    }
    let (message, options) = dhcp::Message::parse(message).ok()?;
    let (address, mac) = message.acknowledges(options)?;
    let address = Address::of_ipv4(address)?;
    is_station(mac).then_some(Claim {
        address,
        mac,
        kind: Kind::Dhcp,
        router: None,
        overrides: true,
    })
}
