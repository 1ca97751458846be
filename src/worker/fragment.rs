//! IP packets in fragments, where a device carries no more at once.

use std::sync::atomic::{AtomicU32, Ordering};

use arrayvec::ArrayVec;

use super::context::Context;
use crate::dpdk::{CutError, Mbuf, cut_ipv4, cut_ipv6};
use crate::drop_reason::DropReason;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::{ipv4, ipv6};

/// What tells the fragments of one packet from another's; all workers count it up.
static IDENTIFICATION: AtomicU32 = AtomicU32::new(0);

/// Sends a frame in fragments of at most `mtu` bytes from the IP header on, each with the frame's Ethernet header and tags,
/// whatever the packet itself says of fragments: for a way whose other end puts them together and goes no further.
///
/// # Errors
/// Why it was not sent; `uncut` of what cannot go in fragments.
pub(super) fn send(
    context: &mut Context,
    (port, mtu): (u16, u16),
    mut frame: Mbuf,
    uncut: DropReason,
) -> Result<(), DropReason> {
    let (kind, packet) =
        ethernet::behind_tags(frame.data()).map_err(|_| DropReason::TruncatedEthernet)?;
    let start = frame.data().len() - packet.len();
    let length = match kind {
        ethertype::IPV4 => ipv4::Header::parse(packet).map(|(ip, _)| ip.total_length()),
        ethertype::IPV6 => {
            ipv6::Header::parse(packet).map(|(ip, _)| ipv6::LENGTH + ip.payload_length())
        }
        _ => return Err(uncut),
    };
    let end = start + length.map_err(|_| uncut)?;
    let link: ArrayVec<u8, { ethernet::LONGEST }> = frame.data()[..start].iter().copied().collect();
    // What is behind the packet is no part of it.
    if !frame.narrow(start, end.min(frame.len())) {
        return Err(DropReason::Segmented);
    }
    // Zero is what packets have that may not be fragmented (RFC 6864 section 4.1).
    let id = 1 + IDENTIFICATION.fetch_add(1, Ordering::Relaxed) % u32::from(u16::MAX);
    let pieces = if kind == ethertype::IPV4 {
        let packet = frame.data_mut().ok_or(DropReason::Segmented)?;
        ipv4::Header::allow_fragments(packet, id as u16);
        cut_ipv4(&mut frame, mtu, &context.headers)
    } else {
        cut_ipv6(&mut frame, mtu, &context.headers)
    };
    let mut pieces = pieces.map_err(|error| match error {
        CutError::NoMbuf => DropReason::NoMbuf,
        CutError::Refused => uncut,
    })?;
    for piece in &mut pieces {
        let header = piece.data_mut().ok_or(DropReason::Segmented)?;
        if kind == ethertype::IPV4 {
            ipv4::Header::renew_checksum(header);
        } else {
            ipv6::Header::identify_fragment(header, id);
        }
        piece.prepend(link.len()).ok_or(DropReason::NoHeadroom)?.copy_from_slice(&link);
    }
    context.counters.copies.add(pieces.len().saturating_sub(1) as u64);
    for piece in pieces {
        context.transmitter.send(port, piece);
    }
    Ok(())
}
