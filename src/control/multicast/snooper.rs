//! Who listens to which group of a network, as far as IGMP and MLD say (RFC 4541).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;
use std::{iter, mem};

use hashbrown::HashMap;

use super::Ways;
use super::asking::Asking;
use super::member::{Asks, Member};
use super::querier::{Intervals, Querier, ROBUSTNESS};
use crate::wire::membership::{Family, Heard, Message, Query, RecordKind, Sources, Version};
use crate::wire::multicast::is_link_local;
use crate::wire::{MacAddr, igmp, mld};
use crate::worker::{AdjacencyIndex, Listeners};

/// What the operator asked for.
pub struct Settings {
    /// The most groups that are learned.
    pub group_limit: usize,
    /// The most groups that one port or peer can be a member of.
    pub port_group_limit: usize,
    /// Whether a group leaves a port with the first station that does.
    pub fast_leave: bool,
    /// Where multicast routers are for certain.
    pub routers: Vec<AdjacencyIndex>,
    /// Where no querier says others.
    pub intervals: Intervals,
    /// As whom we ask where nobody else does; `None`: we never ask.
    pub own: Option<Station>,
}

/// Who we are in a tenant's network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// MAC.
    pub mac: MacAddr,
    /// May be 0.0.0.0.
    pub ipv4: Ipv4Addr,
    /// Link-local.
    pub ipv6: Ipv6Addr,
}

impl Station {
    fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.ipv4.into(),
            Family::V6 => self.ipv6.into(),
        }
    }
}

/// What was heard, and what was too much.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Reports of all versions.
    pub reports: u64,
    /// Leaves of IGMPv2, dones of MLDv1.
    pub leaves: u64,
    /// Queries.
    pub queries: u64,
    /// Our own queries.
    pub queries_sent: u64,
    /// Memberships that a limit kept out, each time they were heard.
    pub groups_refused: u64,
    /// Sources of a membership that were too many, each time they were heard.
    pub sources_refused: u64,
}

/// What time does something to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// Queriers and routers.
    Family(Family),
    /// The members of a group.
    Group(IpAddr),
}

/// Where a message came in.
#[derive(Clone, Copy)]
pub struct Way {
    /// The adjacency that leads back there.
    pub adjacency: AdjacencyIndex,
    /// Whether that is a port rather than a peer.
    pub is_local: bool,
}

/// One network's members.
pub struct Snooper {
    pub(super) settings: Settings,
    /// By family.
    pub(super) queriers: [Querier; 2],
    pub(super) groups: HashMap<IpAddr, Group>,
    /// How many groups each port and peer is a member of.
    memberships: HashMap<AdjacencyIndex, usize>,
    /// What was heard.
    pub counts: Counts,
    /// When to look after what: of each subject its earliest time, or an earlier one.
    alarms: BTreeSet<(Instant, Subject)>,
    /// Of the families.
    family_alarms: [Option<Instant>; 2],
    /// Whether frames go to other places now than workers were told.
    pub changed: bool,
    /// Queries that are to be flooded.
    pub outgoing: Vec<Vec<u8>>,
}

/// A group with members.
#[derive(Default)]
pub(super) struct Group {
    pub members: BTreeMap<AdjacencyIndex, Member>,
    asking: Asking,
    /// What workers were told; `None`: it is to be made anew.
    pub listeners: Option<Arc<Listeners>>,
    /// Its time among the alarms.
    alarm: Option<Instant>,
}

impl Snooper {
    /// Knows nobody yet.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut snooper = Self {
            queriers: Default::default(),
            settings,
            groups: HashMap::new(),
            memberships: HashMap::new(),
            counts: Counts::default(),
            alarms: BTreeSet::new(),
            family_alarms: [None; 2],
            changed: false,
            outgoing: Vec::new(),
        };
        snooper.set_own(now);
        snooper
    }

    /// Follows other settings. Memberships that are over a new limit stay until they lapse.
    pub fn configure(&mut self, settings: Settings, now: Instant) {
        let before = mem::replace(&mut self.settings, settings);
        let Settings { own, intervals, .. } = &self.settings;
        if (&before.own, &before.intervals) != (own, intervals) {
            self.set_own(now);
        }
    }

    fn set_own(&mut self, now: Instant) {
        for family in Family::ALL {
            let own = self.settings.own.map(|own| (own.address(family), own.mac));
            self.queriers[family as usize].set_own(own, now);
            self.arm_family(family);
        }
    }

    /// Takes a message.
    pub fn hear(&mut self, way: Way, heard: &Heard, now: Instant) {
        let none = || iter::empty();
        match &heard.message {
            Message::Query(query) => {
                self.counts.queries += 1;
                let family = Family::of(heard.source);
                let querier = &mut self.queriers[family as usize];
                let intervals = &self.settings.intervals;
                let patience = querier.hear_query(way.adjacency, heard, query, intervals, now);
                self.look_after(family, now);
                if let (Some(group), Some(patience)) = (query.group, patience)
                    && !query.suppress
                {
                    self.lower(group, query.sources.iter().collect(), now + patience);
                }
            }
            Message::Router(hold) => {
                let family = Family::of(heard.source);
                let querier = &mut self.queriers[family as usize];
                querier.note_router(way.adjacency, Version::Pim, *hold, now);
                self.look_after(family, now);
            }
            Message::Report(version, group) => {
                self.counts.reports += 1;
                self.note(way, *group, (*version, RecordKind::IsExclude), none(), now);
            }
            Message::Leave(version, group) => {
                self.counts.leaves += 1;
                self.note(way, *group, (*version, RecordKind::ToInclude), none(), now);
            }
            Message::Records(records) => {
                self.counts.reports += 1;
                let version = match records.family() {
                    Family::V4 => Version::Igmp3,
                    Family::V6 => Version::Mld2,
                };
                for record in records.clone() {
                    let word = (version, record.kind);
                    self.note(way, record.group, word, record.sources.iter(), now);
                }
            }
            Message::Unknown => {}
        }
    }

    /// When to look after something next.
    pub fn next(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub fn alarms(&self) -> usize {
        self.alarms.len()
    }

    /// Looks after everything whose time has come.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, subject)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.pop_first();
            match subject {
                Subject::Family(family) => {
                    self.family_alarms[family as usize] = None;
                    self.look_after(family, now);
                }
                Subject::Group(address) => {
                    let Some(group) = self.groups.get_mut(&address) else { continue };
                    group.alarm = None;
                    let mut lapsed = false;
                    for member in group.members.values_mut() {
                        lapsed |= member.lapse(now);
                    }
                    self.ask_about(address, now);
                    self.settle(address, lapsed);
                }
            }
        }
    }

    /// Forgets what is behind ways that are no longer the network's.
    pub fn retain(&mut self, stays: impl Fn(AdjacencyIndex) -> bool, now: Instant) {
        self.changed = true;
        for family in Family::ALL {
            self.queriers[family as usize].retain(&stays, now);
            self.look_after(family, now);
        }
        let addresses: Vec<_> = self.groups.keys().copied().collect();
        for address in addresses {
            let Some(group) = self.groups.get_mut(&address) else { continue };
            for (way, member) in &mut group.members {
                if !stays(*way) {
                    *member = Member::new(member.version);
                }
            }
            self.settle(address, true);
        }
    }

    /// Where routers of a family are.
    pub fn routers(&self, family: Family) -> Vec<AdjacencyIndex> {
        let learned = self.queriers[family as usize].routers().map(|(way, _)| way);
        self.settings.routers.iter().copied().chain(learned).collect()
    }

    /// Where the frames of groups with members go, which the operator's members of them get too. While somebody may listen
    /// who has not said so, a group that would be flooded is.
    pub fn listeners(
        &mut self,
        ways: &Ways,
        fixed: &[super::Group],
        drops_unregistered: bool,
    ) -> HashMap<IpAddr, Arc<Listeners>> {
        let routers = Family::ALL.map(|family| self.routers(family));
        let mut lists = HashMap::new();
        for (address, group) in &mut self.groups {
            let family = Family::of(*address) as usize;
            let own = fixed.binary_search_by_key(address, |group| group.address);
            let own = own.map_or(&[][..], |at| &fixed[at].members);
            let known = drops_unregistered || self.queriers[family].is_ready();
            if known && !group.members.is_empty() || !own.is_empty() {
                let always = || [own, &routers[family]].concat();
                let members = group.members.iter().map(|(way, member)| (*way, member));
                let new = || Arc::new(ways.listeners(&always(), members));
                lists.insert(*address, group.listeners.get_or_insert_with(new).clone());
            }
        }
        lists
    }

    /// A port or peer says something of a group.
    fn note(
        &mut self,
        way: Way,
        address: IpAddr,
        (version, kind): (Version, RecordKind),
        sources: impl Iterator<Item = IpAddr>,
        now: Instant,
    ) {
        if !address.is_multicast() || is_link_local(address) {
            return;
        }
        let querier = &self.queriers[Family::of(address) as usize];
        let membership = querier.membership(&self.settings.intervals);
        let adjacency = way.adjacency;
        let known = self.groups.get_mut(&address).and_then(|of| of.members.get_mut(&adjacency));
        let (mut new, is_new) = (Member::new(version), known.is_none());
        let member = known.unwrap_or(&mut new);
        let outcome = member.hear(version, kind, sources, now, membership);
        self.counts.sources_refused += outcome.refused as u64;
        if is_new {
            if new.is_empty() || !self.admit(address, adjacency) {
                return;
            }
            self.groups.entry(address).or_default().members.insert(adjacency, new);
        }
        let lapsed = self.doubt(way, address, outcome.asks, now);
        self.settle(address, outcome.changed || lapsed);
    }

    /// A member of a group may be the last behind its port or peer. Returns whether it is believed to be.
    fn doubt(&mut self, way: Way, address: IpAddr, mut asks: Asks, now: Instant) -> bool {
        if asks == Asks::default() {
            return false;
        }
        let asks_others = self.queriers[Family::of(address) as usize].asks_as().is_some();
        let Some(group) = self.groups.get_mut(&address) else { return false };
        if asks_others {
            group.asking.add(&mut asks, now);
        }
        let mut lapsed = false;
        if let Some(member) = group.members.get_mut(&way.adjacency) {
            if self.settings.fast_leave && way.is_local {
                member.lower(&asks, now);
                lapsed = member.lapse(now);
            } else if asks_others {
                member.lower(&asks, now + self.settings.intervals.patience());
            }
        }
        self.ask_about(address, now);
        lapsed
    }

    /// Sends the queries for a group that are due.
    fn ask_about(&mut self, address: IpAddr, now: Instant) {
        let Some(group) = self.groups.get_mut(&address) else { return };
        let intervals = &self.settings.intervals;
        for question in group.asking.due(&group.members, intervals, now) {
            self.ask(Some(address), Family::of(address), question.suppress, &question.sources);
        }
    }

    /// Sends a query, for all groups or one.
    fn ask(&mut self, group: Option<IpAddr>, family: Family, suppress: bool, sources: &[IpAddr]) {
        let Settings { intervals, own: Some(own), .. } = &self.settings else { return };
        let query = Query {
            version: if family == Family::V4 { Version::Igmp3 } else { Version::Mld2 },
            group,
            sources: Sources::none(family),
            max_response: if group.is_none() { intervals.response } else { intervals.last_member },
            suppress,
            robustness: ROBUSTNESS,
            interval: intervals.query,
        };
        self.counts.queries_sent += 1;
        self.outgoing.push(match family {
            Family::V4 => igmp::frame((own.mac, own.ipv4), &query, sources),
            Family::V6 => mld::frame((own.mac, own.ipv6), &query, sources),
        });
    }

    /// Whether there is room for one more membership, which is counted then.
    fn admit(&mut self, group: IpAddr, way: AdjacencyIndex) -> bool {
        let full = self.groups.len() >= self.settings.group_limit;
        let of_way = self.memberships.entry(way).or_default();
        if full && !self.groups.contains_key(&group) || *of_way >= self.settings.port_group_limit {
            self.counts.groups_refused += 1;
            return false;
        }
        *of_way += 1;
        true
    }

    /// After its members changed: forgets those that want nothing, and sees to the next alarm. `changed` is whether frames
    /// go to other places.
    fn settle(&mut self, address: IpAddr, changed: bool) {
        let Some(group) = self.groups.get_mut(&address) else { return };
        if changed {
            self.changed = true;
            group.listeners = None;
            let memberships = &mut self.memberships;
            group.members.retain(|way, member| {
                if member.is_empty()
                    && let Some(count) = memberships.get_mut(way)
                {
                    *count -= 1;
                }
                !member.is_empty()
            });
        }
        if group.members.is_empty() && group.asking.next().is_none() {
            let alarm = group.alarm.map(|at| (at, Subject::Group(address)));
            alarm.map(|alarm| self.alarms.remove(&alarm));
            self.groups.remove(&address);
        } else {
            let members = group.members.values().map(Member::next);
            let next = members.chain([group.asking.next()]).flatten().min();
            arm(&mut self.alarms, Subject::Group(address), &mut group.alarm, next);
        }
    }

    /// A querier asks for a group, or for some of its sources: who does not answer until then does not listen.
    fn lower(&mut self, address: IpAddr, sources: Vec<IpAddr>, until: Instant) {
        let Some(group) = self.groups.get_mut(&address) else { return };
        let asks = Asks { group: sources.is_empty(), sources };
        for member in group.members.values_mut() {
            member.lower(&asks, until);
        }
        self.settle(address, false);
    }

    /// After a family's querier or routers changed, or their time has come.
    fn look_after(&mut self, family: Family, now: Instant) {
        let querier = &mut self.queriers[family as usize];
        querier.lapse(now);
        if querier.take_changed() {
            self.changed = true;
            let groups = self.groups.iter_mut();
            for (_, group) in groups.filter(|(address, _)| Family::of(**address) == family) {
                group.listeners = None;
            }
        }
        if querier.take_due(&self.settings.intervals, now) {
            self.ask(None, family, false, &[]);
        }
        self.arm_family(family);
    }

    fn arm_family(&mut self, family: Family) {
        let next = self.queriers[family as usize].next();
        let alarm = &mut self.family_alarms[family as usize];
        arm(&mut self.alarms, Subject::Family(family), alarm, next);
    }
}

/// Moves a subject's alarm forward, if need be. One that comes too early does no harm.
fn arm(
    alarms: &mut BTreeSet<(Instant, Subject)>,
    subject: Subject,
    alarm: &mut Option<Instant>,
    next: Option<Instant>,
) {
    let Some(next) = next else { return };
    if alarm.is_none_or(|alarm| next < alarm) {
        alarm.replace(next).map(|old| alarms.remove(&(old, subject)));
        alarms.insert((next, subject));
    }
}
