//! IGMP and MLD, heard where tenants' stations and peers speak it (RFC 4541).

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use super::bucket::Bucket;
use super::context::Context;
use super::forward::Lane;
use super::snapshot::Attachment;
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::wire::Malformed;
use crate::wire::membership::{self, Family, Message};

/// How a network's IGMP and MLD are heard.
pub struct Snooping {
    /// What the control core is asked to look at, from one network: another's must not drown in it.
    limit: Bucket,
    refused: AtomicU64,
}

/// A message, on its way to the control core.
pub struct Heard {
    /// Its network, and where it came in.
    pub ingress: Attachment,
    /// The network's, so that no later one with the same index takes it.
    pub identity: u64,
    /// The frame; [`membership::hear`] understands it.
    pub frame: Mbuf,
}

/// A worker's messages to the control core. Full means lost: stations repeat theirs.
pub type HeardQueue = ArrayQueue<Heard>;

/// Messages that a queue holds.
pub const HEARD_QUEUE: usize = 1024;

impl Snooping {
    /// At so many messages a second, and as many at once. `hertz` is the rate of [`crate::dpdk::cycles`].
    pub fn new(messages: u32, hertz: u64) -> Self {
        Self { limit: Bucket::new(messages, Some(messages), hertz), refused: AtomicU64::new(0) }
    }

    pub(super) fn detached(&self) -> Self {
        Self { limit: self.limit.detached(), refused: AtomicU64::new(0) }
    }

    /// The most messages in a second.
    pub fn message_limit(&self) -> u32 {
        self.limit.limit()
    }

    /// Messages that were over the limit.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Has the control core look at what [`membership::concerns`] says may be IGMP, MLD or PIM. Returns whose report
    /// it is, if it is one: other stations must not see it, or they keep their own back (RFC 4541 section 2.1.1).
    #[cold]
    #[inline(never)]
    pub(super) fn hear(
        &self,
        context: &mut Context,
        lane: &Lane,
        frame: &mut Mbuf,
    ) -> Result<Option<Family>, DropReason> {
        let family = match membership::hear(frame.data()).map_err(reason)?.map(|of| of.message) {
            None | Some(Message::Unknown) => return Ok(None),
            Some(Message::Query(_) | Message::Router(_)) => None,
            Some(Message::Report(_, group) | Message::Leave(_, group)) => Some(Family::of(group)),
            Some(Message::Records(records)) => Some(records.family()),
        };
        if !self.limit.take(context.now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(DropReason::IgmpMldRate);
        }
        let told = frame.share(&context.headers).is_some_and(|frame| {
            let (ingress, identity) = (lane.ingress, lane.network.identity);
            context.heard.push(Heard { ingress, identity, frame }).is_ok()
        });
        if told {
            context.note(|notes| notes.is_heard = true);
        } else {
            context.counters.events_lost.add(1);
        }
        Ok(family)
    }
}

fn reason(malformed: Malformed) -> DropReason {
    match malformed {
        Malformed::Checksum(_) => DropReason::IgmpMldChecksum,
        Malformed::HopLimit(_) | Malformed::Flags(_) => DropReason::IgmpMldHeader,
        Malformed::Address(_) => DropReason::IgmpMldGroup,
        _ => DropReason::IgmpMldLength,
    }
}
