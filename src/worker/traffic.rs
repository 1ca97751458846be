//! What each network and each peer carries, counted by each worker for itself.
//!
//! A worker finds its counters by the indices that it has in hand anyway. They lie in pages that never move, so that
//! there can be more of them later and nothing that was counted is lost.

use std::iter::Sum;
use std::mem;
use std::sync::Arc;

use super::counters::Counter;
use super::snapshot::{AdjacencyIndex, Attachment};

/// Entries of a page.
const PAGE: usize = 64;

/// Frames and their bytes, without outer headers.
#[derive(Default)]
struct Way {
    packets: Counter,
    bytes: Counter,
}

/// Of one network or adjacency: what came from peers, and what goes to them.
#[derive(Default)]
struct Ways {
    from_peers: Way,
    from_ports: Way,
}

/// Nobody else's cache lines.
#[repr(align(128))]
struct Page([Ways; PAGE]);

type Pages = Box<[Arc<Page>]>;

/// One worker's.
#[derive(Clone, Default)]
pub struct Traffic {
    networks: Pages,
    adjacencies: Pages,
}

/// A number of frames, and of their bytes without outer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a network or a peer carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    /// What came by tunnels: of a peer, what it sent.
    pub from_peers: Volume,
    /// What came from access ports: of a peer, what was sent to it.
    pub from_ports: Volume,
}

impl Traffic {
    /// Counts frames of a network that came in.
    #[inline(always)]
    fn came<const FROM_TUNNEL: bool>(&self, network: u32, packets: u64, bytes: u64) {
        count::<FROM_TUNNEL>(&self.networks, network, packets, bytes);
    }

    /// Counts frames that came from a peer, or go to one.
    #[inline(always)]
    pub(super) fn passed<const FROM_TUNNEL: bool>(
        &self,
        peer: AdjacencyIndex,
        packets: u64,
        bytes: u64,
    ) {
        count::<FROM_TUNNEL>(&self.adjacencies, peer, packets, bytes);
    }

    /// The same with room for so many networks and adjacencies; `None`: there is enough.
    fn grown(&self, networks: usize, adjacencies: usize) -> Option<Self> {
        let (networks, adjacencies) = (networks.div_ceil(PAGE), adjacencies.div_ceil(PAGE));
        if networks <= self.networks.len() && adjacencies <= self.adjacencies.len() {
            return None;
        }
        let grow = |pages: &Pages, wanted: usize| {
            let more = (pages.len()..wanted).map(|_| Arc::new(Page::default()));
            pages.iter().cloned().chain(more).collect()
        };
        Some(Self {
            networks: grow(&self.networks, networks),
            adjacencies: grow(&self.adjacencies, adjacencies),
        })
    }
}

#[inline(always)]
fn find(pages: &Pages, index: u32) -> Option<&Ways> {
    let index = index as usize;
    Some(&pages.get(index / PAGE)?.0[index % PAGE])
}

#[inline(always)]
fn count<const FROM_TUNNEL: bool>(pages: &Pages, index: u32, packets: u64, bytes: u64) {
    let Some(ways) = find(pages, index) else { return };
    let way = if FROM_TUNNEL { &ways.from_peers } else { &ways.from_ports };
    way.packets.add(packets);
    way.bytes.add(bytes);
}

/// What is told of the frames of a burst.
pub(super) trait Count {
    /// Those that follow came in elsewhere or go elsewhere.
    fn turn(&mut self, ingress: Attachment, peer: impl FnOnce() -> Option<AdjacencyIndex>);
    /// One of them.
    fn add(&mut self, bytes: usize);
    /// One that nobody gets after all.
    fn refuse(&mut self, bytes: usize);
    /// There are no more.
    fn end(&mut self);
}

/// Nothing is counted, and costs nothing.
impl Count for () {
    #[inline(always)]
    fn turn(&mut self, _: Attachment, _: impl FnOnce() -> Option<AdjacencyIndex>) {}
    #[inline(always)]
    fn add(&mut self, _: usize) {}
    #[inline(always)]
    fn refuse(&mut self, _: usize) {}
    #[inline(always)]
    fn end(&mut self) {}
}

/// The frames in a row that have the same ingress and decision: what is counted of them is counted once.
pub(super) struct Tally<'r, const FROM_TUNNEL: bool> {
    traffic: &'r Traffic,
    network: u32,
    /// [`NOBODY`] where they go to no peer alone.
    peer: AdjacencyIndex,
    packets: u64,
    bytes: u64,
}

/// No adjacency has this index.
const NOBODY: AdjacencyIndex = AdjacencyIndex::MAX;

impl<'r, const FROM_TUNNEL: bool> Tally<'r, FROM_TUNNEL> {
    /// Of none.
    #[inline(always)]
    pub fn new(traffic: &'r Traffic) -> Self {
        Self { traffic, network: 0, peer: NOBODY, packets: 0, bytes: 0 }
    }
}

impl<const FROM_TUNNEL: bool> Count for Tally<'_, FROM_TUNNEL> {
    #[inline(always)]
    fn turn(&mut self, ingress: Attachment, peer: impl FnOnce() -> Option<AdjacencyIndex>) {
        self.end();
        self.network = ingress.network();
        self.peer = match FROM_TUNNEL {
            true => ingress.location().adjacency(),
            false => peer().unwrap_or(NOBODY),
        };
    }

    #[inline(always)]
    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    #[cold]
    fn refuse(&mut self, bytes: usize) {
        self.end();
        self.traffic.came::<FROM_TUNNEL>(self.network, 1, bytes as u64);
    }

    #[inline(always)]
    fn end(&mut self) {
        let (packets, bytes) = (mem::take(&mut self.packets), mem::take(&mut self.bytes));
        self.traffic.came::<FROM_TUNNEL>(self.network, packets, bytes);
        self.traffic.passed::<FROM_TUNNEL>(self.peer, packets, bytes);
    }
}

/// All workers'; none where nobody asked for it.
pub struct TrafficTables(Vec<Arc<Traffic>>);

impl TrafficTables {
    /// All zero, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Arc::default()).collect())
    }

    /// What workers count in, by their number, with room for so many networks and adjacencies.
    pub fn share(&mut self, networks: usize, adjacencies: usize) -> Box<[Arc<Traffic>]> {
        for traffic in &mut self.0 {
            if let Some(grown) = traffic.grown(networks, adjacencies) {
                *traffic = Arc::new(grown);
            }
        }
        self.0.iter().cloned().collect()
    }

    /// Begins anew at the index of a network that is gone: no worker has seen it for a while.
    pub fn forget(&self, network: u32) {
        self.clear(|traffic| find(&traffic.networks, network));
    }

    /// The same of a peer's adjacency.
    pub fn forget_peer(&self, index: AdjacencyIndex) {
        self.clear(|traffic| find(&traffic.adjacencies, index));
    }

    fn clear(&self, of: impl Fn(&Traffic) -> Option<&Ways>) {
        for ways in self.0.iter().filter_map(|traffic| of(traffic)) {
            for way in [&ways.from_peers, &ways.from_ports] {
                way.packets.set(0);
                way.bytes.set(0);
            }
        }
    }

    /// What all workers counted at a network's index; `None`: they do not count.
    pub fn of_network(&self, index: u32) -> Option<Volumes> {
        self.sum(|traffic| read(&traffic.networks, index))
    }

    /// The same of a peer's adjacency.
    pub fn of_peer(&self, index: AdjacencyIndex) -> Option<Volumes> {
        self.sum(|traffic| read(&traffic.adjacencies, index))
    }

    fn sum(&self, of: impl Fn(&Traffic) -> Volumes) -> Option<Volumes> {
        (!self.0.is_empty()).then(|| self.0.iter().map(|traffic| of(traffic)).sum())
    }
}

fn read(pages: &Pages, index: u32) -> Volumes {
    let of = |way: &Way| Volume { packets: way.packets.get(), bytes: way.bytes.get() };
    find(pages, index).map_or(Volumes::default(), |Ways { from_peers, from_ports }| Volumes {
        from_peers: of(from_peers),
        from_ports: of(from_ports),
    })
}

impl Default for Page {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Ways::default()))
    }
}

impl Volume {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Sum for Volumes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, of| {
            sum.from_peers.add(of.from_peers);
            sum.from_ports.add(of.from_ports);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stays_when_there_is_room_for_more() {
        let mut tables = TrafficTables::new(2);
        let before = tables.share(1, 1);
        before[0].came::<false>(0, 1, 100);
        before[1].came::<false>(63, 1, 20);
        before[1].came::<false>(64, 1, 7);
        let after = tables.share(65, 1);
        // A worker that has not seen the new room yet.
        before[1].came::<false>(0, 1, 50);
        after[0].came::<true>(0, 1, 60);
        after[0].came::<true>(64, 1, 9);
        after[0].passed::<true>(2, 1, 60);
        let volume = |packets, bytes| Volume { packets, bytes };
        let volumes = |from_peers, from_ports| Volumes { from_peers, from_ports };
        assert_eq!(tables.of_network(0), Some(volumes(volume(1, 60), volume(2, 150))));
        assert_eq!(tables.of_network(63), Some(volumes(volume(0, 0), volume(1, 20))));
        assert_eq!(tables.of_network(64), Some(volumes(volume(1, 9), volume(0, 0))));
        assert_eq!(tables.of_peer(2), Some(volumes(volume(1, 60), volume(0, 0))));
        assert_eq!(tables.of_peer(64), Some(Volumes::default()));
        assert_eq!(TrafficTables::new(0).of_network(0), None);
        tables.forget(0);
        assert_eq!(tables.of_network(0), Some(Volumes::default()));
        assert_eq!(tables.of_peer(2), Some(volumes(volume(1, 60), volume(0, 0))));
        tables.forget_peer(2);
        assert_eq!(tables.of_peer(2), Some(Volumes::default()));
        assert_eq!(tables.of_network(63), Some(volumes(volume(0, 0), volume(1, 20))));
    }

    #[test]
    fn no_cache_line_is_written_by_two_workers() {
        const { assert!(align_of::<Page>() == 128 && size_of::<Page>().is_multiple_of(128)) };
        let shared = TrafficTables::new(2).share(1, 1);
        let page = |of: &Pages| Arc::as_ptr(&of[0]).addr();
        let mut pages: Vec<_> =
            shared.iter().flat_map(|of| [page(&of.networks), page(&of.adjacencies)]).collect();
        pages.sort_unstable();
        assert!(pages.windows(2).all(|pair| pair[1] - pair[0] >= size_of::<Page>()));
    }
}
