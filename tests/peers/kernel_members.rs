//! Kernel stations that join and leave multicast groups, in two versions of IGMP and of MLD, at a port of Ferry and behind a
//! kernel VTEP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::membership::expect_members;
use crate::support::{Ferry, Namespace, RawPort, eventually};
use socket2::{Domain, Socket, Type};

const PORT: u16 = 5000;
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Network 1000: stations at Ferry's ports, 10.0.0.1 and .2, and 10.0.0.3, which is a kernel VTEP itself. Only members
/// get multicast.
struct Fabric {
    ferry: Ferry,
    vm1: Namespace,
    vm2: Namespace,
    vtep: Namespace,
    /// What arrives at vm2.
    wire: RawPort,
    _host: Namespace,
}

impl Fabric {
    fn new(snooping: &str) -> Self {
        let [host, vm1, vm2, vtep] = ["host", "vm1", "vm2", "vtep"].map(Namespace::new);
        host.veth("eth1", &vtep, "eth0");
        vtep.exec("ip address add 192.0.2.2/24 dev eth0");
        vtep.exec(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.2 remote 192.0.2.1",
        );
        host.veth("eth2", &vm1, "eth0");
        host.veth("eth3", &vm2, "eth0");
        for (station, interface, last) in [(&vm1, "eth0", 1), (&vm2, "eth0", 2), (&vtep, "vx0", 3)]
        {
            station.exec(&format!("sysctl -qw net.ipv6.conf.{interface}.disable_ipv6=0"));
            station.exec(&format!("ip address add 10.0.0.{last}/24 dev {interface}"));
            station.exec(&format!("ip address add fd00::{last}/64 dev {interface} nodad"));
            station.exec(&format!("ip link set {interface} mtu 1400 up"));
        }
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_af_packet0,iface=eth1", twin: ferry-up0, addresses: [192.0.2.1/24]}}]
  vtep: {{ipv4: 192.0.2.1}}
access:
  ports:
    - {{name: vm1, device: "net_af_packet1,iface=eth2"}}
    - {{name: vm2, device: "net_af_packet2,iface=eth3"}}
networks:
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {{peers: [192.0.2.2]}}
    multicast: {{unregistered: drop, snooping: {snooping}}}
"#
        );
        let wire = RawPort::open(&vm2, "eth0");
        let ferry = Ferry::start(&host, &config);
        Self { ferry, vm1, vm2, vtep, wire, _host: host }
    }

    /// The station at vm1 sends to a group until a member has a datagram.
    fn send_until_heard(&self, sender: &UdpSocket, member: &Socket, group: IpAddr) {
        let end = Instant::now() + Duration::from_secs(5);
        let mut room = [std::mem::MaybeUninit::uninit(); 64];
        while member.recv(&mut room).is_err() {
            assert!(Instant::now() < end, "nothing is heard of {group}");
            sender.send_to(b"a stream", SocketAddr::new(group, PORT)).unwrap();
        }
    }

    /// What vm2's wire carries to a group while the station at vm1 sends ten datagrams to it.
    fn carried(&self, sender: &UdpSocket, group: IpAddr) -> usize {
        self.wire.drain();
        for _ in 0..10 {
            sender.send_to(b"a stream", SocketAddr::new(group, PORT)).unwrap();
        }
        let is_stream = |frame: &&Vec<u8>| frame.windows(8).any(|part| part == b"a stream");
        self.wire.drain().iter().filter(is_stream).count()
    }
}

/// A socket in a namespace that joins groups.
fn socket(namespace: &Namespace, v6: bool) -> Socket {
    namespace.inside(move || {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, None).unwrap();
        let any: SocketAddr = if v6 { "[::]:5000" } else { "0.0.0.0:5000" }.parse().unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&any.into()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        socket
    })
}

/// A socket of the station at vm1 that sends to groups.
fn sender(fabric: &Fabric) -> [UdpSocket; 2] {
    let index = index(&fabric.vm1, "eth0");
    fabric.vm1.inside(move || {
        let v4 = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        v4.set_multicast_if_v4(&SENDER).unwrap();
        let v6 = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        v6.set_multicast_if_v6(index).unwrap();
        v6.set_multicast_hops_v6(9).unwrap();
        [v4, v6].map(UdpSocket::from)
    })
}

fn index(namespace: &Namespace, interface: &str) -> u32 {
    let index = namespace.exec(&format!("cat /sys/class/net/{interface}/ifindex"));
    index.trim().parse().unwrap()
}

fn version_of(ferry: &Ferry) -> String {
    let groups = ferry.show("groups");
    let mut rows = groups.as_array().unwrap().iter();
    let member = rows.find(|row| row["kind"] == "learned").unwrap();
    member["version"].as_str().unwrap().to_owned()
}

const ASKS: &str =
    "{querier: true, query_interval: 2s, response_interval: 1s, last_member_interval: 500ms}";

#[test]
fn m1_stations_that_join_hear_the_group_until_they_leave() {
    let fabric = Fabric::new(ASKS);
    let [v4, v6] = sender(&fabric);
    for (number, version) in ["igmpv2", "igmpv3", "mldv1", "mldv2"].into_iter().enumerate() {
        let is_v6 = number > 1;
        let (key, value) = match is_v6 {
            false => ("ipv4.conf", format!("force_igmp_version={}", number + 2)),
            true => ("ipv6.conf", format!("force_mld_version={}", number - 1)),
        };
        let group: IpAddr = match is_v6 {
            false => Ipv4Addr::new(239, 1, 1, number as u8).into(),
            true => format!("ff05::1:{number}").parse().unwrap(),
        };
        let from = if is_v6 { &v6 } else { &v4 };
        for (station, interface, place) in
            [(&fabric.vm2, "eth0", "vm2"), (&fabric.vtep, "vx0", "192.0.2.2")]
        {
            station.exec(&format!("sysctl -qw net.{key}.{interface}.{value}"));
            let member = socket(station, is_v6);
            let by = index(station, interface);
            match group {
                IpAddr::V4(group) => {
                    let last = if place == "vm2" { 2 } else { 3 };
                    member.join_multicast_v4(&group, &Ipv4Addr::new(10, 0, 0, last)).unwrap();
                }
                IpAddr::V6(group) => member.join_multicast_v6(&group, by).unwrap(),
            }
            let row = format!("{group} {place}");
            expect_members(&fabric.ferry, &[&row]);
            // A query from before may still be answered in the version of then.
            eventually("it speaks its version", || version_of(&fabric.ferry) == version);
            fabric.send_until_heard(from, &member, group);
            assert_eq!(fabric.carried(from, group), if place == "vm2" { 10 } else { 0 });
            // Longer than a membership holds that is not asked for: 5 s.
            if number % 2 == 0 {
                std::thread::sleep(Duration::from_secs(6));
                expect_members(&fabric.ferry, &[&row]);
            }
            drop(member);
            expect_members(&fabric.ferry, &[]);
            assert_eq!(fabric.carried(from, group), 0, "{version} at {place}");
        }
    }
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}

#[test]
fn m2_a_station_hears_the_sources_that_it_wants() {
    let fabric = Fabric::new(ASKS);
    let [v4, _] = sender(&fabric);
    let group = Ipv4Addr::new(232, 1, 1, 1);
    let here = Ipv4Addr::new(10, 0, 0, 2);
    let member = socket(&fabric.vm2, false);
    member.join_ssm_v4(&Ipv4Addr::new(10, 0, 0, 99), &group, &here).unwrap();
    expect_members(&fabric.ferry, &["232.1.1.1 vm2"]);
    assert_eq!(fabric.carried(&v4, group.into()), 0, "another source");
    member.join_ssm_v4(&SENDER, &group, &here).unwrap();
    fabric.send_until_heard(&v4, &member, group.into());
    assert_eq!(fabric.carried(&v4, group.into()), 10);
    member.leave_ssm_v4(&SENDER, &group, &here).unwrap();
    eventually("the source is let go of", || fabric.carried(&v4, group.into()) == 0);
    expect_members(&fabric.ferry, &["232.1.1.1 vm2"]);
    fabric.ferry.stop();
}

#[test]
fn a_kernel_bridge_asks_and_is_a_router_if_it_has_an_address() {
    let fabric = Fabric::new("true");
    let [v4, v6] = sender(&fabric);
    let bridge = &fabric.vm2;
    bridge.exec("ip address flush dev eth0");
    bridge.exec(
        "ip link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 \
         mcast_query_interval 200 mcast_query_response_interval 100 mcast_startup_query_interval 100 \
         mcast_last_member_interval 50",
    );
    bridge.exec("sysctl -qw net.ipv6.conf.br0.disable_ipv6=0");
    bridge.exec("ip address add 10.0.0.2/24 dev br0");
    bridge.exec("ip link set eth0 master br0");
    bridge.exec("ip link set br0 up");
    eventually("it asks", || {
        let groups = fabric.ferry.show("groups");
        let mut rows = groups.as_array().unwrap().iter();
        rows.any(|row| {
            row["kind"] == "querier" && row["address"] == "10.0.0.2" && row["version"] == "igmpv2"
        })
    });
    let member = socket(&fabric.vtep, false);
    let group = Ipv4Addr::new(239, 1, 1, 1);
    member.join_multicast_v4(&group, &Ipv4Addr::new(10, 0, 0, 3)).unwrap();
    expect_members(&fabric.ferry, &["239.1.1.1 192.0.2.2"]);
    fabric.send_until_heard(&v4, &member, group.into());
    assert_eq!(fabric.carried(&v4, group.into()), 10, "the router gets it too");
    drop(member);
    expect_members(&fabric.ferry, &[]);
    let group: IpAddr = "ff05::1:3".parse().unwrap();
    eventually("it is a router of IPv6 as well", || fabric.carried(&v6, group) == 10);
    fabric.ferry.expect_balance();
    fabric.ferry.stop();
}
