//! What guests leave to their device is done before it leaves: checksums, and segments of what is longer than a packet.

use std::time::Duration;

use crate::support::frames::{
    BROADCAST, PEER1, ethernet, internet_sum, is_vxlan_to, mac, open_vxlan, tagged, udp,
};
use crate::support::tcp::{ACK, CWR, FIN, HEADER, PSH, Segment};
use crate::support::virtio::{
    CSUM, GSO_TCPV4, GSO_TCPV6, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, GUEST_UFO, HOST_TSO4,
    HOST_TSO6, HOST_UFO, Header, NEEDS_CSUM, VirtioNet,
};
use crate::support::{Ferry, Namespace, RawPort, eventually};
use tempfile::TempDir;

/// What a guest may leave to its device, and what it takes.
pub const ALL: u64 = CSUM | HOST_TSO4 | HOST_TSO6 | GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6;
/// Payload bytes of a segment.
pub const SIZE: usize = 1000;

/// Guests on vhost-user ports `vm1` and `vm2`; stations on wires: `vm3` in VLAN 10 of `trunk0`, and the peer's.
/// The last byte of a station's MAC is its number, the peer's is 9.
pub struct World {
    pub ferry: Ferry,
    pub underlay: RawPort,
    trunk: RawPort,
    folder: TempDir,
    /// Of the underlay port.
    pub mac: [u8; 6],
    _host: Namespace,
    _wires: Namespace,
}

impl World {
    pub fn new() -> Self {
        Self::with("", "")
    }

    /// `vm1` and `vm2` are more keys of those ports.
    fn with(vm1: &str, vm2: &str) -> Self {
        Self::with_places(vm1, vm2, "vm1, vm2")
    }

    /// `places` are those of `vm1` and `vm2` in the network.
    fn with_places(vm1: &str, vm2: &str, places: &str) -> Self {
        Self::configured(vm1, vm2, places, |config| config)
    }

    fn configured(vm1: &str, vm2: &str, places: &str, edit: impl Fn(String) -> String) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
        host.veth("eth1", &wires, "under");
        host.veth("eth2", &wires, "trunk");
        let config = format!(
            r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_af_packet0,iface=eth1"}}]
  vtep: {{ipv4: 192.0.2.1, ipv6: "2001:db8::1"}}
  neighbours:
    - {{ip: 192.0.2.2, mac: "02:00:00:00:11:01", port: up0}}
    - {{ip: "2001:db8::2", mac: "02:00:00:00:11:01", port: up0}}
access:
  ports:
    - {{name: vm1, device: "net_vhost1,iface={path}/vm1.sock"{vm1}}}
    - {{name: vm2, device: "net_vhost2,iface={path}/vm2.sock"{vm2}}}
    - {{name: trunk0, device: "net_af_packet3,iface=eth2"}}
networks:
  - vni: 1000
    name: a
    ports: [{places}, {{port: trunk0, vlan: 10}}]
    flood: {{peers: [192.0.2.2]}}
    macs:
      - {{mac: "02:00:00:00:aa:01", port: vm1}}
      - {{mac: "02:00:00:00:aa:02", port: vm2}}
      - {{mac: "02:00:00:00:aa:03", port: trunk0, vlan: 10}}
      - {{mac: "02:00:00:00:aa:09", peer: 192.0.2.2}}
"#
        );
        let ferry = Ferry::start(&host, &edit(config));
        Self {
            ferry,
            underlay: RawPort::open(&wires, "under"),
            trunk: RawPort::open(&wires, "trunk"),
            folder,
            mac: host.mac("eth1"),
            _host: host,
            _wires: wires,
        }
    }

    /// Attaches the driver of `vm1` or `vm2`, which takes of what it is offered what is wanted.
    pub fn guest(&self, name: &str, wanted: u64) -> VirtioNet {
        let guest = VirtioNet::attach(&self.folder.path().join(format!("{name}.sock")), wanted);
        eventually("the guest is attached", || {
            let ports = self.ferry.show("ports");
            let port = ports.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
            port["link"] == "up"
        });
        guest
    }

    /// Inner frames of the next tunnel packets.
    fn tunnelled(&self, count: usize) -> Vec<Vec<u8>> {
        let next = |_| {
            let packet = self.underlay.expect("a tunnel packet", is_vxlan_to(PEER1));
            let (vni, frame) = open_vxlan(&packet);
            assert_eq!(vni, 1000);
            frame
        };
        (0..count).map(next).collect()
    }

    /// The next frame of VLAN 10 on the trunk, without its tag.
    fn trunk_frame(&self) -> Vec<u8> {
        let mut frame =
            self.trunk.expect("a tagged frame", |frame| frame[12..16] == [0x81, 0, 0, 10]);
        frame.drain(12..16);
        frame
    }

    /// Nothing is left over, the counters add up, and every mbuf comes home.
    pub fn finish(self) {
        self.underlay.expect_silence();
        self.trunk.expect_silence();
        self.ferry.expect_balance();
        self.ferry.stop();
    }
}

fn checksum_left(segment: &Segment) -> Header {
    let checksum_start = segment.tcp_at() as u16;
    Header { flags: NEEDS_CSUM, checksum_start, checksum_offset: 16, ..Header::default() }
}

pub fn segments_wanted(segment: &Segment, size: usize) -> Header {
    Header {
        gso_type: if segment.ipv6 { GSO_TCPV6 } else { GSO_TCPV4 },
        gso_size: size as u16,
        header_length: (segment.tcp_at() + HEADER) as u16,
        ..checksum_left(segment)
    }
}

/// From guest 1 to a station.
fn segment(to: u8, ipv6: bool, length: usize) -> Segment {
    Segment::new(mac(to), mac(1), ipv6, length)
}

#[test]
fn a_checksum_that_a_guest_leaves_is_computed() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    for ipv6 in [false, true] {
        for length in [0, 1, 2, 999, 1000] {
            let remote = segment(9, ipv6, length);
            guest.send(checksum_left(&remote), &remote.unfinished());
            assert_eq!(world.tunnelled(1), [remote.frame()]);
            let local = segment(3, ipv6, length);
            guest.send(checksum_left(&local), &local.unfinished());
            world.trunk.expect_frame(&tagged(&local.frame(), 10));
        }
    }
    let addresses = ([10, 0, 0, 1], [10, 0, 0, 9]);
    // The second one's sum is zero, which UDP sends as all ones.
    for payload in [vec![7; 101], vec![0xff; 2]] {
        let mut right = udp(mac(9), mac(1), addresses, (1, 2), &payload);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 9, 0, 17, 0, payload.len() as u8 + 8];
        if payload.len() == 2 {
            right[40..42].fill(0);
            let fill = !internet_sum(&[&pseudo[..], &right[34..42]].concat());
            right[42..44].copy_from_slice(&fill.to_be_bytes());
        }
        let mut unfinished = right.clone();
        unfinished[40..42].copy_from_slice(&internet_sum(&pseudo).to_be_bytes());
        right[40..42].fill(0);
        let sum = match !internet_sum(&[&pseudo[..], &right[34..]].concat()) {
            0 => 0xffff,
            sum => sum,
        };
        right[40..42].copy_from_slice(&sum.to_be_bytes());
        assert!(payload.len() != 2 || sum == 0xffff);
        let header = Header {
            flags: NEEDS_CSUM,
            checksum_start: 34,
            checksum_offset: 6,
            ..Header::default()
        };
        guest.send(header, &unfinished);
        assert_eq!(world.tunnelled(1), [right]);
    }
    world.finish();
}

#[test]
fn a_long_packet_becomes_segments() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    for ipv6 in [false, true] {
        for length in [SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 20_001, 65_000] {
            for to in [9, 3] {
                let packet = Segment { flags: ACK | FIN | PSH | CWR, ..segment(to, ipv6, length) };
                guest.send(segments_wanted(&packet, SIZE), &packet.unfinished());
                let right = packet.cut(SIZE);
                let came: Vec<_> = match to {
                    9 => world.tunnelled(right.len()),
                    _ => right.iter().map(|_| world.trunk_frame()).collect(),
                };
                let came: Vec<_> = came.iter().map(|frame| Segment::open(frame)).collect();
                assert!(came == right, "{length} bytes, IPv6: {ipv6}, to {to}");
            }
        }
    }
    world.finish();
}

#[test]
fn what_is_flooded_is_finished_first() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    let mut other = world.guest("vm2", ALL);
    for length in [100, 5_000] {
        let packet = segment(77, false, length);
        let header = match length {
            100 => checksum_left(&packet),
            _ => segments_wanted(&packet, SIZE),
        };
        guest.send(header, &packet.unfinished());
        for right in packet.cut(SIZE) {
            assert_eq!(world.tunnelled(1), [right.frame()]);
            assert_eq!(world.trunk_frame(), right.frame());
            assert_eq!(
                other.receive(Duration::from_secs(3)),
                Some((Header::default(), right.frame()))
            );
        }
    }
    world.finish();
}

/// What a guest that takes whole packets gets: with the pseudo-header's sum of all of it.
pub fn expect_whole(guest: &mut VirtioNet, packet: &Segment, size: usize) {
    let (header, frame) = guest.receive(Duration::from_secs(3)).expect("a frame");
    assert_eq!(header, segments_wanted(packet, size));
    assert!(frame == packet.unfinished(), "{} bytes, IPv6: {}", packet.payload.len(), packet.ipv6);
}

#[test]
fn guests_on_one_host_leave_it_to_each_other() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    let mut other = world.guest("vm2", ALL);
    for ipv6 in [false, true] {
        let packet = segment(2, ipv6, 500);
        guest.send(checksum_left(&packet), &packet.unfinished());
        let received = other.receive(Duration::from_secs(3)).unwrap();
        assert_eq!(received, (checksum_left(&packet), packet.unfinished()));

        let packet = segment(2, ipv6, 60_000);
        guest.send(segments_wanted(&packet, SIZE), &packet.unfinished());
        expect_whole(&mut other, &packet, SIZE);
    }
    drop(other);
    // The next one takes checksums only, the one after that nothing.
    for features in [GUEST_CSUM, 0] {
        let mut other = world.guest("vm2", features);
        let packet = segment(2, false, 500);
        guest.send(checksum_left(&packet), &packet.unfinished());
        let right = match features {
            0 => (Header::default(), packet.frame()),
            _ => (checksum_left(&packet), packet.unfinished()),
        };
        assert_eq!(other.receive(Duration::from_secs(3)), Some(right));
        let packet = segment(2, false, 10_000);
        guest.send(segments_wanted(&packet, SIZE), &packet.unfinished());
        for right in packet.cut(SIZE) {
            let received = other.receive(Duration::from_secs(3)).unwrap();
            assert_eq!(received, (Header::default(), right.frame()));
        }
    }
    world.finish();
}

#[test]
fn a_place_that_lets_groups_in_gets_what_its_guest_takes() {
    let places = "{port: vm1, group: 5, accept_groups: [6]}, {port: vm2, accept_groups: [5]}";
    let world = World::with_places("", "", places);
    let mut guest = world.guest("vm1", ALL);
    let mut other = world.guest("vm2", ALL);
    let packet = segment(2, false, 500);
    guest.send(checksum_left(&packet), &packet.unfinished());
    let received = other.receive(Duration::from_secs(3)).unwrap();
    assert_eq!(received, (checksum_left(&packet), packet.unfinished()));
    let packet = segment(2, false, 60_000);
    guest.send(segments_wanted(&packet, SIZE), &packet.unfinished());
    let (header, _) = other.receive(Duration::from_secs(3)).unwrap();
    assert_eq!(header, segments_wanted(&packet, SIZE));
    // Back it is of no group.
    let packet = segment(1, false, 500);
    other.send(checksum_left(&packet), &packet.unfinished());
    world.ferry.expect_dropped("vm2", "group_policy", 1);
    drop(other);
    // A guest that takes nothing gets segments.
    let mut other = world.guest("vm2", 0);
    let packet = segment(2, false, 10_000);
    guest.send(segments_wanted(&packet, SIZE), &packet.unfinished());
    for right in packet.cut(SIZE) {
        let received = other.receive(Duration::from_secs(3)).unwrap();
        assert_eq!(received, (Header::default(), right.frame()));
    }
    world.finish();
}

/// Who looks on is a guest that would take packets whole.
#[test]
fn copies_are_of_what_left() {
    let world = World::configured("", "", "vm1", |config| {
        let config = config.replace("      - {mac: \"02:00:00:00:aa:02\", port: vm2}\n", "");
        config + "mirrors: [{name: ids, of: [up0, trunk0], direction: out, to: {port: vm2}}]\n"
    });
    let mut guest = world.guest("vm1", ALL);
    let mut ids = world.guest("vm2", ALL);
    for ipv6 in [false, true] {
        for length in [500, 3 * SIZE] {
            for to in [9, 3] {
                let packet = segment(to, ipv6, length);
                let header = match length {
                    500 => checksum_left(&packet),
                    _ => segments_wanted(&packet, SIZE),
                };
                guest.send(header, &packet.unfinished());
                for right in packet.cut(SIZE) {
                    let left = match to {
                        9 => world.underlay.expect("a tunnel packet", is_vxlan_to(PEER1)),
                        _ => world.trunk.expect("a tagged frame", |frame| frame[12] == 0x81),
                    };
                    assert!(left.ends_with(&right.frame()[12..]));
                    let copy = ids.receive(Duration::from_secs(3)).expect("a copy");
                    assert_eq!(copy, (Header::default(), left));
                }
            }
        }
    }
    world.finish();
}

#[test]
fn guests_are_offered_what_the_configuration_says() {
    const UFO: u64 = HOST_UFO | GUEST_UFO;
    const CHECKSUMS: u64 = CSUM | GUEST_CSUM;
    let world = World::with(", offloads: off", ", offloads: checksums");
    let guest = world.guest("vm1", 0);
    let other = world.guest("vm2", 0);
    assert_eq!(guest.offered & (ALL | UFO), 0);
    assert_eq!(other.offered & (ALL | UFO), CHECKSUMS);
    drop(other);
    drop(guest);
    world.finish();
    let world = World::new();
    assert_eq!(world.guest("vm1", 0).offered & (ALL | UFO), ALL);
    world.finish();
}

#[test]
fn what_makes_no_sense_is_dropped_and_counted() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    let packet = segment(9, false, 5_000);
    let frame = packet.unfinished();
    let whole = segments_wanted(&packet, SIZE);
    let with = |at: usize, byte: u8| {
        let mut frame = frame.clone();
        frame[at] = byte;
        frame
    };
    let nonsense = [
        (Header { gso_size: 47, ..whole }, frame.clone()),
        (Header { gso_size: 1, ..whole }, frame.clone()),
        (whole, with(16, 0xff)),
        (whole, with(46, 0x40)),
    ];
    for (header, frame) in &nonsense {
        guest.send(*header, frame);
    }
    world.ferry.expect_dropped("vm1", "bad_offload", nonsense.len() as u64);
    // Segments that no packet of the underlay holds.
    let packet = segment(9, false, 4_500);
    guest.send(segments_wanted(&packet, 1500), &packet.unfinished());
    world.ferry.expect_dropped("vm1", "oversize", 3);
    world.finish();
}

/// Any header before any frame: nothing breaks, and every frame is accounted for.
#[test]
fn no_request_breaks_anything() {
    let world = World::new();
    let mut guest = world.guest("vm1", ALL);
    let _other = world.guest("vm2", ALL);
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..3_000 {
        let bits = random(15);
        let length = random(1 << bits) as usize;
        let to = [9, 2, 3, 77, 0xff][random(5) as usize];
        let packet = segment(to, random(2) == 1, length);
        let mut frame = packet.unfinished();
        if random(4) == 0 {
            frame = ethernet(if to == 0xff { BROADCAST } else { mac(to) }, mac(1), frame.len());
        }
        for _ in 0..random(4) {
            let at = 12 + random(70) as usize;
            if let Some(byte) = frame.get_mut(at) {
                *byte = random(256) as u8;
            }
        }
        let cut = random(3) as usize * random(60) as usize;
        frame.truncate(frame.len().saturating_sub(cut).max(14));
        let header = Header {
            flags: random(2) as u8,
            gso_type: [0, 1, 3, 4, 0x81, random(256) as u8][random(6) as usize],
            header_length: random(200) as u16,
            gso_size: [0, 1, 100, 1000, 60_000][random(5) as usize],
            checksum_start: [34, 54, random(1 << 16) as u16][random(3) as usize],
            checksum_offset: [6, 16, random(1 << 16) as u16][random(3) as usize],
        };
        guest.send(header, &frame);
    }
    world.underlay.drain();
    world.trunk.drain();
    world.finish();
}
