//! Source MACs that are known to live elsewhere: what a network makes of them.

use super::context::Context;
use super::event::Event;
use super::forward::Lane;
use super::snapshot::Snapshot;
use crate::drop_reason::DropReason;
use crate::fib::{Entry, MacKey};

/// Whether a MAC that is alive at one place may move to another. One that the operator or dampening holds does not move in any
/// case; this says what becomes of the frames as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovePolicy {
    /// The last source wins. Frames of those that are held pass.
    Allow,
    /// Nothing that comes by a tunnel takes a MAC from an access port; such frames are dropped.
    LocalWins,
    /// No MAC moves; frames with it from elsewhere are dropped.
    Freeze,
}

impl MovePolicy {
    /// Whether a live MAC stays where it is, at an access port or not, when it shows up in a frame from a tunnel, or else from
    /// a port.
    pub fn holds(self, is_local: bool, from_tunnel: bool) -> bool {
        match self {
            Self::Allow => false,
            Self::LocalWins => is_local && from_tunnel,
            Self::Freeze => true,
        }
    }
}

/// What a network wants with source MACs, in a byte: zero is nothing, so that nobody looks them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    const LEARNED: u8 = 1;
    const LOCAL_WINS: u8 = 1 << 1;
    const FREEZE: u8 = 1 << 2;

    /// Whether they are learned, and whether those known may move.
    pub fn new(learned: bool, policy: MovePolicy) -> Self {
        let policy = match policy {
            MovePolicy::Allow => 0,
            MovePolicy::LocalWins => Self::LOCAL_WINS,
            MovePolicy::Freeze => Self::FREEZE,
        };
        Self(policy | if learned { Self::LEARNED } else { 0 })
    }

    /// Whether they are looked up.
    #[inline(always)]
    pub fn matter(self) -> bool {
        self.0 != 0
    }

    /// Whether they are learned.
    #[inline(always)]
    pub fn are_learned(self) -> bool {
        self.0 & Self::LEARNED != 0
    }

    /// Whether those known may move.
    pub fn policy(self) -> MovePolicy {
        match self.0 & !Self::LEARNED {
            Self::LOCAL_WINS => MovePolicy::LocalWins,
            Self::FREEZE => MovePolicy::Freeze,
            _ => MovePolicy::Allow,
        }
    }
}

/// Judges a frame whose source the FIB has at another place: reports the move, unless the MAC is held.
#[cold]
#[inline(never)]
pub(super) fn judge(
    context: &mut Context,
    snapshot: &Snapshot,
    lane: &Lane,
    mac: MacKey,
    entry: Entry,
    from_tunnel: bool,
) -> Result<(), DropReason> {
    let sources = lane.network.sources;
    // What a flush voided is nowhere.
    if let Some(place) = snapshot.adjacency_of(entry) {
        if sources.policy().holds(place.is_local(), from_tunnel) {
            return Err(DropReason::MacMove);
        }
        if entry.is_held() {
            return Ok(());
        }
    }
    if sources.are_learned() {
        context.report(Event::Learn { ingress: lane.ingress, mac });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_in_a_byte() {
        for policy in [MovePolicy::Allow, MovePolicy::LocalWins, MovePolicy::Freeze] {
            for learned in [false, true] {
                let sources = Sources::new(learned, policy);
                assert_eq!((sources.are_learned(), sources.policy()), (learned, policy));
                assert_eq!(sources.matter(), learned || policy != MovePolicy::Allow);
            }
        }
    }
}
