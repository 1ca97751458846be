//! TCP segments for a guest that takes whole packets: those of a burst that follow each other become one again (GRO), so that
//! its stack handles one packet instead of up to a burst of them.
//!
//! Only what one round brings is looked at, so that no frame waits for another. Checksums are verified first, as nobody does so
//! after.

use std::num::NonZeroU16;

use arrayvec::ArrayVec;

use super::offload;
use super::segment::SHORTEST;
use super::whole::leave_to_guest;
use crate::dpdk::{BURST, Burst, Mbuf, Mempool, Offloads};
use crate::wire::segment::Segment;

/// Bytes of the longest frame: with tags or without, it fits into what drivers have room for (Virtual I/O Device 1.1 section
/// 5.1.6.3).
const LONGEST: usize = u16::MAX as usize;

/// Segments of one connection that follow each other, and have become one frame so far.
struct Run {
    connection: u64,
    /// Place of the frame in the burst.
    at: usize,
    /// The first one.
    first: Segment,
    /// Payload bytes of each but the last, which may have fewer; `None` while there is but one.
    size: Option<NonZeroU16>,
    /// Payload bytes of all.
    payload: usize,
    /// Whether the last one had the PSH flag.
    ends: bool,
}

/// Makes one frame of TCP segments that follow each other, where the other side takes such frames. Returns how many frames
/// are fewer.
#[inline(never)]
pub(super) fn coalesce(burst: &mut Burst, takes: Offloads, pool: &Mempool) -> usize {
    if takes.only(Offloads::TCP4_SEGMENTS.and(Offloads::TCP6_SEGMENTS)) == Offloads::NONE {
        return 0;
    }
    let before = burst.len();
    let mut frames: ArrayVec<Option<Mbuf>, BURST> = burst.drain(..).map(Some).collect();
    let mut runs = ArrayVec::<Run, BURST>::new();
    // From the last one to the first, because what is put behind a frame may be a chain.
    for at in (0..frames.len()).rev() {
        let Some(frame) = &frames[at] else { continue };
        let Some(segment) = Segment::find(frame.data(), frame.len()) else { continue };
        let connection = segment.connection(frame.data());
        let needed = match segment.headers.over_ipv6 {
            false => Offloads::TCP4_SEGMENTS,
            true => Offloads::TCP6_SEGMENTS,
        };
        let may_be = segment.is_plain()
            && takes.contain(needed)
            && frame.segments() == 1
            && !frame.is_shared()
            && !frame.has_work_left();
        let fresh = Run {
            connection,
            at,
            first: segment,
            size: None,
            payload: segment.payload(),
            ends: segment.ends,
        };
        match runs.iter().position(|run| run.connection == connection) {
            Some(number) if may_be && precede(&mut frames, &fresh, &mut runs[number]) => {}
            // A later segment must not overtake this frame, so that the run is at its beginning.
            Some(number) if may_be => {
                finish(&mut frames, std::mem::replace(&mut runs[number], fresh), pool)
            }
            Some(number) => finish(&mut frames, runs.swap_remove(number), pool),
            None if may_be => runs.push(fresh),
            None => {}
        }
    }
    runs.drain(..).for_each(|run| finish(&mut frames, run, pool));
    burst.extend(frames.into_iter().flatten());
    before - burst.len()
}

/// Puts a run behind the segment before it. `false` where that is another packet's.
fn precede(frames: &mut [Option<Mbuf>], before: &Run, run: &mut Run) -> bool {
    let Some(size) = u16::try_from(before.payload).ok().and_then(NonZeroU16::new) else {
        return false;
    };
    let fits = match run.size {
        Some(all) => size == all,
        None => before.payload >= run.payload,
    };
    let payload = before.payload + run.payload;
    let headers = &before.first.headers;
    let is_short = before.payload < SHORTEST;
    if !fits || is_short || before.ends || headers.payload_at + payload > LONGEST {
        return false;
    }
    let (Some(own), Some(other)) = (&frames[before.at], &frames[run.at]) else { return false };
    let is_sound = before.first.is_followed(own.data(), &run.first, other.data())
        && before.first.is_sound(own.data())
        && (run.size.is_some() || run.first.is_sound(other.data()));
    if !is_sound {
        return false;
    }
    let Some(mut rest) = frames[run.at].take() else { return false };
    rest.trim_front(headers.payload_at);
    if let Some(frame) = &mut frames[before.at] {
        frame.chain(rest);
    }
    *run = Run { size: Some(size), payload, ends: run.ends, ..*before };
    true
}

/// Makes a frame's headers those of the whole packet, and leaves its segments to the other side.
fn finish(frames: &mut [Option<Mbuf>], run: Run, pool: &Mempool) {
    let Some(size) = run.size else { return };
    let Some(mut frame) = frames[run.at].take() else { return };
    let headers = run.first.headers;
    if let Some(data) = frame.data_mut() {
        headers.set_length(data, headers.payload_at + run.payload);
        if run.ends {
            run.first.end(data);
        }
    }
    frames[run.at] = Some(leave_to_guest(frame, &offload::work(&headers, Some(size)), pool));
}
