//! Mbufs on the stack.

use arrayvec::ArrayVec;

use super::mbuf::Mbuf;

/// Packets taken from a queue at once, at most.
pub const BURST: usize = 32;

/// Up to [`BURST`] packets, held on the stack.
pub type Burst = ArrayVec<Mbuf, BURST>;

/// Takes the first `count` packets out of the vector without freeing them.
///
/// # Safety
/// Somebody else owns those packets now.
#[inline(always)]
pub(super) unsafe fn forget_front<const N: usize>(packets: &mut ArrayVec<Mbuf, N>, count: usize) {
    let rest = packets.len() - count;
    let first = packets.as_mut_ptr();
    // SAFETY: the `rest` packets behind are moved to the front; the caller answers for the others.
    unsafe {
        std::ptr::copy(first.add(count), first, rest);
        packets.set_len(rest);
    }
}
