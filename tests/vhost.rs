//! VMs on vhost-user ports: two Ferries joined by memif, dpdk-testpmd as the VM on each side, ten million packets, and
//! every counter on the way adds up.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Ferry, Namespace};
use tempfile::TempDir;

const PACKETS: u64 = 10_000_000;

/// dpdk-testpmd on a vhost-user socket, commanded through its prompt.
struct Testpmd {
    child: Child,
}

impl Testpmd {
    fn start(namespace: &Namespace, folder: &TempDir, name: &str, core: usize, mode: &str) -> Self {
        let socket = folder.path().join(format!("{name}.sock"));
        let station = if name == "vm1" { 1 } else { 2 };
        let arguments = format!(
            "--lcores 0@{core},1@{core} --no-huge --no-pci --no-shconf -m 256 --file-prefix={name}-{} \
             --vdev net_virtio_user0,path={},mac=02:00:00:00:aa:0{station} -- -i --forward-mode={mode} \
             --total-num-mbufs=8192 --no-mlockall --eth-peer=0,02:00:00:00:aa:02",
            std::process::id(),
            socket.display()
        );
        let mut command = namespace.command("dpdk-testpmd");
        command.args(arguments.split_whitespace());
        let log = std::fs::File::create(folder.path().join(format!("{name}.log"))).unwrap();
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut testpmd = Self { child };
        testpmd.say("start");
        testpmd
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends it, and returns what it received and sent.
    fn finish(mut self) -> (u64, u64) {
        self.say("show port stats 0");
        self.say("quit");
        let output = BufReader::new(self.child.stdout.take().unwrap());
        let (mut received, mut sent) = (0, 0);
        for line in output.lines() {
            let line = line.unwrap();
            let value = |key: &str| {
                let rest = line.trim().strip_prefix(key)?;
                rest.split_whitespace().next()?.parse().ok()
            };
            received = value("RX-packets:").unwrap_or(received);
            sent = value("TX-packets:").unwrap_or(sent);
        }
        (received, sent)
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let prefix = "/var/run/dpdk";
        for name in ["vm1", "vm2"] {
            let _ = std::fs::remove_dir_all(format!("{prefix}/{name}-{}", std::process::id()));
        }
    }
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
    let available = Command::new("dpdk-testpmd").arg("--version").output().is_ok();
    assert!(available, "dpdk-testpmd is missing: apt-get install dpdk");
    let folder = TempDir::new().unwrap();
    let namespace = Namespace::new("vhost");
    let (one, two) = (ferry(&namespace, &folder, 1), ferry(&namespace, &folder, 2));
    let mut receiver = Testpmd::start(&namespace, &folder, "vm2", 0, "rxonly");
    let mut sender = Testpmd::start(&namespace, &folder, "vm1", 0, "txonly");

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
    let (_, sent) = sender.finish();
    // What lies in its ring counts as sent; it has the core to itself now, and a second was too short once.
    std::thread::sleep(Duration::from_secs(3));
    receiver.say("stop");
    let (received, _) = receiver.finish();

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
