//! What a frame is, in a line: its stations, tags, and what its headers say.

use std::fmt::Write;

use crate::wire::{arp, ethernet, ipv4, ipv6};

const ICMP: u8 = 1;
const GRE: u8 = 47;

/// A frame, or its first bytes.
pub fn describe(frame: &[u8]) -> String {
    let Ok((header, mut rest)) = ethernet::Header::parse(frame) else {
        return "no whole Ethernet header".to_owned();
    };
    let mut text = format!("{} to {}", header.source, header.destination);
    let mut ethertype = header.ethertype.get();
    while ethernet::is_tag(ethertype)
        && let Ok((tag, behind)) = ethernet::Tag::parse(rest)
    {
        let _ = write!(text, ", VLAN {}", tag.id());
        (ethertype, rest) = (tag.ethertype.get(), behind);
    }
    text + ", " + &payload(ethertype, rest)
}

fn payload(ethertype: u16, bytes: &[u8]) -> String {
    let known = match ethertype {
        ethernet::ethertype::ARP => arp::Packet::parse(bytes).ok().map(|(packet, _)| {
            let (sender, target) = (packet.sender(), packet.target());
            match packet.operation.get() {
                arp::Packet::REQUEST => format!("ARP who-has {target} tell {sender}"),
                _ => format!("ARP {sender} is at {}", packet.sender_mac),
            }
        }),
        ethernet::ethertype::IPV4 => ipv4::Header::parse(bytes).ok().map(|(ip, behind)| {
            let behind = if ip.is_later_fragment() { &[][..] } else { behind };
            let fragment = if ip.is_fragment() { ", fragment" } else { "" };
            let upper = upper(ip.protocol, behind);
            format!("IPv4 {} to {}, {upper}{fragment}", ip.source(), ip.destination())
        }),
        ethernet::ethertype::IPV6 => ipv6::Header::parse(bytes).ok().map(|(ip, behind)| {
            let upper = match ip.upper_layer(behind) {
                Some((protocol, behind)) => upper(protocol, behind),
                None => "fragment".to_owned(),
            };
            format!("IPv6 {} to {}, {upper}", ip.source(), ip.destination())
        }),
        _ => None,
    };
    known.unwrap_or_else(|| format!("EtherType 0x{ethertype:04x}"))
}

fn upper(protocol: u8, bytes: &[u8]) -> String {
    let name = match protocol {
        ipv4::TCP => "TCP",
        ipv4::UDP => "UDP",
        ICMP | ipv6::ICMPV6 => {
            let kind = bytes.first().map_or(String::new(), |kind| format!(" type {kind}"));
            return format!("ICMP{kind}");
        }
        GRE => return "GRE".to_owned(),
        other => return format!("protocol {other}"),
    };
    match bytes.first_chunk() {
        Some(&[a, b, c, d]) => {
            let port = u16::from_be_bytes;
            format!("{name} {} to {}", port([a, b]), port([c, d]))
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::frame::parse;

    #[test]
    fn what_was_said_in_words_is_told_in_words() {
        let macs = "02:00:00:00:00:01 to 02:00:00:00:00:02";
        for (said, told) in [
            (
                "vlan 10 arp who-has 10.0.0.2 tell 10.0.0.1",
                "VLAN 10, ARP who-has 10.0.0.2 tell 10.0.0.1",
            ),
            (
                "vlan 5 vlan 6 10.0.0.1 to 10.0.0.2 udp 5 to 53",
                "VLAN 5, VLAN 6, IPv4 10.0.0.1 to 10.0.0.2, UDP 5 to 53",
            ),
            ("fd00::1 to fd00::2 tcp 5 to 80", "IPv6 fd00::1 to fd00::2, TCP 5 to 80"),
            ("10.0.0.1 to 10.0.0.2 icmp", "IPv4 10.0.0.1 to 10.0.0.2, ICMP type 8"),
        ] {
            let words: Vec<_> = format!("{macs} {said}").split(' ').map(str::to_owned).collect();
            let frame = parse(&words).unwrap();
            assert_eq!(describe(&frame), format!("{macs}, {told}"));
            // Cut off anywhere it says something.
            (0..frame.len()).for_each(|end| assert!(!describe(&frame[..end]).is_empty()));
        }
        assert_eq!(describe(&[0; 13]), "no whole Ethernet header");
    }
}
