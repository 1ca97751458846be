//! Outer fragments between Ferry and the kernel's VTEP, both ways: stations with an MTU of 1500 over an underlay of 1500. Cases E8
//! and N18 of a VTEP's wire-level behaviour.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::support::{Ferry, Namespace, eventually};

/// Station 10.0.0.1 behind Ferry, 10.0.0.2 behind a kernel VTEP, on one link.
struct Fabric {
    ferry: Ferry,
    host: Namespace,
    vm: Namespace,
    far: Namespace,
}

impl Fabric {
    fn new(own: &str, peer: &str) -> Self {
        let [host, vm, far] = ["host", "vm", "far"].map(|role| {
            let namespace = Namespace::new(role);
            for scope in ["all", "default"] {
                namespace.exec(&format!("sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=0"));
            }
            namespace
        });
        host.veth("eth1", &far, "eth0");
        host.veth("eth2", &vm, "eth0");
        for raw in ["eth1", "eth2"] {
            host.exec(&format!("sysctl -qw net.ipv6.conf.{raw}.disable_ipv6=1"));
        }
        far.exec("ip address add 192.0.2.2/24 dev eth0");
        far.exec("ip address add 2001:db8::2/64 dev eth0 nodad");
        far.exec(&format!(
            "ip link add vx0 mtu 1500 type vxlan id 1000 dstport 4789 local {peer} remote {own}"
        ));
        far.exec("ip address add 10.0.0.2/24 broadcast + dev vx0");
        far.exec("sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0");
        far.exec("ip link set vx0 up");
        // Or the kernel, too, would find out that less fits.
        far.exec("ip route replace 10.0.0.0/24 dev vx0 src 10.0.0.2 mtu lock 1500");
        vm.exec("ip address add 10.0.0.1/24 broadcast + dev eth0");
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports:
    - {{name: up0, device: "net_pcap0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24, "2001:db8::1/64"]}}
  vtep: {{ipv4: 192.0.2.1, ipv6: "2001:db8::1", fragments: reassemble}}
access:
  ports: [{{name: vm1, device: "net_pcap1,iface=eth2"}}]
networks:
  - {{vni: 1000, name: a, ports: [vm1], flood: {{peers: ["{peer}"]}}, oversize: {{others: fragment}}}}
"#
        );
        let ferry = Ferry::start(&host, &config);
        eventually("the next hop is known", || ferry.show("peers")[0]["state"] == "resolved");
        Self { ferry, host, vm, far }
    }

    fn total(&self, key: &str) -> u64 {
        self.ferry.show("totals")[key].as_u64().unwrap()
    }

    /// What came before the next hop was known.
    fn unresolved(&self) -> u64 {
        self.ferry.dropped("vm1", "next_hop_unresolved")
    }

    fn fragmented(&self) -> u64 {
        self.ferry.show("networks")[0]["oversize"]["fragmented"].as_u64().unwrap()
    }

    fn finish(self) {
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}

/// Both ways, as the answer is as long as the question; neither must stay whole.
#[test]
fn e8_n18_the_longest_packets_cross_in_fragments() {
    let fabric = Fabric::new("192.0.2.1", "192.0.2.2");
    fabric.vm.exec("ping -c 2 -i 0.1 -W 2 10.0.0.2");
    assert_eq!((fabric.fragmented(), fabric.total("merged")), (0, 0));
    fabric.vm.exec("ping -c 20 -i 0.02 -W 2 -M dont -s 1472 10.0.0.2");
    assert_eq!((fabric.fragmented(), fabric.total("merged")), (20, 20));
    // A flooded one is sent as a chain.
    fabric.vm.exec("ping -b -c 2 -i 0.1 -W 2 -M dont -s 1472 10.0.0.255");
    // Those that the station cuts itself, five of them too long, are cut once more.
    fabric.vm.exec("ping -c 4 -i 0.02 -W 2 -M dont -s 8000 10.0.0.2");
    let longest = 20 + 2 + 4 * 5;
    assert_eq!((fabric.fragmented(), fabric.total("merged")), (longest, longest));
    assert_eq!(fabric.ferry.drops().values().sum::<u64>(), fabric.unresolved());
    fabric.finish();
}

/// To the kernel only: its VXLAN device over IPv6 sends nothing in fragments.
#[test]
fn e8_the_kernel_puts_together_what_comes_over_ipv6() {
    let fabric = Fabric::new("2001:db8::1", "2001:db8::2");
    fabric.vm.exec("ping -c 2 -i 0.1 -W 2 10.0.0.2");
    let server = fabric.far.inside(|| UdpSocket::bind("10.0.0.2:7000").unwrap());
    let client = fabric.vm.inside(|| UdpSocket::bind("10.0.0.1:0").unwrap());
    may_be_cut(&client);
    for length in [1431 - 28, 1472, 4000, 8000] {
        expect_datagram(&client, &server, length);
    }
    assert_eq!(fabric.fragmented(), 1 + 1 + 2 + 5);
    fabric.finish();
}

/// Has a socket send its packets without 'don't fragment'.
fn may_be_cut(socket: &UdpSocket) {
    let never = libc::IP_PMTUDISC_DONT;
    // SAFETY: the option is an int that is read during the call.
    let set = unsafe {
        let value = (&raw const never).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value, 4)
    };
    assert_eq!(set, 0);
}

fn expect_datagram(client: &UdpSocket, server: &UdpSocket, length: usize) {
    server.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let sent: Vec<u8> = (0..length).map(|at| at as u8).collect();
    client.send_to(&sent, server.local_addr().unwrap()).unwrap();
    let mut room = vec![0; 10_000];
    let (received, _) = server.recv_from(&mut room).unwrap();
    assert!(room[..received] == sent, "{received} bytes of {length}");
}

#[test]
fn n18_fragments_for_the_kernel_reach_it() {
    let fabric = Fabric::new("192.0.2.1", "192.0.2.2");
    for (own, length) in [("192.0.2.1", 4000), ("2001:db8::1", 4000), ("192.0.2.1", 9000)] {
        fabric.far.exec(&format!("ping -c 3 -i 0.05 -W 2 -s {length} {own}"));
        let address = (own.parse::<std::net::IpAddr>().unwrap(), 7000);
        let server = fabric.host.inside(|| UdpSocket::bind(address).unwrap());
        let family = if own.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
        let client = fabric.far.inside(|| UdpSocket::bind(family).unwrap());
        expect_datagram(&client, &server, length);
    }
    fabric.finish();
}
