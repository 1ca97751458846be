//! What is measured: the cases, and the configuration and devices of each.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use super::capture;

/// Ferry's tunnel address.
pub const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The one peer.
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The one network.
pub const VNI: u32 = 1000;
/// Packet buffers: `net_pcap` keeps a whole capture in them.
pub const MBUFS: u32 = 262_143;

/// The way of the frames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From an access port into a tunnel.
    Encapsulation,
    /// From a tunnel to an access port.
    Decapsulation,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Case {
    /// The way of the frames.
    pub direction: Direction,
    /// MACs as destination, and as many others as source.
    pub macs: usize,
    /// The least rate that is right, as a share of testpmd's `io` rate.
    pub floor: f64,
}

/// All cases.
pub const CASES: [Case; 4] = [
    Case { direction: Direction::Encapsulation, macs: 1, floor: 0.5 },
    Case { direction: Direction::Encapsulation, macs: 100_000, floor: 0.25 },
    Case { direction: Direction::Decapsulation, macs: 1, floor: 0.5 },
    Case { direction: Direction::Decapsulation, macs: 100_000, floor: 0.25 },
];

impl Case {
    /// Its name in tables and on the command line.
    pub fn name(self) -> String {
        let direction = match self.direction {
            Direction::Encapsulation => "encap",
            Direction::Decapsulation => "decap",
        };
        format!("{direction}-{}", self.macs)
    }

    /// The device arguments of input and output.
    pub fn devices(self, captures: &Path) -> [String; 2] {
        let capture = self.capture(captures);
        [
            format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.display()),
            "net_null0,no-rx=1".to_owned(),
        ]
    }

    /// Where its capture lies.
    pub fn capture(self, captures: &Path) -> std::path::PathBuf {
        captures.join(format!("{}.pcap", self.name()))
    }

    /// Ferry's configuration. Destinations are static, sources are left to be learned.
    pub fn config(self, captures: &Path, socket: &Path) -> String {
        let [input, output] = self.devices(captures);
        let (underlay, access, way) = match self.direction {
            Direction::Encapsulation => (output, input, format!("peer: {PEER}")),
            Direction::Decapsulation => (input, output, "port: vm1".to_owned()),
        };
        let mut text = preamble(&underlay, &access, socket);
        let _ = write!(
            text,
            "networks:\n  - vni: {VNI}\n    name: bench\n    ports: [vm1]\n    \
             mac_limit: {}\n    flood: {{peers: [{PEER}]}}\n    macs:\n",
            4 * self.macs + 1024
        );
        for number in 0..self.macs {
            let mac = text_of(capture::destination(number));
            let _ = writeln!(text, "      - {{mac: \"{mac}\", {way}}}");
        }
        text
    }
}

/// A configuration with as many networks, all without MACs.
pub fn empty_networks(count: u32, socket: &Path) -> String {
    let mut text = preamble("net_null0,no-rx=1", "net_null1,no-rx=1", socket);
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

/// One worker on core 1, control on core 0, no hugepages, and a next hop that needs no resolving.
fn preamble(underlay: &str, access: &str, socket: &Path) -> String {
    format!(
        "eal: {{memory: 1536MiB, mbufs: {MBUFS}}}\n\
         cores: {{control: 0, workers: [1], idle: spin}}\n\
         api: {{socket: {}}}\n\
         underlay:\n  ports:\n    - {{name: up0, device: \"{underlay}\"}}\n  \
         vtep: {{ipv4: {VTEP}}}\n  \
         neighbours: [{{ip: {PEER}, mac: \"02:00:00:00:02:02\", port: up0}}]\n\
         access:\n  ports:\n    - {{name: vm1, device: \"{access}\"}}\n",
        socket.display()
    )
}

fn text_of(mac: [u8; 6]) -> String {
    ferry::wire::MacAddr(mac).to_string()
}
