//! Packets that do not fit and what their senders are told, built and read without Ferry's own code.

use super::frames::{VTEP, VTEP6, internet_sum, ipv4, udp};
use super::neighbours::icmpv6;

/// UDP over IPv4 that must stay whole, of so many bytes from the IP header on.
pub fn datagram(
    to: [u8; 6],
    from: [u8; 6],
    addresses: ([u8; 4], [u8; 4]),
    length: usize,
) -> Vec<u8> {
    udp(to, from, addresses, (1000, 2000), &vec![0x5a; length - 28])
}

/// The same over IPv6: an echo request, as nothing depends on what it is.
pub fn echo6(
    to: [u8; 6],
    from: [u8; 6],
    addresses: ([u8; 16], [u8; 16]),
    length: usize,
) -> Vec<u8> {
    let mut message = vec![128, 0, 0, 0, 0, 1, 0, 1];
    message.resize(length - 40, 0x5a);
    icmpv6((to, from), addresses, &message)
}

/// What a sender was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooBig {
    pub to: [u8; 6],
    pub from: [u8; 6],
    pub source: Vec<u8>,
    pub destination: Vec<u8>,
    pub mtu: u32,
    pub quoted: Vec<u8>,
}

/// Whether a frame says that another did not fit.
pub fn is_too_big(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([8, 0]) => frame.get(23) == Some(&1) && frame.get(34..36) == Some(&[3, 4]),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && frame.get(54) == Some(&2),
        _ => false,
    }
}

/// Reads such a frame, of which everything must be right.
pub fn open_too_big(frame: &[u8]) -> TooBig {
    let addresses = |at: usize, length: usize| {
        (frame[at..at + length].to_vec(), frame[at + length..at + 2 * length].to_vec())
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let (source, destination, message) = if frame[12..14] == [8, 0] {
        assert_eq!(frame[14], 0x45, "IPv4 without options");
        assert_eq!(number(&frame[16..18]) as usize, frame.len() - 14, "total length");
        assert!(frame.len() - 14 <= 576, "as long as any host takes");
        assert_eq!(internet_sum(&frame[14..34]), 0xffff, "IPv4 checksum");
        assert_eq!(internet_sum(&frame[34..]), 0xffff, "ICMP checksum");
        let (source, destination) = addresses(26, 4);
        assert_eq!(frame[34..40], [3, 4, frame[36], frame[37], 0, 0], "fragmentation needed");
        (source, destination, &frame[34..])
    } else {
        assert_eq!(frame[12..15], [0x86, 0xdd, 0x60]);
        let length = number(&frame[18..20]);
        assert_eq!(length as usize, frame.len() - 54, "payload length");
        assert!(frame.len() - 14 <= 1280, "as long as any link takes");
        let (source, destination) = addresses(22, 16);
        let mut summed = [source.clone(), destination.clone()].concat();
        summed.extend(length.to_be_bytes());
        summed.extend([0, 0, 0, 58]);
        summed.extend(&frame[54..]);
        assert_eq!(internet_sum(&summed), 0xffff, "ICMPv6 checksum");
        assert_eq!(frame[54..56], [2, 0], "packet too big");
        (source, destination, &frame[54..])
    };
    TooBig {
        to: std::array::from_fn(|at| frame[at]),
        from: std::array::from_fn(|at| frame[6 + at]),
        source,
        destination,
        mtu: number(&message[4..8]),
        quoted: message[8..].to_vec(),
    }
}

/// What a router says to `to`, which is Ferry's MAC, of a packet from its VTEP: that no more than `mtu` bytes fit. It quotes
/// as little as it may.
pub fn router_says(to: [u8; 6], packet: &[u8], mtu: u16) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let router = [2, 0, 0, 0, 0x11, 0xfe];
    if packet[12..14] == [8, 0] {
        let mut message = vec![3, 4, 0, 0, 0, 0, high, low];
        message.extend(&packet[14..42]);
        let sum = !internet_sum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ipv4(to, router, ([192, 0, 2, 254], VTEP), 1, &message)
    } else {
        let mut message = vec![2, 0, 0, 0, 0, 0, high, low];
        message.extend(&packet[14..62]);
        let mut from = VTEP6;
        from[15] = 0xfe;
        icmpv6((to, router), (from, VTEP6), &message)
    }
}
