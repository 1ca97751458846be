//! A peer that several next hops lead to: each flow takes one of them.

use super::snapshot::Adjacency;

/// Places that flows are dealt out to.
const PLACES: usize = 256;

/// The ways to one peer.
pub struct Spread {
    ways: Box<[Adjacency]>,
    /// Which way a place takes.
    places: Box<[u8; PLACES]>,
}

/// One of them.
pub struct SpreadWay {
    /// What leaves by it.
    pub adjacency: Adjacency,
    /// Tells it from others; the same for as long as it is the same.
    pub identity: u64,
    /// Its share, relative to the others'.
    pub weight: u16,
}

impl Spread {
    /// Deals places out by weight. Each place goes to the way that has the highest score there (weighted rendezvous
    /// hashing), so that a way that comes or goes moves only the flows that are or were its own.
    pub fn new(ways: &[SpreadWay]) -> Self {
        let ways = &ways[..ways.len().min(usize::from(u8::MAX))];
        let highest = |place| {
            let scores = ways.iter().map(|way| score(place, way));
            let best = scores.enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
            best.map_or(0, |(index, _)| index as u8)
        };
        let places = Box::new(std::array::from_fn(|place| highest(place as u64)));
        Self { ways: ways.iter().map(|way| way.adjacency).collect(), places }
    }

    /// The way of a flow.
    #[inline]
    pub fn way(&self, entropy_port: u16) -> Option<&Adjacency> {
        // Of its 14 random bits those that NVGRE's flow ID has least of.
        let place = usize::from(entropy_port >> 6) % PLACES;
        self.ways.get(usize::from(self.places[place]))
    }
}

fn score(place: u64, way: &SpreadWay) -> f64 {
    let hash = mix(place ^ mix(way.identity));
    // Between 0 and 1, and neither of them.
    let uniform = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    -f64::from(way.weight) / uniform.ln()
}

/// The finaliser of SplitMix64: each bit depends on all others.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{Form, Template};
    use crate::worker::Kind;

    fn way(port: u16, weight: u16) -> SpreadWay {
        let adjacency = Adjacency {
            template: Template::VACANT,
            kind: Kind::Tunnel,
            form: Form::Vxlan,
            port,
            generation: 1,
            vlan_or_limit: 0,
            pair_or_index: 0,
        };
        SpreadWay { adjacency, identity: u64::from(port) * 7, weight }
    }

    /// The port of each flow.
    fn ports(ways: &[SpreadWay]) -> Vec<u16> {
        let spread = Spread::new(ways);
        (0xc000..=0xffff).map(|entropy| spread.way(entropy).unwrap().port).collect()
    }

    fn share(ports: &[u16], of: u16) -> f64 {
        ports.iter().filter(|port| **port == of).count() as f64 / ports.len() as f64
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let even = ports(&[way(1, 1), way(2, 1), way(3, 1), way(4, 1)]);
        for port in 1..=4 {
            assert!((0.18..0.32).contains(&share(&even, port)), "{port}: {}", share(&even, port));
        }
        let uneven = ports(&[way(1, 1), way(2, 3)]);
        assert!((0.68..0.82).contains(&share(&uneven, 2)), "{}", share(&uneven, 2));
        let many: Vec<_> = (0..300).map(|port| way(port, 1)).collect();
        assert!(ports(&many).iter().all(|port| *port < 255));
    }

    #[test]
    fn who_goes_moves_its_own_flows_only_and_gets_them_back() {
        let all = [way(1, 1), way(2, 2), way(3, 1), way(4, 5)];
        let before = ports(&all);
        for gone in 1..=4 {
            let left: Vec<_> = [way(1, 1), way(2, 2), way(3, 1), way(4, 5)]
                .into_iter()
                .filter(|way| way.adjacency.port != gone)
                .collect();
            for (old, new) in before.iter().zip(ports(&left)) {
                assert!(*old == gone || *old == new, "{old} -> {new} without {gone}");
                assert_ne!(new, gone);
            }
        }
        let [a, b, c, d] = all;
        assert_eq!(ports(&[d, b, a, c]), before, "whatever their order");
    }

    #[test]
    fn without_ways_there_is_none() {
        assert!(Spread::new(&[]).way(0xc000).is_none());
    }
}
