//! Multicast groups with members: who gets which.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::snapshot::{FloodList, Network};
use crate::wire::multicast;

/// A network's groups: built by the control core, shared by snapshots.
pub struct Groups {
    /// Where each group's frames go.
    pub lists: HashMap<IpAddr, Arc<FloodList>>,
    /// Whether groups that are not listed are dropped rather than flooded.
    pub drops_unregistered: bool,
}

/// Who gets a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// All of the network.
    Network,
    /// The members of a group that is listed.
    Group(IpAddr),
    /// Nobody.
    Nobody,
}

impl Groups {
    /// Who gets a broadcast, unknown unicast or multicast frame.
    pub(super) fn audience(&self, frame: &[u8]) -> Audience {
        match multicast::group(frame) {
            None => Audience::Network,
            Some(group) if self.lists.contains_key(&group) => Audience::Group(group),
            Some(_) if self.drops_unregistered => Audience::Nobody,
            Some(_) => Audience::Network,
        }
    }
}

impl Network {
    /// Where a flood goes that is for a group, or for all; `None` if nobody is left.
    pub(super) fn flood_list(&self, audience: Audience) -> Option<&FloodList> {
        match audience {
            Audience::Network => Some(&self.flood),
            Audience::Group(group) => {
                self.multicast.as_ref()?.lists.get(&group).map(|list| &**list)
            }
            Audience::Nobody => None,
        }
    }
}
