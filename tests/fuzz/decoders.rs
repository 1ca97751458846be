//! What must hold of every decoder, whatever bytes it is given. Used by the fuzz targets, and by `tests/decoders.rs` with
//! some thousand inputs in every `make test`.

use ferry::neighbours::{self, Binding, Heard, Kind};
use ferry::tunnel::{
    Inner, Keyed, Outer, Plain, PlainIpv6, Received, Shape, Vtep, decapsulate, group_of,
};
use ferry::wire::{
    MacAddr, arp, checksum, dhcp, ethernet, flow, gre, icmp, ipv4, ipv6, multicast, nd,
    traffic_class, udp, vxlan,
};

/// Every view of every suffix: a parser answers or says why not, and takes no more than there is.
pub fn views(bytes: &[u8]) {
    for start in 0..bytes.len().min(64) {
        let bytes = &bytes[start..];
        multicast::stream(bytes);
        let rest = [
            ethernet::Header::parse(bytes).map(|(_, rest)| rest.len()),
            ethernet::Tag::parse(bytes).map(|(_, rest)| rest.len()),
            arp::Packet::parse(bytes).map(|(_, rest)| rest.len()),
            ipv4::Header::parse(bytes).map(|(_, rest)| rest.len()),
            ipv6::Header::parse(bytes).map(|(_, rest)| rest.len()),
            udp::Header::parse(bytes).map(|(_, rest)| rest.len()),
            vxlan::Header::parse(bytes).map(|(_, rest)| rest.len()),
            gre::Header::parse(bytes).map(|(_, rest)| rest.len()),
            icmp::Header::parse(bytes).map(|(_, rest)| rest.len()),
            dhcp::Message::parse(bytes).map(|(message, options)| {
                message.acknowledges(options);
                options.len()
            }),
        ];
        assert!(rest.into_iter().flatten().all(|rest| rest < bytes.len()));
        if let Ok((header, rest)) = gre::Header::parse(bytes)
            && let Ok(options) = header.options(rest)
        {
            assert!(options.length <= bytes.len());
        }
        if let Ok((header, rest)) = ipv6::Header::parse(bytes) {
            let _ = nd::Message::parse(header, rest);
            let _ = header.upper_layer(rest);
        }
        flow::Flow::of(bytes);
        traffic_class::set_ecn(&mut bytes.to_vec(), traffic_class::ecn::CE);
        checksum::sum(bytes);
    }
}

/// A packet from the underlay: whatever it says, the inner frame lies within it.
pub fn tunnel(packet: &[u8], vtep: Vtep, (ipv4_verified, udp_verified): (bool, bool)) {
    let received = Received { length: packet.len(), ipv4_verified, udp_verified };
    let vtep = match group_of(packet) {
        Some(group) => vtep.at_group(group),
        None => vtep,
    };
    fn short<S: Shape>(packet: &[u8], vtep: &Vtep, received: Received) -> Option<(usize, usize)> {
        S::recognise(packet, vtep, received).map(|found| (S::OFFSET, found.end()))
    }
    let short = short::<Plain>(packet, &vtep, received)
        .or_else(|| short::<Keyed>(packet, &vtep, received))
        .or_else(|| short::<PlainIpv6>(packet, &vtep, received));
    let (Ok(Outer::Tunnel(Inner { offset, end, .. }))
    | Ok(Outer::Grouped(Inner { offset, end, .. }, _))) = decapsulate(packet, &vtep, received)
    else {
        return assert_eq!(short, None);
    };
    assert!(short.is_none_or(|short| short == (offset, end)));
    assert!(offset + 14 <= end);
    flow::Flow::of(&packet[offset..end]);
}

/// A packet to the VTEP by UDP, or else GRE: arbitrary bytes behind an IP header that is right.
pub fn to_vtep(vtep: Vtep, over_ipv6: bool, by_udp: bool, payload: &[u8]) -> Vec<u8> {
    let protocol = if by_udp { ipv4::UDP } else { gre::PROTOCOL };
    let mut packet = vec![0; 12];
    match vtep.ipv6.filter(|_| over_ipv6) {
        Some(address) => {
            packet.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            packet.extend((payload.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend([0; 16]);
            packet.extend(address.octets());
        }
        None => {
            packet.extend([8, 0, 0x45, 0]);
            packet.extend((payload.len() as u16 + 20).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 2]);
            packet.extend(vtep.address.octets());
            let sum = checksum::compute(&packet[14..]);
            packet[24..26].copy_from_slice(&sum.to_be_bytes());
        }
    }
    packet.extend(payload);
    packet
}

/// ARP, neighbour discovery and DHCP: a frame of no concern says nothing, and the answer to a question says what was asked
/// and no more, within the frame's room.
pub fn neighbours(frame: &[u8]) {
    let heard = neighbours::hear(frame);
    if !neighbours::concerns(frame) {
        assert_eq!(heard, Heard::default());
    }
    let Heard { claim: Some(claim), asked: Some(asked) } = heard else {
        assert_eq!(heard.asked, None, "who asks says who that is");
        return;
    };
    assert_ne!(claim.address, asked);
    for router in [false, true] {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let binding = Binding { mac, kind: Kind::Static, router };
        let mut answer = frame.to_vec();
        let Some(length) = neighbours::answer(&mut answer, claim.mac, asked, binding) else {
            assert_eq!(answer, frame);
            continue;
        };
        assert_eq!(answer[length..], frame[length..]);
        assert_eq!(answer[..12], [claim.mac.0, mac.0].concat());
        let answered = neighbours::hear(&answer[..length]);
        assert_eq!(answered.asked, None);
        assert_eq!(answered.claim.map(|claim| (claim.address, claim.mac)), Some((asked, mac)));
    }
}

/// Makes the checksum of an ICMPv6 message right, which else hides what lies behind it.
pub fn mend(frame: &mut [u8]) {
    const MESSAGE: usize = ethernet::LENGTH + ipv6::LENGTH;
    let Some(packet) = frame.get(ethernet::LENGTH..) else { return };
    let Ok((ip, rest)) = ipv6::Header::parse(packet) else { return };
    let (source, destination, length) = (ip.source(), ip.destination(), ip.payload_length());
    if length < 4 || length > rest.len() {
        return;
    }
    let message = &mut frame[MESSAGE..MESSAGE + length];
    message[2..4].fill(0);
    let sum = checksum::compute_icmpv6(source, destination, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}
