//! Opening devices, and dealing their queues out to the workers.

use std::sync::Arc;

use super::pools::{Need, Pools, Share};
use crate::config::{self, Bond, Config, device_parts};
use crate::control::startup::StartError;
use crate::dpdk::{
    MbufRing, Offloads, Port, PortOptions, RxQueue, TxQueue, has_carrier, has_interface,
};
use crate::worker::{TxPath, TxPort};

/// Packets that a handoff ring holds.
const HANDOFF: u32 = 1024;
/// Descriptors of a queue where the operator says nothing.
const DESCRIPTORS: u32 = 1024;

/// A port that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The operator's name; a twin has its interface's.
    pub name: String,
    /// PCI address or devargs.
    pub device: String,
    /// The devices that it is made of, where there are several.
    pub bond: Option<Bond>,
    /// What for.
    pub purpose: Purpose,
    /// How it is set up.
    pub options: PortOptions,
}

/// What a port is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Towards the tenants.
    Access,
    /// Towards the other VTEPs.
    Underlay,
    /// The kernel twin of the underlay port of this name.
    Twin(String),
}

impl Wanted {
    /// Whether it is the same port, perhaps with other settings.
    pub fn is_same(&self, other: &Wanted) -> bool {
        let is_twin = |of: &Wanted| matches!(of.purpose, Purpose::Twin(_));
        self.name == other.name && is_twin(self) == is_twin(other)
    }

    fn devices(&self) -> &[String] {
        self.bond.as_ref().map_or(std::slice::from_ref(&self.device), |bond| &bond.members)
    }

    /// Its tap that another process has: both would get a part of the frames, and the first to end would take the link
    /// away.
    fn foreign_tap(&self) -> Option<&str> {
        let taps = self.devices().iter().filter(|device| device.starts_with("net_tap"));
        taps.filter_map(|device| device_parts(device).1).find(|tap| has_carrier(tap))
    }

    /// Whether its devices can be opened, as far as that is known: those on a kernel's interface need it, and a tap makes
    /// its own.
    pub fn is_there(&self) -> bool {
        self.devices().iter().all(|device| {
            let interface = device_parts(device).1;
            device.starts_with("net_tap") || interface.is_none_or(has_interface)
        })
    }

    /// Whether two ports cannot be open at once: it is the same device, or another one at the same interface or socket.
    pub fn shares_device(&self, other: &Wanted) -> bool {
        let clash = |one: &String, two: &String| {
            let ((device, interface), (other, other_interface)) =
                (device_parts(one), device_parts(two));
            device == other || interface.is_some() && interface == other_interface
        };
        self.devices().iter().any(|one| other.devices().iter().any(|two| clash(one, two)))
    }
}

/// A port that is open, before workers know of it.
pub struct Opened {
    /// What was wanted.
    pub wanted: Wanted,
    /// The device.
    pub port: Port,
    /// Its packet memory.
    pub share: Share,
    /// What each worker receives from.
    pub receive: Vec<Vec<RxQueue>>,
    /// How each worker sends.
    pub transmit: Vec<TxPort>,
    /// Between workers that have a transmit queue and those that have none.
    pub rings: Vec<Arc<MbufRing>>,
}

/// The ports of a configuration. The twins come last so that each worker has a real queue first.
pub fn wanted(config: &Config) -> Vec<Wanted> {
    let tx_queues = config.cores.workers.len() as u16;
    let want = |port: &config::Port, purpose, promiscuous| Wanted {
        name: port.name.clone(),
        device: port.device.clone(),
        bond: port.bond.clone(),
        purpose,
        options: PortOptions {
            rx_queues: port.queues,
            tx_queues,
            rx_descriptors: port.rx_descriptors,
            tx_descriptors: port.tx_descriptors,
            mtu: port.mtu,
            promiscuous: promiscuous && port.promiscuous,
            offloads: offloads(port.offloads),
            takes_whole: false,
        },
    };
    let underlay = &config.underlay.ports;
    let mut list: Vec<_> =
        underlay.iter().map(|of| want(&of.port, Purpose::Underlay, false)).collect();
    list.extend(config.access.iter().map(|port| want(port, Purpose::Access, true)));
    list.extend(underlay.iter().filter_map(|of| {
        let name = &of.twin.as_ref()?.name;
        let port = config::Port {
            name: name.clone(),
            device: format!("net_tap_{name},iface={name}"),
            bond: None,
            queues: 1,
            rx_descriptors: None,
            tx_descriptors: None,
            ..of.port.clone()
        };
        Some(want(&port, Purpose::Twin(of.port.name.clone()), false))
    }));
    list
}

fn offloads(wanted: config::Offloads) -> Offloads {
    let checksums = Offloads::CHECKSUMS.and(Offloads::INNER_CHECKSUMS);
    let segments = Offloads::TCP4_SEGMENTS.and(Offloads::TCP6_SEGMENTS);
    match wanted {
        config::Offloads::On => checksums.and(segments).and(Offloads::INNER_SEGMENTS),
        config::Offloads::Checksums => checksums,
        config::Offloads::Off => Offloads::NONE,
    }
}

/// Opens and starts devices. `loads` says how many queues each worker receives from, and goes on counting.
///
/// # Errors
/// The first device that fails, by name and with DPDK's reason; none stays open then.
pub fn open(
    list: Vec<Wanted>,
    pools: &mut Pools,
    loads: &mut [usize],
) -> Result<Vec<Opened>, StartError> {
    let mut attached = Vec::new();
    for want in list {
        if let Some(tap) = want.foreign_tap() {
            return Err(StartError::Taken(want.name.clone(), tap.to_owned()));
        }
        let port = match &want.bond {
            Some(Bond { mode, members }) => Port::attach_bond(&want.name, *mode, members),
            None => Port::attach(&want.name, &want.device),
        };
        let is_nic = || want.devices().iter().any(|of| config::pci_address_of(of).is_some());
        let port = match port {
            Err(error) if is_nic() => return Err(StartError::Nic(error)),
            other => other?,
        };
        port.require_rx_queues(want.options.rx_queues)?;
        if !matches!(want.purpose, Purpose::Twin(_)) {
            port.require_mtu(want.options.mtu)?;
        }
        attached.push((need(&want, &port), want, port));
    }
    pools.reserve(&attached.iter().map(|(need, ..)| *need).collect::<Vec<_>>())?;
    let start = |(need, wanted, mut port): (Need, Wanted, Port)| {
        let share = pools.take(need).ok_or_else(|| StartError::NoShare(wanted.name.clone()))?;
        let mut options = wanted.options.clone();
        if let Purpose::Twin(_) = wanted.purpose {
            // The interface has the underlay port's MTU all the same: what is longer goes there in fragments.
            options.mtu = options.mtu.min(port.max_mtu());
        }
        let (rx, tx) = port.start(&options, share.pool())?;
        let receive = deal_receivers(rx, loads);
        let (transmit, rings) = deal_transmitters(tx, &port, &share, loads.len())?;
        Ok(Opened { wanted, port, share, receive, transmit, rings })
    };
    attached.into_iter().map(start).collect()
}

fn need(want: &Wanted, port: &Port) -> Need {
    let options = &want.options;
    let descriptors = |own: Option<u16>| own.map_or(DESCRIPTORS, u32::from);
    Need {
        node: port.socket().max(0),
        mbufs: u32::from(options.rx_queues) * descriptors(options.rx_descriptors)
            + u32::from(options.tx_queues) * descriptors(options.tx_descriptors),
        mtu: options.mtu,
    }
}

/// Each queue goes to the worker that has the fewest. No queue ever moves: that would disturb what is under way.
fn deal_receivers(queues: Vec<RxQueue>, loads: &mut [usize]) -> Vec<Vec<RxQueue>> {
    let mut dealt: Vec<Vec<RxQueue>> = loads.iter().map(|_| Vec::new()).collect();
    for queue in queues {
        let fewest = (0..loads.len()).min_by_key(|worker| loads[*worker]).unwrap_or_default();
        dealt[fewest].push(queue);
        loads[fewest] += 1;
    }
    dealt
}

/// Each worker gets a queue; where the device has too few, the rest hand over to those who have one. Who that is
/// changes from port to port, so that the single queues of many ports are not all one worker's burden. A guest need not
/// serve all of its queues, but always serves the first: that one's owner takes over for others.
fn deal_transmitters(
    queues: Vec<TxQueue>,
    port: &Port,
    share: &Share,
    workers: usize,
) -> Result<(Vec<TxPort>, Vec<Arc<MbufRing>>), StartError> {
    let owners = queues.len();
    let substitutes = owners > 1 && port.state().changes();
    let mut rings = Vec::new();
    for owner in 0..owners {
        if owners < workers || substitutes && owner == 0 {
            let name = format!("handoff-{}-{owner}", port.id());
            rings.push(Arc::new(MbufRing::new(&name, HANDOFF, port.socket())?));
        }
    }
    let mut queues = queues.into_iter();
    let new = |path| TxPort::new(port, share.pool(), path);
    let mut dealt: Vec<_> = (0..workers)
        .map(|turn| match queues.next() {
            Some(queue) => {
                let mut own = new(Some(TxPath::Queue(queue)));
                own.handed = rings.get(turn).cloned();
                own.substitute = rings.first().filter(|_| substitutes && turn > 0).cloned();
                own
            }
            None => new(rings.get(turn % owners.max(1)).cloned().map(TxPath::Handoff)),
        })
        .collect();
    dealt.rotate_right(usize::from(port.id()) % workers);
    Ok((dealt, rings))
}
