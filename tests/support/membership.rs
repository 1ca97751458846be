//! IGMP and MLD, built without Ferry's own code.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::frames::{internet_sum, mac};

/// Kinds of records (RFC 3376 section 4.2.12).
pub const IS_IN: u8 = 1;
pub const IS_EX: u8 = 2;
pub const TO_IN: u8 = 3;
pub const TO_EX: u8 = 4;
pub const ALLOW: u8 = 5;
pub const BLOCK: u8 = 6;

const ALL_SYSTEMS: [u8; 4] = [224, 0, 0, 1];

/// The MAC of an IPv4 group.
pub fn group_mac(group: [u8; 4]) -> [u8; 6] {
    [1, 0, 0x5e, group[1] & 0x7f, group[2], group[3]]
}

/// A station: the number of its MAC, and its address.
pub type Station = (u8, [u8; 4]);

/// An IGMP message, its checksum made right, time to live 1, with the router alert option.
pub fn igmp((number, from): Station, to: [u8; 4], message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let sum = !internet_sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [group_mac(to), mac(number)].concat();
    frame.extend([8, 0, 0x46, 0xc0]);
    frame.extend((message.len() as u16 + 24).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 1, 2, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    frame.extend([0x94, 4, 0, 0]);
    super::frames::fix_ip_checksum(&mut frame);
    frame.extend(message);
    frame.resize(frame.len().max(60), 0);
    frame
}

pub fn report1(from: Station, group: [u8; 4]) -> Vec<u8> {
    igmp(from, group, &[&[0x12, 0, 0, 0], &group[..]].concat())
}

pub fn report2(from: Station, group: [u8; 4]) -> Vec<u8> {
    igmp(from, group, &[&[0x16, 0, 0, 0], &group[..]].concat())
}

pub fn leave2(from: Station, group: [u8; 4]) -> Vec<u8> {
    igmp(from, [224, 0, 0, 2], &[&[0x17, 0, 0, 0], &group[..]].concat())
}

/// A record of an IGMPv3 report: its kind, the group, the sources.
pub type Record<'s> = (u8, [u8; 4], &'s [[u8; 4]]);

pub fn report3(from: Station, records: &[Record]) -> Vec<u8> {
    let mut message = vec![0x22, 0, 0, 0, 0, 0];
    message.extend((records.len() as u16).to_be_bytes());
    for (kind, group, sources) in records {
        message.extend([*kind, 0]);
        message.extend((sources.len() as u16).to_be_bytes());
        message.extend(group);
        message.extend(sources.concat());
    }
    igmp(from, [224, 0, 0, 22], &message)
}

/// An IGMPv2 query for all groups or one, with its maximum response time in tenths of a second.
pub fn query2(from: Station, group: Option<[u8; 4]>, tenths: u8) -> Vec<u8> {
    let message = [&[0x11, tenths, 0, 0], &group.unwrap_or_default()[..]].concat();
    igmp(from, group.unwrap_or(ALL_SYSTEMS), &message)
}

/// An IGMPv3 query, with robustness 2 and 125 seconds between general ones.
pub fn query3(from: Station, group: Option<[u8; 4]>, tenths: u8, sources: &[[u8; 4]]) -> Vec<u8> {
    let mut message = [&[0x11, tenths, 0, 0], &group.unwrap_or_default()[..], &[2, 125]].concat();
    message.extend((sources.len() as u16).to_be_bytes());
    message.extend(sources.concat());
    igmp(from, group.unwrap_or(ALL_SYSTEMS), &message)
}

/// UDP from a station to an IPv4 group.
pub fn stream((number, from): Station, group: [u8; 4]) -> Vec<u8> {
    let payload = b"a stream's payload, long enough";
    super::frames::udp(group_mac(group), mac(number), (from, group), (5000, 5000), payload)
}

fn ip6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

fn group_mac6(group: [u8; 16]) -> [u8; 6] {
    [0x33, 0x33, group[12], group[13], group[14], group[15]]
}

/// An MLD message behind a router alert, its checksum made right, hop limit 1.
pub fn mld((number, from): (u8, &str), to: &str, message: &[u8]) -> Vec<u8> {
    let (from, to) = (ip6(from), ip6(to));
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let mut sum = [from, to].concat();
    sum.extend([0, 0, 0, message.len() as u8, 0, 0, 0, 58]);
    sum.extend(&message);
    let sum = !internet_sum(&sum);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [group_mac6(to), mac(number)].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((message.len() as u16 + 8).to_be_bytes());
    frame.extend([0, 1]);
    frame.extend(from);
    frame.extend(to);
    frame.extend([58, 0, 5, 2, 0, 0, 1, 0]);
    frame.extend(message);
    frame
}

/// An MLDv1 message: a report (131) or done (132) of a group.
pub fn mld1(from: (u8, &str), kind: u8, group: &str) -> Vec<u8> {
    let to = if kind == 132 { "ff02::2" } else { group };
    mld(from, to, &[&[kind, 0, 0, 0, 0, 0, 0, 0], &ip6(group)[..]].concat())
}

/// An MLDv2 report with one record.
pub fn mld2(from: (u8, &str), kind: u8, group: &str, sources: &[&str]) -> Vec<u8> {
    let mut message = vec![143, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, sources.len() as u8];
    message.extend(ip6(group));
    message.extend(sources.iter().flat_map(|source| ip6(source)));
    mld(from, "ff02::16", &message)
}

/// An MLDv2 query for all groups or one, with its maximum response time in milliseconds.
pub fn mld_query(from: (u8, &str), group: Option<&str>, milliseconds: u16) -> Vec<u8> {
    let mut message = vec![130, 0, 0, 0];
    message.extend(milliseconds.to_be_bytes());
    message.extend([0, 0]);
    message.extend(ip6(group.unwrap_or("::")));
    message.extend([2, 125, 0, 0]);
    mld(from, group.unwrap_or("ff02::1"), &message)
}

/// UDP from a station to an IPv6 group.
pub fn stream6((number, from): (u8, &str), group: &str) -> Vec<u8> {
    let mut frame = super::frames::ipv6(group_mac6(ip6(group)), 17, &[0; 24]);
    frame[6..12].copy_from_slice(&mac(number));
    frame[22..38].copy_from_slice(&ip6(from));
    frame[38..54].copy_from_slice(&ip6(group));
    frame
}

/// Rows of `ferry show groups` of a kind, as `group place`; the place is `port`, `port.vlan`, the peer's address, or `here`.
pub fn rows(ferry: &super::Ferry, kind: &str) -> Vec<String> {
    let groups = ferry.show("groups");
    let rows = groups.as_array().unwrap().iter().filter(|row| row["kind"] == kind);
    let mut rows: Vec<_> = rows
        .map(|row| {
            let place = match (row["port"].as_str(), row["vlan"].as_u64()) {
                (Some(port), Some(vlan)) => format!("{port}.{vlan}"),
                (Some(port), None) => port.to_owned(),
                _ => row["peer"].as_str().unwrap_or("here").to_owned(),
            };
            format!("{} {place}", row["group"].as_str().unwrap_or("-"))
        })
        .collect();
    rows.sort();
    rows
}

/// Waits until these are the learned members, in ascending order.
pub fn expect_members(ferry: &super::Ferry, expected: &[&str]) {
    let end = Instant::now() + Duration::from_secs(10);
    while rows(ferry, "learned") != expected {
        assert!(Instant::now() < end, "not {expected:?}, but {:?}", rows(ferry, "learned"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn address(text: &str) -> [u8; 4] {
    text.parse::<Ipv4Addr>().unwrap().octets()
}
