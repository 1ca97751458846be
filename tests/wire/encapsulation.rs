//! From the tenants to the underlay, byte by byte: cases E1–E9 of a VTEP's wire-level behaviour.

use std::collections::HashSet;

use crate::support::Lab;
use crate::support::frames::{
    BROADCAST, PEER1, PEER1_MAC, PEER2, PEER2_MAC, ethernet, is_vxlan_to, mac, open_vxlan, tagged,
    udp, vxlan,
};

/// Station 9 is behind peer 1.
fn lab_with_remote_station() -> Lab {
    let lab = Lab::new();
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    for port in [&lab.vm1, &lab.vm2, &lab.trunk] {
        port.drain();
    }
    lab
}

#[test]
fn a_known_destination_gets_one_packet_with_right_headers() {
    let lab = lab_with_remote_station();
    for length in [14, 60, 64, 1000, 1464] {
        let inner = ethernet(mac(9), mac(1), length);
        lab.vm1.send(&inner);
        let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
        assert_eq!(packet[..6], PEER1_MAC);
        assert_eq!(packet[6..12], lab.mac);
        let (vni, found) = open_vxlan(&packet);
        // veth pads nothing, so even a 14-byte frame stays as it is.
        assert_eq!((vni, found), (1000, inner));
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn a_trunks_tag_stays_at_home() {
    let lab = lab_with_remote_station();
    let inner = ethernet(mac(9), mac(3), 80);
    lab.trunk.send(&tagged(&inner, 10));
    let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (1000, inner));
    lab.ferry.expect_place(1000, mac(3), "trunk0.10");
    let back = ethernet(mac(3), mac(9), 80);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &back));
    lab.trunk.expect_frame(&tagged(&back, 10));
    lab.finish();
}

#[test]
fn frames_without_a_network_are_dropped_for_their_reason() {
    let lab = Lab::new();
    let frame = ethernet(BROADCAST, mac(1), 60);
    lab.trunk.send(&tagged(&frame, 30));
    lab.ferry.expect_dropped("trunk0", "vlan_unmapped", 1);
    lab.trunk.send(&frame);
    lab.ferry.expect_dropped("trunk0", "vlan_unmapped", 2);
    lab.vm1.send(&tagged(&frame, 10));
    lab.ferry.expect_dropped("vm1", "vlan_unmapped", 1);
    lab.trunk.send(&tagged(&tagged(&frame, 99), 10));
    lab.ferry.expect_dropped("trunk0", "inner_vlan", 1);
    lab.vm1.send(&ethernet(BROADCAST, [3, 0, 0, 0, 0, 1], 60));
    lab.vm1.send(&ethernet(BROADCAST, [0; 6], 60));
    lab.ferry.expect_dropped("vm1", "invalid_source", 2);
    lab.vm1.send(&ethernet([0x01, 0x80, 0xc2, 0, 0, 0], mac(1), 60));
    lab.ferry.expect_dropped("vm1", "reserved_multicast", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let lab = lab_with_remote_station();
    let inner = ethernet(mac(9), mac(1), 80);
    lab.vm1.send(&tagged(&inner, 0));
    let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (1000, inner));
    lab.finish();
}

#[test]
fn what_does_not_fit_the_underlay_is_dropped_and_never_fragmented() {
    let lab = lab_with_remote_station();
    lab.vm1.send(&ethernet(mac(9), mac(1), 1464));
    lab.underlay.expect("the longest frame", is_vxlan_to(PEER1));
    lab.vm1.send(&ethernet(mac(9), mac(1), 1465));
    lab.ferry.expect_dropped("vm1", "oversize", 1);
    lab.underlay.expect_silence();
    lab.finish();
}

#[test]
fn the_source_port_tells_flows_apart_and_is_stable() {
    let lab = lab_with_remote_station();
    let port_of = |flow: u16| {
        let addresses = ([10, 0, 0, 1], [10, 0, 0, 9]);
        lab.vm1.send(&udp(mac(9), mac(1), addresses, (1000 + flow, 80), &[0; 30]));
        let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
        open_vxlan(&packet);
        u16::from_be_bytes([packet[34], packet[35]])
    };
    let ports: Vec<u16> = (0..64).map(port_of).collect();
    assert_eq!(ports, (0..64).map(port_of).collect::<Vec<u16>>());
    let distinct: HashSet<_> = ports.iter().collect();
    assert!(distinct.len() > 60, "64 flows on {} ports", distinct.len());
    lab.finish();
}

#[test]
fn the_extremes_of_the_vni_are_exact() {
    for vni in [1u32, 0x01_0203, 0xff_ffff] {
        let lab = Lab::with(&format!(
            "\n  - {{vni: {vni}, name: a, ports: [vm1], flood: {{peers: [192.0.2.2]}}}}\n"
        ));
        let frame = ethernet(BROADCAST, mac(1), 60);
        lab.vm1.send(&frame);
        let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
        assert_eq!(open_vxlan(&packet), (vni, frame));
        let back = ethernet(mac(1), mac(9), 60);
        lab.underlay.send(&vxlan(lab.mac, PEER1, vni, &back));
        lab.vm1.expect_frame(&back);
        lab.finish();
    }
}

#[test]
fn broadcast_goes_once_to_every_peer_and_port_but_never_back() {
    let lab = Lab::new();
    let unknown = ethernet(mac(77), mac(1), 100);
    for frame in
        [ethernet(BROADCAST, mac(1), 100), unknown, ethernet([1, 0, 0x5e, 0, 0, 9], mac(1), 100)]
    {
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
        lab.trunk.expect_frame(&tagged(&frame, 10));
        for (peer, peer_mac) in [(PEER1, PEER1_MAC), (PEER2, PEER2_MAC)] {
            let packet = lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
            assert_eq!(packet[..6], peer_mac);
            assert_eq!(open_vxlan(&packet), (1000, frame.clone()));
        }
        lab.expect_silence(&[]);
    }
    assert_eq!(lab.ferry.expect_balance()["copies"], 9);
    lab.finish();
}

#[test]
fn a_long_list_of_peers_gets_one_copy_each_while_unicast_goes_on() {
    const PEERS: u16 = 1000;
    let text = |number: u16| format!("198.18.{}.{}", number >> 8, number & 0xff);
    let neighbour = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let ip = text(number);
        format!("    - {{ip: {ip}, mac: \"02:00:00:22:{high:02x}:{low:02x}\", port: up0}}")
    };
    let neighbours: Vec<_> = (1..=PEERS).map(neighbour).collect();
    let peers: Vec<_> = (1..=PEERS).map(text).collect();
    let networks = format!(
        "\n  - {{vni: 1000, name: a, ports: [vm1, vm2], flood: {{peers: [{}]}}}}\n",
        peers.join(", ")
    );
    let lab = Lab::with_neighbours(&networks, &neighbours.join("\n"));
    lab.vm2.send(&ethernet(mac(1), mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm2");
    lab.vm1.drain();
    lab.underlay.drain();

    let flood = ethernet(BROADCAST, mac(1), 300);
    let unicast = ethernet(mac(2), mac(1), 100);
    lab.vm1.send(&flood);
    lab.vm1.send(&unicast);
    lab.vm2.expect_frame(&unicast);
    let copies = lab.underlay.drain();
    let mut reached: Vec<u16> = copies
        .iter()
        .map(|packet| {
            assert_eq!(open_vxlan(packet), (1000, flood.clone()));
            let [high, low] = [packet[32], packet[33]];
            assert_eq!(packet[..6], [2, 0, 0, 0x22, high, low]);
            u16::from_be_bytes([high, low])
        })
        .collect();
    reached.sort_unstable();
    assert_eq!(reached, (1..=PEERS).collect::<Vec<_>>());
    lab.finish();
}

#[test]
fn stations_on_one_host_talk_without_the_underlay() {
    let lab = Lab::new();
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm2");
    for port in [&lab.vm1, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let frame = ethernet(mac(2), mac(1), 100);
    lab.vm1.send(&frame);
    lab.vm2.expect_frame(&frame);
    lab.trunk.send(&tagged(&frame, 10));
    lab.vm2.expect_frame(&frame);
    lab.vm2.send(&ethernet(mac(2), mac(5), 60));
    lab.ferry.expect_dropped("vm2", "same_port", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn e5_frames_without_ip_are_told_apart_by_their_stations() {
    let lab = lab_with_remote_station();
    let port_of = |station: u8| {
        lab.vm1.send(&ethernet(mac(9), mac(0x40 + station), 60));
        let packet = lab.underlay.expect("a VXLAN packet", is_vxlan_to(PEER1));
        open_vxlan(&packet);
        u16::from_be_bytes([packet[34], packet[35]])
    };
    let ports: Vec<u16> = (0..32).map(port_of).collect();
    assert_eq!(ports, (0..32).map(port_of).collect::<Vec<u16>>());
    let distinct: HashSet<_> = ports.iter().collect();
    assert!(distinct.len() > 28, "32 stations on {} ports", distinct.len());
    lab.finish();
}

#[test]
fn b7_of_two_members_the_other_gets_the_flood_and_of_one_nobody() {
    let lab = Lab::with(
        "\n  - {vni: 1000, name: a, ports: [vm1, vm2]}\n  - {vni: 2000, name: b, ports: [{port: trunk0, vlan: 20}]}\n",
    );
    for to in [BROADCAST, mac(77)] {
        let frame = ethernet(to, mac(1), 60);
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
    }
    lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(3), 60), 20));
    lab.ferry.expect_dropped("trunk0", "no_destination", 1);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn b15_bridge_protocols_stay_on_their_link_and_ip_groups_of_a_link_are_flooded() {
    let lab = Lab::new();
    // IEEE 802.1Q table 8-1 keeps all sixteen.
    for last in 0..16 {
        let inner = ethernet([0x01, 0x80, 0xc2, 0, 0, last], mac(9), 60);
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
        lab.vm1.send(&ethernet([0x01, 0x80, 0xc2, 0, 0, last], mac(1), 60));
    }
    lab.ferry.expect_dropped("up0", "reserved_multicast", 16);
    lab.ferry.expect_dropped("vm1", "reserved_multicast", 16);
    lab.expect_silence(&[]);
    // All systems, all nodes, and the first MAC behind the sixteen.
    for group in [[1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], [1, 0x80, 0xc2, 0, 0, 0x10]] {
        let frame = ethernet(group, mac(1), 60);
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
        lab.trunk.expect_frame(&tagged(&frame, 10));
        for peer in [PEER1, PEER2] {
            let packet = lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
            assert_eq!(open_vxlan(&packet), (1000, frame.clone()));
        }
    }
    lab.finish();
}
