//! MACs that the operator knows in advance, replaced as a set while packets pass.

use std::time::Duration;

use crate::support::Lab;
use crate::support::frames::{PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, vxlan};
use crate::support::neighbours::{REPLY, arp, who_has};

const ONE: ([u8; 6], [u8; 4]) = ([2, 0, 0, 0, 0xaa, 1], [10, 0, 0, 1]);
const NINE: &str = r#"{mac: "02:00:00:00:aa:09", peer: 192.0.2.3, ips: [10.0.0.9]}"#;

fn ip(last: u8) -> [u8; 4] {
    [10, 0, 0, last]
}

/// Peer 192.0.2.3 is one only while a MAC is behind it.
fn networks(flood: &str, macs: &str) -> String {
    format!(
        "
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {flood}
    arp_suppression: true
    macs: [{macs}]
  - {{vni: 2000, name: b, ports: [trunk0], flood: {{peers: [192.0.2.2]}}}}
"
    )
}

#[test]
fn a_set_takes_the_place_of_all_before_it() {
    let lab = Lab::with(&networks("{peers: [192.0.2.2]}", ""));
    let to_nine = ethernet(mac(9), mac(1), 90);
    let from_nine = vxlan(lab.mac, PEER2, 1000, &ethernet(mac(1), mac(9), 60));
    let replace = |set: &str| lab.ferry.replace_macs(1000, set).unwrap();
    let peers = || {
        let peers = lab.ferry.show("peers");
        let address = |row: &serde_json::Value| row["address"].as_str().unwrap().to_owned();
        peers.as_array().unwrap().iter().map(address).collect::<Vec<_>>()
    };
    lab.vm1.send(&to_nine);
    lab.underlay.expect("the flood", is_vxlan_to(PEER1));
    lab.vm2.expect_frame(&to_nine);
    lab.underlay.send(&from_nine);
    lab.ferry.expect_dropped("up0", "unknown_peer", 1);

    for round in 1..=2 {
        // A MAC behind a peer that is new.
        assert_eq!(
            replace(&format!("[{NINE}]")),
            format!(
                "MACs: 1 added, 0 changed, {0} removed, 0 kept; \
                 addresses: {1} added, {0} changed, 0 removed, 0 kept",
                round - 1,
                2 - round
            )
        );
        assert_eq!(peers(), ["192.0.2.2", "192.0.2.3"]);
        lab.vm1.send(&to_nine);
        let packet = lab.underlay.expect("a packet to its place", is_vxlan_to(PEER2));
        assert_eq!(open_vxlan(&packet), (1000, to_nine.clone()));
        lab.underlay.send(&from_nine);
        lab.vm1.expect("what it sends", |frame| frame[6..12] == mac(9));
        lab.vm1.send(&who_has(ip(9), ONE));
        lab.vm1.expect_frame(&arp(ONE.0, REPLY, (mac(9), ip(9)), ONE));
        lab.expect_silence(&[]);

        // Its address is another station's now, and its peer is none.
        let other = r#"[{"mac": "02:00:00:00:aa:08", "port": "vm2", "ips": ["10.0.0.9"]}]"#;
        assert_eq!(
            replace(other),
            "MACs: 1 added, 0 changed, 1 removed, 0 kept; \
             addresses: 0 added, 1 changed, 0 removed, 0 kept"
        );
        assert_eq!(peers(), ["192.0.2.2"]);
        lab.vm1.send(&who_has(ip(9), ONE));
        lab.vm1.expect_frame(&arp(ONE.0, REPLY, (mac(8), ip(9)), ONE));
        let to_eight = ethernet(mac(8), mac(1), 90);
        lab.vm1.send(&to_eight);
        lab.vm2.expect_frame(&to_eight);
        lab.vm1.send(&to_nine);
        lab.underlay.expect("the flood", is_vxlan_to(PEER1));
        lab.vm2.expect_frame(&to_nine);
        lab.underlay.send(&from_nine);
        lab.ferry.expect_dropped("up0", "unknown_peer", 1 + round);
        lab.expect_silence(&[]);
    }
    replace("[]");
    assert_eq!(lab.ferry.show("networks")[0]["macs_static"], 0);
    lab.finish();
}

#[test]
fn a_set_with_an_error_changes_nothing() {
    let lab = Lab::with(&networks("{peers: [192.0.2.2]}", NINE));
    let before = (lab.ferry.show("macs"), lab.ferry.show("neighbours"), lab.ferry.show("peers"));
    let set = r#"
- {mac: "02:00:00:00:aa:07", peer: 192.0.2.3}
- {mac: "02:00:00:00:aa:08", port: trunk0}
- {mac: "02:00:00:00:aa:07", peer: 192.0.2.4}
"#;
    assert_eq!(
        lab.ferry.replace_macs(1000, set).unwrap_err(),
        "ferry: set.yaml:3: macs[1].port: this port is not a member of network 'a'; add it to the network's 'ports'\n\
         set.yaml:4: macs[2].mac: 02:00:00:00:aa:07 is already given by macs[0].mac (line 2); list each MAC of a network once\n\
         set.yaml:4: macs[2].peer: 192.0.2.4 cannot be reached: no underlay port has a twin and no neighbour has this address; give an underlay port a 'twin', or add 192.0.2.4 to underlay.neighbours"
    );
    let error = lab.ferry.replace_macs(3000, "[]").unwrap_err();
    assert!(error.contains("no network has the VNI 3000"), "{error}");
    let after = (lab.ferry.show("macs"), lab.ferry.show("neighbours"), lab.ferry.show("peers"));
    assert_eq!(before, after);
    lab.finish();
}

/// With 'flood: none' a packet whose MAC is missing for a moment would not reach the underlay.
#[test]
fn a_stream_to_a_mac_that_stays_loses_nothing_while_sets_are_replaced() {
    let lab = Lab::with(&networks("none", NINE));
    let (mut sent, mut asked) = (0, 0);
    std::thread::scope(|scope| {
        let replaces = scope.spawn(|| {
            for round in 0..40u32 {
                // Tables grow and shrink; peer 192.0.2.2 comes and goes.
                let size = [0, 2000, 50][round as usize % 3];
                let mut set = format!("- {NINE}\n");
                for number in 0..size {
                    let [_, _, a, b] = (number + round * 3000).to_be_bytes();
                    let place = ["peer: 192.0.2.2", "port: vm2"][(number % 2) as usize];
                    set += &format!("- {{mac: \"02:00:00:01:{a:02x}:{b:02x}\", {place}, ");
                    set += &format!("ips: [10.1.{a}.{b}]}}\n");
                }
                let said = lab.ferry.replace_macs(1000, &set).unwrap();
                assert!(said.contains(", 1 kept; ") && said.ends_with(", 1 kept"), "{said}");
            }
        });
        while !replaces.is_finished() {
            let mut frame = ethernet(mac(9), mac(1), 100);
            frame[20..24].copy_from_slice(&u32::to_be_bytes(sent));
            lab.vm1.send(&frame);
            sent += 1;
            if sent % 16 == 0 {
                lab.vm1.send(&who_has(ip(9), ONE));
                asked += 1;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        replaces.join().unwrap();
    });
    let packets = lab.underlay.drain();
    let number = |packet: &Vec<u8>| {
        assert!(is_vxlan_to(PEER2)(packet), "{packet:02x?}");
        u32::from_be_bytes(open_vxlan(packet).1[20..24].try_into().unwrap())
    };
    let numbers: Vec<u32> = packets.iter().map(number).collect();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    let answer = arp(ONE.0, REPLY, (mac(9), ip(9)), ONE);
    let answers = lab.vm1.drain();
    assert!(answers.iter().all(|frame| *frame == answer));
    assert_eq!(answers.len(), asked);
    assert!(sent > 1000, "only {sent} packets");
    lab.expect_silence(&[]);
    lab.finish();
}
