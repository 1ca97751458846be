//! Other configurations while packets pass.

use std::time::{Duration, Instant};

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, pcap, tagged, vxlan,
};
use crate::support::lab::NETWORKS;
use crate::support::membership::{expect_members, query2, report2, rows, stream};
use crate::support::{Ferry, Lab, Namespace, eventually};
use tempfile::TempDir;

/// The lab's networks in the form of requests.
const A: &str = "{name: a, ports: [vm1, vm2, {port: trunk0, vlan: 10}], flood: {peers: [192.0.2.2, 192.0.2.3]}}";

/// The lab's file with other networks.
fn with(lab: &Lab, networks: &str) -> String {
    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    let (head, _) = text.split_once("\nnetworks:").unwrap();
    format!("{head}\nnetworks:{networks}")
}

#[test]
fn l18_a_network_comes_changes_and_goes() {
    let lab = Lab::with(" []");
    let ferry = &lab.ferry;
    let flood = ethernet(BROADCAST, mac(1), 60);
    lab.vm1.send(&flood);
    ferry.expect_dropped("vm1", "vlan_unmapped", 1);
    let from_peer = |vni| vxlan(lab.mac, PEER1, vni, &ethernet(BROADCAST, mac(9), 60));
    lab.underlay.send(&from_peer(1000));
    ferry.expect_dropped("up0", "unknown_vni", 1);

    for round in 1..=3 {
        assert_eq!(ferry.expect_change("net add 1000 -", A), "+ network 1000\n");
        lab.vm1.send(&flood);
        lab.vm2.expect_frame(&flood);
        lab.trunk.expect_frame(&tagged(&flood, 10));
        for peer in [PEER1, PEER2] {
            let packet = lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
            assert_eq!(open_vxlan(&packet), (1000, flood.clone()));
        }
        lab.underlay.send(&from_peer(1000));
        ferry.expect_place(1000, mac(9), "192.0.2.2");
        for port in [&lab.vm1, &lab.vm2, &lab.trunk] {
            port.expect("the peer's broadcast", |frame| frame[6..12] == mac(9));
        }

        // It has one peer and one port less; what was learned elsewhere stays.
        ferry.expect_place(1000, mac(1), "vm1");
        let less = "{name: a, ports: [vm1, vm2], flood: {peers: [192.0.2.3]}, ageing: 60s}";
        assert_eq!(
            ferry.expect_change("net set 1000 -", less),
            "~ network 1000\n    ports: -{\"port\":\"trunk0\",\"vlan\":10}\n    flood.peers: -192.0.2.2\n    ageing: 300s -> 60s\n"
        );
        assert_eq!(ferry.place(1000, mac(1)).as_deref(), Some("vm1"));
        assert_eq!(ferry.place(1000, mac(9)), None, "its peer is none any more");
        assert_eq!(ferry.expect_change("net set 1000 -", less), "nothing differs\n");
        lab.vm1.send(&flood);
        lab.vm2.expect_frame(&flood);
        lab.underlay.expect("a copy for the peer that is left", is_vxlan_to(PEER2));
        lab.trunk.send(&tagged(&flood, 10));
        ferry.expect_dropped("trunk0", "vlan_unmapped", round);
        lab.underlay.send(&from_peer(1000));
        ferry.expect_dropped("up0", "unknown_peer", round);
        lab.expect_silence(&[]);

        assert_eq!(ferry.expect_change("net del 1000", ""), "- network 1000\n");
        assert_eq!(ferry.expect_change("net del 1000", ""), "nothing differs\n");
        assert_eq!(ferry.show("networks"), serde_json::json!([]));
        assert_eq!(ferry.show("peers"), serde_json::json!([]));
        lab.vm1.send(&flood);
        ferry.expect_dropped("vm1", "vlan_unmapped", 1 + round);
        lab.expect_silence(&[]);
    }
    lab.finish();
}

#[test]
fn l9_what_was_learned_becomes_static_and_moves_when_told() {
    let lab = Lab::new();
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    for port in ["vm1", "vm2"] {
        let set = format!("[{{mac: \"02:00:00:00:aa:01\", port: {port}}}]");
        lab.ferry.expect_change("mac replace 1000 -", &set);
        let macs = lab.ferry.show("macs");
        assert_eq!((&macs[0]["port"], &macs[0]["kind"]), (&port.into(), &"static".into()));
    }
    // It is no longer where it sends from.
    for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 60));
    for port in [&lab.vm2, &lab.trunk, &lab.underlay] {
        port.drain();
    }
    let frame = ethernet(mac(1), mac(3), 60);
    lab.trunk.send(&tagged(&frame, 10));
    lab.vm2.expect_frame(&frame);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn single_macs_come_move_and_go() {
    let lab = Lab::new();
    let frame = ethernet(mac(5), mac(1), 60);
    let change = |line: &str| lab.ferry.expect_change(&format!("mac {line}"), "");
    let changed = |macs: &str, addresses: &str| {
        format!("~ network 1000\n    macs: MACs: {macs}; addresses: {addresses}\n")
    };
    let none = "0 added, 0 changed, 0 removed, 0 kept";
    assert_eq!(
        change("add 1000 02:00:00:00:aa:05 --port trunk0 --vlan 10 --ip 10.0.0.5"),
        changed("1 added, 0 changed, 0 removed, 0 kept", "1 added, 0 changed, 0 removed, 0 kept")
    );
    lab.vm1.send(&frame);
    lab.trunk.expect_frame(&tagged(&frame, 10));
    lab.expect_silence(&[]);
    assert_eq!(
        change("set 1000 02:00:00:00:aa:05 --peer 192.0.2.3"),
        changed("0 added, 1 changed, 0 removed, 0 kept", "0 added, 0 changed, 1 removed, 0 kept")
    );
    lab.vm1.send(&frame);
    lab.underlay.expect("a packet to its place", is_vxlan_to(PEER2));
    lab.expect_silence(&[]);
    let del = "del 1000 02:00:00:00:aa:05";
    assert_eq!(change(del), changed("0 added, 0 changed, 1 removed, 0 kept", none));
    assert_eq!(change(del), "nothing differs\n");
    lab.vm1.send(&frame);
    lab.vm2.expect_frame(&frame);
    lab.trunk.expect_frame(&tagged(&frame, 10));
    for peer in [PEER1, PEER2] {
        lab.underlay.expect("a copy for each peer", is_vxlan_to(peer));
    }
    let (code, _, error) =
        lab.ferry.change("mac add 1000 02:00:00:00:aa:05 --port trunk --vlan 10", "");
    let told = "ferry: port: no access port is called 'trunk'; did you mean 'trunk0'?\n";
    assert_eq!((code, error.as_str()), (1, told));
    lab.finish();
}

#[test]
fn single_peers_come_change_and_go() {
    let lab =
        Lab::with("\n  - {vni: 1000, name: a, ports: [vm1, vm2], flood: {peers: [192.0.2.2]}}\n");
    let flood = ethernet(BROADCAST, mac(1), 60);
    let from_peer = vxlan(lab.mac, PEER2, 1000, &ethernet(BROADCAST, mac(9), 60));
    let to_port = |port: u16| {
        move |packet: &[u8]| {
            packet[30..34] == PEER2 && packet[23] == 17 && packet[36..38] == port.to_be_bytes()
        }
    };
    lab.underlay.send(&from_peer);
    lab.ferry.expect_dropped("up0", "unknown_peer", 1);
    let change = |line: &str| lab.ferry.expect_change(&format!("peer {line}"), "");
    for (line, told, port) in [
        ("add 1000 192.0.2.3", "+192.0.2.3", 4789),
        (
            "set 1000 192.0.2.3 --port 8472 -o checksum=off",
            "-192.0.2.3, +{\"address\":\"192.0.2.3\",\"encap\":\"vxlan\",\"port\":8472,\"checksum\":\"off\"}",
            8472,
        ),
    ] {
        assert_eq!(change(line), format!("~ network 1000\n    flood.peers: {told}\n"));
        lab.vm1.send(&flood);
        lab.vm2.expect_frame(&flood);
        lab.underlay.expect("a copy for the first peer", is_vxlan_to(PEER1));
        lab.underlay.expect("a copy for the new one", to_port(port));
        lab.underlay.send(&from_peer);
        for port in [&lab.vm1, &lab.vm2] {
            port.expect("the peer's broadcast", |frame| frame[6..12] == mac(9));
        }
        lab.expect_silence(&[]);
    }
    let (code, _, error) = lab.ferry.change("peer add 1000 192.0.2.3", "");
    let told = "ferry: there is 192.0.2.3 among the flood peers of network 1000 already\n";
    assert_eq!((code, error.as_str()), (1, told));
    change("del 1000 192.0.2.3");
    assert_eq!(change("del 1000 192.0.2.3"), "nothing differs\n");
    lab.vm1.send(&flood);
    lab.vm2.expect_frame(&flood);
    lab.underlay.expect("a copy for the first peer", is_vxlan_to(PEER1));
    lab.expect_silence(&[]);
    lab.underlay.send(&from_peer);
    lab.ferry.expect_dropped("up0", "unknown_peer", 2);
    lab.finish();
}

#[test]
fn single_ports_come_and_go() {
    let lab = Lab::with("\n  - {vni: 1000, name: a, ports: [vm1, vm2]}\n");
    let change = |line: &str, input: &str| lab.ferry.expect_change(line, input);
    let (code, _, error) = lab.ferry.change("port del vm2", "");
    let told = "ferry: port 'vm2' is in network 1000 'a'; take it out of that network first\n";
    assert_eq!((code, error.as_str()), (1, told));
    change("net set 1000 -", "{name: a, ports: [vm1]}");
    assert_eq!(change("port del vm2", ""), "- access port vm2\n");
    assert_eq!(change("port del vm2", ""), "nothing differs\n");
    let (code, _, error) = lab.ferry.change("port add vm3 net_af_packet1,iface=eth3", "");
    let told = "ferry: device: device 'net_af_packet1' is already used by port 'vm1'; \
                give each port its own device\n";
    assert_eq!((code, error.as_str()), (1, told));
    assert_eq!(
        change("port add vm3 net_af_packet2,iface=eth3 --mtu 1400", ""),
        "+ access port vm3\n"
    );
    change("net set 1000 -", "{name: a, ports: [vm1, vm3]}");
    let flood = ethernet(BROADCAST, mac(1), 60);
    lab.vm1.send(&flood);
    lab.vm2.expect_frame(&flood);
    assert_eq!(
        change("port set vm3 net_af_packet2,iface=eth3", ""),
        "~ access port vm3\n    mtu: 1400 -> 1500\n"
    );
    lab.vm2.send(&ethernet(mac(1), mac(2), 60));
    lab.vm1.expect("the frame of the port's station", |frame| frame[6..12] == mac(2));
    lab.finish();
}

/// A VLAN that goes from one tenant to another takes nothing with it, not even what was said of it in advance.
#[test]
fn a_port_changes_hands() {
    let macs = "macs: [{mac: \"02:00:00:00:aa:07\", port: trunk0, vlan: 10}]";
    let first = format!(
        "\n  - {{vni: 1000, name: a, ports: [vm1, {{port: trunk0, vlan: 10}}], {macs}}}
  - {{vni: 2000, name: b, ports: [vm2]}}\n"
    );
    let second = "\n  - {vni: 1000, name: a, ports: [vm1]}
  - {vni: 2000, name: b, ports: [vm2, {port: trunk0, vlan: 10}]}\n";
    let lab = Lab::with(&first);
    for _ in 0..3 {
        lab.trunk.send(&tagged(&ethernet(BROADCAST, mac(8), 60), 10));
        lab.ferry.expect_place(1000, mac(8), "trunk0.10");
        lab.vm1.drain();
        lab.ferry.expect_change("apply -", &with(&lab, second));
        let macs = lab.ferry.show("macs");
        assert!(macs.as_array().unwrap().iter().all(|mac| mac["port"] != "trunk0"), "{macs}");
        for station in [7, 8] {
            lab.vm1.send(&ethernet(mac(station), mac(1), 60));
        }
        lab.expect_silence(&[]);
        let frame = ethernet(BROADCAST, mac(2), 60);
        lab.vm2.send(&frame);
        lab.trunk.expect_frame(&tagged(&frame, 10));
        lab.ferry.expect_change("apply -", &with(&lab, &first));
        lab.vm2.send(&frame);
        lab.expect_silence(&[]);
        lab.vm1.send(&ethernet(mac(7), mac(1), 60));
        lab.trunk.expect("the frame to the MAC known in advance", |frame| frame[..6] == mac(7));
    }
    lab.finish();
}

/// Who listens is known also when its network changes, and forgotten with its port or peer; the port's next network is told
/// nothing of its groups.
#[test]
fn members_stay_while_their_port_or_peer_does() {
    let group = [239, 1, 1, 1];
    let network = |vni: u32, members: &str, peers: &str| {
        format!(
            "\n  - {{vni: {vni}, name: n{vni}, ports: [{members}], flood: {{peers: [{peers}]}}, \
             multicast: {{unregistered: drop, snooping: true}}}}"
        )
    };
    let vlan = "{port: trunk0, vlan: 10}";
    let first = network(1000, &format!("vm1, vm2, {vlan}"), "192.0.2.2, 192.0.2.3");
    let second = network(1000, "vm2, vm1", "192.0.2.3") + &network(2000, vlan, "");
    let lab = Lab::with(&format!("{first}\n"));
    for _ in 0..2 {
        lab.vm2.send(&report2((2, [10, 0, 0, 2]), group));
        lab.trunk.send(&tagged(&report2((3, [10, 0, 0, 3]), group), 10));
        let far = report2((11, [10, 0, 0, 11]), group);
        lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &far));
        lab.vm2.send(&query2((254, [10, 0, 0, 254]), None, 100));
        let all = ["239.1.1.1 192.0.2.2", "239.1.1.1 trunk0.10", "239.1.1.1 vm2"];
        expect_members(&lab.ferry, &all);

        lab.ferry.expect_change("apply -", &with(&lab, &second));
        assert_eq!(rows(&lab.ferry, "learned"), ["239.1.1.1 vm2"]);
        assert_eq!(
            (rows(&lab.ferry, "router"), rows(&lab.ferry, "querier")),
            (vec!["- vm2".to_owned()], vec!["- vm2".to_owned()])
        );
        for port in [&lab.vm1, &lab.vm2, &lab.trunk, &lab.underlay] {
            port.drain();
        }
        let frame = stream((1, [10, 0, 0, 1]), group);
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
        lab.expect_silence(&[]);
        lab.ferry.expect_change("apply -", &with(&lab, &first));
        assert_eq!(rows(&lab.ferry, "learned"), ["239.1.1.1 vm2"]);
    }
    lab.finish();
}

#[test]
fn a_querier_begins_goes_on_and_ends() {
    let lab = Lab::with(" []");
    let set = |more: &str| {
        lab.ferry
            .expect_change("net set 1000 -", &format!("{{name: a, ports: [vm1, vm2], {more}}}"))
    };
    let snooping = |querier: bool| {
        set(&format!(
            "multicast: {{snooping: {{querier: {querier}, query_interval: 2s, response_interval: 500ms}}}}"
        ))
    };
    let is_query = |frame: &[u8]| frame[..6] == [1, 0, 0x5e, 0, 0, 1] && frame[38] == 0x11;
    let sent = || lab.ferry.show("networks")[0]["snooping"]["queries_sent"].as_u64();
    set("");
    lab.vm1.expect_silence();
    snooping(true);
    for _ in 0..3 {
        lab.vm1.expect("a query", is_query);
    }
    let before = sent();
    assert!(before >= Some(4), "{before:?}");
    assert!(snooping(true).contains("nothing differs"));
    set(
        "ageing: 20s, multicast: {snooping: {querier: true, query_interval: 2s, response_interval: 500ms}}",
    );
    lab.vm1.drain();
    lab.vm1.expect("a query", is_query);
    assert!(sent() > before, "what was counted stays");
    snooping(false);
    lab.vm1.drain();
    lab.vm1.expect_silence();
    std::thread::sleep(Duration::from_millis(2200));
    lab.vm1.expect_silence();
    snooping(true);
    lab.vm1.expect("a query", is_query);
    lab.ferry.expect_change("net del 1000", "");
    lab.vm1.drain();
    std::thread::sleep(Duration::from_millis(2200));
    lab.vm1.expect_silence();
    lab.finish();
}

#[test]
fn what_is_wrong_changes_nothing_and_says_why() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    let before = (ferry.show("config"), ferry.show("networks"), ferry.show("peers"));
    let refused = |line: &str, input: &str| {
        let (code, output, errors) = ferry.change(line, input);
        assert_eq!(output, "");
        (code, errors)
    };
    let (code, errors) = refused("apply -", &with(&lab, " [{vni: 1000, name: a, ports: [vm9]}]"));
    assert_eq!(code, 1, "{errors}");
    assert!(errors.starts_with("ferry: -:") && errors.contains("'vm9'"), "{errors}");
    let restart = with(&lab, NETWORKS).replace("ipv4: 192.0.2.1", "ipv4: 192.0.2.9");
    let (code, errors) = refused("apply -", &restart);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("start it anew") && errors.contains("vtep changed (ipv4)"), "{errors}");
    let taken = "{name: c, ports: [vm1]}";
    let (_, errors) = refused("net add 3000 -", taken);
    assert!(errors.contains("already used by network 'a'"), "{errors}");
    let (_, errors) = refused("net add 1000 -", A);
    assert!(errors.contains("there is a network 1000 already: 'a'"), "{errors}");
    let (code, errors) = refused("diff /no/such/file", "");
    assert_eq!(code, 2, "{errors}");
    assert_eq!(before, (ferry.show("config"), ferry.show("networks"), ferry.show("peers")));
    lab.finish();
}

#[test]
fn a_file_is_compared_and_followed_also_at_sighup() {
    let lab = Lab::new();
    let ferry = &lab.ferry;
    let file = ferry.file();
    let diff = format!("diff {}", file.display());
    assert_eq!(ferry.change(&diff, ""), (0, "nothing differs\n".to_owned(), String::new()));
    ferry.expect_change("net set 3000 -", "{name: c, ports: [{port: trunk0, vlan: 30}]}");
    assert_eq!(ferry.change(&diff, ""), (1, "- network 3000\n".to_owned(), String::new()));
    assert_eq!(ferry.expect_change("apply --dry-run -", &with(&lab, NETWORKS)), "- network 3000\n");
    assert_eq!(ferry.show("networks").as_array().unwrap().len(), 3);

    let names = || {
        let networks = ferry.show("networks");
        let name = |network: &serde_json::Value| network["name"].as_str().unwrap().to_owned();
        networks.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    ferry.signal("HUP");
    eventually("what the file says", || names() == ["a", "b"]);
    std::fs::write(&file, with(&lab, "\n  - {vni: 7, name: seven, ports: [vm1]}\n")).unwrap();
    ferry.signal("HUP");
    eventually("what the file says now", || names() == ["seven"]);
    std::fs::write(&file, "networks: {").unwrap();
    ferry.signal("HUP");
    eventually("an error in the log", || ferry.log().contains("not applied: "));
    assert_eq!(names(), ["seven"]);
    lab.finish();
}

/// Network 1000 sends as fast as it can while a hundred times others come, change and go: of its frames each one is sent.
#[test]
fn a_network_at_full_load_loses_nothing_while_others_change() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    let frames: Vec<_> = (0..64).map(|_| ethernet(mac(9), mac(1), 100)).collect();
    std::fs::write(folder.path().join("in.pcap"), pcap(&frames)).unwrap();
    let host = Namespace::new("host");
    let config = format!(
        r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: yield}}
underlay:
  ports: [{{name: up0, device: "net_null0,no-rx=1"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours:
    - {{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}}
    - {{ip: 192.0.2.3, mac: "02:00:00:00:11:02", port: up0}}
access:
  ports:
    - {{name: vm1, device: "net_pcap1,rx_pcap={path}/in.pcap,infinite_rx=1"}}
    - {{name: trunk0, device: "net_null2,no-rx=1"}}
networks:
  - vni: 1000
    name: a
    ports: [vm1]
    macs: [{{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}}]
"#
    );
    let ferry = Ferry::start(&host, &config);
    ferry.expect_place(1000, mac(1), "vm1");
    let rx = || ferry.show("totals")["rx"].as_u64().unwrap();
    let (start, before) = (Instant::now(), rx());
    for round in 0..100u32 {
        let (vni, vlan) = (2000 + round % 7, 1 + round % 7);
        let network = |more: &str| {
            format!("{{name: n{vni}, ports: [{{port: trunk0, vlan: {vlan}}}], {more}}}")
        };
        let line = format!("net set {vni} -");
        let macs = "macs: [{mac: \"02:00:00:00:aa:09\", peer: 192.0.2.2}]";
        ferry.expect_change(&line, &network("flood: {peers: [192.0.2.2, 192.0.2.3]}"));
        ferry.expect_change(&line, &network(&format!("flood: {{peers: [192.0.2.3]}}, {macs}")));
        if round % 3 != 0 {
            ferry.expect_change(&format!("net del {vni}"), "");
        }
        if round == 50 {
            // The state of the network itself is not that of its configuration.
            ferry.expect_change("apply -", &std::fs::read_to_string(ferry.file()).unwrap());
            assert_eq!(ferry.show("networks").as_array().unwrap().len(), 1);
        }
    }
    let rate = (rx() - before) as f64 / start.elapsed().as_secs_f64();
    assert!(rate > 100_000.0, "{rate} frames a second are no load");
    assert_eq!(ferry.place(1000, mac(1)).as_deref(), Some("vm1"), "it is still learned");
    let network = &ferry.show("networks")[0];
    assert_eq!((&network["macs_learned"], &network["mac_moves"]), (&1.into(), &0.into()));
    assert_eq!(ferry.drops(), std::collections::HashMap::new());
    ferry.expect_lossless();
}
