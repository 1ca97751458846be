//! What happens, told to whoever listens. Where nobody does, it costs a look at a number.

use super::core::{Control, Parts};
use super::links::LinkChange;
use super::ports::Role;
use crate::api::{Event, Events, MacEvent, Place};
use crate::fib::{Change, Entry, MacKey};
use crate::wire::MacAddr;

/// Events told in one round of the control core's loop; of more only the number is told. MACs may come by millions.
const ROUND: usize = 1024;

/// Tells events.
#[derive(Default)]
pub struct Announcer {
    events: Events,
    room: usize,
    lost: u64,
}

impl Announcer {
    pub fn new(events: Events) -> Self {
        Self { events, ..Self::default() }
    }

    /// Whether anybody listens.
    #[inline]
    pub fn is_heard(&self) -> bool {
        self.events.are_heard()
    }

    /// How many events are told in this round yet.
    pub fn room(&self) -> usize {
        if self.is_heard() { self.room } else { 0 }
    }

    /// Tells an event.
    pub fn say(&mut self, event: impl FnOnce() -> Event) {
        if !self.is_heard() {
            return;
        }
        if self.room == 0 {
            self.lost += 1;
            return;
        }
        self.room -= 1;
        self.events.send(event());
    }

    /// Begins another round.
    pub fn next_round(&mut self) {
        self.room = ROUND;
        if self.lost > 0 {
            self.events.send(Event::Lost { events: std::mem::take(&mut self.lost) });
        }
    }

    /// So many events were not even made.
    pub fn lose(&mut self, events: u64) {
        if self.is_heard() {
            self.lost += events;
        }
    }
}

impl Control {
    /// Tells events there from now on.
    pub fn announce_to(&mut self, events: Events) {
        self.announcer = Announcer::new(events);
    }

    /// A network has learned a MAC, or that it moved.
    #[cold]
    pub(super) fn announce_learned(
        &mut self,
        network: u32,
        mac: MacKey,
        entry: Entry,
        how: Change,
    ) {
        let Self { parts, announcer, .. } = self;
        announcer.say(|| {
            let told = mac_event(parts, network, mac, entry);
            match how {
                // From where there is nothing any more it has not moved.
                Change::Updated(old) if parts.is_live(old) => {
                    Event::MacMoved { mac: told, from: parts.place(old.adjacency()) }
                }
                Change::Updated(_) | Change::New => Event::MacLearned(told),
            }
        });
    }

    /// MACs that are gone, and how many more.
    pub(super) fn announce_aged(&mut self, gone: &[(u32, MacKey, Entry)], more: u64) {
        let Self { parts, announcer, .. } = self;
        for (network, mac, entry) in gone {
            announcer.say(|| Event::MacAged(mac_event(parts, *network, *mac, *entry)));
        }
        announcer.lose(more);
    }

    /// Looks at links, and has workers follow them, and next hops, groups and twins those of underlay ports.
    pub(super) fn watch_links(&mut self) {
        let Self { parts, announcer, links, netlink, unpublished, .. } = self;
        let changes = links.look(&parts.ports);
        if !changes.is_empty() {
            parts.workers.iter().for_each(|worker| worker.mailbox.follow_links());
        }
        for LinkChange { port: index, link } in changes {
            let Some(port) = parts.ports.get(index) else { continue };
            if port.role == Role::Underlay {
                *unpublished |= parts.adjacencies.set_link(index, link.up);
                if let Some(netlink) = netlink {
                    netlink.set_link(index, link.up);
                }
            }
            let port = || port.name().to_owned();
            announcer.say(|| match link.up {
                true => Event::LinkUp { port: port() },
                false => Event::LinkDown { port: port(), gone: link.is_gone },
            });
        }
    }
}

impl Parts {
    fn is_live(&self, entry: Entry) -> bool {
        self.adjacencies.generation(entry.adjacency()) == Some(entry.generation())
    }
}

fn mac_event(parts: &Parts, network: u32, mac: MacKey, entry: Entry) -> MacEvent {
    let known = parts.networks.get(network as usize);
    MacEvent {
        vni: known.map_or(0, |network| network.vni()),
        network: known.map_or(String::new(), |network| network.name().to_owned()),
        mac: MacAddr(mac.octets()).to_string(),
        place: if parts.is_live(entry) { parts.place(entry.adjacency()) } else { Place::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_bounded_and_what_is_more_is_counted() {
        let events = Events::default();
        let mut announcer = Announcer::new(events.clone());
        announcer.next_round();
        announcer.say(|| panic!("nobody listens"));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let mut subscription = events.subscribe();
            announcer.next_round();
            let link = |port: usize| Event::LinkUp { port: port.to_string() };
            (0..ROUND + 5).for_each(|port| announcer.say(|| link(port)));
            announcer.lose(2);
            for port in 0..ROUND {
                assert_eq!(subscription.next().await, Some(link(port)));
            }
            announcer.next_round();
            announcer.say(|| link(7));
            assert_eq!(subscription.next().await, Some(Event::Lost { events: 7 }));
            assert_eq!(subscription.next().await, Some(link(7)));
        });
    }
}
