//! Where a frame goes.

use super::snapshot::{Adjacency, AdjacencyIndex, Kind, Snapshot};
use crate::wire::flow::Flow;

/// A way out. Two words, so that calls take it in registers.
#[derive(Clone, Copy)]
pub(super) struct Target<'r> {
    pub adjacency: &'r Adjacency,
    /// The adjacency's index (32 bits), the VNI (32).
    ids: u64,
}

impl<'r> Target<'r> {
    /// By the adjacency with this index, for a frame of the network with this VNI.
    #[inline(always)]
    pub fn new(index: AdjacencyIndex, adjacency: &'r Adjacency, vni: u32) -> Self {
        Self { adjacency, ids: u64::from(index) << 32 | u64::from(vni) }
    }

    /// The adjacency's index, for messages to the control core.
    #[inline(always)]
    pub fn index(self) -> AdjacencyIndex {
        (self.ids >> 32) as u32
    }

    /// Of the frame's network.
    #[inline(always)]
    pub fn vni(self) -> u32 {
        self.ids as u32
    }

    /// The same by what stands behind its adjacency.
    #[inline(always)]
    pub fn by(self, adjacency: &'r Adjacency) -> Self {
        Self { adjacency, ..self }
    }

    /// The way out of a flow; `None` where that is none.
    #[inline]
    pub fn of_flow(self, snapshot: &'r Snapshot, flow: impl FnOnce() -> Flow) -> Option<Self> {
        if self.adjacency.kind != Kind::Spread {
            return Some(self);
        }
        let spread = snapshot.spreads.get(self.adjacency.pair_or_index as usize)?;
        // None of them is spread again.
        spread.way(flow().entropy_port()).map(|way| self.by(way))
    }
}
