//! A frame in words, such as `02:00:00:00:00:01 to broadcast vlan 10 arp`.

use std::iter::Peekable;
use std::net::IpAddr;
use std::str::{FromStr, SplitWhitespace};

use crate::wire::MacAddr;

/// An Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From.
    pub source: MacAddr,
    /// To.
    pub destination: MacAddr,
    /// VLAN IDs, the outer one first.
    pub vlans: Vec<u16>,
    /// What it carries.
    pub payload: Payload,
    /// Bytes in all, where it matters.
    pub length: Option<usize>,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing that anybody looks into.
    None,
    /// An ARP request: who has the first address, and who asks. `None`: nobody.
    Arp(Option<(IpAddr, IpAddr)>),
    /// An IP packet, from and to addresses of one family.
    Ip(IpAddr, IpAddr, Upper),
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// Nothing.
    None,
    /// From port to port.
    Udp(u16, u16),
    /// From port to port, the first segment of a connection.
    Tcp(u16, u16),
    /// An echo request.
    Icmp,
    /// A network's frame in VXLAN, perhaps with the group that its sender is of.
    Vxlan(u32, Option<u16>, Box<Frame>),
    /// One in GRE, perhaps with a key.
    Gre(Option<u32>, Box<Frame>),
}

struct Words<'t>(Peekable<SplitWhitespace<'t>>);

/// Reads a frame.
///
/// # Errors
/// The word that is wrong, and what would be right in its place.
pub fn frame(text: &str) -> Result<Frame, String> {
    let mut words = Words(text.split_whitespace().peekable());
    let frame = words.frame()?;
    match words.0.next() {
        None => Ok(frame),
        Some(word) => Err(format!(
            "'{word}' cannot stand here; what can follow a frame's words is 'length N', and what they can be 'ferry trace \
             --help' says"
        )),
    }
}

impl Words<'_> {
    fn frame(&mut self) -> Result<Frame, String> {
        let source = self.mac()?;
        self.to()?;
        let destination = self.mac()?;
        let mut vlans = Vec::new();
        while self.has("vlan") {
            let id: u16 = self.number("a VLAN ID, from 0 to 4095")?;
            if id > 4095 {
                return Err(format!("VLAN {id}: a VLAN ID is from 0 to 4095"));
            }
            vlans.push(id);
        }
        let payload = self.payload()?;
        let length = match self.has("length") {
            true => Some(self.number("a number of bytes")?),
            false => None,
        };
        Ok(Frame { source, destination, vlans, payload, length })
    }

    fn payload(&mut self) -> Result<Payload, String> {
        if self.has("arp") {
            if !self.has("who-has") {
                return Ok(Payload::Arp(None));
            }
            let asked = self.value("an IPv4 address")?;
            if !self.has("tell") {
                return Err("'arp who-has IP' is followed by 'tell IP'".to_owned());
            }
            let asker = self.value("an IPv4 address")?;
            return match (asked, asker) {
                (IpAddr::V4(_), IpAddr::V4(_)) => Ok(Payload::Arp(Some((asked, asker)))),
                _ => Err("ARP is for IPv4 addresses".to_owned()),
            };
        }
        let Some(source) = self.0.peek().and_then(|word| word.parse().ok()) else {
            return Ok(Payload::None);
        };
        self.0.next();
        self.to()?;
        let destination: IpAddr = self.value("an IP address")?;
        if destination.is_ipv4() != IpAddr::is_ipv4(&source) {
            return Err(format!("{source} and {destination} are not of one family"));
        }
        Ok(Payload::Ip(source, destination, self.upper()?))
    }

    fn upper(&mut self) -> Result<Upper, String> {
        for (word, make) in [("udp", Upper::Udp as fn(u16, u16) -> Upper), ("tcp", Upper::Tcp)] {
            if self.has(word) {
                let source = self.number("a port")?;
                self.to()?;
                return Ok(make(source, self.number("a port")?));
            }
        }
        if self.has("icmp") {
            return Ok(Upper::Icmp);
        }
        if self.has("vxlan") {
            let vni = self.id()?;
            let group = match self.has("group") {
                true => Some(self.number("a group, from 0 to 65535")?),
                false => None,
            };
            return Ok(Upper::Vxlan(vni, group, Box::new(self.frame()?)));
        }
        if self.has("nvgre") {
            let key = self.id()? << 8;
            return Ok(Upper::Gre(Some(key), Box::new(self.frame()?)));
        }
        if self.has("gre") {
            let key = self.0.peek().and_then(|word| word.parse().ok());
            if key.is_some() {
                self.0.next();
            }
            return Ok(Upper::Gre(key, Box::new(self.frame()?)));
        }
        Ok(Upper::None)
    }

    fn id(&mut self) -> Result<u32, String> {
        let id: u32 = self.number("a network's ID, from 0 to 16777215")?;
        match id {
            0..=0xff_ffff => Ok(id),
            _ => Err(format!("{id}: a network's ID is from 0 to 16777215")),
        }
    }

    fn mac(&mut self) -> Result<MacAddr, String> {
        if self.has("broadcast") {
            return Ok(MacAddr::BROADCAST);
        }
        let word = self.0.next();
        let word = word.ok_or("a MAC address is missing: a frame begins 'MAC to MAC'")?;
        word.parse().map_err(|error: crate::wire::MacAddrError| error.to_string())
    }

    fn to(&mut self) -> Result<(), String> {
        match self.0.next() {
            Some("to" | ">") => Ok(()),
            Some(word) => Err(format!("'{word}' stands where 'to' is expected")),
            None => Err("'to' is missing at the end".to_owned()),
        }
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        self.value(what)
    }

    fn value<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.0.next().ok_or_else(|| format!("{what} is missing at the end"))?;
        word.parse().map_err(|_| format!("'{word}' stands where {what} is expected"))
    }

    fn has(&mut self, word: &str) -> bool {
        self.0.next_if_eq(&word).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: &str = "02:00:00:00:00:01 > 02:00:00:00:00:02";

    fn plain(payload: Payload) -> Frame {
        let [source, destination] = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
        Frame { source, destination, vlans: Vec::new(), payload, length: None }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_word_says_what_it_says() {
        let read = |text: &str| frame(&format!("{MACS} {text}")).unwrap();
        assert_eq!(read(""), plain(Payload::None));
        let tagged = plain(Payload::Arp(None));
        assert_eq!(read("vlan 10 vlan 7 arp"), Frame { vlans: vec![10, 7], ..tagged });
        let asked = Payload::Arp(Some((ip("10.0.0.2"), ip("10.0.0.1"))));
        assert_eq!(read("arp who-has 10.0.0.2 tell 10.0.0.1"), plain(asked));
        let over = |upper| plain(Payload::Ip(ip("10.0.0.1"), ip("10.0.0.2"), upper));
        for (text, upper) in [
            ("", Upper::None),
            ("udp 1 to 53", Upper::Udp(1, 53)),
            ("tcp 1 > 80", Upper::Tcp(1, 80)),
            ("icmp", Upper::Icmp),
            ("vxlan 101 {MACS}", Upper::Vxlan(101, None, Box::new(plain(Payload::None)))),
            (
                "vxlan 101 group 9 {MACS}",
                Upper::Vxlan(101, Some(9), Box::new(plain(Payload::None))),
            ),
            ("gre {MACS}", Upper::Gre(None, Box::new(plain(Payload::None)))),
            ("gre 4294967295 {MACS}", Upper::Gre(Some(u32::MAX), Box::new(plain(Payload::None)))),
            ("nvgre 257 {MACS}", Upper::Gre(Some(0x1_0100), Box::new(plain(Payload::None)))),
        ] {
            let text = text.replace("{MACS}", MACS);
            assert_eq!(read(&format!("10.0.0.1 to 10.0.0.2 {text}")), over(upper));
        }
        let v6 = Payload::Ip(ip("fe80::1"), ip("ff02::1"), Upper::None);
        assert_eq!(read("fe80::1 to ff02::1 length 90"), Frame { length: Some(90), ..plain(v6) });
        let all = frame("02:00:00:00:00:01 to broadcast").unwrap();
        assert_eq!(all.destination, MacAddr::BROADCAST);
    }

    #[test]
    fn each_mistake_is_told() {
        let error = |text: &str| frame(text).unwrap_err();
        assert_eq!(error(""), "a MAC address is missing: a frame begins 'MAC to MAC'");
        assert_eq!(error("02:00:00:00:00:01"), "'to' is missing at the end");
        assert!(error("02:00:00:00:00 to x").starts_with("'02:00:00:00:00' is not a MAC address"));
        let behind = |text: &str| error(&format!("{MACS} {text}"));
        assert_eq!(behind("vlan 4096"), "VLAN 4096: a VLAN ID is from 0 to 4095");
        assert_eq!(behind("vlan x"), "'x' stands where a VLAN ID, from 0 to 4095 is expected");
        assert_eq!(behind("arp who-has 10.0.0.1"), "'arp who-has IP' is followed by 'tell IP'");
        assert_eq!(behind("arp who-has ::1 tell ::2"), "ARP is for IPv4 addresses");
        assert_eq!(behind("10.0.0.1 to fe80::1"), "10.0.0.1 and fe80::1 are not of one family");
        assert_eq!(behind("10.0.0.1 at 10.0.0.2"), "'at' stands where 'to' is expected");
        assert_eq!(behind("10.0.0.1 to 10.0.0.2 udp 1 to"), "a port is missing at the end");
        let id = behind("10.0.0.1 to 10.0.0.2 vxlan 16777216");
        assert_eq!(id, "16777216: a network's ID is from 0 to 16777215");
        assert!(behind("ip 10.0.0.1").starts_with("'ip' cannot stand here"));
    }
}
