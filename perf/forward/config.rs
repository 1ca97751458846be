//! Ferry's configuration and the devices of a case.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::capture;
use super::case::{Case, Pages, Tunnel, Way, memory};

/// Ferry's tunnel address.
pub const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The same over IPv6.
pub const VTEP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The first peer, and the only one but in replication.
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The peer over IPv6.
pub const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// The VNI of a network, counted from zero.
pub fn vni(network: usize) -> u32 {
    1000 + network as u32
}

/// A peer's address.
pub fn peer(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32).to_be_bytes();
    if number == 0 { PEER } else { Ipv4Addr::new(198, 18, high, low) }
}

/// The address of the first peer that speaks so.
pub fn speaker(tunnel: Tunnel) -> IpAddr {
    match tunnel {
        Tunnel::VxlanOverIpv6 { .. } => PEER6.into(),
        _ => PEER.into(),
    }
}

/// Where the capture of a case lies.
pub fn capture_of(case: Case, folder: &Path) -> PathBuf {
    folder.join(format!("{}.pcap", case.name()))
}

/// The device arguments of input and output.
pub fn devices(case: Case, folder: &Path) -> [String; 2] {
    let capture = capture_of(case, folder);
    [
        format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.display()),
        "net_null0,no-rx=1".to_owned(),
    ]
}

/// Ferry's configuration. Destinations are static, sources are left to be learned.
pub fn of_case(case: Case, pages: Pages, folder: &Path, socket: &Path) -> String {
    let host = Host { pages, mbufs: case.mbufs(), peers: case.flood_peers(), ..Host::new() };
    with_host(case, &host, folder, socket)
}

/// The same with other cores or queues. Each queue plays the whole capture.
pub fn with_host(case: Case, host: &Host, folder: &Path, socket: &Path) -> String {
    let capture = format!(",rx_pcap={}", capture_of(case, folder).display());
    let input = format!("net_pcap0{},infinite_rx=1", capture.repeat(host.queues));
    let output = "net_null0,no-rx=1";
    let (underlay, access) =
        if case.is_from_underlay() { (input.as_str(), output) } else { (output, input.as_str()) };
    let mut text = host.preamble(underlay, access, socket);
    let peers: Vec<_> = match case.tunnel {
        Tunnel::Vxlan => (0..case.flood_peers()).map(|number| peer(number).to_string()).collect(),
        tunnel => vec![format!("{{address: \"{}\", {}}}", speaker(tunnel), options(tunnel))],
    };
    let members = peers[..case.peers].join(", ");
    let peers = peers.join(", ");
    text.push_str("networks:\n");
    for network in 0..case.networks {
        let port = if case.trunk {
            format!("{{port: vm1, vlan: {}}}", network + 1)
        } else {
            "vm1".to_owned()
        };
        let _ = write!(
            text,
            "  - vni: {}\n    name: bench{network}\n    ports: [{port}]\n    mac_limit: {}\n    \
             flood: {{peers: [{peers}]}}\n    ageing: 1h\n",
            vni(network),
            4 * case.macs + 1024
        );
        match case.way {
            Way::Encapsulation | Way::Decapsulation => statics(&mut text, case, network),
            Way::Replication => {}
            Way::Group => {
                let group = capture::GROUP_ADDRESS;
                let _ = writeln!(
                    text,
                    "    multicast: {{snooping: {{querier: true}}, groups: [{{group: {group}, peers: [{members}]}}]}}"
                );
            }
            Way::Suppression => {
                text.push_str("    arp_suppression: true\n    macs:\n");
                (0..case.macs).for_each(|pair| pair_of_stations(&mut text, pair, "vm1", true));
            }
        }
    }
    text
}

/// The MACs of a [`capture::pair`], perhaps with their addresses: who sends is at a port, the other at the peer.
pub fn pair_of_stations(text: &mut String, number: usize, port: &str, addresses: bool) {
    let [sender, other] = capture::pair(number);
    for ((mac, ip), way) in [(sender, format!("port: {port}")), (other, format!("peer: {PEER}"))] {
        let ips = if addresses { format!(", ips: [{ip}]") } else { String::new() };
        let mac = ferry::wire::MacAddr(mac);
        let _ = writeln!(text, "      - {{mac: \"{mac}\", {way}{ips}}}");
    }
}

/// Of a peer in the configuration.
fn options(tunnel: Tunnel) -> &'static str {
    match tunnel {
        Tunnel::Vxlan | Tunnel::VxlanOverIpv6 { checksum: true } => "encap: vxlan",
        Tunnel::VxlanOverIpv6 { checksum: false } => "encap: vxlan, checksum: off",
        Tunnel::Nvgre => "encap: nvgre",
        Tunnel::Gre => "encap: gre",
    }
}

fn statics(text: &mut String, case: Case, network: usize) {
    let way = match (case.is_from_underlay(), case.trunk) {
        (false, _) => format!("peer: \"{}\"", speaker(case.tunnel)),
        (true, false) => "port: vm1".to_owned(),
        (true, true) => format!("port: vm1, vlan: {}", network + 1),
    };
    text.push_str("    macs:\n");
    for number in (network..case.all_macs()).step_by(case.networks) {
        let mac = ferry::wire::MacAddr(capture::destination(number));
        let _ = writeln!(text, "      - {{mac: \"{mac}\", {way}}}");
    }
}

/// A configuration with as many networks, all without MACs.
pub fn empty_networks(count: u32, socket: &Path) -> String {
    let mut text = Host::new().preamble("net_null0,no-rx=1", "net_null1,no-rx=1", socket);
    text.push_str("networks:\n");
    for number in 1..=count {
        let _ = writeln!(
            text,
            "  - {{vni: {number}, name: net{number}, ports: [{{port: vm1, vlan: {number}}}], \
             flood: {{peers: [{PEER}]}}}}"
        );
    }
    text
}

/// All of a configuration but access ports and networks: next hops need no resolving.
pub struct Host {
    /// What DPDK's memory lies in.
    pub pages: Pages,
    /// Packet buffers.
    pub mbufs: usize,
    /// The control core.
    pub control: usize,
    /// The workers' cores.
    pub cores: &'static str,
    /// What idle workers do.
    pub idle: &'static str,
    /// Peers.
    pub peers: usize,
    /// Receive queues of each port.
    pub queues: usize,
}

impl Host {
    /// Control on core 0, and one worker, on core 1.
    pub fn new() -> Self {
        let (pages, cores, idle) = (Pages::Small, "[1]", "spin");
        Self { pages, mbufs: 262_143, control: 0, cores, idle, peers: 1, queues: 1 }
    }

    /// Up to the underlay's ports, which come next.
    pub fn head(&self, socket: &Path) -> String {
        format!(
            "eal: {{hugepages: {}, memory: {}MiB, mbufs: {}}}\n\
             cores: {{control: {}, workers: {}, idle: {}}}\n\
             api: {{socket: {}}}\n\
             underlay:\n  ports:\n",
            self.pages == Pages::Huge,
            memory(self.pages, self.mbufs),
            self.mbufs,
            self.control,
            self.cores,
            self.idle,
            socket.display()
        )
    }

    /// What follows them.
    pub fn vtep(&self, text: &mut String) {
        let _ = write!(
            text,
            "  vtep: {{ipv4: {VTEP}, ipv6: \"{VTEP6}\", udp6_zero_checksum: accept}}\n  neighbours:\n"
        );
        for ip in (0..self.peers).map(|number| peer(number).into()).chain([IpAddr::from(PEER6)]) {
            let mac = "02:00:00:00:02:02";
            let _ = writeln!(text, "    - {{ip: \"{ip}\", mac: \"{mac}\", port: up0}}");
        }
    }

    /// With the ports `up0` and `vm1`.
    pub fn preamble(&self, underlay: &str, access: &str, socket: &Path) -> String {
        let queues = self.queues;
        // Other devices have no setting of the MTU, and carry what is measured there.
        let mtu = if underlay.contains("null") { ", mtu: 1600" } else { "" };
        let mut text = self.head(socket);
        let _ =
            writeln!(text, "    - {{name: up0, device: \"{underlay}\", queues: {queues}{mtu}}}");
        self.vtep(&mut text);
        let _ = write!(
            text,
            "access:\n  ports:\n    - {{name: vm1, device: \"{access}\", queues: {queues}}}\n"
        );
        text
    }
}
