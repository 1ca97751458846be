//! MACs that show up elsewhere: `mac_move`. What moves without it is in `learning.rs`.

use std::time::Duration;

use crate::support::frames::{BROADCAST, PEER1, PEER2, ethernet, mac, vxlan};
use crate::support::neighbours::{REQUEST, arp};
use crate::support::{Lab, eventually};

fn network(keys: &str) -> String {
    format!(
        "{{vni: 1000, name: a, ports: [vm1, vm2], flood: {{peers: [192.0.2.2, 192.0.2.3]}}, {keys}}}"
    )
}

fn lab(keys: &str) -> Lab {
    Lab::with(&format!("\n  - {}\n", network(keys)))
}

/// A broadcast of station `number`, and that of it which a peer sends.
fn from_port(number: u8) -> Vec<u8> {
    ethernet(BROADCAST, mac(number), 60)
}

fn from_peer(lab: &Lab, peer: [u8; 4], number: u8) -> Vec<u8> {
    vxlan(lab.mac, peer, 1000, &from_port(number))
}

fn drain(lab: &Lab) {
    for port in [&lab.vm1, &lab.vm2, &lab.underlay] {
        port.drain();
    }
}

#[test]
fn the_overlay_takes_nothing_from_a_port_where_local_wins() {
    let fixed = r#"macs: [{mac: "02:00:00:00:aa:05", port: vm1}, {mac: "02:00:00:00:aa:06", peer: 192.0.2.2}]"#;
    let lab = lab(&format!("mac_move: local-wins, ageing: 5s, arp_suppression: true, {fixed}"));
    lab.vm1.send(&from_port(1));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    drain(&lab);
    // Frames of one source and of several, to one destination and to several, come in one burst: each is judged by itself.
    let ones = [(1, 7), (1, 7), (9, 7), (1, 8), (1, 7), (5, 7), (9, 8), (9, 7), (1, 7), (9, 7)];
    lab.burst(
        ones.map(|(source, to)| vxlan(lab.mac, PEER1, 1000, &ethernet(mac(to), mac(source), 60))),
    );
    let passed = ones.into_iter().filter(|(source, _)| *source == 9);
    let passed: Vec<_> = passed.map(|(source, to)| ethernet(mac(to), mac(source), 60)).collect();
    assert_eq!(lab.vm1.drain(), passed);
    assert_eq!(lab.vm2.drain(), passed);
    lab.ferry.expect_dropped("up0", "mac_move", 6);
    // What a dropped frame says of addresses is not heard either.
    lab.vm1.send(&from_port(1));
    let liar = (mac(1), [10, 0, 0, 66]);
    let said = vxlan(lab.mac, PEER1, 1000, &arp(BROADCAST, REQUEST, liar, ([0; 6], liar.1)));
    lab.underlay.send(&said);
    lab.ferry.expect_dropped("up0", "mac_move", 7);
    assert_eq!(lab.ferry.neighbour(1000, "10.0.0.66"), None);
    assert_eq!(lab.ferry.place(1000, mac(1)).as_deref(), Some("vm1"));

    // All other moves are as free as ever; what a static MAC behind a peer sends from a port passes.
    for (number, place) in [(1, "vm2"), (9, "vm2")] {
        lab.vm2.send(&from_port(number));
        lab.ferry.expect_place(1000, mac(number), place);
    }
    lab.underlay.send(&from_peer(&lab, PEER1, 8));
    lab.ferry.expect_place(1000, mac(8), "192.0.2.2");
    lab.underlay.send(&from_peer(&lab, PEER2, 8));
    lab.ferry.expect_place(1000, mac(8), "192.0.2.3");
    drain(&lab);
    lab.vm2.send(&from_port(6));
    lab.vm1.expect_frame(&from_port(6));
    assert_eq!(lab.ferry.place(1000, mac(6)).as_deref(), Some("192.0.2.2"));

    // Who is silent at its port has left it.
    eventually("it has aged out", || lab.ferry.place(1000, mac(1)).is_none());
    lab.underlay.send(&from_peer(&lab, PEER1, 1));
    lab.vm1.expect_frame(&from_port(1));
    lab.ferry.expect_place(1000, mac(1), "192.0.2.2");
    assert_eq!(lab.ferry.show("networks")[0]["mac_move"], "local-wins");
    lab.finish();
}

#[test]
fn static_macs_of_ports_win_also_where_nothing_is_learned() {
    let fixed = r#"macs: [{mac: "02:00:00:00:aa:05", port: vm1}]"#;
    let lab = lab(&format!("mac_move: local-wins, learning: false, {fixed}"));
    lab.underlay.send(&from_peer(&lab, PEER1, 5));
    lab.ferry.expect_dropped("up0", "mac_move", 1);
    lab.underlay.send(&from_peer(&lab, PEER1, 6));
    lab.vm2.expect_frame(&from_port(6));
    lab.vm2.send(&from_port(5));
    lab.vm1.drain();
    assert_eq!(lab.ferry.show("networks")[0]["macs_learned"], 0);
    lab.finish();
}

#[test]
fn no_mac_moves_where_they_freeze() {
    let lab = lab("mac_move: freeze, ageing: 5s");
    lab.vm1.send(&from_port(1));
    lab.underlay.send(&from_peer(&lab, PEER1, 9));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    drain(&lab);
    for _ in 0..5 {
        // Both are alive where they are.
        lab.vm1.send(&from_port(1));
        lab.underlay.send(&from_peer(&lab, PEER1, 9));
        for impostor in [1, 9] {
            lab.vm2.send(&from_port(impostor));
            lab.underlay.send(&from_peer(&lab, PEER2, impostor));
        }
        std::thread::sleep(Duration::from_millis(1200));
    }
    lab.ferry.expect_dropped("vm2", "mac_move", 10);
    lab.ferry.expect_dropped("up0", "mac_move", 10);
    assert_eq!(lab.ferry.show("networks")[0]["mac_moves"], 0);
    eventually("both have aged out", || lab.ferry.show("networks")[0]["macs_learned"] == 0);
    lab.underlay.send(&from_peer(&lab, PEER2, 1));
    lab.ferry.expect_place(1000, mac(1), "192.0.2.3");
    lab.finish();
}

#[test]
fn a_mac_that_moves_too_often_is_frozen_for_a_while() {
    let lab = lab("mac_move: {moves: 3, within: 60s, frozen_for: 6s}");
    let frozen = || {
        let macs = lab.ferry.show("macs");
        let row = macs.as_array().unwrap().iter().find(|row| row["mac"] == "02:00:00:00:aa:09");
        row.is_some_and(|row| row["frozen"] == true)
    };
    let shown = |key: &str| lab.ferry.show("networks")[0][key].as_u64().unwrap();
    // To places in turns: three moves, and a fourth that is one too many.
    for (number, peer) in [PEER1, PEER2, PEER1, PEER2].into_iter().enumerate() {
        let place = ["192.0.2.2", "192.0.2.3"][number % 2];
        // A worker tells of the same place once a second.
        eventually("it has moved", || {
            lab.underlay.send(&from_peer(&lab, peer, 9));
            lab.ferry.place(1000, mac(9)).as_deref() == Some(place)
        });
    }
    assert_eq!((shown("mac_moves"), shown("macs_frozen"), frozen()), (3, 0, false));
    eventually("it is frozen", || {
        lab.underlay.send(&from_peer(&lab, PEER1, 9));
        frozen()
    });
    drain(&lab);
    assert_eq!((shown("mac_moves"), shown("macs_frozen")), (3, 1));
    // What it sends from elsewhere passes.
    for _ in 0..3 {
        lab.vm2.send(&from_port(9));
        lab.vm1.expect_frame(&from_port(9));
        assert_eq!(lab.ferry.place(1000, mac(9)).as_deref(), Some("192.0.2.3"));
        std::thread::sleep(Duration::from_millis(300));
    }
    let told = lab.ferry.log().matches("would move more than 3 times").count();
    assert_eq!(told, 1, "{}", lab.ferry.log());
    eventually("it thaws", || shown("macs_frozen") == 0);
    lab.vm2.send(&from_port(9));
    lab.ferry.expect_place(1000, mac(9), "vm2");
    assert!(!frozen());
    lab.finish();
}

#[test]
fn another_policy_holds_at_once_and_thaws_what_is_frozen() {
    let lab = lab("mac_move: {moves: 1, within: 1h, frozen_for: 1h}");
    let frozen = || lab.ferry.show("networks")[0]["macs_frozen"].as_u64().unwrap();
    lab.vm1.send(&from_port(1));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    for (peer, place) in [(PEER1, "192.0.2.2"), (PEER2, "192.0.2.3")] {
        lab.underlay.send(&from_peer(&lab, peer, 9));
        lab.ferry.expect_place(1000, mac(9), place);
    }
    eventually("it is frozen", || {
        lab.underlay.send(&from_peer(&lab, PEER1, 9));
        frozen() == 1
    });
    // What has nothing to do with it leaves it frozen.
    let same = "mac_move: {moves: 1, within: 1h, frozen_for: 1h}, ageing: 60s";
    lab.ferry.expect_change("net set 1000 -", &network(same));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(frozen(), 1);

    let told = lab.ferry.expect_change("net set 1000 -", &network("mac_move: local-wins"));
    assert!(told.contains("mac_move.policy: allow -> local-wins"), "{told}");
    assert_eq!(lab.ferry.place(1000, mac(1)).as_deref(), Some("vm1"), "all stays known");
    lab.underlay.send(&from_peer(&lab, PEER1, 1));
    lab.ferry.expect_dropped("up0", "mac_move", 1);
    eventually("it thaws", || frozen() == 0);
    lab.underlay.send(&from_peer(&lab, PEER1, 9));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");

    lab.ferry.expect_change("net set 1000 -", &network("mac_move: allow"));
    lab.underlay.send(&from_peer(&lab, PEER1, 1));
    lab.ferry.expect_place(1000, mac(1), "192.0.2.2");
    lab.finish();
}
