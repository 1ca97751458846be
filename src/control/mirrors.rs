//! Mirrors: which ports workers copy from, and where to.

use std::sync::Arc;

use crossbeam::utils::CachePadded;
use hashbrown::{HashMap, HashSet};

use super::apply::Needs;
use super::core::{Control, Parts};
use crate::api::{Direction, model};
use crate::config::{Config, MirrorDirection, MirrorTo};
use crate::worker::{Counter, Mirror, MirrorCounters, MirrorTarget, Mirrors, Order, PortMirrors};

/// What peers are told by whose mirrors need them, in the place of a network's ID: no network has as high a one.
const FIRST_ID: u32 = 1 << 24;

/// What workers copy.
#[derive(Default)]
pub struct MirrorTable {
    current: Option<Arc<Mirrors>>,
    /// Those that workers may still hold: the last to let go of one is the control core, as workers free no memory.
    ended: Vec<Arc<Mirrors>>,
    /// By a mirror's name: what it has copied so far outlives a change of the others.
    counters: HashMap<String, Arc<[CachePadded<MirrorCounters>]>>,
}

/// Whether an ID is that of a network, and not one by which a mirror needs a peer.
pub(super) fn is_network(id: u32) -> bool {
    id < FIRST_ID
}

impl Control {
    /// Has mirrors follow the configuration: finds their ports and peers, and notes which peers they need.
    pub(super) fn set_mirrors(&mut self, before: &Config, needs: &mut Needs) {
        self.mirrors.ended.retain(|mirrors| Arc::strong_count(mirrors) > 1);
        let Parts { config, ports, peers, adjacencies, .. } = &mut self.parts;
        if config.mirrors.is_empty() && before.mirrors.is_empty() {
            return;
        }
        let gone = config.mirrors.len()..before.mirrors.len();
        needs.extend(gone.map(|number| (FIRST_ID + number as u32, HashSet::new())));
        let (mut mirrors, mut of_ports) =
            (Vec::new(), vec![PortMirrors::default(); ports.len().into()]);
        let workers = config.cores.workers.len();
        let counters = &mut self.mirrors.counters;
        counters.retain(|name, _| config.mirrors.iter().any(|mirror| mirror.name == *name));
        for (number, mirror) in (0..).zip(&config.mirrors) {
            let id = FIRST_ID + u32::from(number);
            let mut needed = HashSet::new();
            let to = match &mirror.to {
                MirrorTo::Port(port) => MirrorTarget::Port(ports.index(port)),
                MirrorTo::Peer(peer) => {
                    let adjacency = peers.join(*peer, id, adjacencies);
                    needed.insert(adjacency);
                    MirrorTarget::Peer(adjacency, peer.id.unwrap_or_default())
                }
            };
            needs.insert(id, needed);
            for port in &mirror.of {
                let Some(of) = of_ports.get_mut(usize::from(ports.index(port))) else { continue };
                if mirror.direction != MirrorDirection::Out {
                    of.incoming.push(number);
                }
                if mirror.direction != MirrorDirection::In {
                    of.outgoing.push(number);
                }
            }
            let none = || (0..workers).map(|_| CachePadded::default()).collect();
            let counters = counters.entry(mirror.name.clone()).or_insert_with(none).clone();
            mirrors.push(Mirror { to, counters });
        }
        let (mirrors, of_ports) = (mirrors.into(), of_ports.into());
        let all =
            (!config.mirrors.is_empty()).then(|| Arc::new(Mirrors { mirrors, ports: of_ports }));
        let ended = std::mem::replace(&mut self.mirrors.current, all);
        self.mirrors.ended.extend(ended);
    }

    /// Tells workers, who know the ways out that mirrors name.
    pub(super) fn order_mirrors(&self, before: &Config) {
        if self.parts.config.mirrors.is_empty() && before.mirrors.is_empty() {
            return;
        }
        for worker in &self.parts.workers {
            worker.mailbox.order(Order::Mirror(self.mirrors.current.clone()));
        }
    }

    /// What they have copied.
    pub(super) fn report_mirrors(&self) -> Vec<model::Mirror> {
        let report = |mirror: &crate::config::Mirror| {
            let counters = self.mirrors.counters.get(&mirror.name);
            let sum = |of: fn(&MirrorCounters) -> &Counter| {
                counters.into_iter().flat_map(|all| all.iter()).map(|each| of(each).get()).sum()
            };
            model::Mirror {
                name: mirror.name.clone(),
                of: mirror.of.clone(),
                direction: match mirror.direction {
                    MirrorDirection::In => Direction::In,
                    MirrorDirection::Out => Direction::Out,
                    MirrorDirection::Both => Direction::Both,
                },
                port: mirror.port().map(str::to_owned),
                peer: mirror.peer().map(|(peer, _)| peer.address),
                id: mirror.peer().map(|(_, id)| id),
                packets: sum(|of| &of.packets),
                bytes: sum(|of| &of.bytes),
                lost: sum(|of| &of.lost),
            }
        };
        self.parts.config.mirrors.iter().map(report).collect()
    }
}
