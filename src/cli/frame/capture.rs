//! Frames from captures.

use std::io::Read;

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

/// More than any block of a capture of Ethernet.
const BLOCK: usize = 1 << 20;

/// What cannot be traced of a capture.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// It is none, or damaged.
    #[error("no capture in the format of pcap or pcapng, or a damaged one: {0}")]
    Format(String),
    /// Of another kind of link.
    #[error("packet {0} is of link type {1}; it must be Ethernet, which is 1")]
    Link(usize, i32),
    /// Not all of a packet.
    #[error("of packet {0} there are {1} bytes of {2}; capture whole packets (tcpdump -s 0)")]
    Cut(usize, u32, u32),
}

/// The frames of a capture, in their order.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(input: impl Read + Send) -> Result<Vec<Vec<u8>>, CaptureError> {
    let mut reader = create_reader(BLOCK, input).map_err(|error| format(&error))?;
    let mut frames = Vec::new();
    let mut links = Vec::new();
    // Blocks seen when there was nothing left to parse, so that a cut-off one ends this.
    let (mut blocks, mut refilled) = (0, None);
    loop {
        let offset = match reader.next() {
            Ok((offset, block)) => {
                let number = frames.len() + 1;
                let packet = match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        links.push(header.network);
                        None
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                        links.clear();
                        None
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        links.push(interface.linktype);
                        None
                    }
                    PcapBlockOwned::Legacy(of) => Some((0, of.data, of.caplen, of.origlen)),
                    PcapBlockOwned::NG(Block::EnhancedPacket(of)) => {
                        Some((of.if_id as usize, of.data, of.caplen, of.origlen))
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(of)) => {
                        let captured = of.origlen.min(of.data.len() as u32);
                        Some((0, of.data, captured, of.origlen))
                    }
                    PcapBlockOwned::NG(_) => None,
                };
                if let Some((interface, data, captured, length)) = packet {
                    let link = links.get(interface).copied().unwrap_or(Linktype(-1));
                    if link != Linktype::ETHERNET {
                        return Err(CaptureError::Link(number, link.0));
                    }
                    // Blocks are padded.
                    let data = data.get(..captured as usize).unwrap_or(data);
                    if data.len() < length as usize {
                        return Err(CaptureError::Cut(number, captured, length));
                    }
                    frames.push(data.to_vec());
                }
                offset
            }
            Err(PcapError::Eof) => return Ok(frames),
            Err(PcapError::Incomplete(_)) if refilled != Some(blocks) => {
                refilled = Some(blocks);
                reader.refill().map_err(|error| format(&error))?;
                continue;
            }
            Err(error) => return Err(format(&error)),
        };
        blocks += 1;
        reader.consume(offset);
    }
}

fn format(error: &PcapError<&[u8]>) -> CaptureError {
    CaptureError::Format(match error {
        PcapError::Incomplete(_) | PcapError::UnexpectedEof | PcapError::Eof => {
            "it ends too early".to_owned()
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// In the classic format, of a kind of link.
    fn classic(link: u32, packets: &[(&[u8], u32)]) -> Vec<u8> {
        let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, link]);
        for (packet, length) in packets {
            file.extend(words(&[0, 0, packet.len() as u32, *length]));
            file.extend(*packet);
        }
        file
    }

    /// Section, interface, and an enhanced packet each.
    fn next_generation(packets: &[&[u8]]) -> Vec<u8> {
        let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
        file.extend(words(&[1, 20, 1, 0, 20]));
        for packet in packets {
            let padded = packet.len().next_multiple_of(4);
            let (length, block) = (packet.len() as u32, padded as u32 + 32);
            file.extend(words(&[6, block, 0, 0, 0, length, length]));
            file.extend(*packet);
            file.resize(file.len() + padded - packet.len(), 0);
            file.extend(words(&[block]));
        }
        file
    }

    #[test]
    fn both_formats_give_their_frames() {
        let frames = [vec![1; 60], vec![2; 61], vec![3; 1514]];
        let packets: Vec<_> = frames.iter().map(|of| (&of[..], of.len() as u32)).collect();
        assert_eq!(read(&classic(1, &packets)[..]), Ok(frames.to_vec()));
        let packets = frames.each_ref().map(Vec::as_slice);
        assert_eq!(read(&next_generation(&packets)[..]), Ok(frames.to_vec()));
        let many = vec![&frames[2][..]; 2000];
        assert_eq!(read(&next_generation(&many)[..]).map(|of| of.len()), Ok(2000), "3 MB");
        assert_eq!(read(&classic(1, &[])[..]), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_traced_is_told() {
        let packet = [0; 60];
        let of_link = |link| read(&classic(link, &[(&packet, 60)])[..]);
        assert_eq!(of_link(113), Err(CaptureError::Link(1, 113)));
        let cut = classic(1, &[(&packet, 60), (&packet, 1514)]);
        assert_eq!(read(&cut[..]), Err(CaptureError::Cut(2, 60, 1514)));
        let file = next_generation(&[&packet]);
        for end in [0, 10, file.len() - 70, file.len() - 1] {
            assert!(matches!(read(&file[..end]), Err(CaptureError::Format(_))), "{end}");
        }
        assert!(matches!(
            read(&b"02000000000102000000000208060001"[..]),
            Err(CaptureError::Format(_))
        ));
    }
}
