//! Group policy: what workers know of it, from the configuration of networks' places and peers.

use super::network::Network;
use super::networks::Networks;
use super::peers::Peers;
use crate::config::PlacePolicy;
use crate::worker::{
    Adjacency, AdjacencyIndex, GroupPolicies, Guard, Kind, MovePolicy, Sources, WayPolicy,
};

/// What workers read. Places that let some groups in only get their guards.
pub(super) fn build(
    networks: &Networks,
    peers: &Peers,
    adjacencies: &mut [Adjacency],
) -> GroupPolicies {
    let mut ways = Vec::new();
    let mut set = |way: AdjacencyIndex, policy| {
        let index = way as usize;
        if ways.len() <= index {
            ways.resize(index + 1, WayPolicy::None);
        }
        ways[index] = policy;
    };
    for (_, peer) in peers.iter().filter(|(key, _)| key.encap.has_groups()) {
        set(peer.adjacency, WayPolicy::Tells);
    }
    let mut guards = Vec::new();
    let places = networks.iter().flat_map(|(_, network)| network.places());
    for (place, PlacePolicy { group, accepts }) in places {
        if let Some(group) = group {
            set(place, WayPolicy::Group(*group));
        }
        if let Some(accepts) = accepts
            && let Some(way) = adjacencies.get_mut(place as usize)
        {
            let pair_or_index = guards.len() as u32;
            guards.push(Guard { place: *way, accepts: accepts.as_slice().into() });
            *way = Adjacency { kind: Kind::Guarded, pair_or_index, ..*way };
        }
    }
    let telling = networks.iter().filter(|(_, network)| network.config.has_groups());
    let unlearned = telling.map(|(index, network)| {
        // Nor is it judged where they are.
        let sources = Sources::new(false, MovePolicy::Allow);
        (index, crate::worker::Network { sources, ..network.build() })
    });
    GroupPolicies { ways: ways.into(), guards: guards.into(), unlearned: unlearned.collect() }
}

impl Network {
    /// Its places, each with what the configuration says of groups there.
    pub fn places(&self) -> impl Iterator<Item = (AdjacencyIndex, &PlacePolicy)> {
        self.locals().iter().copied().zip(&self.config.policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::adjacency::Adjacencies;
    use crate::control::fixture;

    #[test]
    fn places_get_their_groups_and_guards_and_peers_are_told() {
        let (mut networks, mut peers) = (Networks::new(1), Peers::default());
        let mut adjacencies = Adjacencies::default();
        let mut add = |vni, text: &str| {
            let config = fixture::network(vni, &format!("{{name: n{vni}, {text}}}"));
            let (_, network) = networks.set(config.clone());
            let of = |member: &crate::config::Member| match member.port.as_str() {
                "vm1" => adjacencies.attach(0, member.vlan),
                _ => adjacencies.attach(1, member.vlan),
            };
            let locals: Vec<_> = config.members.iter().map(of).collect();
            let join = |peer| peers.join(peer, vni, &mut adjacencies);
            let joined: Vec<_> = config.peers.iter().copied().map(join).collect();
            network.set_members(locals.clone(), joined.clone());
            (locals, joined)
        };
        let ports =
            "ports: [{port: vm1, group: 7}, {port: trunk0, vlan: 10, accept_groups: [9, 7]}]";
        let list = "flood: {peers: [192.0.2.1, {address: 192.0.2.2, group_policy: false}]}";
        let (locals, joined) = add(1, &format!("group_policy: true, {ports}, {list}"));
        let (others, _) = add(2, "mac_move: freeze, ports: [{port: trunk0, vlan: 20}]");
        let mut built = adjacencies.build().adjacencies;
        let policies = build(&networks, &peers, &mut built);

        let way = |index: AdjacencyIndex| policies.ways.get(index as usize).copied();
        assert_eq!(way(locals[0]), Some(WayPolicy::Group(7)));
        assert_eq!(way(locals[1]).unwrap_or_default(), WayPolicy::None);
        let told = [0, 1].map(|peer| way(joined[peer]).unwrap_or_default());
        assert_eq!(told, [WayPolicy::Tells, WayPolicy::None]);
        let kinds = [locals[0], locals[1], others[0]].map(|index| built[index as usize].kind);
        assert_eq!(kinds, [Kind::Local, Kind::Guarded, Kind::LocalVlan]);
        let guarded = built[locals[1] as usize];
        let Guard { place, accepts } = &policies.guards[guarded.pair_or_index as usize];
        assert_eq!((place.kind, place.vlan_or_limit), (Kind::LocalVlan, 10));
        assert_eq!((guarded.port, guarded.generation), (place.port, place.generation));
        assert_eq!(**accepts, [7, 9]);
        // Whoever is not learned is not held to a policy on moves, and others' networks have no need of that.
        let unlearned: Vec<_> = policies.unlearned.iter().collect();
        let [(index, network)] = unlearned[..] else { panic!("one network") };
        assert_eq!((*index, network.vni, network.sources.matter()), (0, 1, false));
    }
}
