//! A network that asks for its members itself, byte by byte.

use std::time::{Duration, Instant};

use crate::support::frames::{PEER1, PEER2, internet_sum, is_vxlan_to, open_vxlan, tagged, vxlan};
use crate::support::membership::{
    ALLOW, BLOCK, IS_IN, Station, expect_members, leave2, mld_query, query2, report2, report3,
    rows, stream,
};
use crate::support::{Lab, eventually};

const GROUP: [u8; 4] = [239, 1, 1, 1];
const VM2: Station = (2, [10, 0, 0, 2]);

/// Asks every two seconds, and believes what is not answered within half a second, twice.
fn lab(querier: &str) -> Lab {
    Lab::with(&format!(
        r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2, {{port: trunk0, vlan: 10}}]
    flood: {{peers: [192.0.2.2, 192.0.2.3]}}
    multicast:
      unregistered: drop
      snooping:
        {{querier: {querier}, query_interval: 2s, response_interval: 500ms, last_member_interval: 500ms}}
"#
    ))
}

/// An IGMPv3 query, right in all that it does not say: from an address, to a group or all, with this time to answer and
/// these sources.
fn is_query(
    from: [u8; 4],
    group: Option<[u8; 4]>,
    tenths: u8,
    sources: &[[u8; 4]],
) -> impl Fn(&[u8]) -> bool {
    let to = group.unwrap_or([224, 0, 0, 1]);
    let mut message = [&[0x11, tenths, 0, 0], &group.unwrap_or_default()[..], &[2, 2]].concat();
    message.extend((sources.len() as u16).to_be_bytes());
    message.extend(sources.concat());
    move |frame| {
        let end = 38 + message.len();
        frame.len() >= end.max(60)
            && frame[..6] == [1, 0, 0x5e, to[1] & 0x7f, to[2], to[3]]
            && frame[6] & 3 == 2
            && frame[12..14] == [8, 0]
            && frame[14..16] == [0x46, 0xc0]
            && frame[16..18] == (end as u16 - 14).to_be_bytes()
            && frame[22..24] == [1, 2]
            && internet_sum(&frame[14..38]) == 0xffff
            && frame[26..30] == from
            && frame[30..38] == [to, [0x94, 4, 0, 0]].concat()
            && internet_sum(&frame[38..end]) == 0xffff
            && frame[38..40] == message[..2]
            && frame[42..end] == message[4..]
    }
}

/// The same of MLDv2, to all.
fn is_mld_query(frame: &[u8]) -> bool {
    frame.len() >= 90
        && frame[..6] == [0x33, 0x33, 0, 0, 0, 1]
        && frame[12..15] == [0x86, 0xdd, 0x60]
        && frame[18..22] == [0, 36, 0, 1]
        && frame[22..24] == [0xfe, 0x80]
        && frame[38..54] == *b"\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
        && frame[54..62] == [58, 0, 5, 2, 0, 0, 1, 0]
        && mld_adds_up(frame)
        && frame[62..64] == [130, 0]
        && frame[66..90] == [&[0x01, 0xf4, 0, 0], &[0; 16][..], &[2, 2, 0, 0]].concat()
}

fn mld_adds_up(frame: &[u8]) -> bool {
    let mut sum = frame[22..54].to_vec();
    sum.extend([0, 0, 0, 28, 0, 0, 0, 58]);
    sum.extend(&frame[62..90]);
    internet_sum(&sum) == 0xffff
}

const ANYBODY: [u8; 4] = [0; 4];

#[test]
fn it_asks_all_ports_and_peers_at_once_and_again() {
    let lab = lab("true");
    let asked = is_query(ANYBODY, None, 5, &[]);
    for port in [&lab.vm1, &lab.vm2] {
        port.expect("an IGMP query", &asked);
        port.expect("an MLD query", is_mld_query);
    }
    lab.trunk.expect("a tagged query", |frame| {
        frame[12..16] == [0x81, 0, 0, 10] && asked(&[&frame[..12], &frame[16..]].concat())
    });
    for peer in [PEER1, PEER2] {
        let packet = lab
            .underlay
            .expect("a query", |packet| is_vxlan_to(peer)(packet) && asked(&packet[50..]));
        assert_eq!(open_vxlan(&packet).0, 1000);
    }
    // Twice at first, as the first may be lost, then every two seconds.
    lab.vm1.drain();
    let begin = Instant::now();
    for _ in 0..3 {
        lab.vm1.expect("another", &asked);
    }
    let took = begin.elapsed();
    assert!((3500..6500).contains(&took.as_millis()), "{took:?}");
    let groups = lab.ferry.show("groups");
    let queriers: Vec<_> = groups.as_array().unwrap().iter().collect();
    assert_eq!(queriers.len(), 2, "{groups}");
    assert_eq!(
        (&queriers[0]["kind"], &queriers[0]["address"]),
        (&"querier".into(), &"0.0.0.0".into())
    );
    assert!(queriers[1]["address"].as_str().unwrap().starts_with("fe80::"), "{groups}");
    assert!(lab.ferry.show("networks")[0]["snooping"]["queries_sent"].as_u64().unwrap() >= 8);
    lab.finish();
}

#[test]
fn who_leaves_is_asked_about_and_forgotten_unless_another_one_answers() {
    let lab = lab("true");
    lab.vm2.send(&report2(VM2, GROUP));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &report2((11, [10, 0, 0, 11]), GROUP)));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2", "239.1.1.1 vm2"]);
    lab.vm2.send(&leave2(VM2, GROUP));
    let asked = is_query(ANYBODY, Some(GROUP), 5, &[]);
    // All are asked, as each VTEP has members of its own.
    let packet = lab
        .underlay
        .expect("a query for the group", |packet| packet.len() > 100 && asked(&packet[50..]));
    assert_eq!(open_vxlan(&packet).0, 1000);
    lab.vm2.expect("a query for the group", &asked);
    lab.vm2.expect("and again", &asked);
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2"]);

    // Another station at the same port.
    lab.vm2.send(&report2(VM2, GROUP));
    lab.vm2.send(&leave2(VM2, GROUP));
    lab.vm2.expect("a query for the group", &asked);
    lab.vm2.send(&report2((3, [10, 0, 0, 3]), GROUP));
    std::thread::sleep(Duration::from_millis(1500));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.2", "239.1.1.1 vm2"]);
    lab.finish();
}

#[test]
fn m2_a_blocked_source_is_asked_about() {
    let lab = lab("true");
    let [a, b] = [[10, 0, 0, 101], [10, 0, 0, 102]];
    lab.vm2.send(&report3(VM2, &[(ALLOW, GROUP, &[a, b])]));
    expect_members(&lab.ferry, &["239.1.1.1 vm2"]);
    lab.vm2.send(&report3(VM2, &[(BLOCK, GROUP, &[a, b])]));
    lab.vm2.expect("a query for both sources", is_query(ANYBODY, Some(GROUP), 5, &[a, b]));
    lab.vm2.send(&report3(VM2, &[(IS_IN, GROUP, &[b])]));
    std::thread::sleep(Duration::from_millis(1500));
    for (source, wanted) in [(a, false), (b, true)] {
        let frame = stream((1, source), GROUP);
        lab.vm2.drain();
        lab.vm1.send(&frame);
        if wanted {
            lab.vm2.expect_frame(&frame)
        } else {
            lab.ferry.expect_dropped("vm1", "no_destination", 1)
        }
    }
    lab.finish();
}

#[test]
fn members_that_do_not_answer_are_forgotten() {
    let lab = lab("true");
    lab.vm2.send(&report2(VM2, GROUP));
    expect_members(&lab.ferry, &["239.1.1.1 vm2"]);
    let begin = Instant::now();
    expect_members(&lab.ferry, &[]);
    let took = begin.elapsed();
    assert!(
        (3500..5500).contains(&took.as_millis()),
        "twice two seconds, and half a second to answer: {took:?}"
    );
    lab.finish();
}

#[test]
fn it_is_silent_while_a_router_asks_and_takes_over_when_that_is_gone() {
    let lab = lab("10.0.0.250");
    let own = is_query([10, 0, 0, 250], None, 5, &[]);
    lab.vm1.expect("our query", &own);
    let querier = |address: &str| {
        eventually(address, || {
            let groups = lab.ferry.show("groups");
            let mut rows = groups.as_array().unwrap().iter();
            rows.any(|row| row["kind"] == "querier" && row["address"] == address)
        });
    };
    // One with a higher address, and a switch without one, give way to us.
    lab.vm2.send(&query2((251, [10, 0, 0, 251]), None, 5));
    lab.vm2.send(&query2((1, ANYBODY), None, 5));
    lab.vm1.drain();
    lab.vm1.expect("our query", &own);
    querier("10.0.0.250");
    // A lower one does not. It says nothing of its intervals: 2 x 2 s + 0.25 s later it is gone.
    lab.trunk.send(&tagged(&query2((249, [10, 0, 0, 249]), None, 5), 10));
    let begin = Instant::now();
    querier("10.0.0.249");
    assert!(rows(&lab.ferry, "router").contains(&"- trunk0.10".to_owned()));
    lab.vm1.drain();
    std::thread::sleep(Duration::from_secs(2));
    assert!(!lab.vm1.drain().iter().any(|frame| own(frame)), "while it asks we do not");
    lab.vm1.expect("our query", &own);
    let took = begin.elapsed();
    assert!((3900..5500).contains(&took.as_millis()), "{took:?}");
    querier("10.0.0.250");
    // Over IPv6 as well.
    lab.vm2.send(&mld_query((1, "fe80::1"), None, 500));
    querier("fe80::1");
    lab.finish();
}

#[test]
fn of_two_without_addresses_the_lower_mac_asks() {
    let lab = lab("true");
    let own = is_query(ANYBODY, None, 5, &[]);
    let query = lab.vm1.expect("our query", &own);
    let (mut lower, mut higher) = (query2((1, ANYBODY), None, 5), query2((1, ANYBODY), None, 5));
    lower[6..12].copy_from_slice(&query[6..12]);
    lower[6] = 0;
    higher[6..12].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);
    lab.vm2.send(&higher);
    lab.vm1.drain();
    lab.vm1.expect("we ask on", &own);
    lab.vm2.send(&lower);
    eventually("another one asks", || rows(&lab.ferry, "querier").contains(&"- vm2".to_owned()));
    lab.vm1.drain();
    std::thread::sleep(Duration::from_millis(2200));
    assert!(!lab.vm1.drain().iter().any(|frame| own(frame)), "while it asks we do not");
    lab.finish();
}
