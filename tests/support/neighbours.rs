//! ARP, neighbour discovery and DHCP, built without Ferry's own code.

use super::frames::{BROADCAST, internet_sum, udp};

pub const REQUEST: u8 = 1;
pub const REPLY: u8 = 2;

/// An ARP frame, padded to the least length; `speaker` says its MAC and address, `about` is whose MAC and address it
/// is about.
pub fn arp(
    to: [u8; 6],
    operation: u8,
    speaker: ([u8; 6], [u8; 4]),
    about: ([u8; 6], [u8; 4]),
) -> Vec<u8> {
    let mut frame = [to, speaker.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(speaker.0);
    frame.extend(speaker.1);
    frame.extend(about.0);
    frame.extend(about.1);
    frame.resize(60, 0);
    frame
}

/// The broadcast that asks who has an address.
pub fn who_has(target: [u8; 4], asker: ([u8; 6], [u8; 4])) -> Vec<u8> {
    arp(BROADCAST, REQUEST, asker, ([0; 6], target))
}

/// fd00::N.
pub fn fd(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = 0xfd;
    address[15] = last;
    address
}

/// The solicited-node group of an address (RFC 4291 section 2.7.1), and its MAC.
pub fn solicited_node(target: [u8; 16]) -> ([u8; 6], [u8; 16]) {
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&target[13..]);
    ([0x33, 0x33, 0xff, target[13], target[14], target[15]], group)
}

/// An ICMPv6 message, checksum right, hop limit 255.
pub fn icmpv6(
    (to, from): ([u8; 6], [u8; 6]),
    (source, destination): ([u8; 16], [u8; 16]),
    message: &[u8],
) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(source);
    frame.extend(destination);
    let mut sum = [source, destination].concat();
    sum.extend([0, 0, 0, message.len() as u8, 0, 0, 0, 58]);
    sum.extend(message);
    frame.extend(message);
    frame[56..58].copy_from_slice(&(!internet_sum(&sum)).to_be_bytes());
    frame
}

fn message(kind: u8, flags: u8, target: [u8; 16], option: u8, mac: Option<[u8; 6]>) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target);
    if let Some(mac) = mac {
        message.extend([option, 1]);
        message.extend(mac);
    }
    message
}

/// The multicast that asks who has an address.
pub fn solicitation(target: [u8; 16], asker: ([u8; 6], [u8; 16])) -> Vec<u8> {
    let (mac, group) = solicited_node(target);
    icmpv6((mac, asker.0), (asker.1, group), &message(135, 0, target, 1, Some(asker.0)))
}

/// The multicast that looks for duplicates (RFC 4862 section 5.4.2).
pub fn duplicate_detection(target: [u8; 16], asker: [u8; 6]) -> Vec<u8> {
    let (mac, group) = solicited_node(target);
    icmpv6((mac, asker), ([0; 16], group), &message(135, 0, target, 1, None))
}

/// Flags of an advertisement.
pub const ROUTER: u8 = 0x80;
pub const SOLICITED: u8 = 0x40;
pub const OVERRIDE: u8 = 0x20;

/// An advertisement of an address and its MAC, from there to a station.
pub fn advertisement(
    to: ([u8; 6], [u8; 16]),
    flags: u8,
    (mac, address): ([u8; 6], [u8; 16]),
) -> Vec<u8> {
    icmpv6((to.0, mac), (address, to.1), &message(136, flags, address, 2, Some(mac)))
}

/// All nodes: ff02::1 and its MAC.
pub const ALL_NODES: ([u8; 6], [u8; 16]) =
    ([0x33, 0x33, 0, 0, 0, 1], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// A DHCP server's message of a type, which gives an address to a client.
pub fn dhcp(server: [u8; 6], client: [u8; 6], address: [u8; 4], kind: u8) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[16..20].copy_from_slice(&address);
    message[28..34].copy_from_slice(&client);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, kind, 255]);
    udp(client, server, ([10, 0, 0, 254], address), (67, 68), &message)
}
