//! A configuration with one part in another's place: what a request at run time asks for.
//!
//! Only that part is read, with the same rules and messages as in a file, beside all others, which have been.

use std::sync::Arc;

use super::item::{Item, Report};
use super::macs::{MacReader, Seen};
use super::network::{Network, Networks};
use super::peer::PeerReader;
use super::port::Ports;
use super::tree::{Entry, Node, Value};
use super::underlay::Reach;
use super::{Config, ConfigErrors, tree_of};
use crate::wire::Vni;

impl Config {
    /// The network with an ID.
    pub fn network(&self, vni: u32) -> Option<&Arc<Network>> {
        self.networks.iter().find(|network| network.vni.get() == vni)
    }

    /// With the network that `text` says, YAML or JSON, in the place of the one with its ID, or as one more. The text has
    /// the form of an element of `networks`; its `vni` may be left out. `name` stands in errors where the file's would.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn with_network(&self, vni: Vni, name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let mut root = tree_of(name, text)?;
        if let Value::Mapping(entries) = &mut root.value
            && !entries.iter().any(|entry| entry.key == "vni")
        {
            let node = Node { line: root.line, value: Value::Integer(vni.get().into()) };
            entries.push(Entry { key: "vni".to_owned(), line: root.line, node });
        }
        let report = Report::new(name);
        let item = Item::root(&report, &root);
        let (ports, reach) = (Ports::of(self), Reach::of(&self.underlay));
        let mut reader = Networks::new(&ports, &reach);
        let others = self.networks.iter().filter(|network| network.vni != vni);
        others.for_each(|network| reader.known(network, &item));
        let network = reader.read(&item);
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
        let reach = Reach::of(&self.underlay);
        let mut peers = PeerReader::new(&reach);
        for other in &self.networks {
            if other.vni != network.vni {
                peers.known(other, &other.owner());
            }
        }
        let mut reader = MacReader {
            ports: &Ports::of(self),
            peers: &mut peers,
            owner: &network.owner(),
            members: Some(&network.members),
            listed: &network.peers,
            encap: Some(network.encap),
            seen: Seen::default(),
        };
        let mut list = Item::root(&report, &root);
        list.path = "macs".to_owned();
        let macs = list.list_of(|item| reader.read(&item));
        let networks = macs.map(|macs| self.networks_with(Network { macs, ..network.clone() }));
        self.edited(networks, report)
    }

    fn networks_with(&self, network: Network) -> Vec<Arc<Network>> {
        let mut networks = self.networks.clone();
        match networks.iter().position(|known| known.vni == network.vni) {
            Some(position) => networks[position] = Arc::new(network),
            None => networks.push(Arc::new(network)),
        }
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
