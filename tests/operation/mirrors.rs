//! Mirrors: who looks on gets each frame once, as it was, and nobody else notices.

use crate::support::frames::{
    BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, open_vxlan, tagged, udp, vxlan,
};
use crate::support::{Ferry, Lab, Namespace, RawPort, eventually};

/// A network between the VMs, whose peer is 192.0.2.2; `trunk0` is free.
fn networks(mirrors: &str) -> String {
    let network = "{vni: 1000, name: a, ports: [vm1, vm2], flood: {peers: [192.0.2.2]}}";
    format!("\n  - {network}\nmirrors:{mirrors}\n")
}

fn mirror(lab: &Lab, name: &str, key: &str) -> u64 {
    let mirrors = lab.ferry.show("mirrors");
    let mirror = mirrors.as_array().unwrap().iter().find(|of| of["name"] == name);
    mirror.unwrap_or_else(|| panic!("{mirrors}"))[key].as_u64().unwrap()
}

/// Has both stations known.
fn learn(lab: &Lab) {
    for (port, number, name) in [(&lab.vm1, 1, "vm1"), (&lab.vm2, 2, "vm2")] {
        port.send(&ethernet(BROADCAST, mac(number), 60));
        lab.ferry.expect_place(1000, mac(number), name);
    }
    for port in [&lab.underlay, &lab.vm1, &lab.vm2, &lab.trunk] {
        port.drain();
    }
}

#[test]
fn a_port_gets_each_frame_of_another_once_and_is_for_nothing_else() {
    let lab = Lab::with(&networks("\n  - {name: ids, of: [vm1], to: {port: trunk0}}"));
    learn(&lab);
    let (before, bytes) = (mirror(&lab, "ids", "packets"), mirror(&lab, "ids", "bytes"));
    // What comes in, what leaves, and what comes in and is dropped.
    let there = ethernet(mac(2), mac(1), 700);
    lab.vm1.send(&there);
    lab.vm2.expect_frame(&there);
    lab.trunk.expect_frame(&there);
    let back = ethernet(mac(1), mac(2), 1514);
    lab.vm2.send(&back);
    lab.vm1.expect_frame(&back);
    lab.trunk.expect_frame(&back);
    let lost = tagged(&there, 99);
    lab.vm1.send(&lost);
    lab.trunk.expect_frame(&lost);
    let flooded = ethernet(BROADCAST, mac(1), 61);
    lab.vm1.send(&flooded);
    lab.vm2.expect_frame(&flooded);
    lab.underlay.expect("the flood", is_vxlan_to(PEER1));
    lab.trunk.expect_frame(&flooded);
    // From a tunnel it has no outer headers when it leaves.
    let inner = ethernet(mac(1), mac(9), 90);
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &inner));
    lab.vm1.expect_frame(&inner);
    lab.trunk.expect_frame(&inner);
    // Of others it gets nothing.
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    let others = ethernet(mac(9), mac(2), 80);
    lab.vm2.send(&others);
    lab.underlay.expect("it", is_vxlan_to(PEER1));
    lab.expect_silence(&[]);
    assert_eq!(mirror(&lab, "ids", "packets") - before, 5);
    let lengths: usize = [&there, &back, &lost, &flooded, &inner].iter().map(|of| of.len()).sum();
    assert_eq!(mirror(&lab, "ids", "bytes") - bytes, lengths as u64);
    assert_eq!(lab.ferry.dropped("vm1", "vlan_unmapped"), 1, "a copy is dropped with nobody");

    lab.trunk.send(&ethernet(BROADCAST, mac(7), 60));
    lab.ferry.expect_dropped("trunk0", "mirror_port", 1);
    lab.expect_silence(&[]);
    let metrics = lab.ferry.get("/metrics");
    assert!(metrics.contains("ferry_mirror_packets_total{mirror=\"ids\"}"), "{metrics}");
    lab.finish();
}

#[test]
fn directions_and_mirrors_change_while_packets_pass() {
    let lab = Lab::with(&networks(
        "\n  - {name: a, of: [vm1], direction: in, to: {port: trunk0}}\n  - {name: wire, of: [up0], direction: out, to: {port: trunk0}}",
    ));
    learn(&lab);
    let (there, back) = (ethernet(mac(2), mac(1), 100), ethernet(mac(1), mac(2), 101));
    lab.vm1.send(&there);
    lab.trunk.expect_frame(&there);
    lab.vm2.send(&back);
    lab.vm1.expect_frame(&back);
    lab.trunk.expect_silence();
    // An underlay port's packets have their outer headers.
    let far = ethernet(mac(9), mac(2), 200);
    lab.vm2.send(&far);
    let packet = lab.underlay.expect("it", is_vxlan_to(PEER1));
    lab.trunk.expect_frame(&packet);
    lab.vm1.drain();

    let text = std::fs::read_to_string(lab.ferry.file()).unwrap();
    let apply = |text: &str| {
        let file = lab.ferry.file().with_file_name("other.yaml");
        std::fs::write(&file, text).unwrap();
        lab.ferry.expect_change(&format!("apply {}", file.display()), "")
    };
    let said = apply(
        &text.replace("name: a, of: [vm1], direction: in", "name: a, of: [vm1], direction: out"),
    );
    assert_eq!(said, "~ mirror a\n    direction: in -> out\n", "{said}");
    lab.vm1.send(&there);
    lab.vm2.expect("it", |frame| frame == &there[..]);
    lab.trunk.expect_silence();
    lab.vm2.send(&back);
    lab.vm1.expect_frame(&back);
    lab.trunk.expect_frame(&back);
    let copied = mirror(&lab, "a", "packets");
    let part = text.split("mirrors:").next().unwrap();
    let tunnel = format!(
        "{part}mirrors:\n  - {{name: a, of: [vm1], to: {{peer: {{address: 192.0.2.3, id: 4000}}}}}}\n"
    );
    let said = apply(&tunnel);
    assert!(said.contains("- mirror wire") && said.contains("~ mirror a"), "{said}");
    lab.vm1.send(&there);
    let packet = lab.underlay.expect("a copy", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (4000, there.clone()));
    lab.vm2.drain();
    lab.trunk.expect_silence();
    assert_eq!(mirror(&lab, "a", "packets"), copied + 1, "one and the same mirror");

    // The port is free for others again, and the mirror's ports cannot go.
    let error = lab.ferry.change("port del vm1", "");
    assert!(error.2.contains("is in network 1000"), "{}", error.2);
    apply(part);
    assert_eq!(lab.ferry.show("mirrors"), serde_json::json!([]));
    assert!(
        lab.ferry.show("peers").as_array().unwrap().iter().all(|of| of["address"] != "192.0.2.3")
    );
    lab.vm1.send(&there);
    lab.vm2.expect_frame(&there);
    lab.expect_silence(&[]);
    lab.finish();
}

#[test]
fn what_becomes_of_a_copy_is_nothing_to_its_frame() {
    let lab = Lab::with(&networks(
        "\n  - {name: far, of: [vm1], direction: in, to: {peer: {address: 192.0.2.3, id: 4000}}}",
    ));
    learn(&lab);
    let fits = ethernet(mac(2), mac(1), 1464);
    lab.vm1.send(&fits);
    lab.vm2.expect_frame(&fits);
    let packet = lab.underlay.expect("a copy", is_vxlan_to(PEER2));
    assert_eq!(open_vxlan(&packet), (4000, fits));
    // Nobody is told of a copy that is too long.
    let flow = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let long = udp(mac(2), mac(1), flow, (5, 6), &[7; 1472]);
    lab.vm1.send(&long);
    lab.vm2.expect_frame(&long);
    lab.expect_silence(&[]);
    assert_eq!(lab.ferry.dropped("vm1", "mirror_oversize"), 1);
    assert_eq!(mirror(&lab, "far", "lost"), 1);
    // What comes back from there with that ID is no network's.
    lab.underlay.send(&vxlan(lab.mac, PEER2, 4000, &ethernet(BROADCAST, mac(9), 60)));
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);
    // Many frames at once, far more than copies may wait.
    for _ in 0..3000 {
        lab.vm1.send(&long);
    }
    lab.ferry.expect_balance();
    lab.finish();
}

#[test]
fn a_kernel_gets_the_copies_by_a_tunnel_once_it_answers() {
    let (host, far, wires) =
        (Namespace::new("host"), Namespace::new("far"), Namespace::new("wires"));
    host.veth("eth1", &far, "eth0");
    host.veth("eth2", &wires, "one");
    host.veth("eth3", &wires, "two");
    far.exec("ip link add vx0 type vxlan id 4000 dstport 4789 local 192.0.2.9 nolearning");
    far.exec("ip link set vx0 up");
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}
  vtep: {ipv4: 192.0.2.1}
access:
  ports:
    - {name: vm1, device: "net_af_packet1,iface=eth2"}
    - {name: vm2, device: "net_af_packet2,iface=eth3"}
networks:
  - {vni: 1000, name: a, ports: [vm1, vm2]}
mirrors:
  - {name: far, of: [vm1], to: {peer: {address: 192.0.2.9, id: 4000}}}
"#;
    let ferry = Ferry::start(&host, config);
    let (one, two) = (RawPort::open(&wires, "one"), RawPort::open(&wires, "two"));
    let frame = ethernet(BROADCAST, mac(1), 300);
    one.send(&frame);
    two.expect_frame(&frame);
    ferry.expect_dropped("vm1", "mirror_unreachable", 1);
    far.exec("ip address add 192.0.2.9/24 dev eth0");
    let collector = RawPort::open(&far, "vx0");
    eventually("the kernel answers", || {
        one.send(&ethernet(mac(2), mac(1), 60));
        ferry.show("peers")[0]["state"] == "resolved"
    });
    assert_eq!(ferry.show("peers")[0]["networks"], serde_json::json!([]));
    two.drain();
    collector.drain();
    let (there, back) = (ethernet(mac(2), mac(1), 800), ethernet(mac(1), mac(2), 900));
    one.send(&there);
    two.expect_frame(&there);
    collector.expect_frame(&there);
    two.send(&back);
    one.expect_frame(&back);
    collector.expect_frame(&back);
    ferry.expect_balance();
    ferry.stop();
}
