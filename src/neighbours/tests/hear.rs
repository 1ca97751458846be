//! Which frames say and ask what; and that an answer says what was asked.

use std::net::IpAddr;

use crate::neighbours::{Address, Binding, Claim, Heard, Kind, answer, concerns, hear};
use crate::wire::{MacAddr, checksum};

const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const GROUP: MacAddr = MacAddr::BROADCAST;

fn address(text: &str) -> Address {
    Address::of_station(text.parse().unwrap()).unwrap()
}

fn frame(to: MacAddr, ethertype: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [&to.0[..], &ASKER.0, &ethertype, packet].concat()
}

fn arp(to: MacAddr, operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
    packet.extend(ASKER.0);
    packet.extend(sender);
    packet.extend([0; 6]);
    packet.extend(target);
    packet.extend([0; 18]);
    frame(to, [8, 6], &packet)
}

/// A neighbour discovery message from one address to another, checksum right.
fn nd(to: MacAddr, from: &str, destination: &str, message: &[u8]) -> Vec<u8> {
    let octets = |text: &str| match text.parse().unwrap() {
        IpAddr::V6(ip) => ip,
        IpAddr::V4(_) => panic!("{text}"),
    };
    let (from, destination) = (octets(from), octets(destination));
    let mut message = message.to_vec();
    let sum = checksum::compute_icmpv6(from, destination, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
    packet.extend(from.octets());
    packet.extend(destination.octets());
    packet.extend(message);
    frame(to, [0x86, 0xdd], &packet)
}

fn about(kind: u8, flags: u8, target: &str, option: u8) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    let target: std::net::Ipv6Addr = target.parse().unwrap();
    message.extend(target.octets());
    if option != 0 {
        message.extend([option, 1]);
        message.extend(ASKER.0);
    }
    message
}

fn dhcp(source_port: u8, kind: u8) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[16..20].copy_from_slice(&[10, 0, 0, 7]);
    message[28..34].copy_from_slice(&ASKER.0);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, kind, 255]);
    let length = (8 + message.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + length).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 254, 255, 255, 255, 255]);
    packet.extend([0, source_port, 0, 68]);
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(message);
    frame(GROUP, [8, 0], &packet)
}

fn claim(ip: &str, kind: Kind, router: Option<bool>) -> Option<Claim> {
    Some(Claim { address: address(ip), mac: ASKER, kind, router, overrides: true })
}

const NOTHING: Heard = Heard { claim: None, asked: None };
const ONE: [u8; 4] = [10, 0, 0, 1];
const TWO: [u8; 4] = [10, 0, 0, 2];

#[test]
fn arp_says_and_asks() {
    let said = claim("10.0.0.1", Kind::Arp, None);
    let request = Heard { claim: said, asked: Some(address("10.0.0.2")) };
    let word = Heard { claim: said, asked: None };
    for (what, frame, heard) in [
        ("a request", arp(GROUP, 1, ONE, TWO), request),
        ("a request to one station", arp(OTHER, 1, ONE, TWO), word),
        ("a reply", arp(OTHER, 2, ONE, TWO), word),
        ("a gratuitous request", arp(GROUP, 1, ONE, ONE), word),
        ("a gratuitous reply", arp(GROUP, 2, ONE, ONE), word),
        ("a probe", arp(GROUP, 1, [0; 4], TWO), NOTHING),
        ("RARP", arp(GROUP, 3, ONE, TWO), NOTHING),
        ("a sender of a group", arp(GROUP, 1, [224, 0, 0, 1], TWO), NOTHING),
        ("a target of a group", arp(GROUP, 1, ONE, [224, 0, 0, 1]), word),
    ] {
        assert_eq!(hear(&frame), heard, "{what}");
        assert!(concerns(&frame), "{what}");
    }
    let mut group = arp(GROUP, 1, ONE, TWO);
    group[22] = 3;
    assert_eq!(hear(&group), NOTHING, "the MAC of a group");
    assert_eq!(hear(&arp(GROUP, 1, ONE, TWO)[..41]), NOTHING, "cut off");
}

#[test]
fn neighbour_discovery_says_and_asks() {
    let (all, from) = ("ff02::1:ff00:2", "fe80::1");
    let said = claim(from, Kind::Nd, None);
    let target = |router, overrides| Heard {
        claim: claim("fd00::2", Kind::Nd, Some(router)).map(|claim| Claim { overrides, ..claim }),
        asked: None,
    };
    let word = Heard { claim: said, asked: None };
    for (what, frame, heard) in [
        (
            "a solicitation",
            nd(GROUP, from, all, &about(135, 0, "fd00::2", 1)),
            Heard { claim: said, asked: Some(address("fd00::2")) },
        ),
        ("one to one station", nd(OTHER, from, "fd00::2", &about(135, 0, "fd00::2", 1)), word),
        (
            "one that looks for duplicates",
            nd(GROUP, "::", all, &about(135, 0, "fd00::2", 0)),
            NOTHING,
        ),
        ("one without a MAC", nd(GROUP, from, all, &about(135, 0, "fd00::2", 0)), NOTHING),
        ("one for itself", nd(GROUP, from, all, &about(135, 0, from, 1)), word),
        (
            "an advertisement",
            nd(OTHER, from, "fd00::9", &about(136, 0x60, "fd00::2", 2)),
            target(false, true),
        ),
        (
            "a router's",
            nd(OTHER, from, "fd00::9", &about(136, 0xe0, "fd00::2", 2)),
            target(true, true),
        ),
        (
            "a proxy's",
            nd(GROUP, from, "ff02::1", &about(136, 0, "fd00::2", 2)),
            target(false, false),
        ),
        (
            "one that names no MAC",
            nd(OTHER, from, "fd00::9", &about(136, 0x60, "fd00::2", 0)),
            NOTHING,
        ),
    ] {
        assert_eq!(hear(&frame), heard, "{what}");
        assert!(concerns(&frame), "{what}");
    }
    let mut router = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    router.extend(ASKER.0);
    let heard = Heard { claim: claim(from, Kind::Nd, Some(true)), asked: None };
    assert_eq!(hear(&nd(GROUP, from, "ff02::1", &router)), heard);
    let mut damaged = nd(GROUP, from, all, &about(135, 0, "fd00::2", 1));
    damaged[70] ^= 1;
    assert_eq!(hear(&damaged), NOTHING);
}

#[test]
fn dhcp_says_who_got_what() {
    let heard = Heard { claim: claim("10.0.0.7", Kind::Dhcp, None), asked: None };
    assert_eq!(hear(&dhcp(67, 5)), heard);
    assert!(concerns(&dhcp(67, 5)));
    let mut other = dhcp(67, 5);
    other[37] = 69;
    assert!(!concerns(&other), "the tenants' own UDP");
    other[14] = 0x46;
    assert!(concerns(&other), "its ports are elsewhere");
    assert_eq!(hear(&dhcp(67, 2)), NOTHING, "an offer");
    assert_eq!(hear(&dhcp(66, 5)), NOTHING, "not from the server's port");
    let mut fragment = dhcp(67, 5);
    fragment[20] = 0x20;
    assert_eq!(hear(&fragment), NOTHING);
}

#[test]
fn other_frames_say_nothing() {
    for ethertype in [[0x88, 0xb5], [0x81, 0x00], [0x08, 0x00], [0x86, 0xdd]] {
        let frame = frame(GROUP, ethertype, &[0; 46]);
        assert_eq!(hear(&frame), NOTHING);
        assert!(!concerns(&frame));
    }
    assert!(!concerns(&[]));
    assert_eq!(hear(&[]), NOTHING);
}

#[test]
fn an_answer_says_what_was_asked_and_nothing_else() {
    let binding = Binding { mac: OTHER, kind: Kind::Static, router: true };
    let requests = [
        arp(GROUP, 1, ONE, TWO),
        nd(GROUP, "fe80::1", "ff02::1:ff00:2", &about(135, 0, "fd00::2", 1)),
    ];
    for (mut frame, length) in requests.into_iter().zip([60, 86]) {
        let asked = hear(&frame).asked.unwrap();
        assert_eq!(answer(&mut frame, ASKER, asked, binding), Some(length));
        assert_eq!(frame[..12], [ASKER.0, OTHER.0].concat());
        let Heard { claim, asked: None } = hear(&frame[..length]) else { panic!("{frame:02x?}") };
        let claim = claim.unwrap();
        assert_eq!((claim.address, claim.mac), (asked, OTHER));
        assert!(claim.router.unwrap_or(true));
    }
}

#[test]
fn an_answer_that_has_no_room_changes_nothing() {
    let mut frame = nd(GROUP, "fe80::1", "ff02::1:ff00:2", &about(135, 0, "fd00::2", 1));
    let asked = hear(&frame).asked.unwrap();
    let binding = Binding { mac: OTHER, kind: Kind::Nd, router: false };
    frame.truncate(85);
    let before = frame.clone();
    assert_eq!(answer(&mut frame, ASKER, asked, binding), None);
    assert_eq!(frame, before);
}
