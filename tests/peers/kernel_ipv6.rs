//! Ferry and the Linux kernel's VXLAN device over an IPv6 underlay: routes and neighbours from the kernel, too.

use crate::support::{Ferry, Namespace, eventually};

/// Station 10.0.0.1 behind Ferry (2001:db8::1), 10.0.0.2 on a kernel VTEP over IPv6 (2001:db8::2), 10.0.0.3 on one over
/// IPv4 (192.0.2.3).
struct Fabric {
    ferry: Ferry,
    vm: Namespace,
    kernel6: Namespace,
    kernel4: Namespace,
    host: Namespace,
    _switch: Namespace,
}

impl Fabric {
    fn new(peer_options: &str, device_options: &str) -> Self {
        let switch = Namespace::new("switch");
        switch.exec("ip link add br0 type bridge mcast_snooping 0");
        switch.exec("ip link set br0 up");
        let join = |namespace: &Namespace, interface: &str, port: &str| {
            namespace.veth(interface, &switch, port);
            switch.exec(&format!("ip link set {port} master br0"));
        };
        let kernel6 = Namespace::new("k6");
        join(&kernel6, "eth0", "p2");
        kernel6.exec("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
        kernel6.exec("ip address add 2001:db8::2/64 dev eth0 nodad");
        kernel6.exec(&format!(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 2001:db8::2 remote 2001:db8::1 {device_options}"
        ));
        let kernel4 = Namespace::new("k4");
        join(&kernel4, "eth0", "p3");
        kernel4.exec("ip address add 192.0.2.3/24 dev eth0");
        kernel4.exec(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.3 remote 192.0.2.1",
        );
        for (kernel, number) in [(&kernel6, 2), (&kernel4, 3)] {
            kernel.exec(&format!("ip address add 10.0.0.{number}/24 dev vx0"));
            kernel.exec("ip link set vx0 mtu 1430 up");
        }
        let (host, vm) = (Namespace::new("host"), Namespace::new("vm"));
        join(&host, "eth1", "p1");
        host.veth("eth2", &vm, "eth0");
        vm.exec("ip address add 10.0.0.1/24 dev eth0");
        vm.exec("ip link set eth0 mtu 1430");
        // The twin, which is yet to come, has IPv6; the raw interfaces, which are there, have none.
        host.exec(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
        );
        for raw in ["eth1", "eth2"] {
            host.exec(&format!("sysctl -qw net.ipv6.conf.{raw}.disable_ipv6=1"));
        }
        let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports:
    - {name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24, "2001:db8::1/64"]}
  vtep: {ipv4: 192.0.2.1, ipv6: "2001:db8::1", udp6_zero_checksum: accept}
access:
  ports: [{name: vm1, device: "net_af_packet1,iface=eth2"}]
networks:
  - {vni: 1000, name: a, ports: [vm1], flood: {peers: [{address: "2001:db8::2"OPTIONS}, 192.0.2.3]}}
"#;
        let ferry = Ferry::start(&host, &config.replace("OPTIONS", peer_options));
        Self { ferry, vm, kernel6, kernel4, host, _switch: switch }
    }

    fn peer(&self, address: &str, key: &str) -> String {
        let peers = self.ferry.show("peers");
        let peer =
            peers.as_array().unwrap().iter().find(|peer| peer["address"] == address).unwrap();
        peer[key].as_str().unwrap_or_default().to_owned()
    }

    fn is_resolved(&self) {
        eventually("both next hops are known", || {
            ["2001:db8::2", "192.0.2.3"].iter().all(|peer| self.peer(peer, "state") == "resolved")
        });
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[test]
fn stations_reach_each_other_over_both_families() {
    let fabric = Fabric::new("", "");
    let Fabric { ferry, vm, kernel6, kernel4, .. } = &fabric;
    fabric.is_resolved();
    assert_eq!(fabric.peer("2001:db8::2", "mac"), mac_text(kernel6.mac("eth0")));
    for size in [56, 57, 600, 1402] {
        for station in ["10.0.0.2", "10.0.0.3"] {
            vm.exec(&format!("ping -c 2 -i 0.05 -W 2 -M do -s {size} {station}"));
        }
    }
    kernel6.exec("ping -c 2 -i 0.05 -W 2 10.0.0.1");
    kernel4.exec("ping -c 2 -i 0.05 -W 2 10.0.0.1");
    // Split horizon holds between the families: neither kernel hears the other by way of Ferry.
    assert!(!kernel6.try_exec("ping -c 1 -W 1 10.0.0.3").status.success());
    // The kernel drops wrong checksums and, unless told otherwise, missing ones: none was.
    let errors = kernel6.exec("cat /sys/class/net/vx0/statistics/rx_errors");
    assert_eq!(errors.trim(), "0");
    assert_eq!(ferry.dropped("up0", "udp_checksum"), 0);
    ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn without_udp_checksums_where_both_ends_agree() {
    let fabric = Fabric::new(", checksum: off", "udp6zerocsumtx udp6zerocsumrx");
    fabric.is_resolved();
    fabric.vm.exec("ping -c 3 -i 0.05 -W 2 10.0.0.2");
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn the_host_answers_at_its_ipv6_address_and_follows_neighbours_and_routes() {
    let fabric = Fabric::new("", "");
    let Fabric { ferry, vm, kernel6, host, .. } = &fabric;
    fabric.is_resolved();
    kernel6.exec("ping -6 -c 3 -i 0.05 -W 2 2001:db8::1");
    host.exec("ping -6 -c 3 -i 0.05 -W 2 2001:db8::2");
    vm.exec("ping -c 1 -W 3 10.0.0.2");
    host.exec("ip -6 neighbour replace 2001:db8::2 lladdr 02:00:00:00:77:02 dev ferry-up0");
    eventually("the new MAC is used", || fabric.peer("2001:db8::2", "mac") == "02:00:00:00:77:02");
    host.exec("ip -6 neighbour del 2001:db8::2 dev ferry-up0");
    eventually("asked for again", || {
        fabric.peer("2001:db8::2", "mac") == mac_text(kernel6.mac("eth0"))
    });
    vm.exec("ping -c 1 -W 2 10.0.0.2");
    host.exec("ip -6 route add unreachable 2001:db8::2/128 metric 1");
    eventually("the route is gone", || fabric.peer("2001:db8::2", "state") == "no_route");
    host.exec("ip -6 route del unreachable 2001:db8::2/128");
    eventually("it is back", || fabric.peer("2001:db8::2", "state") == "resolved");
    vm.exec("ping -c 1 -W 2 10.0.0.2");
    ferry.expect_balance();
    fabric.ferry.stop();
}
