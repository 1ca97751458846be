//! Mirrors: copies of what passes ports, for somebody who looks on.

use std::sync::Arc;

use super::Config;
use super::item::Item;
use super::keys::mirror::{MIRROR, TO};
use super::network::Network;
use super::peer::{Peer, PeerReader, Usual};
use super::port::{Kind, Ports};
use super::scalar::{self, Unique};
use super::underlay::Reach;

/// Copies what passes some ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Unique among mirrors.
    pub name: String,
    /// Names of the ports: access ports, and where the copies go to a port underlay ports, too.
    pub of: Vec<String>,
    /// Which frames.
    pub direction: MirrorDirection,
    /// Where copies go.
    pub to: MirrorTo,
}

/// Which way frames go that are copied, as Ferry sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirrorDirection {
    /// They come in by the port.
    In,
    /// They leave by it.
    Out,
    /// Both.
    #[default]
    Both,
}

/// Where copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    /// Out of an access port that is for nothing else.
    Port(String),
    /// Through a tunnel, with an ID that no network has: [`Peer::id`] is there.
    Peer(Peer),
}

impl MirrorDirection {
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("in", Self::In), ("out", Self::Out), ("both", Self::Both)];
}

impl Mirror {
    /// The port that its copies leave by, where it is one.
    pub fn port(&self) -> Option<&str> {
        match &self.to {
            MirrorTo::Port(port) => Some(port),
            MirrorTo::Peer(_) => None,
        }
    }

    /// The peer that they go to, with the ID that they have there.
    pub fn peer(&self) -> Option<(&Peer, u32)> {
        match &self.to {
            MirrorTo::Port(_) => None,
            MirrorTo::Peer(peer) => Some((peer, peer.id?)),
        }
    }
}

impl Config {
    /// The mirror whose copies leave by a port.
    pub fn mirror_by(&self, port: &str) -> Option<&Mirror> {
        self.mirrors.iter().find(|mirror| mirror.port() == Some(port))
    }
}

/// Reads `mirrors`, when networks have been read.
pub(super) struct MirrorReader<'r> {
    ports: &'r Ports,
    networks: &'r [Arc<Network>],
    peers: PeerReader<'r>,
    names: Unique<String>,
}

impl<'r> MirrorReader<'r> {
    pub fn new(ports: &'r Ports, reach: &'r Reach, networks: &'r [Arc<Network>]) -> Self {
        let mut peers = PeerReader::new(reach);
        networks.iter().for_each(|network| peers.known(network, &network.owner()));
        Self { ports, networks, peers, names: Unique::default() }
    }

    /// All of them.
    pub fn read(&mut self, list: &Item<'_>) -> Option<Vec<Mirror>> {
        let mirrors = list.list_of(|item| self.mirror(&item))?;
        for (item, mirror) in list.elements().zip(&mirrors) {
            let by = |port: &str| mirrors.iter().find(|other| other.port() == Some(port));
            let looked_at = mirror.of.iter().find_map(|port| Some((port, by(port)?)));
            if let Some((port, other)) = looked_at {
                let of = item.key("of");
                of.as_ref().unwrap_or(&item).error(format_args!(
                    "the copies of mirror '{}' leave by '{port}', and copies are not copied; take it out",
                    other.name
                ));
            }
        }
        Some(mirrors)
    }

    fn mirror(&mut self, item: &Item<'_>) -> Option<Mirror> {
        let fields = item.fields(&MIRROR)?;
        let name = fields.required("name", "name: ids", |item| scalar::name(&item));
        if let (Some(name), Some(item)) = (&name, fields.get("name")) {
            let earlier = self.names.earlier(name.clone(), &format!("mirror '{name}'"), &item);
            if let Some(earlier) = earlier {
                item.error(format_args!(
                    "'{name}' is already the name of {earlier}; give each mirror its own name"
                ));
            }
        }
        let to = fields.required("to", "to: {port: tap9}", |item| self.target(&item));
        let is_tunnel = matches!(to, Some(MirrorTo::Peer(_)));
        let of = fields.required("of", "of: [vm1]", |item| {
            let mut seen = Unique::default();
            let ports = item.list_of(|item| self.port(&item, is_tunnel, &mut seen))?;
            if ports.is_empty() {
                return item.expected("a list of one port at least");
            }
            Some(ports)
        });
        let direction = fields
            .or("direction", MirrorDirection::Both, |item| item.choice(&MirrorDirection::CHOICES));
        Some(Mirror { name: name?, of: of?, direction: direction?, to: to? })
    }

    fn port(&self, item: &Item<'_>, is_tunnel: bool, seen: &mut Unique<String>) -> Option<String> {
        let name = item.text("the name of a port")?;
        match self.ports.kind(name) {
            Some(Kind::Underlay) if is_tunnel => {
                item.error(format_args!(
                    "copies go by underlay ports, so those of what passes '{name}' would be copied again; mirror it to a port"
                ));
            }
            Some(_) => {}
            None => item.error(self.ports.unknown(name, Kind::Access)),
        }
        if let Some(earlier) = seen.earlier(name.to_owned(), &item.path, item) {
            item.error(format_args!("'{name}' is already given by {earlier}; list it once"));
        }
        Some(name.to_owned())
    }

    fn target(&mut self, item: &Item<'_>) -> Option<MirrorTo> {
        let fields = item.fields(&TO)?;
        match (fields.get("port"), fields.get("peer")) {
            (Some(port), None) => self.outlet(&port).map(MirrorTo::Port),
            (None, Some(peer)) => self.collector(&peer).map(MirrorTo::Peer),
            _ => {
                item.error("copies go to one place: give 'port' or 'peer', such as {port: tap9}");
                None
            }
        }
    }

    fn outlet(&self, item: &Item<'_>) -> Option<String> {
        let name = item.text("the name of an access port")?;
        match self.ports.kind(name) {
            Some(Kind::Access) => {}
            Some(Kind::Underlay) => item.error(format_args!(
                "'{name}' is an underlay port; copies leave by an access port of their own, or go to a peer"
            )),
            None => item.error(self.ports.unknown(name, Kind::Access)),
        }
        let is_member = |of: &&Arc<Network>| of.members.iter().any(|member| member.port == name);
        if let Some(network) = self.networks.iter().find(is_member) {
            item.error(format_args!(
                "port '{name}' is in {}; copies need a port that is for nothing else",
                network.owner()
            ));
        }
        Some(name.to_owned())
    }

    fn collector(&mut self, item: &Item<'_>) -> Option<Peer> {
        let (_, peer) = self.peers.read(item, Usual::VXLAN, "a mirror")?;
        if peer.encap.has_groups() {
            item.error("copies tell of no group; remove 'group_policy'");
        }
        let Some(id) = peer.id else {
            item.error(
                "the ID of the copies is missing; say, for example, {address: 192.0.2.9, id: 4000}",
            );
            return None;
        };
        if let Some(network) = self.networks.iter().find(|of| of.vni.get() == id) {
            item.error(format_args!(
                "{id} is the VNI of {}, whose stations would get the copies; choose another ID",
                network.owner()
            ));
        }
        Some(peer)
    }
}

/// Says where a network would get in the way of mirrors that are there already.
pub(super) fn check(mirrors: &[Mirror], network: &Network, item: &Item<'_>) {
    for mirror in mirrors {
        let name = &mirror.name;
        if let Some(member) = network.members.iter().find(|of| mirror.port() == Some(&of.port)) {
            item.error(format_args!(
                "port '{}' is for the copies of mirror '{name}' only; take it out of the network",
                member.port
            ));
        }
        if mirror.peer().is_some_and(|(_, id)| id == network.vni.get()) {
            item.error(format_args!("the copies of mirror '{name}' have this ID"));
        }
    }
}
