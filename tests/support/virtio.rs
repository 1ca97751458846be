//! A guest of our own: a virtio-net driver that speaks vhost-user, so that a test decides over each header and
//! feature (Virtual I/O Device 1.1 section 5.1; QEMU's vhost-user specification).

use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Features of a device (section 5.1.3).
pub const CSUM: u64 = 1 << 0;
pub const GUEST_CSUM: u64 = 1 << 1;
pub const GUEST_TSO4: u64 = 1 << 7;
pub const GUEST_TSO6: u64 = 1 << 8;
pub const GUEST_ECN: u64 = 1 << 9;
pub const GUEST_UFO: u64 = 1 << 10;
pub const HOST_TSO4: u64 = 1 << 11;
pub const HOST_TSO6: u64 = 1 << 12;
pub const HOST_ECN: u64 = 1 << 13;
pub const HOST_UFO: u64 = 1 << 14;
const MRG_RXBUF: u64 = 1 << 15;
const VERSION_1: u64 = 1 << 32;

/// In [`Header::flags`]: the checksum is the receiver's to complete.
pub const NEEDS_CSUM: u8 = 1;
/// In [`Header::gso_type`].
pub const GSO_TCPV4: u8 = 1;
pub const GSO_UDP: u8 = 3;
pub const GSO_TCPV6: u8 = 4;

/// What stands before each frame (section 5.1.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub flags: u8,
    pub gso_type: u8,
    pub header_length: u16,
    pub gso_size: u16,
    pub checksum_start: u16,
    pub checksum_offset: u16,
}

pub const HEADER: usize = 12;
/// Descriptors of a ring.
const SIZE: u16 = 256;
/// Bytes that a ring has in memory, and that one buffer for a received frame has.
const RING: usize = 16 << 10;
const BUFFER: usize = 4 << 10;
const RECEIVED: usize = 2 * RING;
const SENT: usize = RECEIVED + SIZE as usize * BUFFER;
const MEMORY: usize = SENT + (128 << 10);
/// Where the guest's memory begins for the guest.
const BASE: u64 = 1 << 30;

/// The guest's end of a vhost-user device with one pair of queues. The device sees it leave when it is dropped.
pub struct VirtioNet {
    /// Features that the device offers.
    pub offered: u64,
    socket: UnixStream,
    memory: *mut u8,
    _shared: OwnedFd,
    /// Used entries of both rings that were looked at.
    seen: [u16; 2],
}

impl VirtioNet {
    /// Attaches to a device, with those of its features that are wanted.
    pub fn attach(path: &Path, wanted: u64) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        // SAFETY: plain system calls, checked; the file is as long as the mapping.
        let (shared, memory) = unsafe {
            let shared = libc::memfd_create(c"guest".as_ptr(), 0);
            assert!(shared >= 0, "{}", io::Error::last_os_error());
            let shared = OwnedFd::from_raw_fd(shared);
            assert_eq!(libc::ftruncate(shared.as_raw_fd(), MEMORY as i64), 0);
            let memory = libc::mmap(
                std::ptr::null_mut(),
                MEMORY,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                shared.as_raw_fd(),
                0,
            );
            assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
            (shared, memory.cast::<u8>())
        };
        let mut guest = Self { offered: 0, socket, memory, _shared: shared, seen: [0; 2] };
        guest.offered = guest.ask(1);
        guest.negotiate(guest.offered & wanted);
        guest
    }

    fn negotiate(&mut self, features: u64) {
        self.tell(3, &[], None);
        self.tell(2, &[features | MRG_RXBUF | VERSION_1], None);
        let table = [1, BASE, MEMORY as u64, self.memory as u64, 0];
        self.tell(5, &table, Some(self._shared.as_raw_fd()));
        for index in 0..SIZE {
            self.describe(0, index, RECEIVED + usize::from(index) * BUFFER, BUFFER, 2);
            self.make_available(0, index);
        }
        for ring in [0, 1u64] {
            let at = |offset: usize| self.memory as u64 + ring * RING as u64 + offset as u64;
            let (used, available) = (at(USED), at(AVAILABLE));
            self.tell(8, &[ring | u64::from(SIZE) << 32], None);
            self.tell(10, &[ring], None);
            self.tell(9, &[ring, at(0), used, available, 0], None);
            // Neither side tells the other of frames: both look.
            self.tell(13, &[ring | 0x100], None);
            self.tell(12, &[ring | 0x100], None);
        }
    }

    /// Sends a message of 64-bit words.
    fn tell(&self, request: u32, words: &[u64], file: Option<i32>) {
        let mut bytes = Vec::new();
        for word in [request, 1, words.len() as u32 * 8] {
            bytes.extend(word.to_le_bytes());
        }
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 4];
        // SAFETY: message, bytes and control data live through the call; the latter has room for one descriptor.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            if let Some(file) = file {
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = libc::CMSG_SPACE(4) as usize;
                let header = libc::CMSG_FIRSTHDR(&message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
                libc::CMSG_DATA(header).cast::<i32>().write_unaligned(file);
            }
            let sent = libc::sendmsg(self.socket.as_raw_fd(), &message, 0);
            assert_eq!(sent, bytes.len() as isize, "{}", io::Error::last_os_error());
        }
    }

    /// Sends a message whose answer is one word.
    fn ask(&mut self, request: u32) -> u64 {
        self.tell(request, &[], None);
        let mut answer = [0; 20];
        self.socket.read_exact(&mut answer).unwrap();
        u64::from_le_bytes(*answer.last_chunk().unwrap())
    }

    /// Sends a frame; the device has taken it when this returns.
    pub fn send(&mut self, header: Header, frame: &[u8]) {
        let bytes = [&header.bytes()[..], frame].concat();
        assert!(bytes.len() <= MEMORY - SENT);
        self.write(SENT, &bytes);
        self.describe(1, 0, SENT, bytes.len(), 0);
        self.make_available(1, 0);
        let end = Instant::now() + Duration::from_secs(5);
        while self.used(1) == self.seen[1] {
            assert!(Instant::now() < end, "the device takes no frame");
            std::thread::sleep(Duration::from_micros(200));
        }
        self.seen[1] = self.seen[1].wrapping_add(1);
    }

    /// The next frame.
    pub fn receive(&mut self, timeout: Duration) -> Option<(Header, Vec<u8>)> {
        let end = Instant::now() + timeout;
        while self.used(0) == self.seen[0] {
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let mut bytes = self.take_buffer();
        for _ in 1..u16::from_le_bytes([bytes[10], bytes[11]]) {
            bytes.extend(self.take_buffer());
        }
        let frame = bytes.split_off(HEADER);
        Some((Header::read(&bytes), frame))
    }

    /// The bytes of the next used buffer, which the device may fill again then.
    fn take_buffer(&mut self) -> Vec<u8> {
        let entry = USED + 4 + usize::from(self.seen[0] % SIZE) * 8;
        let words = self.read(entry, 8);
        let [index, length]: [u32; 2] =
            std::array::from_fn(|at| u32::from_le_bytes(*words[at * 4..].first_chunk().unwrap()));
        let bytes = self.read(RECEIVED + index as usize * BUFFER, length as usize);
        self.seen[0] = self.seen[0].wrapping_add(1);
        self.make_available(0, index as u16);
        bytes
    }

    fn describe(&mut self, ring: usize, index: u16, at: usize, length: usize, flags: u16) {
        let mut bytes = (BASE + at as u64).to_le_bytes().to_vec();
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend([0; 2]);
        self.write(ring * RING + usize::from(index) * 16, &bytes);
    }

    fn make_available(&mut self, ring: usize, index: u16) {
        let ring = ring * RING + AVAILABLE;
        let number = self.index(ring + 2);
        let next = number.load(Ordering::Relaxed);
        self.write(ring + 4 + usize::from(next % SIZE) * 2, &index.to_le_bytes());
        self.index(ring + 2).store(next.wrapping_add(1), Ordering::Release);
    }

    fn used(&self, ring: usize) -> u16 {
        self.index(ring * RING + USED + 2).load(Ordering::Acquire)
    }

    fn index(&self, at: usize) -> &AtomicU16 {
        // SAFETY: aligned, within the mapping, which lives as long as `self`.
        unsafe { AtomicU16::from_ptr(self.memory.add(at).cast()) }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= MEMORY);
        // SAFETY: within the mapping; the device reads it only once it is available.
        unsafe { self.memory.add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn read(&self, at: usize, length: usize) -> Vec<u8> {
        assert!(at + length <= MEMORY);
        // SAFETY: within the mapping; the device has written it before it said that it is used.
        unsafe { std::slice::from_raw_parts(self.memory.add(at), length).to_vec() }
    }
}

/// A ring: descriptors, then what the driver offers, then what the device has used.
const AVAILABLE: usize = SIZE as usize * 16;
const USED: usize = 2 * AVAILABLE;

impl Drop for VirtioNet {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference into the mapping any more; the device has its own.
        unsafe { libc::munmap(self.memory.cast(), MEMORY) };
    }
}

impl Header {
    pub fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..2].copy_from_slice(&[self.flags, self.gso_type]);
        let numbers =
            [self.header_length, self.gso_size, self.checksum_start, self.checksum_offset];
        for (place, number) in bytes[2..10].chunks_mut(2).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            header_length: number(2),
            gso_size: number(4),
            checksum_start: number(6),
            checksum_offset: number(8),
        }
    }
}
