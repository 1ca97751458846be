//! Which address has which MAC, one table a network: what ARP and neighbour discovery are answered from.
//!
//! Who may call what: workers look up ([`Neighbours::begin`], wait-free) under their [`Reader`](crate::fib::Reader),
//! and write nothing but the tick of a binding that they heard again. The control core alone holds the
//! [`NeighbourWriter`]s.
//!
//! A table is two things of one kind each that exist already. A [`Fib`](crate::fib::Fib) maps 47 bits of an address's
//! hash to the number of a record, beside which it keeps 16 bits of the MAC's hash, where the MAC FIB has a generation;
//! the record has the whole address and the MAC. A reader compares the address, so two that hash alike never stand for
//! each other: the second finds no place. A record is used again only after a grace period, so who has found its
//! number finds what belongs to it.
#![forbid(unsafe_code)]

mod address;
mod answer;
mod hear;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod write;

pub use address::Address;
pub use answer::answer;
pub use hear::{Claim, Heard, concerns, hear};
pub use read::{Begun, Known, Listed, Neighbours, Reached};
pub use record::{Binding, Kind};
pub use write::{NeighbourWriter, Refused};
