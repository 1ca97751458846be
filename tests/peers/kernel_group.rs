//! Ferry and two of the Linux kernel's VTEPs by a multicast group, on a switch that snoops.

use std::time::Duration;

use crate::support::{Ferry, Namespace, RawPort, eventually};

/// Stations 10.V.0.1 behind Ferry, 10.V.0.2 and 10.V.0.3 on kernel VTEPs, of networks 1000 (V is 1) and
/// 2000 (2): both by one group. No VTEP knows another's address.
struct Fabric {
    ferry: Ferry,
    /// What leaves Ferry's underlay port.
    wire: RawPort,
    /// A port of the switch where nobody joined.
    outsider: RawPort,
    vm: Namespace,
    kernels: [Namespace; 2],
    switch: Namespace,
    _host: Namespace,
    _outside: Namespace,
}

const GROUP: [u8; 4] = [239, 1, 1, 1];

impl Fabric {
    /// With a querier that speaks this version of IGMP, or with MLD.
    fn new(querier: &str, v6: bool) -> Self {
        let switch = Namespace::new("switch");
        let bridge = format!(
            "ip link add br0 type bridge mcast_snooping 1 {querier} \
             mcast_query_interval 200 mcast_query_response_interval 100 mcast_startup_query_interval 100 \
             mcast_membership_interval 500 mcast_last_member_interval 50"
        );
        let enable = |namespace: &Namespace, interface: &str| {
            namespace.exec(&format!("sysctl -qw net.ipv6.conf.{interface}.disable_ipv6=0"));
        };
        switch.exec(&bridge);
        // After the intervals: it floods for as long as a response may take, as that is when it begins to ask.
        switch.exec("ip link set br0 type bridge mcast_querier 1");
        if v6 {
            // MLD queries have a link-local source.
            enable(&switch, "br0");
        }
        switch.exec("ip link set br0 up");
        let join = |namespace: &Namespace, interface: &str, port: &str| {
            namespace.veth(interface, &switch, port);
            switch.exec(&format!("ip link set {port} master br0"));
        };
        let (prefix, group) =
            if v6 { ("2001:db8::", "ff0e::1:1") } else { ("192.0.2.", "239.1.1.1") };
        let address = |number: u8| format!("{prefix}{number}");
        let kernels = [2, 3].map(|number: u8| {
            let kernel = Namespace::new(&format!("k{number}"));
            join(&kernel, "eth0", &format!("p{number}"));
            let local = address(number);
            if v6 {
                enable(&kernel, "eth0");
                kernel.exec(&format!("ip address add {local}/64 dev eth0 nodad"));
            } else {
                kernel.exec(&format!("ip address add {local}/24 dev eth0"));
            }
            for network in [1, 2] {
                kernel.exec(&format!(
                    "ip link add vx{network} type vxlan id {network}000 dstport 4789 local {local} group {group} dev eth0"
                ));
                kernel.exec(&format!("ip address add 10.{network}.0.{number}/24 dev vx{network}"));
                kernel.exec(&format!("ip link set vx{network} mtu 1400 up"));
            }
            kernel
        });
        let (host, vm, outside) =
            (Namespace::new("host"), Namespace::new("vm"), Namespace::new("out"));
        join(&host, "eth1", "p1");
        join(&outside, "eth0", "p4");
        for network in [1, 2] {
            host.veth(&format!("acc{network}"), &vm, &format!("v{network}"));
            vm.exec(&format!("ip address add 10.{network}.0.1/24 dev v{network}"));
            vm.exec(&format!("ip link set v{network} mtu 1400 up"));
        }
        if v6 {
            host.exec(
                "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
            );
            for raw in ["eth1", "acc1", "acc2"] {
                host.exec(&format!("sysctl -qw net.ipv6.conf.{raw}.disable_ipv6=1"));
            }
        }
        let wire = RawPort::open(&switch, "p1");
        let outsider = RawPort::open(&outside, "eth0");
        let (own, length, family) = match v6 {
            true => (address(1), 64, "ipv6"),
            false => (address(1), 24, "ipv4"),
        };
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - {{name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: ["{own}/{length}"]}}
  vtep: {{{family}: "{own}", udp6_zero_checksum: accept}}
access:
  ports:
    - {{name: vm1, device: "net_af_packet1,iface=acc1"}}
    - {{name: vm2, device: "net_af_packet2,iface=acc2"}}
networks:
  - {{vni: 1000, name: a, ports: [vm1], flood: {{group: "{group}"}}}}
  - {{vni: 2000, name: b, ports: [vm2], flood: {{group: "{group}"}}}}
"#
        );
        let ferry = Ferry::start(&host, &config);
        Self { ferry, wire, outsider, vm, kernels, switch, _host: host, _outside: outside }
    }

    fn is_member(&self, group: &str) -> bool {
        let database = self.switch.exec("bridge mdb show");
        database.lines().any(|line| line.contains(&format!("port p1 grp {group} ")))
    }

    fn everybody_reaches_everybody(&self) {
        for network in [1, 2] {
            for (from, to) in [(0, 2), (0, 3), (2, 1), (3, 1), (2, 3)] {
                let station = if from == 0 { &self.vm } else { &self.kernels[from - 2] };
                station.exec(&format!("ping -c 2 -i 0.1 -W 3 10.{network}.0.{to}"));
            }
        }
    }

    fn learned(&self) -> Vec<(String, String)> {
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        let peers = self.ferry.show("peers");
        let learned = peers.as_array().unwrap().iter().filter(|peer| peer["learned"] == true);
        learned.map(|peer| (text(peer, "address"), text(peer, "state"))).collect()
    }
}

/// IGMPv3 reports to 224.0.0.22: time to live 1, internetwork control, router alert, one record.
fn is_report(record: u8) -> impl Fn(&[u8]) -> bool {
    move |frame| {
        frame.len() >= 54
            && frame[12..16] == [8, 0, 0x46, 0xc0]
            && frame[22..24] == [1, 2]
            && frame[30..38] == [224, 0, 0, 22, 0x94, 4, 0, 0]
            && frame[38] == 0x22
            && frame[44..47] == [0, 1, record]
            && frame[50..54] == GROUP
    }
}

/// An IGMPv2 message of a type to an address.
fn is_version_2(kind: u8, to: [u8; 4]) -> impl Fn(&[u8]) -> bool {
    move |frame| frame.len() >= 46 && frame[23] == 2 && frame[30..34] == to && frame[38] == kind
}

#[test]
fn b12_i1_i2_i5_kernels_and_ferry_by_one_group() {
    let fabric = Fabric::new("mcast_igmp_version 3", false);
    fabric.wire.expect("the report that Ferry joins", is_report(4));
    fabric.wire.expect("the answer to a general query", is_report(2));
    eventually("the switch has Ferry's membership", || fabric.is_member("239.1.1.1"));
    // Until then a switch that hears no querier floods.
    std::thread::sleep(Duration::from_secs(2));
    fabric.outsider.drain();
    fabric.everybody_reaches_everybody();
    let peer = |last| (format!("192.0.2.{last}"), "resolved".to_owned());
    assert_eq!(fabric.learned(), [peer(2), peer(3)]);
    let heard = fabric.outsider.drain();
    let tunnel =
        |frame: &&Vec<u8>| frame.len() >= 50 && frame[12..14] == [8, 0] && frame[30..34] == GROUP;
    assert_eq!(heard.iter().filter(tunnel).count(), 0, "who has not joined hears nothing");
    fabric.ferry.expect_balance();

    // At the end Ferry leaves.
    fabric.wire.drain();
    let Fabric { ferry, wire, switch, .. } = fabric;
    ferry.stop();
    wire.expect("the report that Ferry leaves", is_report(3));
    eventually("the switch forgets it", || {
        !switch.exec("bridge mdb show").contains("port p1 grp 239.1.1.1 ")
    });
}

#[test]
fn i4_an_igmp_version_2_querier_gets_version_2_reports() {
    let fabric = Fabric::new("mcast_igmp_version 2", false);
    fabric.wire.expect("a version 2 report", is_version_2(0x16, GROUP));
    eventually("the switch has Ferry's membership", || fabric.is_member("239.1.1.1"));
    fabric.everybody_reaches_everybody();
    fabric.wire.drain();
    let Fabric { ferry, wire, .. } = fabric;
    ferry.stop();
    wire.expect("a version 2 leave", is_version_2(0x17, [224, 0, 0, 2]));
}

#[test]
fn i6_a_link_that_is_back_is_told_of_the_groups() {
    // af_packet's link is always up, a tap's is not.
    let host = Namespace::new("host");
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_tap7,iface=wire", twin: ferry-up0, addresses: [192.0.2.1/24]}]
  vtep: {ipv4: 192.0.2.1}
networks:
  - {vni: 1000, name: a, flood: {group: 239.1.1.1}}
"#;
    let ferry = Ferry::start(&host, config);
    let wire = RawPort::open(&host, "wire");
    let link = |state: &str| {
        host.exec(&format!(
            "ip link set wire carrier {}",
            if state == "up" { "on" } else { "off" }
        ));
        eventually(state, || ferry.show("ports")[0]["link"] == state);
    };
    link("down");
    // What the kernel said at the start it says twice.
    std::thread::sleep(Duration::from_millis(2500));
    wire.drain();
    link("up");
    wire.expect("the report that Ferry joins, again", is_report(4));
    ferry.stop();
}

#[test]
fn i1_over_ipv6() {
    let fabric = Fabric::new("mcast_mld_version 2", true);
    // MLDv2: hop limit 1, router alert, to ff02::16.
    let report = |frame: &[u8]| {
        frame.len() >= 82
            && frame[12..14] == [0x86, 0xdd]
            && frame[20..22] == [0, 1]
            && frame[53] == 0x16
            && frame[54..62] == [58, 0, 5, 2, 0, 0, 1, 0]
            && frame[62] == 143
            && frame
                .windows(16)
                .any(|part| part == "ff0e::1:1".parse::<std::net::Ipv6Addr>().unwrap().octets())
    };
    fabric.wire.expect("the report that Ferry joins", report);
    eventually("the switch has Ferry's membership", || fabric.is_member("ff0e::1:1"));
    fabric.everybody_reaches_everybody();
    let peer = |last| (format!("2001:db8::{last}"), "resolved".to_owned());
    assert_eq!(fabric.learned(), [peer(2), peer(3)]);
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}
