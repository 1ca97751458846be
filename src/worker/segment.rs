//! Cutting a TCP packet that is longer than the wire takes into segments.

use std::num::NonZeroU16;

use super::context::Context;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::wire::transport::Transport;

/// Shorter ones no sound sender wants (Linux has the same limit), and they would let one frame cost as much as thousands.
pub(super) const SHORTEST: usize = 48;

/// Copies a packet's payload into segments of `size` bytes each, and goes on with each of them.
///
/// # Errors
/// The reason why the rest of the packet is lost.
pub(super) fn cut(
    context: &mut Context,
    packet: &Mbuf,
    found: &Transport,
    size: NonZeroU16,
    mut go_on: impl FnMut(&mut Context, Mbuf),
) -> Result<(), DropReason> {
    let size = usize::from(size.get());
    if size < SHORTEST {
        return Err(DropReason::BadOffload);
    }
    let mut chunks = packet.chunks();
    let first = chunks.next().unwrap_or_default();
    let (headers, mut chunk) = first.split_at(found.payload_at);
    let length = found.end - found.payload_at;
    let (mut offset, mut number) = (0, 0);
    loop {
        if number > 0 {
            context.counters.copies.add(1);
        }
        let end = length.min(offset + size);
        let mut segment = context.packets.allocate().ok_or(DropReason::NoMbuf)?;
        segment.note_tag(packet.priority());
        let room = segment.append(headers);
        if !room || !fill(&mut segment, end - offset, &mut chunk, &mut chunks) {
            return Err(DropReason::Oversize);
        }
        let data = segment.data_mut().ok_or(DropReason::Segmented)?;
        found.patch_segment(data, number, offset, end == length);
        go_on(context, segment);
        if end == length {
            return Ok(());
        }
        (offset, number) = (end, number + 1);
    }
}

/// Appends the next `count` bytes of a payload to a segment. `chunk` is what is left of its present chunk. `false` where
/// there is no room, or nothing left.
fn fill<'p>(
    segment: &mut Mbuf,
    mut count: usize,
    chunk: &mut &'p [u8],
    chunks: &mut impl Iterator<Item = &'p [u8]>,
) -> bool {
    loop {
        let (taken, rest) = chunk.split_at(count.min(chunk.len()));
        if !segment.append(taken) {
            return false;
        }
        *chunk = rest;
        count -= taken.len();
        if count == 0 {
            return true;
        }
        let Some(next) = chunks.next() else { return false };
        *chunk = next;
    }
}
