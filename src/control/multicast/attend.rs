//! The control core's part in snooping: takes what workers heard, watches the clock, and tells workers what changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use super::snooper::{self, Snooper};
use crate::control::adjacency::{Adjacencies, Way};
use crate::control::core::{Control, Parts};
use crate::control::network::Network;
use crate::fib::Location;
use crate::wire::membership;
use crate::worker::{AdjacencyIndex, Heard, Outgoing};

/// Messages taken from one worker before others get their turn.
const BATCH: usize = 256;
/// The shortest time between two changes of a network that workers are told of: joins come in crowds.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be done for the networks that snoop.
#[derive(Default)]
pub struct Attendance {
    /// When to look after which network.
    alarms: BTreeSet<(Instant, u32)>,
    /// The same by network index.
    armed: HashMap<u32, Instant>,
    /// Networks that workers are to be told of, each once.
    changed: Vec<u32>,
    /// Queries that are to be flooded, by network index.
    outgoing: Vec<(u32, Vec<u8>)>,
}

impl Attendance {
    /// Has something done to a network's members, and notes what follows from it.
    fn tend(&mut self, index: u32, snooper: &mut Snooper, act: impl FnOnce(&mut Snooper)) {
        let was_changed = snooper.changed;
        act(snooper);
        if snooper.changed && !was_changed {
            self.changed.push(index);
        }
        self.outgoing.extend(snooper.outgoing.drain(..).map(|query| (index, query)));
        let (armed, next) = (self.armed.get(&index).copied(), snooper.next());
        if armed != next {
            armed.map(|at| self.alarms.remove(&(at, index)));
            self.armed.remove(&index);
            if let Some(next) = next {
                self.alarms.insert((next, index));
                self.armed.insert(index, next);
            }
        }
    }
}

impl Control {
    /// Takes what workers heard of members. Returns whether there was anything.
    pub(in crate::control) fn hear_members(&mut self) -> bool {
        let now = Instant::now();
        let mut any = false;
        for index in 0..self.parts.workers.len() {
            let heard = self.parts.workers[index].heard.clone();
            for message in std::iter::from_fn(|| heard.pop()).take(BATCH) {
                self.hear_member(&message, now);
                any = true;
            }
        }
        any
    }

    fn hear_member(&mut self, message: &Heard, now: Instant) {
        let Parts { networks, adjacencies, .. } = &mut self.parts;
        let index = message.ingress.network();
        let Some(network) = networks.get_mut(index as usize) else { return };
        if network.identity != message.identity {
            return;
        }
        let Some(way) = way(network, adjacencies, message.ingress.location()) else { return };
        let Some(snooper) = network.snooper() else { return };
        if let Ok(Some(heard)) = membership::hear(message.frame.data()) {
            let hear = |snooper: &mut Snooper| snooper.hear(way, &heard, now);
            self.attendance.tend(index, snooper, hear);
        }
    }

    /// Looks after what has come of time, and tells workers of all that changed.
    pub(in crate::control) fn attend_members(&mut self) {
        let now = Instant::now();
        let Self { parts: Parts { networks, adjacencies, reclaimer, .. }, attendance, .. } = self;
        while let Some((_, index)) = attendance.alarms.first().copied().filter(|(at, _)| *at <= now)
        {
            match networks.get_mut(index as usize).and_then(Network::snooper) {
                Some(snooper) => attendance.tend(index, snooper, |snooper| snooper.wake(now)),
                None => {
                    attendance.alarms.pop_first();
                    attendance.armed.remove(&index);
                }
            }
        }
        attendance.changed.retain(|index| {
            let Some(network) = networks.get_mut(*index as usize) else { return false };
            let recent = network.groups_told.is_some_and(|told| now < told + PAUSE);
            if !recent {
                network.groups_told = Some(now);
                network.tell_groups(adjacencies, reclaimer);
            }
            recent
        });
        self.send_queries();
    }

    /// Hands queries to a worker. Those that there is no room for are lost, as on any link.
    fn send_queries(&mut self) {
        let Parts { networks, shared, pools, .. } = &mut self.parts;
        for (network, query) in self.attendance.outgoing.drain(..) {
            let Some(of) = networks.get_mut(network as usize) else { continue };
            let Some(pool) = pools.packets() else { continue };
            if let Some(mut frame) = pool.allocate()
                && frame.append(&query)
            {
                let _ = shared.outbox.push(Outgoing { network, identity: of.identity, frame });
            }
        }
    }

    /// A network has a new flood peer, which reports go to as well.
    pub(in crate::control) fn tell_members(&mut self, index: u32) {
        let network = self.parts.networks.get_mut(index as usize);
        if let Some(snooper) = network.and_then(Network::snooper) {
            self.attendance.tend(index, snooper, |snooper| snooper.changed = true);
        }
    }

    /// A network has other ways out: forgets what is behind those that are neither in its flood list nor among `others`,
    /// and makes its groups ready for the next snapshot.
    pub(in crate::control) fn resume_attendance(
        &mut self,
        index: u32,
        others: &HashSet<AdjacencyIndex>,
    ) {
        let Parts { networks, adjacencies, reclaimer, .. } = &mut self.parts;
        let Some(network) = networks.get_mut(index as usize) else { return };
        let flood: HashSet<_> = network.locals().iter().chain(network.peers()).copied().collect();
        if let Some(snooper) = network.snooper() {
            let stays = |way| flood.contains(&way) || others.contains(&way);
            snooper.retain(stays, Instant::now());
        }
        network.tell_groups(adjacencies, reclaimer);
        if let Some(snooper) = network.snooper() {
            self.attendance.tend(index, snooper, |_| {});
        }
    }
}

/// Where a network's message came in; `None`: where it has no port or peer any more. VTEPs that are no flood peers, and those that
/// nobody knows, which have generation zero, are behind the underlay's group where the network has one; where it has none and
/// yet learns its peers, they are none of it.
fn way(network: &Network, adjacencies: &Adjacencies, location: Location) -> Option<snooper::Way> {
    let (adjacency, generation) = (location.adjacency(), location.generation());
    if generation != 0 && adjacencies.generation(adjacency) != Some(generation) {
        return None;
    }
    let known = adjacencies.get(adjacency);
    if let Some(Way::Local { .. }) = known {
        return Some(snooper::Way { adjacency, is_local: true });
    }
    let is_group = |way: &&AdjacencyIndex| matches!(adjacencies.get(**way), Some(Way::Group(_)));
    let group = network.admission.as_ref().and_then(|_| network.peers().iter().find(is_group));
    let is_listed = network.peers().contains(&adjacency);
    let adjacency = match group {
        Some(group) if !is_listed => *group,
        None if !is_listed && network.floods_to_learned() => return None,
        _ => known.map(|_| adjacency)?,
    };
    Some(snooper::Way { adjacency, is_local: false })
}
