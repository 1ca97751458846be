//! Links that are lost and come back.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::ports::{ControlPort, Ports, Role};
use crate::dpdk::LinkState;

/// How often they are looked at: what goes by a link that is lost shall go by another within a second, and what goes by one
/// that is back shall go at once.
const PERIOD: Duration = Duration::from_millis(100);

/// What is known of them.
pub(super) struct LinkWatch {
    next: Instant,
    known: HashMap<u16, LinkState>,
}

/// A link that is another than before.
pub(super) struct LinkChange {
    /// Port index.
    pub port: u16,
    /// What it is now.
    pub link: LinkState,
}

impl Default for LinkWatch {
    fn default() -> Self {
        Self { next: Instant::now(), known: HashMap::new() }
    }
}

impl LinkWatch {
    /// Another port has an index, before workers have it. Nobody needs to be told how the link of an access port begins; others
    /// are taken to have one until they are looked at.
    pub fn begin(&mut self, index: u16, port: &ControlPort) {
        self.known.remove(&index);
        if port.role == Role::Access {
            let link = port.port.link();
            port.port.set_link(link.up);
            self.known.insert(index, link);
        }
    }

    /// Looks at them, if it is time. Returns those that have changed.
    pub fn look(&mut self, ports: &Ports) -> Vec<LinkChange> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        self.next = now + PERIOD;
        let mut changed = Vec::new();
        for (index, port) in ports.iter() {
            port.port.mind_members();
            let link = port.port.link();
            let before = self.known.insert(index, link);
            let (was_up, was_gone) = before.map_or((true, false), |link| (link.up, link.is_gone));
            if (was_up, was_gone) != (link.up, link.is_gone) {
                log(port, link);
                port.port.set_link(passes(port.role, link));
                changed.push(LinkChange { port: index, link });
            }
        }
        changed
    }
}

/// Whether frames can be sent. A twin's link is what Ferry tells the kernel of the underlay port's, and the kernel takes
/// frames all the same.
fn passes(role: Role, link: LinkState) -> bool {
    link.up || matches!(role, Role::Twin(_)) && !link.is_gone
}

fn log(port: &ControlPort, link: LinkState) {
    let (role, name) = match port.role {
        Role::Access => ("access port", port.name()),
        Role::Underlay => ("underlay port", port.name()),
        Role::Twin(_) => ("kernel twin", port.name()),
    };
    match (port.role, link.is_gone) {
        (Role::Access, true) => tracing::warn!(
            "{role} {name}: its interface was deleted, or moved where its driver has lost it; 'ferry apply FILE' plugs it in again"
        ),
        (_, true) => tracing::error!(
            "{role} {name}: its interface was deleted, or moved where its driver has lost it; start Ferry anew"
        ),
        (Role::Underlay, false) => {
            tracing::warn!("{role} {name}: the link is {}", if link.up { "up" } else { "down" });
        }
        (Role::Access | Role::Twin(_), false) => {}
    }
}
