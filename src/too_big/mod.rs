//! Packets that are too big for the path: what their senders are told, in IPv4 and IPv6.
#![forbid(unsafe_code)]

mod answer;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Excess, Gateways};
