use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::too_big::Report;
use crate::tunnel::{
    AnyTemplate, Encap, Marking, OuterHeader, Sequence, UdpChecksum, Variable, Vtep,
};
use crate::wire::checksum;

const OWN: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const PEER: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(198, 51, 100, 2), Ipv6Addr::new(0x2001, 0xdb8, 6, 0, 0, 0, 0, 2));

fn vtep() -> Vtep {
    Vtep { ipv6: Some(OWN.1), gre: true, ..Vtep::vxlan(OWN.0, 4789) }
}

/// A tunnel packet of 1500 bytes from the IP header on, without its Ethernet header.
fn ours(v6: bool, encap: Encap) -> Vec<u8> {
    let outer = OuterHeader {
        source_mac: [2; 6],
        next_hop_mac: [2; 6],
        source: if v6 { OWN.1.into() } else { OWN.0.into() },
        destination: if v6 { PEER.1.into() } else { PEER.0.into() },
        marking: Marking::default(),
        encap,
        id: None,
        offloads: false,
    };
    let template = AnyTemplate::new(&outer, None);
    let mut packet = vec![0; outer.length()];
    let inner = 1514 - outer.length() as u16;
    template.write(
        &mut packet,
        Variable { inner, id: 5, entropy_port: 50_000, ..Variable::default() },
        checksum::Sum::default(),
    );
    packet.resize(1514, 0x5a);
    packet.split_off(14)
}

/// A router's frame about a packet, of which it quotes so many bytes.
fn said(v6: bool, mtu: u32, packet: &[u8], quoted: usize) -> Vec<u8> {
    let mut message = if v6 { vec![2, 0, 0, 0] } else { vec![3, 4, 0, 0] };
    message.extend(mtu.to_be_bytes());
    message.extend(&packet[..quoted]);
    let mut frame = vec![2; 12];
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((message.len() as u16).to_be_bytes());
        let router = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);
        frame.extend([58, 64]);
        frame.extend(router.octets());
        frame.extend(OWN.1.octets());
        let sum = checksum::compute_icmpv6(router, OWN.1, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    } else {
        frame.extend([8, 0, 0x45, 0xc0]);
        frame.extend((message.len() as u16 + 20).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 254]);
        frame.extend(OWN.0.octets());
        let sum = checksum::compute(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    frame.extend(message);
    frame
}

fn read(frame: &[u8]) -> Option<Report> {
    Report::read(frame, &vtep())
}

fn encaps() -> [(Encap, Option<u16>); 4] {
    [
        (Encap::vxlan(4789), Some(4789)),
        (
            Encap::Vxlan { udp_port: 8472, checksum: UdpChecksum::On, group_policy: false },
            Some(8472),
        ),
        (Encap::Nvgre { flow_id: true }, None),
        (Encap::Gre { key: false, checksum: false, sequence: Sequence::Off }, None),
    ]
}

#[test]
fn a_routers_word_is_read_in_both_families_however_little_it_quotes() {
    for (encap, udp_port) in encaps() {
        for (v6, peer, least) in [(false, PEER.0.into(), 28), (true, PEER.1.into(), 48)] {
            let packet = ours(v6, encap);
            let expected = Some(Report { peer, udp_port, mtu: 1400 });
            for quoted in [least, 200, 548] {
                assert_eq!(read(&said(v6, 1400, &packet, quoted)), expected);
            }
            let mut padded = said(v6, 1400, &packet, least);
            padded.resize(200, 0);
            assert_eq!(read(&padded), expected);
        }
    }
}

#[test]
fn what_no_router_can_say_of_a_packet_of_ours_is_nobodys_word() {
    let vxlan = encaps()[0].0;
    let (v4, v6) = (ours(false, vxlan), ours(true, vxlan));
    let changed = |packet: &[u8], at: usize, bytes: &[u8]| {
        let mut packet = packet.to_vec();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    for (what, packet) in [
        ("not from us", changed(&v4, 12, &[192, 0, 2, 9])),
        ("it may be fragmented", changed(&v4, 6, &[0, 0])),
        ("a later fragment", changed(&v4, 6, &[0x40, 1])),
        ("it would have fitted", changed(&v4, 2, &[5, 120])),
        ("TCP", changed(&v4, 9, &[6])),
        ("a source port that we never use", changed(&v4, 20, &[0x80, 0])),
        ("no IPv4", changed(&v4, 0, &[0x65])),
    ] {
        assert_eq!(read(&said(false, 1400, &packet, 28)), None, "{what}");
    }
    for (what, packet) in [
        ("not from us", changed(&v6, 8, &[0xfd])),
        ("it would have fitted", changed(&v6, 4, &[5, 80])),
        ("TCP", changed(&v6, 6, &[6])),
    ] {
        assert_eq!(read(&said(true, 1400, &packet, 48)), None, "{what}");
    }
    let gre = ours(false, Encap::Nvgre { flow_id: true });
    let packet = changed(&gre, 22, &[8, 0]);
    assert_eq!(read(&said(false, 1400, &packet, 28)), None, "GRE of another payload");
    assert_eq!(read(&said(true, 70_000, &v6, 48)), None, "more than any packet has");

    let right = said(false, 1400, &v4, 28);
    assert!(read(&right).is_some());
    for (what, at, byte) in [
        ("another kind", 34, 11),
        ("another code", 35, 3),
        ("a wrong checksum", 36, 0xff),
        ("to another host", 33, 9),
        ("a fragment", 20, 0x20),
        ("no ICMP", 23, 17),
        ("cut off", 17, 200),
    ] {
        assert_eq!(read(&changed(&right, at, &[byte])), None, "{what}");
    }
    let right = said(true, 1400, &v6, 48);
    assert!(read(&right).is_some());
    for (what, at, byte) in
        [("another kind", 54, 1), ("a wrong checksum", 56, 0xff), ("to another host", 53, 9)]
    {
        assert_eq!(read(&changed(&right, at, &[byte])), None, "{what}");
    }
    let none = Vtep { ipv6: None, ..vtep() };
    assert_eq!(Report::read(&right, &none), None);
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic(
        v6: bool,
        flips in prop::collection::vec((0..150usize, any::<u8>()), 0..5),
        cut in 0..160usize,
    ) {
        let mut frame = said(v6, 1400, &ours(v6, encaps()[0].0), 96);
        for (at, byte) in flips {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        let _ = read(&frame[..cut.min(frame.len())]);
    }
}
