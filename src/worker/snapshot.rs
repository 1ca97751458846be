//! What workers know of the world: built by the control core, published whole, never changed.

use std::sync::Arc;

use hashbrown::HashMap;

use super::group_policy::GroupPolicies;
use super::moves::Sources;
use super::multicast::Multicast;
use super::origin::AnyPeers;
use super::oversize::Oversize;
use super::reassembly::FragmentPolicy;
use super::spread::Spread;
use super::storm::StormControl;
use super::stranger::Admissions;
use super::suppression::Suppression;
use super::traffic::Traffic;
use crate::fib::{Entry, Fib, Location, MacKey};
use crate::tunnel::{AnyTemplate, Form, Order, Template, Vtep};
use crate::wire::Vlan;

/// Index of an [`Adjacency`] in [`Snapshot::adjacencies`]; it fits 24 bits.
pub type AdjacencyIndex = u32;

/// Everything the packet path needs, but for the MAC FIBs' contents.
pub struct Snapshot {
    /// By port index: the control core's numbering, the same for a port's whole life.
    pub ports: Box<[PortEntry]>,
    /// By network index.
    pub networks: Box<[Network]>,
    /// What becomes of frames that do not fit the underlay, by network index: kept apart, because nearly all fit and a network is
    /// one cache line.
    pub oversize: Box<[Arc<Oversize>]>,
    /// Where frames can go.
    pub adjacencies: Box<[Adjacency]>,
    /// Of adjacencies from which packets must come in order.
    pub orders: HashMap<AdjacencyIndex, Order>,
    /// VNI to network index.
    pub vnis: IndexMap,
    /// IPv4 address to adjacency index, of peers that speak VXLAN with our own IDs and in no two ways.
    pub peers: IndexMap,
    /// All other peers.
    pub any_peers: AnyPeers,
    /// Networks that learn their peers, and the peers that were learned.
    pub admissions: Admissions,
    /// Outer headers, for [`Kind::AnyTunnel`] and [`Kind::GroupTunnel`].
    pub templates: Box<[AnyTemplate]>,
    /// The ways to peers that several next hops lead to, for [`Kind::Spread`].
    pub spreads: Box<[Spread]>,
    /// Who is of which group, and is let in where.
    pub group_policies: GroupPolicies,
    /// Our own tunnel end.
    pub vtep: Vtep,
    /// Whether routers are believed what they say of packets that were too big.
    pub learns_path_mtus: bool,
    /// What networks and peers carry, by the number of the worker that counts it.
    pub traffic: Box<[Arc<Traffic>]>,
    /// How tunnel packets that come in fragments are put together; `None`: they are dropped.
    pub fragments: Option<FragmentPolicy>,
}

/// What a port is for.
pub enum PortEntry {
    /// Not in use.
    Vacant,
    /// Towards the tenants.
    Access(AccessPort),
    /// Towards the other VTEPs.
    Underlay(UnderlayPort),
    /// A kernel twin: its frames leave by the underlay port with this index.
    Twin {
        /// Port index of the underlay port.
        underlay: u16,
    },
    /// Only for the copies of mirrors: what comes in by it is dropped.
    Mirror,
}

/// Which network a frame from an access port belongs to.
pub struct AccessPort {
    /// Of untagged and priority-tagged frames.
    pub untagged: Attachment,
    /// By VLAN ID, on a trunk.
    pub vlans: Option<Box<[Attachment; 4096]>>,
    /// By two tags, where networks are told by such: always [`Vlan::Pair`].
    pub pairs: Option<Box<HashMap<Vlan, Attachment>>>,
    /// What of its frames may be flooded.
    pub storm: Option<Arc<StormControl>>,
    /// Whether senders may have left work to their device.
    pub takes_unfinished: bool,
}

/// An underlay port.
pub struct UnderlayPort {
    /// Its MAC address; unicast to others is not ours.
    pub mac: MacKey,
    /// Its kernel twin.
    pub twin: Option<Twin>,
}

/// The way from an underlay port to the kernel.
#[derive(Clone, Copy)]
pub struct Twin {
    /// Port index.
    pub port: u16,
    /// The longest packet that its device takes, in bytes.
    pub mtu: u16,
}

/// A port's (or a port and VLAN's) place in a network.
///
/// One word, because a trunk has thousands: the location that leads back out (40 bits), the network's
/// index (24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment(u64);

impl Attachment {
    /// No network here.
    pub const NONE: Self = Self(u64::MAX);

    /// A network index, modulo 2^24, and the way back out.
    #[inline(always)]
    pub fn new(network: u32, location: Location) -> Self {
        Self(u64::from(network) << 40 | location.bits())
    }

    /// Both in one number.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The network's index.
    #[inline(always)]
    pub fn network(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// The way back out.
    #[inline(always)]
    pub fn location(self) -> Location {
        Location::from_bits(self.0)
    }
}

/// A tenant's layer-2 domain.
pub struct Network {
    /// Its 24-bit ID.
    pub vni: u32,
    /// Age in ticks from which a source MAC is marked as seen again.
    pub refresh_after: u16,
    /// Whether source MACs are learned, and may move.
    pub sources: Sources,
    /// Whether inner frames may carry a VLAN tag (RFC 7348 section 6.1 says no).
    pub keeps_inner_vlan: bool,
    /// Whether the outer DSCP is the priority of the VLAN tag that a frame from a tunnel gets.
    pub takes_priorities: bool,
    /// The MAC FIB.
    pub fib: Fib,
    /// Where broadcast, unknown unicast and multicast go.
    pub flood: Arc<FloodList>,
    /// Where ARP and neighbour discovery are answered from, in networks that suppress them.
    pub suppression: Option<Arc<Suppression>>,
    /// What of its access ports' frames may be flooded.
    pub storm: Option<Arc<StormControl>>,
    /// Who gets which group; `None`: all multicast is flooded.
    pub multicast: Option<Arc<Multicast>>,
    /// Never used twice: tells a network from a later one with the same index.
    pub identity: u64,
}

/// Where a network's BUM frames go.
#[derive(Clone, Default)]
pub struct FloodList {
    /// Adjacency indices, local ports first, each part in ascending order.
    targets: Box<[AdjacencyIndex]>,
    locals: usize,
}

impl FloodList {
    /// From the adjacencies of the local ports and of the peers.
    pub fn new(mut locals: Vec<AdjacencyIndex>, mut peers: Vec<AdjacencyIndex>) -> Self {
        locals.sort_unstable();
        peers.sort_unstable();
        let count = locals.len();
        locals.append(&mut peers);
        Self { targets: locals.into(), locals: count }
    }

    /// Whether a peer is among the targets.
    pub fn has_peer(&self, peer: AdjacencyIndex) -> bool {
        self.targets[self.locals..].binary_search(&peer).is_ok()
    }

    /// The targets of a frame from an access port (all), or from a tunnel (local ports only: split
    /// horizon, RFC 8365 section 8.3.1).
    #[inline]
    pub fn targets(&self, from_tunnel: bool) -> &[AdjacencyIndex] {
        if from_tunnel { &self.targets[..self.locals] } else { &self.targets }
    }

    /// The targets behind those that were served, when `last` was the last of them. The order is
    /// the same in every version of a list, so a change of the list in between neither repeats
    /// nor forgets a target that stays.
    pub fn targets_after(&self, last: Served, from_tunnel: bool) -> &[AdjacencyIndex] {
        let (locals, peers) = self.targets.split_at(self.locals);
        let position = match last {
            Served::Local(index) => locals.partition_point(|target| *target <= index),
            Served::Peer(index) => self.locals + peers.partition_point(|target| *target <= index),
        };
        self.targets(from_tunnel).get(position..).unwrap_or_default()
    }
}

/// The last target of a flood that got its copy.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    /// A local port.
    Local(AdjacencyIndex),
    /// A peer; all local ports were served before.
    Peer(AdjacencyIndex),
}

/// One way out. The first 64 bytes are all that a packet over IPv4 needs.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Adjacency {
    /// The outer header, for all tunnels but those that name one of [`Snapshot::templates`].
    pub template: Template,
    /// What it is.
    pub kind: Kind,
    /// Whose header the template writes.
    pub form: Form,
    /// Port index to send by.
    pub port: u16,
    /// Learned entries made under another generation are void: how a flush is one store.
    pub generation: u16,
    /// For [`Kind::LocalVlan`] and [`Kind::LocalPair`]: the tag to push, of two the outer one. For a tunnel: the longest inner
    /// frame.
    pub vlan_or_limit: u16,
    /// For [`Kind::LocalPair`]: EtherType of the outer tag (16 bits), the inner tag (16). For [`Kind::AnyTunnel`] and
    /// [`Kind::GroupTunnel`]: index into [`Snapshot::templates`]; for [`Kind::Spread`] into [`Snapshot::spreads`]; for
    /// [`Kind::Guarded`] into [`GroupPolicies::guards`].
    pub pair_or_index: u32,
}

/// What an adjacency is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not in use.
    Vacant,
    /// An access port, untagged.
    Local,
    /// A VLAN of an access port.
    LocalVlan,
    /// The same by two tags.
    LocalPair,
    /// One of these three that lets some groups in only.
    Guarded,
    /// A peer by VXLAN over IPv4 without UDP checksums, whose next hop is known.
    Tunnel,
    /// The same, where the device completes the checksums.
    SummedTunnel,
    /// A peer by one of the short GRE headers: [`Adjacency::form`].
    GreTunnel,
    /// Any other peer whose next hop is known.
    AnyTunnel,
    /// A peer that is told of which group the sender of a frame is.
    GroupTunnel,
    /// A peer that several next hops lead to: the flow tells which.
    Spread,
    /// A peer whose next hop is not known yet.
    Unresolved,
    /// A multicast group by a port whose link is lost, while another has one: nothing is sent.
    Silent,
}

const _: () = assert!(std::mem::size_of::<Adjacency>() == 64);

impl Adjacency {
    /// Whether it leads to an access port.
    #[inline(always)]
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local | Kind::LocalVlan | Kind::LocalPair | Kind::Guarded)
    }
}

impl Snapshot {
    /// The adjacency that a FIB entry names, if the entry is still valid.
    #[inline(always)]
    pub fn adjacency_of(&self, entry: Entry) -> Option<&Adjacency> {
        let adjacency = self.adjacencies.get(entry.adjacency() as usize)?;
        (adjacency.generation == entry.generation() || entry.is_static()).then_some(adjacency)
    }
}

/// A map from a 32-bit number to an index, for a few reads per packet: open addressing, at most
/// half full, keys spread by a multiplication.
pub struct IndexMap {
    slots: Box<[(u32, u32)]>,
    shift: u32,
}

impl IndexMap {
    const VACANT: u32 = u32::MAX;

    /// From pairs of key and index; an index is never `u32::MAX`.
    pub fn new(pairs: &[(u32, u32)]) -> Self {
        let size = (pairs.len() * 2).next_power_of_two().max(2);
        let mut map =
            Self { slots: vec![(0, Self::VACANT); size].into(), shift: 32 - size.trailing_zeros() };
        for &(key, index) in pairs {
            let mut slot = map.home(key);
            while map.slots[slot].1 != Self::VACANT && map.slots[slot].0 != key {
                slot = (slot + 1) & (size - 1);
            }
            map.slots[slot] = (key, index);
        }
        map
    }

    #[inline(always)]
    fn home(&self, key: u32) -> usize {
        (key.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }

    /// The index of a key.
    #[inline(always)]
    pub fn get(&self, key: u32) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        loop {
            let (found, index) = *self.slots.get(slot)?;
            if index == Self::VACANT {
                return None;
            }
            if found == key {
                return Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn index_map_is_a_map(pairs in proptest::collection::vec((0..64u32, 0..1000u32), 0..60)) {
            let model: HashMap<u32, u32> = pairs.iter().copied().collect();
            let map = IndexMap::new(&pairs);
            for key in 0..64 {
                prop_assert_eq!(map.get(key), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn index_map_finds_the_extremes() {
        let map = IndexMap::new(&[(0, 1), (u32::MAX, 2), (0x00ff_ffff, 3)]);
        assert_eq!(
            [0, u32::MAX, 0x00ff_ffff, 5].map(|key| map.get(key)),
            [Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn a_frame_from_a_tunnel_floods_to_local_ports_only() {
        let list = FloodList::new(vec![7, 2], vec![9, 1]);
        assert_eq!(list.targets(false), [2, 7, 1, 9]);
        assert_eq!(list.targets(true), [2, 7]);
        assert_eq!(list.targets_after(Served::Peer(1), true), [0; 0]);
        assert!(list.has_peer(9) && list.has_peer(1) && !list.has_peer(2));
    }

    #[test]
    fn a_flood_goes_on_where_it_stopped_though_the_list_changed() {
        let list = FloodList::new(vec![2, 7], vec![1, 4, 9]);
        assert_eq!(list.targets_after(Served::Local(2), false), [7, 1, 4, 9]);
        assert_eq!(list.targets_after(Served::Peer(3), false), [4, 9]);
    }
}
