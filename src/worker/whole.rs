//! TCP packets that a guest takes whole: it cuts them itself if it sends them on.

use crate::dpdk::{Mbuf, Mempool, Work};
use crate::wire::checksum::Sum;
use crate::wire::{ipv4, ipv6};

/// Protocol number of TCP.
const TCP: u8 = 6;
/// Where TCP has its checksum.
const CHECKSUM: usize = 16;

/// Leaves a packet's segments to the guest that it is sent to.
///
/// In the checksum's place a guest finds the pseudo-header's sum, with the packet's length (Virtual I/O Device 1.1 section
/// 5.1.6.2): a router among guests cuts by that, and hosts do not look at it. DPDK's vhost driver puts a sum without the length
/// there, as NICs want it, where all headers lie in one mbuf; so they lie in two. Without an mbuf for that hosts have the packet all the same.
pub(super) fn leave_to_guest(mut frame: Mbuf, work: &Work, pool: &Mempool) -> Mbuf {
    match split(&mut frame, work, pool) {
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

/// Takes the headers up to the TCP header out of a frame.
fn split(frame: &mut Mbuf, work: &Work, pool: &Mempool) -> Option<Mbuf> {
    let at = work.before_ip + work.ip;
    let addresses = match work.over_ipv6 {
        false => work.before_ip + 12..work.before_ip + 20,
        true => work.before_ip + 8..work.before_ip + 40,
    };
    let mut headers = pool.allocate()?;
    headers.take_notes(frame);
    let data = frame.data_mut()?;
    let sum = Sum::of(data.get(addresses)?) + length(data, work)? + u16::from(TCP);
    if !headers.append(data.get(..at)?) {
        return None;
    }
    let checksum = data.get_mut(at + CHECKSUM..)?.first_chunk_mut()?;
    *checksum = sum.fold().to_be_bytes();
    if !work.over_ipv6 {
        ipv4::Header::renew_checksum(headers.data_mut()?.get_mut(work.before_ip..)?);
    }
    frame.trim_front(at).then_some(headers)
}

/// Bytes of the TCP header and what follows, by the IP header: a frame may have more.
fn length(data: &[u8], work: &Work) -> Option<u16> {
    let (at, rest) = match work.over_ipv6 {
        false => (work.before_ip + 2, work.ip),
        true => (work.before_ip + 4, work.ip.saturating_sub(ipv6::LENGTH)),
    };
    u16::from_be_bytes(*data.get(at..)?.first_chunk()?).checked_sub(rest as u16)
}
