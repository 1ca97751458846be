//! The decision on a packet from the underlay: ours to decapsulate, the kernel's, or bad.
//!
//! Pure: bytes in, verdict out. The checks are those of RFC 7348 sections 4.1 and 5 and RFC 1122 section 3.2.

use std::net::Ipv4Addr;

use crate::drop_reason::DropReason;
use crate::wire::checksum;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;
const VXLAN: usize = 8;
const PROTOCOL_UDP: u8 = 17;
const I_FLAG: u8 = 0x08;

/// Our own tunnel end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// The address that outer packets come to.
    pub address: Ipv4Addr,
    /// The UDP port that VXLAN comes to.
    pub udp_port: u16,
}

/// What is known of a packet besides the bytes of its first segment.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes of the whole packet.
    pub length: usize,
    /// Whether the device found the IPv4 header checksum right; if not, it is computed here.
    pub ipv4_verified: bool,
    /// Whether the device found the UDP checksum right; if not, a non-zero one is computed here.
    pub udp_verified: bool,
}

/// What becomes of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// A tunnel packet.
    Tunnel(Inner),
    /// Not tunnel traffic: for the kernel.
    Punt,
}

/// Where the tenant's frame lies in a tunnel packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The 24-bit network ID.
    pub vni: u32,
    /// The sending VTEP.
    pub source: Ipv4Addr,
    /// Bytes before the inner frame.
    pub offset: usize,
    /// Bytes up to its end; what follows is Ethernet padding.
    pub end: usize,
}

/// Decides on an Ethernet frame from an underlay port.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn decapsulate(frame: &[u8], vtep: Vtep, received: Received) -> Result<Outer, DropReason> {
    let ethernet: &[u8; ETHERNET] = frame.first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    if ethernet[12..14] != [0x08, 0x00] {
        return Ok(Outer::Punt);
    }
    let ip: &[u8; IPV4] = frame[ETHERNET..].first_chunk().ok_or(DropReason::TruncatedIpv4)?;
    let ip_header = usize::from(ip[0] & 0x0f) * 4;
    let ip_length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if ip[0] >> 4 != 4
        || ip_header < IPV4
        || ip_length < ip_header
        || received.length < ETHERNET + ip_length
    {
        return Err(DropReason::Ipv4Header);
    }
    if !received.ipv4_verified {
        let header = frame.get(ETHERNET..ETHERNET + ip_header).ok_or(DropReason::TruncatedIpv4)?;
        if !checksum::verify(header) {
            return Err(DropReason::Ipv4Checksum);
        }
    }
    let destination = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    if ip[9] != PROTOCOL_UDP || destination != vtep.address {
        return Ok(Outer::Punt);
    }
    // More-fragments flag and offset: a later fragment has no ports to tell whose it is.
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
    if fragment & 0x1fff != 0 {
        return Ok(Outer::Punt);
    }
    let udp_at = ETHERNET + ip_header;
    let udp: &[u8; UDP] =
        frame.get(udp_at..).and_then(<[u8]>::first_chunk).ok_or(DropReason::UdpLength)?;
    if u16::from_be_bytes([udp[2], udp[3]]) != vtep.udp_port {
        return Ok(Outer::Punt);
    }
    if fragment != 0 {
        return Err(DropReason::Fragment);
    }
    let udp_length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    if udp_length < UDP || ip_header + udp_length > ip_length {
        return Err(DropReason::UdpLength);
    }
    let end = udp_at + udp_length;
    if udp[6..8] != [0, 0] && !received.udp_verified {
        let segment = frame.get(udp_at..end).ok_or(DropReason::Segmented)?;
        let source = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
        if !checksum::verify_udp_v4(source, destination, segment) {
            return Err(DropReason::UdpChecksum);
        }
    }
    if udp_length < UDP + VXLAN {
        return Err(DropReason::TruncatedVxlan);
    }
    if udp_length < UDP + VXLAN + ETHERNET {
        return Err(DropReason::InnerTruncated);
    }
    let offset = udp_at + UDP + VXLAN;
    let vxlan: &[u8; VXLAN] =
        frame.get(udp_at + UDP..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Segmented)?;
    if vxlan[0] & I_FLAG == 0 {
        return Err(DropReason::VxlanFlags);
    }
    Ok(Outer::Tunnel(Inner {
        vni: u32::from_be_bytes([0, vxlan[4], vxlan[5], vxlan[6]]),
        source: Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]),
        offset,
        end,
    }))
}
