//! Frames in and out of an interface, byte by byte.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::namespace::Namespace;

/// A packet socket on one interface of a namespace.
pub struct RawPort {
    socket: OwnedFd,
    pub name: String,
}

/// Long enough for a frame to cross Ferry while the machine is busy.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing must come where nothing may come.
const SILENCE: Duration = Duration::from_millis(150);

impl RawPort {
    pub fn open(namespace: &Namespace, interface: &str) -> Self {
        let socket = namespace.inside(|| {
            // SAFETY: plain system calls on descriptors that we own; the address is fully written.
            unsafe {
                let protocol = (libc::ETH_P_ALL as u16).to_be();
                let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, protocol.into());
                assert!(socket >= 0, "{}", io::Error::last_os_error());
                let socket = OwnedFd::from_raw_fd(socket);
                let c_name = std::ffi::CString::new(interface).unwrap();
                let mut address: libc::sockaddr_ll = zeroed();
                address.sll_family = libc::AF_PACKET as u16;
                address.sll_protocol = protocol;
                address.sll_ifindex = libc::if_nametoindex(c_name.as_ptr()) as i32;
                let length = size_of::<libc::sockaddr_ll>() as u32;
                let bound = libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length);
                assert_eq!(bound, 0, "{}", io::Error::last_os_error());
                for (option, value) in
                    [(libc::PACKET_AUXDATA, 1i32), (libc::PACKET_IGNORE_OUTGOING, 1)]
                {
                    let set = libc::setsockopt(
                        socket.as_raw_fd(),
                        libc::SOL_PACKET,
                        option,
                        (&raw const value).cast(),
                        4,
                    );
                    assert_eq!(set, 0, "{}", io::Error::last_os_error());
                }
                let room = 64 << 20;
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUFFORCE,
                    (&raw const room).cast::<i32>().cast(),
                    4,
                );
                socket
            }
        });
        Self { socket, name: interface.to_owned() }
    }

    pub fn send(&self, frame: &[u8]) {
        let end = Instant::now() + PATIENCE;
        while !self.try_send(frame) {
            assert!(Instant::now() < end, "{}: {} bytes cannot be sent", self.name, frame.len());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// `false` when the kernel's queue is full; a frame that the interface refuses counts as sent.
    pub fn try_send(&self, frame: &[u8]) -> bool {
        // SAFETY: the frame is readable for its length.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        sent >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOBUFS)
    }

    /// The next frame, with its VLAN tag where the kernel took it off.
    pub fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
        let mut poll =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut frame = vec![0u8; 10_000];
        let mut control = [0u64; 16];
        // SAFETY: all buffers are ours and live through the calls; the control message is read within
        // what the kernel says it wrote.
        unsafe {
            if libc::poll(&mut poll, 1, timeout.as_millis() as i32) <= 0 {
                return None;
            }
            let mut part =
                libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
            let mut message: libc::msghdr = zeroed();
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control);
            let length = libc::recvmsg(self.socket.as_raw_fd(), &mut message, 0);
            assert!(length >= 0, "{}", io::Error::last_os_error());
            frame.truncate(length as usize);
            let header = libc::CMSG_FIRSTHDR(&message);
            if !header.is_null() && (*header).cmsg_type == libc::PACKET_AUXDATA {
                let auxiliary: libc::tpacket_auxdata =
                    std::ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                if auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                    let mut tag = auxiliary.tp_vlan_tpid.to_be_bytes().to_vec();
                    tag.extend(auxiliary.tp_vlan_tci.to_be_bytes());
                    frame.splice(12..12, tag);
                }
            }
        }
        Some(frame)
    }

    /// The next frame that `wanted` accepts; others are passed over.
    pub fn expect(&self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.receive(left) {
                Some(frame) if wanted(&frame) => return frame,
                Some(frame) => others.push(frame),
                None => panic!("{}: no {what}; instead: {others:02x?}", self.name),
            }
        }
    }

    pub fn expect_frame(&self, frame: &[u8]) {
        self.expect(&format!("{frame:02x?}"), |found| found == frame);
    }

    /// Nothing at all may arrive for a while.
    pub fn expect_silence(&self) {
        let found = self.receive(SILENCE);
        assert!(found.is_none(), "{}: should be silent, but: {:02x?}", self.name, found.unwrap());
    }

    /// Everything that has arrived and arrives until it is silent for a while.
    pub fn drain(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive(SILENCE)).collect()
    }
}
