//! The API over a real unix socket, with a thread that stands in for the control core.
#![allow(clippy::unwrap_used)]

mod config;
mod connections;
mod document;
pub(crate) mod fake;
mod macs;
mod metrics;
mod requests;
mod sockets;
pub(crate) mod trace;
