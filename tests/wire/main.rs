//! What one packet becomes: encapsulations, headers, sizes, next hops.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod decapsulation;
mod ecn;
mod encapsulation;
mod fragments;
mod group_policy;
mod jumbo;
mod malformed;
mod mtu;
mod next_hops;
mod path_mtu;
mod replication;
mod tunnels;
mod udp_checksums;
