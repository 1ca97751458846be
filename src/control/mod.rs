//! The control core: the single writer of everything that workers read.
//!
//! One thread, EAL's main lcore, owns [`Control`]. Workers reach it by their event queues; the API and
//! the netlink watcher, which live on threads of their own, by channels. Nobody else changes anything.

mod adjacency;
mod ageing;
mod announce;
mod apply;
mod capture;
mod clock;
mod core;
mod filters;
#[cfg(test)]
mod fixture;
mod flood_groups;
mod flush;
mod former;
mod group_policy;
mod learn;
mod learned_peers;
mod links;
mod live;
mod macs;
mod memory;
mod mirrors;
mod moves;
mod multicast;
mod neighbours;
mod netlink;
mod network;
mod networks;
mod path_mtu;
mod peers;
mod plug;
mod ports;
mod reading;
mod report;
mod service;
mod snapshot;
mod startup;
mod trace;

pub use self::core::{Control, Stopped};
pub use self::memory::{Most, SetBy};
pub use self::service::{ready, stopping};
pub use startup::{StartError, check_machine, pin_to_control_core, start};
