//! A Linux guest in QEMU, whose virtio-net device is Ferry's, and a kernel VTEP on the other side of the tunnel.

use std::path::PathBuf;
use std::process::{Child, Stdio};
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

/// Times that the file is sent, so that what it takes the guest can be told from noise.
const DOWNLOADS: usize = 8;

/// What it took a guest to send a file so often.
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
    /// Serves or takes one TCP connection on the kernel's machine, on port 5001; `way` says where its bytes go or come from.
    fn listen(&self, way: &str) -> Child {
        let mut command = self.kernel.command("sh");
        command.args(["-c", &format!("busybox nc -l -p 5001 {way}")]);
        // An input that ended would end the connection.
        let listener = command.stdin(Stdio::piped()).spawn().unwrap();
        eventually("the kernel listens", || self.kernel.exec("ss -Hltn").contains(":5001"));
        listener
    }

    /// A file of the guest goes across the tunnel and back by TCP, each time intact. Returns what the first way took the guest.
    fn exchange(&self, ferry: &Ferry, guest: &mut Qemu) -> Effort {
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
        let ports = ferry.show("ports");
        let port = ports.as_array().unwrap().iter().find(|row| row["name"] == "vm1").unwrap();
        let of = |key: &str| port[key].as_u64().unwrap();
        let effort = Effort { frames: of("rx_packets"), bytes: of("rx_bytes"), time };
        let sum = self.kernel.exec(&format!("md5sum {file}"));
        guest.run(&format!("md5sum /tmp/file | grep {}", sum.split(' ').next().unwrap()));

        let mut listener = self.listen(&format!("< {file}"));
        guest.run("nc 10.0.0.2 5001 > /tmp/back");
        assert!(listener.wait().unwrap().success());
        guest.run("cmp /tmp/file /tmp/back");
        assert_eq!(checksum_errors(&self.kernel.exec("cat /proc/net/snmp")), "0");
        assert_eq!(checksum_errors(&guest.run("cat /proc/net/snmp")), "0");
        effort
    }
}

#[test]
fn tcp_arrives_intact_whatever_the_guest_leaves_to_its_device() {
    let [tso, none] = ["on", "off"].map(|offloads| {
        let machines = Machines::new("", &format!(", offloads: {offloads}"));
        let ferry = machines.ferry();
        let mut guest = machines.guest(false);
        let effort = machines.exchange(&ferry, &mut guest);
        ferry.expect_balance();
        drop(guest);
        ferry.stop();
        effort
    });
    // The guest's MTU and its Ethernet header.
    assert!(none.bytes / none.frames <= 1464, "{none:?}");
    assert!(tso.frames * 4 < none.frames, "{tso:?}, without TSO {none:?}");
    // What the guest gains by it.
    assert!(tso.time * 5 < none.time * 4, "{tso:?}, without TSO {none:?}");
}
