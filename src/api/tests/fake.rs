//! A stand-in for the control core, and what it says.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::trace::{live, unicast};
use crate::api::model::{
    DropCount, Dscp, Encap, Group, GroupFilter, GroupProtocol, GroupSource, Link, Mac, MacKind,
    MacMove, MemberKind, Mempool, Mirror, Neighbour, NeighbourKind, Network, NetworkPort, NextHop,
    Oversize, PathMtu, Peer, PeerState, Place, Port, Role, Suppression, Totals, Trace, UdpChecksum,
    Version, Volume, Worker,
};
use crate::api::{
    self, ApplyError, CaptureRefusal, Cursor, Direction, Flush, Flushed, Handle, Live, LiveRefusal,
    MacFilter, MacPage, NeighbourFilter, NeighbourPage, NetworkReading, Query, Reading, Running,
    Server, SocketError, Table, Tables, UnknownPort,
};
use crate::config::{Api, Config, Metrics, Socket};

/// What the stand-in says.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) ports: Vec<Port>,
    pub(crate) networks: Vec<Network>,
    /// In the order of the walk: by ascending VNI.
    pub(crate) macs: Vec<Mac>,
    pub(crate) neighbours: Vec<Neighbour>,
    pub(crate) groups: Vec<Group>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) drops: Vec<DropCount>,
}

/// A server before a stand-in, in a folder of its own.
pub(crate) struct Fake {
    folder: TempDir,
    server: Option<Server>,
}

impl Fake {
    pub(crate) fn new(world: World) -> Self {
        let mut fake = Self { folder: tempfile::tempdir().unwrap(), server: None };
        fake.start(world);
        fake
    }

    /// Starts it again after a stop.
    pub(crate) fn start(&mut self, world: World) {
        let (handle, queries) = api::channel(version());
        thread::spawn(move || {
            let mut running = Running { config: config(), version: 0, lost: Vec::new() };
            queries.into_iter().for_each(|query| world.answer(query, &mut running));
        });
        self.server = Some(serve(&self.socket(), handle).unwrap());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("ferry.sock")
    }

    pub(crate) fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }
}

/// To a collector.
pub(crate) fn mirror() -> Mirror {
    Mirror {
        name: "far".to_owned(),
        of: vec!["vm1".to_owned(), "vm2".to_owned()],
        direction: Direction::In,
        port: None,
        peer: Some(ip("192.0.2.9")),
        id: Some(4000),
        packets: 12_345,
        bytes: 1_000_000,
        lost: 6,
    }
}

/// A server at one socket.
pub(crate) fn serve(path: &Path, handle: Handle) -> Result<Server, SocketError> {
    let socket = Socket { path: path.to_owned(), group: None };
    let api = Api {
        socket,
        read_only: None,
        listen: None,
        metrics: Metrics { networks: true, peers: true },
    };
    api::serve(&api, PathBuf::new(), handle)
}

impl World {
    /// With three static MACs network 101 has no place for two, and with any network 102 gets no answer.
    fn answer(&self, query: Query, running: &mut Running) {
        match query {
            Query::Ports(reply) => reply.send(self.ports.clone()),
            Query::Networks(reply) => reply.send(self.networks.clone()),
            Query::Macs(filter, reply) => reply.send(self.page(&filter)),
            Query::Neighbours(filter, reply) => reply.send(self.neighbour_page(&filter)),
            Query::Groups(reply) => reply.send(self.groups.clone()),
            Query::Config(reply) => reply.send(running.clone()),
            Query::Apply { config, reply } => {
                let macs = |vni| config.network(vni).map_or(0, |network| network.macs.len());
                match (macs(101), macs(102)) {
                    (_, 1..) => {}
                    (3, _) => reply.send(Err(ApplyError::NoPlace(2))),
                    _ => {
                        let version = running.version + 1;
                        *running = Running { version, config, lost: Vec::new() };
                        reply.send(Ok(running.version));
                    }
                }
            }
            Query::Flush(flush, reply) => {
                let Flush { vni, port, peer, dry_run: _ } = flush;
                let kind = Some(MacKind::Learned);
                let filter = MacFilter { vni, port, peer, kind, ..MacFilter::default() };
                let macs = self.macs.iter().filter(|mac| filter.admits(mac)).count() as u64;
                reply.send(Flushed { macs });
            }
            Query::Peers(reply) => reply.send(self.peers.clone()),
            Query::Mirrors(reply) => reply.send(vec![mirror()]),
            Query::Workers(reply) => reply.send(self.workers.clone()),
            Query::Drops { all, reply } => {
                let happened = self.drops.iter().filter(|drop| all || drop.packets > 0);
                reply.send(happened.cloned().collect());
            }
            Query::Totals(reply) => reply.send(totals()),
            Query::Capture { port, reply, .. } => reply.send(Err(CaptureRefusal::Busy(port))),
            Query::Live { port: Some(_), reply, .. } => reply.send(Err(LiveRefusal::Busy)),
            Query::Live { reply, .. } => {
                let (sender, messages) = mpsc::channel(2);
                let told = [Live::Trace(Box::new(live())), Live::Lost { samples: 3 }];
                told.into_iter().for_each(|message| sender.try_send(message).unwrap());
                reply.send(Ok(messages));
            }
            Query::Trace { port, frame, reply } => {
                reply.send(match self.ports.iter().find(|of| of.name == port) {
                    Some(of) => Ok(Trace { port, role: of.role, length: frame.len(), ..unicast() }),
                    None => {
                        let ports = self.ports.iter().map(|of| of.name.clone()).collect();
                        Err(UnknownPort { port, ports }.into())
                    }
                });
            }
            Query::Reading { of, reply } => reply.send(self.reading(of)),
        }
    }

    fn reading(&self, of: Metrics) -> Reading {
        let macs = Table::new(2_000, 1, 8_192);
        let tables = Tables { macs, mac_moves: 4, macs_refused: 3, ..Tables::default() };
        let mut all = tables;
        all.add(&Tables { macs: Table::new(0, 2, 8_192), ..Tables::default() });
        let Network { vni, name, from_ports, from_peers, .. } = self.networks[0].clone();
        let [from_ports, from_peers] = [from_ports, from_peers].map(Option::unwrap_or_default);
        let network = NetworkReading { vni, name, tables, from_ports, from_peers };
        Reading {
            ports: self.ports.clone(),
            drops: self.drops[..1].to_vec(),
            workers: self.workers.clone(),
            totals: totals(),
            peers: [("resolved", 1), ("unresolved", 0), ("no_route", 1)],
            networks: 2,
            tables: all,
            by_network: if of.networks { vec![network] } else { Vec::new() },
            by_peer: if of.peers { self.peers.clone() } else { Vec::new() },
            mirrors: vec![mirror()],
        }
    }

    /// One at a time.
    fn neighbour_page(&self, filter: &NeighbourFilter) -> NeighbourPage {
        let start = filter.after.map_or(0, |after| after.position as usize);
        let found = self.neighbours.get(start).filter(|of| filter.admits(of));
        let next = self.neighbours.get(start + 1);
        NeighbourPage {
            neighbours: found.cloned().into_iter().collect(),
            next: next.map(|of| Cursor { vni: of.vni, position: start as u64 + 1 }),
        }
    }

    /// Looks at no more MACs than fit a page, so that pages are short where few match.
    fn page(&self, filter: &MacFilter) -> MacPage {
        let start = filter.after.map_or(0, |after| after.position as usize);
        let end = (start + filter.limit()).min(self.macs.len());
        MacPage {
            macs: self.macs[start..end].iter().filter(|mac| filter.admits(mac)).cloned().collect(),
            next: self.macs.get(end).map(|mac| Cursor { vni: mac.vni, position: end as u64 }),
        }
    }
}

/// With networks 101 and 102.
pub(crate) fn config() -> Arc<Config> {
    let text = include_str!("../../config/tests/base.yaml");
    Arc::new(Config::parse("base.yaml", text).unwrap())
}

pub(crate) fn version() -> Version {
    Version { ferry: "0.1.0".to_owned(), dpdk: "22.11.11".to_owned() }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A MAC with a number, behind port `vm1` if that is even, else behind a peer.
pub(crate) fn mac(vni: u32, number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    let even = number.is_multiple_of(2);
    Mac {
        vni,
        network: format!("tenant-{vni}"),
        mac: format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
        kind: if number == 0 { MacKind::Static } else { MacKind::Learned },
        place: Place {
            port: even.then(|| "vm1".to_owned()),
            vlan: (number == 2).then_some(10),
            inner_vlan: None,
            peer: (!even).then(|| ip("192.0.2.2")),
        },
        frozen: number == 2,
        age_seconds: (number > 0).then_some(u64::from(number) * 61),
    }
}

pub(crate) fn totals() -> Totals {
    Totals {
        rx: 1_234_567,
        copies: 13,
        tx: 1_234_500,
        drops: 70,
        merged: 3,
        held: 7,
        events_lost: 0,
        peers_refused: 3,
        uptime_seconds: 90_061,
        mempools: vec![Mempool {
            name: "ferry-0".to_owned(),
            socket: 0,
            size: 16_383,
            available: 15_000,
        }],
    }
}

/// A little of everything.
pub(crate) fn world() -> World {
    let port = |name: &str, role, device: &str| Port {
        name: name.to_owned(),
        role,
        device: device.to_owned(),
        driver: device.split(',').next().unwrap_or_default().to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        link: Link::Up,
        speed_mbps: Some(10_000),
        mtu: 1_500,
        rx_packets: 1_234_567,
        rx_bytes: 1_000,
        rx_missed: 17,
        rx_errors: 0,
        rx_no_buffer: 0,
        tx_packets: 12,
        tx_bytes: 999,
        tx_errors: 0,
        drops: 0,
        storm_control: None,
        filter: None,
    };
    let drop = |packets| DropCount {
        port: "up0".to_owned(),
        reason: "unknown_vni".to_owned(),
        packets,
        meaning: "No network has this VNI.".to_owned(),
        remedy: "add the network here".to_owned(),
    };
    World {
        ports: vec![
            Port {
                link: Link::Down,
                speed_mbps: None,
                ..port("vm1", Role::Access, "net_vhost1,iface=/run/ferry/vm1.sock")
            },
            Port {
                driver: "net_ice".to_owned(),
                rx_errors: 3,
                rx_no_buffer: 1_002,
                tx_errors: 1,
                ..port("up0", Role::Underlay, "0000:3b:00.1")
            },
            port("ferry-up0", Role::Twin, "net_tap0"),
        ],
        networks: vec![Network {
            vni: 101,
            name: "tenant-101".to_owned(),
            encap: Encap::Vxlan,
            group_policy: true,
            ports: vec![
                NetworkPort {
                    port: "vm1".to_owned(),
                    vlan: None,
                    inner_vlan: None,
                    group: Some(100),
                    accept_groups: Some(vec![0, 100]),
                },
                NetworkPort {
                    port: "trunk0".to_owned(),
                    vlan: Some(10),
                    inner_vlan: Some(20),
                    group: None,
                    accept_groups: None,
                },
            ],
            peers: (2..8).map(|host| ip(&format!("192.0.2.{host}"))).collect(),
            learns_peers: true,
            group: None,
            macs_learned: 2,
            macs_static: 1,
            mac_limit: 8_192,
            macs_refused: 3,
            mac_moves: 1,
            mac_move: MacMove::Allow,
            macs_frozen: 0,
            learning: true,
            ageing_seconds: Some(300),
            arp_suppression: Some(Suppression {
                neighbours_learned: 2,
                neighbours_static: 1,
                neighbour_limit: 8_192,
                neighbours_refused: 0,
                answered: 1_234,
                flooded: 5,
            }),
            storm_control: None,
            snooping: None,
            mtu: Some(1_450),
            oversize: Oversize { answered: 12, unanswered: 3, fragmented: 1 },
            from_ports: Some(Volume { packets: 1_000, bytes: 64_000 }),
            from_peers: Some(Volume { packets: 2_000, bytes: 3_000_000 }),
        }],
        macs: (0..3).map(|number| mac(101, number)).collect(),
        neighbours: vec![
            Neighbour {
                vni: 101,
                network: "tenant-101".to_owned(),
                ip: ip("10.0.0.1"),
                mac: "02:00:00:00:00:01".to_owned(),
                kind: NeighbourKind::Static,
                router: false,
                age_seconds: None,
            },
            Neighbour {
                vni: 101,
                network: "tenant-101".to_owned(),
                ip: ip("fe80::2"),
                mac: "02:00:00:00:00:02".to_owned(),
                kind: NeighbourKind::Nd,
                router: true,
                age_seconds: Some(61),
            },
        ],
        groups: vec![
            Group { place: Place { vlan: Some(10), ..behind("trunk0") }, ..member() },
            Group { place: Place { peer: Some(ip("192.0.2.2")), ..Place::default() }, ..member() },
            Group {
                kind: MemberKind::Querier,
                group: None,
                place: behind("vm1"),
                version: Some(GroupProtocol::Igmpv3),
                address: Some(ip("10.0.0.254")),
                expires_seconds: Some(250),
                ..member()
            },
            Group {
                kind: MemberKind::Learned,
                place: behind("vm1"),
                version: Some(GroupProtocol::Igmpv3),
                filter: Some(GroupFilter::Exclude),
                sources: vec![source("10.0.0.7", true), source("10.0.0.9", false)],
                expires_seconds: Some(260),
                ..member()
            },
        ],
        peers: vec![
            Peer {
                address: ip("192.0.2.2"),
                index: 4,
                encap: Encap::Vxlan,
                id: None,
                group_policy: true,
                udp_checksum: Some(UdpChecksum::Device),
                dscp: Dscp::Copy,
                ttl: Some(64),
                state: PeerState::Resolved,
                learned: true,
                age_seconds: Some(7),
                port: Some("up0".to_owned()),
                next_hop: Some(ip("192.0.2.254")),
                mac: Some("02:00:00:00:00:fe".to_owned()),
                next_hops: vec![
                    NextHop {
                        port: "up0".to_owned(),
                        address: ip("192.0.2.254"),
                        mac: "02:00:00:00:00:fe".to_owned(),
                        weight: 1,
                    },
                    NextHop {
                        port: "up1".to_owned(),
                        address: ip("192.0.2.253"),
                        mac: "02:00:00:00:00:fd".to_owned(),
                        weight: 3,
                    },
                ],
                networks: vec![101, 102],
                mtu: Some(1_350),
                path_mtu: Some(PathMtu { mtu: 1_400, age_seconds: 61 }),
                sent: Some(Volume { packets: 12, bytes: 1_200 }),
                received: Some(Volume { packets: 34, bytes: 3_400 }),
            },
            Peer {
                address: ip("198.51.100.1"),
                index: 7,
                encap: Encap::Vxlan,
                id: None,
                group_policy: false,
                udp_checksum: None,
                dscp: Dscp::Fixed(46),
                ttl: None,
                state: PeerState::NoRoute,
                learned: false,
                age_seconds: None,
                port: None,
                next_hop: None,
                mac: None,
                next_hops: vec![],
                networks: vec![101],
                mtu: None,
                path_mtu: None,
                sent: None,
                received: None,
            },
        ],
        workers: vec![Worker {
            lcore: 1,
            core: 2,
            socket: 0,
            queues: vec!["vm1:0".to_owned(), "up0:0".to_owned()],
            rx_packets: 1_000,
            tx_packets: 990,
            polls: 5_000_000,
            empty_polls: 4_999_900,
            bursts: 100,
            busy_percent: 12.34,
            busy_seconds: 1.25,
            idle_seconds: 8.5,
        }],
        drops: vec![drop(12_345), drop(0)],
    }
}

/// Sends text to a socket and reads until the other side closes.
pub(crate) fn raw(socket: &Path, text: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn behind(port: &str) -> Place {
    Place { port: Some(port.to_owned()), ..Place::default() }
}

/// Of a group, nowhere yet.
fn member() -> Group {
    Group {
        vni: 101,
        network: "tenant-101".to_owned(),
        group: Some(ip("239.1.1.1")),
        kind: MemberKind::Static,
        place: Place::default(),
        version: None,
        address: None,
        filter: None,
        sources: Vec::new(),
        expires_seconds: None,
    }
}

fn source(address: &str, wanted: bool) -> GroupSource {
    GroupSource { source: ip(address), wanted, expires_seconds: wanted.then_some(2) }
}
