//! TCP packets that a guest takes whole: it cuts them itself if it sends them on.

use crate::dpdk::{Mbuf, Mempool, Work};
use crate::wire::ipv4;
use crate::wire::transport::Transport;

/// Leaves a packet's segments to the guest that it is sent to.
///
/// In the checksum's place a guest finds the pseudo-header's sum, with the packet's length (Virtual I/O Device 1.1 section
/// 5.1.6.2): a router among guests cuts by that, and hosts do not look at it. DPDK's vhost driver puts a sum without the length
/// there, as NICs want it, where all headers lie in one mbuf; so they lie in two. Without an mbuf for that hosts have the packet all the same.
pub(super) fn leave_to_guest(mut frame: Mbuf, work: &Work, pool: &Mempool) -> Mbuf {
    match split(&mut frame, pool) {
        Some(mut headers) => {
            headers.chain(frame);
            headers.leave_prepared(work);
            headers
        }
        None => {
            frame.leave(work);
            frame
        }
    }
}

/// Takes the headers up to the TCP header out of a frame, and makes the checksums what they are to be.
fn split(frame: &mut Mbuf, pool: &Mempool) -> Option<Mbuf> {
    let found = Transport::find(frame.data(), frame.len())?;
    let mut headers = pool.allocate()?;
    headers.take_notes(frame);
    let data = frame.data_mut()?;
    if !headers.append(&data[..found.at]) {
        return None;
    }
    let sum = found.pseudo_header(data, found.end - found.at).fold();
    data[found.checksum_at()].copy_from_slice(&sum.to_be_bytes());
    if !found.over_ipv6 {
        ipv4::Header::renew_checksum(&mut headers.data_mut()?[found.ip_at..]);
    }
    frame.trim_front(found.at).then_some(headers)
}
