//! MACs: learned, moved, aged, static: cases L1–L9 of a VTEP's wire-level behaviour.

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, tagged, vxlan,
};
use crate::support::{self, Lab};

#[test]
fn it_floods_until_it_knows_and_follows_every_move() {
    let lab = Lab::new();
    let to_nine = ethernet(mac(9), mac(1), 90);
    lab.vm1.send(&to_nine);
    lab.underlay.expect("the flood to peer 1", is_vxlan_to(PEER1));
    lab.underlay.expect("the flood to peer 2", is_vxlan_to(PEER2));
    lab.vm2.expect_frame(&to_nine);
    lab.trunk.drain();

    for (peer, address) in [(PEER1, "192.0.2.2"), (PEER2, "192.0.2.3"), (PEER1, "192.0.2.2")] {
        lab.underlay.send(&vxlan(lab.mac, peer, 1000, &ethernet(mac(1), mac(9), 60)));
        lab.vm1.expect("the frame that teaches", |frame| frame[6..12] == mac(9));
        lab.ferry.expect_place(1000, mac(9), address);
        lab.vm1.send(&to_nine);
        lab.underlay.expect("one packet to where it is", is_vxlan_to(peer));
        lab.expect_silence(&[]);
    }
    // It moves to a local port, and away again.
    lab.vm2.send(&ethernet(mac(1), mac(9), 60));
    lab.ferry.expect_place(1000, mac(9), "vm2");
    lab.vm1.drain();
    lab.vm1.send(&to_nine);
    lab.vm2.expect_frame(&to_nine);
    lab.underlay.send(&vxlan(lab.mac, PEER2, 1000, &ethernet(mac(1), mac(9), 60)));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    lab.vm1.drain();
    lab.expect_silence(&[]);
    assert_eq!(lab.ferry.show("networks")[0]["mac_moves"], 4);
    lab.finish();
}

#[test]
fn macs_are_listed_by_kind_and_age() {
    let lab = Lab::with(
        "\n  - {vni: 1000, name: a, ports: [vm1, vm2], ageing: 10s, macs: [{mac: \"02:00:00:00:aa:07\", port: vm2}]}\n",
    );
    let list = |options: &str| {
        let output = lab.ferry.command(&format!("show macs --json {options}")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let macs: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut last: Vec<_> =
            macs.iter().map(|mac| mac["mac"].as_str().unwrap()[15..].to_owned()).collect();
        last.sort();
        last
    };
    lab.vm1.send(&ethernet(mac(9), mac(1), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    support::eventually("2 s old", || list("--min-age 2") == ["01"]);
    lab.vm1.send(&ethernet(mac(9), mac(2), 60));
    lab.ferry.expect_place(1000, mac(2), "vm1");
    assert_eq!(list("--kind static"), ["07"]);
    assert_eq!(list("--kind learned"), ["01", "02"]);
    assert_eq!(list("--max-age 1"), ["02"]);
    assert_eq!(list("--kind static --max-age 1"), [""; 0]);
    assert_eq!(list("--port vm1 --min-age 1 --max-age 8"), ["01"]);
    lab.finish();
}

#[test]
fn l12_a_flush_forgets_exactly_what_it_names_and_that_is_flooded() {
    let lab = Lab::with(
        r#"
  - {vni: 1000, name: a, ports: [vm1, vm2], flood: {peers: [192.0.2.2, 192.0.2.3]}, macs: [{mac: "02:00:00:00:aa:07", port: vm1}]}
  - {vni: 2000, name: b, ports: [{port: trunk0, vlan: 20}], flood: {peers: [192.0.2.2]}}
"#,
    );
    let known = || {
        let macs = lab.ferry.show("macs");
        let row = |row: &serde_json::Value| {
            (row["vni"].as_u64().unwrap(), row["mac"].as_str().unwrap()[15..].to_owned())
        };
        let mut list: Vec<_> = macs.as_array().unwrap().iter().map(row).collect();
        list.sort();
        list.iter().map(|(vni, last)| format!("{vni} {last}")).collect::<Vec<_>>().join(", ")
    };
    let all = "1000 01, 1000 02, 1000 07, 1000 09, 2000 03, 2000 09";
    for (options, forgotten, left) in [
        ("--port vm1", "1 learned MAC", "1000 02, 1000 07, 1000 09, 2000 03, 2000 09"),
        ("--peer 192.0.2.2", "2 learned MACs", "1000 01, 1000 02, 1000 07, 2000 03"),
        ("--network 1000", "3 learned MACs", "1000 07, 2000 03, 2000 09"),
        (
            "--network 2000 --port trunk0",
            "1 learned MAC",
            "1000 01, 1000 02, 1000 07, 1000 09, 2000 09",
        ),
        ("--network 2000 --port vm1", "0 learned MACs", all),
        ("", "5 learned MACs", "1000 07"),
    ] {
        lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
        lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
        lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(3), 60), 20));
        for vni in [1000, 2000] {
            lab.underlay.send(&vxlan(lab.mac, PEER1, vni, &ethernet(BROADCAST, mac(9), 60)));
        }
        support::eventually("all are learned", || known() == all);
        let flush = |more: &str| lab.ferry.expect_change(&format!("mac flush {options}{more}"), "");
        assert_eq!(flush(" --dry-run"), format!("{forgotten} to forget\n"));
        assert_eq!(known(), all);
        assert_eq!(flush(""), format!("{forgotten} forgotten\n"));
        assert_eq!(known(), left, "after a flush {options}");
        assert_eq!(flush(""), "0 learned MACs forgotten\n");

        for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
            port.drain();
        }
        let frame = ethernet(mac(1), mac(2), 80);
        lab.vm2.send(&frame);
        lab.vm1.expect_frame(&frame);
        if !left.contains("1000 01") {
            for peer in [PEER1, PEER2] {
                let packet = lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
                assert_eq!(open_vxlan(&packet), (1000, frame.clone()));
            }
        }
        lab.expect_silence(&[]);
    }
    for (options, told) in [
        ("--port vm11", "no access port is called 'vm11'; did you mean 'vm1'?"),
        ("--network 1001", "no network has the VNI 1001; did you mean 1000?"),
        (
            "--network 7",
            "no network has the VNI 7; 'ferry show networks' lists those that there are",
        ),
    ] {
        let (code, _, error) = lab.ferry.change(&format!("mac flush {options}"), "");
        assert_eq!((code, error), (1, format!("ferry: {told}\n")));
    }
    lab.finish();
}

#[test]
fn tenants_with_the_same_macs_never_meet() {
    let lab = Lab::new();
    // Station 1 of network 1000 is at vm1, station 1 of network 2000 behind peer 1.
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 2000, &ethernet(BROADCAST, mac(1), 60)));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.ferry.expect_place(2000, mac(1), "192.0.2.2");
    for port in [&lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let frame = ethernet(mac(1), mac(5), 80);
    lab.trunk.send(&tagged(&frame, 20));
    let packet = lab.underlay.expect("network 2000's packet", is_vxlan_to(PEER1));
    assert_eq!(open_vxlan(&packet), (2000, frame.clone()));
    lab.expect_silence(&[]);
    lab.trunk.send(&tagged(&frame, 10));
    lab.vm1.expect_frame(&frame);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn a_static_mac_neither_moves_nor_ages() {
    let networks = r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    ageing: 1s
    flood: {peers: [192.0.2.2]}
    macs:
      - {mac: "02:00:00:00:aa:09", peer: 192.0.2.3}
      - {mac: "02:00:00:00:aa:01", port: vm1}
"#;
    let lab = Lab::with(networks);
    lab.vm2.send(&ethernet(mac(1), mac(9), 60));
    lab.vm1.expect("the frame itself", |frame| frame[6..12] == mac(9));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(9), 60)));
    lab.vm1.expect("the frame itself", |frame| frame[6..12] == mac(9));
    std::thread::sleep(std::time::Duration::from_millis(2500));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.3");
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.vm1.send(&ethernet(mac(9), mac(1), 60));
    lab.underlay.expect("a packet to its place", is_vxlan_to(PEER2));
    lab.finish();
}

#[test]
fn silent_macs_age_out_and_busy_ones_stay() {
    let lab = Lab::with("\n  - {vni: 1000, name: a, ports: [vm1, vm2], ageing: 2s}\n");
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    for _ in 0..20 {
        lab.vm2.send(&ethernet(mac(1), mac(2), 60));
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    assert_eq!(lab.ferry.place(1000, mac(1)), None);
    assert_eq!(lab.ferry.place(1000, mac(2)).as_deref(), Some("vm2"));
    lab.finish();
}

#[test]
fn a_network_learns_only_so_many_macs_and_none_when_told() {
    let networks = "
  - {vni: 1000, name: a, ports: [vm1], mac_limit: 3}
  - {vni: 2000, name: b, ports: [vm2], learning: false, flood: {peers: [192.0.2.2]}}
";
    let lab = Lab::with(networks);
    for number in 1..=5 {
        lab.vm1.send(&ethernet(mac(9), mac(number), 60));
        lab.vm2.send(&ethernet(mac(9), mac(number), 60));
    }
    support::eventually("three are learned and two refused", || {
        let networks = lab.ferry.show("networks");
        networks[0]["macs_learned"] == 3 && networks[0]["macs_refused"] == 2
    });
    assert_eq!(lab.ferry.show("networks")[1]["macs_learned"], 0);
    lab.ferry.expect_dropped("vm1", "no_destination", 5);
    lab.finish();
}

#[test]
fn l2_what_aged_out_is_flooded_again() {
    let networks = "\n  - {vni: 1000, name: a, ports: [vm1, vm2], ageing: 1s, flood: {peers: [192.0.2.2, 192.0.2.3]}}\n";
    let lab = Lab::with(networks);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    for port in [&lab.vm1, &lab.vm2] {
        port.drain();
    }
    support::eventually("it is forgotten", || lab.ferry.place(1000, mac(9)).is_none());
    let frame = ethernet(mac(9), mac(1), 60);
    lab.vm1.send(&frame);
    lab.vm2.expect_frame(&frame);
    for peer in [PEER1, PEER2] {
        let packet = lab.underlay.expect("a copy to each peer", is_vxlan_to(peer));
        assert_eq!(open_vxlan(&packet), (1000, frame.clone()));
    }
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn l6_l14_static_macs_work_without_learning_and_beside_what_is_learned() {
    for learning in [false, true] {
        let lab = Lab::with(&format!(
            r#"
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    learning: {learning}
    flood: {{peers: [192.0.2.2, 192.0.2.3]}}
    macs: [{{mac: "02:00:00:00:aa:09", peer: 192.0.2.3}}, {{mac: "02:00:00:00:aa:02", port: vm2}}]
"#
        ));
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(2), mac(8), 60)));
        lab.vm2.expect("the frame itself", |frame| frame[6..12] == mac(8));
        if learning {
            lab.ferry.expect_place(1000, mac(8), "192.0.2.2");
        }
        for (to, port) in [(mac(9), None), (mac(2), Some(&lab.vm2))] {
            let frame = ethernet(to, mac(1), 60);
            lab.vm1.send(&frame);
            match port {
                Some(port) => port.expect_frame(&frame),
                None => {
                    let packet = lab.underlay.expect("to its place", is_vxlan_to(PEER2));
                    assert_eq!(open_vxlan(&packet), (1000, frame));
                }
            }
            lab.expect_silence(&[]);
        }
        lab.vm1.send(&ethernet(mac(8), mac(1), 60));
        lab.underlay.expect("to the sender's peer", is_vxlan_to(PEER1));
        if !learning {
            lab.underlay.expect("and to the other", is_vxlan_to(PEER2));
            lab.vm2.expect("and to the port", |frame| frame[..6] == mac(8));
            assert_eq!(lab.ferry.show("networks")[0]["macs_learned"], 0);
        }
        lab.expect_silence(&[]);
        lab.finish();
    }
}
