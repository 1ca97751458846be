//! The captures that feed every contender, as classic pcap files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ferry::wire::checksum;

use super::case::{Case, Direction, PEER, VNI, VTEP};

/// L4 flows among the frames of a capture: outer source ports and, on a NIC, RSS need something to tell apart.
const FLOWS: usize = 256;
/// Bytes of an inner frame.
const INNER: usize = 64;

/// Writes the capture of a case.
///
/// # Errors
/// The file cannot be written.
pub fn write(case: Case, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    // The pcap file header: magic, version 2.4, zone, accuracy, longest packet, Ethernet.
    for word in [0xa1b2_c3d4u32, 2 | 4 << 16, 0, 0, 65535, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for number in 0..case.macs.max(FLOWS) {
        let inner = inner_frame(number % case.macs, number % FLOWS);
        let frame = match case.direction {
            Direction::Encapsulation => inner,
            Direction::Decapsulation => outer_frame(&inner, number % FLOWS),
        };
        let length = frame.len() as u32;
        for word in [0, 0, length, length] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}

/// The destination MAC with a number: in the configuration as static.
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

/// A 64-byte tenant frame: UDP over IPv4.
fn inner_frame(number: usize, flow: usize) -> Vec<u8> {
    let mut frame = ethernet(destination(number), source(number));
    let payload = INNER - 14 - 20 - 8;
    frame.extend(ipv4(8 + payload, 0, [10, 0, 0, 1], [10, 0, 0, 2]));
    frame.extend(udp(1024 + flow as u16, 80, payload));
    frame.resize(INNER, 0);
    frame
}

/// The VXLAN packet (RFC 7348 section 5) of an inner frame, towards a group MAC: `net_pcap` chooses its own
/// unicast address only when it starts.
fn outer_frame(inner: &[u8], flow: usize) -> Vec<u8> {
    let mut frame = ethernet([0x01, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 2, 2]);
    frame.extend(ipv4(8 + 8 + inner.len(), 0x4000, PEER.octets(), VTEP.octets()));
    frame.extend(udp(49152 + flow as u16, 4789, 8 + inner.len()));
    frame.extend([8, 0, 0, 0]);
    frame.extend((VNI << 8).to_be_bytes());
    frame.extend(inner);
    frame
}

fn ethernet(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00]].concat()
}

fn ipv4(payload: usize, fragment: u16, source: [u8; 4], destination: [u8; 4]) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[8] = 64;
    header[9] = 17;
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
