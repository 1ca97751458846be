//! VXLAN's group policy (draft-smith-vxlan-group-policy), byte by byte.

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, fix_ip_checksum, internet_sum, ipv4, is_vxlan_to, mac,
    tagged, udp6_adds_up, vxlan, vxlan6,
};
use crate::support::neighbours::{REPLY, arp, who_has};
use crate::support::{Lab, eventually};

/// Peer 192.0.2.2 tells of groups, peer 192.0.2.3 does not.
const NETWORKS: &str = r#"
  - vni: 1000
    name: a
    group_policy: true
    ports: [{port: vm1, group: 100, accept_groups: [0, 200]}, vm2, {port: trunk0, vlan: 10, group: 200, accept_groups: [100, 300]}]
    flood: {peers: [192.0.2.2, {address: 192.0.2.3, group_policy: false}]}
"#;

/// The first word of the VXLAN header of a packet over plain IPv4.
fn word(packet: &[u8]) -> [u8; 4] {
    packet[42..46].try_into().unwrap()
}

/// A VXLAN packet whose header begins with this word.
fn telling(mut packet: Vec<u8>, at: usize, word: [u8; 4]) -> Vec<u8> {
    packet[at..at + 4].copy_from_slice(&word);
    packet
}

/// The same from an IPv4 peer, with the inner frame of a station.
fn from(lab: &Lab, peer: [u8; 4], word: [u8; 4], inner: &[u8]) -> Vec<u8> {
    telling(vxlan(lab.mac, peer, 1000, inner), 42, word)
}

fn expect_dropped(lab: &Lab, port: &str, more: u64, act: impl FnOnce()) {
    let before = lab.ferry.dropped(port, "group_policy");
    act();
    lab.ferry.expect_dropped(port, "group_policy", before + more);
}

#[test]
fn peers_that_speak_of_groups_are_told_the_places_and_no_others() {
    let lab = Lab::with(NETWORKS);
    let expect = |peer, expected| {
        let packet = lab.underlay.expect("a packet to the peer", is_vxlan_to(peer));
        assert_eq!(word(&packet), expected, "{peer:?}");
        packet
    };
    let frame = ethernet(BROADCAST, mac(1), 100);
    lab.vm1.send(&frame);
    let packet = expect(PEER1, [0x88, 0, 0, 100]);
    assert_eq!((&packet[46..50], &packet[50..]), (&[0, 3, 0xe8, 0][..], &frame[..]));
    expect(PEER2, [8, 0, 0, 0]);
    // Of no group: no G bit either.
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 100));
    expect(PEER1, [8, 0, 0, 0]);
    lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(3), 100), 10));
    expect(PEER1, [0x88, 0, 0, 200]);
    expect(PEER2, [8, 0, 0, 0]);
    // Unicast the same.
    for (peer, station) in [(PEER1, mac(8)), (PEER2, mac(9))] {
        lab.underlay.send(&from(&lab, peer, [8, 0, 0, 0], &ethernet(mac(1), station, 60)));
        lab.vm1.expect("what the station says", |frame| frame[6..12] == station);
    }
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    lab.vm1.send(&ethernet(mac(8), mac(1), 100));
    expect(PEER1, [0x88, 0, 0, 100]);
    lab.vm1.send(&ethernet(mac(9), mac(1), 100));
    expect(PEER2, [8, 0, 0, 0]);
    let peers = lab.ferry.show("peers");
    assert_eq!(
        (&peers[0]["group_policy"], &peers[1]["group_policy"]),
        (&true.into(), &false.into())
    );
    let network = &lab.ferry.show("networks")[0];
    assert_eq!(network["ports"][0]["accept_groups"], serde_json::json!([0, 200]));
    assert_eq!(
        (&network["group_policy"], &network["ports"][0]["group"]),
        (&true.into(), &100.into())
    );
    lab.finish();
}

#[test]
fn a_place_lets_in_whom_it_accepts_from_peers() {
    let lab = Lab::with(NETWORKS);
    // The stations of the places are known, so that unicast is, too.
    for (port, frame) in [
        (&lab.vm1, ethernet(BROADCAST, mac(1), 60)),
        (&lab.trunk, tagged(&ethernet(BROADCAST, mac(3), 60), 10)),
    ] {
        port.send(&frame);
    }
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.ferry.expect_place(1000, mac(3), "trunk0.10");
    lab.ferry.expect_dropped("trunk0", "group_policy", 0);
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let none = [8, 0, 0, 0];
    // What a peer tells, and whether vm1 (0, 200) and the VLAN of trunk0 (100, 300) let it in.
    for (peer, told, one, vlan) in [
        (PEER1, [0x88, 0, 0, 200], true, false),
        (PEER1, [0x88, 0, 0, 100], false, true),
        (PEER1, [0x88, 0, 1, 44], false, true),
        (PEER1, [0x88, 0, 0xff, 0xff], false, false),
        (PEER1, [0x88, 0, 0, 0], true, false),
        (PEER1, none, true, false),
        // Policy is applied already.
        (PEER1, [0x88, 0x08, 0xff, 0xff], true, true),
        (PEER1, [0x88, 0x08, 0, 0], true, true),
        // Without the G bit the others mean nothing, and from who does not speak of groups all of them.
        (PEER1, [8, 0x08, 0, 100], true, false),
        (PEER2, [0x88, 0, 0, 100], true, false),
        (PEER2, [0x88, 0x08, 0, 100], true, false),
    ] {
        let what = format!("{peer:?} {told:02x?}");
        eprintln!("{what}");
        // What is flooded reaches vm2 in any case.
        let refused = u64::from(!one) + u64::from(!vlan);
        let flooded = ethernet(BROADCAST, mac(9), 80);
        expect_dropped(&lab, "up0", refused, || {
            lab.underlay.send(&from(&lab, peer, told, &flooded));
            lab.vm2.expect_frame(&flooded);
        });
        for (port, frame, is_let_in) in
            [(&lab.vm1, flooded.clone(), one), (&lab.trunk, tagged(&flooded, 10), vlan)]
        {
            assert_eq!(port.drain(), if is_let_in { vec![frame] } else { vec![] }, "{what}");
        }
        for (port, to, tag, is_let_in) in
            [(&lab.vm1, mac(1), None, one), (&lab.trunk, mac(3), Some(10), vlan)]
        {
            let frame = ethernet(to, mac(9), 90);
            let packet = from(&lab, peer, told, &frame);
            expect_dropped(&lab, "up0", u64::from(!is_let_in), || {
                lab.underlay.send(&packet);
                let frame = tag.map_or(frame.clone(), |tag| tagged(&frame, tag));
                let expected = if is_let_in { vec![frame] } else { vec![] };
                assert_eq!(port.drain(), expected, "{what}");
            });
        }
    }
    lab.vm2.expect_silence();
    lab.finish();
}

#[test]
fn a_place_lets_in_whom_it_accepts_from_other_places() {
    let lab = Lab::with(NETWORKS);
    // vm1 is of 100, which trunk0's VLAN accepts; vm2 of none, which vm1 accepts; trunk0's VLAN of 200, which vm1 accepts.
    let [one, two, three] = [1, 2, 3].map(|of| ethernet(BROADCAST, mac(of), 60));
    expect_dropped(&lab, "vm1", 0, || lab.vm1.send(&one));
    lab.vm2.expect_frame(&one);
    lab.trunk.expect_frame(&tagged(&one, 10));
    expect_dropped(&lab, "vm2", 1, || lab.vm2.send(&two));
    lab.vm1.expect_frame(&two);
    expect_dropped(&lab, "trunk0", 0, || lab.trunk.send(&tagged(&three, 10)));
    lab.vm1.expect_frame(&three);
    lab.vm2.expect_frame(&three);
    lab.trunk.expect_silence();
    let unicast = |to, from| ethernet(mac(to), mac(from), 70);
    lab.ferry.expect_place(1000, mac(3), "trunk0.10");
    lab.vm1.send(&unicast(3, 1));
    lab.trunk.expect_frame(&tagged(&unicast(3, 1), 10));
    expect_dropped(&lab, "vm2", 1, || lab.vm2.send(&unicast(3, 2)));
    lab.vm2.send(&unicast(1, 2));
    lab.vm1.expect_frame(&unicast(1, 2));
    lab.trunk.expect_silence();
    // A trace says the same, and of which group a frame is.
    let trace = lab.ferry.trace("vm2", &unicast(3, 2));
    assert_eq!(trace["drops"][0]["reason"], "group_policy", "{trace}");
    let trace = lab.ferry.trace("vm1", &one);
    assert_eq!(trace["ingress"]["group"], 100, "{trace}");
    let sent = trace["sent"].as_array().unwrap();
    let outer = |peer: &str| sent.iter().find(|of| of["outer"]["destination"] == peer).unwrap();
    assert_eq!(outer("192.0.2.2")["outer"]["group"], 100, "{trace}");
    assert_eq!(outer("192.0.2.3")["outer"]["group"], serde_json::Value::Null, "{trace}");
    let trace = lab.ferry.trace("up0", &from(&lab, PEER1, [0x88, 0, 1, 44], &unicast(1, 9)));
    assert_eq!(
        (&trace["ingress"]["group"], &trace["drops"][0]["reason"]),
        (&300.into(), &"group_policy".into())
    );

    // Another list is followed at once, and nothing that was learned is forgotten.
    let other = NETWORKS.replace("\n  - ", "\n    ").replace("[100, 300]", "[0]");
    lab.ferry.expect_change("net set 1000 -", &other);
    lab.vm2.send(&unicast(3, 2));
    lab.trunk.expect_frame(&tagged(&unicast(3, 2), 10));
    expect_dropped(&lab, "vm1", 1, || lab.vm1.send(&unicast(3, 1)));
    let none = other.replace(", accept_groups: [0]", "");
    lab.ferry.expect_change("net set 1000 -", &none);
    lab.vm1.send(&unicast(3, 1));
    lab.trunk.expect_frame(&tagged(&unicast(3, 1), 10));
    lab.finish();
}

#[test]
fn a_mac_is_not_learned_where_the_peer_says_so() {
    let lab = Lab::with(NETWORKS);
    let told = |flags| [0x88, flags, 0, 200];
    let (dont_learn, learn) = (told(0x40), told(0));
    let frame = ethernet(BROADCAST, mac(9), 60);
    let send = |peer, word| {
        lab.underlay.send(&from(&lab, peer, word, &frame));
        lab.vm2.expect_frame(&frame);
    };
    send(PEER1, dont_learn);
    send(PEER1, dont_learn);
    // Another station's, so that what was seen before is learned.
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm2");
    assert_eq!(lab.ferry.place(1000, mac(9)), None);
    send(PEER1, learn);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    // Who does not speak of groups cannot say so.
    send(PEER2, dont_learn);
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    send(PEER1, dont_learn);
    lab.vm2.send(&ethernet(mac(9), mac(2), 60));
    lab.underlay.expect("unicast", |packet| is_vxlan_to(PEER2)(packet) && packet[50..56] == mac(9));
    // In one burst, in any order.
    let mixed = [(30, dont_learn), (31, learn), (30, dont_learn), (31, dont_learn), (32, learn)];
    burst(&lab, mixed.map(|(station, word)| (word, ethernet(BROADCAST, mac(station), 60))));
    for station in [31, 32] {
        lab.ferry.expect_place(1000, mac(station), "192.0.2.2");
    }
    assert_eq!(lab.ferry.place(1000, mac(30)), None);
    lab.finish();
}

/// Packets of the first peer that come together.
fn burst<const N: usize>(lab: &Lab, packets: [([u8; 4], Vec<u8>); N]) {
    lab.burst(packets.map(|(word, frame)| from(lab, PEER1, word, &frame)));
}

#[test]
fn what_is_not_learned_takes_no_mac_and_is_not_held_to_where_it_is() {
    let networks =
        NETWORKS.replace("group_policy: true", "group_policy: true\n    mac_move: local-wins");
    let lab = Lab::with(&networks);
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.vm2.drain();
    // The station's MAC by a tunnel, in one train: what is to be learned is refused, whatever comes before it.
    let (dont_learn, learn) = ([0x88, 0x40, 0, 200], [0x88, 0, 0, 200]);
    let words = [learn, dont_learn, learn, dont_learn, dont_learn, learn, learn];
    burst(&lab, words.map(|word| (word, ethernet(BROADCAST, mac(1), 60))));
    lab.ferry.expect_dropped("up0", "mac_move", 4);
    assert_eq!(lab.vm2.drain(), vec![ethernet(BROADCAST, mac(1), 60); 3]);
    assert_eq!(lab.ferry.place(1000, mac(1)).as_deref(), Some("vm1"));
    // A trace says the same, and that nothing is to be learned.
    let trace =
        lab.ferry.trace("up0", &from(&lab, PEER1, dont_learn, &ethernet(BROADCAST, mac(9), 60)));
    assert_eq!(
        (&trace["ingress"]["group"], &trace["effects"]),
        (&200.into(), &serde_json::json!([]))
    );
    let trace = lab.ferry.trace("up0", &from(&lab, PEER1, learn, &ethernet(BROADCAST, mac(9), 60)));
    assert_eq!(trace["effects"][0]["effect"], "learn", "{trace}");
    lab.finish();
}

#[test]
fn members_of_a_multicast_group_are_asked_as_well() {
    let multicast = "multicast: {unregistered: drop, groups: [{group: 239.1.1.5, \
        ports: [vm1, {port: trunk0, vlan: 10}], peers: [192.0.2.2]}]}";
    let lab = Lab::with(&format!("{}    {multicast}\n", NETWORKS.trim_end_matches(' ')));
    let frame = |station| {
        ipv4(
            [1, 0, 0x5e, 1, 1, 5],
            mac(station),
            ([10, 0, 0, station], [239, 1, 1, 5]),
            17,
            &[0; 40],
        )
    };
    // vm2 is of no group, which vm1 accepts.
    expect_dropped(&lab, "vm2", 1, || lab.vm2.send(&frame(2)));
    lab.vm1.expect_frame(&frame(2));
    let packet = lab.underlay.expect("a packet to the member", is_vxlan_to(PEER1));
    assert_eq!(word(&packet), [8, 0, 0, 0]);
    for (group, one, vlan) in [(200, true, false), (100, false, true), (9, false, false)] {
        let refused = u64::from(!one) + u64::from(!vlan);
        expect_dropped(&lab, "up0", refused, || {
            lab.underlay.send(&from(&lab, PEER1, [0x88, 0, 0, group], &frame(9)));
        });
        let expected = |is_let_in, frame| if is_let_in { vec![frame] } else { vec![] };
        assert_eq!(lab.vm1.drain(), expected(one, frame(9)), "{group}");
        assert_eq!(lab.trunk.drain(), expected(vlan, tagged(&frame(9), 10)), "{group}");
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn reserved_bits_are_those_that_group_policy_does_not_use() {
    let lab = Lab::with_vtep("ipv4: 192.0.2.1, reserved_bits: drop", NETWORKS, "");
    let frame = ethernet(BROADCAST, mac(9), 60);
    for word in [[0x88, 0, 0x12, 0x34], [0x88, 0x48, 0, 0], [8, 0, 0, 0]] {
        lab.underlay.send(&from(&lab, PEER1, word, &frame));
        lab.vm2.expect_frame(&frame);
    }
    let refused = [
        (PEER1, [0x88, 0x01, 0, 1]),
        (PEER1, [0xc8, 0, 0, 1]),
        (PEER1, [8, 0x40, 0, 0]),
        (PEER1, [8, 0, 0, 1]),
        (PEER2, [0x88, 0, 0, 200]),
    ];
    for (count, (peer, word)) in (1..).zip(refused) {
        lab.underlay.send(&from(&lab, peer, word, &frame));
        lab.ferry.expect_dropped("up0", "vxlan_reserved", count);
    }
    lab.vm2.expect_silence();
    lab.finish();
}

#[test]
fn over_ipv6_the_group_is_in_the_checksum() {
    let vtep = "ipv4: 192.0.2.1, ipv6: \"2001:db8::1\"";
    let neighbour = "    - {ip: \"2001:db8::2\", mac: \"02:00:00:00:11:01\", port: up0}";
    let networks = r#"
  - vni: 1000
    name: a
    ports: [{port: vm1, group: 0xfedc, accept_groups: [7]}, vm2]
    flood: {peers: [{address: "2001:db8::2", group_policy: true}, {address: 192.0.2.2, group_policy: true, checksum: on}]}
"#;
    let lab = Lab::with_vtep(vtep, networks, neighbour);
    let over_ipv6 = |packet: &[u8]| packet[12..14] == [0x86, 0xdd] && packet[20] == 17;
    for length in [60, 61, 200] {
        let frame = ethernet(BROADCAST, mac(1), length);
        lab.vm1.send(&frame);
        let packet = lab.underlay.expect("a packet over IPv6", over_ipv6);
        assert!(udp6_adds_up(&packet));
        assert_eq!((&packet[62..66], &packet[70..]), (&[0x88, 0, 0xfe, 0xdc][..], &frame[..]));
        let packet = lab.underlay.expect("a packet over IPv4", is_vxlan_to(PEER1));
        let mut covered = packet[26..34].to_vec();
        covered.extend([0, 17, packet[38], packet[39]]);
        covered.extend(&packet[34..]);
        assert_eq!(internet_sum(&covered), 0xffff);
        assert_eq!(word(&packet), [0x88, 0, 0xfe, 0xdc]);
    }
    // Known there, so that it goes to one peer.
    let frame = ethernet(mac(1), mac(9), 60);
    for (group, is_let_in) in [(7, true), (8, false)] {
        let mut packet = telling(vxlan6(lab.mac, 1000, &frame, false), 62, [0x88, 0, 0, group]);
        let mut sum = packet[22..54].to_vec();
        sum.extend([0, 0, packet[18], packet[19], 0, 0, 0, 17]);
        sum.extend(&packet[54..]);
        let sum = !internet_sum(&sum);
        packet[60..62].copy_from_slice(&sum.to_be_bytes());
        expect_dropped(&lab, "up0", u64::from(!is_let_in), || lab.underlay.send(&packet));
        assert_eq!(lab.vm1.drain().len(), usize::from(is_let_in));
    }
    lab.ferry.expect_place(1000, mac(9), "2001:db8::2");
    lab.vm1.send(&ethernet(mac(9), mac(1), 99));
    let packet = lab.underlay.expect("unicast over IPv6", over_ipv6);
    assert!(udp6_adds_up(&packet) && packet[62..66] == [0x88, 0, 0xfe, 0xdc]);
    lab.finish();
}

#[test]
fn what_ferry_itself_says_is_let_in_anywhere() {
    let networks = r#"
  - vni: 1000
    name: a
    group_policy: true
    ports: [{port: vm1, group: 100, accept_groups: []}, vm2]
    flood: {peers: [192.0.2.2]}
    arp_suppression: true
    oversize: {others: fragment}
    macs: [{mac: "02:00:00:00:aa:09", peer: 192.0.2.2, ips: [10.0.0.9]}]
"#;
    let lab = Lab::with(networks);
    let one = (mac(1), [10, 0, 0, 1]);
    lab.vm1.send(&who_has([10, 0, 0, 9], one));
    lab.vm1.expect_frame(&arp(one.0, REPLY, (mac(9), [10, 0, 0, 9]), one));
    // A packet that does not fit, with don't fragment: its sender is told.
    lab.vm1.send(&ipv4(mac(9), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), 17, &[0; 1460]));
    lab.vm1.expect("fragmentation needed", |frame| frame[23] == 1 && frame[34..36] == [3, 4]);
    lab.vm2.send(&ethernet(mac(1), mac(2), 60));
    lab.ferry.expect_dropped("vm2", "group_policy", 1);
    lab.vm1.expect_silence();
    // Without it, it goes in fragments, and the first has the group.
    lab.underlay.drain();
    let mut loose = ipv4(mac(9), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), 17, &[0; 1460]);
    loose[20] = 0;
    fix_ip_checksum(&mut loose);
    lab.vm1.send(&loose);
    let first = lab.underlay.expect("a fragment", |packet| packet[20..22] == [0x20, 0]);
    assert_eq!(word(&first), [0x88, 0, 0, 100]);
    lab.finish();
}

#[test]
fn groups_and_learned_peers_of_the_underlay_speak_as_the_network_says() {
    let networks = r#"
  - vni: 1000
    name: a
    group_policy: true
    ports: [{port: vm1, group: 100, accept_groups: [200]}, vm2]
    flood: {group: 239.129.1.1}
  - vni: 2000
    name: b
    ports: [{port: trunk0, vlan: 20, group: 100, accept_groups: [0]}]
    flood: {group: 239.129.1.1}
"#;
    let group = [239, 129, 1, 1];
    let lab = Lab::with(networks);
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    let packet = lab.underlay.expect("a packet to the group", is_vxlan_to(group));
    assert_eq!(word(&packet), [0x88, 0, 0, 100]);
    lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(4), 60), 20));
    let packet = lab.underlay.expect("a packet to the group", is_vxlan_to(group));
    assert_eq!((word(&packet), packet[48]), ([8, 0, 0, 0], 0xd0));
    // As a stranger, and as a peer; to the group, and to this VTEP.
    for is_known in [false, true] {
        for to_group in [true, false] {
            for (id, is_let_in) in [(200, true), (201, false)] {
                let told = [0x88, 0, 0, id];
                let frame = ethernet(BROADCAST, mac(9), 60);
                let packet = |vni| {
                    let mut packet = telling(vxlan(lab.mac, PEER1, vni, &frame), 42, told);
                    if to_group {
                        packet[..6].copy_from_slice(&[0x01, 0, 0x5e, 1, 1, 1]);
                        packet[30..34].copy_from_slice(&group);
                        fix_ip_checksum(&mut packet);
                    }
                    packet
                };
                expect_dropped(&lab, "up0", u64::from(!is_let_in), || {
                    lab.underlay.send(&packet(1000));
                    lab.vm2.expect_frame(&frame);
                });
                assert_eq!(lab.vm1.drain().len(), usize::from(is_let_in), "{is_known} {to_group}");
                lab.underlay.send(&packet(2000));
                lab.trunk.expect_frame(&tagged(&frame, 20));
            }
        }
        eventually("both are learned", || {
            for vni in [1000, 2000] {
                let frame = ethernet(BROADCAST, mac(9), 60);
                lab.underlay.send(&vxlan(lab.mac, PEER1, vni, &frame));
            }
            lab.vm2.drain();
            lab.ferry.place(1000, mac(9)).is_some() && lab.ferry.place(2000, mac(9)).is_some()
        });
        lab.vm1.drain();
        lab.trunk.drain();
    }
    let peers = lab.ferry.show("peers");
    let networks = |tells: bool| {
        let mut peers = peers.as_array().unwrap().iter();
        peers.find(|peer| peer["group_policy"] == tells).unwrap()["networks"].clone()
    };
    assert_eq!(
        (networks(true), networks(false)),
        (serde_json::json!([1000]), serde_json::json!([2000]))
    );
    lab.vm1.send(&ethernet(mac(9), mac(1), 60));
    let packet = lab.underlay.expect("a packet to the peer", is_vxlan_to(PEER1));
    assert_eq!(word(&packet), [0x88, 0, 0, 100]);
    lab.trunk.send(&tagged(&ethernet(mac(9), mac(4), 60), 20));
    let packet = lab.underlay.expect("a packet to the peer", is_vxlan_to(PEER1));
    assert_eq!(word(&packet), [8, 0, 0, 0]);
    lab.finish();
}
