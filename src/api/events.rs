//! `GET /v1/events`: what happens, as server-sent events.
//!
//! All subscribers read from one ring of bounded length, each at its own place. Who falls behind is told how much it
//! has missed; the control core never waits.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Not;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};

use super::query::Handle;

/// Events that a subscriber may be behind.
const QUEUE: usize = 4096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A network has learned a MAC.
    MacLearned(MacEvent),
    /// A learned MAC is at another place.
    MacMoved {
        /// Which, and where it is now.
        #[serde(flatten)]
        mac: MacEvent,
        /// Where it was.
        from: Place,
    },
    /// A learned MAC is forgotten: it was silent for too long, or its port or peer is gone.
    MacAged(MacEvent),
    /// The next hop of a peer is known, or another one than before.
    PeerUp {
        /// The VTEP.
        peer: IpAddr,
        /// Name of the underlay port that packets to it leave by.
        port: String,
        /// The router on the way, or the peer itself.
        next_hop: IpAddr,
        /// The next hop's MAC.
        mac: String,
    },
    /// The next hop of a peer is not known any more.
    PeerDown {
        /// The VTEP.
        peer: IpAddr,
        /// Whether there is a route to it, so that the next hop only does not answer.
        routed: bool,
    },
    /// A port runs.
    PortAdded {
        /// Its name.
        port: String,
    },
    /// A port's device is closed.
    PortRemoved {
        /// Its name.
        port: String,
    },
    /// Frames can pass a port's link.
    LinkUp {
        /// The port's name.
        port: String,
    },
    /// They cannot any more.
    LinkDown {
        /// The port's name.
        port: String,
        /// Whether they never will again: its interface was deleted, or moved where its driver has lost it.
        #[serde(default, skip_serializing_if = "Not::not")]
        gone: bool,
    },
    /// This many events are not told, because they were too many.
    Lost {
        /// How many.
        events: u64,
    },
}

/// A MAC of a network, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MacEvent {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// The address.
    pub mac: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
}

/// Behind a port, or behind a peer; neither, where that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Name of the access port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VLAN on that port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Where two tags tell the VLAN: the ID of the inner one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_vlan: Option<u16>,
    /// Address of the VTEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct Events {
    ring: broadcast::Sender<Event>,
    subscribers: Arc<AtomicUsize>,
}

impl Default for Events {
    fn default() -> Self {
        Self { ring: broadcast::Sender::new(QUEUE), subscribers: Arc::default() }
    }
}

impl Events {
    /// Whether anybody listens.
    #[inline]
    pub fn are_heard(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Tells all subscribers; never waits.
    pub fn send(&self, event: Event) {
        // There may be nobody any more.
        let _ = self.ring.send(event);
    }

    /// Listens from now on.
    pub(crate) fn subscribe(&self) -> Subscription {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        Subscription { events: self.ring.subscribe(), subscribers: self.subscribers.clone() }
    }
}

/// One who listens.
pub(crate) struct Subscription {
    events: broadcast::Receiver<Event>,
    subscribers: Arc<AtomicUsize>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Subscription {
    /// The next event; `None` when there will be none.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(events)) => Some(Event::Lost { events }),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The stream of a subscriber.
pub(super) async fn stream(
    State(handle): State<Handle>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let events = unfold(handle.events().subscribe(), async |mut subscription| {
        let event = subscription.next().await?;
        Some((Ok(message(&event)), subscription))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn message(event: &Event) -> sse::Event {
    let data = serde_json::to_value(event).unwrap_or_default();
    let name = data["event"].as_str().unwrap_or_default();
    sse::Event::default().event(name).data(data.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn link(port: u64) -> Event {
        Event::LinkUp { port: port.to_string() }
    }

    #[test]
    fn who_is_behind_is_told_how_much_it_missed_and_others_miss_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let events = Events::default();
            let (mut slow, mut fast) = (events.subscribe(), events.subscribe());
            let count = QUEUE as u64 + 3;
            for number in 0..count {
                events.send(link(number));
                assert_eq!(fast.next().await, Some(link(number)));
            }
            assert_eq!(slow.next().await, Some(Event::Lost { events: 3 }));
            for number in 3..count {
                assert_eq!(slow.next().await, Some(link(number)));
            }
            assert!(events.are_heard());
            drop((slow, fast));
            assert!(!events.are_heard());
            events.send(link(0));
        });
    }

    #[test]
    fn events_are_flat_json() {
        let place = Place { peer: Some(IpAddr::from([192, 0, 2, 2])), ..Place::default() };
        let (network, mac) = ("a".to_owned(), "02:00:00:00:00:01".to_owned());
        let mac = MacEvent { vni: 101, network, mac, place };
        let from = Place { port: Some("vm1".to_owned()), vlan: Some(10), ..Place::default() };
        let event = Event::MacMoved { mac, from };
        let text = serde_json::to_string(&event).unwrap();
        let expected = r#"{"event":"mac_moved","vni":101,"network":"a","mac":"02:00:00:00:00:01","peer":"192.0.2.2","from":{"port":"vm1","vlan":10}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
