//! The pcapng format, as far as a capture of one port needs it (draft-ietf-opsawg-pcapng).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dpdk::{cycles, cycles_per_second};
use crate::worker::Captured;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
/// The type of the blocks that hold packets.
pub const PACKET: u32 = 6;

const END: u16 = 0;
const COMMENT: u16 = 1;

/// Turns the time of captured frames into that of a clock on the wall.
pub struct WallClock {
    cycles: u64,
    hertz: u64,
    time: Duration,
}

impl WallClock {
    /// As it is now.
    pub fn now() -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { cycles: cycles(), hertz: cycles_per_second().max(1), time }
    }

    /// Nanoseconds since 1970 at a time in [`cycles`].
    pub fn nanoseconds(&self, at: u64) -> u64 {
        let passed = i128::from(at.wrapping_sub(self.cycles) as i64) * 1_000_000_000;
        let time = self.time.as_nanos() as i128 + passed / i128::from(self.hertz);
        time as u64
    }
}

/// What a file begins with: who wrote it, and the interface.
pub fn head(name: &str, description: &str, longest: usize) -> Vec<u8> {
    let mut section = words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
    option(&mut section, 4, concat!("Ferry ", env!("CARGO_PKG_VERSION")).as_bytes());
    option(&mut section, END, &[]);
    let mut interface = words(&[1, longest as u32]);
    option(&mut interface, 2, name.as_bytes());
    option(&mut interface, 3, description.as_bytes());
    // Times are in nanoseconds.
    option(&mut interface, 9, &[9]);
    option(&mut interface, END, &[]);
    [block(SECTION, section), block(INTERFACE, interface)].concat()
}

/// A frame, with its direction, and why it was dropped.
pub fn packet(frame: &Captured, clock: &WallClock) -> Vec<u8> {
    let time = clock.nanoseconds(frame.at);
    let (captured, length) = (frame.bytes.len() as u32, frame.length as u32);
    let mut body = words(&[0, (time >> 32) as u32, time as u32, captured, length]);
    padded(&mut body, &frame.bytes);
    let direction: u32 = if frame.is_outgoing { 2 } else { 1 };
    option(&mut body, 2, &direction.to_le_bytes());
    if let Some(reason) = frame.dropped {
        let text = format!("dropped: {}: {}", reason.name(), reason.meaning());
        option(&mut body, COMMENT, text.as_bytes());
    }
    option(&mut body, END, &[]);
    block(PACKET, body)
}

/// How many frames there were, and how many that the capture lost.
pub fn statistics(clock: &WallClock, received: u64, lost: u64) -> Vec<u8> {
    let time = clock.nanoseconds(cycles());
    let mut body = words(&[0, (time >> 32) as u32, time as u32]);
    option(&mut body, 4, &received.to_le_bytes());
    option(&mut body, 5, &lost.to_le_bytes());
    option(&mut body, END, &[]);
    block(STATISTICS, body)
}

/// The frames lost, if these are [`statistics`].
pub fn lost(block: &[u8]) -> Option<u64> {
    let is_it = block.first_chunk().is_some_and(|kind| u32::from_le_bytes(*kind) == STATISTICS);
    block.get(36..)?.first_chunk().filter(|_| is_it).map(|value| u64::from_le_bytes(*value))
}

/// The first block of some bytes, with its type; `None` where it is not there to its end.
pub fn first(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let [kind, length] =
        [0, 4].map(|at| bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word)));
    Some((kind?, bytes.get(..(length?.max(12)) as usize)?))
}

fn block(kind: u32, body: Vec<u8>) -> Vec<u8> {
    let length = body.len() as u32 + 12;
    [words(&[kind, length]), body, words(&[length])].concat()
}

fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend(kind.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drop_reason::DropReason;
    use pcap_parser::{Block, parse_block_le};

    #[test]
    fn another_reader_understands_each_block() {
        let clock = WallClock { cycles: 1000, hertz: 10, time: Duration::from_secs(1 << 32) };
        let frame = |dropped| Captured {
            at: 1005,
            length: 99,
            bytes: vec![7; 61],
            is_outgoing: dropped,
            dropped: dropped.then_some(DropReason::TxFull),
        };
        let mut file = head("vm1", "net_null0", 2048);
        file.extend(packet(&frame(false), &clock));
        file.extend(packet(&frame(true), &clock));
        let mut rest = &file[..];
        let mut blocks = Vec::new();
        while let Some((kind, block)) = first(rest) {
            assert_eq!(parse_block_le(rest).unwrap().0.len() + block.len(), rest.len());
            blocks.push((kind, block));
            rest = &rest[block.len()..];
        }
        assert_eq!(blocks.iter().map(|of| of.0).collect::<Vec<_>>(), [SECTION, 1, 6, 6]);
        let (_, Block::InterfaceDescription(of)) = parse_block_le(blocks[1].1).unwrap() else {
            panic!()
        };
        assert_eq!((of.if_name(), of.snaplen), (Some(Ok("vm1")), 2048));
        let (_, Block::EnhancedPacket(of)) = parse_block_le(blocks[3].1).unwrap() else { panic!() };
        assert_eq!((of.caplen, of.origlen, of.data[60]), (61, 99, 7));
        assert_eq!(of.decode_ts(0, 1_000_000_000), ((1u64 << 32) as u32, 500_000_000));
        assert_eq!(&of.options[0].value[..], 2u32.to_le_bytes());
        let comment = of.options[1].as_str().unwrap();
        assert!(comment.starts_with("dropped: tx_full: The device did not"), "{comment}");
        assert_eq!(first(&file[..20]), None);
    }
}
