//! What happens, as it is told.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::support::frames::{PEER1, PEER2, ethernet, mac, vxlan};
use crate::support::{self, Ferry, Lab, Namespace, Testpmd};

#[test]
fn l19_one_event_for_each_new_mac_and_move_and_none_for_a_refresh() {
    let lab = Lab::with(
        "\n  - {vni: 1000, name: a, ports: [vm1, vm2, {port: trunk0, vlan: 10}], ageing: 3s, flood: {peers: [192.0.2.2, 192.0.2.3]}}\n",
    );
    let mut next = lab.ferry.events();
    let from_vm1 = ethernet(mac(9), mac(1), 60);
    lab.vm1.send(&from_vm1);
    let told = |event: &str| json!({"event": event, "vni": 1000, "network": "a", "mac": "02:00:00:00:aa:01"});
    let with = |event: &str, more: serde_json::Value| {
        let mut told = told(event);
        told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told
    };
    assert_eq!(next(), with("mac_learned", json!({"port": "vm1"})));
    // Seen again in later ticks: refreshed, and nothing new.
    for _ in 0..8 {
        lab.vm1.send(&from_vm1);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    lab.trunk.send(&support::frames::tagged(&from_vm1, 10));
    let trunk = json!({"port": "trunk0", "vlan": 10});
    assert_eq!(
        next(),
        with("mac_moved", json!({"port": "trunk0", "vlan": 10, "from": {"port": "vm1"}}))
    );
    for (peer, address, from) in
        [(PEER1, "192.0.2.2", trunk), (PEER2, "192.0.2.3", json!({"peer": "192.0.2.2"}))]
    {
        lab.underlay.send(&vxlan(lab.mac, peer, 1000, &ethernet(mac(9), mac(1), 60)));
        assert_eq!(next(), with("mac_moved", json!({"peer": address, "from": from})));
    }
    assert_eq!(next(), with("mac_aged", json!({"peer": "192.0.2.3"})));
    lab.vm1.send(&from_vm1);
    assert_eq!(next(), with("mac_learned", json!({"port": "vm1"})));
    lab.finish();
}

#[test]
fn ferry_events_prints_them_until_ferry_ends() {
    let lab = Lab::new();
    let mut child = lab.ferry.command("events").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::thread::scope(|scope| {
        let output = child.stdout.take().unwrap();
        let reader = scope.spawn(|| BufReader::new(output).read_line(&mut line).unwrap());
        // It listens some time after its start.
        for number in (1..=250).take_while(|_| !reader.is_finished()) {
            lab.vm1.send(&ethernet(mac(255), mac(number), 60));
            std::thread::sleep(std::time::Duration::from_millis(40));
        }
        reader.join().unwrap();
    });
    assert!(
        line.trim_end().ends_with(": learned at vm1") && line.contains("network 1000 a, 02:"),
        "{line}"
    );
    lab.finish();
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_is_watched_ends_when_interrupted() {
    let lab = Lab::new();
    let mut watching = lab.ferry.command("show macs --json --watch=1");
    let mut child = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "[]");
    lab.vm1.send(&ethernet(mac(255), mac(1), 60));
    assert!(lines.any(|line| line.contains("02:00:00:00:aa:01")));
    support::namespace::run("kill", &["-s", "INT", &child.id().to_string()]);
    assert!(child.wait().unwrap().success());
    lab.finish();
}

#[test]
fn peers_ports_and_links_come_and_go() {
    let host = Namespace::new("host");
    let config = |ports: &str| {
        format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_tap0,iface=raw0", twin: ferry-up0, addresses: [192.0.2.1/24]}}]
  vtep: {{ipv4: 192.0.2.1}}
access: {{ports: [{ports}]}}
networks: [{{vni: 101, name: a, ports: [vm1], flood: {{peers: [192.0.2.2]}}}}]
"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("vm1.sock");
    let vm1 = format!("{{name: vm1, device: \"net_vhost0,iface={}\"}}", socket.display());
    let ferry = Ferry::start(&host, &config(&vm1));
    let mut next = ferry.events();
    let hop = "192.0.2.2 dev ferry-up0";
    host.exec(&format!("ip neigh replace {hop} lladdr 02:00:00:00:11:01 nud permanent"));
    let up = json!({"event": "peer_up", "peer": "192.0.2.2", "port": "up0", "next_hop": "192.0.2.2", "mac": "02:00:00:00:11:01"});
    assert_eq!(next(), up);
    host.exec(&format!("ip neigh del {hop}"));
    assert_eq!(next(), json!({"event": "peer_down", "peer": "192.0.2.2", "routed": true}));

    let guest = Testpmd::start(&host, &socket, 0, "mac=02:00:00:00:aa:01", "");
    assert_eq!(next(), json!({"event": "link_up", "port": "vm1"}));
    drop(guest);
    assert_eq!(next(), json!({"event": "link_down", "port": "vm1"}));

    let file = |ports: &str| {
        let text = std::fs::read_to_string(ferry.file()).unwrap();
        text.replace(&vm1, ports)
    };
    let vm2 = r#"{name: vm2, device: "net_tap2,iface=vm2"}"#;
    ferry.expect_change("apply -", &file(&format!("{vm1}, {vm2}")));
    assert_eq!(next(), json!({"event": "port_added", "port": "vm2"}));
    ferry.expect_change("apply -", &file(&vm1));
    assert_eq!(next(), json!({"event": "port_removed", "port": "vm2"}));
    ferry.stop();
}
