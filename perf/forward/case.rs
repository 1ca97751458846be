//! What is measured: one line a case, and what follows from it.

use super::target::Target;

/// What DPDK's memory lies in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// 2 MiB pages, as on bare metal.
    Huge,
    /// 4 KiB pages.
    Small,
}

/// The way of the frames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From an access port into a tunnel.
    Encapsulation,
    /// From a tunnel to an access port.
    Decapsulation,
    /// Broadcasts from an access port into a tunnel to each peer.
    Replication,
    /// Multicast from an access port into a tunnel to each member of its group, which half of the peers are, in a network that snoops.
    Group,
    /// ARP requests from an access port, answered there.
    Suppression,
}

/// What VTEPs speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// VXLAN over IPv4.
    Vxlan,
    /// NVGRE over IPv4.
    Nvgre,
    /// Ethernet over GRE with a key, over IPv4.
    Gre,
    /// VXLAN over IPv6.
    VxlanOverIpv6 {
        /// Whether with UDP checksums, which here are computed and verified in software.
        checksum: bool,
    },
}

impl Tunnel {
    /// Its part of a case's name.
    fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "",
            Self::Nvgre => "nvgre-",
            Self::Gre => "gre-",
            Self::VxlanOverIpv6 { checksum: true } => "v6-",
            Self::VxlanOverIpv6 { checksum: false } => "v6-zero-",
        }
    }
}

/// Sizes of tenants' frames, in bytes without FCS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All alike.
    Bytes(usize),
    /// Seven of 64, four of 594 and one of 1514 bytes in twelve.
    Imix,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Case {
    /// The way of the frames.
    pub way: Way,
    /// What the peers speak.
    pub tunnel: Tunnel,
    /// Tenants' networks. Several share the access port as VLANs 1, 2, 3 and so on.
    pub networks: usize,
    /// MACs in each network as destination, and as many others as source.
    pub macs: usize,
    /// Peers that each flood goes to.
    pub peers: usize,
    /// Whether the access port is a VLAN trunk.
    pub trunk: bool,
    /// Frame sizes.
    pub size: Size,
    /// Whether the case belongs to the selection that runs without `--all`.
    pub usual: bool,
    /// What must be reached.
    pub targets: &'static [Target],
}

const fn case(way: Way, networks: usize, macs: usize) -> Case {
    let trunk = networks > 1;
    let (tunnel, size, peers) = (Tunnel::Vxlan, Size::Bytes(64), 1);
    Case { way, tunnel, networks, macs, peers, trunk, size, usual: false, targets: &[] }
}

const fn replicate(peers: usize) -> Case {
    Case { peers, ..case(Way::Replication, 1, 1) }
}

/// Stations that ask for as many others.
const fn suppress(addresses: usize) -> Case {
    case(Way::Suppression, 1, addresses / 2)
}

impl Case {
    /// With `--all` only.
    const fn seldom(self) -> Self {
        Self { usual: false, ..self }
    }

    const fn reach(self, targets: &'static [Target]) -> Self {
        Self { targets, usual: true, ..self }
    }

    const fn sized(self, size: Size) -> Self {
        Self { size, ..self }
    }

    const fn by(self, tunnel: Tunnel) -> Self {
        Self { tunnel, ..self }
    }

    const fn trunk(self) -> Self {
        Self { trunk: true, ..self }
    }
}

/// What another tunnel than VXLAN over IPv4 may cost, in cycles of that.
const AS_VXLAN: f64 = 1.15;

use Target::{AboveIo, Copies, CopiesOf, OfCase, OfIo, OfOvs};
use Tunnel::{Gre, Nvgre, VxlanOverIpv6};
use Way::{Decapsulation as Decap, Encapsulation as Encap};

/// All cases. Another one is a line here.
pub const CASES: &[Case] = &[
    case(Encap, 1, 1).reach(&[AboveIo(30.0), OfIo(0.5), OfOvs(6.0)]),
    case(Encap, 1, 1_000),
    case(Encap, 1, 100_000).reach(&[AboveIo(65.0), OfIo(0.25), OfOvs(50.0)]),
    case(Encap, 1_000, 100).reach(&[AboveIo(90.0)]),
    case(Encap, 1, 1_000_000).reach(&[OfCase("encap-1000", 2.0)]).seldom(),
    case(Encap, 1, 1_000).trunk(),
    case(Decap, 1, 1).reach(&[AboveIo(35.0), OfIo(0.5), OfOvs(2.0)]),
    case(Decap, 1, 1_000),
    case(Decap, 1, 100_000).reach(&[AboveIo(75.0), OfIo(0.25), OfOvs(50.0)]),
    case(Decap, 1_000, 100).reach(&[AboveIo(95.0)]),
    case(Decap, 1, 1_000_000).reach(&[OfCase("decap-1000", 2.0)]).seldom(),
    case(Decap, 1, 1_000).trunk(),
    case(Encap, 1, 1).by(Nvgre).reach(&[OfCase("encap-1", AS_VXLAN)]),
    case(Encap, 1, 100_000).by(Nvgre).reach(&[OfCase("encap-100000", AS_VXLAN)]).seldom(),
    case(Encap, 1, 1).by(Gre).reach(&[OfCase("encap-1", AS_VXLAN)]),
    case(Encap, 1, 100_000).by(Gre).reach(&[OfCase("encap-100000", AS_VXLAN)]).seldom(),
    case(Encap, 1, 1).by(VxlanOverIpv6 { checksum: true }).reach(&[OfCase("encap-1", AS_VXLAN)]),
    case(Encap, 1, 100_000)
        .by(VxlanOverIpv6 { checksum: true })
        .reach(&[OfCase("encap-100000", AS_VXLAN)])
        .seldom(),
    case(Encap, 1, 1).by(VxlanOverIpv6 { checksum: false }).reach(&[OfCase("encap-1", AS_VXLAN)]),
    case(Encap, 1, 100_000)
        .by(VxlanOverIpv6 { checksum: false })
        .reach(&[OfCase("encap-100000", AS_VXLAN)])
        .seldom(),
    case(Decap, 1, 1).by(Nvgre).reach(&[OfCase("decap-1", AS_VXLAN)]),
    case(Decap, 1, 100_000).by(Nvgre).reach(&[OfCase("decap-100000", AS_VXLAN)]).seldom(),
    case(Decap, 1, 1).by(Gre).reach(&[OfCase("decap-1", AS_VXLAN)]),
    case(Decap, 1, 100_000).by(Gre).reach(&[OfCase("decap-100000", AS_VXLAN)]).seldom(),
    case(Decap, 1, 1).by(VxlanOverIpv6 { checksum: true }).reach(&[OfCase("decap-1", AS_VXLAN)]),
    case(Decap, 1, 100_000)
        .by(VxlanOverIpv6 { checksum: true })
        .reach(&[OfCase("decap-100000", AS_VXLAN)])
        .seldom(),
    case(Decap, 1, 1).by(VxlanOverIpv6 { checksum: false }).reach(&[OfCase("decap-1", AS_VXLAN)]),
    case(Decap, 1, 100_000)
        .by(VxlanOverIpv6 { checksum: false })
        .reach(&[OfCase("decap-100000", AS_VXLAN)])
        .seldom(),
    replicate(2),
    replicate(16).reach(&[Copies(12e6)]),
    replicate(256),
    Case { way: Way::Group, ..replicate(16) }.reach(&[CopiesOf("replicate-16", 0.95)]),
    suppress(2).reach(&[AboveIo(150.0)]),
    suppress(100_000).reach(&[AboveIo(150.0)]),
    case(Encap, 1, 1).sized(Size::Imix),
    case(Encap, 1, 1).sized(Size::Bytes(1500)),
    case(Encap, 1, 100_000).sized(Size::Imix),
    case(Encap, 1, 100_000).sized(Size::Bytes(1500)),
    case(Encap, 1_000, 100).sized(Size::Imix),
    case(Encap, 1_000, 100).sized(Size::Bytes(1500)),
    case(Decap, 1, 1).sized(Size::Imix),
    case(Decap, 1, 1).sized(Size::Bytes(1500)),
    case(Decap, 1, 100_000).sized(Size::Imix),
    case(Decap, 1, 100_000).sized(Size::Bytes(1500)),
    case(Decap, 1_000, 100).sized(Size::Imix),
    case(Decap, 1_000, 100).sized(Size::Bytes(1500)),
];

/// L4 flows in a capture: outer source ports and, on a NIC, RSS need something to tell apart.
pub const FLOWS: usize = 256;

impl Case {
    /// Its name in tables and on the command line.
    pub fn name(self) -> String {
        let mut name = match self.way {
            Way::Encapsulation => "encap-".to_owned(),
            Way::Decapsulation => "decap-".to_owned(),
            Way::Replication => return format!("replicate-{}", self.peers),
            Way::Group => return format!("snooped-{}", self.peers),
            Way::Suppression => return format!("suppress-{}", 2 * self.macs),
        };
        name += self.tunnel.name();
        match self.networks {
            1 if self.trunk => name += &format!("vlan-{}", self.macs),
            1 => name += &self.macs.to_string(),
            networks => name += &format!("{networks}x{}", self.macs),
        }
        match self.size {
            Size::Bytes(64) => {}
            Size::Bytes(bytes) => name += &format!("-{bytes}b"),
            Size::Imix => name += "-imix",
        }
        name
    }

    /// Whether the input is the underlay port.
    pub fn is_from_underlay(self) -> bool {
        self.way == Way::Decapsulation
    }

    /// Whether each frame becomes many.
    pub fn copies(self) -> bool {
        matches!(self.way, Way::Replication | Way::Group)
    }

    /// Whether it is forwarded to one destination.
    pub fn is_unicast(self) -> bool {
        matches!(self.way, Way::Encapsulation | Way::Decapsulation)
    }

    /// Peers of each network.
    pub fn flood_peers(self) -> usize {
        if self.way == Way::Group { 2 * self.peers } else { self.peers }
    }

    /// MACs that are not known in advance.
    pub fn new_macs(self) -> usize {
        if self.way == Way::Suppression { 0 } else { self.all_macs() }
    }

    /// Destination MACs in all networks, and source MACs.
    pub fn all_macs(self) -> usize {
        self.networks * self.macs
    }

    /// Frames in its capture.
    pub fn frames(self) -> usize {
        let frames = self.all_macs().max(FLOWS);
        if self.size == Size::Imix { frames.max(FLOWS * 12) } else { frames }
    }

    /// Packet buffers: `net_pcap` keeps a whole capture in them.
    pub fn mbufs(self) -> usize {
        (self.frames() + 131_072).max(262_143)
    }

    /// Memory for DPDK, in MiB.
    pub fn memory(self, pages: Pages) -> usize {
        memory(pages, self.mbufs())
    }
}

/// Memory for DPDK with so many packet buffers, in MiB: without huge pages each takes a page of 4 KiB, as none
/// may cross two; in huge pages it takes 2,432 bytes.
pub fn memory(pages: Pages, mbufs: usize) -> usize {
    let in_a_mebibyte = if pages == Pages::Huge { 420 } else { 250 };
    512 + mbufs / in_a_mebibyte
}
