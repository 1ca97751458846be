//! VMs on vhost-user ports: two Ferries joined by memif, dpdk-testpmd as the VM on each side, ten million packets, and
//! every counter on the way adds up.

use std::time::{Duration, Instant};

use crate::support::{self, Ferry, Namespace, Testpmd};
use tempfile::TempDir;

const PACKETS: u64 = 10_000_000;

/// A VM that sends to station 2, or receives.
fn testpmd(namespace: &Namespace, folder: &TempDir, name: &str, mode: &str) -> Testpmd {
    let station = if name == "vm1" { 1 } else { 2 };
    Testpmd::start(
        namespace,
        &folder.path().join(format!("{name}.sock")),
        0,
        &format!("mac=02:00:00:00:aa:0{station}"),
        &format!("--forward-mode={mode} --eth-peer=0,02:00:00:00:aa:02"),
    )
}

fn ferry(namespace: &Namespace, folder: &TempDir, number: u8) -> Ferry {
    let path = folder.path().display();
    let (other, role) = if number == 1 { (2, "server") } else { (1, "client") };
    let config = format!(
        r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: yield}}
underlay:
  ports: [{{name: up0, device: "net_memif0,role={role},socket={path}/memif.sock,socket-abstract=no,mac=02:00:00:00:00:0{number}"}}]
  vtep: {{ipv4: 192.0.2.{number}}}
  neighbours: [{{ip: 192.0.2.{other}, mac: "02:00:00:00:00:0{other}", port: up0}}]
access:
  ports: [{{name: vm, device: "net_vhost0,iface={path}/vm{number}.sock"}}]
networks:
  - {{vni: 1000, name: a, ports: [vm], flood: {{peers: [192.0.2.{other}]}}}}
"#
    );
    Ferry::start(namespace, &config)
}

fn counter(ferry: &Ferry, port: &str, key: &str) -> u64 {
    let ports = ferry.show("ports");
    let port = ports.as_array().unwrap().iter().find(|row| row["name"] == port).unwrap();
    port[key].as_u64().unwrap()
}

#[test]
fn ten_million_packets_are_accounted_for() {
    let folder = TempDir::new().unwrap();
    let namespace = Namespace::new("vhost");
    let (one, two) = (ferry(&namespace, &folder, 1), ferry(&namespace, &folder, 2));
    let mut receiver = testpmd(&namespace, &folder, "vm2", "rxonly");
    let mut sender = testpmd(&namespace, &folder, "vm1", "txonly");

    let end = Instant::now() + Duration::from_secs(150);
    while counter(&one, "vm", "rx_packets") < PACKETS {
        assert!(Instant::now() < end, "only {} packets in time", counter(&one, "vm", "rx_packets"));
        std::thread::sleep(Duration::from_millis(500));
    }
    // The sender stops, then everything on its way arrives, and only then the rings go. A prompt that shares its
    // core with busy pollers may take a while to hear of it.
    sender.say("stop");
    std::thread::sleep(Duration::from_secs(2));
    let settled = || {
        let before = counter(&two, "vm", "tx_packets") + counter(&one, "vm", "rx_packets");
        std::thread::sleep(Duration::from_secs(1));
        before == counter(&two, "vm", "tx_packets") + counter(&one, "vm", "rx_packets")
    };
    support::eventually("nothing moves any more", settled);
    let (first, second) = (one.expect_balance(), two.expect_balance());
    let sent = sender.finish()["tx_good_packets"];
    // What lies in its ring counts as sent; it has the core to itself now, and a second was too short once.
    std::thread::sleep(Duration::from_secs(3));
    receiver.say("stop");
    let received = receiver.finish()["rx_good_packets"];

    eprintln!(
        "sent {sent}, received {received}; {first}; {second}; {:?} {:?}",
        one.drops(),
        two.drops()
    );
    assert_eq!(sent, counter(&one, "vm", "rx_packets"), "from the VM into the first Ferry");
    assert_eq!(counter(&one, "up0", "tx_packets"), counter(&two, "up0", "rx_packets"), "across");
    assert_eq!(counter(&two, "vm", "tx_packets"), received, "from the second Ferry into the VM");
    // How much arrives in spite of full rings is the scheduler's choice, with five pollers on two cores.
    assert!(received > PACKETS / 100, "some of it arrives: {received}");
    one.stop();
    two.stop();
}
