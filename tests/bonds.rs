//! Underlay ports of several devices: the loss of a link moves traffic to the others within a second.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use support::frames::{
    PEER1, PEER1_MAC, VTEP, ethernet, is_vxlan_to, mac, open_summed_vxlan, udp, vxlan,
};
use support::{Ferry, Namespace, Ovs, RawPort, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// A Ferry whose underlay port is a bond of the taps m0 and m1, whose links are lost when they are down, and which has
/// station 1 at vm1.
fn ferry(host: &Namespace, vm: &Namespace, mode: &str, underlay: &str) -> Ferry {
    host.veth("eth2", vm, "eth0");
    let config = format!(
        r#"
eal: {{memory: 512MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - name: up0
      bond: {{mode: {mode}, members: ["net_tap0,iface=m0", "net_tap1,iface=m1"]}}
{underlay}
access:
  ports: [{{name: vm1, device: "net_af_packet0,iface=eth2"}}]
networks:
  - {{vni: 1000, name: a, ports: [vm1], flood: {{peers: [192.0.2.2]}}}}
"#
    );
    Ferry::start(host, &config)
}

#[test]
fn of_an_active_backup_bond_the_other_member_takes_over_within_a_second() {
    let [host, wires] = ["host", "vm"].map(Namespace::new);
    let underlay = r#"
  vtep: {ipv4: 192.0.2.1}
  neighbours: [{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}]"#;
    let ferry = ferry(&host, &wires, "active-backup", underlay);
    let vm = RawPort::open(&wires, "eth0");
    let mut members = ["m0", "m1"].map(|name| RawPort::open(&host, name));
    let port = ferry.show("ports")[0].clone();
    let own: Vec<u8> = port["mac"]
        .as_str()
        .unwrap()
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect();
    let own: [u8; 6] = own.try_into().unwrap();
    let frame = ethernet(mac(9), mac(1), 100);
    let both_ways = |member: &RawPort| {
        vm.send(&frame);
        let packet = member.expect("a tunnel packet", is_vxlan_to(PEER1));
        assert_eq!((&packet[6..12], open_summed_vxlan(&packet)), (&own[..], (1000, frame.clone())));
        let inner = ethernet(mac(1), mac(9), 120);
        member.send(&vxlan(own, PEER1, 1000, &inner));
        vm.expect_frame(&inner);
    };
    both_ways(&members[0]);
    members[1].drain().iter().for_each(|packet| assert!(!is_vxlan_to(PEER1)(packet)));

    host.exec("ip link set m0 down");
    let lost = Instant::now();
    let moved = || {
        vm.send(&frame);
        let packet = members[1].receive(Duration::from_millis(20));
        packet.is_some_and(|packet| is_vxlan_to(PEER1)(&packet))
    };
    while !moved() {
        assert!(lost.elapsed() < SECOND, "nothing leaves by the other member");
    }
    members[1].drain();
    both_ways(&members[1]);
    assert_eq!(ferry.show("ports")[0]["link"], "up", "the bond has a link still");

    // The first one is the one that works when it can.
    host.exec("ip link set m0 up");
    members[0] = RawPort::open(&host, "m0");
    eventually("back at the first", || {
        vm.send(&frame);
        members[0].drain().iter().any(|packet| is_vxlan_to(PEER1)(packet))
    });
    members[1].drain();
    both_ways(&members[0]);
    // Without any member there is no link.
    for member in ["m0", "m1"] {
        host.exec(&format!("ip link set {member} down"));
    }
    eventually("no link", || ferry.show("ports")[0]["link"] == "down");
    ferry.expect_balance();
    ferry.stop();
}

#[test]
fn lacp_is_spoken_with_open_vswitch_and_a_lost_link_moves_its_flows() {
    let [host, wires] = ["host", "vm"].map(Namespace::new);
    let underlay = r#"      twin: ferry-up0
      addresses: [192.0.2.1/24]
  vtep: {ipv4: 192.0.2.1}"#;
    let ferry = ferry(&host, &wires, "lacp", underlay);
    // The switch has the other ends of the same taps.
    let ovs = Ovs::new(host);
    ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    ovs.vsctl(
        "add-bond br0 bond0 m0 m1 lacp=active bond_mode=balance-tcp other_config:lacp-time=fast",
    );
    eventually("LACP has agreed", || {
        let shown = ovs.appctl("lacp/show bond0");
        shown.matches("distributing").count() == 4
    });
    let host = &ovs.namespace;
    host.veth("sw", &wires, "peer");
    ovs.vsctl("add-port br0 sw");
    let peer = RawPort::open(&wires, "peer");
    let vm = RawPort::open(&wires, "eth0");
    host.exec("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:11:01 dev ferry-up0");
    eventually("the next hop is known", || ferry.show("peers")[0]["state"] == "resolved");
    // The switch learns where its station is.
    peer.send(&udp([0xff; 6], PEER1_MAC, (PEER1, VTEP), (1, 1), b"here"));
    let flows = 200;
    let frame = |flow: u16| {
        let payload = [b"flow", &flow.to_be_bytes()[..]].concat();
        udp(mac(9), mac(1), ([10, 0, 0, 1], [10, 0, 0, 9]), (1000 + flow, 2000), &payload)
    };
    let flow_of = |packet: &[u8]| {
        let (rest, flow) = packet.split_last_chunk::<2>()?;
        (packet.len() > 80 && rest.ends_with(b"flow")).then_some(u16::from_be_bytes(*flow))
    };
    let sent_by = |member: &str| -> u64 {
        let line = format!("cat /sys/class/net/{member}/statistics/rx_packets");
        host.exec(&line).trim().parse().unwrap()
    };
    let before = ["m0", "m1"].map(sent_by);
    let mut seen = HashMap::new();
    for flow in 0..flows {
        vm.send(&frame(flow));
    }
    for packet in peer.drain() {
        if let Some(flow) = flow_of(&packet) {
            *seen.entry(flow).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), usize::from(flows), "all arrive");
    assert!(seen.values().all(|count| *count == 1), "once");
    let after = ["m0", "m1"].map(sent_by);
    for member in 0..2 {
        let share = after[member] - before[member];
        assert!(share > u64::from(flows) / 5, "m{member} sent {share} of {flows}");
    }

    host.exec("ip link set m1 down");
    let lost = Instant::now();
    let mut left: Vec<u16> = (0..flows).collect();
    while !left.is_empty() {
        assert!(lost.elapsed() < Duration::from_secs(5), "{left:?} never move");
        left.iter().for_each(|flow| vm.send(&frame(*flow)));
        while let Some(packet) = peer.receive(Duration::from_millis(30)) {
            left.retain(|flow| flow_of(&packet) != Some(*flow));
        }
    }
    assert!(lost.elapsed() < SECOND, "{:?}", lost.elapsed());
    // The agreement holds while there is no traffic: its packets leave all the same.
    std::thread::sleep(Duration::from_secs(4));
    let shown = ovs.appctl("lacp/show bond0");
    assert_eq!(shown.matches("distributing").count(), 2, "{shown}");
    vm.send(&frame(7));
    peer.expect("a flow", |packet| flow_of(packet) == Some(7));
    ferry.expect_balance();
    ferry.stop();
}
