//! MACs that move too often.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use super::adjacency::{Adjacencies, Way};
use super::clock::Seconds;
use super::network::Network;
use crate::config::{Dampening, MacMove};
use crate::fib::{Entry, FibWriter, MacKey, Reclaimer};
use crate::worker::AdjacencyIndex;

/// The most MACs whose moves are counted since the maps were turned; others move uncounted.
const COUNTED: usize = 1 << 16;

/// Whether a live MAC may move: the network's policy lets it, and it did not do so too often. Else it stays, in the second
/// case for a while.
pub fn may_move(
    network: &mut Network,
    adjacencies: &Adjacencies,
    mac: MacKey,
    (old, to): (Entry, AdjacencyIndex),
    now: Seconds,
    reclaimer: &mut Reclaimer,
) -> bool {
    let MacMove { policy, dampening } = network.config.mac_move;
    let is_local = |index| matches!(adjacencies.get(index), Some(Way::Local { .. }));
    if policy.holds(is_local(old.adjacency()), !is_local(to)) {
        return false;
    }
    let Network { fib, movers, config, .. } = network;
    let Some(dampening) = dampening.filter(|of| movers.is_too_many(mac, of, now)) else {
        return true;
    };
    let frozen = fib.insert(mac, old.with_frozen(true), reclaimer);
    if frozen.is_ok() && movers.freeze(mac, &dampening, now) {
        let Dampening { moves, within, frozen_for } = dampening;
        tracing::warn!(
            "network {}: {mac:?} would move more than {moves} times within {within:?}, so it stays for {frozen_for:?} ({} frozen so far)",
            config.name,
            movers.freezes
        );
    }
    false
}

/// The moves of one network's MACs, as far back as they count.
#[derive(Default)]
pub struct Moves {
    /// Of MACs that moved since the maps were last turned, and of those that did not since then, but before.
    recent: HashMap<MacKey, Count>,
    earlier: HashMap<MacKey, Count>,
    turned: Seconds,
    /// MACs that are frozen, by when that ends.
    frozen: VecDeque<(Seconds, MacKey)>,
    /// How often MACs were frozen.
    pub freezes: u64,
    told: Option<Seconds>,
}

/// Moves of a MAC.
#[derive(Clone, Copy)]
struct Count {
    since: Seconds,
    moves: u32,
}

impl Moves {
    /// Counts a move. Whether it is one too many.
    pub fn is_too_many(&mut self, mac: MacKey, dampening: &Dampening, now: Seconds) -> bool {
        let within = seconds(dampening.within);
        if now >= self.turned + within {
            self.turned = now;
            self.earlier = std::mem::take(&mut self.recent);
        }
        let known = self.recent.remove(&mac).or_else(|| self.earlier.remove(&mac));
        let known = known.filter(|count| now < count.since + within);
        let Count { since, moves } = known.unwrap_or(Count { since: now, moves: 0 });
        let is_too_many = moves >= dampening.moves;
        if !is_too_many && self.recent.len() < COUNTED {
            self.recent.insert(mac, Count { since, moves: moves + 1 });
        }
        is_too_many
    }

    /// Notes that a MAC is frozen from now on. Whether that should be told: once a second at most.
    pub fn freeze(&mut self, mac: MacKey, dampening: &Dampening, now: Seconds) -> bool {
        self.frozen.push_back((now + seconds(dampening.frozen_for), mac));
        self.freezes += 1;
        self.told.replace(now) != Some(now)
    }

    /// Begins anew: nothing has moved, and what is frozen thaws next.
    pub fn restart(&mut self) {
        self.recent.clear();
        self.earlier.clear();
        self.frozen.iter_mut().for_each(|(until, _)| *until = 0);
    }

    /// MACs that are frozen now.
    pub fn frozen(&self) -> usize {
        self.frozen.len()
    }

    /// Forgets frozen MACs that are gone.
    pub fn forget(&mut self, fib: &FibWriter) {
        self.frozen.retain(|(_, mac)| fib.get(*mac).is_some());
    }

    /// Lets those move again that were frozen for long enough.
    pub fn thaw(&mut self, fib: &mut FibWriter, now: Seconds, reclaimer: &mut Reclaimer) {
        while let Some((until, mac)) = self.frozen.front().copied()
            && until <= now
        {
            self.frozen.pop_front();
            if let Some(entry) = fib.get(mac).filter(|entry| entry.is_frozen()) {
                // There is a place for what is there already.
                let _ = fib.insert(mac, entry.with_frozen(false), reclaimer);
            }
        }
    }
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::{Domain, Entry};

    const DAMPENING: Dampening =
        Dampening { moves: 2, within: Duration::from_secs(10), frozen_for: Duration::from_secs(5) };

    fn mac(number: u8) -> MacKey {
        MacKey::from([2, 0, 0, 0, 0, number])
    }

    #[test]
    fn so_many_moves_within_a_time_and_then_no_more() {
        let mut moves = Moves::default();
        let mut too_many = |number, now| moves.is_too_many(mac(number), &DAMPENING, now);
        assert_eq!([0, 9, 9].map(|now| too_many(1, now)), [false, false, true]);
        // The time begins with the first move, whenever the maps turn.
        assert_eq!(
            [9, 18, 19, 19, 20].map(|now| too_many(2, now)),
            [false, false, false, false, true]
        );
        assert_eq!([40, 60, 80].map(|now| too_many(1, now)), [false; 3], "slowly");
    }

    #[test]
    fn moves_that_count_no_more_take_no_memory() {
        let mut moves = Moves::default();
        for now in 0..100 {
            for number in 0..200 {
                let mac = MacKey::from([2, 0, 0, 0, now as u8, number]);
                moves.is_too_many(mac, &DAMPENING, now);
            }
            assert!(moves.recent.len() + moves.earlier.len() <= 200 * 20, "at {now}");
        }
    }

    #[test]
    fn what_is_frozen_thaws() {
        let (mut moves, mut fib) = (Moves::default(), FibWriter::new(10));
        let mut reclaimer = Reclaimer::new(Domain::new(1));
        for number in [1, 2] {
            let entry = Entry::new(3, 1, 0).with_frozen(true);
            fib.insert(mac(number), entry, &mut reclaimer).unwrap();
        }
        let told = [(1, 0), (9, 0), (2, 2)].map(|(of, now)| moves.freeze(mac(of), &DAMPENING, now));
        assert_eq!((told, moves.frozen(), moves.freezes), ([true, false, true], 3, 3));
        let mut frozen = |now| {
            moves.thaw(&mut fib, now, &mut reclaimer);
            [1, 2].map(|number| fib.get(mac(number)).unwrap().is_frozen())
        };
        assert_eq!(
            [4, 5, 6, 7].map(&mut frozen),
            [[true; 2], [false, true], [false, true], [false; 2]]
        );
        assert_eq!((moves.frozen(), fib.learned()), (0, 2));
        for number in [1, 2] {
            fib.insert(mac(number), Entry::new(3, 1, 0).with_frozen(true), &mut reclaimer).unwrap();
            moves.freeze(mac(number), &DAMPENING, 7);
        }
        moves.is_too_many(mac(3), &Dampening { moves: 1, ..DAMPENING }, 7);
        moves.restart();
        moves.thaw(&mut fib, 7, &mut reclaimer);
        assert!([1, 2].iter().all(|number| !fib.get(mac(*number)).unwrap().is_frozen()));
        assert!(!moves.is_too_many(mac(3), &Dampening { moves: 1, ..DAMPENING }, 7));
    }
}
