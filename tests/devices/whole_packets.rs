//! TCP segments that come for a guest become whole packets again, where it takes such.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use super::offloads::{ALL, SIZE, World, expect_whole, segments_wanted};
use crate::support::frames::{PEER1, internet_sum, mac, udp, vxlan};
use crate::support::tcp::{ACK, FIN, HEADER, PSH, Segment};
use crate::support::virtio::{GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, Header, VirtioNet};
use crate::support::{Namespace, RawPort, eventually};

impl World {
    /// Frames come out of the tunnel, all in one burst.
    fn arrive(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.ferry.while_stopped(|| {
            for frame in frames {
                self.underlay.send(&vxlan(self.mac, PEER1, 1000, &frame));
            }
        });
    }
}

/// From the peer to guest 2.
fn incoming(ipv6: bool, length: usize) -> Segment {
    Segment { flags: ACK | PSH, ..Segment::new(mac(2), mac(9), ipv6, length) }
}

fn expect_single(guest: &mut VirtioNet, frame: &[u8]) {
    let (header, received) = guest.receive(Duration::from_secs(3)).expect("a frame");
    assert_eq!((header, &received[..]), (Header::default(), frame));
}

#[test]
fn segments_from_a_tunnel_reach_a_guest_as_one_packet() {
    let world = World::new();
    let mut guest = world.guest("vm2", ALL);
    for ipv6 in [false, true] {
        for length in [SIZE + 1, 2 * SIZE, 20 * SIZE - 1, 30 * SIZE] {
            let packet = incoming(ipv6, length);
            world.arrive(packet.cut(SIZE).iter().map(Segment::frame));
            expect_whole(&mut guest, &packet, SIZE);
        }
        // Two connections at once, and between their segments what belongs to neither.
        let (one, mut other) = (incoming(ipv6, 3 * SIZE), incoming(ipv6, 3 * SIZE));
        other.source_port += 1;
        let noise = udp(mac(2), mac(9), ([10, 0, 0, 9], [10, 0, 0, 2]), (1, 2), &[7; 300]);
        let frames = one.cut(SIZE).into_iter().zip(other.cut(SIZE));
        world.arrive(frames.flat_map(|(one, other)| [one.frame(), noise.clone(), other.frame()]));
        expect_whole(&mut guest, &one, SIZE);
        expect_single(&mut guest, &noise);
        expect_whole(&mut guest, &other, SIZE);
        expect_single(&mut guest, &noise);
        expect_single(&mut guest, &noise);
    }
    let totals = world.ferry.expect_balance();
    // Of each packet of n segments n - 1 have become part of another.
    assert_eq!(totals["merged"], 2 * (1 + 1 + 19 + 29 + 2 + 2));
    world.finish();
}

#[test]
fn segments_that_do_not_follow_each_other_stay_apart() {
    let world = World::new();
    let mut guest = world.guest("vm2", ALL);
    for ipv6 in [false, true] {
        let packet = incoming(ipv6, 6 * SIZE);
        let pieces = packet.cut(SIZE);
        let whole = |from: usize, to: usize| Segment {
            payload: packet.payload[from * SIZE..to * SIZE].to_vec(),
            flags: if to == 6 { ACK | PSH } else { ACK },
            ..pieces[from].clone()
        };
        // One is lost.
        world.arrive([0, 1, 3, 4, 5].map(|at| pieces[at].frame()));
        expect_whole(&mut guest, &whole(0, 2), SIZE);
        expect_whole(&mut guest, &whole(3, 6), SIZE);
        // One is damaged: the guest finds out.
        let mut frames: Vec<_> = pieces.iter().map(Segment::frame).collect();
        frames[2][SIZE] ^= 1;
        world.arrive(frames.clone());
        expect_whole(&mut guest, &whole(0, 2), SIZE);
        expect_single(&mut guest, &frames[2]);
        expect_whole(&mut guest, &whole(3, 6), SIZE);
        // A connection's end and a shorter segment let nothing past them.
        let mut frames: Vec<_> = pieces.iter().map(Segment::frame).collect();
        frames[2] = Segment { flags: ACK | FIN, ..pieces[2].clone() }.frame();
        world.arrive(frames.clone());
        expect_whole(&mut guest, &whole(0, 2), SIZE);
        expect_single(&mut guest, &frames[2]);
        expect_whole(&mut guest, &whole(3, 6), SIZE);
        let mut short = pieces[0].clone();
        short.payload.pop();
        let next =
            Segment { sequence: short.sequence.wrapping_add(SIZE as u32 - 1), ..pieces[1].clone() };
        world.arrive([short.frame(), next.frame()]);
        expect_single(&mut guest, &short.frame());
        expect_single(&mut guest, &next.frame());
        // The same twice.
        world.arrive([0, 0, 1].map(|at| pieces[at].frame()));
        expect_single(&mut guest, &pieces[0].frame());
        expect_whole(&mut guest, &whole(0, 2), SIZE);
    }
    world.finish();
}

#[test]
fn guests_that_take_no_packets_whole_get_segments() {
    let world = World::new();
    for (features, whole) in [
        (GUEST_CSUM | GUEST_TSO4, Some(false)),
        (GUEST_CSUM | GUEST_TSO6, Some(true)),
        (GUEST_CSUM, None),
        (0, None),
    ] {
        let mut guest = world.guest("vm2", features);
        for ipv6 in [false, true] {
            let packet = incoming(ipv6, 3 * SIZE);
            let frames: Vec<_> = packet.cut(SIZE).iter().map(Segment::frame).collect();
            world.arrive(frames.clone());
            match whole == Some(ipv6) {
                true => expect_whole(&mut guest, &packet, SIZE),
                false => frames.iter().for_each(|frame| expect_single(&mut guest, frame)),
            }
        }
    }
    world.finish();
}

/// A frame without what nobody may go by where packets must not be fragmented: their identification, and so their checksum.
fn comparable(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12..14] == [8, 0] {
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    frame
}

/// The segments that a frame is, as its receiver would cut it.
fn segments_of(header: Header, frame: Vec<u8>) -> Vec<Vec<u8>> {
    if header.gso_size == 0 {
        return vec![comparable(frame)];
    }
    let ipv6 = frame[12..14] == [0x86, 0xdd];
    let at = if ipv6 { 54 } else { 34 };
    let whole = Segment {
        source_port: u16::from_be_bytes([frame[at], frame[at + 1]]),
        sequence: u32::from_be_bytes(*frame[at + 4..].first_chunk().unwrap()),
        flags: frame[at + 13],
        payload: frame[at + HEADER..].to_vec(),
        ..incoming(ipv6, 0)
    };
    assert_eq!(header, segments_wanted(&whole, header.gso_size.into()));
    assert!(comparable(frame) == comparable(whole.unfinished()));
    whole.cut(header.gso_size.into()).iter().map(|of| comparable(of.frame())).collect()
}

/// Segments of some connections, some of which are lost, repeated, late, damaged or not mere payload: each connection's come
/// as they were sent, in their order.
#[test]
fn no_segment_is_lost_changed_or_overtaken() {
    let world = World::new();
    let mut guest = world.guest("vm2", ALL);
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let connections = 1 + random(4) as u16;
        let size = [1, 100, SIZE, SIZE][random(4) as usize];
        let mut queues: Vec<Vec<Segment>> = (0..connections)
            .map(|number| {
                let packet = incoming(
                    random(3) == 0,
                    size * (1 + random(30) as usize) - random(2) as usize * (size / 2),
                );
                Segment { source_port: 1000 + number, ..packet }.cut(size)
            })
            .collect();
        let mut sent = Vec::new();
        while sent.len() < 32 && queues.iter().any(|queue| !queue.is_empty()) {
            let queue = &mut queues[random(connections.into()) as usize];
            if queue.is_empty() {
                continue;
            }
            let next = random(12);
            let place = if next == 0 { random(queue.len() as u64) as usize } else { 0 };
            let mut segment = queue.remove(place);
            match next {
                1 => continue,
                2 => queue.insert(0, segment.clone()),
                3 => segment.flags |= FIN,
                4 => segment.flags ^= PSH,
                _ => {}
            }
            let mut frame = segment.frame();
            if next == 5 {
                let last = frame.len() - 1;
                frame[last] ^= 0x10;
            }
            sent.push((segment.source_port, frame));
        }
        world.arrive(sent.iter().map(|(_, frame)| frame.clone()));
        let mut came = Vec::new();
        while came.len() < sent.len() {
            let (header, frame) = guest.receive(Duration::from_secs(3)).expect("a frame");
            came.extend(segments_of(header, frame));
        }
        for number in 0..connections {
            let port = (1000 + number).to_be_bytes();
            let of = |frame: &&Vec<u8>| {
                let at = if frame[12..14] == [8, 0] { 34 } else { 54 };
                frame[at..at + 2] == port
            };
            let came: Vec<_> = came.iter().filter(of).collect();
            let sent: Vec<_> = sent.iter().map(|(_, frame)| comparable(frame.clone())).collect();
            let sent: Vec<_> = sent.iter().filter(of).collect();
            assert!(came == sent, "connection {number} of {connections}, segments of {size} bytes");
        }
    }
    let totals = world.ferry.expect_balance();
    assert!(totals["merged"].as_u64().unwrap() > 300, "{totals}");
    world.finish();
}

/// Who looks on sees packets as they are on the wire.
#[test]
fn a_captured_port_has_segments_as_they_came() {
    let world = World::new();
    let mut guest = world.guest("vm2", ALL);
    let packet = incoming(false, 3 * SIZE);
    let frames: Vec<_> = packet.cut(SIZE).iter().map(Segment::frame).collect();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("vm2.pcapng");
    let words = ["capture", "--port", "vm2", "--count", "3", "-w", file.to_str().unwrap()];
    let mut capture = world.ferry.spawn(&words);
    eventually("the capture begins", || std::fs::metadata(&file).is_ok_and(|of| of.len() > 0));
    world.arrive(frames.clone());
    frames.iter().for_each(|frame| expect_single(&mut guest, frame));
    assert!(capture.wait().unwrap().success());
    let captured = std::fs::read(&file).unwrap();
    for frame in &frames {
        assert!(captured.windows(frame.len()).any(|bytes| bytes == frame));
    }
    // Nobody looks any more.
    eventually("packets are whole again", || {
        world.arrive(frames.clone());
        let (_, first) = guest.receive(Duration::from_secs(3)).unwrap();
        let is_whole = first == packet.unfinished();
        while guest.receive(Duration::from_millis(50)).is_some() {}
        is_whole
    });
    world.finish();
}

/// The kernel of a guest that routes, with a TAP device for its virtio-net device and a wire to where it sends.
struct Router {
    tap: std::fs::File,
    wire: RawPort,
    _spaces: [Namespace; 2],
}

impl Router {
    /// To the station that all segments are for.
    fn new() -> Self {
        let (router, behind) = (Namespace::new("router"), Namespace::new("behind"));
        router.exec(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0",
        );
        router.veth("out", &behind, "wire");
        let tap = router.inside(|| {
            let tap = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
            // SAFETY: an interface request is plain numbers, zero among their values.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (place, byte) in request.ifr_name.iter_mut().zip(b"in") {
                *place = *byte as libc::c_char;
            }
            let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
            request.ifr_ifru.ifru_flags = flags as libc::c_short;
            // SAFETY: the kernel reads and writes the request during the call.
            let made = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
            assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
            tap
        });
        for line in [
            "ip link set in address 02:00:00:00:aa:02 up",
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.out.rp_filter=0",
            "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.in.rp_filter=0",
            "ip route add 10.0.0.1/32 dev out",
            "ip neighbour add 10.0.0.1 lladdr 02:00:00:00:aa:07 dev out",
            "ip route add fd00::1/128 dev out",
            "ip neighbour add fd00::1 lladdr 02:00:00:00:aa:07 dev out",
        ] {
            router.exec(line);
        }
        Self { tap, wire: RawPort::open(&behind, "wire"), _spaces: [router, behind] }
    }

    /// What it makes of a frame: the payload of the segments that leave, all of whose checksums must be right.
    fn forward(&mut self, header: Header, frame: &[u8], size: usize) -> Vec<u8> {
        let tap_header = &header.bytes()[..10];
        assert_eq!(self.tap.write(&[tap_header, frame].concat()).unwrap(), 10 + frame.len());
        let ipv6 = frame[12..14] == [0x86, 0xdd];
        let at = if ipv6 { 54 } else { 34 };
        let (length, mut payload) = (frame.len() - at - HEADER, Vec::new());
        while payload.len() < length {
            let segment = self.wire.expect("a segment", |segment| {
                segment[12..14] == frame[12..14] && segment[if ipv6 { 20 } else { 23 }] == 6
            });
            let addresses = if ipv6 { &segment[22..54] } else { &segment[26..34] };
            let count = (segment.len() - at) as u32;
            let tcp = [addresses, &count.to_be_bytes(), &[0, 0, 0, 6], &segment[at..]].concat();
            assert_eq!(internet_sum(&tcp), 0xffff, "the checksum of TCP");
            assert!(ipv6 || internet_sum(&segment[14..34]) == 0xffff, "the checksum of IPv4");
            let rest = &segment[at + HEADER..];
            assert_eq!(rest.len(), size.min(length - payload.len()));
            payload.extend(rest);
        }
        payload
    }
}

/// Whether segments became one packet on their way or a guest on the same host had it whole: its kernel must be able to cut it.
#[test]
fn a_guest_that_routes_sends_right_segments() {
    let world = World::new();
    let (mut sender, mut guest) = (world.guest("vm1", ALL), world.guest("vm2", ALL));
    let mut router = Router::new();
    for ipv6 in [false, true] {
        let packet = incoming(ipv6, 20 * SIZE + 1);
        world.arrive(packet.cut(SIZE).iter().map(Segment::frame));
        let (header, frame) = guest.receive(Duration::from_secs(3)).unwrap();
        assert!(router.forward(header, &frame, SIZE) == packet.payload);
        let packet = Segment::new(mac(2), mac(1), ipv6, 20 * SIZE + 1);
        sender.send(segments_wanted(&packet, SIZE), &packet.unfinished());
        let (header, frame) = guest.receive(Duration::from_secs(3)).unwrap();
        assert!(router.forward(header, &frame, SIZE) == packet.payload);
    }
    world.finish();
}
