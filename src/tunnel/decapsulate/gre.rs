//! GRE (RFC 2784, RFC 2890) in what IP carries.

use super::ip::Segment;
use super::{Inner, Label, Outer};
use crate::drop_reason::DropReason;
use crate::wire::{Malformed, checksum, ethernet, gre};

pub(super) fn decapsulate(segment: &Segment) -> Result<Outer, DropReason> {
    let truncated = |_| DropReason::TruncatedGre;
    let (header, rest) = gre::Header::parse(segment.bytes).map_err(truncated)?;
    // Tunnels of other payloads may be the kernel's.
    if header.protocol.get() != gre::ETHERNET {
        return Ok(Outer::Punt);
    }
    if segment.is_fragment {
        return Err(DropReason::Fragment);
    }
    let options = header.options(rest).map_err(|malformed| match malformed {
        Malformed::Truncated(_) => DropReason::TruncatedGre,
        _ => DropReason::GreFlags,
    })?;
    if options.length > segment.length {
        return Err(DropReason::TruncatedGre);
    }
    if options.checksum {
        let bytes = segment.bytes.get(..segment.length).ok_or(DropReason::Segmented)?;
        if !checksum::verify(bytes) {
            return Err(DropReason::GreChecksum);
        }
    }
    if segment.length < options.length + ethernet::LENGTH {
        return Err(DropReason::InnerTruncated);
    }
    let extended = options.checksum || options.sequence.is_some();
    let label = Label::Gre { key: options.key, extended };
    let (offset, end) = (segment.at + options.length, segment.at + segment.length);
    let inner = Inner::new(segment.source, label, offset, end);
    Ok(Outer::Tunnel(Inner { sequence: options.sequence, class: segment.class, ..inner }))
}
