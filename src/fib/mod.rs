//! The MAC FIB, one table a network, and the reclamation under it.
//!
//! Who may call what: workers hold a [`Reader`] each and look up ([`Fib::buckets`], wait-free); they
//! write nothing but the tick of an entry that they saw again ([`Hit::refresh`]). The control
//! core alone holds the [`FibWriter`]s and the [`Reclaimer`]; it inserts, removes, sweeps, grows and frees,
//! all while workers read. No worker ever frees, and nobody ever waits for anybody.
//!
//! How a flush is O(1): an [`Entry`] carries the generation of its adjacency. To void all entries that
//! were learned at a port or a peer, the control core publishes the adjacency with the next generation;
//! readers compare, and the sweep removes what is void at leisure. A whole network is
//! flushed by publishing a fresh table ([`FibWriter::rebuild`]).

mod array;
mod compare;
mod entry;
mod memory;
mod qsbr;
mod read;
mod sync;
mod table;
mod write;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use array::Array;
pub use entry::{Entry, Location, MacKey};
pub use qsbr::{Domain, Published, Reader, Reclaimer, TooManyReaders};
pub use read::{Buckets, Fib, Hit, Probe, prefetch};
pub(crate) use write::no_memory;
pub use write::{Change, FibWriter, InsertError};
