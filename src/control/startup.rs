//! From a configuration to a running forwarder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};

use super::adjacency::{Adjacencies, Way};
use super::core::{Control, Parts, WorkerHandle};
use super::flood_groups::{self, GroupWays};
use super::macs::{self, Filled};
use super::multicast;
use super::neighbours::Suppressor;
use super::netlink::TwinError;
use super::network::{Network, Policy};
use super::peers::{Peers, Resolution};
use super::ports::{self, Role, Running};
use super::snapshot;
use crate::config::{Config, InnerVlan, Neighbour};
use crate::dpdk::{Eal, EalOptions, free_hugepages};
use crate::fib::{Domain, FibWriter, Published, Reclaimer};
use crate::worker::{
    Context, EVENT_QUEUE, EventQueue, HEARD_QUEUE, HeardQueue, OUTBOX, Outbox, Shared, Transmitter,
    Worker, WorkerCounters,
};

/// Why Ferry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A DPDK call failed.
    #[error(transparent)]
    Dpdk(#[from] crate::dpdk::Error),
    /// No room for the packet buffers.
    #[error("{0}; raise eal.memory, or lower the ports' descriptors or eal.mbufs")]
    Memory(crate::dpdk::Error),
    /// A kernel twin.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// No huge pages, though asked for.
    #[error(
        "eal.hugepages is true, and the machine has none free: set some with 'sysctl vm.nr_hugepages=512', or set eal.hugepages to false"
    )]
    NoHugepages,
    /// Fewer huge pages than `eal.memory` takes.
    #[error(
        "eal.memory is {} MiB, and only {} MiB of huge pages are free: raise vm.nr_hugepages, or lower eal.memory",
        asked.div_ceil(1 << 20), free >> 20
    )]
    FewHugepages {
        /// Bytes that the configuration asks for.
        asked: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// More ports than this DPDK can handle.
    #[error("{0} ports (twins included) are more than the {1} that this DPDK was built for")]
    TooManyPorts(usize, u32),
}

/// Starts EAL, ports and workers.
///
/// # Errors
/// The first thing that does not work, with its reason and, where there is one, the remedy.
pub fn start(config: Arc<Config>) -> Result<Control, StartError> {
    let eal = Eal::start(&eal_options(&config))?;
    let running = ports::bring_up(&config)?;
    let plan = Plan::new(&config, &running);
    let mut control = plan.launch(config, running, eal)?;
    match control.start_netlink() {
        Ok(()) => Ok(control),
        Err(error) => {
            control.stop();
            Err(error.into())
        }
    }
}

/// What can be told before EAL starts, in better words than EAL's.
///
/// # Errors
/// Huge pages that are not there, or too many ports.
pub fn check_machine(config: &Config) -> Result<(), StartError> {
    if config.eal.hugepages {
        match (free_hugepages(Path::new("/sys")), config.eal.memory) {
            (0, _) => return Err(StartError::NoHugepages),
            (free, Some(asked)) if free < asked => {
                return Err(StartError::FewHugepages { asked, free });
            }
            _ => {}
        }
    }
    let twins = config.underlay.ports.iter().filter(|port| port.twin.is_some()).count();
    let ports = config.underlay.ports.len() + config.access.len() + twins;
    if ports > dpdk_sys::RTE_MAX_ETHPORTS as usize {
        return Err(StartError::TooManyPorts(ports, dpdk_sys::RTE_MAX_ETHPORTS));
    }
    Ok(())
}

/// Moves the calling thread to the control core, where all threads that it starts then stay: away from the
/// workers.
pub fn pin_to_control_core(config: &Config) {
    let id = config.cores.control.into();
    if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
        tracing::warn!("the control core could not be pinned");
    }
}

fn eal_options(config: &Config) -> EalOptions {
    let underlay = config.underlay.ports.iter().map(|port| &port.port);
    EalOptions {
        control_core: config.cores.control.into(),
        worker_cores: config.cores.workers.iter().map(|core| usize::from(*core)).collect(),
        hugepages: config.eal.hugepages,
        memory: config.eal.memory,
        pci_devices: underlay
            .chain(&config.access)
            .filter(|port| port.pci_address().is_some())
            .map(|port| port.device.clone())
            .collect(),
        extra: config.eal.args.clone(),
    }
}

/// The control core's tables, before the workers run.
struct Plan {
    adjacencies: Adjacencies,
    networks: Vec<Network>,
    peers: Peers,
    groups: GroupWays,
    reclaimer: Reclaimer,
    domain: Arc<Domain>,
    workers: usize,
}

impl Plan {
    fn new(config: &Config, running: &Running) -> Self {
        let domain = Domain::new(config.cores.workers.len());
        let mut plan = Self {
            adjacencies: Adjacencies::default(),
            networks: Vec::new(),
            peers: Peers::default(),
            groups: GroupWays::default(),
            reclaimer: Reclaimer::new(domain.clone()),
            domain,
            workers: config.cores.workers.len(),
        };
        for (identity, network) in config.networks.iter().enumerate() {
            plan.add_network(network, identity as u64, config, running);
        }
        for Neighbour { ip, mac, port } in &config.underlay.neighbours {
            let resolution = Resolution::Resolved { underlay: *port, mac: *mac, next_hop: *ip };
            plan.peers.resolve(*ip, &resolution, config, &running.ports, &mut plan.adjacencies);
        }
        plan
    }

    fn add_network(
        &mut self,
        config: &crate::config::Network,
        identity: u64,
        whole: &Config,
        running: &Running,
    ) {
        let policy = Policy {
            learning: config.learning,
            ageing: config.ageing,
            keeps_inner_vlan: config.inner_vlan == InnerVlan::Keep,
            encap: config.encap,
        };
        let vni = config.vni.get();
        let fib = FibWriter::new(config.mac_limit as usize);
        let mut network = Network::new(vni, config.name.clone(), policy, fib, identity);
        if let Some(wanted) = config.arp_suppression {
            network.suppressor =
                Some(Suppressor::new(wanted, network.refresh_after(), self.workers));
        }
        network.storm = config.storm_control.as_ref().map(ports::storm_control);
        let mut locals = Vec::new();
        for member in &config.members {
            let port = whole.access.iter().position(|port| port.name == member.port);
            let port = port.and_then(|access| {
                running.ports.iter().position(|port| port.role == Role::Access(access))
            });
            let way = Way::Local {
                port: port.unwrap_or_default() as u16,
                vlan: member.vlan.unwrap_or(0),
            };
            locals.push(self.adjacencies.add(way));
        }
        let join = |peer: &_| self.peers.join(*peer, vni, &mut self.adjacencies);
        let mut peers: Vec<_> = config.peers.iter().map(join).collect();
        if let Some(group) = &config.group {
            let ways = self.groups.of(group, whole, &running.ports, &mut self.adjacencies);
            peers.extend(ways);
            network.flood_group = Some(flood_groups::group(group));
        }
        network.set_members(locals, peers);
        if let Some(multicast) = &config.multicast {
            let mut join = |peer: &_| self.peers.join(*peer, vni, &mut self.adjacencies);
            let mac = ports::tenants_mac(&running.ports);
            network.multicast = Some(multicast::new(multicast, network.locals(), mac, &mut join));
            network.tell_groups(&self.adjacencies, &mut self.reclaimer);
        }
        for peer in macs::peers_of(&config.macs) {
            self.peers.join(peer, vni, &mut self.adjacencies);
        }
        let Self { peers, adjacencies, reclaimer, .. } = self;
        let Filled { no_place, .. } =
            macs::fill(&mut network, &config.macs, peers, adjacencies, reclaimer);
        if no_place > 0 {
            tracing::error!(
                "network {}: no memory for {no_place} of the static MACs and addresses",
                config.name
            );
        }
        self.networks.push(network);
    }

    fn launch(
        self,
        config: Arc<Config>,
        running: Running,
        eal: Eal,
    ) -> Result<Control, StartError> {
        let Self { adjacencies, networks, peers, reclaimer, domain, .. } = self;
        let Running { ports, pools, receivers, transmitters } = running;
        let snapshot = snapshot::build(&config, &ports, &adjacencies, &networks, &peers);
        let shared = Arc::new(Shared {
            snapshot: Published::new(Box::new(snapshot)),
            tick: AtomicU16::new(0),
            stop: AtomicBool::new(false),
            outbox: Outbox::new(OUTBOX),
        });
        let lcores = eal.lcores().to_vec();
        let mut workers = Vec::new();
        let dealt = receivers.into_iter().zip(transmitters).zip(lcores);
        for (number, ((receivers, transmitter), lcore)) in dealt.enumerate() {
            let counters = Arc::new(WorkerCounters::new(ports.len()));
            let events = Arc::new(EventQueue::new(EVENT_QUEUE));
            let heard = Arc::new(HeardQueue::new(HEARD_QUEUE));
            let Some(node) = pools.get(&(lcore.socket as i32)).or_else(|| pools.values().next())
            else {
                continue;
            };
            let transmitter = Transmitter::new(transmitter, counters.clone(), node.packets.clone());
            let context = Context::new(
                number,
                transmitter,
                counters.clone(),
                node.headers.clone(),
                events.clone(),
                heard.clone(),
            );
            let reader = domain.register().expect("the domain has a slot for each worker");
            let queues = receivers.iter().map(|rx| (rx.port, rx.queue.number())).collect();
            let worker = Worker::new(shared.clone(), reader, receivers, context, config.cores.idle);
            let task = eal.launch(lcore, move || worker.run())?;
            workers.push(WorkerHandle { lcore, task, counters, events, heard, queues });
        }
        Ok(Control::new(Parts {
            config,
            ports,
            pools,
            adjacencies,
            networks,
            peers,
            shared,
            reclaimer,
            workers,
            _eal: eal,
        }))
    }
}
