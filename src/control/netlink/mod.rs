//! The kernel's addresses, routes and neighbours, turned into next hops.
//!
//! A thread of its own, `ferry-netlink`, beside the control core: it sets the kernel twins up, watches what
//! the kernel says, and sends the control core a message when a peer's next hop changed. It writes nothing that
//! workers read.

mod membership;
mod resolver;
mod twin;

use std::net::IpAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::Sender;
use futures_util::{StreamExt, TryStreamExt};
use hashbrown::HashSet;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup, RouteMessageBuilder};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use self::membership::Memberships;
use self::resolver::{Hop, Neighbour, Resolver, Route};
pub use self::twin::{Twin, TwinError};
use super::peers::NextHopUpdate;
use crate::wire::MacAddr;

/// How often changed routes are looked up and silent neighbours asked: well within the second in which a
/// change must be followed.
const ROUND: Duration = Duration::from_millis(200);
/// Rounds after which everything is read again, should anything have been missed unnoticed.
const FULL_ROUND: u64 = 150;

/// What the control core has to say.
enum Request {
    /// Follow the next hops of peers, and tell those that are told already again.
    Follow(Vec<IpAddr>),
    /// Do not follow them any more.
    Forget(Vec<IpAddr>),
    /// Be a member of these groups, and of no others.
    Groups(HashSet<IpAddr>),
    /// Packets to it are being dropped for lack of a next hop.
    Want(IpAddr),
    /// An underlay port's link is lost, or back.
    Link(u16, bool),
}

/// The watcher. Dropping it ends its thread.
pub struct Netlink {
    requests: UnboundedSender<Request>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Netlink {
    /// Sets up the twins.
    ///
    /// # Errors
    /// A twin that cannot be set up, or no netlink socket.
    pub fn start(twins: Vec<Twin>, updates: Sender<NextHopUpdate>) -> Result<Self, TwinError> {
        let (sender, mut requests) = mpsc::unbounded_channel();
        let (stop, mut stopped) = oneshot::channel();
        let (report, ready) = crossbeam::channel::bounded(1);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(TwinError::Netlink(error)))),
            };
            runtime.block_on(async {
                let watcher = match Watcher::new(&twins, updates).await {
                    Ok(watcher) => watcher,
                    Err(error) => return drop(report.send(Err(error))),
                };
                let _ = report.send(Ok(()));
                tokio::select! {
                    () = watcher.watch(&mut requests) => {}
                    _ = &mut stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("ferry-netlink".to_owned()).spawn(work);
        let thread = thread.map_err(TwinError::Netlink)?;
        match ready.recv() {
            Ok(Ok(())) => Ok(Self { requests: sender, stop: Some(stop), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(TwinError::Netlink(std::io::Error::other("its thread ended"))),
        }
    }

    /// Packets to this peer are being dropped for lack of a next hop.
    pub fn want(&self, peer: IpAddr) {
        self.request(Request::Want(peer));
    }

    /// Follows more peers, and tells their next hops also if those were told before.
    pub fn follow(&self, peers: Vec<IpAddr>) {
        self.request(Request::Follow(peers));
    }

    /// Follows peers no longer.
    pub fn forget(&self, peers: Vec<IpAddr>) {
        self.request(Request::Forget(peers));
    }

    /// Joins these groups by all twins, and leaves all others.
    pub fn set_groups(&self, groups: HashSet<IpAddr>) {
        self.request(Request::Groups(groups));
    }

    /// An underlay port's link is lost, or back.
    pub fn set_link(&self, port: u16, up: bool) {
        self.request(Request::Link(port, up));
    }

    fn request(&self, request: Request) {
        // The watcher is gone only when everything ends.
        let _ = self.requests.send(request);
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Messages = futures_util::stream::BoxStream<'static, NetlinkPayload<RouteNetlinkMessage>>;

struct Watcher {
    handle: Handle,
    messages: Messages,
    resolver: Resolver,
    memberships: Memberships,
    updates: Sender<NextHopUpdate>,
    routes_changed: bool,
    /// The kernel had to say so much at once that some of it is lost.
    missed: bool,
}

impl Watcher {
    async fn new(twins: &[Twin], updates: Sender<NextHopUpdate>) -> Result<Self, TwinError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Nexthop,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(TwinError::Netlink)?;
        tokio::spawn(connection);
        // A socket of their own for questions: where many messages come, there may be no room for an answer.
        let (connection, handle, _) = rtnetlink::new_connection().map_err(TwinError::Netlink)?;
        tokio::spawn(connection);
        let mut interfaces = Vec::new();
        for twin in twins {
            interfaces.push((twin::set_up(&handle, twin).await?, twin.port));
        }
        let memberships = Memberships::new(interfaces.clone());
        let resolver = Resolver::new(interfaces);
        let messages = messages.map(|(message, _)| message.payload).boxed();
        let (routes_changed, missed) = (true, false);
        Ok(Self { handle, messages, resolver, memberships, updates, routes_changed, missed })
    }

    /// Follows the kernel for ever.
    async fn watch(mut self, requests: &mut mpsc::UnboundedReceiver<Request>) {
        let mut clock = tokio::time::interval(ROUND);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0;
        loop {
            tokio::select! {
                message = self.messages.next() => match message {
                    Some(message) => self.notice(message),
                    None => return tracing::error!("the kernel closed the netlink socket: next hops are no longer followed"),
                },
                Some(request) = requests.recv() => match request {
                    Request::Want(peer) => self.resolver.want(peer),
                    Request::Link(port, up) => self.follow_link(port, up).await,
                    Request::Groups(groups) => self.memberships.set(&groups),
                    Request::Forget(peers) => {
                        peers.into_iter().for_each(|peer| self.resolver.forget(peer));
                    }
                    Request::Follow(peers) => {
                        for peer in peers {
                            self.resolver.follow(peer);
                            self.read_route(peer).await;
                        }
                        self.ask_neighbours().await;
                    }
                },
                _ = clock.tick() => {
                    let is_full = round % FULL_ROUND == 0;
                    round += 1;
                    if is_full {
                        self.memberships.join();
                    }
                    if std::mem::take(&mut self.missed) || is_full {
                        self.read_neighbours().await;
                        self.routes_changed = true;
                    }
                    if std::mem::take(&mut self.routes_changed) {
                        self.read_routes().await;
                    }
                    self.ask_neighbours().await;
                }
            }
            for update in self.resolver.changes() {
                // The control core is gone only when everything ends.
                let _ = self.updates.send(update);
            }
        }
    }

    /// Has the twin's link be the underlay port's, for the kernel's routes and for routing daemons. Behind a link that is back
    /// there may be a switch that has not heard of our groups.
    async fn follow_link(&mut self, port: u16, up: bool) {
        self.resolver.set_link(port, up);
        self.routes_changed = true;
        if up {
            self.memberships.renew(port);
        }
        let Some(twin) = self.resolver.twin(port) else { return };
        let link = LinkUnspec::new_with_index(twin).carrier(up).build();
        if let Err(error) = self.handle.link().set(link).execute().await {
            tracing::debug!("the kernel does not take a twin's link: {error}");
        }
        // The kernel's routes follow a link that is lost up to a second later, but at once when somebody asks for it (Linux 6.8).
        let asked = self.handle.link().get().match_index(twin).execute().try_next().await;
        if let Err(error) = asked {
            tracing::debug!("a twin's link cannot be read: {error}");
        }
    }

    fn notice(&mut self, message: NetlinkPayload<RouteNetlinkMessage>) {
        use RouteNetlinkMessage as Message;
        match message {
            NetlinkPayload::InnerMessage(Message::NewNeighbour(neighbour)) => {
                self.note_neighbour(&neighbour, true);
            }
            NetlinkPayload::InnerMessage(Message::DelNeighbour(neighbour)) => {
                self.note_neighbour(&neighbour, false);
            }
            NetlinkPayload::InnerMessage(_) => self.routes_changed = true,
            NetlinkPayload::Overrun(_) => self.missed = true,
            _ => {}
        }
    }

    fn note_neighbour(&mut self, message: &NeighbourMessage, exists: bool) {
        let mut address = None;
        let mut mac = None;
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                    address = Some(IpAddr::V4(*ip));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                    address = Some(IpAddr::V6(*ip));
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr);
                }
                _ => {}
            }
        }
        let Some(address) = address else { return };
        let usable = matches!(
            message.header.state,
            NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
                | NeighbourState::Noarp
        );
        let neighbour = Neighbour { interface: message.header.ifindex, address };
        let fixed =
            matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp);
        self.resolver.set_permanent(neighbour, fixed && exists);
        self.resolver.set_neighbour(neighbour, mac.filter(|_| usable && exists));
    }

    async fn read_neighbours(&mut self) {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let request = self.handle.neighbours().get().set_address_family(family);
            match request.execute().try_collect::<Vec<_>>().await {
                Ok(messages) => found.extend(messages),
                Err(error) => return tracing::warn!("neighbours cannot be read: {error}"),
            }
        }
        self.resolver.forget_neighbours();
        found.iter().for_each(|message| self.note_neighbour(message, true));
    }

    async fn read_routes(&mut self) {
        for peer in self.resolver.peers() {
            self.read_route(peer).await;
        }
    }

    async fn read_route(&mut self, peer: IpAddr) {
        let prefix = if peer.is_ipv4() { 32 } else { 128 };
        let question = RouteMessageBuilder::<IpAddr>::new().destination_prefix(peer, prefix);
        let Ok(mut question) = question.map(RouteMessageBuilder::build) else { return };
        // All next hops, not the one that the kernel would take for this packet.
        question.header.flags |= RouteFlags::FibMatch;
        let answer = self.handle.route().get(question).execute().try_next().await;
        let route = match answer {
            Ok(Some(message)) => route(&message, peer),
            _ => Route::new(),
        };
        self.resolver.set_route(peer, route);
    }

    /// Has the kernel ask for neighbours (`ip neigh … use`): those that are missing, and now and then the
    /// others, so that one that moved silently is noticed.
    async fn ask_neighbours(&mut self) {
        for Neighbour { interface, address } in self.resolver.due() {
            let request = self
                .handle
                .neighbours()
                .add(interface, address)
                .state(NeighbourState::None)
                .flags(NeighbourFlags::Use)
                .replace();
            if let Err(error) = request.execute().await {
                tracing::debug!("the kernel does not look for {address}: {error}");
            }
        }
    }
}

fn route(message: &RouteMessage, peer: IpAddr) -> Route {
    if message.header.kind != RouteType::Unicast {
        return Route::new();
    }
    let several = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    match several {
        Some(hops) => {
            let alive = hops.iter().filter(|hop| !hop.flags.intersects(dead));
            let hop = |hop: &RouteNextHop| Hop {
                at: Neighbour {
                    interface: hop.interface_index,
                    address: gateway(&hop.attributes).unwrap_or(peer),
                },
                weight: u16::from(hop.hops) + 1,
            };
            alive.map(hop).collect()
        }
        None => {
            let interface = message.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
            let address = gateway(&message.attributes).unwrap_or(peer);
            let hop = |interface| Hop { at: Neighbour { interface, address }, weight: 1 };
            interface.map(hop).into_iter().collect()
        }
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}
