//! NVGRE and GRE against others' code: Open vSwitch's userspace datapath as a peer, and tshark as dissector.

use std::process::Command;

use crate::support::frames::{BROADCAST, Gre, PEER1, ethernet, gre_from, mac};
use crate::support::{Ferry, Lab, Namespace, Ovs, eventually};
use tempfile::TempDir;

/// Ferry at 192.0.2.1 with station 10.0.0.1; Open vSwitch at 192.0.2.2 with station 10.0.0.2.
struct Pair {
    ferry: Ferry,
    vm: Namespace,
    station: Namespace,
    ovs: Ovs,
    _host: Namespace,
}

impl Pair {
    /// `network` is what Ferry has for network 0x1234 between its ports and its end; `port` the options of the
    /// switch's GRE port.
    fn new(network: &str, port: &str) -> Self {
        let (host, vm) = (Namespace::new("host"), Namespace::new("vm"));
        let (switch, station) = (Namespace::new("ovs"), Namespace::new("station"));
        host.veth("eth1", &switch, "eth0");
        host.veth("eth2", &vm, "eth0");
        switch.veth("eth3", &station, "eth0");
        for (namespace, address) in [(&vm, "10.0.0.1/24"), (&station, "10.0.0.2/24")] {
            namespace.exec(&format!("ip address add {address} dev eth0"));
            namespace.exec("ip link set eth0 mtu 1400");
        }
        let ovs = Ovs::new(switch);
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        ovs.vsctl("add-port br0 eth0");
        ovs.namespace.exec("ip address add 192.0.2.2/24 dev br0");
        ovs.namespace.exec("ip link set br0 up");
        ovs.vsctl("add-br br1 -- set bridge br1 datapath_type=netdev");
        ovs.vsctl("add-port br1 eth3");
        ovs.vsctl(&format!(
            "add-port br1 gre0 -- set interface gre0 type=gre options:remote_ip=192.0.2.1 {port}"
        ));
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - {{name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}}
  vtep: {{ipv4: 192.0.2.1}}
access:
  ports: [{{name: vm1, device: "net_af_packet1,iface=eth2"}}]
networks:
  - {{vni: 0x1234, name: a, ports: [vm1], {network}}}
"#
        );
        let ferry = Ferry::start(&host, &config);
        Self { ferry, vm, station, ovs, _host: host }
    }

    fn expect_traffic(self) {
        eventually("the next hop is known", || self.ferry.show("peers")[0]["state"] == "resolved");
        eventually("the first ping", || {
            self.vm.try_exec("ping -c 1 -W 1 10.0.0.2").status.success()
        });
        for size in [56, 57, 576, 1372] {
            self.vm.exec(&format!("ping -c 3 -i 0.05 -W 2 -s {size} 10.0.0.2"));
            self.station.exec(&format!("ping -c 3 -i 0.05 -W 2 -s {size} 10.0.0.1"));
        }
        for reason in ["gre_flags", "gre_checksum", "unknown_vni", "unknown_peer"] {
            assert_eq!(self.ferry.dropped("up0", reason), 0, "{reason}");
        }
        let flows = self.ovs.appctl("dpctl/dump-flows");
        assert!(flows.contains("tnl_pop"), "Open vSwitch took the tunnel apart: {flows}");
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}

#[test]
fn nvgre_with_a_gre_port_whose_key_is_the_vsid() {
    let peer = "encap: nvgre, flood: {peers: [{address: 192.0.2.2, flow_id: false}]}";
    Pair::new(peer, "options:key=1192960").expect_traffic();
}

#[test]
fn gre_with_a_key() {
    let peer = "flood: {peers: [{address: 192.0.2.2, encap: gre}]}";
    Pair::new(peer, "options:key=4660").expect_traffic();
}

#[test]
fn gre_with_another_key_and_checksums() {
    let peer = "encap: gre, flood: {peers: [{address: 192.0.2.2, id: 4000000000, checksum: on}]}";
    Pair::new(peer, "options:key=4000000000 options:csum=true").expect_traffic();
}

#[test]
fn gre_without_a_key_and_with_sequence_numbers_both_ways() {
    let peer = "flood: {peers: [{address: 192.0.2.2, encap: gre, key: false, sequence: true}]}";
    Pair::new(peer, "options:seq=true").expect_traffic();
}

#[test]
fn n8_tshark_reads_what_ferry_sends_as_nvgre() {
    let lab = Lab::with(
        "\n  - {vni: 0x1234, name: a, encap: nvgre, ports: [vm1], flood: {peers: [192.0.2.2]}}\n",
    );
    lab.vm1.send(&ethernet(BROADCAST, mac(1), 100));
    let sent = lab.underlay.expect("NVGRE", |packet| packet.len() > 34 && packet[23] == 47);
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("sent.pcap");
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    file.extend([0; 8]);
    file.extend(65_535u32.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend([0; 8]);
    file.extend([(sent.len() as u32).to_le_bytes(), (sent.len() as u32).to_le_bytes()].concat());
    file.extend(&sent);
    std::fs::write(&capture, file).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|", "-r"]);
    tshark.arg(&capture);
    for field in ["frame.protocols", "gre.flags_and_version", "gre.proto", "gre.key"] {
        tshark.args(["-e", field]);
    }
    tshark.args(["-e", "ip.checksum.status", "-e", "eth.src", "-e", "_ws.malformed"]);
    let output = tshark.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<&str> = text.trim_end_matches('\n').split('|').collect();
    assert!(fields[0].starts_with("eth:ethertype:ip:gre:eth"), "{text}");
    assert_eq!((fields[1], fields[2]), ("0x2000", "0x6558"), "{text}");
    assert!(fields[3].starts_with("0x001234"), "{text}");
    assert_eq!(fields[4], "1", "IPv4 checksum: {text}");
    assert!(fields[5].ends_with("02:00:00:00:aa:01"), "{text}");
    assert_eq!(fields[6], "", "{text}");
    // And back, so that the packet that was looked at is one that Ferry takes, too.
    let inner = ethernet(BROADCAST, mac(9), 60);
    let options = Gre { key: Some(0x1234 << 8), ..Gre::default() };
    lab.underlay.send(&gre_from(lab.mac, PEER1, options, &inner));
    lab.vm1.expect_frame(&inner);
    lab.finish();
}
