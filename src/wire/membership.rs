//! Who listens to which multicast group: what IGMP and MLD say, in one vocabulary, and how routers make themselves heard.
//!
//! IGMPv1 (RFC 1112), IGMPv2 (RFC 2236), IGMPv3 (RFC 3376), MLDv1 (RFC 2710), MLDv2 (RFC 3810), and PIM's hello
//! (RFC 7761 section 4.9.2). [`igmp`] and [`mld`] know the formats.

use std::net::IpAddr;
use std::time::Duration;

use super::ethernet::{self, ethertype};
use super::{MacAddr, Malformed, Protocol, igmp, ipv4, ipv6, mld, pim};

/// Which protocol a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Version {
    Igmp1,
    Igmp2,
    Igmp3,
    Mld1,
    Mld2,
    Pim,
}

/// A message, and who says it.
#[derive(Clone, Debug)]
pub struct Heard<'p> {
    /// The sender's MAC.
    pub mac: MacAddr,
    /// The sender's address: all zero where it has none.
    pub source: IpAddr,
    /// What it says.
    pub message: Message<'p>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Message<'p> {
    /// Who listens?
    Query(Query<'p>),
    /// A station listens to a group, whoever sends (IGMPv1, IGMPv2, MLDv1).
    Report(Version, IpAddr),
    /// A station listens to a group no longer (IGMPv2, MLDv1).
    Leave(Version, IpAddr),
    /// What a station listens to, by group (IGMPv3, MLDv2).
    Records(Records<'p>),
    /// A multicast router is here, and believed to be for so long; `None`: for ever.
    Router(Option<Duration>),
    /// IGMP of a type that these protocols do not have.
    Unknown,
}

/// A question to all stations.
#[derive(Clone, Copy, Debug)]
pub struct Query<'p> {
    /// What it is spoken in.
    pub version: Version,
    /// `None`: all groups.
    pub group: Option<IpAddr>,
    /// Only those who listen to one of these sources; empty: all.
    pub sources: Sources<'p>,
    /// By when an answer must have come.
    pub max_response: Duration,
    /// Whether routers that hear it leave their timers alone (the S flag).
    pub suppress: bool,
    /// The querier's robustness variable; 0: not said.
    pub robustness: u8,
    /// The querier's interval between general queries; zero: not said.
    pub interval: Duration,
}

/// What a record says of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Listens to these only, as it did before.
    IsInclude,
    /// Listens to all but these, as it did before.
    IsExclude,
    /// From now on to these only.
    ToInclude,
    /// From now on to all but these.
    ToExclude,
    /// To these too.
    Allow,
    /// To these no longer.
    Block,
}

/// One group in a report.
#[derive(Clone, Copy, Debug)]
pub struct Record<'p> {
    /// What is said.
    pub kind: RecordKind,
    /// Of which group; perhaps no multicast address.
    pub group: IpAddr,
    /// Of which sources.
    pub sources: Sources<'p>,
}

/// The records of a report: those of unknown kinds are passed over (RFC 3376 section 4.2.12).
#[derive(Clone, Debug)]
pub struct Records<'p> {
    bytes: &'p [u8],
    left: u16,
    family: Family,
}

/// Addresses in a packet.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'p> {
    bytes: &'p [u8],
    family: Family,
}

/// IPv4, hence IGMP, or IPv6, hence MLD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of an address.
    fn length(self) -> usize {
        if self == Self::V4 { 4 } else { 16 }
    }

    fn protocol(self) -> Protocol {
        if self == Self::V4 { Protocol::Igmp } else { Protocol::Mld }
    }

    fn read(self, bytes: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            Self::V6 => bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        }
    }
}

impl<'p> Sources<'p> {
    /// None.
    pub fn none(family: Family) -> Self {
        Self { bytes: &[], family }
    }

    /// So many, at the front of `bytes`, and what lies behind.
    pub(super) fn split(
        bytes: &'p [u8],
        count: u16,
        family: Family,
    ) -> Result<(Self, &'p [u8]), Malformed> {
        let length = usize::from(count) * family.length();
        let (bytes, rest) =
            bytes.split_at_checked(length).ok_or(Malformed::Length(family.protocol()))?;
        Ok((Self { bytes, family }, rest))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All of them, perhaps some twice.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'p {
        let Self { bytes, family } = self;
        bytes.chunks_exact(family.length()).filter_map(move |octets| family.read(octets))
    }
}

impl<'p> Records<'p> {
    /// So many records at the front of `bytes`.
    ///
    /// # Errors
    /// Fewer bytes than they say.
    pub(super) fn new(bytes: &'p [u8], count: u16, family: Family) -> Result<Self, Malformed> {
        let mut rest = bytes;
        for _ in 0..count {
            rest = Raw::split(rest, family)?.1;
        }
        Ok(Self { bytes, left: count, family })
    }

    /// IGMPv3 or MLDv2.
    pub fn family(&self) -> Family {
        self.family
    }
}

impl<'p> Iterator for Records<'p> {
    type Item = Record<'p>;

    fn next(&mut self) -> Option<Record<'p>> {
        while self.left > 0 {
            self.left -= 1;
            let (Raw { kind, group, sources }, rest) = Raw::split(self.bytes, self.family).ok()?;
            self.bytes = rest;
            let kind = match kind {
                1 => RecordKind::IsInclude,
                2 => RecordKind::IsExclude,
                3 => RecordKind::ToInclude,
                4 => RecordKind::ToExclude,
                5 => RecordKind::Allow,
                6 => RecordKind::Block,
                _ => continue,
            };
            return Some(Record { kind, group, sources });
        }
        None
    }
}

/// A record as it lies in the packet (RFC 3376 section 4.2.4, RFC 3810 section 5.2.5): its kind, the length of auxiliary data in
/// words, the number of sources, the group, the sources, auxiliary data.
struct Raw<'p> {
    kind: u8,
    group: IpAddr,
    sources: Sources<'p>,
}

impl<'p> Raw<'p> {
    fn split(bytes: &'p [u8], family: Family) -> Result<(Self, &'p [u8]), Malformed> {
        let wrong = Malformed::Length(family.protocol());
        let (&[kind, auxiliary, high, low], rest) = bytes.split_first_chunk().ok_or(wrong)?;
        let (group, rest) = rest.split_at_checked(family.length()).ok_or(wrong)?;
        let group = family.read(group).ok_or(wrong)?;
        let (sources, rest) = Sources::split(rest, u16::from_be_bytes([high, low]), family)?;
        let rest = rest.get(usize::from(auxiliary) * 4..).ok_or(wrong)?;
        Ok((Self { kind, group, sources }, rest))
    }
}

/// Whether [`hear`] may understand a frame, which is for a group: tells nearly all others apart by a few bytes.
#[inline(always)]
pub fn concerns(frame: &[u8]) -> bool {
    let Some(header) = frame.first_chunk::<{ ethernet::LENGTH + ipv4::LENGTH }>() else {
        return false;
    };
    match (header[0], u16::from_be_bytes([header[12], header[13]])) {
        (0x01, ethertype::IPV4) => matches!(header[23], igmp::PROTOCOL | pim::PROTOCOL),
        (0x33, ethertype::IPV6) => matches!(header[20], ipv6::HOP_BY_HOP | pim::PROTOCOL),
        _ => false,
    }
}

/// What an untagged frame says; `None` where it is neither IGMP nor MLD nor a hello of PIM.
///
/// # Errors
/// What keeps a snooping switch from using a message (RFC 4541 section 2.1.1): damage, or signs that it comes from
/// another link.
pub fn hear(frame: &[u8]) -> Result<Option<Heard<'_>>, Malformed> {
    let (ethernet, packet) = ethernet::Header::parse(frame)?;
    let heard = match ethernet.ethertype.get() {
        ethertype::IPV4 => {
            let (ip, _) = ipv4::Header::parse(packet)?;
            let message = match ip.protocol {
                igmp::PROTOCOL => Some(igmp::parse(ip, packet)?),
                pim::PROTOCOL => pim::hello_v4(ip, packet),
                _ => None,
            };
            message.map(|message| (ip.source().into(), message))
        }
        ethertype::IPV6 => {
            let (ip, rest) = ipv6::Header::parse(packet)?;
            let message = match ip.next_header {
                ipv6::HOP_BY_HOP => mld::parse(ip, rest)?,
                pim::PROTOCOL => pim::hello_v6(ip, rest),
                _ => None,
            };
            message.map(|message| (ip.source().into(), message))
        }
        _ => None,
    };
    Ok(heard.map(|(source, message)| Heard { mac: ethernet.source, source, message }))
}

/// A number as RFC 3376 section 4.1.1 and RFC 3810 section 5.1.3 have it: small ones as they are, large ones as
/// a mantissa of so many bits, without its leading one, and an exponent of three bits.
#[derive(Clone, Copy)]
pub(super) struct Code {
    mantissa: u32,
}

impl Code {
    /// In eight bits.
    pub const BYTE: Self = Self { mantissa: 4 };
    /// In sixteen bits.
    pub const WORD: Self = Self { mantissa: 12 };

    /// What a code stands for.
    pub fn read(self, code: u16) -> u32 {
        let code = u32::from(code);
        if code >> (self.mantissa + 3) == 0 {
            return code;
        }
        let exponent = code >> self.mantissa & 7;
        let mantissa = code & ((1 << self.mantissa) - 1) | 1 << self.mantissa;
        mantissa << (exponent + 3)
    }

    /// The code of a number, or of the next smaller one that has a code.
    pub fn write(self, number: u32) -> u16 {
        let digits = 32 - number.leading_zeros();
        if digits <= self.mantissa + 3 {
            return number as u16;
        }
        let exponent = digits - self.mantissa - 4;
        if exponent > 7 {
            return ((1 << (self.mantissa + 4)) - 1) as u16;
        }
        let mantissa = number >> (exponent + 3) & ((1 << self.mantissa) - 1);
        (1 << (self.mantissa + 3) | exponent << self.mantissa | mantissa) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::super::checksum;
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    #[test]
    fn codes_are_exact_where_they_are_small_and_else_the_next_smaller() {
        let byte = |number| Code::BYTE.read(Code::BYTE.write(number));
        assert_eq!([0, 100, 127, 128, 130, 200].map(byte), [0, 100, 127, 128, 128, 200]);
        assert_eq!(byte(u32::MAX), 31_744, "the largest of RFC 3376 section 4.1.1");
        assert_eq!(Code::BYTE.read(0x8a), 208);
        let word = |number| Code::WORD.read(Code::WORD.write(number));
        assert_eq!([32_767, 32_768, 40_000, 40_004].map(word), [32_767, 32_768, 40_000, 40_000]);
        assert_eq!(word(u32::MAX), 8_387_584, "the largest of RFC 3810 section 5.1.3");
    }

    proptest! {
        #[test]
        fn no_code_is_larger_than_its_number(number in 0u32..8_387_584) {
            let read = Code::WORD.read(Code::WORD.write(number));
            prop_assert!(read <= number && number - read <= number >> 12);
        }

        #[test]
        fn no_message_makes_it_panic_and_what_is_heard_concerns_us(
            v6: bool,
            kind in prop::sample::select(vec![0x11u8, 0x12, 0x16, 0x17, 0x22, 130, 131, 132, 143]),
            rest in prop::collection::vec(any::<u8>(), 0..120),
            few in 0u8..4,
        ) {
            let mut message = vec![kind, 0, 0, 0];
            message.extend(rest);
            // Where the number of records or sources is.
            for (at, value) in [(6, 0), (7, few), (10, 0), (11, few)] {
                message.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
            let frame = if v6 { mld(message) } else { igmp(message) };
            if let Ok(Some(heard)) = hear(&frame) {
                prop_assert!(concerns(&frame));
                if let Message::Records(records) = heard.message {
                    let sources = records.map(|record| record.sources.iter().count());
                    prop_assert!(sources.sum::<usize>() * 4 <= frame.len());
                }
            }
        }
    }

    fn igmp(mut message: Vec<u8>) -> Vec<u8> {
        let sum = checksum::compute(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut ip =
            vec![0x45, 0, 0, 20 + message.len() as u8, 0, 0, 0, 0, 1, igmp::PROTOCOL, 0, 0];
        ip.extend([10, 0, 0, 1, 224, 0, 0, 1]);
        let sum = checksum::compute(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        [&[1; 12], &[8, 0][..], &ip, &message].concat()
    }

    fn mld(mut message: Vec<u8>) -> Vec<u8> {
        let ip = ipv6::Header::new(ipv6::HOP_BY_HOP, 1, 8 + message.len() as u16)
            .between("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap());
        let sum = checksum::compute_icmpv6(ip.source(), ip.destination(), &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let options = [58, 0, 5, 2, 0, 0, 1, 0];
        [&[0x33; 12], &[0x86, 0xdd][..], ip.as_bytes(), &options, &message].concat()
    }
}
