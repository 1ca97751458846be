//! What the API says of members, routers and queriers.

use std::net::IpAddr;
use std::time::Instant;

use super::Multicast;
use super::member::Member;
use super::snooper::Snooper;
use crate::api::{Place, model};
use crate::control::core::Control;
use crate::control::network::Network;
use crate::wire::membership::{Family, Version};
use crate::worker::AdjacencyIndex;

impl Control {
    /// By ascending network ID: queriers, routers, then members by ascending group.
    pub(in crate::control) fn report_groups(&self) -> Vec<model::Group> {
        let now = Instant::now();
        let mut list = Vec::new();
        for (_, network) in self.parts.networks.iter() {
            let Some(multicast) = &network.multicast else { continue };
            if let Some(snooper) = &multicast.snooper {
                self.report_queriers(network, snooper, now, &mut list);
                self.report_routers(network, snooper, now, &mut list);
            }
            for (group, way, member) in multicast.members() {
                let row = match member {
                    Some(member) => learned(member, now, self.row(network, way)),
                    None => self.row(network, way),
                };
                list.push(model::Group { group: Some(group), ..row });
            }
        }
        list
    }

    fn report_queriers(
        &self,
        network: &Network,
        snooper: &Snooper,
        now: Instant,
        list: &mut Vec<model::Group>,
    ) {
        let own = Family::ALL.into_iter().zip(&snooper.queriers);
        list.extend(own.filter_map(|(family, querier)| {
            Some(model::Group {
                kind: model::MemberKind::Querier,
                version: Some(match family {
                    Family::V4 => model::GroupProtocol::Igmpv3,
                    Family::V6 => model::GroupProtocol::Mldv2,
                }),
                address: Some(querier.asks_as()?),
                ..named(network)
            })
        }));
        let others = snooper.queriers.iter().filter_map(|querier| querier.other());
        list.extend(others.map(|other| model::Group {
            kind: model::MemberKind::Querier,
            version: Some(protocol(other.version)),
            address: Some(other.address),
            expires_seconds: Some(seconds(now, other.until)),
            ..self.row(network, other.way)
        }));
    }

    fn report_routers(
        &self,
        network: &Network,
        snooper: &Snooper,
        now: Instant,
        list: &mut Vec<model::Group>,
    ) {
        let kind = model::MemberKind::Router;
        let fixed = snooper.settings.routers.iter();
        list.extend(fixed.map(|way| model::Group { kind, ..self.row(network, *way) }));
        let learned = snooper.queriers.iter().flat_map(|querier| querier.routers());
        list.extend(learned.map(|(way, router)| model::Group {
            kind,
            version: Some(protocol(router.version)),
            expires_seconds: router.until.map(|until| seconds(now, until)),
            ..self.row(network, way)
        }));
    }

    /// Says where an adjacency is.
    fn row(&self, network: &Network, way: AdjacencyIndex) -> model::Group {
        model::Group { place: self.parts.place(way), ..named(network) }
    }
}

/// A row of a network, with nothing else.
fn named(network: &Network) -> model::Group {
    model::Group {
        vni: network.vni(),
        network: network.name().to_owned(),
        group: None,
        kind: model::MemberKind::Static,
        place: Place::default(),
        version: None,
        address: None,
        filter: None,
        sources: Vec::new(),
        expires_seconds: None,
    }
}

impl Multicast {
    /// All members by ascending group, the operator's first, which have no state.
    fn members(&self) -> Vec<(IpAddr, AdjacencyIndex, Option<&Member>)> {
        let mut members = Vec::new();
        for group in &self.fixed {
            members.extend(group.members.iter().map(|way| (group.address, *way, None)));
        }
        for (address, group) in self.snooper.iter().flat_map(|snooper| &snooper.groups) {
            let learned = group.members.iter();
            members.extend(learned.map(|(way, member)| (*address, *way, Some(member))));
        }
        members.sort_by_key(|(group, ..)| *group);
        members
    }

    /// What the API says of what was heard.
    pub fn report(&self) -> Option<model::Snooping> {
        let (snooper, shared) = (self.snooper.as_ref()?, self.shared.snooping.as_ref()?);
        let counts = snooper.counts;
        Some(model::Snooping {
            groups_learned: snooper.groups.len() as u64,
            group_limit: snooper.settings.group_limit as u64,
            groups_refused: counts.groups_refused,
            sources_refused: counts.sources_refused,
            reports: counts.reports,
            leaves: counts.leaves,
            queries: counts.queries,
            queries_sent: counts.queries_sent,
            messages_refused: shared.refused(),
        })
    }
}

fn learned(member: &Member, now: Instant, row: model::Group) -> model::Group {
    let source = |(source, until): (IpAddr, Option<Instant>)| model::GroupSource {
        source,
        wanted: until.is_some(),
        expires_seconds: until.map(|until| seconds(now, until)),
    };
    let excludes = member.exclude_until();
    let until = excludes.or_else(|| member.sources().filter_map(|(_, until)| until).max());
    model::Group {
        kind: model::MemberKind::Learned,
        version: Some(protocol(member.version)),
        filter: Some(match excludes {
            Some(_) => model::GroupFilter::Exclude,
            None => model::GroupFilter::Include,
        }),
        sources: member.sources().map(source).collect(),
        expires_seconds: until.map(|until| seconds(now, until)),
        ..row
    }
}

fn protocol(version: Version) -> model::GroupProtocol {
    match version {
        Version::Igmp1 => model::GroupProtocol::Igmpv1,
        Version::Igmp2 => model::GroupProtocol::Igmpv2,
        Version::Igmp3 => model::GroupProtocol::Igmpv3,
        Version::Mld1 => model::GroupProtocol::Mldv1,
        Version::Mld2 => model::GroupProtocol::Mldv2,
        Version::Pim => model::GroupProtocol::Pim,
    }
}

fn seconds(now: Instant, until: Instant) -> u64 {
    until.saturating_duration_since(now).as_secs()
}
