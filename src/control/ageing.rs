//! MACs that have been silent for too long go, a few of the tables' buckets at a time.

use super::adjacency::Adjacencies;
use super::clock::{self, Seconds, Tick};
use super::network::Network;
use super::networks::Networks;
use crate::fib::{Entry, MacKey, Reclaimer};

/// Buckets looked at in one step, over all networks: some hundred microseconds, in which workers' events wait.
const STEP: usize = 1 << 13;
/// What a network costs, in buckets, however small its table is.
const NETWORK: usize = 16;

/// A walk through all tables, which begins at most once a tick.
#[derive(Default)]
pub struct Ageing {
    /// The network it has come to; within it, [`Network::sweep`] says where.
    network: usize,
    began: Seconds,
    /// Walks through single networks.
    walks: u32,
}

/// What a step of a walk has come to.
#[derive(Default)]
pub struct Walked {
    /// When the walk began, once it is through.
    pub through: Option<Seconds>,
    /// MACs that are gone, by network: the first so many.
    pub gone: Vec<(u32, MacKey, Entry)>,
    /// How many more, where any are told.
    pub more_gone: u64,
    /// Indices of networks that do not flood to some peer any more.
    pub unlisted: Vec<u32>,
}

impl Ageing {
    /// Begins again at the first network, if the last walk is through.
    pub fn begin(&mut self, networks: &Networks, now: Seconds) {
        if self.network >= networks.len() {
            (self.network, self.began) = (0, now);
        }
    }

    /// Walks on: removes what has been silent for its network's ageing time, and what a flush voided, and says of so many
    /// MACs that they are gone. Of what stays it tells the adjacencies.
    pub fn step(
        &mut self,
        networks: &mut Networks,
        adjacencies: &mut Adjacencies,
        now: Seconds,
        told: usize,
        reclaimer: &mut Reclaimer,
    ) -> Walked {
        let (mut budget, tick, mut walked) = (STEP, now as Tick, Walked::default());
        let is_on = self.network < networks.len();
        while budget > 0 && self.network < networks.len() {
            let Some(network) = networks.get_mut(self.network) else {
                self.network += 1;
                budget -= 1;
                continue;
            };
            if network.sweep == 0 {
                network.movers.thaw(&mut network.fib, now, reclaimer);
                self.walks = self.walks.wrapping_add(1);
            }
            let limit = network.config.ageing.map(clock::ticks);
            let (lists_peers, walk) = (network.floods_to_learned(), self.walks);
            let before = walked.gone.len();
            let gone = &mut walked.gone;
            let number = self.network as u32;
            let mut more = 0;
            let mut stays = |entry: Entry| {
                if entry.is_static() {
                    return true;
                }
                let index = entry.adjacency();
                if adjacencies.generation(index) != Some(entry.generation()) {
                    return false;
                }
                let age = age(tick, entry);
                let last = now.saturating_sub(age.into());
                let until = limit.map_or(now + 1, |limit| last + Seconds::from(limit));
                let stays = until > now || entry.is_frozen();
                if stays {
                    adjacencies.hear(index, last, until);
                    if lists_peers {
                        adjacencies.mark(index, walk);
                    }
                }
                stays
            };
            let keep = |mac, entry| {
                let stays = stays(entry);
                if !stays && gone.len() < told {
                    gone.push((number, mac, entry));
                } else if !stays && told > 0 {
                    more += 1;
                }
                stays
            };
            let Network { fib, sweep, .. } = network;
            let left = fib.buckets().saturating_sub(*sweep);
            *sweep = fib.sweep(*sweep, budget, reclaimer, keep);
            // A worker that saw one just then has kept it.
            let mut place = 0;
            walked.gone.retain(|(_, mac, _)| {
                place += 1;
                place <= before || fib.get(*mac).is_none()
            });
            walked.more_gone += more;
            if *sweep == 0 {
                let is_behind = |peer| adjacencies.heard(peer).walk == walk;
                if network.exclude(is_behind) {
                    walked.unlisted.push(self.network as u32);
                }
                self.network += 1;
            }
            budget = budget.saturating_sub(left.max(NETWORK));
        }
        walked.through = (is_on && self.network >= networks.len()).then_some(self.began);
        walked
    }
}

/// Ticks since an entry was last marked as seen.
pub fn age(now: Tick, entry: Entry) -> Tick {
    now.wrapping_sub(entry.tick())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{self, Dampening};
    use crate::control::fixture;
    use crate::fib::Domain;
    use std::time::Duration;

    /// Networks of so many MACs each, learned at tick 0 and silent since; all age out after ten seconds.
    fn world(macs: &[u32]) -> (Networks, Adjacencies, Reclaimer) {
        let mut adjacencies = Adjacencies::default();
        let way = adjacencies.attach(0, None);
        let generation = adjacencies.generation(way).unwrap();
        let mut reclaimer = Reclaimer::new(Domain::new(1));
        let mut networks = Networks::new(1);
        let aged = fixture::network(1, "{name: a, ageing: 10s, mac_limit: 16777216}");
        for (vni, macs) in (1..).zip(macs) {
            let vni = crate::wire::Vni::try_from(vni).unwrap();
            let (_, network) = networks.set(Arc::new(config::Network { vni, ..(*aged).clone() }));
            for number in 0..*macs {
                let [a, b, c, d] = number.to_be_bytes();
                let entry = Entry::new(way, generation, 0);
                network
                    .fib
                    .insert(MacKey::from([2, 0, a, b, c, d]), entry, &mut reclaimer)
                    .unwrap();
            }
        }
        (networks, adjacencies, reclaimer)
    }

    fn learned(networks: &Networks) -> usize {
        networks.iter().map(|(_, network)| network.fib.learned()).sum()
    }

    #[test]
    fn a_step_is_bounded_and_a_walk_reaches_every_network() {
        for macs in [vec![200_000], vec![10; 20_000], vec![0, 100_000, 3, 0, 50_000]] {
            let (mut networks, mut adjacencies, mut reclaimer) = world(&macs);
            let mut ageing = Ageing::default();
            let all = learned(&networks);
            ageing.step(&mut networks, &mut adjacencies, 9, 0, &mut reclaimer);
            assert_eq!(learned(&networks), all, "nothing is ten seconds old");
            let mut steps = 0;
            let mut before = all;
            while before > 0 {
                ageing.begin(&networks, 10);
                ageing.step(&mut networks, &mut adjacencies, 10, 0, &mut reclaimer);
                let now = learned(&networks);
                assert!(before - now <= (STEP + NETWORK) * 4, "one step removed {}", before - now);
                before = now;
                steps += 1;
                assert!(steps < 1000, "{before} of {all} are left");
            }
            assert!(steps > 2, "{all} at once");
        }
    }

    #[test]
    fn a_walk_does_not_begin_anew_before_it_is_told_to() {
        let (mut networks, mut adjacencies, mut reclaimer) = world(&[5]);
        let mut ageing = Ageing::default();
        let mut step = |networks: &mut Networks, ageing: &mut Ageing, now| {
            ageing.step(networks, &mut adjacencies, now, 0, &mut reclaimer).through
        };
        assert_eq!(step(&mut networks, &mut ageing, 0), Some(0));
        assert_eq!(step(&mut networks, &mut ageing, 10), None);
        assert_eq!(learned(&networks), 5, "through, and not begun again");
        ageing.begin(&networks, 10);
        assert_eq!(step(&mut networks, &mut ageing, 11), Some(10));
        assert_eq!(learned(&networks), 0);
    }

    #[test]
    fn of_those_that_go_as_many_are_told_as_wanted() {
        let (mut networks, mut adjacencies, mut reclaimer) = world(&[3, 4]);
        let mut step = |now, told| {
            let mut ageing = Ageing::default();
            let walked = ageing.step(&mut networks, &mut adjacencies, now, told, &mut reclaimer);
            (walked.gone, walked.more_gone)
        };
        assert_eq!(step(9, 100), (vec![], 0), "all stay");
        let (gone, more) = step(10, 5);
        let of = |index| gone.iter().filter(|(network, ..)| *network == index).count();
        assert_eq!((of(0), of(1), more), (3, 2, 2));
        let (mut networks, mut adjacencies, mut reclaimer) = world(&[3]);
        let mut ageing = Ageing::default();
        let walked = ageing.step(&mut networks, &mut adjacencies, 10, 0, &mut reclaimer);
        assert_eq!((walked.gone, walked.more_gone), (vec![], 0), "nobody listens");
        assert_eq!(learned(&networks), 0);
    }

    #[test]
    fn a_frozen_mac_stays_until_it_thaws() {
        let (mut networks, mut adjacencies, mut reclaimer) = world(&[2]);
        let mac = MacKey::from([2, 0, 0, 0, 0, 1]);
        let Network { fib, movers, .. } = networks.of_mut(1).unwrap();
        let entry = fib.get(mac).unwrap().with_frozen(true);
        fib.insert(mac, entry, &mut reclaimer).unwrap();
        let (within, frozen_for) = (Duration::from_secs(1), Duration::from_secs(20));
        movers.freeze(mac, &Dampening { moves: 1, within, frozen_for }, 0);
        let mut ageing = Ageing::default();
        for (now, left) in [(9, 2), (11, 1), (19, 1), (20, 0)] {
            ageing.begin(&networks, now);
            ageing.step(&mut networks, &mut adjacencies, now, 0, &mut reclaimer);
            assert_eq!(learned(&networks), left, "at {now}");
        }
    }

    #[test]
    fn a_way_is_heard_of_as_long_as_a_mac_there_is_remembered() {
        let (mut networks, mut adjacencies, mut reclaimer) = world(&[3, 3]);
        let for_ever = fixture::network(2, "{name: b, ageing: off}");
        networks.set(for_ever);
        let mut ageing = Ageing::default();
        for (now, until) in [(4, 10), (9, 10), (70_000, 70_001)] {
            ageing.begin(&networks, now);
            ageing.step(&mut networks, &mut adjacencies, now, 0, &mut reclaimer);
            assert_eq!(adjacencies.heard(0).until, until, "at {now}");
        }
    }
}
