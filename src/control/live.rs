//! `ferry trace --live`: workers are told to sample what comes in, and what they tell of it is put into the operator's words.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::core::Control;
use crate::api::pcapng::WallClock;
use crate::api::{LIVE_BACKLOG, Live, LiveRefusal, LiveTrace, to_hex};
use crate::dpdk::cycles_per_second;
use crate::wire::ethernet;
use crate::worker::{Filter, Order, Sampler};

/// Bytes of a frame that are kept, at least.
const LEAST: usize = 2048;

/// The live trace, if there is one.
#[derive(Default)]
pub struct LiveTraces {
    running: Option<Running>,
    /// Those that workers may still hold: the last to let go of one is the control core, as workers free no memory.
    ended: Vec<Arc<Sampler>>,
}

struct Running {
    sampler: Arc<Sampler>,
    messages: Sender<Live>,
    clock: WallClock,
    /// Samples that the reader was too slow for.
    unread: u64,
    /// Lost samples, for one reason or the other, that were told of.
    told: u64,
}

impl Control {
    /// Samples what comes in by a port, or by any, until the receiver goes.
    pub(super) fn trace_live(
        &mut self,
        port: Option<&str>,
        filter: Option<Filter>,
        rate: u32,
    ) -> Result<Receiver<Live>, LiveRefusal> {
        self.tell_samples();
        if self.live.running.is_some() {
            return Err(LiveRefusal::Busy);
        }
        let ports = &self.parts.ports;
        let index = port.map(|port| ports.named(port)).transpose()?.map(|(index, _)| index);
        let mtus = ports.iter().map(|(_, of)| usize::from(of.port.mtu()) + ethernet::LONGEST);
        let longest = mtus.fold(LEAST, usize::max);
        let sampler = Sampler::new(index, filter, rate, longest, cycles_per_second());
        let (messages, receiver) = mpsc::channel(LIVE_BACKLOG);
        self.order_samples(Some(&sampler));
        let clock = WallClock::now();
        self.live.running = Some(Running { sampler, messages, clock, unread: 0, told: 0 });
        Ok(receiver)
    }

    /// Passes on what workers have sampled, and has them forget what nobody reads any more.
    pub(super) fn tell_samples(&mut self) {
        if let Some(mut running) = self.live.running.take() {
            let Running { sampler, messages, clock, unread, told } = &mut running;
            while let Some(story) = sampler.next() {
                let message = self.parts.ports.get(story.port).map(|of| LiveTrace {
                    unix_microseconds: clock.nanoseconds(story.at) / 1000,
                    frame: to_hex(&story.frame),
                    trace: self.report_trace(of, &story),
                });
                sampler.give_back(story);
                let sent = message.map(|of| messages.try_send(Live::Trace(Box::new(of))));
                *unread += u64::from(sent.is_some_and(|sent| sent.is_err()));
            }
            let lost = sampler.lost() + *unread;
            let news = Live::Lost { samples: lost - *told };
            if lost > *told && messages.try_send(news).is_ok() {
                *told = lost;
            }
            if messages.is_closed() {
                self.order_samples(None);
                self.live.ended.push(running.sampler);
            } else {
                self.live.running = Some(running);
            }
        }
        self.live.ended.retain(|sampler| Arc::strong_count(sampler) > 1);
    }

    fn order_samples(&self, sampler: Option<&Arc<Sampler>>) {
        for worker in &self.parts.workers {
            worker.mailbox.order(Order::Sample(sampler.cloned()));
        }
    }
}
