//! MACs that show up at another place than where they are known.

use std::time::Duration;

use super::item::{Fields, Item};
use super::keys::network::MAC_MOVE;
use super::scalar;
use crate::worker::MovePolicy;

/// What becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacMove {
    /// Whether they move.
    pub policy: MovePolicy,
    /// What is too often; `None`: nothing.
    pub dampening: Option<Dampening>,
}

/// When a MAC moves too often, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dampening {
    /// The most moves.
    pub moves: u32,
    /// In this time, 1 s to 9 h, from the first of them.
    pub within: Duration,
    /// How long it then stays where it is, 1 s to 9 h.
    pub frozen_for: Duration,
}

/// The numbers of RFC 7432 section 15.1.
const USUAL: Dampening =
    Dampening { moves: 5, within: Duration::from_secs(180), frozen_for: Duration::from_secs(60) };

impl Default for MacMove {
    fn default() -> Self {
        Self { policy: MovePolicy::Allow, dampening: Some(USUAL) }
    }
}

pub(super) const POLICIES: [(&str, MovePolicy); 3] = [
    ("allow", MovePolicy::Allow),
    ("local-wins", MovePolicy::LocalWins),
    ("freeze", MovePolicy::Freeze),
];

/// Reads a `mac_move` key.
pub(super) fn mac_move(item: &Item<'_>) -> Option<MacMove> {
    if !item.is_mapping() {
        let policy = item.choice(&POLICIES)?;
        return Some(MacMove { policy, ..MacMove::default() });
    }
    let fields = item.fields(&MAC_MOVE)?;
    let policy = fields.or("policy", MovePolicy::Allow, |item| item.choice(&POLICIES));
    let moves = fields.or("moves", Some(USUAL.moves), |item| match item.as_text() {
        Some("off") => Some(None),
        Some(_) => item.expected("a whole number from 1 to 1000, or 'off'"),
        None => item.number().map(Some),
    });
    let within = fields.or("within", USUAL.within, |item| scalar::duration(&item));
    let frozen_for = fields.or("frozen_for", USUAL.frozen_for, |item| scalar::duration(&item));
    if policy == Some(MovePolicy::Freeze) {
        pointless(
            &fields,
            &["moves", "within", "frozen_for"],
            "with 'policy: freeze' no MAC moves",
        );
    } else if moves == Some(None) {
        pointless(&fields, &["within", "frozen_for"], "with 'moves: off' no MAC is frozen");
    }
    let (moves, within, frozen_for) = (moves?, within?, frozen_for?);
    let dampening = moves.map(|moves| Dampening { moves, within, frozen_for });
    Some(MacMove { policy: policy?, dampening })
}

fn pointless(fields: &Fields<'_>, keys: &[&str], because: &str) {
    for key in keys {
        if let Some(item) = fields.get(key) {
            item.error(format_args!("{because}; remove '{key}'"));
        }
    }
}
