//! Which address has which MAC, from what workers heard and from the operator.

use std::sync::Arc;

use super::clock::{self, Tick};
use super::core::Control;
use super::networks::Networks;
use crate::api::{Cursor, NeighbourFilter, NeighbourPage, model};
use crate::config::ArpSuppression;
use crate::fib::{Entry, Reclaimer};
use crate::neighbours::{Address, Binding, Claim, Kind, NeighbourWriter, Refused};
use crate::wire::MacAddr;
use crate::worker::Suppression;

/// Buckets looked at in one step of ageing, over all networks.
const STEP: usize = 1 << 12;

/// One network's suppression, as the control core knows it.
pub struct Suppressor {
    /// Its addresses.
    pub writer: NeighbourWriter,
    /// Learned addresses that the limit kept out.
    pub refused: u64,
    shared: Arc<Suppression>,
}

impl Suppressor {
    /// Knows nothing yet.
    pub fn new(wanted: ArpSuppression, refresh_after: Tick, workers: usize) -> Self {
        let writer = NeighbourWriter::new(wanted.limit as usize);
        let shared = Arc::new(Suppression {
            neighbours: writer.shared(),
            unknown: wanted.unknown,
            refresh_after,
            counters: (0..workers).map(|_| Default::default()).collect(),
        });
        Self { writer, refused: 0, shared }
    }

    /// With other settings, and all that it knows and has counted.
    pub fn configured(mut self, wanted: ArpSuppression, refresh_after: Tick) -> Self {
        self.writer.set_limit(wanted.limit as usize);
        if (self.shared.unknown, self.shared.refresh_after) != (wanted.unknown, refresh_after) {
            self.shared = Arc::new(Suppression {
                neighbours: self.writer.shared(),
                unknown: wanted.unknown,
                refresh_after,
                counters: self.shared.counters.clone(),
            });
        }
        self
    }

    /// What workers read.
    pub fn shared(&self) -> Arc<Suppression> {
        self.shared.clone()
    }

    /// Takes the operator's word.
    pub fn bind_static(
        &mut self,
        address: Address,
        mac: MacAddr,
        reclaimer: &mut Reclaimer,
    ) -> Result<(), Refused> {
        let router = self.writer.get(address).is_some_and(|known| known.mac == mac && known.router);
        let binding = Binding { mac, kind: Kind::Static, router };
        self.writer.insert(address, binding, 0, reclaimer)
    }

    /// Takes a word from the network: the last one wins, but never over the operator's.
    fn bind(&mut self, claim: Claim, tick: Tick, reclaimer: &mut Reclaimer) -> Result<(), Refused> {
        let Claim { address, mac, kind, router, overrides } = claim;
        let binding = match self.writer.get(address) {
            Some(known) if known.mac == mac => {
                Binding { router: router.unwrap_or(known.router), ..known }
            }
            Some(known) if known.kind == Kind::Static || !overrides => return Ok(()),
            _ => Binding { mac, kind, router: router.unwrap_or(false) },
        };
        self.writer.insert(address, binding, tick, reclaimer)
    }

    /// What the API says of it.
    pub fn report(&self) -> model::Suppression {
        let counters = || self.shared.counters.iter();
        model::Suppression {
            neighbours_learned: self.writer.learned() as u64,
            neighbours_static: self.writer.fixed() as u64,
            neighbour_limit: self.writer.limit() as u64,
            neighbours_refused: self.refused,
            answered: counters().map(|of| of.answered.get()).sum(),
            flooded: counters().map(|of| of.flooded.get()).sum(),
        }
    }
}

impl Control {
    pub(super) fn bind(&mut self, network: u32, claim: Claim) {
        let tick = self.tick();
        let parts = &mut self.parts;
        let Some(network) = parts.networks.get_mut(network as usize) else { return };
        let Some(suppressor) = &mut network.suppressor else { return };
        if let Err(error) = suppressor.bind(claim, tick, &mut parts.reclaimer) {
            suppressor.refused += 1;
            if suppressor.refused.is_power_of_two() {
                let refused = suppressor.refused;
                tracing::warn!("network {}: {error} ({refused} refused so far)", network.name());
            }
        }
    }

    /// One page, as of MACs.
    pub(super) fn report_neighbours(&self, filter: &NeighbourFilter) -> NeighbourPage {
        let mut room = filter.limit();
        let mut page = NeighbourPage::default();
        let start = filter.after.map_or((0, 0), |after| (after.vni, after.position as usize));
        for (_, network) in self.parts.networks.iter() {
            let vni = network.vni();
            if vni < start.0 || filter.vni.is_some_and(|wanted| wanted != vni) {
                continue;
            }
            let Some(suppressor) = &network.suppressor else { continue };
            let cursor = if vni == start.0 { start.1 } else { 0 };
            let (found, next) = match room {
                0 => (Vec::new(), Some(cursor)),
                _ => suppressor.writer.page(cursor, room),
            };
            room = room.saturating_sub(found.len());
            let neighbours = found.into_iter().map(|(address, binding, entry)| model::Neighbour {
                vni,
                network: network.name().to_owned(),
                ip: address.ip(),
                mac: binding.mac.to_string(),
                kind: match binding.kind {
                    Kind::Static => model::NeighbourKind::Static,
                    Kind::Arp => model::NeighbourKind::Arp,
                    Kind::Nd => model::NeighbourKind::Nd,
                    Kind::Dhcp => model::NeighbourKind::Dhcp,
                },
                router: binding.router,
                age_seconds: (!entry.is_static())
                    .then(|| super::ageing::age(self.tick(), entry).into()),
            });
            page.neighbours.extend(neighbours.filter(|neighbour| filter.admits(neighbour)));
            if let Some(next) = next {
                page.next = Some(Cursor { vni, position: next as u64 });
                return page;
            }
        }
        page
    }
}

/// A walk through the addresses of all networks, which begins at most once a tick.
#[derive(Default)]
pub struct NeighbourAgeing {
    /// The network it has come to.
    network: usize,
}

impl NeighbourAgeing {
    /// Begins again at the first network, if the last walk is through.
    pub fn begin(&mut self, networks: &Networks) {
        if self.network >= networks.len() {
            self.network = 0;
        }
    }

    /// Walks on: removes what was not heard of for its network's ageing time.
    pub fn step(&mut self, networks: &mut Networks, tick: Tick, reclaimer: &mut Reclaimer) {
        let mut budget = STEP;
        while budget > 0 && self.network < networks.len() {
            let network = networks.get_mut(self.network);
            let suppressing = network.and_then(|of| Some((&of.config, of.suppressor.as_mut()?)));
            let Some((config, suppressor)) = suppressing else {
                self.network += 1;
                budget -= 1;
                continue;
            };
            let limit = config.ageing.map(clock::ticks);
            let keep = |entry: Entry| {
                entry.is_static()
                    || limit.is_none_or(|limit| super::ageing::age(tick, entry) < limit)
            };
            let left = suppressor.writer.left();
            if suppressor.writer.sweep(budget, reclaimer, keep) {
                self.network += 1;
            }
            budget = budget.saturating_sub(left.max(1));
        }
    }
}
