//! Frames, built without Ferry's own code, so that a shared mistake cannot hide.

use std::time::Duration;

pub const BROADCAST: [u8; 6] = [0xff; 6];

pub fn mac(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0xaa, number]
}

/// An Ethernet frame, filled up to `length` bytes with a pattern.
pub fn ethernet(to: [u8; 6], from: [u8; 6], length: usize) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend([0x88, 0xb5]);
    frame.extend((frame.len()..length).map(|at| at as u8));
    frame
}

/// The same with an 802.1Q tag.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let [high, low] = vlan.to_be_bytes();
    frame.splice(12..12, [0x81, 0, high, low]);
    frame
}

/// UDP over IPv4 over Ethernet, checksums right.
pub fn udp(
    to: [u8; 6],
    from: [u8; 6],
    addresses: ([u8; 4], [u8; 4]),
    ports: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend((payload.len() as u16 + 8).to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(payload);
    ipv4(to, from, addresses, 17, &segment)
}

pub fn ipv4(
    to: [u8; 6],
    from: [u8; 6],
    (source, destination): ([u8; 4], [u8; 4]),
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((payload.len() as u16 + 20).to_be_bytes());
    frame.extend([0, 7, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(source);
    frame.extend(destination);
    fix_ip_checksum(&mut frame);
    frame.extend(payload);
    frame
}

/// Makes the IPv4 header checksum of an untagged frame right.
pub fn fix_ip_checksum(frame: &mut [u8]) {
    let end = 14 + usize::from(frame[14] & 15) * 4;
    frame[24..26].fill(0);
    let sum = internet_sum(&frame[14..end.min(frame.len())]);
    frame[24..26].copy_from_slice(&(!sum).to_be_bytes());
}

/// The one's-complement sum of RFC 1071.
pub fn internet_sum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    words.fold(0u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    }) as u16
}

pub const VTEP: [u8; 4] = [192, 0, 2, 1];
pub const PEER1: [u8; 4] = [192, 0, 2, 2];
pub const PEER2: [u8; 4] = [192, 0, 2, 3];
pub const PEER1_MAC: [u8; 6] = [2, 0, 0, 0, 0x11, 1];
pub const PEER2_MAC: [u8; 6] = [2, 0, 0, 0, 0x11, 2];

/// A VXLAN packet from a peer to Ferry, whose underlay MAC is `to`.
pub fn vxlan(to: [u8; 6], peer: [u8; 4], vni: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0];
    payload.extend((vni << 8).to_be_bytes());
    payload.extend(inner);
    udp(to, PEER1_MAC, (peer, VTEP), (50_000, 4789), &payload)
}

/// The VNI and the inner frame of a VXLAN packet over plain IPv4, whose headers must all be right, without a UDP checksum.
pub fn open_vxlan(packet: &[u8]) -> (u32, Vec<u8>) {
    assert_eq!(packet[40..42], [0, 0], "no UDP checksum");
    open_any_vxlan(packet)
}

/// The same with a UDP checksum.
pub fn open_summed_vxlan(packet: &[u8]) -> (u32, Vec<u8>) {
    let mut covered = packet[26..34].to_vec();
    covered.extend([0, 17, packet[38], packet[39]]);
    covered.extend(&packet[34..]);
    assert!(packet[40..42] != [0, 0] && internet_sum(&covered) == 0xffff, "E3: {packet:02x?}");
    open_any_vxlan(packet)
}

fn open_any_vxlan(packet: &[u8]) -> (u32, Vec<u8>) {
    assert_eq!(packet[12..15], [0x08, 0x00, 0x45], "IPv4 without options");
    let ip_length = usize::from(u16::from_be_bytes([packet[16], packet[17]]));
    assert_eq!(ip_length, packet.len() - 14, "IPv4 total length");
    assert_eq!(internet_sum(&packet[14..34]), 0xffff, "IPv4 checksum");
    assert_eq!(packet[20..22], [0x40, 0], "don't fragment");
    assert_eq!(packet[22..24], [64, 17], "TTL and UDP");
    assert_eq!(packet[26..30], VTEP, "from the VTEP");
    assert!(u16::from_be_bytes([packet[34], packet[35]]) >= 49152, "dynamic source port");
    assert_eq!(packet[36..38], 4789u16.to_be_bytes());
    assert_eq!(
        usize::from(u16::from_be_bytes([packet[38], packet[39]])),
        ip_length - 20,
        "UDP length"
    );
    assert_eq!(packet[42..46], [8, 0, 0, 0], "I flag, and nothing else");
    assert_eq!(packet[49], 0, "reserved");
    (u32::from_be_bytes([0, packet[46], packet[47], packet[48]]), packet[50..].to_vec())
}

pub fn is_vxlan_to(peer: [u8; 4]) -> impl Fn(&[u8]) -> bool {
    move |packet| packet.len() >= 50 && packet[12..14] == [8, 0] && packet[30..34] == peer
}

/// VTEP addresses over IPv6: 2001:db8::1, and a peer at ::2 with [`PEER1_MAC`].
pub const VTEP6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const PEER6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// A packet of the IPv6 peer to Ferry, whose underlay MAC is `to`.
pub fn ipv6(to: [u8; 6], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to, PEER1_MAC].concat();
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([protocol, 64]);
    frame.extend(PEER6);
    frame.extend(VTEP6);
    frame.extend(payload);
    frame
}

/// Whether UDP, or anything with that kind of checksum, adds up over IPv6.
pub fn udp6_adds_up(packet: &[u8]) -> bool {
    let mut sum = packet[22..54].to_vec();
    sum.extend([0, 0, packet[18], packet[19], 0, 0, 0, packet[20]]);
    sum.extend(&packet[54..]);
    internet_sum(&sum) == 0xffff
}

/// A VXLAN packet from the IPv6 peer, with or without a UDP checksum.
pub fn vxlan6(to: [u8; 6], vni: u32, inner: &[u8], checksum: bool) -> Vec<u8> {
    let mut segment = vec![0xc3, 0x50, 0x12, 0xb5];
    segment.extend((inner.len() as u16 + 16).to_be_bytes());
    segment.extend([0, 0, 8, 0, 0, 0]);
    segment.extend((vni << 8).to_be_bytes());
    segment.extend(inner);
    let mut packet = ipv6(to, 17, &segment);
    if checksum {
        let mut sum = [PEER6, VTEP6].concat();
        sum.extend([0, 0, packet[18], packet[19], 0, 0, 0, 17]);
        sum.extend(&segment);
        packet[60..62].copy_from_slice(&(!internet_sum(&sum)).to_be_bytes());
    }
    packet
}

/// Options of a GRE packet, each there or not.
#[derive(Clone, Copy, Default)]
pub struct Gre {
    pub key: Option<u32>,
    pub checksum: bool,
    pub sequence: Option<u32>,
}

/// Ethernet over GRE (RFC 2784, RFC 2890), without IP.
pub fn gre(options: Gre, inner: &[u8]) -> Vec<u8> {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = flag(options.checksum, 0x80)
        | flag(options.key.is_some(), 0x20)
        | flag(options.sequence.is_some(), 0x10);
    let mut packet = vec![flags, 0, 0x65, 0x58];
    packet.extend(vec![0; if options.checksum { 4 } else { 0 }]);
    packet.extend(options.key.map_or(vec![], |key| key.to_be_bytes().to_vec()));
    packet.extend(options.sequence.map_or(vec![], |number| number.to_be_bytes().to_vec()));
    packet.extend(inner);
    if options.checksum {
        let sum = !internet_sum(&packet);
        packet[4..6].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The same from an IPv4 peer.
pub fn gre_from(to: [u8; 6], peer: [u8; 4], options: Gre, inner: &[u8]) -> Vec<u8> {
    ipv4(to, PEER1_MAC, (peer, VTEP), 47, &gre(options, inner))
}

/// A capture in the classic pcap format.
pub fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
    for frame in frames {
        let length = frame.len() as u32;
        file.extend(words(&[0, 0, length, length]));
        file.extend(frame);
    }
    file
}

/// The frames of a capture as `net_pcap` writes it, with the times when that was.
pub fn open_pcap(file: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    let (header, mut file) = file.split_at(24);
    assert_eq!(header[..4], 0xa1b2_3c4d_u32.to_le_bytes(), "times in nanoseconds");
    let mut frames = Vec::new();
    while let Some((header, rest)) = file.split_first_chunk::<16>() {
        let [seconds, nanos, length, _]: [u32; 4] = std::array::from_fn(|at| {
            u32::from_le_bytes(std::array::from_fn(|byte| header[at * 4 + byte]))
        });
        let (frame, next) = rest.split_at(length as usize);
        frames.push((Duration::new(seconds.into(), nanos), frame.to_vec()));
        file = next;
    }
    frames
}
