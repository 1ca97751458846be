//! A TAP device whose kernel leaves work to it as to a virtio-net device: each frame comes with a header that says what is unfinished
//! (Virtual I/O Device 1.1 section 5.1.6; `IFF_VNET_HDR` of tun(4)).

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result, bail, ensure};
use arrayvec::ArrayVec;
use ferry::dpdk::{Mbuf, Mempool, Unfinished, Work};

use super::bulk::Bulk;

/// Flags, kind of segments, length of headers, size of segments, where the checksum begins and lies.
const HEADER: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;
const TCP4: u8 = 1;
/// Where TCP and UDP headers have their checksums.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;
/// Pieces of a frame that the kernel is given at once: a packet of 64 KiB in buffers of 2,048 bytes, or in segments.
const PARTS: usize = 128;
/// Before the IP header.
const ETHERNET: usize = 14;

/// The file of a TAP device.
pub struct Tap(File);

impl Tap {
    /// Makes one in the namespace of the calling thread; it goes with this.
    ///
    /// # Errors
    /// The kernel has none, or the user may not.
    pub fn new(name: &str, left: Bulk) -> Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open("/dev/net/tun").context("/dev/net/tun")?;
        // SAFETY: an interface request is plain numbers, zero among their values.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        ensure!(name.len() < request.ifr_name.len(), "'{name}' is too long a name");
        for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *place = byte as libc::c_char;
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        let offloads = match left {
            Bulk::Tso => libc::TUN_F_CSUM | libc::TUN_F_TSO4,
            Bulk::Checksums => libc::TUN_F_CSUM,
            Bulk::Plain => 0,
        };
        // SAFETY: the kernel reads and writes the request during the first call, and reads a number in the second.
        let failed = unsafe {
            libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) < 0
                || libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) < 0
        };
        ensure!(!failed, "a TAP device: {}", std::io::Error::last_os_error());
        Ok(Self(file))
    }

    /// What the kernel sends next, with the rest of its work left to the device that will send it. `None`: nothing, or `pool` is
    /// empty.
    ///
    /// # Errors
    /// It is longer than the pool's buffers, or left undone what was not offered.
    pub fn read(&mut self, pool: &Mempool) -> Result<Option<Mbuf>> {
        let Some(mut frame) = pool.allocate() else { return Ok(None) };
        let room = frame.room();
        // All of the buffer, whatever lies there: the kernel reads into it without a copy.
        frame.place(room - 1, &[0]);
        let buffer = frame.data_mut().context("a fresh buffer is shared")?;
        let length = match self.0.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        ensure!(length < room, "the kernel sends a frame of more than {room} bytes");
        let header: [u8; HEADER] = *frame.data().first_chunk().context("no header")?;
        ensure!(frame.truncate(length) && frame.trim_front(HEADER), "a short read");
        if header[0] & NEEDS_CHECKSUM != 0 {
            let work = work(&header, frame.data())?;
            frame.leave(&work);
        }
        Ok(Some(frame))
    }

    /// Gives the kernel a frame, as from a virtio-net device: whoever sent it may have left a checksum undone.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn write(&mut self, frame: &Mbuf) -> Result<()> {
        let header = match frame.unfinished() {
            Some(unfinished) => undone(frame.data(), unfinished)?,
            None => [0; HEADER],
        };
        let mut parts = ArrayVec::<_, PARTS>::from_iter([IoSlice::new(&header)]);
        for chunk in frame.chunks() {
            let full = parts.try_push(IoSlice::new(chunk)).is_err();
            ensure!(!full, "a frame in more than {PARTS} pieces");
        }
        let written = self.0.write_vectored(&parts)?;
        let length = HEADER + frame.len();
        ensure!(written == length, "the kernel took {written} bytes of {length}");
        Ok(())
    }
}

/// What says that a frame over IPv4 lacks its checksum of TCP or UDP, and perhaps is several segments.
fn undone(frame: &[u8], unfinished: Unfinished) -> Result<[u8; HEADER]> {
    let ip = frame.get(ETHERNET..ETHERNET + 20).context("a short IP header")?;
    let begin = ETHERNET as u16 + u16::from(ip[0] & 0xf) * 4;
    let place = if i32::from(ip[9]) == libc::IPPROTO_TCP { TCP_CHECKSUM } else { UDP_CHECKSUM };
    let mut header = [0; HEADER];
    header[0] = NEEDS_CHECKSUM;
    if let Some(size) = unfinished.segments {
        let words = frame.get(usize::from(begin) + 12).context("a short TCP header")? >> 4;
        header[1] = TCP4;
        header[2..4].copy_from_slice(&(begin + u16::from(words) * 4).to_ne_bytes());
        header[4..6].copy_from_slice(&size.get().to_ne_bytes());
    }
    header[6..8].copy_from_slice(&begin.to_ne_bytes());
    header[8..10].copy_from_slice(&place.to_ne_bytes());
    Ok(header)
}

/// What a header of the kernel's says that is to be done.
fn work(header: &[u8; HEADER], frame: &[u8]) -> Result<Work> {
    let number = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let (begin, place) = (usize::from(number(6)), number(8));
    ensure!(place == TCP_CHECKSUM, "what is left to the device is no checksum of TCP");
    let segments = match header[1] {
        0 => None,
        TCP4 => Some(NonZeroU16::new(number(4)).context("segments without a size")?),
        kind => bail!("segments of the kind {kind}, which was not offered"),
    };
    let words = frame.get(begin + 12).context("a short TCP header")? >> 4;
    let (ip, transport) = (begin - ETHERNET, usize::from(words) * 4);
    Ok(Work {
        before_ip: ETHERNET,
        ip,
        transport,
        over_ipv6: false,
        is_tcp: true,
        segments,
        outer: None,
    })
}
