//! From the tree to the plan, key by key.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::check::{self, Names};
use super::read::{Item, Messages, Section};
use super::units::{Bytes, Seconds};
use super::{
    Config, Cores, Eal, Member, Neighbour, Network, Place, Port, StaticMac, Underlay, UnderlayPort,
};
use crate::wire::{MacAddr, Vni, vxlan};
use crate::worker::Idle;

const DEFAULT_MEMORY: u64 = 512 << 20;
const DEFAULT_SOCKET: &str = "/run/ferry/ferry.sock";
const DEFAULT_AGEING: Duration = Duration::from_secs(300);
const LONGEST_AGEING: Duration = Duration::from_secs(9 * 3600);
const DEFAULT_MAC_LIMIT: u32 = 8192;
const MTU: u16 = 1500;

/// The whole file. `None` where so much is missing that there is no plan; messages say what.
pub fn config(root: Item, warnings: &mut Messages) -> Option<Config> {
    let section = root.section()?;
    let eal = eal(section.get("eal"));
    let cores = section.get("cores").as_ref().and_then(cores);
    let socket = section.get("api").and_then(|item| item.section()?.get("socket")?.text());
    let mut names = Names::default();
    let underlay_item = section.need("underlay", "{ports: [...], vtep: {ipv4: 192.0.2.1}}");
    let underlay = underlay_item.as_ref().and_then(|item| underlay(item, &mut names));
    if let Some(underlay) = &underlay {
        names.own_address(underlay.address);
    }
    let access = section.get("access").map_or(Vec::new(), |item| access(&item, &mut names));
    let networks_item = section.get("networks");
    let networks = networks_item.map_or(Vec::new(), |item| networks(&item, &access, &mut names));
    let config = Config {
        eal,
        cores: cores.unwrap_or(Cores { control: 0, workers: vec![1], idle: Idle::Yield }),
        socket: socket.unwrap_or_else(|| DEFAULT_SOCKET.to_owned()).into(),
        underlay: underlay?,
        access: access.into_iter().flatten().collect(),
        networks,
        warnings: Vec::new(),
    };
    check::whole(&config, &section, warnings);
    Some(config)
}

fn eal(item: Option<Item>) -> Eal {
    let section = item.and_then(|item| item.section());
    let get = |key| section.as_ref().and_then(|section| section.get(key));
    let hugepages = get("hugepages").and_then(|item| item.boolean()).unwrap_or(false);
    let memory = get("memory").and_then(|item| {
        let Bytes(bytes) = item.parsed("a size, such as 512MiB or 2GiB")?;
        if bytes < 64 << 20 {
            item.wrong("packet memory is at least 64MiB");
        }
        Some(bytes)
    });
    let mbufs = get("mbufs").and_then(|item| item.number(1024..=1 << 28u32));
    let args =
        get("args").map_or(Vec::new(), |item| item.list().iter().filter_map(Item::text).collect());
    let default = (!hugepages).then_some(DEFAULT_MEMORY);
    Eal { hugepages, memory: memory.or(default), mbufs, args }
}

fn cores(item: &Item) -> Option<Cores> {
    let section = item.section()?;
    let control = section.get("control").and_then(|item| item.number(0..=1023u16)).unwrap_or(0);
    let mut workers: Vec<usize> = Vec::new();
    if let Some(list) = section.need("workers", "[1]") {
        for item in list.list() {
            let Some(cpu) = item.number(0..=1023u16) else { continue };
            let cpu = usize::from(cpu);
            if workers.contains(&cpu) {
                item.wrong(format!("core {cpu} has a worker already; name each core once"));
            } else if cpu == usize::from(control) {
                item.wrong(format!(
                    "core {cpu} is the control core; give workers cores of their own"
                ));
            } else {
                workers.push(cpu);
            }
        }
        if list.list().is_empty() {
            list.wrong("no worker: name at least one core, such as [1]");
        }
    }
    let words = [("spin", Idle::Spin), ("yield", Idle::Yield), ("sleep", Idle::Sleep)];
    let idle = section.get("idle").and_then(|item| item.word(&words)).unwrap_or(Idle::Yield);
    Some(Cores { control: control.into(), workers, idle })
}

fn underlay(item: &Item, names: &mut Names) -> Option<Underlay> {
    let section = item.section()?;
    let mut ports = Vec::new();
    if let Some(list) = section.need("ports", "[{name: up0, device: \"0000:3b:00.0\"}]") {
        for item in list.list() {
            ports.push(underlay_port(&item, names));
        }
        if ports.is_empty() {
            list.wrong("no underlay port: peers could not be reached");
        }
    }
    let vtep = section.need("vtep", "{ipv4: 192.0.2.1}").and_then(|item| vtep(&item));
    let resolved: Vec<UnderlayPort> = ports.iter().flatten().cloned().collect();
    let neighbours = section.get("neighbours").map_or(Vec::new(), |list| {
        list.list().iter().filter_map(|item| neighbour(item, &ports)).collect()
    });
    let (address, vxlan_port) = vtep?;
    check::vtep_address(&section, address, &resolved);
    Some(Underlay { ports: resolved, address, vxlan_port, neighbours })
}

fn vtep(item: &Item) -> Option<(Ipv4Addr, u16)> {
    let section = item.section()?;
    if let Some(item) = section.get("ipv6") {
        item.wrong("an IPv6 underlay is not supported yet; set vtep.ipv4");
    }
    let port = section.get("vxlan_port").and_then(|item| item.number(1..=65535u16));
    let item = section.need("ipv4", "192.0.2.1")?;
    let address = check::unicast(&item)?;
    Some((address, port.unwrap_or(vxlan::PORT)))
}

fn underlay_port(item: &Item, names: &mut Names) -> Option<UnderlayPort> {
    let section = item.section()?;
    let port = port(&section, names);
    let twin = section.get("twin").and_then(|item| {
        let name = item.text()?;
        check::interface_name(&item, &name);
        names.twin(&item, &name);
        Some(name)
    });
    let mut addresses = Vec::new();
    if let Some(list) = section.get("addresses") {
        if twin.is_none() {
            list.wrong("addresses are put on the kernel twin; name one with twin: ferry-up0");
        }
        let right = "an address with its prefix length, such as 192.0.2.1/24";
        addresses.extend(list.list().iter().filter_map(|item| item.parsed::<Ipv4Net>(right)));
    }
    Some(UnderlayPort { port: port?, twin, addresses })
}

fn port(section: &Section, names: &mut Names) -> Option<Port> {
    let name_item = section.need("name", "vm1");
    let name = name_item.as_ref().and_then(Item::text);
    let device_item = section.need("device", "\"net_tap0,iface=vm1\"");
    let device = device_item.as_ref().and_then(Item::text);
    let queues = section.get("queues").and_then(|item| item.number(1..=64u16));
    let mtu = section.get("mtu").and_then(|item| item.number(576..=9600u16));
    let descriptors = |key| section.get(key).and_then(|item: Item| item.number(64..=32768u16));
    let (rx_descriptors, tx_descriptors) =
        (descriptors("rx_descriptors"), descriptors("tx_descriptors"));
    let (name, device) = (name?, device?);
    names.port(name_item.as_ref()?, &name);
    names.device(device_item.as_ref()?, &device);
    let (queues, mtu) = (queues.unwrap_or(1), mtu.unwrap_or(MTU));
    Some(Port { name, device, queues, mtu, rx_descriptors, tx_descriptors })
}

fn neighbour(item: &Item, ports: &[Option<UnderlayPort>]) -> Option<Neighbour> {
    let section = item.section()?;
    let ip = section.need("ip", "192.0.2.2").and_then(|item| check::unicast(&item));
    let mac = section.need("mac", "\"02:00:00:00:00:22\"").and_then(|item| check::station(&item));
    let port_item = section.need("port", "up0")?;
    let name = port_item.text()?;
    let names = ports.iter().map(|port| port.as_ref().map(|port| port.port.name.as_str()));
    let index = check::find(&port_item, &name, names, "an underlay port")?;
    Some(Neighbour { ip: ip?, mac: mac?, port: index })
}

/// Access ports; a faulty one keeps its place and name, so that references to it are no second error.
fn access(item: &Item, names: &mut Names) -> Vec<Option<Port>> {
    let Some(section) = item.section() else { return Vec::new() };
    section.get("ports").map_or(Vec::new(), |list| {
        let read = |item: &Item| item.section().and_then(|section| port(&section, names));
        list.list().iter().map(read).collect()
    })
}

fn networks(item: &Item, access: &[Option<Port>], names: &mut Names) -> Vec<Network> {
    item.list().iter().filter_map(|item| network(item, access, names)).collect()
}

fn network(item: &Item, access: &[Option<Port>], names: &mut Names) -> Option<Network> {
    let section = item.section()?;
    let vni = section.need("vni", "101").and_then(|item| {
        let number = item.number(1..=0x00ff_ffffu32)?;
        let vni = Vni::try_from(u64::from(number)).ok()?;
        names.vni(&item, vni);
        Some(vni)
    });
    let name = section.need("name", "tenant-a").and_then(|item| {
        let name = item.text()?;
        names.network(&item, &name);
        Some(name)
    });
    if let Some(item) = section.get("encap") {
        match item.text().as_deref() {
            Some("vxlan") | None => {}
            Some(other @ ("nvgre" | "gre")) => {
                item.wrong(format!("{other} is not supported yet; use vxlan"));
            }
            Some(other) => item.wrong(format!("'{other}' is not an encapsulation; use vxlan")),
        }
    }
    let members: Vec<Member> = section.get("ports").map_or(Vec::new(), |list| {
        list.list().iter().filter_map(|item| member(item, access, names)).collect()
    });
    let flood_peers = section.get("flood").map_or(Vec::new(), |item| flood(&item, names));
    let learning = section.get("learning").and_then(|item| item.boolean()).unwrap_or(true);
    let ageing = section.get("ageing").map_or(Some(DEFAULT_AGEING), |item| ageing(&item));
    let mac_limit = section.get("mac_limit").and_then(|item| item.number(0..=16_000_000u32));
    let words = [("drop", false), ("keep", true)];
    let keeps_inner_vlan = section.get("inner_vlan").and_then(|item| item.word(&words));
    let macs = section.get("macs").map_or(Vec::new(), |list| {
        let mut seen = Vec::new();
        let mut read = |item: &Item| static_mac(item, access, &members, names, &mut seen);
        list.list().iter().filter_map(&mut read).collect()
    });
    Some(Network {
        vni: vni?,
        name: name?,
        members,
        flood_peers,
        learning,
        ageing,
        mac_limit: mac_limit.unwrap_or(DEFAULT_MAC_LIMIT) as usize,
        keeps_inner_vlan: keeps_inner_vlan.unwrap_or(false),
        macs,
    })
}

/// `vm1`, or `{port: trunk0, vlan: 10}`.
fn member(item: &Item, access: &[Option<Port>], names: &mut Names) -> Option<Member> {
    let (name_item, vlan) = if item.is_section() {
        let section = item.section()?;
        let vlan = section.get("vlan").map(|item| item.number(1..=4094u16));
        (section.need("port", "trunk0")?, vlan)
    } else {
        (item.clone(), None)
    };
    let name = name_item.text()?;
    let port = check::find(&name_item, &name, port_names(access), "an access port")?;
    let member = Member { port, vlan: vlan.flatten() };
    names.member(item, &name, member);
    Some(member)
}

fn port_names(access: &[Option<Port>]) -> impl Iterator<Item = Option<&str>> + Clone {
    access.iter().map(|port| port.as_ref().map(|port| port.name.as_str()))
}

fn flood(item: &Item, names: &Names) -> Vec<Ipv4Addr> {
    let Some(section) = item.section() else { return Vec::new() };
    if let Some(item) = section.get("group") {
        item.wrong("a multicast underlay is not supported yet; list the peers");
    }
    let mut peers = Vec::new();
    for item in section.get("peers").map_or(Vec::new(), |list| list.list()) {
        let item = if item.is_section() {
            item.section().and_then(|section| section.need("address", "192.0.2.2"))
        } else {
            Some(item)
        };
        let Some(item) = item else { continue };
        let Some(address) = check::unicast(&item) else { continue };
        if peers.contains(&address) {
            item.wrong(format!("{address} is listed twice"));
        } else {
            names.peer(&item, address);
            peers.push(address);
        }
    }
    peers
}

fn ageing(item: &Item) -> Option<Duration> {
    if matches!(item.text().as_deref(), Some("0" | "off" | "never")) {
        return None;
    }
    let Seconds(age) = item.parsed("a duration, such as 300s, 5m or off")?;
    if age < Duration::from_secs(1) || age > LONGEST_AGEING {
        item.wrong("out of range; it is from 1s to 9h, or off");
    }
    Some(age)
}

fn static_mac(
    item: &Item,
    access: &[Option<Port>],
    members: &[Member],
    names: &Names,
    seen: &mut Vec<MacAddr>,
) -> Option<StaticMac> {
    let section = item.section()?;
    let mac_item = section.need("mac", "\"02:00:00:00:00:01\"")?;
    let mac = check::station(&mac_item)?;
    if seen.contains(&mac) {
        mac_item.wrong(format!("{mac} is listed twice in this network"));
    }
    seen.push(mac);
    if let Some(item) = section.get("ips") {
        item.wrong("ARP suppression is not supported yet; leave ips out");
    }
    let vlan = section.get("vlan").and_then(|item| item.number(1..=4094u16));
    let place = match (section.get("peer"), section.get("port")) {
        (Some(item), None) => {
            let address = check::unicast(&item)?;
            names.peer(&item, address);
            Place::Peer(address)
        }
        (None, Some(item)) => {
            let name = item.text()?;
            let port = check::find(&item, &name, port_names(access), "an access port")?;
            let of_port =
                |member: &Member| member.port == port && (vlan.is_none() || member.vlan == vlan);
            let Some(index) = members.iter().position(of_port) else {
                item.wrong(format!("'{name}' is not one of this network's ports; add it there"));
                return None;
            };
            Place::Member(index)
        }
        _ => {
            item.wrong("say where the MAC is: either peer: 192.0.2.2 or port: vm1");
            return None;
        }
    };
    Some(StaticMac { mac, place })
}
