//! A Linux guest in QEMU, whose virtio-net device is Ferry's, and a kernel VTEP on the other side of the tunnel.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Ferry, Namespace, Qemu, eventually};
use tempfile::TempDir;

/// Ferry with the guest's port on one machine, 10.0.0.1 behind it; on the other a kernel VTEP that is 10.0.0.2 itself.
struct Machines {
    config: String,
    kernel: Namespace,
    host: Namespace,
    folder: TempDir,
}

impl Machines {
    /// `device` are more devargs of the guest's port, `keys` more of its keys.
    fn new(device: &str, keys: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (host, kernel) = (Namespace::new("host"), Namespace::new("kernel"));
        host.veth("eth1", &kernel, "eth0");
        let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let (here, there) = (text(host.mac("eth1")), text(kernel.mac("eth0")));
        kernel.exec("ip address add 192.0.2.2/24 dev eth0");
        kernel.exec(&format!("ip neighbour add 192.0.2.1 lladdr {here} dev eth0"));
        kernel.exec(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.2 remote 192.0.2.1",
        );
        kernel.exec("ip address add 10.0.0.2/24 dev vx0");
        kernel.exec("ip link set vx0 up");
        let socket = folder.path().join("vm1.sock");
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_af_packet0,iface=eth1"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours: [{{ip: 192.0.2.2, mac: "{there}", port: up0}}]
access:
  ports: [{{name: vm1, device: "net_vhost0,iface={}{device}"{keys}}}]
networks:
  - {{vni: 1000, name: a, ports: [vm1], flood: {{peers: [192.0.2.2]}}}}
"#,
            socket.display()
        );
        Self { config, kernel, host, folder }
    }

    fn ferry(&self) -> Ferry {
        Ferry::start(&self.host, &self.config)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("vm1.sock")
    }

    /// Boots the guest. `server`: its side owns the socket.
    fn guest(&self, server: bool) -> Qemu {
        let mut guest = Qemu::boot(&self.socket(), server, "02:00:00:00:aa:01");
        guest.run("ip address add 10.0.0.1/24 dev eth0");
        guest.run("ip link set eth0 mtu 1450");
        guest
    }
}

#[test]
fn it_pings_across_the_tunnel_and_outlives_ferry() {
    let machines = Machines::new(",client=1", "");
    let ferry = machines.ferry();
    let mut guest = machines.guest(true);
    guest.run("ping -c 3 10.0.0.2");
    machines.kernel.exec("ping -c 3 -i 0.2 -W 3 -s 1422 10.0.0.1");
    ferry.expect_place(1000, [2, 0, 0, 0, 0xaa, 1], "vm1");
    ferry.expect_balance();
    ferry.stop();
    let ferry = machines.ferry();
    guest.run("until ping -c 1 -W 1 10.0.0.2; do :; done");
    machines.kernel.exec("ping -c 3 -i 0.2 -W 3 10.0.0.1");
    ferry.stop();
}

/// Times that the file is sent each way, so that what it takes the guest can be told from noise.
const DOWNLOADS: usize = 8;

/// What it took a guest to send or receive a file so often.
#[derive(Debug)]
struct Effort {
    frames: u64,
    bytes: u64,
    time: Duration,
}

/// Segments with a wrong checksum, as the kernel counts them in `/proc/net/snmp`.
fn checksum_errors(snmp: &str) -> &str {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "InCsumErrors").unwrap();
    values.split(' ').nth(place).unwrap()
}

impl Machines {
    /// A file of the guest goes across the tunnel and back by TCP, each time intact. Returns what each way took the guest.
    fn exchange(&self, ferry: &Ferry, guest: &mut Qemu) -> [Effort; 2] {
        let file = self.folder.path().join("file");
        let file = file.display();
        guest.run("head -c 8000000 /dev/urandom > /tmp/file");
        // A server that has the kernel send from the file.
        guest.run("httpd -h /tmp");
        let begin = guest.time_on_cores();
        for _ in 0..DOWNLOADS {
            self.kernel.exec(&format!("busybox wget -q -O {file} http://10.0.0.1/file"));
        }
        let time = guest.time_on_cores() - begin;
        let count = |way: &str| {
            let ports = ferry.show("ports");
            let port = ports.as_array().unwrap().iter().find(|row| row["name"] == "vm1").unwrap();
            [format!("{way}_packets"), format!("{way}_bytes")]
                .map(|key| port[key].as_u64().unwrap())
        };
        let [frames, bytes] = count("rx");
        let sent = Effort { frames, bytes, time };
        let sum = self.kernel.exec(&format!("md5sum {file}"));
        guest.run(&format!("md5sum /tmp/file | grep {}", sum.split(' ').next().unwrap()));

        let folder = self.folder.path().display();
        let _server = self.kernel.spawn(&format!("busybox httpd -f -p 8080 -h {folder}"));
        eventually("the kernel listens", || self.kernel.exec("ss -Hltn").contains(":8080"));
        let ([frames, bytes], begin) = (count("tx"), guest.time_on_cores());
        for _ in 0..DOWNLOADS {
            guest.run("wget -q -O /tmp/back http://10.0.0.2:8080/file");
        }
        let time = guest.time_on_cores() - begin;
        let [frames, bytes] = [count("tx")[0] - frames, count("tx")[1] - bytes];
        let received = Effort { frames, bytes, time };
        guest.run("cmp /tmp/file /tmp/back");
        assert_eq!(checksum_errors(&self.kernel.exec("cat /proc/net/snmp")), "0");
        assert_eq!(checksum_errors(&guest.run("cat /proc/net/snmp")), "0");
        [sent, received]
    }
}

#[test]
fn tcp_arrives_intact_whatever_the_guest_leaves_to_its_device() {
    let [[tso, gro], [none, apart]] = ["on", "off"].map(|offloads| {
        let machines = Machines::new("", &format!(", offloads: {offloads}"));
        let ferry = machines.ferry();
        let mut guest = machines.guest(false);
        let efforts = machines.exchange(&ferry, &mut guest);
        ferry.expect_balance();
        drop(guest);
        ferry.stop();
        efforts
    });
    // The guest's MTU and its Ethernet header.
    assert!(none.bytes / none.frames <= 1464, "{none:?}");
    assert!(tso.frames * 4 < none.frames, "{tso:?}, without TSO {none:?}");
    // What the guest gains by it.
    assert!(tso.time * 5 < none.time * 4, "{tso:?}, without TSO {none:?}");
    // And by getting segments as whole packets.
    assert!(apart.bytes / apart.frames <= 1464, "{apart:?}");
    assert!(gro.frames * 4 < apart.frames, "{gro:?}, apart {apart:?}");
}
