//! TCP segments, built and taken apart without Ferry's own code.

use super::frames::internet_sum;

pub const FIN: u8 = 1;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const CWR: u8 = 128;

/// Bytes of the TCP header in [`Segment::frame`]: with a timestamp option (RFC 7323).
pub const HEADER: usize = 32;
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];

/// A TCP segment, or what a guest wants to have cut into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub to: [u8; 6],
    pub from: [u8; 6],
    pub ipv6: bool,
    pub source_port: u16,
    /// Of IPv4.
    pub identification: u16,
    pub sequence: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Segment {
    pub fn new(to: [u8; 6], from: [u8; 6], ipv6: bool, length: usize) -> Self {
        // No two windows of it look alike.
        let payload =
            (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        let (identification, sequence) = (0xfffe, 0xffff_ff00);
        let payload = payload.collect();
        let source_port = 12_345;
        Self { to, from, ipv6, source_port, identification, sequence, flags: ACK, payload }
    }

    /// Bytes before the TCP header.
    pub fn tcp_at(&self) -> usize {
        14 + if self.ipv6 { 40 } else { 20 }
    }

    /// All of it in one frame, with a right checksum.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = self.unfinished();
        let at = self.tcp_at();
        frame[at + 16..at + 18].fill(0);
        let sum = internet_sum(&[&self.pseudo_header()[..], &frame[at..]].concat());
        frame[at + 16..at + 18].copy_from_slice(&(!sum).to_be_bytes());
        frame
    }

    /// As a guest hands it over that leaves the checksum to its device: there is only the pseudo-header's sum.
    pub fn unfinished(&self) -> Vec<u8> {
        let mut frame = [self.to, self.from].concat();
        let length = HEADER + self.payload.len();
        if self.ipv6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((length as u16).to_be_bytes());
            frame.extend([6, 64]);
        } else {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((length as u16 + 20).to_be_bytes());
            frame.extend(self.identification.to_be_bytes());
            frame.extend([0x40, 0, 64, 6, 0, 0]);
        }
        let pseudo = self.pseudo_header();
        frame.extend(&pseudo[..pseudo.len() - 8]);
        if !self.ipv6 {
            let sum = !internet_sum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        frame.extend(self.source_port.to_be_bytes());
        frame.extend([0, 80]);
        frame.extend(self.sequence.to_be_bytes());
        frame.extend([0, 0, 0, 1, (HEADER as u8 / 4) << 4, self.flags, 0x20, 0]);
        frame.extend(internet_sum(&pseudo).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(OPTIONS);
        frame.extend(&self.payload);
        frame
    }

    /// Addresses, length and protocol; the last two take eight bytes in either family.
    fn pseudo_header(&self) -> Vec<u8> {
        let mut header = match self.ipv6 {
            true => [[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat(),
            false => [[10, 0, 0, 1]; 2].concat(),
        };
        header.extend((HEADER as u32 + self.payload.len() as u32).to_be_bytes());
        header.extend([0, 0, 0, 6]);
        header
    }

    /// From a frame that one of these was made into, all of whose lengths and checksums must be right.
    pub fn open(frame: &[u8]) -> Self {
        let number = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let ipv6 = frame[12..14] == [0x86, 0xdd];
        let at = if ipv6 { 54 } else { 34 };
        let length = if ipv6 { usize::from(number(18)) + 40 } else { usize::from(number(16)) };
        assert_eq!(length + 14, frame.len(), "the IP length");
        let segment = Self {
            to: *frame.first_chunk().unwrap(),
            from: *frame[6..].first_chunk().unwrap(),
            ipv6,
            source_port: number(at),
            identification: if ipv6 { 0xfffe } else { number(18) },
            sequence: u32::from_be_bytes(*frame[at + 4..].first_chunk().unwrap()),
            flags: frame[at + 13],
            payload: frame[at + HEADER..].to_vec(),
        };
        assert_eq!(frame, segment.frame(), "as it would have been made here");
        segment
    }

    /// What must become of it: segments of `size` bytes each.
    pub fn cut(&self, size: usize) -> Vec<Self> {
        let count = self.payload.len().div_ceil(size);
        let piece = |(number, payload): (usize, &[u8])| Self {
            identification: match self.ipv6 {
                true => self.identification,
                false => self.identification.wrapping_add(number as u16),
            },
            sequence: self.sequence.wrapping_add((number * size) as u32),
            flags: self.flags
                & !if number > 0 { CWR } else { 0 }
                & !if number + 1 < count { FIN | PSH } else { 0 },
            payload: payload.to_vec(),
            ..self.clone()
        };
        self.payload.chunks(size).enumerate().map(piece).collect()
    }
}
