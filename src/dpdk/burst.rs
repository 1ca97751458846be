//! Mbufs on the stack.

use arrayvec::ArrayVec;

use super::mbuf::Mbuf;

/// Packets taken from a queue at once, at most.
pub const BURST: usize = 32;

/// Up to [`BURST`] packets, held on the stack.
pub type Burst = ArrayVec<Mbuf, BURST>;
