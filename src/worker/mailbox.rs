//! Ports that come and go while a worker runs: the control core hands over their queues, ready made, and gets back what
//! it then frees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use super::capture::Capture;
use super::counters::PortCount;
use super::mirror::Mirrors;
use super::sampler::{Sampler, Watch};
use super::transmit::TxPort;
use crate::dpdk::RxQueue;

/// What else is ordered at once: samplers and mirrors that come or go.
const OTHERS: usize = 8;

/// What a worker shall do between two rounds.
#[expect(clippy::large_enum_variant, reason = "the worker would have to free a box")]
pub enum Order {
    /// Send by a port from now on.
    Transmit(u16, TxPort),
    /// Receive from a port from now on.
    Receive(Receiver),
    /// Show somebody what passes a port, or nobody.
    Watch(u16, Option<Arc<Capture>>),
    /// Tell somebody what becomes of some frames, or nobody.
    Sample(Option<Arc<Sampler>>),
    /// Copy this from now on, or nothing.
    Mirror(Option<Arc<Mirrors>>),
    /// Let a port go: no snapshot leads to it any more.
    Release(u16),
}

/// The receive queues of a port that are one worker's.
pub struct Receiver {
    /// Port index.
    pub port: u16,
    /// At least one.
    pub queues: Vec<RxQueue>,
    /// Who looks at what comes.
    pub watch: Option<Watch>,
}

/// What a worker had of a port.
pub struct Released {
    /// Port index.
    pub port: u16,
    /// How it sent; its buffer is empty.
    pub transmit: TxPort,
    /// What it received from.
    pub receiver: Option<Receiver>,
    /// What it has counted there; its counters are zero again.
    pub counted: PortCount,
}

/// One worker's post.
pub struct Mailbox {
    /// Looked at once a round, so it is all that a round without post costs.
    posted: CachePadded<AtomicBool>,
    orders: ArrayQueue<Order>,
    released: ArrayQueue<Released>,
}

impl Mailbox {
    /// An empty one, with room for all that can be ordered of so many ports at once.
    pub fn new(ports: usize) -> Self {
        Self {
            posted: CachePadded::default(),
            orders: ArrayQueue::new(ports * 4 + OTHERS),
            released: ArrayQueue::new(ports),
        }
    }

    /// Orders something. The control core orders no more at once than there is room for.
    pub fn order(&self, order: Order) {
        if self.orders.push(order).is_err() {
            tracing::error!("a worker's mailbox is full: an order for it is lost");
        }
        self.posted.store(true, Ordering::Release);
    }

    /// Has the worker look at the ports' links, of which one has changed.
    pub fn follow_links(&self) {
        self.posted.store(true, Ordering::Release);
    }

    /// What has been let go since the last call.
    pub fn released(&self) -> Option<Released> {
        self.released.pop()
    }

    /// Whether there may be orders.
    #[inline(always)]
    pub(super) fn has_orders(&self) -> bool {
        self.posted.load(Ordering::Relaxed)
    }

    /// The next order; `None` when all are taken.
    pub(super) fn next(&self) -> Option<Order> {
        // First: what comes behind it sets it again.
        self.posted.swap(false, Ordering::Acquire);
        self.orders.pop()
    }

    pub(super) fn release(&self, released: Released) {
        // Each port is let go once before it comes again.
        let _ = self.released.push(released);
    }
}
