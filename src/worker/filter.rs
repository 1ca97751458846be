//! Classic BPF, the language that filter expressions are compiled to (McCanne & Jacobson 1993): programs that say of a
//! frame whether somebody wants to see it.
//!
//! Jumps lead forward only, so each instruction runs once at most, and whatever lies outside the frame ends the program
//! with 'no'.

/// One instruction, as libpcap has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How far to jump where a comparison holds.
    pub jump_true: u8,
    /// How far else.
    pub jump_false: u8,
    /// A number for it.
    pub number: u32,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Box<[Instruction]>);

/// Words of scratch memory.
const MEMORY: usize = 16;

const WORD: u16 = 0x00;
const HALF: u16 = 0x08;

impl Filter {
    /// From instructions; one that nobody knows says 'no' when it is reached.
    pub fn new(instructions: impl IntoIterator<Item = Instruction>) -> Self {
        Self(instructions.into_iter().collect())
    }

    /// Whether a frame of `length` bytes, of which these are the first, is wanted.
    pub fn accepts(&self, frame: &[u8], length: usize) -> bool {
        self.run(frame, length).is_some_and(|answer| answer > 0)
    }

    fn run(&self, frame: &[u8], length: usize) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; MEMORY]);
        let mut next = 0usize;
        loop {
            let Instruction { code, jump_true, jump_false, number: k } = *self.0.get(next)?;
            next += 1;
            match code & 0x07 {
                0x00 => {
                    a = match code & 0xe0 {
                        0x00 => k,
                        0x20 => load(frame, code, k)?,
                        0x40 => load(frame, code, x.checked_add(k)?)?,
                        0x60 => *memory.get(k as usize)?,
                        0x80 => length as u32,
                        _ => return None,
                    }
                }
                0x01 => {
                    x = match code & 0xe0 {
                        0x00 => k,
                        0x60 => *memory.get(k as usize)?,
                        0x80 => length as u32,
                        // The length of an IPv4 header.
                        0xa0 => u32::from(frame.get(k as usize)? & 0x0f) * 4,
                        _ => return None,
                    }
                }
                0x02 => *memory.get_mut(k as usize)? = a,
                0x03 => *memory.get_mut(k as usize)? = x,
                0x04 => a = calculate(code, a, if code & 0x08 == 0 { k } else { x })?,
                0x05 => {
                    let other = if code & 0x08 == 0 { k } else { x };
                    let holds = match code & 0xf0 {
                        0x00 => {
                            next = next.checked_add(k as usize)?;
                            continue;
                        }
                        0x10 => a == other,
                        0x20 => a > other,
                        0x30 => a >= other,
                        0x40 => a & other != 0,
                        _ => return None,
                    };
                    next += usize::from(if holds { jump_true } else { jump_false });
                }
                0x06 => return Some(if code & 0x18 == 0x10 { a } else { k }),
                _ if code & 0xf8 == 0 => x = a,
                _ => a = x,
            }
        }
    }
}

fn load(frame: &[u8], code: u16, at: u32) -> Option<u32> {
    let rest = frame.get(at as usize..)?;
    match code & 0x18 {
        WORD => rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
        HALF => rest.first_chunk().map(|bytes| u16::from_be_bytes(*bytes).into()),
        _ => rest.first().map(|byte| u32::from(*byte)),
    }
}

fn calculate(code: u16, a: u32, other: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(other),
        0x10 => a.wrapping_sub(other),
        0x20 => a.wrapping_mul(other),
        0x30 => a.checked_div(other)?,
        0x40 => a | other,
        0x50 => a & other,
        0x60 => a.checked_shl(other).unwrap_or(0),
        0x70 => a.checked_shr(other).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(other)?,
        0xa0 => a ^ other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap::{Capture, Linktype};
    use proptest::prelude::*;

    fn compiled(expression: &str) -> (pcap::BpfProgram, Filter) {
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = dead.compile(expression, true).unwrap();
        let filter = crate::api::filter(expression).unwrap();
        (program, filter)
    }

    const EXPRESSIONS: [&str; 11] = [
        "",
        "arp",
        "ip",
        "udp port 53",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src net 10.0.0.0/8",
        "ether host 02:00:00:00:00:01 or ether broadcast",
        "vlan 10 and icmp",
        "ip6 and udp portrange 1-1000",
        "len >= 100 or less 20",
        "ip[2:2] - 20 * 2 > ip[8] / 3 and ether[0] ^ 7 != 4 << 1",
        "udp[8:4] & 0x08000000 != 0 and (ip[6:2] & 0x1fff = 0)",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Frames that look like IP more often than not, cut off anywhere.
        #[test]
        fn it_says_what_libpcap_says(
            expression in 0..EXPRESSIONS.len(),
            ethertype in prop::sample::select(vec![0x0800u16, 0x0806, 0x86dd, 0x8100]),
            version in prop::sample::select(vec![0x45u8, 0x46, 0x60]),
            protocol in prop::sample::select(vec![1u8, 6, 17, 47]),
            port in prop::sample::select(vec![53u16, 80, 4789]),
            mut frame in prop::collection::vec(any::<u8>(), 0..160),
        ) {
            for (at, bytes) in [(12, &ethertype.to_be_bytes()[..]), (14, &[version]), (20, &[0, 0]),
                (23, &[protocol]), (36, &port.to_be_bytes()), (42, &[8])]
            {
                if let Some(place) = frame.get_mut(at..at + bytes.len()) {
                    place.copy_from_slice(bytes);
                }
            }
            thread_local! {
                static PROGRAMS: Vec<(pcap::BpfProgram, Filter)> = EXPRESSIONS.map(compiled).into();
            }
            PROGRAMS.with(|programs| {
                let (program, filter) = &programs[expression];
                let name = EXPRESSIONS[expression];
                assert_eq!(filter.accepts(&frame, frame.len()), program.filter(&frame), "{name}");
            });
        }

        #[test]
        fn any_program_ends(codes in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..50), frame: Vec<u8>) {
            let instruction = |(code, jump_true, jump_false, number)| Instruction { code, jump_true, jump_false, number };
            let filter = Filter::new(codes.into_iter().map(instruction));
            filter.accepts(&frame, frame.len());
        }
    }
}
