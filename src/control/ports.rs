//! Bringing ports up, and dealing their queues out to the workers.

use std::sync::Arc;

use hashbrown::HashMap;

use super::startup::StartError;
use crate::config::{self, Config};
use crate::dpdk::{MbufRing, Mempool, Port, PortOptions, RxQueue, TxQueue, cycles_per_second};
use crate::tunnel::AnyTemplate;
use crate::wire::MacAddr;
use crate::worker::{Receiver, StormControl, TxPath, TxPort};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towards the tenants.
    Access,
    /// Towards the other VTEPs.
    Underlay,
    /// The kernel twin of the underlay port with this port index.
    Twin(u16),
}

/// A running port.
pub struct ControlPort {
    /// The operator's name; a twin has its interface's.
    pub name: String,
    /// PCI address or devargs.
    pub device: String,
    /// What it is for.
    pub role: Role,
    /// The device.
    pub port: Port,
    /// What of its frames may be flooded.
    pub storm: Option<Arc<StormControl>>,
}

/// The running ports, each at an index that workers know it by.
pub struct Ports(Vec<ControlPort>);

impl Ports {
    /// How many indices there are.
    pub fn len(&self) -> u16 {
        self.0.len() as u16
    }

    /// The port with an index.
    pub fn get(&self, index: u16) -> Option<&ControlPort> {
        self.0.get(usize::from(index))
    }

    /// The index of an access or underlay port, which configurations name only where there is one.
    pub fn index(&self, name: &str) -> u16 {
        let is_twin = |port: &ControlPort| matches!(port.role, Role::Twin(_));
        let port = self.0.iter().position(|port| port.name == name && !is_twin(port));
        port.map_or(u16::MAX, |index| index as u16)
    }

    /// The twin of an underlay port.
    pub fn twin_of(&self, index: u16) -> Option<u16> {
        self.iter().find(|(_, port)| port.role == Role::Twin(index)).map(|(twin, _)| twin)
    }

    /// All of them with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &ControlPort)> {
        (0..).zip(&self.0)
    }

    /// The underlay ports.
    pub fn underlay(&self) -> impl Iterator<Item = (u16, &ControlPort)> {
        self.iter().filter(|(_, port)| port.role == Role::Underlay)
    }

    /// Our MAC in tenants' networks: the first underlay port's, marked as given by hand, so that it is nobody else's.
    pub fn tenants_mac(&self) -> MacAddr {
        let mut mac = self.underlay().next().map_or([0; 6], |(_, port)| port.port.mac());
        mac[0] |= 2;
        MacAddr(mac)
    }

    /// Stops all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A port that is wanted, before it runs.
struct Wanted {
    name: String,
    device: String,
    role: Role,
    options: PortOptions,
}

/// The mempools of one NUMA node.
#[derive(Clone)]
pub struct NodePools {
    /// Received packets.
    pub packets: Mempool,
    /// Outer headers and shared copies.
    pub headers: Mempool,
}

/// What bringing the ports up yields.
pub struct Running {
    /// All of them.
    pub ports: Ports,
    /// By NUMA node.
    pub pools: HashMap<i32, NodePools>,
    /// What each worker receives from.
    pub receivers: Vec<Vec<Receiver>>,
    /// How each worker sends, by port index.
    pub transmitters: Vec<Vec<TxPort>>,
}

/// Packets that a handoff ring holds.
const HANDOFF: u32 = 1024;
/// Descriptors of a queue where the operator says nothing.
const DESCRIPTORS: u32 = 1024;
/// Packet bytes of an mbuf, at least: what most drivers are at their best with.
const DATA_ROOM: u16 = 2048;
/// Bytes around an MTU's payload: Ethernet with two tags, and outer headers.
const OVERHEAD: u16 = 22 + AnyTemplate::LONGEST as u16;
/// Mbufs that a worker may have in its caches, buffers and unfinished floods.
const PER_WORKER: u32 = 4096;

/// Attaches and starts all ports of the configuration.
///
/// # Errors
/// The first device that fails, by name and with DPDK's reason.
pub fn bring_up(config: &Config) -> Result<Running, StartError> {
    let workers = config.cores.workers.len();
    let wanted = wanted(config);
    let mut attached = Vec::new();
    for want in wanted {
        let port = Port::attach(&want.name, &want.device)?;
        port.require_rx_queues(want.options.rx_queues)?;
        attached.push((want, port));
    }
    let pools = pools(config, &attached)?;
    let mut running = Running {
        ports: Ports(Vec::new()),
        pools,
        receivers: (0..workers).map(|_| Vec::new()).collect(),
        transmitters: (0..workers).map(|_| Vec::new()).collect(),
    };
    let mut next_worker = 0;
    for (index, (want, mut port)) in attached.into_iter().enumerate() {
        let node = running.pools.get(&node_of(&port)).map(|pools| pools.packets.clone());
        let node: Vec<Mempool> = node.into_iter().collect();
        let (rx, tx) = port.start(&want.options, &node)?;
        let index = index as u16;
        deal_receivers(rx, index, &mut next_worker, &mut running.receivers);
        deal_transmitters(tx, index, &port, &mut running.transmitters)?;
        let Wanted { name, device, role, .. } = want;
        let storm = match role {
            Role::Access => {
                let port = config.access.iter().find(|port| port.name == name);
                port.and_then(|port| port.storm_control.as_ref()).map(storm_control)
            }
            Role::Underlay | Role::Twin(_) => None,
        };
        running.ports.0.push(ControlPort { name, device, role, port, storm });
    }
    Ok(running)
}

/// Full buckets for the limits.
pub fn storm_control(limits: &config::StormControl) -> Arc<StormControl> {
    Arc::new(StormControl::new(limits, cycles_per_second()))
}

/// Underlay ports, access ports, then twins: the twins come last so that each worker has a real queue first.
fn wanted(config: &Config) -> Vec<Wanted> {
    let tx_queues = config.cores.workers.len() as u16;
    let options = |port: &config::Port, promiscuous| PortOptions {
        rx_queues: port.queues,
        tx_queues,
        rx_descriptors: port.rx_descriptors,
        tx_descriptors: port.tx_descriptors,
        mtu: port.mtu,
        promiscuous,
    };
    let mut wanted = Vec::new();
    for underlay in &config.underlay.ports {
        let port = &underlay.port;
        wanted.push(Wanted {
            name: port.name.clone(),
            device: port.device.clone(),
            role: Role::Underlay,
            options: options(port, false),
        });
    }
    for port in &config.access {
        wanted.push(Wanted {
            name: port.name.clone(),
            device: port.device.clone(),
            role: Role::Access,
            options: options(port, true),
        });
    }
    for (index, underlay) in config.underlay.ports.iter().enumerate() {
        let Some(twin) = &underlay.twin else { continue };
        let port = config::Port { queues: 1, ..underlay.port.clone() };
        wanted.push(Wanted {
            name: twin.name.clone(),
            device: format!("net_tap_{0},iface={0}", twin.name),
            role: Role::Twin(index as u16),
            options: PortOptions {
                rx_descriptors: None,
                tx_descriptors: None,
                ..options(&port, false)
            },
        });
    }
    wanted
}

fn node_of(port: &Port) -> i32 {
    port.socket().max(0)
}

fn pools(
    config: &Config,
    attached: &[(Wanted, Port)],
) -> Result<HashMap<i32, NodePools>, StartError> {
    let workers = config.cores.workers.len() as u32;
    let mut needs: HashMap<i32, (u32, u16)> = HashMap::new();
    for (want, port) in attached {
        let options = &want.options;
        let descriptors = |own: Option<u16>| own.map_or(DESCRIPTORS, u32::from);
        let held = u32::from(options.rx_queues) * descriptors(options.rx_descriptors)
            + u32::from(options.tx_queues) * descriptors(options.tx_descriptors);
        let (count, room) = needs.entry(node_of(port)).or_insert((workers * PER_WORKER, DATA_ROOM));
        *count += held;
        *room = (*room).max(options.mtu.saturating_add(OVERHEAD).next_multiple_of(64));
    }
    let mut pools = HashMap::new();
    for (node, (count, room)) in needs {
        // One less than a power of two uses a mempool's ring best.
        let count = config.eal.mbufs.unwrap_or((count + 1).next_power_of_two() - 1);
        let headers = (workers * 2 * PER_WORKER + 1).next_power_of_two() - 1;
        pools.insert(
            node,
            NodePools {
                packets: Mempool::new(&format!("packets-{node}"), count, room, node)
                    .map_err(StartError::Memory)?,
                headers: Mempool::new(&format!("headers-{node}"), headers, 128, node)
                    .map_err(StartError::Memory)?,
            },
        );
    }
    Ok(pools)
}

fn deal_receivers(
    queues: Vec<RxQueue>,
    port: u16,
    next_worker: &mut usize,
    receivers: &mut [Vec<Receiver>],
) {
    for queue in queues {
        receivers[*next_worker].push(Receiver { port, queue });
        *next_worker = (*next_worker + 1) % receivers.len();
    }
}

/// Each worker gets a queue; where the device has too few, the rest hand over to those who have one. Who that is
/// changes from port to port, so that the single queues of many ports are not all one worker's burden.
fn deal_transmitters(
    queues: Vec<TxQueue>,
    index: u16,
    port: &Port,
    transmitters: &mut [Vec<TxPort>],
) -> Result<(), StartError> {
    let (owners, workers) = (queues.len(), transmitters.len());
    let mut rings = Vec::new();
    if owners < workers {
        for owner in 0..owners {
            let name = format!("handoff-{index}-{owner}");
            rings.push(Arc::new(MbufRing::new(&name, HANDOFF, port.socket())?));
        }
    }
    let mut queues = queues.into_iter();
    for turn in 0..workers {
        let ring = || rings.get(turn % owners.max(1)).cloned();
        let (path, handed) = match queues.next() {
            Some(queue) => (Some(TxPath::Queue(queue)), ring()),
            None => (ring().map(TxPath::Handoff), None),
        };
        let worker = (usize::from(index) + turn) % workers;
        transmitters[worker].push(TxPort::new(path, handed, port.sends_chains()));
    }
    Ok(())
}
