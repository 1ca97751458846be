//! ARP and neighbour discovery answered where they come in: cases S1–S11 of a VTEP's wire-level behaviour.

use std::time::Duration;

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, tagged, vxlan,
};
use crate::support::neighbours::{
    ALL_NODES, OVERRIDE, REPLY, REQUEST, ROUTER, SOLICITED, advertisement, arp, dhcp,
    duplicate_detection, fd, icmpv6, solicitation, who_has,
};
use crate::support::{self, Lab};

/// Network 1000 knows station 9 in advance, behind a peer that is not there; network 2000 knows nobody, and network
/// 3000 suppresses nothing.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2, {port: trunk0, vlan: 10}]
    flood: {peers: [192.0.2.2, 192.0.2.3]}
    arp_suppression: true
    macs: [{mac: "02:00:00:00:aa:09", peer: 192.0.2.3, ips: [10.0.0.9, "fd00::9"]}]
  - vni: 2000
    name: b
    ports: [{port: trunk0, vlan: 20}]
    flood: {peers: [192.0.2.2]}
    arp_suppression: true
  - vni: 3000
    name: c
    ports: [{port: trunk0, vlan: 30}]
    flood: {peers: [192.0.2.2]}
    macs: [{mac: "02:00:00:00:aa:09", peer: 192.0.2.3, ips: [10.0.0.9]}]
"#;

const ONE: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 0xaa, 1], [10, 0, 0, 1]);
const ONE_V6: ([u8; 6], [u8; 16]) =
    ([2, 0, 0, 0, 0xaa, 1], [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

fn ip(last: u8) -> [u8; 4] {
    [10, 0, 0, last]
}

/// A frame from vm1 reaches all others of network 1000.
fn expect_flood(lab: &Lab, frame: &[u8]) {
    lab.vm1.send(frame);
    lab.vm2.expect_frame(frame);
    lab.trunk.expect_frame(&tagged(frame, 10));
    for peer in [PEER1, PEER2] {
        let packet = lab.underlay.expect("a copy to each peer", is_vxlan_to(peer));
        assert_eq!(open_vxlan(&packet), (1000, frame.to_vec()));
    }
    lab.expect_silence(&[]);
}

/// A frame from vm1 is answered there, and nobody else hears of it.
fn expect_answer(lab: &Lab, question: &[u8], answer: &[u8]) {
    lab.vm1.send(question);
    lab.vm1.expect_frame(answer);
    lab.expect_silence(&[]);
}

fn suppression(lab: &Lab, key: &str) -> u64 {
    lab.ferry.show("networks")[0]["arp_suppression"][key].as_u64().unwrap()
}

#[test]
fn s1_s3_s4_s5_arp_is_answered_where_it_is_known_and_flooded_where_not() {
    let lab = Lab::with(NETWORKS);
    expect_flood(&lab, &who_has(ip(7), ONE));
    // Peer 192.0.2.3 does not exist: nobody needs it for the answer.
    expect_answer(&lab, &who_has(ip(9), ONE), &arp(ONE.0, REPLY, (mac(9), ip(9)), ONE));
    assert_eq!((suppression(&lab, "answered"), suppression(&lab, "flooded")), (1, 1));
    // The asker is known from its question.
    lab.ferry.expect_neighbour(1000, "10.0.0.1", mac(1), "arp");

    // Where nothing is suppressed, the same question is flooded.
    let question = who_has(ip(9), (mac(3), ip(3)));
    lab.trunk.send(&tagged(&question, 30));
    let packet = lab.underlay.expect("the flood", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (3000, question));
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn s7_neighbour_discovery_is_answered_in_the_same_way() {
    let lab = Lab::with(NETWORKS);
    expect_flood(&lab, &solicitation(fd(7), ONE_V6));
    let answer = advertisement(ONE_V6, SOLICITED | OVERRIDE, (mac(9), fd(9)));
    expect_answer(&lab, &solicitation(fd(9), ONE_V6), &answer);
    lab.ferry.expect_neighbour(1000, "fd00::1", mac(1), "nd");

    // A router says that it is one, and so does the answer: else its hosts would forget their route.
    let router = advertisement(ALL_NODES, ROUTER | OVERRIDE, (mac(9), fd(9)));
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &router));
    lab.vm1.expect_frame(&router);
    support::eventually("it is known as a router", || {
        let neighbours = lab.ferry.show("neighbours");
        neighbours.as_array().unwrap().iter().any(|row| row["router"] == true)
    });
    for port in [&lab.vm2, &lab.trunk] {
        port.drain();
    }
    let answer = advertisement(ONE_V6, ROUTER | SOLICITED | OVERRIDE, (mac(9), fd(9)));
    expect_answer(&lab, &solicitation(fd(9), ONE_V6), &answer);
    lab.finish();
}

#[test]
fn s10_who_looks_for_duplicates_or_announces_is_heard_by_all() {
    let lab = Lab::with(NETWORKS);
    for frame in [
        who_has(ip(9), (mac(1), [0; 4])),
        who_has(ip(1), ONE),
        arp(BROADCAST, REPLY, ONE, ONE),
        duplicate_detection(fd(9), mac(1)),
        advertisement(ALL_NODES, OVERRIDE, ONE_V6),
        // The known station's own question for its own address.
        who_has(ip(9), (mac(9), ip(3))),
    ] {
        expect_flood(&lab, &frame);
    }
    assert_eq!((suppression(&lab, "answered"), suppression(&lab, "flooded")), (0, 0));
    // To one station it is a question whether that is alive.
    let alive = arp(mac(9), REQUEST, ONE, (mac(9), ip(9)));
    lab.vm1.send(&alive);
    let packet = lab.underlay.expect("the question itself", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (1000, alive));
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn s11_networks_and_vlans_know_nothing_of_each_other() {
    let lab = Lab::with(NETWORKS);
    // Network 2000 has another station at the same address.
    lab.trunk.send(&tagged(&who_has(ip(4), (mac(2), ip(9))), 20));
    lab.ferry.expect_neighbour(2000, "10.0.0.9", mac(2), "arp");
    lab.underlay.drain();

    lab.trunk.send(&tagged(&who_has(ip(9), ONE), 10));
    let answer = arp(ONE.0, REPLY, (mac(9), ip(9)), ONE);
    lab.trunk.expect_frame(&tagged(&answer, 10));
    lab.trunk.send(&tagged(&who_has(ip(9), ONE), 20));
    let answer = arp(ONE.0, REPLY, (mac(2), ip(9)), ONE);
    lab.trunk.expect_frame(&tagged(&answer, 20));
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn what_is_asked_by_a_tunnel_is_for_the_stations_here() {
    let lab = Lab::with(NETWORKS);
    let question = who_has(ip(9), (mac(5), ip(5)));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &question));
    for (port, frame) in [
        (&lab.vm1, question.clone()),
        (&lab.vm2, question.clone()),
        (&lab.trunk, tagged(&question, 10)),
    ] {
        port.expect_frame(&frame);
    }
    lab.expect_silence(&[]);
    // And yet it says where the asker is.
    lab.ferry.expect_neighbour(1000, "10.0.0.5", mac(5), "arp");
    expect_answer(&lab, &who_has(ip(5), ONE), &arp(ONE.0, REPLY, (mac(5), ip(5)), ONE));
    lab.finish();
}

#[test]
fn addresses_are_learned_from_all_that_names_them_and_the_last_word_counts() {
    let lab = Lab::with(NETWORKS);
    // Each of them unicast to station 1, whose place is known.
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    for port in [&lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let mut router = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    router.extend(mac(8));
    for (frame, address, owner, kind) in [
        (arp(mac(1), REPLY, (mac(5), ip(5)), ONE), "10.0.0.5", mac(5), "arp"),
        (advertisement(ONE_V6, SOLICITED | OVERRIDE, (mac(6), fd(6))), "fd00::6", mac(6), "nd"),
        (dhcp(mac(7), mac(1), ip(101), 5), "10.0.0.101", mac(1), "dhcp"),
        (icmpv6((mac(1), mac(8)), (fd(8), fd(1)), &router), "fd00::8", mac(8), "nd"),
    ] {
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &frame));
        lab.vm1.expect_frame(&frame);
        lab.ferry.expect_neighbour(1000, address, owner, kind);
    }
    // Station 5's address moves to another MAC, at another place: live migration announces it.
    let announced = arp(BROADCAST, REQUEST, (mac(55), ip(5)), ([0; 6], ip(5)));
    lab.vm2.send(&announced);
    lab.vm1.expect_frame(&announced);
    lab.ferry.expect_neighbour(1000, "10.0.0.5", mac(55), "arp");
    for port in [&lab.trunk, &lab.underlay] {
        port.drain();
    }
    expect_answer(&lab, &who_has(ip(5), ONE), &arp(ONE.0, REPLY, (mac(55), ip(5)), ONE));
    // A proxy's word does not replace a station's own; nobody's word replaces the operator's.
    for frame in [
        advertisement(ALL_NODES, 0, (mac(66), fd(6))),
        arp(BROADCAST, REQUEST, (mac(66), ip(9)), ([0; 6], ip(9))),
    ] {
        lab.vm2.send(&frame);
        lab.vm1.expect_frame(&frame);
    }
    lab.ferry.expect_place(1000, mac(66), "vm2");
    lab.ferry.expect_neighbour(1000, "fd00::6", mac(6), "nd");
    lab.ferry.expect_neighbour(1000, "10.0.0.9", mac(9), "static");
    lab.finish();
}

#[test]
fn unknown_addresses_may_be_dropped_but_never_what_looks_for_duplicates() {
    let lab = Lab::with(&NETWORKS.replacen("true", "{unknown: drop}", 1));
    lab.vm1.send(&who_has(ip(7), ONE));
    lab.vm1.send(&solicitation(fd(7), ONE_V6));
    lab.ferry.expect_dropped("vm1", "unknown_neighbour", 2);
    lab.expect_silence(&[]);
    expect_answer(&lab, &who_has(ip(9), ONE), &arp(ONE.0, REPLY, (mac(9), ip(9)), ONE));
    expect_flood(&lab, &who_has(ip(7), (mac(1), [0; 4])));
    expect_flood(&lab, &duplicate_detection(fd(7), mac(1)));
    // By a tunnel it is for the stations here.
    let question = who_has(ip(7), (mac(5), ip(5)));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &question));
    lab.vm1.expect_frame(&question);
    lab.finish();
}

#[test]
fn silent_addresses_are_forgotten_and_only_so_many_are_learned() {
    let networks = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    ageing: 2s
    arp_suppression: {limit: 3}
    macs: [{mac: "02:00:00:00:aa:09", port: vm2, ips: [10.0.0.9]}]
"#;
    let lab = Lab::with(networks);
    for last in 1..=5 {
        lab.vm1.send(&who_has(ip(200), (mac(last), ip(last))));
    }
    support::eventually("three are learned and two refused", || {
        suppression(&lab, "neighbours_learned") == 3 && suppression(&lab, "neighbours_refused") == 2
    });
    for _ in 0..20 {
        lab.vm1.send(&who_has(ip(200), (mac(1), ip(1))));
        std::thread::sleep(Duration::from_millis(250));
    }
    support::eventually("all but the one that speaks are forgotten", || {
        suppression(&lab, "neighbours_learned") == 1
    });
    lab.ferry.expect_neighbour(1000, "10.0.0.1", mac(1), "arp");
    lab.ferry.expect_neighbour(1000, "10.0.0.9", mac(9), "static");
    lab.finish();
}

#[test]
fn nothing_unknown_leaves_where_nothing_is_flooded() {
    let networks = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: none
    macs: [{mac: "02:00:00:00:aa:09", peer: 192.0.2.3}]
"#;
    let lab = Lab::with(networks);
    for frame in [
        ethernet(BROADCAST, mac(1), 60),
        ethernet(mac(7), mac(1), 60),
        ethernet([1, 0, 0x5e, 0, 0, 5], mac(1), 60),
    ] {
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
        lab.expect_silence(&[]);
    }
    let known = ethernet(mac(9), mac(1), 60);
    lab.vm1.send(&known);
    let packet = lab.underlay.expect("what is known to be there", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (1000, known));
    // Its peer is known too.
    let back = ethernet(mac(1), mac(9), 60);
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &back));
    lab.vm1.expect_frame(&back);
    lab.finish();
}
