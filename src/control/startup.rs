//! From a configuration to a running forwarder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};

use super::core::{Control, Parts, WorkerHandle};
use super::memory::{Most, SetBy, Shortage};
use super::netlink::TwinError;
use super::networks::Networks;
use super::ports::{self, Pools};
use super::snapshot;
use crate::config::{Config, Metrics, Underlay, pci_address_of};
use crate::dpdk::{Eal, EalOptions, free_hugepages};
use crate::fib::{Domain, Published, Reclaimer};
use crate::worker::{
    Context, EVENT_QUEUE, EventQueue, HEARD_QUEUE, HeardQueue, Mailbox, OUTBOX, Outbox, PortCount,
    Shared, TrafficTables, Transmitter, Worker, WorkerCounters,
};

/// Why Ferry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A DPDK call failed.
    #[error(transparent)]
    Dpdk(#[from] crate::dpdk::Error),
    /// A NIC that DPDK cannot have.
    #[error("{0}; 'ferry doctor FILE' says what it lacks")]
    Nic(crate::dpdk::Error),
    /// No room for the packet buffers.
    #[error("{0}")]
    Memory(Box<Shortage>),
    /// More memory than there can be.
    #[error("eal.memory is {} MiB, and {most}: lower eal.memory, or {}", asked.div_ceil(1 << 20), most.remedy())]
    TooMuchMemory {
        /// Bytes that the configuration asks for.
        asked: u64,
        /// What there is.
        most: Most,
    },
    /// A kernel twin.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// No room for static MACs and addresses.
    #[error("no memory for {0} of the static MACs and addresses")]
    NoPlace(usize),
    /// No packet buffers for a port.
    #[error("port {0}: no packet buffers are left; raise eal.mbufs")]
    NoShare(String),
    /// A tap that another process has.
    #[error(
        "port {0}: another process has interface {1}, perhaps another Ferry: stop that one, or give this port another interface"
    )]
    Taken(String, String),
    /// Workers that do not come round.
    #[error("a worker has not let go of {0} in time; try again when it does")]
    HeldUp(String),
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
    let mut control = Control::new(&config, eal);
    match control.apply(config) {
        Ok(_) => Ok(control),
        Err(error) => {
            control.stop();
            Err(error)
        }
    }
}

/// What can be told before EAL starts, in better words than EAL's.
///
/// # Errors
/// Memory that is not there, or too many ports.
pub fn check_machine(config: &Config) -> Result<(), StartError> {
    if config.eal.hugepages {
        match (free_hugepages(Path::new("/sys")), config.eal.memory) {
            (0, _) => return Err(StartError::NoHugepages),
            (free, Some(asked)) if free < asked => {
                return Err(StartError::FewHugepages { asked, free });
            }
            _ => {}
        }
    } else if let Some(asked) = config.eal.memory
        && let Some(most) = Most::exceeded_by(asked, Path::new("/"))
    {
        let error = StartError::TooMuchMemory { asked, most };
        match most.set_by {
            SetBy::Machine => return Err(error),
            // Ferry need not use all of it.
            SetBy::ControlGroup => tracing::warn!("{error}"),
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
            .flat_map(|port| port.devices())
            .filter(|device| pci_address_of(device).is_some())
            .cloned()
            .collect(),
        extra: config.eal.args.clone(),
    }
}

impl Control {
    /// With nothing yet, not even workers.
    fn new(config: &Config, eal: Eal) -> Self {
        let workers = config.cores.workers.len();
        // And the control core, when it traces a frame.
        let domain = Domain::new(workers + 1);
        let pools = Pools::new(workers, &config.eal);
        let (ports, neighbours) = (Vec::new(), Vec::new());
        let underlay = Underlay { ports, vtep: config.underlay.vtep, neighbours };
        let config = Config {
            underlay,
            access: Vec::new(),
            networks: Vec::new(),
            mirrors: Vec::new(),
            ..config.clone()
        };
        let (ports, adjacencies, peers, groups) = Default::default();
        let networks = Networks::new(workers);
        let Metrics { networks: by_network, peers: by_peer } = config.api.metrics;
        let counts = by_network || by_peer;
        let snapshot = snapshot::build(&config, &ports, &adjacencies, &networks, &peers);
        Self::with(Parts {
            config: Arc::new(config),
            waiting: Vec::new(),
            leaving: Vec::new(),
            ports,
            pools,
            former: PortCount::default(),
            adjacencies,
            networks,
            peers,
            groups,
            traffic: TrafficTables::new(if counts { workers } else { 0 }),
            shared: Arc::new(Shared {
                snapshot: Published::new(Box::new(snapshot)),
                tick: AtomicU16::new(0),
                stop: AtomicBool::new(false),
                outbox: Outbox::new(OUTBOX),
            }),
            reclaimer: Reclaimer::new(domain.clone()),
            domain,
            workers: Vec::new(),
            eal,
        })
    }

    /// Starts the workers, if they do not run yet. There are pools.
    pub(super) fn launch(&mut self) -> Result<(), StartError> {
        let Parts { config, pools, shared, domain, workers, eal, .. } = &mut self.parts;
        if !workers.is_empty() {
            return Ok(());
        }
        for (number, lcore) in eal.lcores().iter().copied().enumerate() {
            let counters = Arc::new(WorkerCounters::new(ports::MOST));
            let events = Arc::new(EventQueue::new(EVENT_QUEUE));
            let heard = Arc::new(HeardQueue::new(HEARD_QUEUE));
            let mailbox = Arc::new(Mailbox::new(ports::MOST));
            let Some(pools) = pools.of_worker(lcore.socket as i32) else { continue };
            let transmitter = Transmitter::new(counters.clone());
            let context = Context::new(
                number,
                transmitter,
                counters.clone(),
                pools,
                events.clone(),
                heard.clone(),
            );
            let reader = domain.register().expect("the domain has a slot for each worker");
            let idle = config.cores.idle;
            let worker = Worker::new(shared.clone(), mailbox.clone(), reader, context, idle);
            let task = eal.launch(lcore, move || worker.run())?;
            let queues = Vec::new();
            workers.push(WorkerHandle { lcore, task, counters, events, heard, mailbox, queues });
        }
        Ok(())
    }
}
