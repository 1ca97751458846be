//! ECN, DSCP and TTL of inner and outer headers, byte by byte: cases T1–T22 and N15 of a VTEP's wire-level behaviour.

use crate::support::Lab;
use crate::support::frames::{
    self, BROADCAST, Gre, PEER1, PEER1_MAC, PEER2, VTEP, ethernet, gre, gre_from, ipv6, mac,
    tagged, vxlan, vxlan6,
};

const PEER3: [u8; 4] = [192, 0, 2, 4];
const VTEPS: &str = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"";
const NEIGHBOURS: &str = "    - {ip: 192.0.2.4, mac: \"02:00:00:00:11:01\", port: up0}
    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}";
/// A network that is reached by every encapsulation, and one that is reached by GRE over IPv6.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1]
    inner_vlan: keep
    flood:
      peers:
        - 192.0.2.2
        - {address: 192.0.2.3, encap: gre}
        - {address: 192.0.2.4, encap: gre, checksum: on}
        - "2001:db8::2"
  - {vni: 2000, name: b, ports: [vm2], encap: gre, flood: {peers: ["2001:db8::2"]}}
"#;

/// The bits of RFC 3168, in the order of RFC 6040's figure 4.
const NOT_ECT: u8 = 0;
const ECT_0: u8 = 2;
const ECT_1: u8 = 1;
const CE: u8 = 3;
const ORDER: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];

fn v4(to: [u8; 6], from: [u8; 6], class: u8, ttl: u8) -> Vec<u8> {
    let mut frame = frames::udp(to, from, ([10, 0, 0, 9], [10, 0, 0, 1]), (7, 8), &[0x5a; 20]);
    (frame[15], frame[22]) = (class, ttl);
    frames::fix_ip_checksum(&mut frame);
    frame
}

fn v6(to: [u8; 6], from: [u8; 6], class: u8, limit: u8) -> Vec<u8> {
    let mut frame = ipv6(to, 59, &[0x5a; 20]);
    frame[6..12].copy_from_slice(&from);
    set_class(&mut frame, class);
    frame[21] = limit;
    frame
}

/// Every kind of frame that says something of congestion.
fn kinds(to: [u8; 6], from: [u8; 6], class: u8, ttl: u8) -> [Vec<u8>; 4] {
    let (four, six) = (v4(to, from, class, ttl), v6(to, from, class, ttl));
    [tagged(&four, 7), tagged(&tagged(&six, 8), 7), four, six]
}

/// Of an untagged frame.
fn class(frame: &[u8]) -> u8 {
    match frame[12] {
        0x08 => frame[15],
        _ => frame[14] << 4 | frame[15] >> 4,
    }
}

fn set_class(frame: &mut [u8], class: u8) {
    match frame[12] {
        0x08 => {
            frame[15] = class;
            frames::fix_ip_checksum(frame);
        }
        _ => {
            frame[14] = 0x60 | class >> 4;
            frame[15] = class << 4 | frame[15] & 0x0f;
        }
    }
}

/// TTL or hop limit of an untagged frame.
fn ttl(frame: &[u8]) -> u8 {
    frame[if frame[12] == 0x08 { 22 } else { 21 }]
}

type Wrap = fn([u8; 6], &[u8]) -> Vec<u8>;

const WRAPS: [(&str, Wrap); 6] = [
    ("VXLAN", |to, inner| vxlan(to, PEER1, 1000, inner)),
    ("GRE", |to, inner| gre_from(to, PEER2, Gre { key: Some(1000), ..Gre::default() }, inner)),
    ("GRE with a checksum", |to, inner| {
        gre_from(to, PEER3, Gre { key: Some(1000), checksum: true, ..Gre::default() }, inner)
    }),
    ("VXLAN over IPv6", |to, inner| vxlan6(to, 1000, inner, true)),
    ("VXLAN with a UDP checksum", |to, inner| {
        let mut packet = vxlan(to, PEER1, 1000, inner);
        let mut covered = packet[26..34].to_vec();
        covered.extend([0, 17, packet[38], packet[39]]);
        covered.extend(&packet[34..]);
        packet[40..42].copy_from_slice(&(!frames::internet_sum(&covered)).to_be_bytes());
        packet
    }),
    ("GRE over IPv6", |to, inner| {
        ipv6(to, 47, &gre(Gre { key: Some(2000), ..Gre::default() }, inner))
    }),
];

/// What the inner header says behind the tunnel, by RFC 6040's figure 4; `None`: it is dropped.
fn expected(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (CE, _) | (_, CE) => Some(CE),
        (_, ECT_1) => Some(ECT_1),
        _ => Some(inner),
    }
}

#[test]
fn t1_t16_n15_each_pair_of_inner_and_outer_ecn_by_every_encapsulation() {
    let lab = Lab::with_vtep(VTEPS, NETWORKS, NEIGHBOURS);
    let mut dropped = 0;
    for (name, wrap) in WRAPS {
        let port = if name == "GRE over IPv6" { &lab.vm2 } else { &lab.vm1 };
        let (mut sent, mut wanted) = (Vec::new(), Vec::new());
        for (inner, outer) in ORDER.into_iter().flat_map(|inner| ORDER.map(|outer| (inner, outer)))
        {
            let kinds = |ecn| kinds(BROADCAST, mac(9), 0xb8 | ecn, 3);
            let untagged = if port.name == "two" { 2 } else { 0 };
            for (at, frame) in kinds(inner).iter().enumerate().skip(untagged) {
                let mut packet = wrap(lab.mac, frame);
                set_class(&mut packet, 0x28 | outer);
                sent.push(packet);
                match expected(inner, outer) {
                    Some(ecn) => wanted.push(kinds(ecn)[at].clone()),
                    None => dropped += 1,
                }
            }
        }
        // In one train, of which each has its own word.
        sent.iter().for_each(|packet| lab.underlay.send(packet));
        for frame in wanted {
            assert_eq!(port.expect(name, |_| true), frame, "{name}");
        }
        // What is not IP knows nothing of congestion.
        let arp = ethernet(BROADCAST, mac(9), 60);
        let mut packet = wrap(lab.mac, &arp);
        set_class(&mut packet, CE);
        lab.underlay.send(&packet);
        port.expect_frame(&arp);
    }
    lab.ferry.expect_dropped("up0", "congestion_without_ecn", dropped);
    lab.expect_silence(&[]);
    lab.finish();
}

/// The outer DSCP as the priority of the tag that a frame gets, where that is wanted.
#[test]
fn a_dscp_becomes_the_priority_of_a_tag_where_that_is_wanted() {
    let networks = NETWORKS
        .replace("[vm1]", "[vm1, {port: trunk0, vlan: 10}]")
        .replace("ports: [vm2]", "vlan_priority: dscp, ports: [{port: trunk0, vlan: 20}]")
        .replace("inner_vlan: keep", "vlan_priority: dscp");
    let lab = Lab::with_vtep(VTEPS, &networks, NEIGHBOURS);
    let with_tag = |frame: &[u8], control: u16| {
        let mut frame = tagged(frame, 0);
        frame[14..16].copy_from_slice(&control.to_be_bytes());
        frame
    };
    // Frames to one station, whose priorities change within a train, and floods, each copy of which has it; with ECN and without.
    lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(4), 60), 10));
    lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(4), 60), 20));
    lab.ferry.expect_place(1000, mac(4), "trunk0.10");
    lab.ferry.expect_place(2000, mac(4), "trunk0.20");
    for port in [&lab.underlay, &lab.vm1] {
        port.drain();
    }
    for (name, wrap) in WRAPS {
        let vlan = if name == "GRE over IPv6" { 20 } else { 10 };
        let classes = [0, 0xb8, 0x20, 0x1c, 0xe0 | ECT_1, 0, 0x60 | ECT_0, 0xa4];
        for class in classes {
            for to in [mac(4), BROADCAST] {
                let mut packet = wrap(lab.mac, &ethernet(to, mac(9), 80));
                set_class(&mut packet, class);
                lab.underlay.send(&packet);
            }
        }
        for class in classes {
            let control = u16::from(class >> 5) << 13 | vlan;
            for to in [mac(4), BROADCAST] {
                let frame = ethernet(to, mac(9), 80);
                assert_eq!(lab.trunk.expect(name, |_| true), with_tag(&frame, control), "{name}");
                if to == BROADCAST && vlan == 10 {
                    lab.vm1.expect_frame(&frame);
                }
            }
        }
    }
    // Another configuration: no priority, and no long way for what has one.
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    lab.ferry.expect_change("apply -", &text.replace("vlan_priority: dscp", "vlan_priority: none"));
    let frame = ethernet(mac(4), mac(9), 80);
    let mut packet = vxlan(lab.mac, PEER1, 1000, &frame);
    set_class(&mut packet, 0xb8);
    lab.underlay.send(&packet);
    lab.trunk.expect_frame(&tagged(&frame, 10));
    lab.finish();
}

/// Which peer a packet is for, by the last byte of its address.
fn peer(packet: &[u8]) -> u8 {
    packet[if packet[12] == 0x08 { 33 } else { 53 }]
}

/// A packet to a peer of network 1000, by its place among them: what is within.
fn inner(packet: &[u8]) -> &[u8] {
    let outer = match (packet[12], peer(packet)) {
        (0x08, 2) => 50,
        (0x08, 3) => 42,
        (0x08, 4) => 46,
        _ => 70,
    };
    if packet[12] == 0x08 {
        assert_eq!(frames::internet_sum(&packet[14..34]), 0xffff, "IPv4 checksum");
        assert_eq!(packet[26..30], VTEP);
    } else {
        assert!(frames::udp6_adds_up(packet));
    }
    &packet[outer..]
}

/// The four copies of a broadcast from vm1: traffic class and TTL of each outer header.
fn copies(lab: &Lab, frame: &[u8]) -> Vec<(u8, u8)> {
    lab.vm1.send(frame);
    let mut packets: Vec<_> =
        (0..4).map(|_| lab.underlay.expect("a copy", |packet| packet[..3] == [2, 0, 0])).collect();
    packets.sort_by_key(|packet| (packet[12] != 0x08, peer(packet)));
    assert!(packets.iter().all(|packet| inner(packet) == frame), "{packets:02x?}");
    packets.iter().map(|packet| (class(packet), ttl(packet))).collect()
}

#[test]
fn t18_ecn_is_copied_by_every_encapsulation_and_to_each_copy_of_a_flood() {
    let lab = Lab::with_vtep(VTEPS, NETWORKS, NEIGHBOURS);
    for ecn in ORDER {
        for frame in kinds(BROADCAST, mac(1), 0xb8 | ecn, 1) {
            assert_eq!(copies(&lab, &frame), [(ecn, 64); 4], "no DSCP, the usual TTL");
        }
    }
    assert_eq!(copies(&lab, &ethernet(BROADCAST, mac(1), 60)), [(0, 64); 4]);
    // The same to one station behind each peer.
    for (number, (_, wrap)) in (0x21..).zip(&WRAPS[..4]) {
        lab.underlay.send(&wrap(lab.mac, &ethernet(BROADCAST, mac(number), 60)));
        lab.vm1.expect_frame(&ethernet(BROADCAST, mac(number), 60));
    }
    for number in 0x21..0x25 {
        let behind = ["192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8::2"];
        lab.ferry.expect_place(1000, mac(number), behind[usize::from(number) - 0x21]);
        for turn in 0..3 {
            for ecn in ORDER {
                let frames = kinds(mac(number), mac(1), 0x48 | ecn, 200 + turn);
                frames.iter().for_each(|frame| lab.vm1.send(frame));
                for frame in frames {
                    let packet = lab.underlay.expect("a packet", |_| true);
                    assert_eq!((inner(&packet), class(&packet)), (&frame[..], ecn));
                }
            }
        }
    }
    lab.finish();
}

#[test]
fn t19_t20_t21_dscp_and_ttl_by_configuration() {
    let networks = NETWORKS
        .replace("- 192.0.2.2\n", "- {address: 192.0.2.2, dscp: copy}\n")
        .replace("{address: 192.0.2.3, ", "{address: 192.0.2.3, dscp: 46, ttl: inherit, ");
    let lab = Lab::with_vtep(&format!("{VTEPS}, dscp: 10, ttl: 100"), &networks, NEIGHBOURS);
    for frame in kinds(BROADCAST, mac(1), 0x14 | ECT_0, 128) {
        let all = [(0x16, 100), (0xba, 128), (0x2a, 100), (0x2a, 100)];
        assert_eq!(copies(&lab, &frame), all);
    }
    // Without a time to live of its own it gets no further than the first router, and yet there.
    assert_eq!(copies(&lab, &v4(BROADCAST, mac(1), 0, 0))[1], (0xb8, 1));
    let all = [(0, 100), (0xb8, 64), (0x28, 100), (0x28, 100)];
    assert_eq!(copies(&lab, &ethernet(BROADCAST, mac(1), 60)), all, "not IP");

    let peers = lab.ferry.show("peers");
    let shown = |key: &str| {
        let of = peers.as_array().unwrap().iter().filter(|peer| peer["networks"][0] == 1000);
        of.map(|peer| peer[key].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(shown("dscp"), [None, Some(46), Some(10), Some(10)]);
    assert_eq!(shown("ttl"), [Some(100), None, Some(100), Some(100)]);
    lab.finish();
}

#[test]
fn t20_another_marking_disturbs_nothing() {
    let lab = Lab::with_vtep(VTEPS, NETWORKS, NEIGHBOURS);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    lab.vm1.drain();
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    for (vtep, marked) in [("dscp: 46, ttl: 9", (0xba, 9)), ("dscp: copy", (0x16, 64))] {
        let text = text.replace("ipv4: 192.0.2.1,", &format!("ipv4: 192.0.2.1, {vtep},"));
        lab.ferry.expect_change("apply -", &text);
        let frame = v4(mac(9), mac(1), 0x16, 33);
        lab.vm1.send(&frame);
        let packet = lab.underlay.expect("unicast, as before", |packet| packet[..6] == PEER1_MAC);
        assert_eq!(
            (inner(&packet), class(&packet), ttl(&packet)),
            (&frame[..], marked.0, marked.1)
        );
    }
    lab.expect_silence(&[]);
    lab.finish();
}

/// A multicast group of the underlay marks as a peer does, and learned peers are marked as the VTEP has it.
#[test]
fn by_a_group_ecn_goes_both_ways() {
    const GROUP: [u8; 4] = [239, 129, 1, 1];
    let networks = "
  - {vni: 1000, name: a, ports: [vm1], flood: {group: 239.129.1.1, ttl: 9}}
";
    let lab = Lab::with_vtep("ipv4: 192.0.2.1, dscp: 46, ttl: 100", networks, "");
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    for dscp in [46, 10] {
        let text = text.replace("dscp: 46", &format!("dscp: {dscp}"));
        lab.ferry.expect_change("apply -", &text);
        for ecn in ORDER {
            lab.vm1.send(&v4(BROADCAST, mac(1), 0x14 | ecn, 33));
            let packet =
                lab.underlay.expect("a packet to the group", |found| found[30..34] == GROUP);
            assert_eq!((class(&packet), ttl(&packet)), (dscp << 2 | ecn, 9));
            assert_eq!(frames::internet_sum(&packet[14..34]), 0xffff, "IPv4 checksum");
        }
    }
    for (sent, arrives) in [(ECT_0, Some(CE)), (CE, Some(CE)), (NOT_ECT, None)] {
        let mut packet =
            vxlan([0x01, 0, 0x5e, 1, 1, 1], PEER1, 1000, &v4(BROADCAST, mac(9), 0x14 | sent, 33));
        packet[30..34].copy_from_slice(&GROUP);
        set_class(&mut packet, CE);
        lab.underlay.send(&packet);
        match arrives {
            Some(ecn) => lab.vm1.expect_frame(&v4(BROADCAST, mac(9), 0x14 | ecn, 33)),
            None => lab.ferry.expect_dropped("up0", "congestion_without_ecn", 1),
        }
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn two_networks_may_mark_packets_to_one_peer_otherwise() {
    let networks = "
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [192.0.2.2]}}
  - {vni: 2000, name: b, ports: [vm2], flood: {peers: [{address: 192.0.2.2, dscp: 46, ttl: 7}]}}
";
    let lab = Lab::with(networks);
    for (vni, vm, marked) in [(1000, &lab.vm1, (0, 64)), (2000, &lab.vm2, (0xb8, 7))] {
        let there = ethernet(BROADCAST, mac(9), 60);
        lab.underlay.send(&vxlan(lab.mac, PEER1, vni, &there));
        vm.expect_frame(&there);
        lab.ferry.expect_place(vni, mac(9), "192.0.2.2");
        let back = ethernet(mac(9), mac(1), 60);
        vm.send(&back);
        let packet = lab.underlay.expect("the way back", |packet| packet[..6] == PEER1_MAC);
        assert_eq!((inner(&packet), class(&packet), ttl(&packet)), (&back[..], marked.0, marked.1));
    }
    lab.expect_silence(&[]);
    lab.finish();
}
