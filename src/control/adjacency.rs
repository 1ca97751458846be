//! The ways out that exist: the control core's side of [`crate::worker::Adjacency`].

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::clock::Seconds;
use crate::tunnel::{
    AnyTemplate, Encap, Form, Marking, Order, OuterHeader, SequenceNumbers, Template,
};
use crate::wire::{Vlan, ethernet};
use crate::worker::{Adjacency, AdjacencyIndex, Kind, Spread, SpreadWay};

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// An access port, or a VLAN of it.
    Local {
        /// Port index.
        port: u16,
        /// Which VLAN of it; `None`: untagged frames.
        vlan: Option<Vlan>,
    },
    /// A peer.
    Peer {
        /// Its VTEP address.
        address: IpAddr,
        /// The outer headers and where they leave, as far as next hops are known.
        next_hops: Vec<NextHop>,
    },
    /// A multicast group, by one underlay port.
    Group(NextHop),
}

/// Where packets to a peer leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Port index of the underlay port.
    pub port: u16,
    /// The peer itself, or the gateway on the way.
    pub address: IpAddr,
    /// The outer header.
    pub outer: OuterHeader,
    /// The longest inner frame that the port's MTU has room for, in bytes.
    pub inner_limit: u16,
    /// Its share of the flows, where there are several.
    pub weight: u16,
}

impl NextHop {
    /// Tells it from a peer's others.
    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.address, self.port).hash(&mut hasher);
        hasher.finish()
    }

    /// The longest inner frame that a path has room for which carries packets of `mtu` bytes.
    fn limit_of(&self, mtu: u16) -> u16 {
        let headers = self.outer.length() - ethernet::LENGTH;
        mtu.saturating_sub(headers as u16)
    }
}

/// What routers say of a path, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtu {
    /// The largest packet that it carries, in bytes.
    pub mtu: u16,
    /// When that was said.
    pub since: Seconds,
}

/// A way out, while there is one, and its generation.
#[derive(Clone, Debug)]
struct Record {
    way: Option<Way>,
    generation: u16,
    /// What a peer's path carries, where that is less than the port.
    path: Option<PathMtu>,
    /// Of a peer whose packets are numbered: they go on when its next hop changes.
    numbers: Option<SequenceNumbers>,
    /// Of a peer whose packets must come in order.
    order: Option<Order>,
    heard: Heard,
}

/// When something came in by a way, as far as MACs tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The last time.
    pub last: Seconds,
    /// No MAC that was seen there is remembered longer than this.
    pub until: Seconds,
    /// The last walk through a network's MACs that found one there.
    pub walk: u32,
}

/// All ways out by index. An index is one way's also while that is gone: what names it never comes to mean another. Those of
/// peers alone are used again, when nothing can name them any more.
#[derive(Default)]
pub struct Adjacencies {
    records: Vec<Record>,
    /// By port index and VLAN, also those that are gone.
    locals: HashMap<(u16, Option<Vlan>), AdjacencyIndex>,
    /// Underlay ports without a link.
    linkless: HashSet<u16>,
}

impl Adjacencies {
    /// Adds a way and returns its index.
    pub fn add(&mut self, way: Way) -> AdjacencyIndex {
        let (path, numbers, order, heard) = Default::default();
        self.records.push(Record { way: Some(way), generation: 1, path, numbers, order, heard });
        (self.records.len() - 1) as AdjacencyIndex
    }

    /// The way out by a port and VLAN; makes it if it is new, or was gone.
    pub fn attach(&mut self, port: u16, vlan: Option<Vlan>) -> AdjacencyIndex {
        let way = Way::Local { port, vlan };
        match self.locals.get(&(port, vlan)) {
            Some(&index) => {
                self.restore(index, way);
                index
            }
            None => {
                let index = self.add(way);
                self.locals.insert((port, vlan), index);
                index
            }
        }
    }

    /// The way with an index.
    pub fn get(&self, index: AdjacencyIndex) -> Option<&Way> {
        self.records.get(index as usize)?.way.as_ref()
    }

    /// All ways.
    pub fn iter(&self) -> impl Iterator<Item = (AdjacencyIndex, &Way)> {
        (0..).zip(&self.records).filter_map(|(index, record)| Some((index, record.way.as_ref()?)))
    }

    /// The generation that entries learned now carry.
    pub fn generation(&self, index: AdjacencyIndex) -> Option<u16> {
        self.records.get(index as usize).filter(|of| of.way.is_some()).map(|of| of.generation)
    }

    /// Notes that something came in by a way at `last`, which is remembered until `until`.
    #[inline]
    pub fn hear(&mut self, index: AdjacencyIndex, last: Seconds, until: Seconds) {
        if let Some(record) = self.records.get_mut(index as usize) {
            let heard = &mut record.heard;
            (heard.last, heard.until) = (heard.last.max(last), heard.until.max(until));
        }
    }

    /// Notes that a walk through a network's MACs found one that is there.
    #[inline]
    pub fn mark(&mut self, index: AdjacencyIndex, walk: u32) {
        if let Some(record) = self.records.get_mut(index as usize) {
            record.heard.walk = walk;
        }
    }

    /// When something came in by a way.
    pub fn heard(&self, index: AdjacencyIndex) -> Heard {
        self.records.get(index as usize).map_or(Heard::default(), |record| record.heard)
    }

    /// Takes a way out of use, which voids what was learned there. No static entry names it any more.
    pub fn remove(&mut self, index: AdjacencyIndex) {
        if let Some(record) = self.records.get_mut(index as usize) {
            (record.way, record.path) = (None, None);
            // A vacant one has generation zero.
            record.generation = record.generation.checked_add(1).unwrap_or(1);
        }
    }

    /// Takes the way into use again that had this index before.
    pub fn restore(&mut self, index: AdjacencyIndex, way: Way) {
        if let Some(record) = self.records.get_mut(index as usize) {
            record.way = Some(way);
        }
    }

    /// Makes another way of this index, which nothing names any more.
    pub fn pass_on(&mut self, index: AdjacencyIndex, way: Way) {
        if let Some(record) = self.records.get_mut(index as usize) {
            let (path, numbers, order, heard) = Default::default();
            let generation = record.generation;
            *record = Record { way: Some(way), generation, path, numbers, order, heard };
        }
    }

    /// Sets where a peer's packets leave. Returns whether that changed.
    pub fn set_next_hops(&mut self, index: AdjacencyIndex, new: Vec<NextHop>) -> bool {
        match self.records.get_mut(index as usize) {
            Some(Record { way: Some(Way::Peer { next_hops, .. }), numbers, .. })
                if *next_hops != new =>
            {
                let encap = new.first().map(|hop| hop.outer.encap);
                if matches!(encap, Some(Encap::Gre { sequence, .. }) if sequence.is_sent()) {
                    numbers.get_or_insert_default();
                }
                *next_hops = new;
                true
            }
            _ => false,
        }
    }

    /// Sets what the outer headers of packets to a peer or a group say, where its next hop is known.
    pub fn set_marking(&mut self, index: AdjacencyIndex, marking: Marking) {
        let way = self.records.get_mut(index as usize).and_then(|record| record.way.as_mut());
        let hops = match way {
            Some(Way::Peer { next_hops, .. }) => &mut next_hops[..],
            Some(Way::Group(hop)) => std::slice::from_mut(hop),
            _ => &mut [],
        };
        for hop in hops {
            hop.outer.marking = marking;
        }
    }

    /// Has what comes from a peer come in order.
    pub fn want_order(&mut self, index: AdjacencyIndex) {
        if let Some(record) = self.records.get_mut(index as usize) {
            record.order.get_or_insert_default();
        }
    }

    /// What must come in order.
    pub fn orders(&self) -> HashMap<AdjacencyIndex, Order> {
        let records = (0..).zip(&self.records);
        records.filter_map(|(index, record)| Some((index, record.order.clone()?))).collect()
    }

    /// The longest inner frame that a peer or a group gets, in bytes; `None` while its next hop is not known.
    pub fn inner_limit(&self, index: AdjacencyIndex) -> Option<u16> {
        self.records.get(index as usize)?.inner_limit()
    }

    /// What routers say of a peer's path.
    pub fn path(&self, index: AdjacencyIndex) -> Option<PathMtu> {
        self.records.get(index as usize)?.path
    }

    /// A router says what a peer's path carries. Returns whether that is less than was known.
    pub fn narrow(&mut self, index: AdjacencyIndex, mtu: u16, now: Seconds) -> bool {
        let Some(record) = self.records.get_mut(index as usize) else { return false };
        let Some(Way::Peer { next_hops, .. }) = &record.way else { return false };
        let Some(hop) = next_hops.first() else { return false };
        let narrower = record.inner_limit().is_some_and(|known| hop.limit_of(mtu) < known);
        if narrower {
            record.path = Some(PathMtu { mtu, since: now });
        }
        narrower
    }

    /// Forgets what was said so many seconds ago. Returns whether there was any.
    pub fn widen(&mut self, now: Seconds, age: Seconds) -> bool {
        let mut any = false;
        for record in &mut self.records {
            if record.path.is_some_and(|path| now - path.since >= age) {
                record.path = None;
                any = true;
            }
        }
        any
    }

    /// An underlay port has lost its link, or has it again. Returns whether that changes a way.
    pub fn set_link(&mut self, port: u16, is_up: bool) -> bool {
        let changed = match is_up {
            true => self.linkless.remove(&port),
            false => self.linkless.insert(port),
        };
        changed && self.groups().next().is_some()
    }

    fn groups(&self) -> impl Iterator<Item = &NextHop> {
        self.records.iter().filter_map(|record| match &record.way {
            Some(Way::Group(hop)) => Some(hop),
            _ => None,
        })
    }

    /// What workers read.
    pub fn build(&self) -> PublishedWays {
        let mut named = Named::default();
        // Each group has a way by each port. What has none at all is sent, to be counted as lost.
        let has_link = |hop: &NextHop| !self.linkless.contains(&hop.port);
        let has_any = self.groups().any(has_link);
        let mut build = |record: &Record| match &record.way {
            Some(Way::Group(hop)) if has_any && !has_link(hop) => {
                Adjacency { kind: Kind::Silent, generation: record.generation, ..vacant() }
            }
            Some(way) => named.publish(way, record),
            None => vacant(),
        };
        let adjacencies = self.records.iter().map(&mut build).collect();
        let Named { templates, spreads } = named;
        PublishedWays { adjacencies, templates: templates.into(), spreads: spreads.into() }
    }
}

/// What workers read of the ways out.
pub struct PublishedWays {
    /// All of them.
    pub adjacencies: Box<[Adjacency]>,
    /// The outer headers that some of them name.
    pub templates: Box<[AnyTemplate]>,
    /// The next hops of those that have several.
    pub spreads: Box<[Spread]>,
}

impl Record {
    fn inner_limit(&self) -> Option<u16> {
        match self.way.as_ref()? {
            Way::Peer { next_hops, .. } => next_hops.iter().map(|hop| self.limit_by(hop)).min(),
            Way::Group(hop) => Some(self.limit_by(hop)),
            Way::Local { .. } => None,
        }
    }

    /// The longest inner frame by one of its next hops.
    fn limit_by(&self, hop: &NextHop) -> u16 {
        let path = self.path.map_or(u16::MAX, |path| hop.limit_of(path.mtu));
        hop.inner_limit.min(path)
    }
}

/// What the ways out name by an index.
#[derive(Default)]
struct Named {
    templates: Vec<AnyTemplate>,
    spreads: Vec<Spread>,
}

impl Named {
    fn publish(&mut self, way: &Way, record: &Record) -> Adjacency {
        let adjacency = Adjacency { generation: record.generation, ..vacant() };
        match way {
            Way::Local { port, vlan } => {
                let (kind, vlan_or_limit, pair_or_index) = match *vlan {
                    None => (Kind::Local, 0, 0),
                    Some(Vlan::Single(id)) => (Kind::LocalVlan, id, 0),
                    Some(Vlan::Pair { tpid, outer, inner }) => {
                        (Kind::LocalPair, outer, u32::from(tpid) << 16 | u32::from(inner))
                    }
                };
                Adjacency { kind, port: *port, vlan_or_limit, pair_or_index, ..adjacency }
            }
            Way::Group(hop) => self.by(hop, record),
            Way::Peer { next_hops, .. } => match &next_hops[..] {
                [] => Adjacency { kind: Kind::Unresolved, ..adjacency },
                [hop] => self.by(hop, record),
                several => {
                    let way = |hop: &NextHop| SpreadWay {
                        adjacency: self.by(hop, record),
                        identity: hop.identity(),
                        weight: hop.weight,
                    };
                    let ways: Vec<_> = several.iter().map(way).collect();
                    self.spreads.push(Spread::new(&ways));
                    let pair_or_index = (self.spreads.len() - 1) as u32;
                    Adjacency { kind: Kind::Spread, pair_or_index, ..adjacency }
                }
            },
        }
    }

    /// The way out by one next hop.
    fn by(&mut self, hop: &NextHop, record: &Record) -> Adjacency {
        let way = Adjacency {
            port: hop.port,
            vlan_or_limit: record.limit_by(hop),
            generation: record.generation,
            ..vacant()
        };
        match Template::new(&hop.outer) {
            Some((template, form)) => {
                let kind = match form {
                    Form::Vxlan => Kind::Tunnel,
                    Form::SummedVxlan => Kind::SummedTunnel,
                    Form::Nvgre | Form::FlowlessNvgre | Form::Gre => Kind::GreTunnel,
                };
                Adjacency { kind, form, template, ..way }
            }
            None => {
                self.templates.push(AnyTemplate::new(&hop.outer, record.numbers.as_ref()));
                let pair_or_index = (self.templates.len() - 1) as u32;
                let kind = match hop.outer.encap.has_groups() {
                    true => Kind::GroupTunnel,
                    false => Kind::AnyTunnel,
                };
                Adjacency { kind, pair_or_index, ..way }
            }
        }
    }
}

fn vacant() -> Adjacency {
    Adjacency {
        template: Template::VACANT,
        kind: Kind::Vacant,
        form: Form::Vxlan,
        port: 0,
        generation: 0,
        vlan_or_limit: 0,
        pair_or_index: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::UdpChecksum;

    fn peer(mtu: u16) -> NextHop {
        let outer = OuterHeader {
            source_mac: [2; 6],
            next_hop_mac: [2; 6],
            source: IpAddr::from([192, 0, 2, 1]),
            destination: IpAddr::from([192, 0, 2, 2]),
            marking: Marking::default(),
            encap: Encap::vxlan(4789),
            id: None,
            offloads: false,
        };
        NextHop { port: 0, address: outer.destination, outer, inner_limit: mtu - 36, weight: 1 }
    }

    #[test]
    fn a_path_is_as_narrow_as_was_last_said_until_that_is_old() {
        let mut ways = Adjacencies::default();
        let hop = vec![peer(1500)];
        let index =
            ways.add(Way::Peer { address: IpAddr::from([192, 0, 2, 2]), next_hops: vec![] });
        assert!(!ways.narrow(index, 1400, 5), "nobody knows how much narrower that would be");
        assert!(ways.set_next_hops(index, hop.clone()));
        assert_eq!(ways.inner_limit(index), Some(1464));
        assert!(!ways.narrow(index, 1500, 5), "not less");
        assert!(ways.narrow(index, 1400, 5) && !ways.narrow(index, 1450, 6));
        assert_eq!(ways.inner_limit(index), Some(1364));
        assert_eq!(ways.build().adjacencies[0].vlan_or_limit, 1364);
        assert!(ways.narrow(index, 1300, 7), "the next router on the way");
        assert_eq!(ways.path(index), Some(PathMtu { mtu: 1300, since: 7 }));
        // By another next hop the path may be another, and may be not.
        assert!(ways.set_next_hops(index, vec![]) && ways.set_next_hops(index, hop));
        assert_eq!(ways.inner_limit(index), Some(1264));
        assert!(!ways.widen(16, 10) && ways.widen(17, 10) && !ways.widen(18, 10));
        assert_eq!((ways.inner_limit(index), ways.path(index)), (Some(1464), None));
        assert!(ways.narrow(index, 1300, 30));
        ways.remove(index);
        assert_eq!(ways.path(index), None, "a way of the same index is another");
    }

    #[test]
    fn a_group_is_silent_where_there_is_no_link_unless_there_is_none_anywhere() {
        let mut ways = Adjacencies::default();
        assert!(!ways.set_link(1, false), "no way to a group is by it");
        for port in [0, 1] {
            ways.add(Way::Group(NextHop { port, ..peer(1500) }));
        }
        let kinds = |ways: &Adjacencies| {
            ways.build().adjacencies.iter().map(|of| of.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&ways), [Kind::Tunnel, Kind::Silent]);
        assert!(ways.set_link(0, false));
        assert_eq!(kinds(&ways), [Kind::Tunnel; 2], "to be counted");
        assert!(ways.set_link(1, true));
        assert_eq!(kinds(&ways), [Kind::Silent, Kind::Tunnel]);
        assert!(ways.set_link(0, true) && !ways.set_link(0, true));
        assert_eq!(kinds(&ways), [Kind::Tunnel; 2]);
    }

    #[test]
    fn of_several_next_hops_the_narrowest_says_what_fits_all() {
        let mut ways = Adjacencies::default();
        let address = IpAddr::from([192, 0, 2, 2]);
        let index = ways.add(Way::Peer { address, next_hops: vec![] });
        let other = NextHop { port: 1, address: [192, 0, 2, 254].into(), ..peer(1400) };
        assert!(ways.set_next_hops(index, vec![peer(1500), other.clone()]));
        assert_eq!(ways.inner_limit(index), Some(1364));
        let built = ways.build();
        assert_eq!((built.adjacencies[0].kind, built.spreads.len()), (Kind::Spread, 1));
        let hops: Vec<_> = (0xc000..=0xffff).filter_map(|of| built.spreads[0].way(of)).collect();
        for (port, limit) in [(0, 1464), (1, 1364)] {
            let some = hops.iter().find(|hop| hop.port == port).unwrap();
            assert_eq!((some.kind, some.vlan_or_limit, some.generation), (Kind::Tunnel, limit, 1));
        }
        let mut told = [peer(1500), other.clone()];
        for hop in &mut told {
            let checksum = UdpChecksum::Auto;
            hop.outer.encap = Encap::Vxlan { udp_port: 4789, checksum, group_policy: true };
        }
        assert!(ways.set_next_hops(index, told.to_vec()));
        let built = ways.build();
        assert_eq!(built.spreads[0].way(0xc000).map(|way| way.kind), Some(Kind::GroupTunnel));
        assert!(ways.set_next_hops(index, vec![other]));
        assert_eq!(ways.build().adjacencies[0].kind, Kind::Tunnel, "the one that is left");
    }
}
