//! NVGRE, GRE, VXLAN over IPv6, and peers that differ, byte by byte: cases D13–D14, D27–D28, E19 and N1–N20 of a
//! VTEP's wire-level behaviour.

use std::collections::HashSet;

use crate::support::Lab;
use crate::support::frames::{
    self, BROADCAST, Gre, PEER1, PEER1_MAC, PEER2, VTEP, VTEP6, ethernet, gre, gre_from, ipv6,
    is_vxlan_to, mac, open_vxlan, tagged, udp, udp6_adds_up, vxlan, vxlan6,
};

const NVGRE: &str =
    "\n  - {vni: 0x1234, name: a, encap: nvgre, ports: [vm1], flood: {peers: [192.0.2.2]}}\n";
const NEIGHBOUR6: &str = "    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}";

fn is_gre_to(peer: [u8; 4]) -> impl Fn(&[u8]) -> bool {
    move |packet| packet.len() >= 38 && packet[23] == 47 && packet[30..34] == peer
}

fn is_to_peer6(packet: &[u8]) -> bool {
    packet.len() >= 54 && packet[12..14] == [0x86, 0xdd] && packet[53] == 2
}

/// What lies behind the outer IPv4 header, which must be right.
fn open_ipv4(packet: &[u8], protocol: u8) -> &[u8] {
    assert_eq!(packet[12..15], [0x08, 0x00, 0x45]);
    assert_eq!(usize::from(u16::from_be_bytes([packet[16], packet[17]])), packet.len() - 14);
    assert_eq!(frames::internet_sum(&packet[14..34]), 0xffff, "IPv4 checksum");
    assert_eq!(packet[20..24], [0x40, 0, 64, protocol], "don't fragment, TTL, protocol");
    assert_eq!(packet[26..30], VTEP);
    &packet[34..]
}

/// The same of IPv6.
fn open_ipv6(packet: &[u8], protocol: u8) -> &[u8] {
    assert_eq!(packet[..6], PEER1_MAC);
    assert_eq!(packet[12..16], [0x86, 0xdd, 0x60, 0]);
    assert_eq!(usize::from(u16::from_be_bytes([packet[18], packet[19]])), packet.len() - 54);
    assert_eq!(packet[20..22], [protocol, 64]);
    assert_eq!(packet[22..38], VTEP6);
    &packet[54..]
}

#[test]
fn n1_n8_nvgre_both_ways() {
    let lab = Lab::with(NVGRE);
    for flow_id in [0, 0x77] {
        let inner = ethernet(BROADCAST, mac(9), 60);
        let key = Some(0x1234 << 8 | flow_id);
        lab.underlay.send(&gre_from(lab.mac, PEER1, Gre { key, ..Gre::default() }, &inner));
        lab.vm1.expect_frame(&inner);
    }
    lab.ferry.expect_place(0x1234, mac(9), "192.0.2.2");
    let flow = |port: u16| {
        let addresses = ([10, 0, 0, 1], [10, 0, 0, 9]);
        let inner = udp(mac(9), mac(1), addresses, (1000 + port, 80), &[0; 30]);
        lab.vm1.send(&inner);
        let packet = lab.underlay.expect("NVGRE", is_gre_to(PEER1));
        assert_eq!((&packet[..6], &packet[6..12]), (&PEER1_MAC[..], &lab.mac[..]));
        let payload = open_ipv4(&packet, 47);
        assert_eq!(payload[..7], [0x20, 0, 0x65, 0x58, 0, 0x12, 0x34], "K only, Ethernet, VSID");
        assert_eq!(payload[8..], inner);
        payload[7]
    };
    let ids: Vec<u8> = (0..32).map(flow).collect();
    assert_eq!(ids, (0..32).map(flow).collect::<Vec<u8>>(), "stable");
    assert!(ids.iter().collect::<HashSet<_>>().len() > 20, "FlowIDs of 32 flows: {ids:?}");
    lab.finish();
}

#[test]
fn n2_n4_n6_n7_what_is_no_nvgre_is_dropped_for_its_reason() {
    let lab = Lab::with(NVGRE);
    let inner = ethernet(BROADCAST, mac(9), 60);
    let right = Gre { key: Some(0x1234 << 8), ..Gre::default() };
    let judge = |what: &str, reason: &str, packet: Vec<u8>| {
        eprintln!("{what}");
        let before = lab.ferry.dropped("up0", reason);
        lab.underlay.send(&packet);
        lab.ferry.expect_dropped("up0", reason, before + 1);
    };
    let from = |options| gre_from(lab.mac, PEER1, options, &inner);
    judge("N2: unknown VSID", "unknown_vni", from(Gre { key: Some(0x1235 << 8), ..right }));
    judge("N4: C", "gre_flags", from(Gre { checksum: true, ..right }));
    judge("N4: S", "gre_flags", from(Gre { sequence: Some(1), ..right }));
    judge("no key", "gre_flags", from(Gre::default()));
    let changed = |at: usize, byte: u8| {
        let mut packet = from(right);
        packet[at] = byte;
        packet
    };
    judge("N6: version 1", "gre_flags", changed(35, 1));
    judge("N6: routing", "gre_flags", changed(34, 0x60));
    judge("N7: IPv4 in GRE", "no_twin", changed(36, 8));
    judge("N12: IPv4 checksum", "ipv4_checksum", changed(24, 0x77));
    judge("an unknown peer", "unknown_peer", gre_from(lab.mac, PEER2, right, &inner));
    judge("N20: VXLAN of an NVGRE network", "unknown_peer", vxlan(lab.mac, PEER1, 0x1234, &inner));
    let tag = tagged(&inner, 5);
    judge("RFC 7637 3.3: a tag", "inner_vlan", gre_from(lab.mac, PEER1, right, &tag));
    let packet = from(right);
    for length in 34..54 {
        // Cut with an IPv4 length that agrees, as a peer would send it.
        let mut cut = packet[..length].to_vec();
        cut[17] = (length - 14) as u8;
        frames::fix_ip_checksum(&mut cut);
        lab.underlay.send(&cut);
    }
    lab.vm1.expect_silence();
    lab.finish();
}

#[test]
fn n14_gre_that_is_not_configured_is_the_kernels() {
    let lab = Lab::new();
    let key = Some(1000 << 8);
    let inner = ethernet(BROADCAST, mac(9), 60);
    lab.underlay.send(&gre_from(lab.mac, PEER1, Gre { key, ..Gre::default() }, &inner));
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    lab.vm1.expect_silence();
    lab.finish();
}

#[test]
fn n10_gre_with_and_without_key_checksum_and_sequence() {
    let networks = r#"
  - {vni: 1000, name: keyed, encap: gre, ports: [vm1], flood: {peers: [{address: 192.0.2.2, checksum: on}]}}
  - {vni: 2000, name: plain, ports: [vm2], flood: {peers: [{address: 192.0.2.3, encap: gre, key: false}]}}
"#;
    let lab = Lab::with(networks);
    let inner = ethernet(BROADCAST, mac(9), 61);
    let key = Some(1000);
    for (checksum, sequence) in [(false, None), (true, None), (false, Some(7)), (true, Some(8))] {
        let options = Gre { key, checksum, sequence };
        lab.underlay.send(&gre_from(lab.mac, PEER1, options, &inner));
        lab.vm1.expect_frame(&inner);
        let options = Gre { key: None, checksum, sequence };
        lab.underlay.send(&gre_from(lab.mac, PEER2, options, &inner));
        lab.vm2.expect_frame(&inner);
    }
    let mut wrong = gre_from(lab.mac, PEER1, Gre { key, checksum: true, sequence: None }, &inner);
    wrong[80] ^= 1;
    lab.underlay.send(&wrong);
    lab.ferry.expect_dropped("up0", "gre_checksum", 1);
    // A key where there is none, and none where there is one.
    lab.underlay.send(&gre_from(lab.mac, PEER2, Gre { key, ..Gre::default() }, &inner));
    lab.underlay.send(&gre_from(lab.mac, PEER1, Gre::default(), &inner));
    lab.ferry.expect_dropped("up0", "unknown_vni", 2);

    let back = ethernet(mac(9), mac(1), 61);
    lab.vm1.send(&back);
    let packet = lab.underlay.expect("GRE with key", is_gre_to(PEER1));
    assert_eq!(open_ipv4(&packet, 47), gre(Gre { key, checksum: true, sequence: None }, &back));
    lab.vm2.send(&back);
    let packet = lab.underlay.expect("GRE without", is_gre_to(PEER2));
    assert_eq!(open_ipv4(&packet, 47), gre(Gre::default(), &back));
    lab.finish();
}

#[test]
fn gre_packets_are_numbered_per_peer_over_networks_and_floods() {
    let networks = r#"
  - {vni: 1000, name: a, encap: gre, ports: [vm1], flood: {peers: [{address: 192.0.2.2, sequence: true}, {address: 192.0.2.3, sequence: true, key: false, checksum: on}]}}
  - {vni: 2000, name: b, encap: gre, ports: [vm2], flood: {peers: [{address: 192.0.2.2, sequence: true}]}}
"#;
    let lab = Lab::with(networks);
    let frame = ethernet(BROADCAST, mac(1), 61);
    let expect = |peer, options| {
        let packet = lab.underlay.expect("GRE", is_gre_to(peer));
        assert_eq!(open_ipv4(&packet, 47), gre(options, &frame));
    };
    let first = |sequence, key| Gre { key: Some(key), checksum: false, sequence: Some(sequence) };
    for flood in 0..3 {
        lab.vm1.send(&frame);
        expect(PEER1, first(2 * flood, 1000));
        expect(PEER2, Gre { key: None, checksum: true, sequence: Some(flood) });
        lab.vm2.send(&frame);
        expect(PEER1, first(2 * flood + 1, 2000));
    }
    lab.finish();
}

#[test]
fn gre_that_must_come_in_order_does_so() {
    let networks = r#"
  - {vni: 1000, name: a, encap: gre, ports: [vm1], flood: {peers: [{address: 192.0.2.2, sequence: strict}, {address: 192.0.2.3, sequence: true}]}}
"#;
    let lab = Lab::with(networks);
    let frame = |number: u32| ethernet(BROADCAST, mac(9), 60 + number as usize % 100);
    let send = |peer, sequence: Option<u32>| {
        let options = Gre { key: Some(1000), checksum: false, sequence };
        let inner = frame(sequence.unwrap_or_default());
        lab.underlay.send(&gre_from(lab.mac, peer, options, &inner));
    };
    // Six, as it comes twice, four, and one without a number come too late.
    for number in [5, 6, 6, 4, 9] {
        send(PEER1, Some(number));
    }
    send(PEER1, None);
    assert_eq!(lab.vm1.drain(), [5, 6, 9].map(frame));
    lab.ferry.expect_dropped("up0", "gre_sequence", 3);
    for number in [5, 6, 6, 4] {
        send(PEER2, Some(number));
    }
    send(PEER2, None);
    assert_eq!(lab.vm1.drain().len(), 5, "from a peer of which that is not asked");
    // Our own packets are numbered too.
    lab.vm1.send(&ethernet(mac(8), mac(1), 61));
    let packet = lab.underlay.expect("GRE", is_gre_to(PEER1));
    let numbered = Gre { key: Some(1000), checksum: false, sequence: Some(0) };
    assert_eq!(open_ipv4(&packet, 47), gre(numbered, &ethernet(mac(8), mac(1), 61)));
    // The peer begins anew: some seconds later it is heard.
    send(PEER1, Some(0));
    lab.vm1.expect_silence();
    std::thread::sleep(std::time::Duration::from_millis(4100));
    for number in [1, 2, 1] {
        send(PEER1, Some(number));
    }
    assert_eq!(lab.vm1.drain(), [1, 2].map(frame));
    lab.ferry.expect_dropped("up0", "gre_sequence", 5);
    lab.finish();
}

#[test]
fn e19_d13_d14_vxlan_over_ipv6() {
    let network = "\n  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [\"2001:db8::2\"]}}\n";
    let lab = Lab::with_vtep("ipv6: \"2001:db8::1\"", network, NEIGHBOUR6);
    let inner = ethernet(BROADCAST, mac(9), 81);
    lab.underlay.send(&vxlan6(lab.mac, 1000, &inner, true));
    lab.vm1.expect_frame(&inner);
    lab.ferry.expect_place(1000, mac(9), "2001:db8::2");
    lab.underlay.send(&vxlan6(lab.mac, 1000, &inner, false));
    lab.ferry.expect_dropped("up0", "udp_zero_checksum", 1);
    let mut wrong = vxlan6(lab.mac, 1000, &inner, true);
    wrong[100] ^= 1;
    lab.underlay.send(&wrong);
    lab.ferry.expect_dropped("up0", "udp_checksum", 1);
    // D27: IPv4 where the VTEP has none.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.ferry.expect_dropped("up0", "no_twin", 1);
    lab.vm1.expect_silence();

    for length in [14, 61, 64, 1444] {
        for to in [mac(9), BROADCAST] {
            let back = ethernet(to, mac(1), length);
            lab.vm1.send(&back);
            let packet = lab.underlay.expect("VXLAN over IPv6", is_to_peer6);
            let segment = open_ipv6(&packet, 17);
            assert!(udp6_adds_up(&packet), "UDP checksum");
            assert_ne!(segment[6..8], [0, 0]);
            assert_eq!(segment[2..4], 4789u16.to_be_bytes());
            assert_eq!(segment[8..16], [8, 0, 0, 0, 0, 3, 0xe8, 0]);
            assert_eq!(segment[16..], back);
        }
    }
    lab.vm1.send(&ethernet(mac(9), mac(1), 1445));
    lab.ferry.expect_dropped("vm1", "oversize", 1);
    lab.finish();
}

#[test]
fn d14_zero_checksums_by_configuration() {
    let networks = r#"
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [{address: "2001:db8::2", checksum: off}, {address: 192.0.2.3, checksum: on}]}}
"#;
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\", udp6_zero_checksum: accept";
    let lab = Lab::with_vtep(vtep, networks, NEIGHBOUR6);
    let inner = ethernet(BROADCAST, mac(9), 80);
    lab.underlay.send(&vxlan6(lab.mac, 1000, &inner, false));
    lab.vm1.expect_frame(&inner);
    let back = ethernet(BROADCAST, mac(1), 81);
    lab.vm1.send(&back);
    let packet = lab.underlay.expect("no checksum over IPv6", is_to_peer6);
    assert_eq!(open_ipv6(&packet, 17)[6..8], [0, 0]);
    let packet = lab.underlay.expect("a checksum over IPv4", is_vxlan_to(PEER2));
    let segment = open_ipv4(&packet, 17);
    let mut sum = packet[26..34].to_vec();
    sum.extend([0, 17]);
    sum.extend(&segment[4..6]);
    sum.extend(segment);
    assert!(segment[6..8] != [0, 0] && frames::internet_sum(&sum) == 0xffff, "E3");
    assert_eq!(segment[16..], back);
    let peers = lab.ferry.show("peers");
    let by = |peer: usize| peers[peer]["udp_checksum"].as_str();
    assert_eq!([by(0), by(1)], [Some("software"), Some("zero")]);
    lab.finish();
}

#[test]
fn packets_of_all_kinds_come_in_one_burst_whichever_is_first() {
    let networks = r#"
  - vni: 1000
    name: a
    ports: [vm1]
    flood: {peers: [192.0.2.2, {address: 192.0.2.3, encap: nvgre}, "2001:db8::2"]}
"#;
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\", udp6_zero_checksum: drop";
    let lab = Lab::with_vtep(vtep, networks, NEIGHBOUR6);
    let kinds = [0, 1, 2, 3, 4, 5u8];
    for first in kinds {
        let place = |kind: u8| 10 * (first + 1) + kind;
        let inner = |kind| ethernet(BROADCAST, mac(place(kind)), 61);
        let key = |id: u32| Some(id << 8 | u32::from(first));
        let gre = |id| Gre { key: key(id), ..Gre::default() };
        let packet = |kind| match kind {
            0 => vxlan(lab.mac, PEER1, 1000, &inner(kind)),
            1 => gre_from(lab.mac, PEER2, gre(1000), &inner(kind)),
            2 => vxlan6(lab.mac, 1000, &inner(kind), true),
            // Nobody's.
            3 => vxlan(lab.mac, PEER1, 1001, &inner(kind)),
            4 => gre_from(lab.mac, PEER2, gre(1001), &inner(kind)),
            _ => vxlan6(lab.mac, 1000, &inner(kind), false),
        };
        let order = || (0..12).map(|step| kinds[(usize::from(first) + step) % kinds.len()]);
        let [unknown, unsummed] =
            ["unknown_vni", "udp_zero_checksum"].map(|reason| lab.ferry.dropped("up0", reason));
        lab.burst(order().map(packet));
        for kind in order().filter(|kind| *kind < 3) {
            lab.vm1.expect_frame(&inner(kind));
        }
        lab.ferry.expect_dropped("up0", "unknown_vni", unknown + 4);
        lab.ferry.expect_dropped("up0", "udp_zero_checksum", unsummed + 2);
        for (kind, peer) in [(0, "192.0.2.2"), (1, "192.0.2.3"), (2, "2001:db8::2")] {
            lab.ferry.expect_place(1000, mac(place(kind)), peer);
        }
    }
    lab.vm1.expect_silence();
    lab.finish();
}

#[test]
fn a_network_of_all_kinds_at_once_never_leads_from_tunnel_to_tunnel() {
    let networks = r#"
  - vni: 5000
    name: a
    ports: [vm1, vm2]
    flood:
      peers:
        - 192.0.2.2
        - {address: 192.0.2.3, encap: nvgre, flow_id: false}
        - {address: "2001:db8::2", encap: gre}
"#;
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"";
    let lab = Lab::with_vtep(vtep, networks, NEIGHBOUR6);
    let flood = ethernet(BROADCAST, mac(1), 70);
    lab.vm1.send(&flood);
    lab.vm2.expect_frame(&flood);
    let packet = lab.underlay.expect("VXLAN", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (5000, flood.clone()));
    let packet = lab.underlay.expect("NVGRE", is_gre_to(PEER2));
    let key = Some(5000 << 8);
    assert_eq!(open_ipv4(&packet, 47), gre(Gre { key, ..Gre::default() }, &flood));
    let packet = lab.underlay.expect("GRE over IPv6", is_to_peer6);
    let plain = Gre { key: Some(5000), ..Gre::default() };
    assert_eq!(open_ipv6(&packet, 47), gre(plain, &flood));
    lab.underlay.expect_silence();

    let from = |station: u8| {
        let inner = ethernet(BROADCAST, mac(station), 70);
        let packet = match station {
            7 => vxlan(lab.mac, PEER1, 5000, &inner),
            8 => gre_from(lab.mac, PEER2, Gre { key, ..Gre::default() }, &inner),
            _ => ipv6(lab.mac, 47, &gre(plain, &inner)),
        };
        lab.underlay.send(&packet);
        inner
    };
    for (station, place) in [(7, "192.0.2.2"), (8, "192.0.2.3"), (9, "2001:db8::2")] {
        let inner = from(station);
        lab.vm1.expect_frame(&inner);
        lab.vm2.expect_frame(&inner);
        lab.ferry.expect_place(5000, mac(station), place);
    }
    lab.underlay.expect_silence();
    for (station, check) in [(7, &is_vxlan_to(PEER1) as &dyn Fn(&[u8]) -> bool), (9, &is_to_peer6)]
    {
        lab.vm1.send(&ethernet(mac(station), mac(1), 70));
        lab.underlay.expect("to its peer only", check);
        lab.underlay.expect_silence();
    }
    let astray = ethernet(mac(9), mac(7), 70);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 5000, &astray));
    lab.ferry.expect_dropped("up0", "split_horizon", 1);
    let peers = lab.ferry.show("peers");
    let encaps: Vec<_> = peers.as_array().unwrap().iter().map(|row| row["encap"].clone()).collect();
    assert_eq!(encaps, ["vxlan", "nvgre", "gre"]);
    lab.finish();
}

#[test]
fn two_clouds_with_different_numbers_join() {
    let networks = r#"
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [{address: 192.0.2.2, id: 70001}, 192.0.2.3]}}
  - {vni: 2000, name: b, ports: [vm2], flood: {peers: [{address: 192.0.2.2, id: 1000}]}}
"#;
    let lab = Lab::with(networks);
    let inner = ethernet(BROADCAST, mac(9), 60);
    // At peer 1, network a is 70001 and 1000 is network b; at peer 2, 1000 is network a.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 70001, &inner));
    lab.vm1.expect_frame(&inner);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.vm2.expect_frame(&inner);
    lab.ferry.expect_place(2000, mac(9), "192.0.2.2");
    lab.vm1.expect_silence();
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &ethernet(BROADCAST, mac(8), 60)));
    lab.vm1.expect_frame(&ethernet(BROADCAST, mac(8), 60));
    // Our own number of b is nobody's at peer 1.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 2000, &inner));
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);

    let back = ethernet(mac(9), mac(1), 60);
    lab.vm1.send(&back);
    let packet = lab.underlay.expect("with the peer's number", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (70001, back.clone()));
    lab.vm2.send(&back);
    let packet = lab.underlay.expect("with the peer's number", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (1000, back));
    lab.vm1.send(&ethernet(mac(8), mac(1), 60));
    let packet = lab.underlay.expect("with our own", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet).0, 1000);
    lab.finish();
}

#[test]
fn d4_d28_reserved_bits_and_gpe() {
    let network = "\n  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [192.0.2.2]}}\n";
    let lab = Lab::with_vtep("ipv4: 192.0.2.1, reserved_bits: drop", network, "");
    let inner = ethernet(BROADCAST, mac(9), 60);
    let bits = (0..32).chain(56..64).filter(|bit| *bit != 4);
    for (count, bit) in bits.enumerate() {
        let mut packet = vxlan(lab.mac, PEER1, 1000, &inner);
        packet[42 + bit / 8] |= 0x80 >> (bit % 8);
        lab.underlay.send(&packet);
        lab.ferry.expect_dropped("up0", "vxlan_reserved", count as u64 + 1);
    }
    let mut gpe = vxlan(lab.mac, PEER1, 1000, &inner);
    gpe[42..46].copy_from_slice(&[0x0c, 0, 0, 1]);
    lab.underlay.send(&gpe);
    lab.ferry.expect_dropped("up0", "vxlan_gpe", 1);
    lab.vm1.expect_silence();
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.vm1.expect_frame(&inner);
    lab.finish();
}

#[test]
fn n13_two_vlans_of_one_port_are_bridged_and_the_tag_is_swapped() {
    let networks = r#"
  - vni: 0x1234
    name: a
    encap: nvgre
    ports: [{port: trunk0, vlan: 10}, {port: trunk0, vlan: 11}]
    flood: {peers: [192.0.2.2]}
"#;
    let lab = Lab::with(networks);
    let flood = ethernet(BROADCAST, mac(1), 70);
    lab.trunk.send(&tagged(&flood, 10));
    lab.trunk.expect_frame(&tagged(&flood, 11));
    let packet = lab.underlay.expect("NVGRE", is_gre_to(PEER1));
    assert_eq!(open_ipv4(&packet, 47)[8..], flood);
    lab.ferry.expect_place(0x1234, mac(1), "trunk0.10");
    let unicast = ethernet(mac(1), mac(2), 70);
    lab.trunk.send(&tagged(&unicast, 11));
    lab.trunk.expect_frame(&tagged(&unicast, 10));
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn n17_nvgre_and_gre_over_ipv6() {
    for (peer, there) in [
        ("encap: nvgre, flow_id: false", Gre { key: Some(5000 << 8), ..Gre::default() }),
        ("encap: gre, checksum: on", Gre { key: Some(5000), checksum: true, sequence: None }),
        ("encap: gre, key: false", Gre::default()),
    ] {
        let networks = format!(
            "\n  - {{vni: 5000, name: a, ports: [vm1], flood: {{peers: [{{address: \"2001:db8::2\", {peer}}}]}}}}\n"
        );
        let lab = Lab::with_vtep("ipv6: \"2001:db8::1\"", &networks, NEIGHBOUR6);
        let inner = ethernet(BROADCAST, mac(9), 75);
        lab.underlay.send(&ipv6(lab.mac, 47, &gre(there, &inner)));
        lab.vm1.expect_frame(&inner);
        lab.ferry.expect_place(5000, mac(9), "2001:db8::2");
        let back = ethernet(mac(9), mac(1), 75);
        lab.vm1.send(&back);
        let packet = lab.underlay.expect(peer, is_to_peer6);
        assert_eq!(open_ipv6(&packet, 47), gre(there, &back), "{peer}");
        lab.finish();
    }
}
