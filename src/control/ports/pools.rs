//! Packet memory: which port takes its mbufs from where.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;

use crate::config::Eal;
use crate::control::memory::Shortage;
use crate::control::startup::StartError;
use crate::dpdk::Mempool;
use crate::tunnel::AnyTemplate;
use crate::worker;

/// Packet bytes of an mbuf, at least: what most drivers are at their best with.
const DATA_ROOM: u16 = 2048;
/// Bytes around an MTU's payload: Ethernet with two tags, and outer headers.
const OVERHEAD: u16 = 22 + AnyTemplate::LONGEST as u16;
/// Mbufs that a worker may have in its caches, buffers and unfinished floods.
const PER_WORKER: u32 = 4096;

/// What a port needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// NUMA node.
    pub node: i32,
    /// Mbufs that its queues hold at most.
    pub mbufs: u32,
    /// Bytes of its largest payload.
    pub mtu: u16,
}

/// A port's share in a pool; given back when dropped.
pub struct Share {
    pool: Mempool,
    mbufs: u32,
    free: Arc<AtomicU32>,
}

impl Share {
    /// The pool.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.free.fetch_add(self.mbufs, Ordering::Relaxed);
    }
}

/// All mempools. None is ever freed: any mbuf, wherever it is, may be of any of them.
pub struct Pools {
    nodes: HashMap<i32, Node>,
    workers: u32,
    eal: Eal,
}

/// Those of one NUMA node.
struct Node {
    headers: Mempool,
    packets: Vec<Packets>,
}

struct Packets {
    pool: Mempool,
    room: u16,
    /// Mbufs that no port holds a share of.
    free: Arc<AtomicU32>,
}

impl Pools {
    /// None yet.
    pub fn new(workers: usize, eal: &Eal) -> Self {
        Self { nodes: HashMap::new(), workers: workers as u32, eal: eal.clone() }
    }

    /// Makes pools for what the present ones have no room for: a node's first one also has what workers take.
    ///
    /// # Errors
    /// No memory.
    pub fn reserve(&mut self, needs: &[Need]) -> Result<(), StartError> {
        let mut lacking: HashMap<i32, (u32, u16)> = HashMap::new();
        let mut left: HashMap<(i32, usize), u32> = HashMap::new();
        for need in needs {
            let room = room(need.mtu);
            let pools = self.nodes.get(&need.node).map_or(&[][..], |node| &node.packets);
            let has_room = pools.iter().enumerate().find(|(index, of)| {
                let free = || of.free.load(Ordering::Relaxed);
                let left = left.entry((need.node, *index)).or_insert_with(free);
                let fits = of.room >= room && *left >= need.mbufs;
                *left -= if fits { need.mbufs } else { 0 };
                fits
            });
            if has_room.is_none() {
                let (mbufs, largest) = lacking.entry(need.node).or_default();
                (*mbufs, *largest) = (*mbufs + need.mbufs, room.max(*largest));
            }
        }
        lacking.into_iter().try_for_each(|(node, (mbufs, room))| self.add(node, mbufs, room))
    }

    fn add(&mut self, number: i32, mbufs: u32, room: u16) -> Result<(), StartError> {
        let Self { nodes, workers, eal } = self;
        let pool = |name: &str, size, room| {
            let shortage = |reason| Shortage::new(size, room, number, eal, reason);
            Mempool::new(name, size, room, number)
                .map_err(|reason| StartError::Memory(Box::new(shortage(reason))))
        };
        let (first, workers) = (!nodes.contains_key(&number), *workers);
        let node = match nodes.entry(number) {
            hashbrown::hash_map::Entry::Occupied(node) => node.into_mut(),
            hashbrown::hash_map::Entry::Vacant(free) => {
                let size = full(workers * 2 * PER_WORKER);
                let headers = pool(&format!("headers-{number}"), size, 128)?;
                free.insert(Node { headers, packets: Vec::new() })
            }
        };
        let of_workers = if first { workers * PER_WORKER } else { 0 };
        let size = eal.mbufs.unwrap_or_else(|| full(mbufs + of_workers));
        let name = match node.packets.len() {
            0 => format!("packets-{number}"),
            count => format!("packets-{number}-{count}"),
        };
        let pool = pool(&name, size, room)?;
        // How many suffice, is the operator's business where he says a number.
        let free = eal.mbufs.map_or_else(|| size - of_workers, |_| u32::MAX / 2);
        node.packets.push(Packets { pool, room, free: Arc::new(free.into()) });
        Ok(())
    }

    /// A port's share of what was reserved for it.
    pub fn take(&self, need: Need) -> Option<Share> {
        let room = room(need.mtu);
        let fits = |of: &&Packets| of.room >= room && of.free.load(Ordering::Relaxed) >= need.mbufs;
        let Packets { pool, free, .. } = self.nodes.get(&need.node)?.packets.iter().find(fits)?;
        free.fetch_sub(need.mbufs, Ordering::Relaxed);
        Some(Share { pool: pool.clone(), mbufs: need.mbufs, free: free.clone() })
    }

    /// Where a worker takes mbufs from: of its node, or of any if that has none.
    pub fn of_worker(&self, node: i32) -> Option<worker::Pools> {
        let node = self.nodes.get(&node).or_else(|| self.nodes.values().next())?;
        let packets = node.packets.first()?.pool.clone();
        Some(worker::Pools { headers: node.headers.clone(), packets })
    }

    /// Where the control core takes its own packets from.
    pub fn packets(&self) -> Option<&Mempool> {
        self.nodes.values().flat_map(|node| &node.packets).map(|of| &of.pool).next()
    }

    /// All of them, with their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Mempool)> {
        self.nodes.iter().flat_map(|(number, node)| {
            let packets = node.packets.iter().map(|of| &of.pool);
            packets.chain([&node.headers]).map(|pool| (*number, pool))
        })
    }
}

fn room(mtu: u16) -> u16 {
    DATA_ROOM.max(mtu.saturating_add(OVERHEAD).next_multiple_of(64))
}

/// One less than a power of two uses a mempool's ring best.
fn full(mbufs: u32) -> u32 {
    (mbufs + 1).next_power_of_two() - 1
}
