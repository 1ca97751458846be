//! Ports, from a device's name to what workers know it by.

mod filter;
mod open;
mod pools;

use std::sync::Arc;

use hashbrown::HashSet;

pub use self::filter::Filter;
pub use self::open::{Opened, Purpose, Wanted, open, wanted};
pub use self::pools::{Pools, Share};
use crate::api::{UnknownPort, model};
use crate::config::{self, Config};
use crate::dpdk::{MbufRing, Port, cycles_per_second};
use crate::wire::MacAddr;
use crate::worker::StormControl;

/// The most ports that there can be.
pub const MOST: usize = dpdk_sys::RTE_MAX_ETHPORTS as usize;

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towards the tenants.
    Access,
    /// Towards the other VTEPs.
    Underlay,
    /// The kernel twin of the underlay port with this port index.
    Twin(u16),
}

impl From<Role> for model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Access => Self::Access,
            Role::Underlay => Self::Underlay,
            Role::Twin(_) => Self::Twin,
        }
    }
}

/// A running port.
pub struct ControlPort {
    /// What was asked for.
    pub wanted: Wanted,
    /// What it is for.
    pub role: Role,
    /// The device.
    pub port: Port,
    /// What of its frames may be flooded, as the operator says.
    pub limits: Option<config::StormControl>,
    /// What workers see of that.
    pub storm: Option<Arc<StormControl>>,
    /// The MACs that its device takes frames for, where it does not take all.
    pub filter: Filter,
    /// Between workers that have a transmit queue and those that have none.
    pub rings: Vec<Arc<MbufRing>>,
    /// Its packet memory.
    pub share: Share,
}

impl ControlPort {
    /// The operator's name; a twin has its interface's.
    pub fn name(&self) -> &str {
        &self.wanted.name
    }

    /// Whether its interface is gone, and it can be plugged in again.
    pub fn is_lost(&self) -> bool {
        self.role == Role::Access && self.port.is_gone() && self.wanted.is_there()
    }
}

/// All ports, each at an index that workers know it by for as long as it lives.
#[derive(Default)]
pub struct Ports(Vec<Slot>);

enum Slot {
    /// Nothing names this index.
    Free,
    /// Networks name the port, and its device is closed.
    Closed(String),
    /// Workers have not let it go yet.
    Leaving(String),
    Running(Box<ControlPort>),
}

impl Slot {
    fn is_of(&self, want: &Wanted) -> bool {
        match self {
            Slot::Running(port) => port.wanted.is_same(want),
            Slot::Closed(name) => *name == want.name,
            Slot::Leaving(_) | Slot::Free => false,
        }
    }
}

/// What must be done so that the running ports are others.
pub struct Plan {
    /// To be opened.
    pub fresh: Vec<Wanted>,
    /// Those that must be closed before [`Plan::late`] can be opened, as that needs their devices.
    pub first: Vec<u16>,
    /// To be opened then.
    pub late: Vec<Wanted>,
}

impl Ports {
    /// How many indices there are.
    pub fn len(&self) -> u16 {
        self.0.len() as u16
    }

    /// The running port with an index.
    pub fn get(&self, index: u16) -> Option<&ControlPort> {
        match self.0.get(usize::from(index)) {
            Some(Slot::Running(port)) => Some(port),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, index: u16) -> Option<&mut ControlPort> {
        match self.0.get_mut(usize::from(index)) {
            Some(Slot::Running(port)) => Some(port),
            _ => None,
        }
    }

    /// The index of an access or underlay port, which configurations name only where there is one.
    pub fn index(&self, name: &str) -> u16 {
        let is_it = |slot: &Slot| match slot {
            Slot::Running(port) => port.name() == name && !matches!(port.role, Role::Twin(_)),
            Slot::Closed(closed) => closed == name,
            Slot::Leaving(_) | Slot::Free => false,
        };
        self.0.iter().position(is_it).map_or(u16::MAX, |index| index as u16)
    }

    /// The running port of a name, with its index; a twin has its interface's.
    ///
    /// # Errors
    /// There is none.
    pub fn named(&self, name: &str) -> Result<(u16, &ControlPort), UnknownPort> {
        self.iter().find(|(_, port)| port.name() == name).ok_or_else(|| UnknownPort {
            port: name.to_owned(),
            ports: self.iter().map(|(_, port)| port.name().to_owned()).collect(),
        })
    }

    /// The twin of an underlay port, with its own index.
    pub fn twin_of(&self, index: u16) -> Option<(u16, &ControlPort)> {
        self.iter().find(|(_, port)| port.role == Role::Twin(index))
    }

    /// The running ports with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &ControlPort)> {
        (0..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The underlay ports.
    pub fn underlay(&self) -> impl Iterator<Item = (u16, &ControlPort)> {
        self.iter().filter(|(_, port)| port.role == Role::Underlay)
    }

    /// Our MAC in tenants' networks: the first underlay port's, marked as given by hand, so that it is nobody else's.
    pub fn tenants_mac(&self) -> MacAddr {
        let mut mac = self.underlay().next().map_or([0; 6], |(_, port)| port.port.mac());
        mac[0] |= 2;
        MacAddr(mac)
    }

    /// How to make the ports of a list run.
    pub fn plan(&self, list: Vec<Wanted>) -> Plan {
        let runs = |want: &Wanted| self.iter().any(|(_, of)| of.wanted == *want && !of.is_lost());
        let (staying, list): (Vec<_>, Vec<_>) = list.into_iter().partition(runs);
        let others = || self.iter().filter(|(_, of)| !staying.contains(&of.wanted));
        let clashes = |want: &Wanted, of: &ControlPort| {
            of.wanted.is_same(want) || of.wanted.shares_device(want)
        };
        let (late, fresh): (Vec<_>, Vec<_>) =
            list.into_iter().partition(|want| others().any(|(_, of)| clashes(want, of)));
        let first = others().filter(|(_, of)| late.iter().any(|want| clashes(want, of)));
        Plan { first: first.map(|(index, _)| index).collect(), fresh, late }
    }

    /// How many there would be with these, too.
    pub fn count_with<'w>(&self, more: impl Iterator<Item = &'w Wanted>) -> usize {
        let has_index = |want: &&Wanted| self.0.iter().any(|slot| slot.is_of(want));
        let taken = self.0.iter().filter(|slot| !matches!(slot, Slot::Free)).count();
        taken + more.filter(|want| !has_index(want)).count()
    }

    /// An index for a port: the one that it had, or one that nothing names; less than [`MOST`] if there are no more.
    pub fn place(&self, name: &str) -> u16 {
        let closed = |slot: &Slot| matches!(slot, Slot::Closed(of) if of == name);
        let free = |slot: &Slot| matches!(slot, Slot::Free);
        let known = self.0.iter().position(closed).or_else(|| self.0.iter().position(free));
        known.unwrap_or(self.0.len()) as u16
    }

    /// Sets the port with an index from [`Self::place`].
    pub fn put(&mut self, index: u16, port: ControlPort) {
        let slot = Slot::Running(Box::new(port));
        match self.0.get_mut(usize::from(index)) {
            Some(place) => *place = slot,
            None => self.0.push(slot),
        }
    }

    /// Takes a port out that workers are about to let go.
    pub fn take(&mut self, index: u16) -> Option<Box<ControlPort>> {
        let slot = self.0.get_mut(usize::from(index))?;
        let Slot::Running(port) = std::mem::replace(slot, Slot::Free) else { return None };
        *slot = Slot::Leaving(port.name().to_owned());
        Some(port)
    }

    /// All workers have let a port go. It keeps its index until [`Self::forget`].
    pub fn left(&mut self, index: u16) {
        if let Some(slot) = self.0.get_mut(usize::from(index))
            && let Slot::Leaving(name) = slot
        {
            *slot = Slot::Closed(std::mem::take(name));
        }
    }

    /// Uses the indices of closed ports again that a configuration does not name.
    pub fn forget(&mut self, config: &Config) {
        let names = config.underlay.ports.iter().map(|of| &of.port).chain(&config.access);
        let names: HashSet<&str> = names.map(|port| port.name.as_str()).collect();
        for slot in &mut self.0 {
            if matches!(slot, Slot::Closed(name) if !names.contains(name.as_str())) {
                *slot = Slot::Free;
            }
        }
    }

    /// Sets the limits on what is flooded from access ports.
    pub fn limit(&mut self, config: &Config) {
        for slot in &mut self.0 {
            let Slot::Running(port) = slot else { continue };
            let limits = config.access.iter().find(|of| of.name == port.wanted.name);
            let limits = limits.and_then(|of| of.storm_control);
            if port.role == Role::Access && port.limits != limits {
                port.limits = limits;
                let workers = config.cores.workers.len();
                port.storm = limits.map(|limits| storm_control(&limits, workers));
            }
        }
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Full buckets for the limits.
pub fn storm_control(limits: &config::StormControl, workers: usize) -> Arc<StormControl> {
    Arc::new(StormControl::new(limits, cycles_per_second(), workers))
}
