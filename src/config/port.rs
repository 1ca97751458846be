//! What access ports and underlay ports have in common.

use std::collections::HashMap;
use std::fmt::{self, Display};

use super::Config;
use super::host::Cores;
use super::item::{Fields, Item, nearest};
use super::keys::underlay::BOND;
use super::scalar::{self, Unique};
use super::storm::{StormControl, storm_control};
use crate::dpdk::BondMode;

/// An Ethernet port of DPDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique among all ports and twins.
    pub name: String,
    /// PCI address or devargs, verbatim; of a bond what it is called.
    pub device: String,
    /// The devices that it is made of, where there are several; underlay ports only.
    pub bond: Option<Bond>,
    /// RX queues, 1 to 64.
    pub queues: u16,
    /// Bytes of the largest frame without its Ethernet header, VLAN tags and CRC.
    pub mtu: u16,
    /// Descriptors of an RX queue; `None` leaves the number to Ferry.
    pub rx_descriptors: Option<u16>,
    /// Descriptors of a TX queue; `None` leaves the number to Ferry.
    pub tx_descriptors: Option<u16>,
    /// What is left to the device, or to the guest behind it.
    pub offloads: Offloads,
    /// Whether the device is to take frames for any MAC, as far as it can; access ports only.
    pub promiscuous: bool,
    /// What of its frames may be flooded; access ports only.
    pub storm_control: Option<StormControl>,
}

/// Several devices that are one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// How they share the work.
    pub mode: BondMode,
    /// PCI addresses or devargs, verbatim; the first one is the one that works where only one does.
    pub members: Vec<String>,
}

pub(super) const BOND_MODES: &[(&str, BondMode)] =
    &[("active-backup", BondMode::ActiveBackup), ("lacp", BondMode::Lacp)];

impl Port {
    /// Its devices: one, or those that a bond is made of.
    pub fn devices(&self) -> &[String] {
        self.bond.as_ref().map_or(std::slice::from_ref(&self.device), |bond| &bond.members)
    }
}

/// The address of a PCI device, in full and in lower case; `None`: it is a virtual one.
pub fn pci_address_of(device: &str) -> Option<String> {
    pci_address(device.split(',').next()?)
}

/// Work on a frame that its sender may leave to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// Checksums, and cutting TCP packets into segments.
    On,
    /// Checksums.
    Checksums,
    /// Nothing.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    Underlay,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Access => "access port",
            Kind::Underlay => "underlay port",
        })
    }
}

/// What is known of all ports, those with errors too.
#[derive(Default)]
pub(super) struct Ports {
    /// Kind and position in its list.
    by_name: HashMap<String, (Kind, usize)>,
    names: Unique<String>,
    devices: Unique<String>,
    interfaces: Unique<String>,
    /// RX queues of all ports, less those whose number has an error.
    pub queues: u32,
    pub queues_unknown: bool,
}

impl Ports {
    /// Collects the names of the ports, so that the sections may refer to each other in any order.
    pub fn new(underlay: Option<Item<'_>>, access: Option<Item<'_>>) -> Self {
        let mut by_name = HashMap::new();
        for (kind, section) in [(Kind::Access, access), (Kind::Underlay, underlay)] {
            let ports = section.and_then(|section| section.key("ports"));
            for (index, port) in ports.iter().flat_map(|list| list.elements()).enumerate() {
                if let Some(name) = port.key("name").and_then(|name| name.as_text()) {
                    by_name.entry(name.to_owned()).or_insert((kind, index));
                }
            }
        }
        Ports { by_name, ..Ports::default() }
    }

    /// The ports of a configuration, to be found by name.
    pub fn of(config: &Config) -> Self {
        let underlay = config.underlay.ports.iter().map(|port| &port.port);
        let of = |kind| move |(index, port): (usize, &Port)| (port.name.clone(), (kind, index));
        let underlay = underlay.enumerate().map(of(Kind::Underlay));
        let access = config.access.iter().enumerate().map(of(Kind::Access));
        Ports { by_name: underlay.chain(access).collect(), ..Ports::default() }
    }

    /// The ports of a configuration but an access port, each of which has its name, device and interface.
    pub fn beside(config: &Config, name: &str) -> Self {
        let mut ports = Self::of(config);
        let underlay = config.underlay.ports.iter();
        let twins = underlay.clone().filter_map(|of| Some((&of.port, of.twin.as_ref()?)));
        twins.for_each(|(port, twin)| {
            let owner = format!("port '{}'", port.name);
            ports.names.known(twin.name.clone(), &owner);
            ports.interfaces.known(twin.name.clone(), &owner);
        });
        let access = config.access.iter().filter(|port| port.name != name);
        for port in access.chain(underlay.map(|of| &of.port)) {
            let owner = format!("port '{}'", port.name);
            ports.names.known(port.name.clone(), &owner);
            for (device, interface) in port.devices().iter().map(|device| device_parts(device)) {
                ports.devices.known(device, &owner);
                interface.iter().for_each(|of| ports.interfaces.known((*of).to_owned(), &owner));
            }
            ports.queues += u32::from(port.queues);
        }
        ports
    }

    /// Each worker polls RX queues of its own; one that gets none would burn its core for nothing. Says so.
    pub fn starved(&self, Cores { workers, .. }: &Cores) -> Option<String> {
        let (workers, queues) = (workers.len(), self.queues);
        (!self.queues_unknown && (queues as usize) < workers).then(|| {
            format!(
                "{workers} workers, but the ports have {queues} RX queue(s) in all, and a worker without a queue does nothing; \
                 list fewer workers or give ports more 'queues'"
            )
        })
    }

    /// What a port is, if there is one.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        self.by_name.get(name).map(|(kind, _)| *kind)
    }

    /// Reads the keys of an access port.
    pub fn read_access(&mut self, fields: &Fields<'_>) -> Option<Port> {
        let port = self.read(fields);
        let storm_control = fields.or("storm_control", None, |item| storm_control(&item))?;
        let promiscuous = fields.or("promiscuous", true, |item| item.boolean())?;
        Some(Port { storm_control, promiscuous, ..port? })
    }

    /// Reads the keys of an underlay port that access ports have as well, and those of its device.
    pub fn read_underlay(&mut self, fields: &Fields<'_>) -> Option<Port> {
        let Some(item) = fields.get("bond") else { return self.read(fields) };
        if let Some(device) = fields.get("device") {
            device.error(
                "the port's devices are the members of its 'bond'; remove this key, or 'bond'",
            );
        }
        let bond = self.bond(&item);
        self.read_with(fields, |_| Some(None)).zip(bond).map(|(port, bond)| Port {
            device: format!("net_bonding_{}", port.name),
            bond: Some(bond),
            ..port
        })
    }

    fn bond(&mut self, item: &Item<'_>) -> Option<Bond> {
        let fields = item.fields(&BOND)?;
        let mode = fields.required("mode", "mode: active-backup", |item| item.choice(BOND_MODES));
        let example = "members: [\"0000:3b:00.0\", \"0000:3b:00.1\"]";
        let members = fields.required("members", example, |item| {
            let members = item.list_of(|item| self.device(&item))?;
            // 8 are what DPDK can hold.
            if !(1..=8).contains(&members.len()) && item.elements().count() == members.len() {
                return item.expected("one to eight devices");
            }
            Some(members)
        });
        Some(Bond { mode: mode?, members: members? })
    }

    /// Reads the keys that both kinds of port have.
    pub fn read(&mut self, fields: &Fields<'_>) -> Option<Port> {
        self.read_with(fields, |ports| {
            fields.required("device", "device: net_tap0", |item| ports.device(&item)).map(Some)
        })
    }

    fn read_with(
        &mut self,
        fields: &Fields<'_>,
        device: impl FnOnce(&mut Self) -> Option<Option<String>>,
    ) -> Option<Port> {
        let name = fields.required("name", "name: port0", |item| self.name(&item));
        let device = device(self);
        let queues = fields.or("queues", 1, |item| item.number::<u16>());
        match queues {
            Some(queues) if !fields.is_misspelt("queues") => self.queues += u32::from(queues),
            _ => self.queues_unknown = true,
        }
        // IPv4 asks for 68 (RFC 791); beyond 9,600 no common NIC goes.
        let mtu = fields.or("mtu", 1500, |item| item.number());
        let offloads = fields.or("offloads", Offloads::On, |item| {
            let choices =
                [("on", Offloads::On), ("checksums", Offloads::Checksums), ("off", Offloads::Off)];
            item.choice(&choices)
        });
        let descriptors = |key| fields.or(key, None, |item| item.number().map(Some));
        let (rx_descriptors, tx_descriptors) =
            (descriptors("rx_descriptors"), descriptors("tx_descriptors"));
        Some(Port {
            name: name?,
            device: device?.unwrap_or_default(),
            bond: None,
            queues: queues?,
            mtu: mtu?,
            rx_descriptors: rx_descriptors?,
            tx_descriptors: tx_descriptors?,
            offloads: offloads?,
            promiscuous: true,
            storm_control: None,
        })
    }

    fn name(&mut self, item: &Item<'_>) -> Option<String> {
        let name = scalar::name(item)?;
        self.note_name(item, &name);
        Some(name)
    }

    /// The name of a twin's interface, which is the twin's as a port, too.
    pub fn twin(&mut self, item: &Item<'_>) -> Option<String> {
        let name = scalar::interface_name(item)?;
        self.note_name(item, &name);
        self.interface(item, &name);
        Some(name)
    }

    fn note_name(&mut self, item: &Item<'_>, name: &str) {
        if let Some(earlier) = self.names.earlier(name.to_owned(), owner(item), item) {
            item.error(format_args!(
                "'{name}' is already the name of {earlier}; give each port and each twin its own name"
            ));
        }
    }

    fn device(&mut self, item: &Item<'_>) -> Option<String> {
        let what = "a PCI address such as 0000:3b:00.0 or devargs such as net_tap0,iface=vm1";
        let text = item.text(what)?;
        if text.is_empty()
            || text.starts_with(',')
            || text.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return item.expected(what);
        }
        let (device, interface) = device_parts(text);
        if let Some(earlier) = self.devices.earlier(device.clone(), owner(item), item) {
            item.error(format_args!(
                "device '{device}' is already used by {earlier}; give each port its own device"
            ));
        }
        if let Some(interface) = interface {
            self.interface(item, interface);
        }
        Some(text.to_owned())
    }

    /// Notes an interface (or vhost-user socket) that a port or a twin uses.
    fn interface(&mut self, item: &Item<'_>, interface: &str) {
        if let Some(earlier) = self.interfaces.earlier(interface.to_owned(), owner(item), item) {
            item.error(format_args!(
                "interface '{interface}' is already used by {earlier}; give each port and each twin its own"
            ));
        }
    }

    /// The name that `item` gives of an access port.
    pub fn access(&self, item: &Item<'_>) -> Option<String> {
        self.find(item, Kind::Access)?;
        item.as_text().map(str::to_owned)
    }

    /// Position of the port that `item` names; it must be of the given kind.
    pub fn find(&self, item: &Item<'_>, kind: Kind) -> Option<usize> {
        let name = item.text(&format!("the name of an {kind}"))?;
        match self.by_name.get(name) {
            Some((found, index)) if *found == kind => Some(*index),
            _ => {
                item.error(self.unknown(name, kind));
                None
            }
        }
    }

    /// Says that no port of a kind has a name, and which may have been meant.
    pub fn unknown(&self, name: &str, kind: Kind) -> String {
        if let Some((other, _)) = self.by_name.get(name) {
            return format!("'{name}' is an {other}; name an {kind}");
        }
        let of_kind = self.by_name.iter().filter(|(_, (of, _))| *of == kind);
        let mut names: Vec<&str> = of_kind.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let instead = match nearest(name, &names) {
            Some(near) => format!("did you mean '{near}'?"),
            None if names.is_empty() => format!("the configuration has no {kind}s"),
            None => format!("name one of {}", names.join(", ")),
        };
        format!("no {kind} is called '{name}'; {instead}")
    }
}

/// The path of the port whose name, device or twin `item` is.
fn owner<'p>(item: &'p Item<'_>) -> &'p str {
    item.path.rsplit_once('.').map_or(item.path.as_str(), |(port, _)| port)
}

/// What a device is known by, and the interface or socket that it names.
pub fn device_parts(device: &str) -> (String, Option<&str>) {
    let mut parts = device.split(',');
    let name = canonical_device(parts.next().unwrap_or(device));
    (name, parts.find_map(|argument| argument.strip_prefix("iface=")))
}

/// One spelling for each device.
fn canonical_device(name: &str) -> String {
    pci_address(name).unwrap_or_else(|| name.to_owned())
}

/// In full and in lower case, as `/sys` has it; `None` for the name of a virtual device.
fn pci_address(name: &str) -> Option<String> {
    let (slot, function) = name.rsplit_once('.')?;
    let parts: Vec<_> = slot.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [domain, bus, device] => (domain, bus, device),
        [bus, device] => ("0", bus, device),
        _ => return None,
    };
    let hex = |part| u32::from_str_radix(part, 16).ok();
    let (domain, bus, device, function) = (hex(domain)?, hex(bus)?, hex(device)?, hex(function)?);
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_in_every_form() {
        for (name, address) in [
            ("0000:3b:00.0", Some("0000:3b:00.0")),
            ("3B:00.1", Some("0000:3b:00.1")),
            ("10000:e1:00.0", Some("10000:e1:00.0")),
            ("net_tap0", None),
            ("net_vhost0.1", None),
        ] {
            assert_eq!(pci_address(name).as_deref(), address, "{name}");
        }
    }
}
