//! Multicast groups with members: who gets which.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::context::Context;
use super::forward::Lane;
use super::snapshot::{FloodList, Network};
use super::snooping::Snooping;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::{Published, Reader};
use crate::wire::membership::{self, Family};
use crate::wire::multicast::{self, Stream};

/// What becomes of a network's IP multicast. Snapshots share it for as long as the network's configuration stays: members come
/// and go without another one.
pub struct Multicast {
    /// Who is a member now.
    pub groups: Published<Groups>,
    /// How IGMP and MLD are heard; `None`: only the operator says who is a member.
    pub snooping: Option<Arc<Snooping>>,
}

/// A network's groups: built by the control core, replaced whole.
#[derive(Clone, Default)]
pub struct Groups {
    /// Where each group's frames go.
    pub lists: HashMap<IpAddr, Arc<Listeners>>,
    /// Whether groups that have no list go to multicast routers only, rather than to all.
    pub drops_unregistered: bool,
    /// Where multicast routers are, by family.
    pub routers: [FloodList; 2],
    /// Where reports go, by family.
    pub reports: [FloodList; 2],
}

/// Where a group's frames go, multicast routers included.
#[derive(Default)]
pub struct Listeners {
    /// Those from a source that has no list of its own.
    pub others: FloodList,
    /// By source, where somebody named it.
    pub sources: HashMap<IpAddr, FloodList>,
}

/// Who gets a frame: what is left of a choice when a flood waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// All of the network.
    Network,
    /// Who listens to a group that has a list.
    Listeners(Stream),
    /// Multicast routers.
    Routers(Family),
    /// Who needs to know of a report.
    Reports(Family),
}

impl Listeners {
    fn of(&self, source: IpAddr) -> &FloodList {
        self.sources.get(&source).unwrap_or(&self.others)
    }
}

impl Multicast {
    /// Another one, of the groups as they are now.
    pub(super) fn detached(&self, reader: &Reader) -> Self {
        Self {
            groups: Published::new(Box::new(self.groups.load(reader).clone())),
            snooping: self.snooping.as_ref().map(|snooping| Arc::new(snooping.detached())),
        }
    }

    /// Who gets a broadcast, unknown unicast or multicast frame of a network.
    #[inline(never)]
    pub(super) fn choose<'r>(
        &'r self,
        context: &mut Context,
        reader: &'r Reader,
        lane: &Lane<'r>,
        frame: &mut Mbuf,
    ) -> Result<(Audience, &'r FloodList), DropReason> {
        let groups = self.groups.load(reader);
        if let Some(snooping) = &self.snooping
            && membership::concerns(frame.data())
            && let Some(family) = snooping.hear(context, lane, frame)?
        {
            return Ok((Audience::Reports(family), &groups.reports[family as usize]));
        }
        let network = (Audience::Network, &*lane.network.flood);
        let Some(stream) = multicast::stream(frame.data()) else { return Ok(network) };
        let family = Family::of(stream.group);
        Ok(match groups.lists.get(&stream.group) {
            Some(listeners) => (Audience::Listeners(stream), listeners.of(stream.source)),
            None if groups.drops_unregistered => {
                (Audience::Routers(family), &groups.routers[family as usize])
            }
            None => network,
        })
    }
}

impl Audience {
    /// Where a flood of a network goes on that waited; `None` if its group has no members any more.
    pub(super) fn list<'r>(
        self,
        network: &'r Network,
        reader: &'r Reader,
    ) -> Option<&'r FloodList> {
        let groups = network.multicast.as_ref().map(|multicast| multicast.groups.load(reader));
        match self {
            Self::Network => Some(&network.flood),
            Self::Listeners(Stream { source, group }) => {
                groups?.lists.get(&group).map(|listeners| listeners.of(source))
            }
            Self::Routers(family) => groups.map(|groups| &groups.routers[family as usize]),
            Self::Reports(family) => groups.map(|groups| &groups.reports[family as usize]),
        }
    }

    /// What a frame is counted as that nobody gets.
    pub(super) fn nobody(self) -> DropReason {
        match self {
            Self::Network | Self::Listeners(_) => DropReason::NoDestination,
            Self::Routers(_) => DropReason::UnregisteredMulticast,
            Self::Reports(_) => DropReason::ReportHeard,
        }
    }
}
