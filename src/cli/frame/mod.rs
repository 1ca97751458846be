//! Frames as people write them: hexadecimal digits, words, captures.

mod build;
pub mod capture;
mod describe;
mod words;

pub use describe::describe;

use crate::api::from_hex;

/// The paragraph on frames in `--help`.
pub const HELP: &str = "\
Words for a frame, from outside to inside; '>' needs quotes in a shell, and 'to' is the same:
  MAC to MAC                          the stations; 'broadcast' is a MAC
  vlan N                              a tag, perhaps two
  arp [who-has IP tell IP]            a request
  IP to IP                            IPv4 or IPv6
  udp N to N, tcp N to N, icmp        over IP: ports, or an echo request
  vxlan VNI [group N], gre [KEY], nvgre VSID
                                      over IP: a tunnel, and then the words of the inner frame
  length N                            bytes of the frame whose words it follows

Examples:
  ferry trace vm1 02:00:00:00:00:01 to 02:00:00:00:00:02 vlan 10 arp who-has 10.0.0.2 tell 10.0.0.1
  ferry trace up0 02:00:00:00:11:01 to 02:00:00:00:11:02 192.0.2.2 to 192.0.2.1 vxlan 101 \\
      02:00:00:00:00:02 to 02:00:00:00:00:01 10.0.0.2 to 10.0.0.1 icmp";

/// A frame from the arguments of the command line.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn parse(arguments: &[String]) -> Result<Vec<u8>, String> {
    let text = arguments.join(" ");
    let digits: String = text.chars().filter(|of| !of.is_whitespace()).collect();
    if digits.chars().all(|of| of.is_ascii_hexdigit()) {
        return from_hex(&digits);
    }
    words::frame(&text).and_then(|frame| build::build(&frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<u8>, String> {
        parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn digits_or_words() {
        assert_eq!(parsed("0200 00 0000 01"), Ok(vec![2, 0, 0, 0, 0, 1]));
        assert_eq!(parsed("02:00:00:00:00:01 to broadcast").map(|of| of.len()), Ok(60));
        let odd = "3 hexadecimal digits, where a byte has two";
        assert_eq!(parsed("abc"), Err(odd.to_owned()));
    }
}
