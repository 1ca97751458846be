//! Packets that are too big for the path, in IPv4 and IPv6: what tenants are told of theirs, and what routers say of ours.
#![forbid(unsafe_code)]

mod answer;
mod report;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Excess, Gateways};
pub use report::Report;
