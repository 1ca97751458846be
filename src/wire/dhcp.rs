//! DHCP for IPv4 (RFC 2131), as far as it says which address was given to which MAC.

use std::net::Ipv4Addr;

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MacAddr, Malformed, Protocol, view};

/// UDP port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

const REPLY: u8 = 2;
const ETHERNET: u8 = 1;
/// What options begin behind (RFC 2132 section 2).
const COOKIE: u32 = 0x6382_5363;

const PAD: u8 = 0;
const MESSAGE_TYPE: u8 = 53;
const END: u8 = 255;
const ACKNOWLEDGEMENT: u8 = 5;

/// The fixed part of a message and the cookie: 240 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Message {
    operation: u8,
    hardware: u8,
    hardware_length: u8,
    hops: u8,
    transaction: U32,
    seconds: U16,
    flags: U16,
    client: [u8; 4],
    yours: [u8; 4],
    server: [u8; 4],
    relay: [u8; 4],
    mac: MacAddr,
    mac_padding: [u8; 10],
    server_name: [u8; 64],
    file: [u8; 128],
    cookie: U32,
}

impl Message {
    /// The fixed part, and the options behind it.
    ///
    /// # Errors
    /// Cut off, another kind of network, or BOOTP without options.
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        let (message, options) = view::<Self>(bytes, Protocol::Dhcp)?;
        let types = (message.hardware, message.hardware_length, message.cookie.get());
        if types == (ETHERNET, 6, COOKIE) {
            Ok((message, options))
        } else {
            Err(Malformed::Types(Protocol::Dhcp))
        }
    }

    /// The address that a server's acknowledgement gives, and whom to; `None` for all other messages.
    pub fn acknowledges(&self, options: &[u8]) -> Option<(Ipv4Addr, MacAddr)> {
        let acknowledged = self.operation == REPLY
            && option(options, MESSAGE_TYPE) == Some(&[ACKNOWLEDGEMENT])
            // An answer to DHCPINFORM gives none.
            && self.yours != [0; 4];
        acknowledged.then_some((self.yours.into(), self.mac))
    }
}

/// The first option with a code.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        options = match *options {
            [PAD, ref rest @ ..] => rest,
            [END, ..] => return None,
            [code, length, ref rest @ ..] => {
                let (value, rest) = rest.split_at_checked(length.into())?;
                if code == wanted {
                    return Some(value);
                }
                rest
            }
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(operation: u8, yours: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[operation, 1, 6, 0]);
        bytes[16..20].copy_from_slice(&yours);
        bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        bytes[236..].copy_from_slice(&COOKIE.to_be_bytes());
        bytes
    }

    fn given(bytes: &[u8]) -> Result<Option<(Ipv4Addr, MacAddr)>, Malformed> {
        Message::parse(bytes).map(|(message, options)| message.acknowledges(options))
    }

    #[test]
    fn an_acknowledgement_and_what_is_none() {
        let with =
            |operation, yours, options: &[u8]| [message(operation, yours), options.into()].concat();
        let ack: &[u8] = &[0, 54, 4, 10, 0, 0, 254, 53, 1, 5, 255];
        let client = (Ipv4Addr::new(10, 0, 0, 7), MacAddr([2, 0, 0, 0, 0, 1]));
        assert_eq!(given(&with(2, [10, 0, 0, 7], ack)), Ok(Some(client)));
        for other in [
            with(1, [10, 0, 0, 7], ack),
            with(2, [0; 4], ack),
            with(2, [10, 0, 0, 7], &[53, 1, 2, 255]),
            with(2, [10, 0, 0, 7], &[255, 53, 1, 5]),
            with(2, [10, 0, 0, 7], &[53, 2, 5]),
            with(2, [10, 0, 0, 7], &[53]),
            with(2, [10, 0, 0, 7], &[]),
        ] {
            assert_eq!(given(&other), Ok(None), "{:?}", &other[240..]);
        }
    }

    #[test]
    fn other_types_and_short_messages() {
        let whole = message(2, [10, 0, 0, 7]);
        assert_eq!(given(&whole[..239]), Err(Malformed::Truncated(Protocol::Dhcp)));
        for at in [1, 2, 236] {
            let mut other = whole.clone();
            other[at] = 9;
            assert_eq!(given(&other), Err(Malformed::Types(Protocol::Dhcp)));
        }
    }
}
