//! The bench top of the byte-exact tests: one Ferry whose every port ends in a raw port.

use super::frames::{PEER1, PEER1_MAC, PEER2, PEER2_MAC};
use super::{Ferry, Namespace, RawPort};

/// One Ferry, its underlay port `up0`, and the access ports `vm1`, `vm2` and `trunk0`, all on raw wires. Next hops
/// are static, so that no ARP is needed. VTEP 192.0.2.1; peers 192.0.2.2 and 192.0.2.3.
pub struct Lab {
    pub ferry: Ferry,
    pub underlay: RawPort,
    pub vm1: RawPort,
    pub vm2: RawPort,
    pub trunk: RawPort,
    /// Ferry's MAC on the underlay.
    pub mac: [u8; 6],
    pub host: Namespace,
    pub wires: Namespace,
}

/// Network 1000 with both VMs and VLAN 10, network 2000 with VLAN 20.
pub const NETWORKS: &str = r#"
  - {vni: 1000, name: a, ports: [vm1, vm2, {port: trunk0, vlan: 10}], flood: {peers: [192.0.2.2, 192.0.2.3]}}
  - {vni: 2000, name: b, ports: [{port: trunk0, vlan: 20}], flood: {peers: [192.0.2.2]}}
"#;

impl Lab {
    pub fn new() -> Self {
        Self::with(NETWORKS)
    }

    pub fn with(networks: &str) -> Self {
        Self::with_neighbours(networks, "")
    }

    /// With further entries of `underlay.neighbours`, a line each.
    pub fn with_neighbours(networks: &str, neighbours: &str) -> Self {
        Self::build("[1]", "ipv4: 192.0.2.1", networks, neighbours)
    }

    /// With other keys of `underlay.vtep`.
    pub fn with_vtep(vtep: &str, networks: &str, neighbours: &str) -> Self {
        Self::build("[1]", vtep, networks, neighbours)
    }

    /// With workers on these cores.
    pub fn with_workers(workers: &str, networks: &str, neighbours: &str) -> Self {
        Self::build(workers, "ipv4: 192.0.2.1", networks, neighbours)
    }

    /// With further keys of the access port `vm1`.
    pub fn with_port(vm1: &str, networks: &str) -> Self {
        Self::build_with_port("[1]", "ipv4: 192.0.2.1", networks, "", vm1)
    }

    /// With an underlay port that hands out IP fragments as they are: net_af_packet has the kernel reassemble them.
    pub fn with_fragments(vtep: &str, networks: &str, neighbours: &str) -> Self {
        Self::build_on("net_pcap0,phy_mac=1", "[1]", vtep, networks, neighbours, "")
    }

    fn build(workers: &str, vtep: &str, networks: &str, neighbours: &str) -> Self {
        Self::build_with_port(workers, vtep, networks, neighbours, "")
    }

    fn build_with_port(
        workers: &str,
        vtep: &str,
        networks: &str,
        neighbours: &str,
        vm1: &str,
    ) -> Self {
        Self::build_on("net_af_packet0", workers, vtep, networks, neighbours, vm1)
    }

    fn build_on(
        driver: &str,
        workers: &str,
        vtep: &str,
        networks: &str,
        neighbours: &str,
        vm1: &str,
    ) -> Self {
        let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
        let cables = [("eth1", "under"), ("eth2", "one"), ("eth3", "two"), ("eth4", "trunk")];
        for (inside, outside) in cables {
            host.veth(inside, &wires, outside);
        }
        let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let address = |ip: [u8; 4]| std::net::Ipv4Addr::from(ip);
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: {workers}, idle: sleep}}
underlay:
  ports: [{{name: up0, device: "{driver},iface=eth1"}}]
  vtep: {{{vtep}}}
  neighbours:
    - {{ip: {}, mac: "{}", port: up0}}
    - {{ip: {}, mac: "{}", port: up0}}
{neighbours}
access:
  ports:
    - {{name: vm1, device: "net_af_packet1,iface=eth2", {vm1}}}
    - {{name: vm2, device: "net_af_packet2,iface=eth3"}}
    - {{name: trunk0, device: "net_af_packet3,iface=eth4"}}
networks:{networks}"#,
            address(PEER1),
            text(PEER1_MAC),
            address(PEER2),
            text(PEER2_MAC),
        );
        let ferry = Ferry::start(&host, &config);
        let open = |interface| RawPort::open(&wires, interface);
        Self {
            underlay: open("under"),
            vm1: open("one"),
            vm2: open("two"),
            trunk: open("trunk"),
            mac: host.mac("eth1"),
            ferry,
            host,
            wires,
        }
    }

    /// All ports but these are silent.
    pub fn expect_silence(&self, but: &[&str]) {
        for port in [&self.underlay, &self.vm1, &self.vm2, &self.trunk] {
            if !but.contains(&port.name.as_str()) {
                port.expect_silence();
            }
        }
    }

    /// Packets from the underlay that come together, as one burst.
    pub fn burst(&self, packets: impl IntoIterator<Item = Vec<u8>>) {
        self.ferry.signal("STOP");
        packets.into_iter().for_each(|packet| self.underlay.send(&packet));
        self.ferry.signal("CONT");
    }

    /// The counters add up, and every mbuf comes home.
    pub fn finish(self) {
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}
