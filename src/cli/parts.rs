//! `ferry net`, `port`, `mac` and `peer`: what each changes in the running configuration.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::network_id::NetworkId;
use super::plan::Wanted;
use crate::api::client::{Client, ClientError};
use crate::wire::MacAddr;

/// A part of the configuration that can be changed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A network.
    Network(NetworkId),
    /// An access port, by its name.
    Port(String),
    /// A static MAC of a network.
    Mac(NetworkId, MacAddr),
    /// A flood peer of a network.
    Peer(NetworkId, IpAddr),
}

impl Part {
    /// Where it is in the API.
    pub(super) fn path(&self, client: &mut Client) -> Result<String, ClientError> {
        let mut at = |network: &NetworkId| Ok(format!("/v1/networks/{}", network.vni(client)?));
        match self {
            Part::Network(network) => at(network),
            Part::Port(name) => Ok(format!("/v1/ports/{}", encoded(name))),
            Part::Mac(network, mac) => Ok(at(network)? + &format!("/macs/{mac}")),
            Part::Peer(network, address) => Ok(at(network)? + &format!("/peers/{address}")),
        }
    }
}

/// With what a path cannot hold in percent-encoding (RFC 3986 section 2.1).
fn encoded(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(is_plain) {
        return text.into();
    }
    let encode = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// As a file says; `-` is the standard input.
    File(PathBuf),
    /// As the arguments say, in JSON.
    Arguments(String),
}

#[derive(Args)]
pub(super) struct Id {
    /// The network, by its VNI or its name
    #[arg(value_name = "NETWORK")]
    network: NetworkId,
}

#[derive(Args)]
pub(super) struct NetworkFile {
    #[command(flatten)]
    network: Id,
    /// YAML or JSON; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Subcommand)]
pub(super) enum NetChange {
    /// Add a network: FILE is an element of 'networks' in the configuration; its 'vni' may be left out
    Add(NetworkFile),
    /// Add a network, or put another in its place
    Set(NetworkFile),
    /// Remove a network, if there is one
    Del(Id),
}

impl NetChange {
    pub fn wanted(self) -> Wanted {
        let set = |NetworkFile { network: Id { network }, file }, is_new| Wanted::Set {
            part: Part::Network(network),
            content: Content::File(file),
            is_new,
        };
        match self {
            NetChange::Add(network) => set(network, true),
            NetChange::Set(network) => set(network, false),
            NetChange::Del(Id { network }) => Wanted::Remove(vec![Part::Network(network)]),
        }
    }
}

#[derive(Args)]
pub(super) struct PortArguments {
    /// The port's name
    #[arg(value_name = "NAME")]
    name: String,
    /// PCI address or DPDK devargs, such as net_tap3,iface=vm3
    #[arg(value_name = "DEVICE")]
    device: String,
    /// RX queues
    #[arg(long, value_name = "NUMBER")]
    queues: Option<u16>,
    /// Largest packet
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,
    #[command(flatten)]
    more: More,
}

#[derive(Args)]
struct More {
    /// Any other key that the configuration has here, with its value in YAML
    #[arg(short, long = "option", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, Value)>,
}

fn key_value(text: &str) -> Result<(String, Value), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let read = serde_saphyr::from_str_with_options(value, options);
    let value = read.unwrap_or_else(|_| value.into());
    Ok((key.to_owned(), value))
}

impl More {
    /// A mapping of these and other keys, as far as they have values.
    fn with<const N: usize>(self, keys: [(&str, Option<Value>); N]) -> Content {
        let keys = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let all: Map<_, _> = keys.chain(self.options).collect();
        Content::Arguments(Value::Object(all).to_string())
    }
}

#[derive(Subcommand)]
pub(super) enum PortChange {
    /// Add an access port; then 'ferry net set' puts it into a network
    Add(PortArguments),
    /// Add an access port, or give it these settings in the place of all that it has
    Set(PortArguments),
    /// Remove an access port, if there is one; no network may use it any more
    Del {
        /// The port's name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl PortChange {
    pub fn wanted(self) -> Wanted {
        let set = |PortArguments { name, device, queues, mtu, more }, is_new| {
            let (queues, mtu) = (queues.map(Value::from), mtu.map(Value::from));
            let keys = [("device", Some(device.into())), ("queues", queues), ("mtu", mtu)];
            Wanted::Set { part: Part::Port(name), content: more.with(keys), is_new }
        };
        match self {
            PortChange::Add(port) => set(port, true),
            PortChange::Set(port) => set(port, false),
            PortChange::Del { name } => Wanted::Remove(vec![Part::Port(name)]),
        }
    }
}

#[derive(Args)]
pub(super) struct MacPlace {
    #[command(flatten)]
    network: Id,
    /// The MAC
    #[arg(value_name = "MAC")]
    mac: MacAddr,
    /// It is at this access port
    #[arg(long, value_name = "NAME", required_unless_present = "peer")]
    port: Option<String>,
    /// In this VLAN of the port
    #[arg(long, value_name = "ID", requires = "port")]
    vlan: Option<u16>,
    /// In this VLAN within that VLAN
    #[arg(long, value_name = "ID", requires = "vlan")]
    inner_vlan: Option<u16>,
    /// It is behind this VTEP
    #[arg(long, value_name = "ADDRESS", conflicts_with = "port")]
    peer: Option<IpAddr>,
    /// An address of it, for networks that answer ARP; may be given more than once
    #[arg(long = "ip", value_name = "ADDRESS")]
    ips: Vec<IpAddr>,
}

#[derive(Subcommand)]
pub(super) enum MacChange {
    /// Add a static MAC
    Add(MacPlace),
    /// Add a static MAC, or put it elsewhere
    Set(MacPlace),
    /// Remove static MACs, where they are there
    Del {
        #[command(flatten)]
        network: Id,
        /// The MACs
        #[arg(value_name = "MAC", required = true)]
        macs: Vec<MacAddr>,
    },
    /// Replace all static MACs of a network: FILE is a list as under 'macs' in the configuration
    Replace(NetworkFile),
    /// Forget learned MACs: all, or those that fit; they are flooded to until they are seen again
    Flush {
        /// Only those of this network, by its VNI or its name
        #[arg(long, visible_alias = "vni", value_name = "NETWORK")]
        network: Option<NetworkId>,
        /// Only those at this access port
        #[arg(long, value_name = "NAME")]
        port: Option<String>,
        /// Only those behind this VTEP
        #[arg(long, value_name = "ADDRESS", conflicts_with = "port")]
        peer: Option<IpAddr>,
    },
}

impl MacChange {
    pub fn wanted(self) -> Wanted {
        let set = |place: MacPlace, is_new| {
            let MacPlace { network: Id { network }, mac, port, vlan, inner_vlan, peer, ips } =
                place;
            let ips = ips.iter().map(|ip| Value::from(ip.to_string())).collect::<Vec<_>>();
            let more = More { options: Vec::new() };
            let content = more.with([
                ("port", port.map(Value::from)),
                ("vlan", vlan.map(Value::from)),
                ("inner_vlan", inner_vlan.map(Value::from)),
                ("peer", peer.map(|peer| peer.to_string().into())),
                ("ips", (!ips.is_empty()).then_some(ips.into())),
            ]);
            Wanted::Set { part: Part::Mac(network, mac), content, is_new }
        };
        match self {
            MacChange::Add(place) => set(place, true),
            MacChange::Set(place) => set(place, false),
            MacChange::Del { network: Id { network }, macs } => {
                let of = |mac| Part::Mac(network.clone(), mac);
                Wanted::Remove(macs.into_iter().map(of).collect())
            }
            MacChange::Replace(NetworkFile { network: Id { network }, file }) => {
                Wanted::Macs { network, file }
            }
            MacChange::Flush { network, port, peer } => Wanted::Flush { network, port, peer },
        }
    }
}

#[derive(Args)]
pub(super) struct PeerId {
    #[command(flatten)]
    network: Id,
    /// The other VTEP's address
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,
}

#[derive(Args)]
pub(super) struct PeerArguments {
    #[command(flatten)]
    peer: PeerId,
    /// What it speaks: vxlan, nvgre or gre, unless it is what its network does
    #[arg(long, value_name = "NAME")]
    encap: Option<String>,
    /// The UDP port that it is sent to
    #[arg(long, value_name = "NUMBER")]
    port: Option<u16>,
    /// The network's ID there
    #[arg(long, value_name = "NUMBER")]
    id: Option<u32>,
    #[command(flatten)]
    more: More,
}

#[derive(Subcommand)]
pub(super) enum PeerChange {
    /// Add a peer that gets what the network floods
    Add(PeerArguments),
    /// Add a peer, or give it these settings in the place of all that it has
    Set(PeerArguments),
    /// Remove a peer, if there is one
    Del(PeerId),
}

impl PeerChange {
    pub fn wanted(self) -> Wanted {
        let part = |PeerId { network: Id { network }, address }| Part::Peer(network, address);
        let set = |PeerArguments { peer, encap, port, id, more }, is_new| {
            let (encap, port) = (encap.map(Value::from), port.map(Value::from));
            let content =
                more.with([("encap", encap), ("port", port), ("id", id.map(Value::from))]);
            Wanted::Set { part: part(peer), content, is_new }
        };
        match self {
            PeerChange::Add(peer) => set(peer, true),
            PeerChange::Set(peer) => set(peer, false),
            PeerChange::Del(peer) => Wanted::Remove(vec![part(peer)]),
        }
    }
}
