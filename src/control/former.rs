//! The indices of peers that are gone.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::clock::Seconds;
use crate::config;
use crate::worker::AdjacencyIndex;

/// How long nobody else gets an index. What may still name it, such as events in a queue, is gone long before.
const REST: Seconds = 60;

/// Kept for peers that come back, and in the end for others: indices are not endless, networks come and go, and senders
/// may be forged.
#[derive(Default)]
pub struct Former {
    by_peer: HashMap<config::Peer, (Seconds, AdjacencyIndex)>,
    /// Since when.
    by_time: BTreeMap<(Seconds, AdjacencyIndex), config::Peer>,
}

/// An index for a peer that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It had this one before.
    Own(AdjacencyIndex),
    /// Another one had it.
    Others(AdjacencyIndex),
}

impl Former {
    /// A peer is gone.
    pub fn keep(&mut self, peer: config::Peer, index: AdjacencyIndex, now: Seconds) {
        self.by_peer.insert(peer, (now, index));
        self.by_time.insert((now, index), peer);
    }

    /// Takes the index that a peer had, or the one that has rested longest, if that was long enough.
    pub fn take(&mut self, peer: &config::Peer, now: Seconds) -> Option<Known> {
        if let Some(own) = self.by_peer.remove(peer) {
            self.by_time.remove(&own);
            return Some(Known::Own(own.1));
        }
        let oldest = self.by_time.first_entry().filter(|entry| now >= entry.key().0 + REST)?;
        let ((_, index), other) = oldest.remove_entry();
        self.by_peer.remove(&other);
        Some(Known::Others(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::Encap;

    #[test]
    fn who_comes_back_has_its_own_and_others_what_has_rested() {
        let peer = |number| config::Peer {
            address: [192, 0, 2, number].into(),
            encap: Encap::vxlan(4789),
            id: None,
            dscp: None,
            ttl: None,
        };
        let mut former = Former::default();
        former.keep(peer(1), 11, 5);
        former.keep(peer(2), 12, 6);
        assert_eq!(former.take(&peer(1), 7), Some(Known::Own(11)));
        assert_eq!(former.take(&peer(3), 65), None);
        // It was gone a second time, so the first time does not count.
        former.keep(peer(1), 11, 8);
        assert_eq!(former.take(&peer(3), 66), Some(Known::Others(12)));
        assert_eq!(former.take(&peer(2), 67), None, "that is another's now");
        assert_eq!(former.take(&peer(2), 68), Some(Known::Others(11)));
        assert_eq!(former.take(&peer(1), 1000), None);
        assert!(former.by_peer.is_empty() && former.by_time.is_empty());
    }
}
