//! Ferry and the Linux kernel's own VXLAN device in one network.

use crate::support::{Ferry, Namespace, RawPort, eventually};

/// A switch with Ferry and two kernel VTEPs on it, each with a station of network 1000: 10.0.0.1 behind
/// Ferry, 10.0.0.2 and 10.0.0.3 on the kernels.
struct Fabric {
    ferry: Ferry,
    vm: Namespace,
    kernels: [Namespace; 2],
    host: Namespace,
    switch: Namespace,
}

impl Fabric {
    fn new() -> Self {
        Self::with_vm_port("net_af_packet1,iface=eth2")
    }

    fn with_vm_port(device: &str) -> Self {
        Self::with(device, "flood: {peers: [192.0.2.2, 192.0.2.3]}")
    }

    /// With these keys of the network.
    fn with(device: &str, keys: &str) -> Self {
        let switch = Namespace::new("switch");
        switch.exec("ip link add br0 type bridge");
        switch.exec("ip link set br0 up");
        let join = |namespace: &Namespace, interface: &str, port: &str| {
            namespace.veth(interface, &switch, port);
            switch.exec(&format!("ip link set {port} master br0"));
        };
        let kernels = [2, 3].map(|number| {
            let kernel = Namespace::new(&format!("k{number}"));
            join(&kernel, "eth0", &format!("p{number}"));
            kernel.exec(&format!("ip address add 192.0.2.{number}/24 dev eth0"));
            kernel.exec(&format!(
                "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.{number}"
            ));
            for other in [1, 2, 3] {
                if other != number {
                    kernel.exec(&format!(
                        "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.{other}"
                    ));
                }
            }
            kernel.exec(&format!("ip address add 10.0.0.{number}/24 dev vx0"));
            kernel.exec("ip link set vx0 up");
            kernel
        });
        let (host, vm) = (Namespace::new("host"), Namespace::new("vm"));
        join(&host, "eth1", "p1");
        host.veth("eth2", &vm, "eth0");
        vm.exec("ip address add 10.0.0.1/24 dev eth0");
        vm.exec("ip link set eth0 mtu 1450");
        let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}
  vtep: {ipv4: 192.0.2.1}
access:
  ports: [{name: vm1, device: "DEVICE"}]
networks:
  - {vni: 1000, name: a, ports: [vm1], KEYS}
"#;
        let ferry = Ferry::start(&host, &config.replace("DEVICE", device).replace("KEYS", keys));
        Self { ferry, vm, kernels, host, switch }
    }

    fn peer(&self, address: &str, key: &str) -> String {
        let peers = self.ferry.show("peers");
        let peer =
            peers.as_array().unwrap().iter().find(|peer| peer["address"] == address).unwrap();
        peer[key].as_str().unwrap_or_default().to_owned()
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[test]
fn stations_on_both_sides_reach_each_other() {
    let fabric = Fabric::new();
    let Fabric { ferry, vm, kernels, .. } = &fabric;
    eventually("both next hops are known", || {
        ["192.0.2.2", "192.0.2.3"].iter().all(|peer| fabric.peer(peer, "state") == "resolved")
    });
    // ARP included, all pairs, from the smallest to the largest packet.
    for size in [36, 56, 200, 576, 1000, 1400, 1422] {
        vm.exec(&format!("ping -c 2 -i 0.05 -W 2 -s {size} 10.0.0.2"));
        kernels[1].exec(&format!("ping -c 2 -i 0.05 -W 2 -s {size} 10.0.0.1"));
    }
    kernels[0].exec("ping -c 2 -i 0.05 -W 2 10.0.0.3");

    // Both sides learned.
    let vm_mac = vm.mac("eth0");
    ferry.expect_place(1000, vm_mac, "vm1");
    ferry.expect_place(1000, kernels[0].mac("vx0"), "192.0.2.2");
    ferry.expect_place(1000, kernels[1].mac("vx0"), "192.0.2.3");
    let fdb = kernels[0].exec("bridge fdb show dev vx0");
    let learned = format!("{} dst 192.0.2.1", mac_text(vm_mac));
    assert!(fdb.contains(&learned), "{learned} in {fdb}");

    ferry.expect_balance();
    fabric.ferry.stop();
}

/// On a net_tap port, because net_af_packet has the kernel reassemble what it hands out.
#[test]
fn datagrams_that_the_stations_fragment_get_through() {
    let fabric = Fabric::with_vm_port("net_tap1,iface=tapvm");
    let Fabric { vm, host, .. } = &fabric;
    host.exec(&format!("ip link set tapvm netns {}", vm.name));
    vm.exec("ip address flush dev eth0");
    vm.exec("ip address add 10.0.0.1/24 dev tapvm");
    vm.exec("ip link set tapvm up mtu 1450");
    for size in [56, 1600, 3200] {
        vm.exec(&format!("ping -c 3 -i 0.05 -W 2 -s {size} 10.0.0.3"));
    }
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn tcp_gets_through_without_retransmission_storms() {
    let fabric = Fabric::new();
    let Fabric { vm, kernels, .. } = &fabric;
    let _server = kernels[0].spawn("iperf3 -s");
    vm.exec("ping -c 1 -W 3 10.0.0.2");
    for direction in ["", "-R"] {
        // The server may not listen yet, or not be done with the direction before.
        let attempt = |_| {
            let output = vm.try_exec(&format!("iperf3 -J -t 2 -c 10.0.0.2 {direction}"));
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            if report["error"].is_null() {
                return Some(report);
            }
            eprintln!("{}", report["error"]);
            std::thread::sleep(std::time::Duration::from_millis(500));
            None
        };
        let report = (0..5).find_map(attempt).expect("iperf3 gets a report");
        let end = &report["end"];
        let bytes = end["sum_received"]["bytes"].as_f64().unwrap();
        let retransmits = end["sum_sent"]["retransmits"].as_f64().unwrap();
        let segments = bytes / 1398.0;
        assert!(bytes > 5e6, "only {bytes} bytes in two seconds");
        assert!(
            retransmits < 0.25 * segments,
            "{retransmits} of {segments} segments were sent again"
        );
    }
    fabric.ferry.stop();
}

/// Pings have an inner header of each ECN, and answers the same; a kernel with `tos inherit` copies the DSCP, too.
#[test]
fn t18_ecn_passes_to_and_from_a_kernel_that_inherits_tos() {
    let fabric = Fabric::new();
    let Fabric { vm, kernels, switch, .. } = &fabric;
    kernels[0].exec("ip link set vx0 type vxlan tos inherit");
    vm.exec("ping -c 1 -W 3 10.0.0.2");
    let [ours, theirs] = ["p1", "p2"].map(|port| RawPort::open(switch, port));
    for (inner, sent, answered) in [(0xb8, 0, 0xb8), (0xba, 2, 0xba), (0x29, 1, 0x29), (3, 3, 2)] {
        vm.exec(&format!("ping -c 1 -W 3 -Q {inner} 10.0.0.2"));
        for (port, outer) in [(&ours, sent), (&theirs, answered)] {
            let is_ping = |packet: &[u8]| packet.len() > 90 && packet[23] == 17 && packet[73] == 1;
            let packet = port.expect("a ping", is_ping);
            assert_eq!((packet[15], packet[65]), (outer, inner), "{}", port.name);
        }
    }
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn the_host_answers_at_its_address_through_the_twin() {
    let fabric = Fabric::new();
    fabric.kernels[0].exec("ping -c 3 -i 0.05 -W 2 192.0.2.1");
    fabric.host.exec("ping -c 3 -i 0.05 -W 2 192.0.2.3");
    let neighbours = fabric.kernels[0].exec("ip neighbour show 192.0.2.1");
    let port = mac_text(fabric.host.mac("eth1"));
    assert!(neighbours.contains(&port), "the twin has the port's MAC {port}: {neighbours}");
    let ports = fabric.ferry.show("ports");
    let twin = ports.as_array().unwrap().iter().find(|row| row["role"] == "twin").unwrap();
    assert_eq!(twin["mac"], port, "and that is shown");
    fabric.ferry.stop();
}

#[test]
fn a_next_hop_is_followed_and_its_loss_is_counted() {
    let fabric = Fabric::new();
    let Fabric { ferry, vm, kernels, host, .. } = &fabric;
    vm.exec("ping -c 1 -W 3 10.0.0.2");
    // The peer's NIC is replaced; it announces itself.
    kernels[0].exec("ip link set eth0 address 02:00:00:00:77:02");
    kernels[0].exec("arping -q -U -c 1 -I eth0 192.0.2.2");
    let begin = std::time::Instant::now();
    eventually("the new MAC is used", || fabric.peer("192.0.2.2", "mac") == "02:00:00:00:77:02");
    assert!(begin.elapsed() < std::time::Duration::from_secs(1), "{:?}", begin.elapsed());
    vm.exec("ping -c 1 -W 2 10.0.0.2");

    // By a gateway now, and then not at all.
    host.exec("ip route add 192.0.2.2/32 via 192.0.2.3 dev ferry-up0");
    eventually("the gateway is used", || fabric.peer("192.0.2.2", "next_hop") == "192.0.2.3");
    host.exec("ip route replace unreachable 192.0.2.2/32");
    eventually("the route is gone", || fabric.peer("192.0.2.2", "state") == "no_route");
    let _ = vm.try_exec("ping -c 1 -W 1 10.0.0.2");
    assert!(ferry.dropped("vm1", "next_hop_unresolved") > 0);
    host.exec("ip route del unreachable 192.0.2.2/32");
    eventually("it is back", || fabric.peer("192.0.2.2", "state") == "resolved");
    vm.exec("ping -c 1 -W 2 10.0.0.2");
    ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn the_next_hop_of_a_peer_that_comes_at_run_time_is_found() {
    let keys = "flood: {peers: [192.0.2.2]}, arp_suppression: true";
    let fabric = Fabric::with("net_af_packet1,iface=eth2", keys);
    let Fabric { ferry, vm, kernels, .. } = &fabric;
    let station = mac_text(kernels[1].mac("vx0"));
    let set = format!("[{{mac: \"{station}\", peer: 192.0.2.3, ips: [10.0.0.3]}}]");
    for _ in 0..2 {
        vm.exec("ip neighbour flush dev eth0");
        let lost = vm.try_exec("ping -c 1 -W 1 10.0.0.3");
        assert!(!lost.status.success(), "nobody knows the way");
        ferry.replace_macs(1000, &set).unwrap();
        eventually("its next hop is known", || fabric.peer("192.0.2.3", "state") == "resolved");
        vm.exec("ping -c 3 -i 0.05 -W 2 10.0.0.3");
        ferry.replace_macs(1000, "[]").unwrap();
    }
    ferry.expect_balance();
    fabric.ferry.stop();
}
