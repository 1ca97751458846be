//! `ferry trace`: what a running process would do with frames, and why.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::frame::capture::{self, CaptureError};
use super::list::{port_of, write_json};
use super::plan::{Frames, Trace};
use super::units::duration;
use crate::api::client::{Client, ClientError};
use crate::api::model::{
    self, Decision, Effect, Encap, FloodKind, MacKind, Outer, Place, Role, Station, UdpChecksum,
};

/// Why nothing, or not all, was traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file.
    #[error("{} cannot be read: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("{}: {source}", file.display())]
    Capture {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: CaptureError,
    },
    /// The running process gave no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Asks the running process about each frame, and writes what it says. Ends without an error when the reader of the output
/// goes away.
///
/// # Errors
/// The file, the process that does not answer or refuses, or the output.
pub fn trace(plan: &Trace, output: impl Write) -> Result<(), TraceError> {
    let mut output = BufWriter::new(output);
    match run(plan, &mut output).and_then(|()| Ok(output.flush()?)) {
        Err(TraceError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn run(plan: &Trace, output: &mut impl Write) -> Result<(), TraceError> {
    let Trace { port, frames, json, socket } = plan;
    let list = match frames {
        Frames::One(frame) => vec![frame.clone()],
        Frames::Capture(file) => read(file)?,
    };
    let mut client = Client::connect(socket)?;
    let mut traces = list.iter().map(|frame| client.trace(port, frame));
    match (frames, json) {
        (Frames::One(_), true) => {
            for trace in traces {
                write_json(&trace?, output)?;
            }
        }
        (Frames::Capture(_), true) => {
            let traces: Vec<_> = traces.collect::<Result<_, _>>()?;
            write_json(&traces, output)?;
        }
        (_, false) => traces.by_ref().enumerate().try_for_each(|(number, trace)| {
            if number > 0 {
                writeln!(output)?;
            }
            Ok::<_, TraceError>(write(&trace?, output)?)
        })?,
    }
    Ok(())
}

/// The frames of a file; `-` is the standard input.
fn read(file: &Path) -> Result<Vec<Vec<u8>>, TraceError> {
    let unreadable = |source| TraceError::File { file: file.to_owned(), source };
    let input: Box<dyn Read + Send> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(file).map_err(unreadable)?),
    };
    let damaged = |source| TraceError::Capture { file: file.to_owned(), source };
    capture::read(input).map_err(damaged)
}

/// Writes a trace, a line a stage.
pub(super) fn write(trace: &model::Trace, output: &mut impl Write) -> io::Result<()> {
    let mut line = |stage: &str, text: &str| writeln!(output, "{stage:<13}{text}");
    line("port", &format!("{} ({}), {} bytes", trace.port, role(trace.role), trace.length))?;
    if let Some(ingress) = &trace.ingress {
        let from = place(&ingress.place).unwrap_or("a VTEP that is no peer yet".to_owned());
        let group = ingress.group.map_or(String::new(), |group| format!(", group {group}"));
        line("network", &format!("{} '{}', from {from}{group}", ingress.vni, ingress.network))?;
    }
    for (stage, found) in [("source", &trace.source), ("destination", &trace.destination)] {
        if let Some(found) = found {
            line(stage, &station(found))?;
        }
    }
    if let Some(decision) = &trace.decision {
        line("decision", &self::decision(decision))?;
    }
    for effect in &trace.effects {
        line("besides", &self::effect(effect))?;
    }
    for sent in &trace.sent {
        line("sent", &format!("by {} ({}), {} bytes", sent.port, role(sent.role), sent.length))?;
        if let Some(outer) = &sent.outer {
            for text in headers(outer) {
                line("", &text)?;
            }
        }
    }
    if trace.more > 0 {
        line("sent", &format!("{} more", trace.more))?;
    }
    for drop in &trace.drops {
        let times = if drop.packets > 1 { format!(" x {}", drop.packets) } else { String::new() };
        line("dropped", &format!("{}{times} at {}: {}", drop.reason, drop.port, drop.meaning))?;
        line("", &format!("-> {}", drop.remedy))?;
    }
    Ok(())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Access => "access",
        Role::Underlay => "underlay",
        Role::Twin => "kernel twin",
    }
}

fn place(place: &Place) -> Option<String> {
    match (port_of(place), place.peer) {
        (Some(port), _) => Some(format!("port {port}")),
        (None, Some(group)) if group.is_multicast() => Some(format!("group {group}")),
        (None, Some(peer)) => Some(format!("peer {peer}")),
        (None, None) => None,
    }
}

fn station(Station { mac, known }: &Station) -> String {
    let Some(known) = known else { return format!("{mac}, not known") };
    let at = place(&known.place).unwrap_or("nowhere".to_owned());
    let frozen = if known.frozen { ", frozen there" } else { "" };
    match (known.kind, known.age_seconds) {
        (MacKind::Static, _) => format!("{mac}, static at {at}"),
        (MacKind::Learned, Some(age)) => {
            format!("{mac}, learned at {at}, seen {} ago{frozen}", duration(age))
        }
        (MacKind::Learned, None) => format!("{mac}, learned at {at}{frozen}"),
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Send { to } => format!("to {}", place(to).unwrap_or("nowhere".to_owned())),
        Decision::Flood { kind } => match kind {
            FloodKind::Broadcast => "flood: broadcast",
            FloodKind::Multicast => "flood: multicast",
            FloodKind::UnknownUnicast => "flood: its destination is not known",
        }
        .to_owned(),
        Decision::Drop { reason } => format!("drop: {reason}"),
    }
}

fn effect(effect: &Effect) -> String {
    let of = |peer: &Option<IpAddr>| peer.map_or(String::new(), |peer| format!(" of peer {peer}"));
    match effect {
        Effect::Learn { mac, place: at } => match place(at) {
            Some(at) => format!("{mac} to be learned at {at}"),
            None => format!("{mac} to be learned once its VTEP is a peer"),
        },
        Effect::Bind { ip, mac } => format!("{ip} to be noted as the address of {mac}"),
        Effect::LearnPeer { peer } => format!("{peer} to become a peer"),
        Effect::Resolve { peer } => format!("the next hop{} to be looked for", of(peer)),
        Effect::Narrow { peer, mtu } => {
            format!("the path to peer {peer} to be taken to carry {mtu} bytes at most")
        }
        Effect::Snoop => "IGMP or MLD: what it says of members to be noted".to_owned(),
        Effect::Suppress => "answered here, and not flooded (arp_suppression)".to_owned(),
        Effect::TellSize => "the sender is told which size fits".to_owned(),
        Effect::Fragment => "sent in fragments of the outer packet (oversize.others)".to_owned(),
        Effect::Hold => "kept until all fragments of its packet are there".to_owned(),
        Effect::FloodOn => "the flood goes on, 64 targets at a time".to_owned(),
    }
}

/// Outer headers, a line each.
fn headers(outer: &Outer) -> Vec<String> {
    let hop = match outer.next_hop {
        Some(hop) if hop != outer.destination => format!(", next hop {hop}"),
        Some(_) | None => String::new(),
    };
    let ip = if outer.destination.is_ipv6() { ("IPv6", "hop limit") } else { ("IPv4", "TTL") };
    let mut lines = vec![
        format!("Ethernet {} to {}{hop}", outer.source_mac, outer.destination_mac),
        format!("{} {} to {}, {} {}", ip.0, outer.source, outer.destination, ip.1, outer.ttl),
    ];
    if let Some(udp) = &outer.udp {
        let checksum = match udp.checksum {
            Some(UdpChecksum::Zero) => ", no checksum",
            Some(UdpChecksum::Software) => ", with checksum",
            Some(UdpChecksum::Device) => ", checksum by the device",
            None => "",
        };
        lines.push(format!("UDP {} to {}{checksum}", udp.source, udp.destination));
    }
    let (encap, id) = match outer.encap {
        Encap::Vxlan => ("VXLAN", "VNI"),
        Encap::Nvgre => ("NVGRE", "VSID"),
        Encap::Gre => ("GRE", "key"),
    };
    let id = outer.id.map_or(String::new(), |value| format!(" {id} {value}"));
    let group = outer.group.map_or(String::new(), |group| format!(", group {group}"));
    lines.push(format!("{encap}{id}{group}, {} bytes within", outer.inner_length));
    lines
}
