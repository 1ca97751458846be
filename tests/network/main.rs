//! What a network does with its frames: learning, flooding, multicast, suppression.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod filters;
mod flood_group;
mod learned_peers;
mod learning;
mod mac_moves;
mod multicast;
mod population;
mod querier;
mod snooping;
mod storm;
mod suppression;
mod vlans;
