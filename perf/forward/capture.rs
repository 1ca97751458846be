//! The captures that feed every contender, as classic pcap files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ferry::tunnel::{AnyTemplate, Encap, Marking, OuterHeader, Sequence, UdpChecksum, Variable};
use ferry::wire::checksum::{self, Sum};
use ferry::wire::ipv4::{TCP, UDP};
use ferry::wire::multicast::group_mac;

use super::case::{Case, FLOWS, Size, Tunnel, Way};
use super::config::{VTEP, VTEP6, speaker, vni};

/// Where the packets of a tunnel are sent to: a group MAC for a contender whose `net_pcap` port chooses its
/// own unicast address only when it starts.
pub const GROUP: [u8; 6] = [0x01, 0, 0x5e, 0, 0, 1];
/// The group of tenants' multicast.
pub const GROUP_ADDRESS: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Sizes in twelve frames of IMIX, mixed.
const IMIX: [usize; 12] = [64, 594, 64, 64, 594, 64, 1514, 64, 594, 64, 64, 594];

/// Writes the capture of a case, with tunnel packets to an outer MAC.
///
/// # Errors
/// The file cannot be written.
pub fn write(case: Case, outer: [u8; 6], path: &Path) -> io::Result<()> {
    write_frames(path, (0..case.frames()).map(|number| frame(case, outer, number)))
}

/// Writes a capture of any frames.
///
/// # Errors
/// The file cannot be written.
pub fn write_frames(path: &Path, frames: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    // The pcap file header: magic, version 2.4, zone, accuracy, longest packet, Ethernet.
    for word in [0xa1b2_c3d4u32, 2 | 4 << 16, 0, 0, 65535, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for frame in frames {
        let length = frame.len() as u32;
        for word in [0, 0, length, length] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}

/// A 64-byte frame between the stations of two numbers, of one of [`FLOWS`].
pub fn station_frame(to: usize, from: usize, vlan: Option<u16>, flow: usize) -> Vec<u8> {
    inner_frame(destination(to), source(from), vlan, from, flow % FLOWS, 64)
}

/// One frame after the other belongs to the next network.
fn frame(case: Case, outer: [u8; 6], number: usize) -> Vec<u8> {
    let (mac, flow) = (number % case.all_macs(), number % FLOWS);
    let network = mac % case.networks;
    let length = match case.size {
        Size::Bytes(bytes) => bytes,
        Size::Imix => IMIX[number % IMIX.len()],
    };
    let to = if case.way == Way::Replication { [0xff; 6] } else { destination(mac) };
    let inner = |vlan| inner_frame(to, source(mac), vlan, mac, flow, length);
    match case.way {
        // In an order that no cache foresees.
        Way::Suppression => arp_request(mac, number * 7_919 % case.macs),
        Way::Group => multicast_frame(source(mac), flow),
        Way::Decapsulation => {
            let peer = speaker(case.tunnel);
            outer_frame(&inner(None), outer, (case.tunnel, peer), vni(network), flow)
        }
        _ => inner(case.trunk.then_some(network as u16 + 1)),
    }
}

/// The destination MAC with a number: in the configuration as static. Those of a network are its own number and
/// every so many'th after it.
pub fn destination(number: usize) -> [u8; 6] {
    mac(0x02, number)
}

fn source(number: usize) -> [u8; 6] {
    mac(0x04, number)
}

fn mac(kind: u8, number: usize) -> [u8; 6] {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    [0x02, kind, 0, a, b, c]
}

/// A tenant frame, UDP over IPv4, of a length without its VLAN tag.
fn inner_frame(
    to: [u8; 6],
    from: [u8; 6],
    vlan: Option<u16>,
    station: usize,
    flow: usize,
    length: usize,
) -> Vec<u8> {
    let mut frame = [to, from].concat();
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    let whole = frame.len() - 14 + length;
    let payload = length - 14 - 20 - 8;
    // As each station has an IP address of its own: OVS's caches, and NICs, tell flows by these.
    let [from, to] = pair(station).map(|(_, ip)| ip.octets());
    frame.extend(ipv4(UDP, 8 + payload, from, to));
    frame.extend(udp(1024 + flow as u16, 80, payload));
    frame.resize(whole, 0);
    frame
}

/// MACs and addresses of two stations, the first of which sends to the second.
pub fn pair(station: usize) -> [([u8; 6], Ipv4Addr); 2] {
    let [_, a, b, c] = (station as u32 + 1).to_be_bytes();
    [(source(station), [10, a, b, c].into()), (destination(station), [11, a, b, c].into())]
}

/// A broadcast of 64 bytes in which the first of a pair asks for the second of another.
pub fn arp_request(asking: usize, asked: usize) -> Vec<u8> {
    let ([(mac, ip), _], [_, (_, asked)]) = (pair(asking), pair(asked));
    let mut frame = [[0xff; 6], mac].concat();
    // ARP for IPv4 over Ethernet, request (RFC 826).
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(ip.octets());
    frame.extend([0; 6]);
    frame.extend(asked.octets());
    frame.resize(64, 0);
    frame
}

/// A frame of 64 bytes to [`GROUP_ADDRESS`].
fn multicast_frame(from: [u8; 6], flow: usize) -> Vec<u8> {
    let mut frame = [group_mac(GROUP_ADDRESS.into()), from].concat();
    let payload = 64 - 14 - 20 - 8;
    frame.extend([0x08, 0x00]);
    frame.extend(ipv4(UDP, 8 + payload, [10, 0, 0, 1], GROUP_ADDRESS.octets()));
    frame.extend(udp(1024 + flow as u16, 80, payload));
    frame.resize(64, 0);
    frame
}

/// The tunnel packet of an inner frame, from a peer that speaks so.
pub fn outer_frame(
    inner: &[u8],
    to: [u8; 6],
    (tunnel, peer): (Tunnel, IpAddr),
    vni: u32,
    flow: usize,
) -> Vec<u8> {
    let encap = match tunnel {
        Tunnel::Vxlan => Encap::vxlan(4789),
        Tunnel::VxlanOverIpv6 { checksum: true } => Encap::vxlan(4789),
        Tunnel::VxlanOverIpv6 { checksum: false } => {
            Encap::Vxlan { udp_port: 4789, checksum: UdpChecksum::Off, group_policy: false }
        }
        Tunnel::Nvgre => Encap::Nvgre { flow_id: true },
        Tunnel::Gre => Encap::Gre { key: true, checksum: false, sequence: Sequence::Off },
    };
    let template = AnyTemplate::new(
        &OuterHeader {
            source_mac: [2, 0, 0, 0, 2, 2],
            next_hop_mac: to,
            source: peer,
            destination: if peer.is_ipv4() { VTEP.into() } else { VTEP6.into() },
            marking: Marking::default(),
            encap,
            id: None,
            offloads: false,
        },
        None,
    );
    let mut frame = vec![0; template.length()];
    let entropy_port = 49152 + (flow % FLOWS) as u16;
    let packet =
        Variable { inner: inner.len() as u16, id: vni, entropy_port, ..Variable::default() };
    template.write(&mut frame, packet, Sum::of(inner));
    frame.extend(inner);
    frame
}

/// Bytes before the payload of [`tcp_frame`].
pub const BEFORE_TCP_PAYLOAD: usize = 14 + 20 + 32;

/// A TCP packet between the first pair of stations, of one of [`FLOWS`], with a timestamp option (RFC 7323) and a right
/// checksum.
pub fn tcp_frame(flow: usize, payload: usize) -> Vec<u8> {
    let [(from, source), (to, destination)] = pair(0);
    let mut frame = [to, from].concat();
    frame.extend([0x08, 0x00]);
    frame.extend(ipv4(TCP, 32 + payload, source.octets(), destination.octets()));
    frame.extend((1024 + flow as u16).to_be_bytes());
    // Port 80, sequence and acknowledgment numbers, eight words of header, ACK, window.
    frame.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x80, 0x10, 0x20, 0, 0, 0, 0, 0]);
    frame.extend([1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9]);
    frame.extend((0..payload).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]));
    let sum = !tcp_sum(&frame);
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The sum of an untagged TCP packet over IPv4 without options and its pseudo-header: all ones where its checksum is right.
pub fn tcp_sum(frame: &[u8]) -> u16 {
    let length = (frame.len() - 34) as u16;
    let pseudo = Sum::of(&frame[26..34]) + u16::from(TCP) + length;
    (pseudo + Sum::of(&frame[34..])).fold()
}

fn ipv4(protocol: u8, payload: usize, source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    let sum = checksum::compute(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// A UDP header without a checksum, which IPv4 allows.
fn udp(source: u16, destination: u16, payload: usize) -> [u8; 8] {
    let mut header = [0; 8];
    header[0..2].copy_from_slice(&source.to_be_bytes());
    header[2..4].copy_from_slice(&destination.to_be_bytes());
    header[4..6].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
    header
}
