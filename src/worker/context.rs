//! What the stages of one worker share.

use std::sync::Arc;

use super::capture::Capture;
use super::counters::WorkerCounters;
use super::event::{Event, EventQueue, Reported};
use super::mirror::Mirrors;
use super::reassembly::Reassembly;
use super::replicate::Replication;
use super::snooping::HeardQueue;
use super::story::Notes;
use super::transmit::Transmitter;
use crate::dpdk::{Mbuf, Mempool};
use crate::drop_reason::DropReason;

/// Where a worker takes mbufs from that it fills itself.
#[derive(Clone)]
pub struct Pools {
    /// For outer headers and shared copies.
    pub headers: Mempool,
    /// With room for a packet.
    pub packets: Mempool,
}

/// The writable state of one worker, but for its receive queues.
pub struct Context {
    /// Its number among the workers, from 0.
    pub number: usize,
    /// Sends.
    pub transmitter: Transmitter,
    /// Counts.
    pub counters: Arc<WorkerCounters>,
    /// Where small mbufs come from.
    pub headers: Mempool,
    /// Where mbufs come from that have room for a packet.
    pub packets: Mempool,
    /// The coarse clock, read once a round.
    pub tick: u16,
    /// When the round began, in [`crate::dpdk::cycles`].
    pub now: u64,
    /// Who wants to see dropped frames, by port index.
    pub(super) watches: Box<[Option<Arc<Capture>>]>,
    /// What is copied, and where to.
    pub(super) mirrors: Option<Arc<Mirrors>>,
    pub(super) replication: Replication,
    pub(super) reassembly: Reassembly,
    pub(super) heard: Arc<HeardQueue>,
    events: Arc<EventQueue>,
    reported: Reported,
}

impl Context {
    /// A fresh one.
    pub fn new(
        number: usize,
        mut transmitter: Transmitter,
        counters: Arc<WorkerCounters>,
        pools: Pools,
        events: Arc<EventQueue>,
        heard: Arc<HeardQueue>,
    ) -> Self {
        let Pools { headers, packets } = pools;
        transmitter.copies.take_from(&packets);
        let watches = counters.ports.iter().map(|_| None).collect();
        Self {
            number,
            transmitter,
            counters,
            headers,
            packets,
            tick: 0,
            now: 0,
            watches,
            mirrors: None,
            replication: Replication::new(),
            reassembly: Reassembly::new(),
            heard,
            events,
            reported: Reported::new(),
        }
    }

    /// Drops a frame and counts why.
    #[cold]
    #[inline(never)]
    pub fn drop(&self, port: u16, frame: Mbuf, reason: DropReason) {
        if let Some(Some(watch)) = self.watches.get(usize::from(port)) {
            watch.lose(&frame, false, reason);
        }
        drop(frame);
        self.count_drop(port, reason);
    }

    /// Counts a drop of what was never built.
    #[inline]
    pub fn count_drop(&self, port: u16, reason: DropReason) {
        self.counters.ports[usize::from(port)].count_drops(reason, 1);
    }

    /// Has the story of the frame under way, if that is told, say something of it.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Notes)) {
        if let Some(story) = &mut self.transmitter.story {
            note(&mut story.notes);
        }
    }

    /// Tells the control core, at most once a tick for the same thing.
    #[cold]
    pub fn report(&mut self, event: Event) {
        if let Some(story) = &mut self.transmitter.story {
            story.report(event);
        }
        if !self.reported.report(event, self.tick, &self.events) {
            self.counters.events_lost.add(1);
        }
    }
}
