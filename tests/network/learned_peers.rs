//! Peers that are learned without a multicast group: `peers: learn`. By a group they are in `flood_group.rs`.

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, vxlan,
};
use crate::support::membership::{expect_members, report2, stream};
use crate::support::{Lab, eventually};

/// No neighbour of Ferry's.
const STRANGER: [u8; 4] = [192, 0, 2, 77];

fn flood_list(lab: &Lab) -> Vec<String> {
    let networks = lab.ferry.show("networks");
    let peers = networks[0]["peers"].as_array().unwrap();
    let mut peers: Vec<_> = peers.iter().map(|peer| peer.as_str().unwrap().to_owned()).collect();
    peers.sort();
    peers
}

#[test]
fn d26_who_sends_becomes_a_peer_that_is_flooded_to_until_it_is_silent() {
    let lab = Lab::with(
        "
  - {vni: 1000, name: a, ports: [vm1], ageing: 5s, flood: {peers: learn}}
  - {vni: 2000, name: b, ports: [vm2], flood: {peers: [192.0.2.2]}}
",
    );
    let (question, answer) = (ethernet(BROADCAST, mac(1), 60), ethernet(mac(9), mac(1), 70));
    lab.vm1.send(&question);
    lab.ferry.expect_dropped("vm1", "no_destination", 1);

    let from = |peer, number| vxlan(lab.mac, peer, 1000, &ethernet(mac(1), mac(number), 60));
    // The first one nobody knows, the second one network 2000.
    eventually("both are flooded to", || {
        lab.underlay.send(&from(PEER2, 9));
        lab.underlay.send(&from(PEER1, 8));
        flood_list(&lab) == ["192.0.2.2", "192.0.2.3"]
    });
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    lab.vm1.drain();
    lab.vm1.send(&question);
    for peer in [PEER1, PEER2] {
        let packet = lab.underlay.expect("a copy to each", is_vxlan_to(peer));
        assert_eq!(open_vxlan(&packet), (1000, question.clone()));
    }
    lab.vm1.send(&answer);
    let packet = lab.underlay.expect("unicast", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (1000, answer));
    lab.expect_silence(&[]);
    // From peer to peer nothing goes, and network 2000 knows its own peer only.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(8), 60)));
    lab.vm1.expect("the broadcast", |frame| frame[6..12] == mac(8));
    lab.underlay.send(&vxlan(lab.mac, PEER2, 2000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_dropped("up0", "unknown_peer", 1);
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.underlay.expect("a copy", is_vxlan_to(PEER1));
    // Who cannot be answered is heard, and no more.
    lab.underlay.send(&from(STRANGER, 7));
    lab.vm1.expect("its frame", |frame| frame[6..12] == mac(7));
    lab.expect_silence(&[]);

    // One goes on in this network, the other is silent here.
    eventually("one is left", || {
        lab.underlay.send(&from(PEER1, 8));
        flood_list(&lab) == ["192.0.2.2"]
    });
    eventually("none is left", || flood_list(&lab).is_empty());
    let peers = lab.ferry.show("peers");
    let addresses: Vec<_> = peers.as_array().unwrap().iter().map(|row| &row["address"]).collect();
    assert_eq!(addresses, ["192.0.2.2"], "network 2000 needs it");
    lab.finish();
}

#[test]
fn beside_listed_peers_and_of_those_that_are_allowed() {
    let lab = Lab::with(
        "\n  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [192.0.2.2, learn], allow: [192.0.2.3]}}\n",
    );
    let frame = ethernet(mac(1), mac(9), 60);
    for address in [[192, 0, 2, 4], STRANGER] {
        lab.underlay.send(&vxlan(lab.mac, address, 1000, &frame));
    }
    lab.ferry.expect_dropped("up0", "unknown_peer", 2);
    assert_eq!(flood_list(&lab), ["192.0.2.2"]);
    eventually("the other is learned", || {
        lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &frame));
        flood_list(&lab) == ["192.0.2.2", "192.0.2.3"]
    });
    lab.vm1.drain();
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    for peer in [PEER1, PEER2] {
        lab.underlay.expect("a copy to each", is_vxlan_to(peer));
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn members_behind_learned_peers_get_their_groups_and_peers_hear_of_members() {
    let lab = Lab::with(
        "
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    ageing: 5s
    flood: {peers: learn}
    multicast: {unregistered: drop, snooping: true}
",
    );
    const GROUP: [u8; 4] = [239, 1, 1, 1];
    let report = |number| report2((number, [10, 0, 0, number]), GROUP);
    let says = |peer, frame: &[u8]| lab.underlay.send(&vxlan(lab.mac, peer, 1000, frame));
    // What a stranger reports is not heard: nobody could say where its station is.
    eventually("both are flooded to", || {
        says(PEER1, &ethernet(BROADCAST, mac(9), 60));
        says(PEER2, &report(8));
        flood_list(&lab) == ["192.0.2.2", "192.0.2.3"]
    });
    says(PEER2, &report(8));
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.3"]);
    let from_here = report(1);
    lab.vm1.send(&from_here);
    expect_members(&lab.ferry, &["239.1.1.1 192.0.2.3", "239.1.1.1 vm1"]);
    for peer in [PEER1, PEER2] {
        let packet = lab.underlay.expect("the report for each", is_vxlan_to(peer));
        assert_eq!(open_vxlan(&packet), (1000, from_here.clone()));
    }
    for port in [&lab.vm1, &lab.vm2] {
        port.drain();
    }
    let sent = stream((2, [10, 0, 0, 2]), GROUP);
    lab.vm2.send(&sent);
    lab.vm1.expect_frame(&sent);
    let packet = lab.underlay.expect("a copy for the member", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (1000, sent));
    lab.expect_silence(&[]);
    // A member is gone with its peer.
    expect_members(&lab.ferry, &["239.1.1.1 vm1"]);
    eventually("none is left", || flood_list(&lab).is_empty());
    lab.finish();
}

#[test]
fn what_was_learned_stays_while_others_change_and_goes_with_whom_it_is_allowed_of() {
    let network = |keys: &str| format!("{{vni: 1000, name: a, ports: [vm1], {keys}}}");
    let lab = Lab::with(&format!("\n  - {}\n", network("flood: {peers: learn}")));
    let from = |peer, number| vxlan(lab.mac, peer, 1000, &ethernet(BROADCAST, mac(number), 60));
    eventually("both are flooded to", || {
        lab.underlay.send(&from(PEER1, 8));
        lab.underlay.send(&from(PEER2, 9));
        flood_list(&lab) == ["192.0.2.2", "192.0.2.3"]
    });
    let question = ethernet(BROADCAST, mac(1), 60);
    let flooded_to = |peers: &[[u8; 4]]| {
        lab.vm1.drain();
        lab.vm1.send(&question);
        for peer in peers {
            lab.underlay.expect("a copy to each", is_vxlan_to(*peer));
        }
        lab.expect_silence(&[]);
    };
    let change = |keys: &str| lab.ferry.expect_change("net set 1000 -", &network(keys));
    change("flood: {peers: learn}, ageing: 60s");
    lab.ferry
        .expect_change("net add 2000 -", "{name: b, ports: [vm2], flood: {peers: [192.0.2.3]}}");
    flooded_to(&[PEER1, PEER2]);
    lab.ferry.expect_change("net del 2000", "");
    eventually("who was another network's is learned again", || {
        lab.underlay.send(&from(PEER2, 9));
        lab.ferry.place(1000, mac(9)).as_deref() == Some("192.0.2.3")
    });
    flooded_to(&[PEER1, PEER2]);

    assert_eq!(
        change("flood: {peers: learn, allow: [192.0.2.2]}, ageing: 60s"),
        "~ network 1000\n    flood.allow: none -> [\"192.0.2.2/32\"]\n"
    );
    assert_eq!((lab.ferry.place(1000, mac(8)), lab.ferry.place(1000, mac(9))), (None, None));
    lab.underlay.send(&from(PEER2, 9));
    lab.ferry.expect_dropped("up0", "unknown_peer", 1);
    lab.underlay.send(&from(PEER1, 8));
    lab.ferry.expect_place(1000, mac(8), "192.0.2.2");
    flooded_to(&[PEER1]);

    // It is listed now, so its MACs stay.
    change("flood: {peers: [192.0.2.2]}, ageing: 60s");
    assert_eq!(lab.ferry.place(1000, mac(8)).as_deref(), Some("192.0.2.2"));
    flooded_to(&[PEER1]);
    lab.underlay.send(&from(PEER2, 9));
    lab.ferry.expect_dropped("up0", "unknown_peer", 2);
    lab.finish();
}
