//! A configuration with one part in another's place: what a request at run time asks for.
//!
//! Only that part is read, with the same rules and messages as in a file, beside all others, which have been.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use super::item::{Item, Report, nearest};
use super::keys::access::ACCESS_PORT;
use super::macs::{MacReader, Seen};
use super::mirror::{self, Mirror};
use super::network::{Network, Networks};
use super::peer::PeerReader;
use super::port::{Kind, Port, Ports};
use super::tree::{Entry, Node, Value};
use super::underlay::Reach;
use super::{Config, ConfigErrors, render, tree_of};
use crate::wire::{MacAddr, Vni};

impl Config {
    /// The network with an ID.
    pub fn network(&self, vni: u32) -> Option<&Arc<Network>> {
        self.networks.iter().find(|network| network.vni.get() == vni)
    }

    /// Says that no network has an ID, and which may have been meant.
    pub fn unknown_network(&self, vni: u32) -> String {
        let known: Vec<_> = self.networks.iter().map(|of| of.vni.get().to_string()).collect();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let instead = match nearest(&vni.to_string(), &known) {
            Some(near) => format!("did you mean {near}?"),
            None => "'ferry show networks' lists those that there are".to_owned(),
        };
        format!("no network has the VNI {vni}; {instead}")
    }

    /// With the network that `text` says, YAML or JSON, in the place of the one with its ID, or as one more. The text has
    /// the form of an element of `networks`; its `vni` may be left out. `name` stands in errors where the file's would.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_network(&self, vni: Vni, name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let mut root = tree_of(name, text)?;
        name_it(&mut root, "vni", Value::Integer(vni.get().into()));
        self.with_network_of(vni, name, root)
    }

    fn with_network_of(&self, vni: Vni, name: &str, root: Node) -> Result<Config, ConfigErrors> {
        let report = Report::new(name);
        let item = Item::root(&report, &root);
        let (ports, reach) = (Ports::of(self), Reach::of(&self.underlay));
        let mut reader = Networks::new(&ports, &reach);
        let others = self.networks.iter().filter(|network| network.vni != vni);
        others.for_each(|network| reader.known(network, &item));
        let network = reader.read(&item);
        if let Some(network) = &network {
            mirror::check(&self.mirrors, network, &item);
        }
        if let Some(network) = &network
            && network.vni != vni
            && let Some(item) = item.key("vni")
        {
            item.error(format_args!("this is network {vni}; give the same number, or none"));
        }
        let networks = network.map(|network| self.networks_with(network));
        reader.finish(networks.as_deref().unwrap_or_default());
        self.edited(networks, report)
    }

    /// Without the network that has an ID; the same where none has it.
    pub fn without_network(&self, vni: u32) -> Config {
        let others = self.networks.iter().filter(|network| network.vni.get() != vni);
        Config { networks: others.cloned().collect(), warnings: Vec::new(), ..self.clone() }
    }

    /// With other static MACs in one of its networks: a list in the form of `networks[].macs`, YAML or JSON. `name` stands
    /// in errors where the file's would.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_macs(
        &self,
        network: &Network,
        name: &str,
        text: &str,
    ) -> Result<Config, ConfigErrors> {
        let root = tree_of(name, text)?;
        let report = Report::new(name);
        let mut list = Item::root(&report, &root);
        list.path = "macs".to_owned();
        let macs = self.read_macs(network, |reader| list.list_of(|item| reader.read(&item)));
        let networks = macs.map(|macs| self.networks_with(Network { macs, ..network.clone() }));
        self.edited(networks, report)
    }

    /// With a static MAC in one of its networks, in the place of the same or as one more: an element of `networks[].macs`,
    /// YAML or JSON; its `mac` may be left out.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_mac(
        &self,
        network: &Network,
        mac: MacAddr,
        name: &str,
        text: &str,
    ) -> Result<Config, ConfigErrors> {
        let mut root = tree_of(name, text)?;
        name_it(&mut root, "mac", Value::Text(mac.to_string()));
        let report = Report::new(name);
        let item = Item::root(&report, &root);
        let read = self.read_macs(network, |reader| {
            network.macs.iter().filter(|of| of.mac != mac).for_each(|of| reader.seen.known(of));
            reader.read(&item)
        });
        if read.as_ref().is_some_and(|read| read.mac != mac) {
            same_name(&item, "mac", mac);
        }
        let networks = read.map(|read| {
            let mut macs = network.macs.clone();
            put(&mut macs, read, |of| of.mac == mac);
            self.networks_with(Network { macs, ..network.clone() })
        });
        self.edited(networks, report)
    }

    /// Without a static MAC in one of its networks; the same where there is none.
    pub fn without_mac(&self, network: &Network, mac: MacAddr) -> Config {
        let macs = network.macs.iter().filter(|of| of.mac != mac).cloned().collect();
        let networks = self.networks_with(Network { macs, ..network.clone() });
        Config { networks, warnings: Vec::new(), ..self.clone() }
    }

    fn read_macs<T>(&self, network: &Network, read: impl FnOnce(&mut MacReader<'_, '_>) -> T) -> T {
        let reach = Reach::of(&self.underlay);
        let mut peers = PeerReader::new(&reach);
        for other in &self.networks {
            if other.vni != network.vni {
                peers.known(other, &other.owner());
            }
        }
        read(&mut MacReader {
            ports: &Ports::of(self),
            peers: &mut peers,
            owner: &network.owner(),
            members: Some(&network.members),
            listed: &network.peers,
            usual: Some(network.usual),
            seen: Seen::default(),
        })
    }

    /// With a flood peer in one of its networks, in the place of the same or as one more: an element of
    /// `networks[].flood.peers`, YAML or JSON; its `address`, or all of it, may be left out.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_peer(
        &self,
        network: &Network,
        address: IpAddr,
        name: &str,
        text: &str,
    ) -> Result<Config, ConfigErrors> {
        let mut root = tree_of(name, text)?;
        if matches!(root.value, Value::Nothing) {
            root.value = Value::Text(address.to_string());
        }
        name_it(&mut root, "address", Value::Text(address.to_string()));
        let report = Report::new(name);
        let item = Item::root(&report, &root);
        if address_of(&root).is_some_and(|given| given != address) {
            same_name(&item, "address", address);
            return self.edited(None, report);
        }
        self.with_peers(network, name, |peers| {
            put(peers, root, |of| address_of(of) == Some(address));
        })
    }

    /// Without a flood peer in one of its networks; the same where there is none. `name` stands in errors where the file's
    /// would.
    ///
    /// # Errors
    /// Something else in the network needs it.
    pub fn without_peer(
        &self,
        network: &Network,
        address: IpAddr,
        name: &str,
    ) -> Result<Config, ConfigErrors> {
        self.with_peers(network, name, |peers| peers.retain(|of| address_of(of) != Some(address)))
    }

    /// All that a network says of its peers depends on each of them, so it is read anew.
    fn with_peers(
        &self,
        network: &Network,
        name: &str,
        edit: impl FnOnce(&mut Vec<Node>),
    ) -> Result<Config, ConfigErrors> {
        let text = render::network(network, &self.underlay.vtep).to_string();
        let mut root = tree_of(name, &text)?;
        let peers = ["flood", "peers"].iter().try_fold(&mut root, |node, key| {
            let Value::Mapping(entries) = &mut node.value else { return None };
            entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.node)
        });
        if let Some(Node { value: Value::List(peers), .. }) = peers {
            edit(peers);
        }
        self.with_network_of(network.vni, name, root)
    }

    /// The access port with a name.
    ///
    /// # Errors
    /// There is none; what may have been meant.
    pub fn access_port(&self, name: &str) -> Result<&Port, String> {
        let found = self.access.iter().find(|port| port.name == name);
        found.ok_or_else(|| Ports::of(self).unknown(name, Kind::Access))
    }

    /// With an access port, in the place of the one with its name or as one more: an element of `access.ports`, YAML or
    /// JSON; its `name` may be left out. `file` stands in errors where the file's name would.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_port(&self, name: &str, file: &str, text: &str) -> Result<Config, ConfigErrors> {
        let mut root = tree_of(file, text)?;
        name_it(&mut root, "name", Value::Text(name.to_owned()));
        let report = Report::new(file);
        let item = Item::root(&report, &root);
        let mut ports = Ports::beside(self, name);
        let port = item.fields(&ACCESS_PORT).and_then(|fields| ports.read_access(&fields));
        if port.as_ref().is_some_and(|port| port.name != name) {
            same_name(&item, "name", format_args!("'{name}'"));
        }
        if let Some(error) = ports.starved(&self.cores) {
            item.key("queues").as_ref().unwrap_or(&item).error(error);
        }
        let access = port.map(|port| {
            let mut access = self.access.clone();
            put(&mut access, port, |of| of.name == name);
            access
        });
        let edited = self.edited(access.is_some().then(|| self.networks.clone()), report)?;
        Ok(Config { access: access.unwrap_or_default(), ..edited })
    }

    /// Without an access port; the same where there is none.
    ///
    /// # Errors
    /// It is needed.
    pub fn without_port(&self, name: &str) -> Result<Config, PortInUse> {
        let access: Vec<_> = self.access.iter().filter(|port| port.name != name).cloned().collect();
        let config = Config { access, warnings: Vec::new(), ..self.clone() };
        if self.underlay.ports.iter().any(|port| port.port.name == name) {
            return Err(PortInUse::Underlay(name.to_owned()));
        }
        let is_member = |network: &&Arc<Network>| network.members.iter().any(|of| of.port == name);
        if let Some(network) = self.networks.iter().find(is_member) {
            return Err(PortInUse::Member(
                name.to_owned(),
                network.vni.get(),
                network.name.clone(),
            ));
        }
        let looks_at =
            |mirror: &&Mirror| mirror.port() == Some(name) || mirror.of.iter().any(|of| of == name);
        if let Some(mirror) = self.mirrors.iter().find(looks_at) {
            return Err(PortInUse::Mirror(name.to_owned(), mirror.name.clone()));
        }
        match Ports::beside(self, name).starved(&self.cores) {
            Some(error) if config.access.len() < self.access.len() => Err(PortInUse::Queues(error)),
            _ => Ok(config),
        }
    }

    fn networks_with(&self, network: Network) -> Vec<Arc<Network>> {
        let mut networks = self.networks.clone();
        let vni = network.vni;
        put(&mut networks, Arc::new(network), |known| known.vni == vni);
        networks
    }

    fn edited(
        &self,
        networks: Option<Vec<Arc<Network>>>,
        report: Report,
    ) -> Result<Config, ConfigErrors> {
        let (errors, warnings) = report.finish();
        match networks {
            Some(networks) if errors.is_empty() => {
                Ok(Config { networks, warnings, ..self.clone() })
            }
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// Why an access port cannot go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortInUse {
    /// It is none.
    #[error("'{0}' is an underlay port, which stays as long as Ferry runs")]
    Underlay(String),
    /// A network has it.
    #[error("port '{0}' is in network {1} '{2}'; take it out of that network first")]
    Member(String, u32, String),
    /// A mirror copies what passes it, or has its copies leave by it.
    #[error("port '{0}' is in mirror '{1}'; take it out of that mirror first")]
    Mirror(String, String),
    /// A worker would have nothing to do.
    #[error("{0}")]
    Queues(String),
}

/// Gives a mapping the key by which it is known, if it has none.
fn name_it(node: &mut Node, key: &str, value: Value) {
    let line = node.line;
    if let Value::Mapping(entries) = &mut node.value
        && !entries.iter().any(|entry| entry.key == key)
    {
        entries.push(Entry { key: key.to_owned(), line, node: Node { line, value } });
    }
}

/// Reports that a part goes by another name than the one that it was asked for by.
fn same_name(item: &Item<'_>, key: &str, name: impl Display) {
    let place = item.key(key);
    place.as_ref().unwrap_or(item).error(format_args!("this is {name}; give the same, or none"));
}

/// Puts something in the place of the one that is the same, or last.
fn put<T>(list: &mut Vec<T>, new: T, is_it: impl FnMut(&T) -> bool) {
    match list.iter().position(is_it) {
        Some(position) => list[position] = new,
        None => list.push(new),
    }
}

/// The address of an element of `flood.peers`.
fn address_of(peer: &Node) -> Option<IpAddr> {
    match &peer.value {
        Value::Text(address) => address.parse().ok(),
        Value::Mapping(entries) => {
            address_of(&entries.iter().find(|entry| entry.key == "address")?.node)
        }
        _ => None,
    }
}
