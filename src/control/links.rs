//! Links that are lost and come back.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::ports::{Ports, Role};

/// How often those of underlay ports are looked at: what goes by a link that is lost shall go by another within a second.
const PERIOD: Duration = Duration::from_millis(100);
/// Periods after which others are.
const OTHERS: u32 = 10;

/// What is known of them.
pub(super) struct LinkWatch {
    next: Instant,
    period: u32,
    up: HashMap<u16, bool>,
}

impl Default for LinkWatch {
    fn default() -> Self {
        Self { next: Instant::now(), period: 0, up: HashMap::new() }
    }
}

impl LinkWatch {
    /// Looks at them, if it is time. Returns those that have changed, by port index, and whether they are up.
    pub fn look(&mut self, ports: &Ports) -> Vec<(u16, bool)> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        self.next = now + PERIOD;
        self.period = self.period.wrapping_add(1);
        self.up.retain(|index, _| ports.get(*index).is_some());
        let mut changed = Vec::new();
        for (index, port) in ports.iter() {
            let is_underlay = port.role == Role::Underlay;
            if !is_underlay && !self.period.is_multiple_of(OTHERS) {
                continue;
            }
            port.port.mind_members();
            let is_up = port.port.link().up;
            // An underlay port is taken to have a link before it is looked at first; of others nobody needs to know.
            let before = self.up.insert(index, is_up).unwrap_or(is_underlay || is_up);
            if before != is_up {
                if is_underlay {
                    let now = if is_up { "up" } else { "down" };
                    tracing::warn!("underlay port {}: the link is {now}", port.name());
                }
                port.port.look_at_link();
                changed.push((index, is_up));
            }
        }
        changed
    }
}
