//! Sequence numbers of GRE packets (RFC 2890).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::utils::CachePadded;

/// The next number to a peer, from 0, modulo 2^32. All workers and all outer headers to that peer take from one, so
/// that no number is sent twice, whatever becomes of next hops.
///
/// Numbers are taken in the order of encapsulation. Where several workers send to one peer, or its packets take several
/// queues, they may arrive in another.
#[derive(Clone, Debug, Default)]
pub struct SequenceNumbers(Arc<CachePadded<AtomicU32>>);

impl SequenceNumbers {
    /// The next one.
    #[inline]
    pub fn take(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
