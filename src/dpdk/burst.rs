//! Mbufs on the stack.

use arrayvec::ArrayVec;

use super::mbuf::Mbuf;

/// Packets taken from a queue at once, at most.
pub const BURST: usize = 32;

/// Up to [`BURST`] packets, held on the stack.
pub type Burst = ArrayVec<Mbuf, BURST>;

/// Packets whose first bytes are on their way into the cache while one is looked at.
const AHEAD: usize = 4;

/// Packets between those that [`sift_ahead`] shows to `peek` and to `keep`.
const PEEK: usize = 2;

/// Keeps the packets that `keep` gives back, in their order. Returns the bytes of all. What `keep` looks at
/// has been prefetched.
#[inline(always)]
pub fn sift(burst: &mut Burst, keep: impl FnMut(Mbuf) -> Option<Mbuf>) -> u64 {
    sift_ahead(burst, |_| (), keep)
}

/// The same, and most packets are shown to `peek` some packets before, so that it can prefetch what `keep` will need.
#[inline(always)]
pub fn sift_ahead(
    burst: &mut Burst,
    peek: impl Fn(&Mbuf),
    mut keep: impl FnMut(Mbuf) -> Option<Mbuf>,
) -> u64 {
    burst.iter().take(AHEAD).for_each(Mbuf::prefetch);
    let total = burst.len();
    let first = burst.as_mut_ptr();
    let mut kept = 0;
    let mut bytes = 0;
    // SAFETY: each of the `total` packets is read once, after which its place is free to be written; `kept` never
    // overtakes `number`, and only packets behind it are prefetched. Should `keep` panic, the burst is empty and packets
    // leak.
    unsafe {
        burst.set_len(0);
        for number in 0..total {
            if number + AHEAD < total {
                (*first.add(number + AHEAD)).prefetch();
                peek(&*first.add(number + PEEK));
            }
            let packet = first.add(number).read();
            bytes += packet.len() as u64;
            if let Some(packet) = keep(packet) {
                first.add(kept).write(packet);
                kept += 1;
            }
        }
        burst.set_len(kept);
    }
    bytes
}

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
