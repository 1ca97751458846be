//! `/ferry/…` on DPDK's telemetry socket: what `/metrics` says, for tools that speak to any DPDK program.

use std::ffi::CStr;
use std::sync::Arc;

use super::metrics::Reading;
use super::model::{DropCount, Link, Port, Worker};
use super::query::{Handle, Query};
use crate::config::Metrics;
use crate::dpdk::{self, Answer, Telemetry};
use crate::drop_reason::DropReason;

/// Each command, and its help.
const COMMANDS: [(&CStr, &CStr); 8] = [
    (c"/ferry/totals", c"Where all packets went."),
    (c"/ferry/ports", c"Names of all ports."),
    (c"/ferry/port", c"Counters of a port. Parameters: string port_name"),
    (
        c"/ferry/drops",
        c"Drops by reason, of all ports or of one. Parameters: string port_name (optional)",
    ),
    (c"/ferry/workers", c"Cores of all workers."),
    (c"/ferry/worker", c"Counters of a worker. Parameters: int core"),
    (c"/ferry/peers", c"Remote VTEPs, by whether packets to them can leave."),
    (c"/ferry/tables", c"Entries and limits of all networks' tables."),
];

/// Answers commands from now on, on DPDK's threads, until dropped.
///
/// # Errors
/// DPDK does not take the commands.
pub fn answer_telemetry(handle: Handle) -> Result<Telemetry, dpdk::Error> {
    let read = move |command: &str, parameter: &str| {
        let reading = handle.ask_and_wait(|reply| Query::Reading { of: Metrics::default(), reply });
        answer(&reading.ok()?, command, parameter)
    };
    Telemetry::register(&COMMANDS, Arc::new(read))
}

fn answer(reading: &Reading, command: &str, parameter: &str) -> Option<Answer> {
    let Reading { ports, workers, .. } = reading;
    Some(match command {
        "/ferry/totals" => totals(reading),
        "/ferry/ports" => Answer::Names(ports.iter().map(|port| port.name.clone()).collect()),
        "/ferry/port" => self::port(ports.iter().find(|port| port.name == parameter)?),
        "/ferry/drops" => drops(reading, parameter)?,
        "/ferry/workers" => {
            Answer::Names(workers.iter().map(|worker| worker.core.to_string()).collect())
        }
        "/ferry/worker" => {
            let core: u32 = parameter.parse().ok()?;
            self::worker(workers.iter().find(|worker| worker.core == core)?)
        }
        "/ferry/peers" => Answer::Numbers(reading.peers.to_vec()),
        "/ferry/tables" => tables(reading),
        _ => return None,
    })
}

fn totals(Reading { totals, networks, .. }: &Reading) -> Answer {
    Answer::Numbers(vec![
        ("rx_packets", totals.rx),
        ("copied_packets", totals.copies),
        ("tx_packets", totals.tx),
        ("dropped_packets", totals.drops),
        ("merged_packets", totals.merged),
        ("held_packets", totals.held),
        ("events_lost", totals.events_lost),
        ("peers_refused", totals.peers_refused),
        ("uptime_seconds", totals.uptime_seconds),
        ("networks", *networks),
    ])
}

fn port(port: &Port) -> Answer {
    Answer::Numbers(vec![
        ("link_up", u64::from(port.link == Link::Up)),
        ("rx_packets", port.rx_packets),
        ("rx_bytes", port.rx_bytes),
        ("rx_missed", port.rx_missed),
        ("rx_errors", port.rx_errors),
        ("rx_no_buffer", port.rx_no_buffer),
        ("tx_packets", port.tx_packets),
        ("tx_bytes", port.tx_bytes),
        ("tx_errors", port.tx_errors),
        ("dropped_packets", port.drops),
    ])
}

/// All reasons, also those that never happened, so that graphs begin at zero.
fn drops(Reading { ports, drops, .. }: &Reading, port: &str) -> Option<Answer> {
    if !port.is_empty() && !ports.iter().any(|of| of.name == port) {
        return None;
    }
    let packets = |reason: DropReason| {
        let of = |drop: &&DropCount| {
            drop.reason == reason.name() && (port.is_empty() || drop.port == port)
        };
        drops.iter().filter(of).map(|drop| drop.packets).sum()
    };
    let numbers = DropReason::ALL.iter().map(|reason| (reason.name(), packets(*reason)));
    Some(Answer::Numbers(numbers.collect()))
}

fn worker(worker: &Worker) -> Answer {
    let milliseconds = |seconds: f64| (seconds * 1000.0) as u64;
    Answer::Numbers(vec![
        ("busy_milliseconds", milliseconds(worker.busy_seconds)),
        ("idle_milliseconds", milliseconds(worker.idle_seconds)),
        ("rx_packets", worker.rx_packets),
        ("tx_packets", worker.tx_packets),
        ("bursts", worker.bursts),
        ("polls", worker.polls),
        ("empty_polls", worker.empty_polls),
    ])
}

fn tables(Reading { tables, .. }: &Reading) -> Answer {
    Answer::Numbers(vec![
        ("macs_learned", tables.macs.learned),
        ("macs_static", tables.macs.fixed),
        ("mac_limit", tables.macs.limit),
        ("macs_refused", tables.macs_refused),
        ("macs_frozen", tables.macs_frozen),
        ("mac_moves", tables.mac_moves),
        ("neighbours_learned", tables.neighbours.learned),
        ("neighbours_static", tables.neighbours.fixed),
        ("neighbour_limit", tables.neighbours.limit),
        ("groups_learned", tables.groups.learned),
        ("groups_static", tables.groups.fixed),
        ("group_limit", tables.groups.limit),
    ])
}
