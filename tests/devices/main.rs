//! Ports of all kinds, guests, NICs, and workers.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod guests;
mod offloads;
mod ports;
mod real_guest;
mod real_nic;
mod vhost;
mod whole_packets;
mod workers;
