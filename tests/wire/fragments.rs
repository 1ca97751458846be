//! Outer packets in fragments, byte by byte: sent and put together where the policy says so, and nowhere else. Cases E8 and N18 of a
//! VTEP's wire-level behaviour.

use std::collections::HashSet;

use crate::support::fragments::{fragment, fragments, is_fragment, whole};
use crate::support::frames::{
    BROADCAST, Gre, PEER1, PEER1_MAC, PEER2, VTEP, ethernet, fix_ip_checksum, gre_from, mac,
    open_vxlan, udp, udp6_adds_up, vxlan, vxlan6,
};
use crate::support::neighbours::{fd, icmpv6};
use crate::support::too_big::{datagram, is_too_big};
use crate::support::{Lab, eventually};
use serde_json::json;

/// The ECN bits of who knows ECN, and of a packet that met congestion.
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// Stations 9 to 12 are behind peers that are reached in four ways.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    ports: [vm1, {port: trunk0, vlan: 10}]
    oversize: {others: fragment}
    flood:
      peers:
        - 192.0.2.2
        - {address: "2001:db8::2", encap: vxlan}
        - {address: 192.0.2.3, encap: nvgre}
        - {address: 192.0.2.5, encap: gre, checksum: on}
    macs:
      - {mac: "02:00:00:00:aa:09", peer: 192.0.2.2}
      - {mac: "02:00:00:00:aa:0a", peer: "2001:db8::2"}
      - {mac: "02:00:00:00:aa:0b", peer: 192.0.2.3}
      - {mac: "02:00:00:00:aa:0c", peer: 192.0.2.5}
  - {vni: 2000, name: b, ports: [vm2], flood: {peers: [192.0.2.2]}}
"#;

const NEIGHBOURS: &str = r#"
    - {ip: "2001:db8::2", mac: "02:00:00:00:11:01", port: up0}
    - {ip: 192.0.2.5, mac: "02:00:00:00:11:02", port: up0}
"#;

/// With this value of `underlay.vtep.fragments`.
fn lab(fragments: &str) -> Lab {
    let vtep = format!("ipv4: 192.0.2.1, ipv6: \"2001:db8::1\", fragments: {fragments}");
    Lab::with_fragments(&vtep, NETWORKS, NEIGHBOURS)
}

/// From station 1 to another, IPv4 that routers may fragment, and that one has marked.
fn loose(to: [u8; 6], length: usize) -> Vec<u8> {
    let mut frame = datagram(to, mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), length);
    (frame[15], frame[20]) = (CE, 0);
    fix_ip_checksum(&mut frame);
    frame
}

/// The low bits of the traffic class, ECN among them.
fn class(packet: &[u8]) -> u8 {
    match packet[12] {
        8 => packet[15],
        _ => packet[15] >> 4,
    }
}

/// The next packet on the underlay, which comes in two fragments; and its identification.
fn cut_packet(lab: &Lab) -> (Vec<u8>, u32) {
    let parts = [0, 1].map(|_| lab.underlay.expect("a fragment", is_fragment));
    assert_eq!(parts[0].len(), 14 + 1500 - if parts[0][12] == 8 { 0 } else { 4 });
    whole(&parts)
}

fn fragmented(lab: &Lab, network: usize) -> u64 {
    lab.ferry.show("networks")[network]["oversize"]["fragmented"].as_u64().unwrap()
}

#[test]
fn e8_what_nobody_can_be_told_of_goes_in_fragments_where_the_policy_says_so() {
    let lab = lab("drop");
    let mut ids = HashSet::new();
    // IPv4 without 'don't fragment', and no IP at all.
    for round in 0..3 {
        for (station, headers) in [(9, 50), (10, 70), (11, 42), (12, 46)] {
            let frame = match round {
                0 => ethernet(mac(station), mac(1), 1514),
                _ => loose(mac(station), 1500),
            };
            lab.vm1.send(&frame);
            let (packet, id) = cut_packet(&lab);
            assert_eq!(packet[headers..], frame, "station {station}");
            assert_eq!(class(&packet), if round == 0 { 0 } else { CE }, "station {station}");
            assert!(ids.insert(id), "identification {id} comes twice");
            match station {
                9 => assert_eq!(open_vxlan(&packet), (1000, frame)),
                10 => assert!(udp6_adds_up(&packet)),
                _ => assert_eq!(packet[23], 47),
            }
        }
    }
    assert_eq!(fragmented(&lab, 0), 12);
    let trace = lab.ferry.trace("vm1", &ethernet(mac(9), mac(1), 1514));
    assert_eq!(
        (&trace["effects"], trace["sent"].as_array().unwrap().len()),
        (&json!([{"effect": "fragment"}]), 2)
    );
    assert_eq!(fragmented(&lab, 0), 12, "nothing was sent");
    assert!(lab.ferry.drops().is_empty(), "{:?}", lab.ferry.drops());
    // Who can be told is told.
    lab.vm1.send(&datagram(mac(9), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), 1500));
    lab.vm1.expect("an answer", is_too_big);
    lab.ferry.expect_dropped("vm1", "oversize", 1);
    // Where the policy says nothing, nothing is sent in fragments.
    lab.vm2.send(&ethernet(mac(9), mac(2), 1514));
    lab.ferry.expect_dropped("vm2", "oversize", 1);
    lab.expect_silence(&[]);
    assert_eq!(fragmented(&lab, 1), 0);
    lab.finish();
}

#[test]
fn e8_what_is_flooded_goes_in_fragments_to_each_peer() {
    let lab = lab("drop");
    let frame = loose(BROADCAST, 1500);
    lab.vm1.send(&frame);
    for _ in 0..4 {
        let (packet, _) = cut_packet(&lab);
        assert!(packet.ends_with(&frame));
    }
    lab.trunk.expect("the local copy", |frame| frame.len() == 1518);
    assert_eq!(fragmented(&lab, 0), 4);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn n18_by_default_fragments_are_dropped_and_nothing_is_delivered_in_part() {
    let lab = lab("drop");
    let inner = ethernet(mac(1), mac(9), 400);
    let keyed = Gre { key: Some(1000 << 8), ..Gre::default() };
    let packets = [
        vxlan(lab.mac, PEER1, 1000, &inner),
        vxlan6(lab.mac, 1000, &inner, true),
        gre_from(lab.mac, PEER2, keyed, &inner),
    ];
    for (count, packet) in (1..).zip(packets) {
        for part in fragments(&packet, 7, 104) {
            lab.underlay.send(&part);
        }
        // The first tells what it is; the others are the kernel's, which is not there.
        lab.ferry.expect_dropped("up0", "fragment", count);
        lab.ferry.expect_dropped("up0", "no_twin", 3 * count);
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn n18_fragments_are_put_together_in_any_order() {
    let lab = lab("reassemble");
    let keyed = Gre { key: Some(1000 << 8), ..Gre::default() };
    for (number, length) in (1..).zip([60, 400, 1500, 1514]) {
        let inner = ethernet(mac(1), mac(9), length);
        let packets = [
            vxlan(lab.mac, PEER1, 1000, &inner),
            vxlan6(lab.mac, 1000, &inner, true),
            gre_from(lab.mac, PEER2, keyed, &inner),
        ];
        for packet in packets {
            for (order, size) in [(0, 1448), (3, 40), (1, 488), (2, 104), (1, 1448)] {
                let mut parts = fragments(&packet, number * 8 + order, size);
                match order {
                    0 | 3 => {}
                    1 => parts.reverse(),
                    _ => parts.sort_by_key(|part| part[21] % 3),
                }
                for part in parts {
                    lab.underlay.send(&part);
                }
                lab.vm1.expect_frame(&inner);
            }
        }
    }
    assert!(lab.ferry.drops().is_empty(), "{:?}", lab.ferry.drops());
    assert!(lab.ferry.show("totals")["merged"].as_u64().unwrap() > 100);
    lab.finish();
}

#[test]
fn n18_what_is_put_together_is_checked_like_any_packet() {
    let lab = lab("reassemble");
    let send = |packet: &[u8], id| {
        fragments(packet, id, 200).iter().for_each(|part| lab.underlay.send(part));
    };
    let inner = ethernet(mac(1), mac(9), 900);
    send(&vxlan(lab.mac, PEER1, 77, &inner), 1);
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);
    let mut damaged = vxlan6(lab.mac, 1000, &inner, true);
    damaged[500] ^= 1;
    send(&damaged, 2);
    lab.ferry.expect_dropped("up0", "udp_checksum", 1);
    send(&vxlan6(lab.mac, 1000, &inner, false), 3);
    lab.ferry.expect_dropped("up0", "udp_zero_checksum", 1);
    // Who is no peer takes no room, and what is the kernel's goes there, in whatever order.
    send(&vxlan(lab.mac, [192, 0, 2, 66], 1000, &inner), 4);
    lab.ferry.expect_dropped("up0", "fragment", 1);
    lab.ferry.expect_dropped("up0", "no_twin", 4);
    let dns = udp(lab.mac, PEER1_MAC, (PEER1, VTEP), (53, 53), &inner);
    send(&dns, 5);
    lab.ferry.expect_dropped("up0", "no_twin", 9);
    fragments(&dns, 6, 200).iter().rev().for_each(|part| lab.underlay.send(part));
    lab.ferry.expect_dropped("up0", "no_twin", 10);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn n18_congestion_that_one_fragment_met_is_the_packets() {
    let lab = lab("reassemble");
    let mut inner = datagram(mac(1), mac(9), ([10, 0, 0, 9], [10, 0, 0, 1]), 900);
    inner[15] = ECT_0;
    fix_ip_checksum(&mut inner);
    let mut told = inner.clone();
    told[15] = CE;
    fix_ip_checksum(&mut told);
    let packets = [vxlan(lab.mac, PEER1, 1000, &inner), vxlan6(lab.mac, 1000, &inner, true)];
    let send = |packet: &[u8], id, others, third| {
        for (number, mut part) in fragments(packet, id, 200).into_iter().enumerate() {
            let class = if number == 2 { third } else { others };
            if part[12] == 8 {
                part[15] = class;
                fix_ip_checksum(&mut part);
            } else {
                part[15] = class << 4;
            }
            lab.underlay.send(&part);
        }
    };
    for (number, packet) in (1..).zip(packets) {
        send(&packet, number * 8, ECT_0, ECT_0);
        lab.vm1.expect_frame(&inner);
        send(&packet, number * 8 + 1, ECT_0, CE);
        lab.vm1.expect_frame(&told);
        // No router marks what knows no ECN.
        send(&packet, number * 8 + 2, 0, CE);
        lab.ferry.expect_dropped("up0", "bad_fragment", number.into());
    }
    // The station is not known there.
    lab.expect_silence(&["trunk"]);
    lab.finish();
}

#[test]
fn n18_hostile_fragments_are_counted_and_hold_nothing() {
    let lab = lab("{packets: 16, timeout: 1s}");
    let inner = ethernet(mac(1), mac(9), 600);
    let packet = vxlan(lab.mac, PEER1, 1000, &inner);
    let good = |id| {
        fragments(&packet, id, 200).iter().for_each(|part| lab.underlay.send(part));
        lab.vm1.expect_frame(&inner);
    };
    // Overlapping ones: all of the packet is given up, and what comes after is of nothing.
    for part in [0..200, 192..400] {
        lab.underlay.send(&fragment(&packet, 1, part, true));
    }
    lab.ferry.expect_dropped("up0", "bad_fragment", 2);
    lab.underlay.send(&fragment(&packet, 1, 400..616, false));
    // The same twice is dropped, and does no harm.
    let parts = fragments(&packet, 2, 200);
    lab.underlay.send(&parts[1]);
    lab.underlay.send(&parts[1]);
    lab.ferry.expect_dropped("up0", "bad_fragment", 3);
    for part in [&parts[3], &parts[0], &parts[2]] {
        lab.underlay.send(part);
    }
    lab.vm1.expect_frame(&inner);
    // Two ends, an end within, bytes that are no unit, nothing at all, more than any packet or buffer has.
    let long = [&packet[..], &[0; 3000]].concat();
    let wrong = |id, parts: &[(std::ops::Range<usize>, bool)]| {
        for (part, more) in parts {
            lab.underlay.send(&fragment(&long, id, part.clone(), *more));
        }
    };
    wrong(3, &[(400..500, false), (600..616, false)]);
    wrong(4, &[(400..480, true), (200..300, false)]);
    wrong(5, &[(0..100, true)]);
    wrong(6, &[(8..8, true)]);
    wrong(7, &[(2000..2600, true)]);
    lab.ferry.expect_dropped("up0", "bad_fragment", 10);
    let mut far = fragment(&packet, 8, 400..616, false);
    far[20..22].copy_from_slice(&[0x1f, 0xff]);
    fix_ip_checksum(&mut far);
    lab.underlay.send(&far);
    lab.ferry.expect_dropped("up0", "bad_fragment", 11);
    lab.ferry.expect_dropped("up0", "fragment_timeout", 1);
    good(9);
    // Thousands of beginnings: the oldest make room, and a packet that comes in one go gets through.
    let burst = 3000;
    for id in 0..burst {
        lab.underlay.send(&fragment(&packet, 1000 + id, 8..16, true));
    }
    good(10);
    let given_up = || {
        let count = |reason| lab.ferry.dropped("up0", reason);
        (count("fragment_overflow"), count("fragment_timeout") - 1)
    };
    assert!(given_up().0 > u64::from(burst) / 2, "{:?}", given_up());
    eventually("all of them are given up", || given_up().0 + given_up().1 == u64::from(burst));
    // With more gaps than anybody makes in good faith the packet is given up, too.
    for start in (0..17 * 16).step_by(16) {
        lab.underlay.send(&fragment(&packet, 11, start..start + 8, true));
    }
    lab.ferry.expect_dropped("up0", "bad_fragment", 11 + 17);
    good(12);
    lab.expect_silence(&["trunk"]);
    lab.finish();
}

#[test]
fn n18_the_policy_is_followed_while_packets_wait() {
    let lab = lab("reassemble");
    let packet = vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(9), 600));
    let parts = fragments(&packet, 1, 200);
    lab.underlay.send(&parts[0]);
    eventually("it waits", || lab.ferry.show("totals")["held"] == 1);
    let config = lab.ferry.show("config");
    let mut other = config.clone();
    other["underlay"]["vtep"]["fragments"] = "drop".into();
    lab.ferry.expect_change("apply -", &other.to_string());
    lab.ferry.expect_dropped("up0", "fragment_timeout", 1);
    lab.underlay.send(&parts[0]);
    lab.ferry.expect_dropped("up0", "fragment", 1);
    lab.ferry.expect_change("apply -", &config.to_string());
    parts.iter().for_each(|part| lab.underlay.send(part));
    lab.vm1.expect("the frame", |frame| frame.len() == 600);
    lab.finish();
}

#[test]
fn n18_fragments_of_peers_over_ipv6_that_are_all_of_a_packet_are_it() {
    let lab = lab("reassemble");
    let inner = ethernet(mac(1), mac(9), 300);
    let packet = vxlan6(lab.mac, 1000, &inner, true);
    lab.underlay.send(&fragment(&packet, 1, 0..packet.len() - 54, false));
    lab.vm1.expect_frame(&inner);
    // ICMPv6 in fragments is the kernel's.
    let echo = icmpv6((lab.mac, PEER1_MAC), (fd(1), fd(9)), &[0x80; 600]);
    fragments(&echo, 2, 200).iter().for_each(|part| lab.underlay.send(part));
    lab.ferry.expect_dropped("up0", "no_twin", 3);
    lab.finish();
}
