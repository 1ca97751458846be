//! A port whose device is not promiscuous is told which MACs are behind the others. The device is virtio-user, which has a unicast filter only
//! if its other side has, and DPDK's vhost has none: it takes all frames, and refuses whatever it is told.

use crate::support::frames::{BROADCAST, ethernet, mac};
use crate::support::{Ferry, Namespace, RawPort, eventually};
use tempfile::TempDir;

/// A Ferry with such a port, and another Ferry that is the switch behind it.
struct Pair {
    ferry: Ferry,
    switch: Ferry,
    vm1: RawPort,
    station: RawPort,
    _namespaces: [Namespace; 2],
    _folder: TempDir,
}

impl Pair {
    fn new(vf: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("vf.sock").display().to_string();
        let [host, wires] = ["host", "wires"].map(Namespace::new);
        host.veth("eth1", &wires, "one");
        host.veth("eth2", &wires, "two");
        let config = |number: u8, ports: &str, network: &str| {
            format!(
                r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_tap{number},iface=up{number}"}}]
  vtep: {{ipv4: 192.0.2.{number}}}
  neighbours: [{{ip: 192.0.2.9, mac: "02:00:00:00:11:09", port: up0}}]
access:
  ports: {ports}
networks: [{network}]
"#
            )
        };
        let ports = format!(
            r#"[{{name: vf, device: "net_vhost0,iface={socket}"}}, {{name: wire, device: "net_af_packet0,iface=eth2"}}]"#
        );
        let switch =
            Ferry::start(&host, &config(1, &ports, "{vni: 1, name: a, ports: [vf, wire]}"));
        let ports = format!(
            r#"[{{name: vf, device: "net_virtio_user0,path={socket},cq=1"{vf}}}, {{name: vm1, device: "net_af_packet0,iface=eth1"}}]"#
        );
        let network = r#"{vni: 1, name: a, ports: [vf, vm1], ageing: 3s, macs: [{mac: "02:00:00:00:aa:63", peer: 192.0.2.9}]}"#;
        let ferry = Ferry::start(&host, &config(2, &ports, network));
        let [vm1, station] = ["one", "two"].map(|name| RawPort::open(&wires, name));
        Self { ferry, switch, vm1, station, _namespaces: [host, wires], _folder: folder }
    }

    /// MACs that the device was told, and those that it should have been.
    fn filter(&self) -> Option<(u64, u64)> {
        let ports = self.ferry.show("ports");
        let find = |name: &str| ports.as_array().unwrap().iter().find(|row| row["name"] == name);
        assert!(find("vm1").unwrap()["filter"].is_null(), "that one takes all");
        let filter = &find("vf").unwrap()["filter"];
        Some((filter["macs"].as_u64()?, filter["refused"].as_u64()?))
    }

    fn expect_filter(&self, macs: u64, refused: u64) {
        eventually(&format!("{macs} MACs, {refused} refused"), || {
            self.filter() == Some((macs, refused))
        });
    }

    fn finish(self) {
        self.ferry.expect_balance();
        self.ferry.stop();
        self.switch.stop();
    }
}

#[test]
fn macs_behind_other_ports_are_offered_as_they_are_learned_and_age_out_and_what_is_refused_is_told_once()
 {
    let pair = Pair::new(", promiscuous: false");
    pair.expect_filter(0, 1);
    let question = ethernet(BROADCAST, mac(1), 60);
    pair.vm1.send(&question);
    pair.station.expect_frame(&question);
    pair.expect_filter(0, 2);
    // Who is behind that port itself needs no mention.
    let answer = ethernet(mac(1), mac(2), 60);
    pair.station.send(&answer);
    pair.vm1.expect_frame(&answer);
    pair.ferry.expect_place(1, mac(2), "vf");
    assert_eq!(pair.filter(), Some((0, 2)));
    pair.expect_filter(0, 1);
    let warnings = pair.ferry.log().matches("its device is not promiscuous").count();
    assert_eq!(warnings, 1);
    pair.finish();
}

#[test]
fn a_device_that_takes_all_is_told_nothing() {
    let pair = Pair::new("");
    let frame = ethernet(BROADCAST, mac(1), 60);
    pair.vm1.send(&frame);
    pair.station.expect_frame(&frame);
    pair.ferry.expect_place(1, mac(1), "vm1");
    assert_eq!(pair.filter(), None);
    pair.finish();
}
