//! The control core's state and its loop.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, unbounded};
use hashbrown::HashSet;

use super::adjacency::Adjacencies;
use super::ageing::Ageing;
use super::announce::Announcer;
use super::capture::Captures;
use super::clock::{self, Seconds, Tick};
use super::filters::FilterWatch;
use super::flood_groups::{self, GroupWays};
use super::learn::Drained;
use super::links::LinkWatch;
use super::live::LiveTraces;
use super::mirrors::MirrorTable;
use super::multicast::Attendance;
use super::neighbours::NeighbourAgeing;
use super::netlink::{Netlink, Twin, TwinError};
use super::networks::Networks;
use super::peers::{NextHopUpdate, Peers};
use super::plug::{Leaving, Waiting};
use super::ports::{Pools, Ports};
use super::service::Watchdog;
use super::snapshot;
use crate::api::model::Totals;
use crate::api::{Query, Running};
use crate::config::Config;
use crate::dpdk::{Eal, Lcore, LcoreTask};
use crate::fib::{Domain, Reclaimer};
use crate::wire::MacAddr;
use crate::worker::{
    EventQueue, HeardQueue, Mailbox, PortCount, Shared, TrafficTables, WorkerCounters,
};

/// How long the loop waits for work: this long after there was some, and twice as long each time there is none.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause: it bounds the latency of learning a MAC on a quiet host.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// How long the kernel takes to send out that it leaves a group: two of its clock ticks, and some more.
const LEAVING: Duration = Duration::from_millis(100);

/// What the control core knows of one worker.
pub struct WorkerHandle {
    /// Where it runs.
    pub lcore: Lcore,
    /// Its end.
    pub task: LcoreTask,
    /// What it counted.
    pub counters: Arc<WorkerCounters>,
    /// What it saw.
    pub events: Arc<EventQueue>,
    /// IGMP and MLD that it heard.
    pub heard: Arc<HeardQueue>,
    /// What it is told to do, and gives back.
    pub mailbox: Arc<Mailbox>,
    /// Its receive queues as `(port index, queue)`.
    pub queues: Vec<(u16, u16)>,
}

/// What a [`Control`] is made of.
pub(super) struct Parts {
    pub config: Arc<Config>,
    /// Receive queues that workers do not have yet.
    pub waiting: Vec<Waiting>,
    pub leaving: Vec<Leaving>,
    pub ports: Ports,
    pub pools: Pools,
    /// What became of the frames of ports that are gone.
    pub former: PortCount,
    pub adjacencies: Adjacencies,
    pub networks: Networks,
    pub peers: Peers,
    pub groups: GroupWays,
    pub shared: Arc<Shared>,
    /// What networks and peers carry.
    pub traffic: TrafficTables,
    pub reclaimer: Reclaimer,
    pub domain: Arc<Domain>,
    pub workers: Vec<WorkerHandle>,
    /// Last: ports and mbufs must be gone before it.
    pub eal: Eal,
}

/// The control core.
pub struct Control {
    pub(super) started: Instant,
    now: Seconds,
    ageing: Ageing,
    neighbour_ageing: NeighbourAgeing,
    /// Follows next hops where there are twins.
    pub(super) netlink: Option<Netlink>,
    next_hops: Receiver<NextHopUpdate>,
    /// Whether workers must be told of learned peers, or of links.
    pub(super) unpublished: bool,
    pub(super) links: LinkWatch,
    pub(super) announcer: Announcer,
    filters: FilterWatch,
    watchdog: Watchdog,
    pub(super) attendance: Attendance,
    pub(super) captures: Captures,
    pub(super) live: LiveTraces,
    pub(super) mirrors: MirrorTable,
    /// Of the configuration: how often it has changed.
    pub(super) version: u64,
    pub(super) parts: Parts,
}

/// What is left when everything has stopped.
pub struct Stopped {
    /// The last totals.
    pub totals: Totals,
    /// Mempools that did not get all mbufs back: name and how many are missing.
    pub missing: Vec<(String, u32)>,
}

impl Control {
    pub(super) fn with(parts: Parts) -> Self {
        Self {
            started: Instant::now(),
            now: 0,
            ageing: Ageing::default(),
            neighbour_ageing: NeighbourAgeing::default(),
            netlink: None,
            next_hops: never(),
            unpublished: false,
            links: LinkWatch::default(),
            announcer: Announcer::default(),
            filters: FilterWatch::default(),
            watchdog: Watchdog::new(parts.config.cores.workers.len(), clock::TICK),
            attendance: Attendance::default(),
            captures: Captures::default(),
            live: LiveTraces::default(),
            mirrors: MirrorTable::default(),
            version: 0,
            parts,
        }
    }

    /// The configuration that is in force.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    pub(super) fn running(&self) -> Running {
        let Parts { config, ports, .. } = &self.parts;
        let lost = ports.iter().filter(|(_, port)| port.is_lost());
        let lost = lost.map(|(_, port)| port.name().to_owned()).collect();
        Running { config: config.clone(), version: self.version, lost }
    }

    /// Sets the kernel twins up, if there are any and they are not, and follows next hops from then on.
    pub(super) fn start_netlink(&mut self, config: &Config) -> Result<(), TwinError> {
        let mut twins = Vec::new();
        for underlay in &config.underlay.ports {
            let port = self.parts.ports.index(&underlay.port.name);
            let Some((twin, of)) = underlay.twin.as_ref().zip(self.parts.ports.get(port)) else {
                continue;
            };
            let (mac, mtu) = (MacAddr(of.port.mac()), of.port.mtu());
            let (interface, addresses) = (twin.name.clone(), twin.addresses.clone());
            twins.push(Twin { interface, port, mac, mtu, addresses });
        }
        if twins.is_empty() || self.netlink.is_some() {
            return Ok(());
        }
        let (updates, next_hops) = unbounded();
        self.netlink = Some(Netlink::start(twins, updates)?);
        self.next_hops = next_hops;
        Ok(())
    }

    /// A packet was dropped because this peer has no next hop.
    pub(super) fn want_next_hop(&self, peer: IpAddr) {
        if let Some(netlink) = &self.netlink {
            netlink.want(peer);
        }
    }

    /// Seconds since start.
    pub(super) fn now(&self) -> Seconds {
        self.now
    }

    pub(super) fn tick(&self) -> Tick {
        self.now as Tick
    }

    /// Works until `stop` is set: learns, ages, answers the API's queries and follows next hops.
    pub fn run(&mut self, stop: &AtomicBool, queries: &Receiver<Query>) {
        let mut pause = SHORTEST_PAUSE;
        while !stop.load(Ordering::Relaxed) {
            self.announcer.next_round();
            let unseen = self.parts.networks.unseen(&self.parts.reclaimer);
            let drained = self.drain_events();
            if drained != Drained::Behind {
                let Parts { networks, traffic, .. } = &mut self.parts;
                networks.release(unseen, |index| traffic.forget(index));
            }
            if self.unpublished {
                self.publish();
            }
            self.attend_members();
            self.advance_clock();
            self.watch_links();
            let Parts { ports, networks, adjacencies, .. } = &mut self.parts;
            self.filters.look(ports, networks, adjacencies);
            self.age();
            self.reclaim();
            self.collect();
            self.end_captures();
            self.tell_samples();
            pause = match drained {
                Drained::None => (pause * 2).min(LONGEST_PAUSE),
                Drained::Some | Drained::Behind => SHORTEST_PAUSE,
            };
            // Where a queue fills up a pause would lose events.
            let wait = if drained == Drained::Behind { Duration::ZERO } else { pause };
            if let Ok(query) = queries.recv_timeout(wait) {
                self.answer(query);
            }
            if !self.next_hops.is_empty() {
                let updates: Vec<_> = self.next_hops.try_iter().collect();
                self.follow(updates);
            }
        }
    }

    /// Stops workers and ports, and counts what did not come home.
    pub fn stop(self) -> Stopped {
        let joined = !flood_groups::addresses(&self.parts.config).is_empty();
        if self.netlink.is_some() && joined {
            drop(self.netlink);
            // The kernel's word that we leave goes by the twins and workers.
            std::thread::sleep(LEAVING);
        } else {
            drop(self.netlink);
        }
        self.parts.shared.stop.store(true, Ordering::Relaxed);
        let mut parts = self.parts;
        let mut counters = Vec::new();
        for worker in parts.workers.drain(..) {
            worker.task.join();
            while let Some(released) = worker.mailbox.released() {
                parts.former += released.counted;
            }
            counters.push(worker.counters);
        }
        while parts.shared.outbox.pop().is_some() {}
        let refused = parts.peers.refused;
        let Parts { pools, former, .. } = &parts;
        let totals = super::report::totals(&counters, pools, *former, refused, self.started);
        parts.waiting.clear();
        parts.leaving.clear();
        parts.ports.clear();
        let pools = parts.pools.iter();
        let missing: Vec<_> = pools
            .map(|(_, pool)| (pool.name().to_owned(), pool.in_use()))
            .filter(|(_, missing)| *missing > 0)
            .collect();
        Stopped { totals, missing }
    }

    /// Follows the next hops of peers, and shows workers all changes at once.
    fn follow(&mut self, updates: impl IntoIterator<Item = NextHopUpdate>) {
        let (announcer, parts) = (&mut self.announcer, &mut self.parts);
        let Parts { config, ports, adjacencies, peers, .. } = parts;
        let mut changed = false;
        for (address, resolution) in updates {
            changed |= peers.resolve(address, &resolution, config, ports, adjacencies, announcer);
        }
        if changed {
            self.publish();
        }
    }

    /// Shows workers the world as it is now.
    pub(super) fn publish(&mut self) {
        let parts = &mut self.parts;
        let mut snapshot = snapshot::build(
            &parts.config,
            &parts.ports,
            &parts.adjacencies,
            &parts.networks,
            &parts.peers,
        );
        let passed_on = parts.peers.take_passed_on();
        passed_on.into_iter().for_each(|index| parts.traffic.forget_peer(index));
        let (networks, adjacencies) = (snapshot.networks.len(), snapshot.adjacencies.len());
        snapshot.traffic = parts.traffic.share(networks, adjacencies);
        parts.shared.snapshot.publish(Box::new(snapshot), &mut parts.reclaimer);
        parts.networks.published(&mut parts.reclaimer);
        self.unpublished = false;
    }

    fn advance_clock(&mut self) {
        let seconds = self.started.elapsed().as_millis() / clock::TICK.as_millis();
        let now = seconds as Seconds;
        if now != self.now {
            self.now = now;
            self.parts.peers.now = now;
            self.parts.shared.tick.store(now as Tick, Ordering::Relaxed);
            self.ageing.begin(&self.parts.networks, now);
            self.neighbour_ageing.begin(&self.parts.networks);
            let workers = self.parts.workers.iter();
            self.watchdog.look(workers.map(|worker| worker.counters.polls.get()));
            self.age_paths();
        }
    }

    fn age(&mut self) {
        let (tick, Parts { networks, adjacencies, reclaimer, .. }) = (self.tick(), &mut self.parts);
        let told = self.announcer.room();
        let walked = self.ageing.step(networks, adjacencies, self.now, told, reclaimer);
        self.neighbour_ageing.step(networks, tick, reclaimer);
        self.announce_aged(&walked.gone, walked.more_gone);
        for network in walked.unlisted {
            self.resume_attendance(network, &HashSet::new());
            self.unpublished = true;
        }
        if let Some(began) = walked.through {
            self.forget_silent_peers(began);
        }
    }

    fn reclaim(&mut self) {
        for network in self.parts.networks.iter_mut() {
            network.fib.reclaim(&mut self.parts.reclaimer);
            if let Some(suppressor) = &mut network.suppressor {
                suppressor.writer.reclaim(&mut self.parts.reclaimer);
            }
        }
        self.parts.reclaimer.reclaim();
    }
}
