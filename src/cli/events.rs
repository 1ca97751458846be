//! `ferry events`: what happens in a running process, until it or the reader ends.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::Path;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::list::port_of;
use super::show::ShowError;
use crate::api::client::Client;
use crate::api::{Event, MacEvent, Place};

/// Writes a line for each event as it comes.
///
/// # Errors
/// The process gives no answer, or the output cannot be written.
pub fn events(socket: &Path, json: bool, mut output: impl Write) -> Result<(), ShowError> {
    let mut written = Ok(());
    Client::connect(socket)?.events(|event| {
        written = line(event, json, &mut output);
        written.is_ok()
    })?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn line(event: &Event, json: bool, output: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *output, event)?;
        writeln!(output)?;
    } else {
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now)).map_err(io::Error::other)?;
        writeln!(output, "{now}  {}", Words(event))?;
    }
    output.flush()
}

/// An event in words.
struct Words<'e>(&'e Event);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::MacLearned(mac) => write!(f, "{}: learned at {}", Mac(mac), At(&mac.place)),
            Event::MacMoved { mac, from } => {
                write!(f, "{}: moved from {} to {}", Mac(mac), At(from), At(&mac.place))
            }
            Event::MacAged(mac) => write!(f, "{}: forgotten at {}", Mac(mac), At(&mac.place)),
            Event::PeerUp { peer, port, next_hop, mac } => {
                write!(f, "peer {peer}: up, next hop {next_hop} is {mac} by {port}")
            }
            Event::PeerDown { peer, routed: true } => {
                write!(f, "peer {peer}: down, its next hop does not answer")
            }
            Event::PeerDown { peer, routed: false } => {
                write!(f, "peer {peer}: down, no route by an underlay port")
            }
            Event::PortAdded { port } => write!(f, "port {port}: added"),
            Event::PortRemoved { port } => write!(f, "port {port}: removed"),
            Event::LinkUp { port } => write!(f, "port {port}: link up"),
            Event::LinkDown { port, gone: false } => write!(f, "port {port}: link down"),
            Event::LinkDown { port, gone: true } => write!(f, "port {port}: interface gone"),
            Event::Lost { events } => write!(f, "{events} events lost: there were too many"),
        }
    }
}

struct Mac<'m>(&'m MacEvent);

impl Display for Mac<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MacEvent { vni, network, mac, .. } = self.0;
        write!(f, "network {vni} {network}, {mac}")
    }
}

struct At<'p>(&'p Place);

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (port_of(self.0), self.0.peer) {
            (Some(port), _) => f.write_str(&port),
            (None, Some(peer)) => write!(f, "{peer}"),
            (None, None) => f.write_str("a place that is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_words() {
        let place = Place { port: Some("trunk0".to_owned()), vlan: Some(10), ..Place::default() };
        let (network, mac) = ("a".to_owned(), "02:00:00:00:00:01".to_owned());
        let mac = MacEvent { vni: 101, network, mac, place };
        let from = Place { peer: Some([192, 0, 2, 2].into()), ..Place::default() };
        let moved = Event::MacMoved { mac: mac.clone(), from };
        let words = "network 101 a, 02:00:00:00:00:01: moved from 192.0.2.2 to trunk0.10";
        assert_eq!(Words(&moved).to_string(), words);
        let aged = Event::MacAged(MacEvent { place: Place::default(), ..mac });
        let words = "network 101 a, 02:00:00:00:00:01: forgotten at a place that is gone";
        assert_eq!(Words(&aged).to_string(), words);
    }
}
