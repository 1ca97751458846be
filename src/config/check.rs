//! What one key cannot tell: names, references, collisions, and the plan as a whole.

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::read::{Item, Messages, Section, nearest};
use super::{Config, Member, UnderlayPort};
use crate::wire::{MacAddr, Vni};

/// What has been named so far, and in which line.
#[derive(Default)]
pub struct Names {
    ports: HashMap<String, u64>,
    devices: HashMap<String, u64>,
    twins: HashMap<String, u64>,
    networks: HashMap<String, u64>,
    vnis: HashMap<Vni, u64>,
    members: HashMap<(usize, Option<u16>), u64>,
    own: Option<Ipv4Addr>,
}

/// Notes a name, and complains if it is taken.
fn claim<K: std::hash::Hash + Eq>(
    taken: &mut HashMap<K, u64>,
    key: K,
    item: &Item,
    message: impl Fn(u64) -> String,
) {
    match taken.get(&key) {
        Some(line) => item.wrong(message(*line)),
        None => {
            taken.insert(key, item.line);
        }
    }
}

impl Names {
    pub fn port(&mut self, item: &Item, name: &str) {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.len() > 32 || !name.chars().all(letters) {
            item.wrong(format!(
                "'{name}' is not a port name; use up to 32 letters, digits, '-', '_' and '.'"
            ));
        }
        claim(&mut self.ports, name.to_owned(), item, |line| {
            format!("'{name}' is already a port's name (line {line}); give each port its own")
        });
    }

    pub fn device(&mut self, item: &Item, device: &str) {
        let name = device.split(',').next().unwrap_or(device).to_owned();
        if name.is_empty() {
            item.wrong("no device; give a PCI address or devargs, such as \"net_tap0,iface=vm1\"");
        }
        claim(&mut self.devices, name.clone(), item, |line| {
            format!(
                "the device {name} is already used (line {line}); number virtual devices apart, as in net_tap0, net_tap1"
            )
        });
    }

    pub fn twin(&mut self, item: &Item, name: &str) {
        claim(&mut self.twins, name.to_owned(), item, |line| {
            format!("'{name}' is already a twin's name (line {line})")
        });
    }

    pub fn network(&mut self, item: &Item, name: &str) {
        claim(&mut self.networks, name.to_owned(), item, |line| {
            format!("'{name}' is already a network's name (line {line})")
        });
    }

    pub fn vni(&mut self, item: &Item, vni: Vni) {
        claim(&mut self.vnis, vni, item, |line| {
            format!("{vni} is already a network's VNI (line {line}); give each network its own")
        });
    }

    pub fn member(&mut self, item: &Item, name: &str, member: Member) {
        claim(&mut self.members, (member.port, member.vlan), item, |line| match member.vlan {
            Some(vlan) => {
                format!("VLAN {vlan} of port '{name}' is already in a network (line {line})")
            }
            None => format!(
                "port '{name}' is already in a network (line {line}); to share it, give VLANs: {{port: {name}, vlan: 10}}"
            ),
        });
    }

    pub fn peer(&self, item: &Item, address: Ipv4Addr) {
        if self.own == Some(address) {
            item.wrong(format!("{address} is this VTEP's own address; name the other side's"));
        }
    }

    pub fn own_address(&mut self, address: Ipv4Addr) {
        self.own = Some(address);
    }
}

/// An address that a VTEP can have.
pub fn unicast(item: &Item) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = item.parsed("an IPv4 address, such as 192.0.2.2")?;
    let wrong = match address {
        _ if address.is_multicast() => "a multicast address",
        _ if address.is_broadcast() => "the broadcast address",
        _ if address.is_unspecified() => "no address at all",
        _ if address.is_loopback() => "a loopback address",
        _ => return Some(address),
    };
    item.wrong(format!("{address} is {wrong}; name a host's address"));
    None
}

/// A MAC that a station can have.
pub fn station(item: &Item) -> Option<MacAddr> {
    let text = item.text()?;
    match text.parse::<MacAddr>() {
        Ok(mac) if mac.is_multicast() || mac.is_zero() => {
            item.wrong(format!("{mac} is not a station's address: it is a group address or zero"));
            None
        }
        Ok(mac) => Some(mac),
        Err(error) => {
            item.wrong(error);
            None
        }
    }
}

/// A name that Linux takes for an interface.
pub fn interface_name(item: &Item, name: &str) {
    let letters = |letter: char| letter.is_ascii_graphic() && !"/:".contains(letter);
    if name.is_empty() || name.len() > 15 || !name.chars().all(letters) {
        item.wrong(format!("'{name}' is not an interface name: at most 15 letters, no '/' or ':'"));
    }
}

/// The index of a name.
pub fn find<'n>(
    item: &Item,
    name: &str,
    names: impl Iterator<Item = Option<&'n str>> + Clone,
    what: &str,
) -> Option<usize> {
    if let Some(index) = names.clone().position(|known| known == Some(name)) {
        return Some(index);
    }
    let hint = match nearest(name, names.clone().flatten()) {
        Some(near) => format!("; did you mean '{near}'?"),
        None => format!("; known: {}", names.flatten().collect::<Vec<_>>().join(", ")),
    };
    item.wrong(format!("'{name}' is not {what}{hint}"));
    None
}

/// Whether the VTEP's address is one of those that are put on twins, if any are.
pub fn vtep_address(section: &Section, address: Ipv4Addr, ports: &[UnderlayPort]) {
    let mut given = ports.iter().flat_map(|port| &port.addresses).peekable();
    if given.peek().is_some() && !given.any(|net| net.addr() == address) {
        section.item().wrong(format!(
            "vtep.ipv4 {address} is not among the ports' addresses; add it there, or leave addresses out and set them with ip(8)"
        ));
    }
}

/// What only the whole plan shows.
pub fn whole(config: &Config, section: &Section, warnings: &mut Messages) {
    let queues = config.receive_queues();
    let workers = config.cores.workers.len();
    if workers > queues {
        section.item().wrong(format!(
            "{workers} workers for {queues} receive queues: a worker without a queue has nothing to do; name fewer cores, or raise the ports' queues"
        ));
    }
    let has_twin = config.underlay.ports.iter().any(|port| port.twin.is_some());
    for network in &config.networks {
        for peer in &network.flood_peers {
            let known = config.underlay.neighbours.iter().any(|neighbour| neighbour.ip == *peer);
            if !has_twin && !known {
                section.item().wrong(format!(
                    "network '{}': nothing tells the next hop of peer {peer}; give an underlay port a twin, or the peer an entry in underlay.neighbours",
                    network.name
                ));
            }
        }
    }
    for (index, port) in config.access.iter().enumerate() {
        let used = config.networks.iter().flat_map(|network| &network.members);
        if !used.clone().any(|member| member.port == index) {
            let line = section.item().line;
            warnings.add(line, format!("access port '{}' is in no network", port.name));
        }
    }
    for network in &config.networks {
        if network.members.is_empty() {
            let line = section.item().line;
            warnings.add(line, format!("network '{}' has no access ports", network.name));
        }
    }
}
