//! Ferry's configuration and the devices of a case.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::capture;
use super::case::{Case, Pages, Way};

/// Ferry's tunnel address.
pub const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The first peer, and the only one but in replication.
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The VNI of a network, counted from zero.
pub fn vni(network: usize) -> u32 {
    1000 + network as u32
}

fn peer(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32).to_be_bytes();
    if number == 0 { PEER } else { Ipv4Addr::new(198, 18, high, low) }
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
    let [input, output] = devices(case, folder);
    let (underlay, access) =
        if case.is_from_underlay() { (input, output) } else { (output, input) };
    let mut text = preamble(case, pages, &underlay, &access, socket);
    let peers: Vec<_> = (0..case.peers).map(|number| peer(number).to_string()).collect();
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
        if case.way != Way::Replication {
            statics(&mut text, case, network);
        }
    }
    text
}

fn statics(text: &mut String, case: Case, network: usize) {
    let way = match (case.is_from_underlay(), case.trunk) {
        (false, _) => format!("peer: {PEER}"),
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
pub fn empty_networks(case: Case, count: u32, socket: &Path) -> String {
    let mut text = preamble(case, Pages::Small, "net_null0,no-rx=1", "net_null1,no-rx=1", socket);
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

/// One worker on core 1, control on core 0, and next hops that need no resolving.
fn preamble(case: Case, pages: Pages, underlay: &str, access: &str, socket: &Path) -> String {
    // net_pcap has no setting of the MTU, and what arrives there is not held against it.
    let mtu = if case.is_from_underlay() { "" } else { ", mtu: 1600" };
    let mut text = format!(
        "eal: {{hugepages: {}, memory: {}MiB, mbufs: {}}}\n\
         cores: {{control: 0, workers: [1], idle: spin}}\n\
         api: {{socket: {}}}\n\
         underlay:\n  ports:\n    - {{name: up0, device: \"{underlay}\"{mtu}}}\n  \
         vtep: {{ipv4: {VTEP}}}\n  neighbours:\n",
        pages == Pages::Huge,
        case.memory(pages),
        case.mbufs(),
        socket.display()
    );
    for number in 0..case.peers {
        let ip = peer(number);
        let _ = writeln!(text, "    - {{ip: {ip}, mac: \"02:00:00:00:02:02\", port: up0}}");
    }
    let _ = write!(text, "access:\n  ports:\n    - {{name: vm1, device: \"{access}\"}}\n");
    text
}
