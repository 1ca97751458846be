//! Membership in the underlay's multicast groups: the kernel joins by the twins, and its IGMP and MLD tell routers
//! and switches, for as long as the sockets are open.

use std::io;
use std::net::IpAddr;

use hashbrown::HashSet;
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

/// All memberships. Dropping them leaves all groups.
pub struct Memberships {
    /// As interface index and the underlay port's port index.
    twins: Vec<(u32, u16)>,
    list: Vec<Membership>,
    sockets: Vec<(Domain, Socket)>,
}

struct Membership {
    group: IpAddr,
    interface: u32,
    port: u16,
    /// Which socket holds it; `None` if the kernel has refused so far.
    socket: Option<usize>,
    told: bool,
}

impl Memberships {
    /// Of no group yet, at twins given as interface index and underlay port.
    pub fn new(twins: Vec<(u32, u16)>) -> Self {
        Self { twins, list: Vec::new(), sockets: Vec::new() }
    }

    /// Joins these groups at each twin, and leaves all others.
    pub fn set(&mut self, groups: &HashSet<IpAddr>) {
        for membership in self.list.extract_if(.., |of| !groups.contains(&of.group)) {
            if let Some((_, socket)) = membership.socket.and_then(|index| self.sockets.get(index)) {
                let _ = leave(socket, &membership);
            }
        }
        let held: HashSet<IpAddr> = self.list.iter().map(|membership| membership.group).collect();
        for &group in groups.difference(&held) {
            self.list.extend(self.twins.iter().map(|&(interface, port)| Membership {
                group,
                interface,
                port,
                socket: None,
                told: false,
            }));
        }
        self.join();
    }

    /// Joins what is not joined.
    pub fn join(&mut self) {
        for membership in self.list.iter_mut().filter(|membership| membership.socket.is_none()) {
            match join(&mut self.sockets, membership) {
                Ok(socket) => membership.socket = Some(socket),
                Err(error) if !membership.told => {
                    membership.told = true;
                    let Membership { group, interface, .. } = membership;
                    tracing::warn!(
                        "group {group} cannot be joined by interface {interface}: {error}; it is tried again"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// An underlay port's link is back, perhaps to another switch: membership is told anew, rather than at the next
    /// query.
    pub fn renew(&mut self, port: u16) {
        for membership in self.list.iter_mut().filter(|of| of.port == port) {
            let Some((_, socket)) = membership.socket.and_then(|index| self.sockets.get(index))
            else {
                continue;
            };
            // Whether it works or not, the membership is not held, and is joined again.
            let _ = leave(socket, membership);
            membership.socket = None;
        }
        self.join();
    }
}

/// A socket has room for some groups only (`net.ipv4.igmp_max_memberships`, `net.core.optmem_max`).
fn join(sockets: &mut Vec<(Domain, Socket)>, membership: &Membership) -> io::Result<usize> {
    let domain = Domain::for_address((membership.group, 0).into());
    for (index, (of, socket)) in sockets.iter().enumerate().rev() {
        if *of != domain {
            continue;
        }
        match enter(socket, membership) {
            Ok(()) => return Ok(index),
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    enter(&socket, membership)?;
    sockets.push((domain, socket));
    Ok(sockets.len() - 1)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

fn enter(socket: &Socket, membership: &Membership) -> io::Result<()> {
    let interface = membership.interface;
    match &membership.group {
        IpAddr::V4(group) => {
            socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(interface))
        }
        IpAddr::V6(group) => socket.join_multicast_v6(group, interface),
    }
}

fn leave(socket: &Socket, membership: &Membership) -> io::Result<()> {
    let interface = membership.interface;
    match &membership.group {
        IpAddr::V4(group) => {
            socket.leave_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(interface))
        }
        IpAddr::V6(group) => socket.leave_multicast_v6(group, interface),
    }
}
