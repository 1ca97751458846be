//! IGMP and MLD snooping, byte by byte: cases M1, M2, M3, M5, M6 and M8 of a VTEP's wire-level behaviour.

use std::time::{Duration, Instant};

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, fix_ip_checksum, is_vxlan_to, mac, open_vxlan, tagged, vxlan,
};
use crate::support::membership::{
    ALLOW, BLOCK, IS_EX, IS_IN, Station, TO_EX, TO_IN, expect_members, igmp, leave2, mld,
    mld_query, mld1, mld2, query2, query3, report1, report2, report3, rows, stream, stream6,
};
use crate::support::{Lab, RawPort, eventually};
use serde_json::{Value, json};

const G1: [u8; 4] = [239, 1, 1, 1];
const G2: [u8; 4] = [239, 1, 1, 2];
const VM1: Station = (1, [10, 0, 0, 1]);
const VM2: Station = (2, [10, 0, 0, 2]);
const FAR1: Station = (11, [10, 0, 0, 11]);
const FAR2: Station = (12, [10, 0, 0, 12]);
const ROUTER: Station = (254, [10, 0, 0, 254]);
/// A switch that asks and has no address.
const SWITCH: Station = (250, [0, 0, 0, 0]);

fn lab(multicast: &str) -> Lab {
    Lab::with(&format!(
        r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2, {{port: trunk0, vlan: 10}}]
    flood: {{peers: [192.0.2.2, 192.0.2.3]}}
    multicast: {multicast}
"#
    ))
}

/// Where only members get multicast, and this is known of snooping.
fn strict(snooping: &str) -> Lab {
    lab(&format!("{{unregistered: drop, snooping: {snooping}}}"))
}

/// A station behind a peer says something.
fn from_peer(lab: &Lab, peer: [u8; 4], frame: &[u8]) {
    lab.underlay.send(&vxlan(lab.mac, peer, 1000, frame));
}

/// Who gets a frame.
#[derive(Clone, Copy)]
enum To {
    Vm1,
    Vm2,
    Trunk,
    Peer1,
    Peer2,
}
use To::{Peer1, Peer2, Trunk, Vm1, Vm2};

/// These get the frame, and nobody gets anything else.
#[track_caller]
fn expect_only(lab: &Lab, frame: &[u8], all: &[To]) {
    for to in all {
        match to {
            Vm1 => lab.vm1.expect_frame(frame),
            Vm2 => lab.vm2.expect_frame(frame),
            Trunk => lab.trunk.expect_frame(&tagged(frame, 10)),
            Peer1 | Peer2 => {
                let peer = if matches!(to, Peer1) { PEER1 } else { PEER2 };
                let packet = lab.underlay.expect("a copy for the peer", is_vxlan_to(peer));
                assert_eq!(open_vxlan(&packet), (1000, frame.to_vec()));
            }
        }
    }
    lab.expect_silence(&[]);
}

/// A station of VM1 sends to a group, and these get it.
#[track_caller]
fn expect_stream(lab: &Lab, group: [u8; 4], all: &[To]) {
    let frame = stream(VM1, group);
    lab.vm1.send(&frame);
    expect_only(lab, &frame, all);
}

/// All that is on its way, arrives.
fn settle(lab: &Lab) {
    for port in [&lab.underlay, &lab.vm1, &lab.vm2, &lab.trunk] {
        port.drain();
    }
}

#[test]
fn m1_a_group_goes_to_the_peers_that_reported_it_until_they_leave() {
    let lab = strict("true");
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    from_peer(&lab, PEER2, &report2(FAR2, G1));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2", "239.1.1.1 192.0.2.3"]);
    expect_stream(&lab, G1, &[Peer1, Peer2]);
    expect_stream(&lab, G2, &[]);
    lab.ferry.expect_dropped("vm1", "unregistered_multicast", 1);

    // R2 leaves: the querier asks, and R1 answers.
    from_peer(&lab, PEER2, &leave2(FAR2, G1));
    from_peer(&lab, PEER1, &query2(SWITCH, None, 10));
    from_peer(&lab, PEER1, &query2(SWITCH, Some(G1), 3));
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    settle(&lab);
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2"]);
    expect_stream(&lab, G1, &[Peer1]);
    // And so does R1.
    from_peer(&lab, PEER1, &query2(SWITCH, Some(G1), 1));
    settle(&lab);
    expect_members(&lab.ferry, &[]);
    expect_stream(&lab, G1, &[]);
    lab.finish();
}

#[test]
fn m1_ports_and_peers_are_members_alike_and_split_horizon_holds() {
    let lab = strict("true");
    lab.vm2.send(&report1(VM2, G1));
    lab.trunk.send(&tagged(&report2((3, [10, 0, 0, 3]), G1), 10));
    from_peer(&lab, PEER1, &report3(FAR1, &[(TO_EX, G1, &[])]));
    let members = ["239.1.1.1 192.0.2.2", "239.1.1.1 trunk0.10", "239.1.1.1 vm2"];
    expect_members(&lab.ferry, &members);
    settle(&lab);
    expect_stream(&lab, G1, &[Vm2, Trunk, Peer1]);
    let frame = stream(FAR2, G1);
    from_peer(&lab, PEER2, &frame);
    expect_only(&lab, &frame, &[Vm2, Trunk]);

    let versions: Vec<_> = lab
        .ferry
        .show("groups")
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["version"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        ["igmpv1", "igmpv2", "igmpv3"].iter().all(|of| versions.contains(&of.to_string())),
        "{versions:?}"
    );
    lab.finish();
}

#[test]
fn m2_sources_are_excluded_and_included() {
    let lab = strict("true");
    let (one, two): (Station, Station) = ((1, [10, 0, 0, 101]), (1, [10, 0, 0, 102]));
    let expect = |from: Station, group, all: &[To]| {
        let frame = stream(from, group);
        lab.vm1.send(&frame);
        expect_only(&lab, &frame, all);
    };
    // The first blocks a source of G1, the second lets only that in; of G2 the other way round.
    from_peer(&lab, PEER1, &report3(FAR1, &[(TO_EX, G1, &[one.1]), (IS_IN, G2, &[one.1])]));
    from_peer(&lab, PEER2, &report3(FAR2, &[(ALLOW, G1, &[one.1]), (IS_EX, G2, &[one.1])]));
    eventually("four memberships", || rows(&lab.ferry, "learned").len() == 4);
    expect(one, G1, &[Peer2]);
    expect(two, G1, &[Peer1]);
    expect(one, G2, &[Peer1]);
    expect(two, G2, &[Peer2]);

    let groups = lab.ferry.show("groups");
    let row = |peer: &str| {
        let mut rows = groups.as_array().unwrap().iter();
        let row = rows.find(|row| row["group"] == "239.1.1.1" && row["peer"] == peer).unwrap();
        let mut row = row.clone();
        // Some time has passed.
        assert!((250..=260).contains(&row["expires_seconds"].as_u64().unwrap()), "{row}");
        row["expires_seconds"] = json!(0);
        if row["sources"][0]["wanted"] == true {
            row["sources"][0]["expires_seconds"] = json!(0);
        }
        row
    };
    let expected = |peer: &str, filter: &str, sources: Value| {
        json!({"vni": 1000, "network": "a", "group": "239.1.1.1", "kind": "learned", "peer": peer, "version": "igmpv3",
               "filter": filter, "sources": sources, "expires_seconds": 0})
    };
    let source = |expires| json!([{"source": "10.0.0.101", "wanted": expires == json!(0), "expires_seconds": expires}]);
    assert_eq!(row("192.0.2.2"), expected("192.0.2.2", "exclude", source(Value::Null)));
    assert_eq!(row("192.0.2.3"), expected("192.0.2.3", "include", source(json!(0))));

    // What was blocked is allowed, and the other way round, once the querier has asked.
    from_peer(&lab, PEER1, &report3(FAR1, &[(ALLOW, G1, &[one.1]), (BLOCK, G2, &[one.1])]));
    from_peer(&lab, PEER2, &report3(FAR2, &[(TO_IN, G1, &[two.1])]));
    from_peer(&lab, PEER1, &query3(SWITCH, None, 10, &[]));
    for (group, sources) in [(G1, vec![one.1]), (G2, vec![one.1])] {
        from_peer(&lab, PEER1, &query3(SWITCH, Some(group), 2, &sources));
    }
    from_peer(&lab, PEER1, &report3(FAR1, &[(IS_EX, G1, &[])]));
    settle(&lab);
    std::thread::sleep(Duration::from_millis(500));
    expect(one, G1, &[Peer1]);
    expect(two, G1, &[Peer1, Peer2]);
    expect(one, G2, &[]);
    expect(two, G2, &[Peer2]);
    lab.finish();
}

#[test]
fn m2_over_ipv6() {
    let lab = strict("true");
    let (one, two) = ((1, "2001:db8::101"), (1, "2001:db8::102"));
    let (near, far) = ((2, "fe80::2"), (11, "fe80::11"));
    let group = "ff05::1:3";
    lab.vm2.send(&mld1(near, 131, group));
    from_peer(&lab, PEER1, &mld2(far, ALLOW, group, &[one.1]));
    from_peer(&lab, PEER2, &mld2((12, "::"), TO_EX, group, &[one.1]));
    eventually("three members", || rows(&lab.ferry, "learned").len() == 3);
    settle(&lab);
    for (from, all) in [(one, &[Vm2, Peer1][..]), (two, &[Vm2, Peer2])] {
        let frame = stream6(from, group);
        lab.vm1.send(&frame);
        expect_only(&lab, &frame, all);
    }
    // A querier of IPv6 has an address, and hence is a router.
    let router = (254, "fe80::fe");
    lab.trunk.send(&tagged(&mld_query(router, None, 1000), 10));
    lab.vm2.send(&mld1(near, 132, group));
    lab.trunk.send(&tagged(&mld_query(router, Some(group), 200), 10));
    from_peer(&lab, PEER1, &mld2(far, IS_IN, group, &[one.1]));
    settle(&lab);
    eventually("one member", || rows(&lab.ferry, "learned") == ["ff05::1:3 192.0.2.2"]);
    let frame = stream6(one, group);
    lab.vm1.send(&frame);
    expect_only(&lab, &frame, &[Trunk, Peer1]);
    lab.finish();
}

#[test]
fn m3_m8_reports_go_to_routers_and_peers_only_and_queries_to_all() {
    let lab = strict("{router_ports: [{port: trunk0, vlan: 10}]}");
    // No station sees another's report, or it would keep its own back.
    for report in [
        report2(VM1, G1),
        leave2(VM1, G1),
        report3(VM1, &[(TO_EX, G2, &[])]),
        mld1((1, "fe80::1"), 131, "ff05::1:3"),
        mld2((1, "fe80::1"), TO_EX, "ff02::1:ff00:1", &[]),
    ] {
        lab.vm1.send(&report);
        expect_only(&lab, &report, &[Trunk, Peer1, Peer2]);
        from_peer(&lab, PEER1, &report);
        expect_only(&lab, &report, &[Trunk]);
    }
    for query in [query2(ROUTER, None, 100), mld_query((254, "fe80::fe"), Some("ff05::1:3"), 1000)]
    {
        lab.vm2.send(&query);
        expect_only(&lab, &query, &[Vm1, Trunk, Peer1, Peer2]);
        from_peer(&lab, PEER2, &query);
        expect_only(&lab, &query, &[Vm1, Vm2, Trunk]);
    }
    // By now vm2 and the second peer are known as routers, and get what nobody listens to.
    expect_stream(&lab, [239, 9, 9, 9], &[Vm2, Trunk, Peer2]);
    let networks = lab.ferry.show("networks");
    let snooping = &networks[0]["snooping"];
    for (key, count) in [("reports", 8), ("leaves", 2), ("queries", 4), ("groups_refused", 0)] {
        assert_eq!(snooping[key], count, "{key}: {snooping}");
    }
    lab.finish();
}

#[test]
fn m8_routers_are_told_by_queries_and_pim_and_get_all_multicast_once() {
    let lab = strict("true");
    // Who asks without an address is no router (RFC 4541).
    lab.vm2.send(&query2(SWITCH, None, 10));
    lab.trunk.send(&tagged(&query3(ROUTER, None, 10, &[]), 10));
    eventually("a router", || rows(&lab.ferry, "router") == ["- trunk0.10"]);
    settle(&lab);
    expect_stream(&lab, G1, &[Trunk]);
    // A member that is a router too gets one copy.
    lab.trunk.send(&tagged(&report2((3, [10, 0, 0, 3]), G1), 10));
    expect_members(&lab.ferry, &["239.1.1.1 trunk0.10"]);
    settle(&lab);
    expect_stream(&lab, G1, &[Trunk]);

    // PIM: a hello, held for a second.
    let mut pim = igmp((9, [10, 0, 0, 9]), [224, 0, 0, 13], &[0x20, 0, 0, 0, 0, 1, 0, 2, 0, 1]);
    pim[23] = 103;
    // Its message is its first ten bytes.
    fix_ip_checksum(&mut pim);
    lab.vm2.send(&pim);
    eventually("another router", || rows(&lab.ferry, "router") == ["- trunk0.10", "- vm2"]);
    settle(&lab);
    expect_stream(&lab, G2, &[Vm2, Trunk]);
    eventually("it is held for a second", || rows(&lab.ferry, "router") == ["- trunk0.10"]);
    expect_stream(&lab, G2, &[Trunk]);
    lab.finish();
}

#[test]
fn m5_broadcast_and_link_local_groups_are_flooded() {
    let lab = strict("true");
    lab.vm2.send(&report2(VM2, [224, 0, 0, 251]));
    lab.vm2.send(&mld2((2, "fe80::2"), TO_EX, "ff02::fb", &[]));
    settle(&lab);
    for frame in [
        ethernet(BROADCAST, mac(1), 60),
        stream(VM1, [224, 0, 0, 251]),
        stream6((1, "fe80::1"), "ff02::fb"),
        ethernet(mac(77), mac(1), 60),
        // A message that IGMP does not have.
        igmp(VM1, [224, 0, 0, 4], &[0x13, 1, 0, 0, 0, 0, 0, 0]),
    ] {
        lab.vm1.send(&frame);
        expect_only(&lab, &frame, &[Vm2, Trunk, Peer1, Peer2]);
    }
    assert_eq!(rows(&lab.ferry, "learned"), [""; 0], "nothing is learned of link-local groups");
    lab.finish();
}

#[test]
fn m3_while_nobody_asks_groups_are_flooded_unless_told_otherwise() {
    let lab = lab("{snooping: true, groups: [{group: 239.1.1.2, ports: [vm2]}]}");
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    from_peer(&lab, PEER1, &report2(FAR1, G2));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2", "239.1.1.2 192.0.2.2"]);
    let everywhere = &[Vm2, Trunk, Peer1, Peer2];
    expect_stream(&lab, G1, everywhere);
    // The operator's group is not flooded, and has members of both kinds.
    expect_stream(&lab, G2, &[Vm2, Peer1]);

    // Once all who listen have had the time to say so, it goes to those who did.
    let asked = Instant::now();
    from_peer(&lab, PEER2, &query2(SWITCH, None, 30));
    settle(&lab);
    expect_stream(&lab, G1, everywhere);
    std::thread::sleep(Duration::from_millis(3200).saturating_sub(asked.elapsed()));
    expect_stream(&lab, G1, &[Peer1]);
    expect_stream(&lab, [239, 9, 9, 9], everywhere);
    assert_eq!(rows(&lab.ferry, "querier"), ["- 192.0.2.3"]);
    lab.finish();
}

#[test]
fn damaged_and_forged_messages_are_dropped_for_their_reason() {
    let lab = strict("true");
    let good = report2(VM1, G1);
    let fault = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        if at < 38 {
            fix_ip_checksum(&mut bad);
        }
        bad
    };
    let far = (1, "2001:db8::1");
    for (frame, reason) in [
        (fault(22, 2), "igmp_mld_header"),
        (fault(17, 200), "igmp_mld_length"),
        (fault(45, 9), "igmp_mld_checksum"),
        (igmp(VM1, G1, &[0x16, 0, 0, 0, 10, 0, 0, 1]), "igmp_mld_group"),
        (igmp(VM1, [224, 0, 0, 22], &[0x22, 0, 0, 0, 0, 0, 0, 9]), "igmp_mld_length"),
        (mld1(far, 131, "ff05::1:3"), "igmp_mld_header"),
        (mld((1, "fe80::1"), "ff02::16", &[143, 0, 0, 0, 0, 0, 0, 9]), "igmp_mld_length"),
    ] {
        let before = lab.ferry.dropped("vm1", reason);
        lab.vm1.send(&frame);
        lab.ferry.expect_dropped("vm1", reason, before + 1);
    }
    lab.expect_silence(&[]);
    assert_eq!(rows(&lab.ferry, "learned"), [""; 0]);
    lab.finish();
}

#[test]
fn no_port_can_have_all_groups_and_no_network_too_many_messages() {
    let lab = strict("{group_limit: 5, port_group_limit: 3, message_limit: 20}");
    let send = |port: &RawPort, station, from: u8| {
        (from..from + 4).for_each(|last| port.send(&report2(station, [239, 1, 1, last])));
    };
    send(&lab.vm1, VM1, 0);
    eventually("three groups", || rows(&lab.ferry, "learned").len() == 3);
    send(&lab.vm2, VM2, 10);
    eventually("five groups", || rows(&lab.ferry, "learned").len() == 5);
    let snooping = || lab.ferry.show("networks")[0]["snooping"].clone();
    eventually("three refused", || snooping()["groups_refused"] == 3);
    // A group that is known is open to others.
    lab.trunk.send(&tagged(&report2((3, [10, 0, 0, 3]), [239, 1, 1, 0]), 10));
    eventually("six memberships", || rows(&lab.ferry, "learned").len() == 6);
    for _ in 0..60 {
        lab.vm1.send(&report2(VM1, [239, 1, 1, 0]));
    }
    eventually("some are too many", || snooping()["messages_refused"].as_u64().unwrap() > 20);
    let dropped = lab.ferry.dropped("vm1", "igmp_mld_rate");
    assert_eq!(snooping()["messages_refused"], dropped);
    settle(&lab);
    lab.finish();
}

#[test]
fn a_port_with_fast_leave_is_no_member_at_once() {
    let lab = strict("{fast_leave: true}");
    lab.vm2.send(&report2(VM2, G1));
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2", "239.1.1.1 vm2"]);
    lab.vm2.send(&leave2(VM2, G1));
    // Behind a peer there may be others.
    from_peer(&lab, PEER1, &leave2(FAR1, G1));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2"]);
    lab.vm2.send(&report3(VM2, &[(ALLOW, G2, &[VM1.1, FAR1.1])]));
    lab.vm2.send(&report3(VM2, &[(BLOCK, G2, &[VM1.1])]));
    settle(&lab);
    expect_stream(&lab, G2, &[]);
    let frame = stream(FAR1, G2);
    from_peer(&lab, PEER1, &frame);
    expect_only(&lab, &frame, &[Vm2]);
    lab.finish();
}

#[test]
fn m6_members_behind_the_underlay_s_group_are_reached_by_it() {
    let lab = Lab::with(
        "
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {group: 239.129.1.1, peers: [192.0.2.3]}
    multicast: {unregistered: drop, snooping: true}
",
    );
    let members = |expected: &[&str]| expect_members(&lab.ferry, expected);
    let expect = |all: &[[u8; 4]]| {
        let frame = stream(VM1, G1);
        lab.vm1.send(&frame);
        for to in all {
            let packet = lab.underlay.expect("a packet", is_vxlan_to(*to));
            assert_eq!(packet[50..], frame);
        }
        lab.expect_silence(&[]);
    };
    // Two VTEPs that no list names, the second not even a neighbour: they are one member.
    let stranger = [192, 0, 2, 77];
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    from_peer(&lab, stranger, &report2(FAR2, G1));
    members(&["239.1.1.1 239.129.1.1"]);
    expect(&[[239, 129, 1, 1]]);
    // A flood peer is one by itself.
    from_peer(&lab, PEER2, &report2((13, [10, 0, 0, 13]), G1));
    members(&["239.1.1.1 192.0.2.3", "239.1.1.1 239.129.1.1"]);
    settle(&lab);
    expect(&[PEER2, [239, 129, 1, 1]]);

    from_peer(&lab, PEER1, &leave2(FAR1, G1));
    from_peer(&lab, PEER1, &query2(SWITCH, Some(G1), 3));
    from_peer(&lab, stranger, &report2(FAR2, G1));
    settle(&lab);
    members(&["239.1.1.1 239.129.1.1"]);
    expect(&[[239, 129, 1, 1]]);
    from_peer(&lab, stranger, &leave2(FAR2, G1));
    from_peer(&lab, PEER1, &query2(SWITCH, Some(G1), 1));
    settle(&lab);
    members(&[]);
    expect(&[]);
    lab.finish();
}

#[test]
fn m7_joins_and_leaves_under_traffic_leave_nothing_behind() {
    let lab = strict("{fast_leave: true, message_limit: 100000}");
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", lab.ferry.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let groups = |last: u8| [239, 1, 1, last % 50];
    let round = |round: u8| {
        for last in 0..50 {
            let (group, source) = (groups(last), [10, 0, last, round]);
            lab.vm1.try_send(&stream(VM1, group));
            match (last ^ round) & 3 {
                0 => lab.vm2.try_send(&report2(VM2, group)),
                1 => lab.vm2.try_send(&leave2(VM2, group)),
                2 => lab.vm2.try_send(&report3(VM2, &[(ALLOW, group, &[source, VM1.1])])),
                _ => lab.vm2.try_send(&report3(VM2, &[(TO_IN, group, &[])])),
            };
            let words = [(TO_EX, group, &[][..]), (TO_IN, group, &[])];
            from_peer(&lab, PEER1, &report3(FAR1, &[words[usize::from(round & 1)]]));
        }
        from_peer(&lab, PEER2, &query2(SWITCH, Some(groups(round)), 1));
    };
    let begin = Instant::now();
    let mut warm = None;
    for number in 0.. {
        round(number as u8);
        std::thread::sleep(Duration::from_millis(1));
        if begin.elapsed() > Duration::from_secs(3) {
            warm.get_or_insert_with(memory);
        }
        if begin.elapsed() > Duration::from_secs(10) {
            break;
        }
    }
    let (warm, end) = (warm.unwrap(), memory());
    assert!(end < warm + 2048, "{warm} KiB after three seconds, {end} KiB after ten");
    // What is still on its way might push these out.
    settle(&lab);
    for last in 0..50 {
        lab.vm2.send(&report3(VM2, &[(TO_IN, groups(last), &[])]));
        from_peer(&lab, PEER2, &query2(SWITCH, Some(groups(last)), 1));
    }
    expect_members(&lab.ferry, &[]);
    settle(&lab);
    from_peer(&lab, PEER1, &report2(FAR1, G1));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2"]);
    settle(&lab);
    expect_stream(&lab, G1, &[Peer1]);
    expect_stream(&lab, G2, &[]);
    lab.finish();
}
