//! The underlay: its ports, this VTEP's address, static neighbours.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::item::Item;
use super::keys::underlay::{NEIGHBOUR, PORT, UNDERLAY, VTEP};
use super::marking;
use super::path::{self, PATH_MTU_AGEING, Reassembly};
use super::port::{Kind, Port, Ports};
use super::scalar::{self, Unique};
use crate::tunnel::{Dscp, Marking, Ttl};
use crate::wire::MacAddr;

/// The underlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// At least one.
    pub ports: Vec<UnderlayPort>,
    /// This tunnel endpoint.
    pub vtep: Vtep,
    /// Next hops on ports without a twin.
    pub neighbours: Vec<Neighbour>,
}

/// A port towards the other VTEPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderlayPort {
    /// The port itself.
    pub port: Port,
    /// The Linux interface that gets what is not tunnel traffic.
    pub twin: Option<Twin>,
}

/// A Linux interface paired with an underlay port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Interface name, at most 15 bytes.
    pub name: String,
    /// Addresses put on the interface at start.
    pub addresses: Vec<IpNet>,
}

/// This tunnel endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// Source of what is sent to IPv4 peers, destination of what is decapsulated. One of both families at least.
    pub ipv4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// UDP port that VXLAN arrives at, 4789 by RFC 7348.
    pub vxlan_port: u16,
    /// What happens to VXLAN with reserved bits set.
    pub reserved_bits: ReservedBits,
    /// What happens to UDP over IPv6 without a checksum.
    pub udp6_zero_checksum: ZeroChecksum,
    /// How long routers are believed what they say of a path's MTU; `None`: they are not.
    pub path_mtu_ageing: Option<Duration>,
    /// What outer headers say, unless a peer says otherwise.
    pub marking: Marking,
    /// How packets that come in fragments are put together; `None`: they are dropped.
    pub fragments: Option<Reassembly>,
}

/// What happens to VXLAN packets with reserved bits set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedBits {
    /// RFC 7348 section 5.
    Ignore,
    /// As Linux does since 6.14.
    Drop,
}

/// What happens to UDP over IPv6 without a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroChecksum {
    /// RFC 8200 section 8.1.
    Drop,
    /// RFC 6935.
    Accept,
}

/// A next hop that is not resolved by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Address of the peer.
    pub ip: IpAddr,
    /// Destination MAC of what is sent there.
    pub mac: MacAddr,
    /// Name of an underlay port without a twin.
    pub port: String,
}

/// What the networks must know of the underlay, whatever errors it has.
#[derive(Default)]
pub(super) struct Reach {
    /// This VTEP's addresses, and their lines in the file that is being read.
    pub own: Vec<(IpAddr, Option<u32>)>,
    /// Errors leave open which addresses this VTEP has.
    pub own_unknown: bool,
    /// UDP port of peers that name none.
    pub vxlan_port: u16,
    /// Whether the kernel resolves next hops; also true if errors leave that open.
    pub resolves: bool,
    /// Peers with a static neighbour.
    pub neighbours: HashSet<IpAddr>,
}

impl Reach {
    /// Of an underlay without errors.
    pub fn of(underlay: &Underlay) -> Self {
        let Vtep { ipv4, ipv6, vxlan_port, .. } = underlay.vtep;
        let own = ipv4.map(IpAddr::V4).into_iter().chain(ipv6.map(IpAddr::V6));
        Self {
            own: own.map(|address| (address, None)).collect(),
            own_unknown: false,
            vxlan_port,
            resolves: underlay.ports.iter().any(|port| port.twin.is_some()),
            neighbours: underlay.neighbours.iter().map(|neighbour| neighbour.ip).collect(),
        }
    }

    /// Whether this VTEP has an address of the same family.
    pub fn has_family(&self, address: IpAddr) -> bool {
        self.own_unknown || self.own.iter().any(|(own, _)| own.is_ipv4() == address.is_ipv4())
    }
}

/// What the twins are, also those of ports with errors.
#[derive(Default)]
struct Twins {
    /// For each underlay port, whether it has one.
    present: Vec<bool>,
    addresses: Vec<IpNet>,
    /// An address could not be read, so that it is open what else there is.
    addresses_unknown: bool,
    seen: Unique<IpAddr>,
}

pub(super) fn underlay(item: &Item<'_>, ports: &mut Ports) -> (Option<Underlay>, Reach) {
    let mut reach =
        Reach { vxlan_port: 4789, resolves: true, own_unknown: true, ..Reach::default() };
    let Some(fields) = item.fields(&UNDERLAY) else { return (None, reach) };

    let mut twins = Twins::default();
    let list = fields.required("ports", "ports: [{name: up0, device: net_tap0}]", |item| {
        let items = item.list()?;
        if items.is_empty() {
            return item.expected("at least one port");
        }
        let read = |item| underlay_port(&item, ports, &mut twins);
        Some(items.into_iter().filter_map(read).collect::<Vec<_>>())
    });
    reach.resolves = list.is_none() || twins.present.contains(&true);

    let vtep =
        fields.required("vtep", "vtep: {ipv4: 192.0.2.1}", |item| vtep(&item, &twins, &mut reach));
    let mut seen = Unique::default();
    let neighbours = fields.or("neighbours", Vec::new(), |item| {
        item.list_of(|item| neighbour(&item, ports, &twins, &mut seen, &mut reach))
    });
    reach.resolves |= neighbours.is_none() || fields.is_misspelt("neighbours");
    let whole = || Some(Underlay { ports: list?, vtep: vtep?, neighbours: neighbours? });
    (whole(), reach)
}

fn underlay_port(item: &Item<'_>, ports: &mut Ports, twins: &mut Twins) -> Option<UnderlayPort> {
    let Some(fields) = item.fields(&PORT) else {
        twins.present.push(true);
        twins.addresses_unknown = true;
        ports.queues_unknown = true;
        return None;
    };
    let port = ports.read_underlay(&fields);
    let has_twin = fields.get("twin").is_some() || fields.is_misspelt("twin");
    twins.present.push(has_twin);
    twins.addresses_unknown |= fields.is_misspelt("addresses");
    let twin = fields.or("twin", None, |item| ports.twin(&item).map(Some));
    let addresses = fields.or("addresses", Vec::new(), |item| {
        if !has_twin {
            item.error("addresses are put on the port's twin, and it has none; add 'twin: NAME' or remove them");
        }
        item.list_of(|item| address(&item, twins))
    });
    let (port, twin, addresses) = (port?, twin?, addresses?);
    Some(UnderlayPort { port, twin: twin.map(|name| Twin { name, addresses }) })
}

fn address(item: &Item<'_>, twins: &mut Twins) -> Option<IpNet> {
    let address: Option<IpNet> =
        item.parse("an address with its prefix length, such as 192.0.2.1/24");
    twins.addresses_unknown |= address.is_none();
    let address = address?;
    if let Some(earlier) = twins.seen.earlier(address.addr(), &item.path, item) {
        item.error(format_args!(
            "{} is already given by {earlier}; give each address once",
            address.addr()
        ));
    }
    twins.addresses.push(address);
    Some(address)
}

fn vtep(item: &Item<'_>, twins: &Twins, reach: &mut Reach) -> Option<Vtep> {
    let fields = item.fields(&VTEP)?;
    let ipv4 = fields.or("ipv4", None, |item| {
        let address = scalar::unicast_ipv4(&item)?;
        own_address(&item, address.into(), twins, reach);
        Some(Some(address))
    });
    let ipv6 = fields.or("ipv6", None, |item| {
        let address = scalar::unicast_ipv6(&item)?;
        own_address(&item, address.into(), twins, reach);
        Some(Some(address))
    });
    let misspelt = fields.is_misspelt("ipv4") || fields.is_misspelt("ipv6");
    reach.own_unknown = ipv4.is_none() || ipv6.is_none() || misspelt;
    if (ipv4, ipv6) == (Some(None), Some(None)) {
        reach.own_unknown = true;
        if !misspelt {
            item.error("this VTEP has no address; add 'ipv4: 192.0.2.1' or 'ipv6: 2001:db8::1'");
        }
    }
    let vxlan_port = fields.or("vxlan_port", 4789, |item| item.number());
    reach.vxlan_port = vxlan_port.unwrap_or(4789);
    let reserved_bits = fields.or("reserved_bits", ReservedBits::Ignore, |item| {
        item.choice(&[("ignore", ReservedBits::Ignore), ("drop", ReservedBits::Drop)])
    });
    let udp6_zero_checksum = fields.or("udp6_zero_checksum", ZeroChecksum::Drop, |item| {
        item.choice(&[("drop", ZeroChecksum::Drop), ("accept", ZeroChecksum::Accept)])
    });
    let path_mtu_ageing =
        fields.or("path_mtu", Some(PATH_MTU_AGEING), |item| path::path_mtu(&item));
    let dscp = fields.or("dscp", Dscp::default(), |item| marking::dscp(&item));
    let ttl = fields.or("ttl", Ttl::default(), |item| marking::ttl(&item));
    let fragments = fields.or("fragments", None, |item| path::fragments(&item));
    Some(Vtep {
        ipv4: ipv4?,
        ipv6: ipv6?,
        vxlan_port: vxlan_port?,
        reserved_bits: reserved_bits?,
        udp6_zero_checksum: udp6_zero_checksum?,
        path_mtu_ageing: path_mtu_ageing?,
        marking: Marking { dscp: dscp?, ttl: ttl? },
        fragments: fragments?,
    })
}

fn own_address(item: &Item<'_>, address: IpAddr, twins: &Twins, reach: &mut Reach) {
    reach.own.push((address, Some(item.line)));
    let given = &twins.addresses;
    // A prefix that holds the address is not enough: the kernel answers ARP for what it owns.
    let known = !given.is_empty() && !twins.addresses_unknown;
    if known && !given.iter().any(|net| net.addr() == address) {
        let list: Vec<String> = given.iter().map(IpNet::to_string).collect();
        item.error(format_args!(
            "{address} is none of the addresses of the twins ({}); use one of them or add it there",
            list.join(", ")
        ));
    }
}

fn neighbour(
    item: &Item<'_>,
    ports: &Ports,
    twins: &Twins,
    seen: &mut Unique<IpAddr>,
    reach: &mut Reach,
) -> Option<Neighbour> {
    let Some(fields) = item.fields(&NEIGHBOUR) else {
        reach.resolves = true;
        return None;
    };
    let ip = fields.required("ip", "ip: 192.0.2.2", |item| {
        let ip = scalar::unicast(&item)?;
        if let Some(earlier) = seen.earlier(ip, &item.path, &item) {
            item.error(format_args!(
                "{ip} is already given by {earlier}; give each neighbour once"
            ));
        }
        if let Some((_, Some(line))) = reach.own.iter().find(|(own, _)| *own == ip) {
            item.error(format_args!(
                "{ip} is this VTEP's own address (line {line}); a neighbour is another host"
            ));
        }
        Some(ip)
    });
    match ip {
        Some(ip) => drop(reach.neighbours.insert(ip)),
        None => reach.resolves = true,
    }
    let mac =
        fields.required("mac", "mac: \"02:00:00:00:00:02\"", |item| scalar::unicast_mac(&item));
    let port = fields.required("port", "port: up0", |item| {
        let port = ports.find(&item, Kind::Underlay)?;
        if twins.present.get(port) == Some(&true) {
            item.error(
                "this port has a twin, so the kernel resolves its neighbours; remove the entry, or the port's 'twin'",
            );
        }
        item.as_text().map(str::to_owned)
    });
    Some(Neighbour { ip: ip?, mac: mac?, port: port? })
}
