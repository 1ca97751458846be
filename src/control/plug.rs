//! Ports that come and go while workers poll.
//!
//! A port comes in three steps: workers get their ways to send by it; when all have them, a snapshot leads to it; and then
//! they get their receive queues. It goes when no snapshot leads to it: workers give back all they have of it, and the
//! last of them has the device closed, here.

use std::thread;
use std::time::{Duration, Instant};

use super::core::{Control, Parts};
use super::ports::{self, ControlPort, Filter, Opened, Plan, Purpose, Role};
use super::startup::StartError;
use crate::api::Event;
use crate::config::Config;
use crate::dpdk::{Burst, RxQueue};
use crate::worker::{Order, PortCount, Receiver};

/// How long workers may take to come round.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(50);

/// A port whose queues some workers still have.
pub struct Leaving {
    index: u16,
    port: Box<ControlPort>,
    workers: usize,
}

/// The receive queues of a port before workers have them, by worker.
pub type Waiting = (u16, Vec<Vec<RxQueue>>);

impl Control {
    /// Makes the ports of a configuration run; nothing is received from new ones before [`Self::receive`]. A port whose
    /// device another one gets is closed first, and keeps its index.
    ///
    /// # Errors
    /// The first device that fails. Ports that were closed for it stay so.
    pub(super) fn open_ports(&mut self, config: &Config) -> Result<(), StartError> {
        let Plan { fresh, first, late } = self.parts.ports.plan(ports::wanted(config));
        let all = self.parts.ports.count_with(fresh.iter().chain(&late));
        if all > ports::MOST {
            return Err(StartError::TooManyPorts(all, dpdk_sys::RTE_MAX_ETHPORTS));
        }
        let mut opened = self.open(fresh)?;
        if !opened.is_empty() {
            self.launch()?;
        }
        let names: Vec<_> = first.iter().map(|index| self.port_name(*index)).collect();
        if !self.close(first) {
            return Err(StartError::HeldUp(names.join(", ")));
        }
        opened.extend(self.open(late)?);
        self.plug(opened);
        Ok(())
    }

    fn open(&mut self, list: Vec<ports::Wanted>) -> Result<Vec<Opened>, StartError> {
        let Parts { config, pools, workers, .. } = &mut self.parts;
        // The first ports come before the workers, which take mbufs from pools that are made for ports.
        let mut loads = vec![0; config.cores.workers.len()];
        for (load, worker) in loads.iter_mut().zip(workers) {
            *load = worker.queues.len();
        }
        ports::open(list, pools, &mut loads)
    }

    /// Has all workers send by ports.
    fn plug(&mut self, opened: Vec<Opened>) {
        if opened.is_empty() {
            return;
        }
        for Opened { wanted, port, share, receive, transmit, rings } in opened {
            let Parts { ports, workers, waiting, .. } = &mut self.parts;
            let index = ports.place(&wanted.name);
            let role = match &wanted.purpose {
                Purpose::Access => Role::Access,
                Purpose::Underlay => Role::Underlay,
                Purpose::Twin(of) => Role::Twin(ports.index(of)),
            };
            let (limits, storm) = (None, None);
            let filter = Filter::default();
            let running = ControlPort { wanted, role, port, limits, storm, filter, rings, share };
            self.announcer.say(|| Event::PortAdded { port: running.name().to_owned() });
            self.links.begin(index, &running);
            ports.put(index, running);
            for (worker, transmit) in workers.iter().zip(transmit) {
                worker.mailbox.order(Order::Transmit(index, transmit));
            }
            waiting.push((index, receive));
        }
        // Whoever has passed this has its orders, and carries them out before it sees another snapshot.
        let mark = self.parts.reclaimer.mark();
        self.wait(|control| control.parts.reclaimer.passed(mark));
    }

    /// Has workers receive from the ports that are new.
    pub(super) fn receive(&mut self) {
        let Parts { workers, waiting, .. } = &mut self.parts;
        for (port, dealt) in waiting.drain(..) {
            for (worker, queues) in workers.iter_mut().zip(dealt) {
                if !queues.is_empty() {
                    worker.queues.extend(queues.iter().map(|queue| (port, queue.number())));
                    worker.mailbox.order(Order::Receive(Receiver { port, queues, watch: None }));
                }
            }
        }
    }

    /// Closes the ports that a configuration has no more.
    pub(super) fn close_ports(&mut self, config: &Config) {
        let wanted = ports::wanted(config);
        let is_wanted = |port: &ControlPort| wanted.iter().any(|want| want.is_same(&port.wanted));
        let gone = self.parts.ports.iter().filter(|(_, port)| !is_wanted(port));
        let gone = gone.map(|(index, _)| index).collect();
        if !self.close(gone) {
            tracing::warn!(
                "a worker does not come round: the device of a port that left stays open until it does"
            );
        }
        self.parts.ports.forget(config);
    }

    /// Closes ports. Returns whether workers have let them go in time; it goes on without them otherwise.
    fn close(&mut self, list: Vec<u16>) -> bool {
        if list.is_empty() {
            return true;
        }
        list.iter().for_each(|index| self.end_capture_of(*index));
        let Parts { ports, workers, waiting, leaving, .. } = &mut self.parts;
        for index in list {
            waiting.retain(|(waiting, _)| *waiting != index);
            let Some(port) = ports.take(index) else { continue };
            workers.iter().for_each(|worker| worker.mailbox.order(Order::Release(index)));
            leaving.push(Leaving { index, port, workers: workers.len() });
        }
        self.wait(|control| {
            control.collect();
            control.parts.leaving.is_empty()
        })
    }

    /// Takes back what workers have let go, and closes the ports that all of them have.
    pub(super) fn collect(&mut self) {
        let Parts { workers, leaving, ports, former, .. } = &mut self.parts;
        if leaving.is_empty() {
            return;
        }
        for worker in workers {
            while let Some(released) = worker.mailbox.released() {
                *former += released.counted;
                worker.queues.retain(|(port, _)| *port != released.port);
                let of = leaving.iter_mut().find(|leaving| leaving.index == released.port);
                of.into_iter().for_each(|leaving| leaving.workers -= 1);
            }
        }
        for Leaving { index, port, .. } in leaving.extract_if(.., |of| of.workers == 0) {
            // What one worker had handed to another that has let go meanwhile.
            for ring in &port.rings {
                let mut burst = Burst::new();
                loop {
                    ring.dequeue(&mut burst);
                    if burst.is_empty() {
                        break;
                    }
                    *former += PortCount { drops: burst.len() as u64, ..PortCount::default() };
                    burst.clear();
                }
            }
            tracing::info!("port {}: closed", port.name());
            self.announcer.say(|| Event::PortRemoved { port: port.name().to_owned() });
            ports.left(index);
        }
    }

    /// Waits for workers to come round, for [`PATIENCE`] at most, and hears them meanwhile.
    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            if Instant::now() > end {
                return false;
            }
            self.drain_events();
            thread::sleep(PAUSE);
        }
        true
    }
}
