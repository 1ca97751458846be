//! From a configuration to a running forwarder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16};

use hashbrown::HashMap;

use super::core::{Control, Parts, WorkerHandle};
use super::netlink::TwinError;
use super::networks::Networks;
use super::ports::{self, NodePools, Ports, Running};
use super::snapshot;
use crate::api::ApplyError;
use crate::config::{Config, Underlay};
use crate::dpdk::{Eal, EalOptions, free_hugepages};
use crate::fib::{Domain, Published, Reclaimer};
use crate::worker::{
    Context, EVENT_QUEUE, EventQueue, HEARD_QUEUE, HeardQueue, OUTBOX, Outbox, Receiver, Shared,
    Transmitter, TxPort, Worker, WorkerCounters,
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
    /// The tables.
    #[error(transparent)]
    Apply(#[from] ApplyError),
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
    let Running { ports, pools, receivers, transmitters } = ports::bring_up(&config)?;
    let mut control = Control::new(&config, ports, pools, eal);
    let started = control
        .start_netlink()
        .map_err(StartError::from)
        .and_then(|()| Ok(control.apply(config)?))
        .and_then(|_| control.launch(receivers, transmitters));
    match started {
        Ok(()) => Ok(control),
        Err(error) => {
            control.stop();
            Err(error)
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

impl Control {
    /// With nothing yet but ports.
    fn new(config: &Config, ports: Ports, pools: HashMap<i32, NodePools>, eal: Eal) -> Self {
        let workers = config.cores.workers.len();
        let domain = Domain::new(workers);
        let underlay = Underlay { neighbours: Vec::new(), ..config.underlay.clone() };
        let config = Config { networks: Vec::new(), underlay, ..config.clone() };
        let (adjacencies, peers, groups) = Default::default();
        let networks = Networks::new(workers);
        let snapshot = snapshot::build(&config, &ports, &adjacencies, &networks, &peers);
        Self::with(Parts {
            config: Arc::new(config),
            ports,
            pools,
            adjacencies,
            networks,
            peers,
            groups,
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

    /// Starts the workers, each with its queues.
    fn launch(
        &mut self,
        receivers: Vec<Vec<Receiver>>,
        transmitters: Vec<Vec<TxPort>>,
    ) -> Result<(), StartError> {
        let Parts { config, ports, pools, shared, domain, workers, eal, .. } = &mut self.parts;
        let dealt = receivers.into_iter().zip(transmitters).zip(eal.lcores().to_vec());
        for (number, ((receivers, transmitter), lcore)) in dealt.enumerate() {
            let counters = Arc::new(WorkerCounters::new(ports.len().into()));
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
        Ok(())
    }
}
