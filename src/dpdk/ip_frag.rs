//! IP packets cut into fragments (DPDK Programmer's Guide, "IP Fragmentation and Reassembly Library").

use arrayvec::ArrayVec;

use super::mbuf::Mbuf;
use super::mempool::Mempool;

/// Fragments that a packet is cut into, at most.
const PIECES: usize = 32;

/// A packet's fragments, in their order.
pub type Pieces = ArrayVec<Mbuf, PIECES>;

/// Why a packet was not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutError {
    /// The pool is empty.
    NoMbuf,
    /// There would be more than 32 fragments, or the MTU is none of the family's, or the packet must stay whole.
    Refused,
}

/// Cuts a packet that begins with an IPv4 header without 'don't fragment' into fragments of at most `mtu` bytes. Each is a
/// chain: a header of its own, from `pool`, whose checksum is zero, before the packet's shared bytes.
///
/// # Errors
/// Then there are none.
pub fn cut_ipv4(packet: &mut Mbuf, mtu: u16, pool: &Mempool) -> Result<Pieces, CutError> {
    cut(dpdk_sys::rte_ipv4_fragment_packet, packet, mtu, pool)
}

/// The same for IPv6. The identification in the fragment headers is zero.
///
/// # Errors
/// Then there are none.
pub fn cut_ipv6(packet: &mut Mbuf, mtu: u16, pool: &Mempool) -> Result<Pieces, CutError> {
    cut(dpdk_sys::rte_ipv6_fragment_packet, packet, mtu, pool)
}

type Cut = unsafe extern "C" fn(
    *mut dpdk_sys::rte_mbuf,
    *mut *mut dpdk_sys::rte_mbuf,
    u16,
    u16,
    *mut dpdk_sys::rte_mempool,
    *mut dpdk_sys::rte_mempool,
) -> i32;

fn cut(by: Cut, packet: &mut Mbuf, mtu: u16, pool: &Mempool) -> Result<Pieces, CutError> {
    let mut pieces = Pieces::new();
    let room = pieces.as_mut_ptr().cast();
    let pool = pool.as_ptr();
    // SAFETY: the packet stays ours, only the reference counts of its segments rise; at most PIECES places are filled, and
    // what they hold is ours.
    unsafe {
        let count = by(packet.as_raw(), room, PIECES as u16, mtu, pool, pool);
        match usize::try_from(count) {
            Ok(count) => {
                pieces.set_len(count);
                Ok(pieces)
            }
            Err(_) if count == -libc::ENOMEM => Err(CutError::NoMbuf),
            Err(_) => Err(CutError::Refused),
        }
    }
}
