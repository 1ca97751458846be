//! Arguments, and what they ask for.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::exit::Exit;
use super::frame;
use super::log;
use super::network_id::NetworkId;
use super::parts::{MacChange, NetChange, PeerChange, PortChange};
use super::plan::{Capture, Change, Frames, Plan, Show, Trace, TraceLive, Wanted};
use crate::api::client::{Client, ClientError};
use crate::api::model::{MacKind, NeighbourKind, Version};
use crate::api::{
    CaptureRequest, DEFAULT_SOCKET, Direction, LiveRequest, MacFilter, MacPrefix, NeighbourFilter,
};

/// What a running process can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Resource {
    /// DPDK ports, with counters
    Ports,
    /// Networks, with ports and peers
    Networks,
    /// MAC addresses, learned and static
    Macs(#[command(flatten)] MacArguments),
    /// Addresses and their MACs, in networks with arp_suppression
    Neighbours(#[command(flatten)] NeighbourArguments),
    /// Members of multicast groups
    Groups,
    /// Remote VTEPs, and whether packets to them can leave
    Peers,
    /// Mirrors, and how much they copied
    Mirrors,
    /// Forwarding cores, and how busy they are
    Workers,
    /// Dropped packets by port and reason, with what to do
    Drops {
        /// Also reasons that never happened
        #[arg(long)]
        all: bool,
    },
    /// Where all packets went, and packet memory
    Totals,
    /// The running configuration, as a file could say it
    Config,
}

/// Which MACs to list.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct MacArguments {
    /// Only those of this network, by its VNI or its name
    #[arg(long, visible_alias = "vni", value_name = "NETWORK")]
    network: Option<NetworkId>,
    /// Only this MAC, or those that begin like this
    #[arg(long, value_name = "MAC")]
    mac: Option<MacPrefix>,
    /// Only those behind this access port
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
    /// Only those behind this VTEP
    #[arg(long, value_name = "IP", conflicts_with = "port")]
    peer: Option<IpAddr>,
    /// Only static or only learned ones
    #[arg(long, value_name = "KIND", value_parser = kind(MAC_KINDS))]
    kind: Option<MacKind>,
    /// Only learned ones that were last seen so many seconds ago, or longer
    #[arg(long, value_name = "SECONDS")]
    min_age: Option<u64>,
    /// Only learned ones that were last seen so many seconds ago, or later
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
}

/// Which addresses to list.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct NeighbourArguments {
    /// Only those of this network, by its VNI or its name
    #[arg(long, visible_alias = "vni", value_name = "NETWORK")]
    network: Option<NetworkId>,
    /// Only those of this MAC
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// Only those that came to be known in this way
    #[arg(long, value_name = "KIND", value_parser = kind(NEIGHBOUR_KINDS))]
    kind: Option<NeighbourKind>,
}

impl NeighbourArguments {
    /// As the API wants it.
    pub(super) fn filter(&self, client: &mut Client) -> Result<NeighbourFilter, ClientError> {
        let vni = self.network.as_ref().map(|network| network.vni(client)).transpose()?;
        let (mac, kind) = (self.mac.clone(), self.kind);
        Ok(NeighbourFilter { vni, mac, kind, ..Default::default() })
    }
}

const MAC_KINDS: [(&str, MacKind); 2] =
    [("static", MacKind::Static), ("learned", MacKind::Learned)];
const NEIGHBOUR_KINDS: [(&str, NeighbourKind); 4] = [
    ("static", NeighbourKind::Static),
    ("arp", NeighbourKind::Arp),
    ("nd", NeighbourKind::Nd),
    ("dhcp", NeighbourKind::Dhcp),
];

/// One of some kinds, by name.
fn kind<T: Copy + Send + Sync + 'static, const N: usize>(
    kinds: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(kinds.map(|(name, _)| name)).try_map(move |text| {
        let found = kinds.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or("no such kind")
    })
}

impl MacArguments {
    /// As the API wants it.
    pub(super) fn filter(&self, client: &mut Client) -> Result<MacFilter, ClientError> {
        let vni = self.network.as_ref().map(|network| network.vni(client)).transpose()?;
        Ok(MacFilter {
            vni,
            mac: self.mac.clone(),
            port: self.port.clone(),
            peer: self.peer,
            kind: self.kind,
            min_age: self.min_age,
            max_age: self.max_age,
            ..Default::default()
        })
    }
}

/// Ferry carries tenants' Ethernet over VXLAN, with DPDK.
#[derive(Parser)]
#[command(name = "ferry", subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Forward packets, until SIGINT or SIGTERM; SIGHUP has the file read again
    Run {
        /// Configuration file (YAML)
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file: all errors at once, without starting anything
    Check {
        /// Configuration file (YAML)
        #[arg(value_name = "FILE")]
        config: PathBuf,
    },
    /// Look at this machine: huge pages, cores, NICs, MTU; what to do where they do not suit a configuration
    Doctor {
        /// Configuration file (YAML)
        #[arg(value_name = "FILE")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of configuration files, by which editors complete and check them
    Schema {
        /// Print the page of all keys instead, for people
        #[arg(long)]
        markdown: bool,
    },
    /// Print completions for a shell, to be put where it looks for them
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one a command, into a folder
    Manual {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Have a running Ferry follow a configuration file: what stays is not disturbed, and an error changes nothing
    Apply {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        at: At,
    },
    /// Say how a configuration file differs from what runs; exit code 0: not at all, 1: it does, 2: trouble
    Diff {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        at: At,
    },
    /// Add, replace or remove a network of a running Ferry, until it is started anew
    Net {
        #[command(subcommand)]
        change: NetChange,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        at: At,
    },
    /// Add, replace or remove an access port of a running Ferry, until it is started anew
    Port {
        #[command(subcommand)]
        change: PortChange,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        at: At,
    },
    /// Add, replace or remove static MACs of a running Ferry, until it is started anew; forget learned ones
    Mac {
        #[command(subcommand)]
        change: MacChange,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        at: At,
    },
    /// Add, replace or remove a flood peer of a network of a running Ferry, until it is started anew
    Peer {
        #[command(subcommand)]
        change: PeerChange,
        #[command(flatten)]
        dry_run: DryRun,
        #[command(flatten)]
        at: At,
    },
    /// Print what happens in a running Ferry: MACs learned, moved and forgotten, peers, ports and links up and down
    Events {
        /// Print JSON, one event a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Say what a running Ferry would do with a frame, and why, without sending anything; or what it does with real ones (--live)
    #[command(after_help = frame::HELP)]
    Trace {
        /// The port that the frame comes in by
        #[arg(value_name = "PORT", required_unless_present = "live")]
        port: Option<String>,
        /// The frame, without its FCS: hexadecimal digits, or words
        #[arg(value_name = "FRAME", required_unless_present_any = ["read", "live"])]
        frame: Vec<String>,
        /// The frames of a capture instead (pcap or pcapng); - is the standard input
        #[arg(short, long, value_name = "FILE", conflicts_with = "frame")]
        read: Option<PathBuf>,
        /// Samples of the frames that really come in instead, and what becomes of them, until SIGINT: all, or those that a
        /// filter wants, as tcpdump has it: 'udp port 53'
        #[arg(long, value_name = "EXPRESSION", num_args = 0.., conflicts_with_all = ["port", "read"])]
        live: Option<Vec<String>>,
        /// With --live: only frames that come in by this port
        #[arg(
            short,
            long = "port",
            value_name = "NAME",
            requires = "live",
            conflicts_with = "port"
        )]
        by: Option<String>,
        /// With --live: end after so many
        #[arg(short, long, value_name = "FRAMES", requires = "live", conflicts_with = "port", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// With --live: at most so many a second
        #[arg(
            long,
            value_name = "FRAMES",
            requires = "live",
            conflicts_with = "port",
            default_value_t = LiveRequest::usual_rate(),
            value_parser = clap::value_parser!(u32).range(1..=i64::from(LiveRequest::MOST))
        )]
        rate: u32,
        /// Print JSON, as POST /v1/trace answers it; with --live a line each
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Write what passes a port to a file (pcapng), until SIGINT; dropped frames come again, with the reason as comment
    Capture {
        /// The port
        #[arg(short, long, value_name = "NAME")]
        port: String,
        /// Which frames, as tcpdump has it: 'udp port 53'
        #[arg(short, long, value_name = "EXPRESSION")]
        filter: Option<String>,
        /// Where to; - is the standard output
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        write: PathBuf,
        /// End after so many
        #[arg(short, long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
        /// Which way, as Ferry sees it
        #[arg(short, long, value_enum, default_value_t)]
        direction: Direction,
        #[command(flatten)]
        at: At,
    },
    /// Rates and drops of a running Ferry, full-screen: ports, networks, peers, workers; q quits
    Top {
        #[command(flatten)]
        at: At,
    },
    /// Show what a running Ferry knows
    Show {
        #[command(subcommand)]
        resource: Resource,
        /// Print JSON, as GET /v1/... answers it
        #[arg(long, global = true)]
        json: bool,
        /// Show it again every so many seconds, 2 if not said; with --json, one document a line
        #[arg(
            long,
            value_name = "SECONDS",
            value_parser = clap::value_parser!(u32).range(1..),
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "2",
            global = true
        )]
        watch: Option<u32>,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Args)]
struct At {
    /// The running Ferry's socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, global = true)]
    socket: PathBuf,
}

#[derive(Args)]
struct DryRun {
    /// Only say what would change
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Args)]
struct File {
    /// Configuration file (YAML or JSON); - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl At {
    fn change(self, wanted: Wanted, DryRun { dry_run }: DryRun) -> Plan {
        Plan::Change(Change { wanted, dry_run, socket: self.socket })
    }
}

/// The command line's grammar.
pub(super) fn command(version: &Version) -> clap::Command {
    Arguments::command()
        .version(format!("{} (DPDK {})", version.ferry, version.dpdk))
        .after_help(Exit::help())
}

/// Reads the arguments, the program's name first, and what `FERRY_LOG` and its like say.
///
/// # Errors
/// The arguments are wrong, or ask for help or the version: the error prints itself to the right stream and knows
/// the exit code.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    version: &Version,
) -> Result<(Plan, log::Options), clap::Error> {
    let mut command = command(version);
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Arguments { command: chosen, log } =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let plan = match chosen {
        Command::Run { config } => Plan::Run { config },
        Command::Check { config } => Plan::Check { config },
        Command::Doctor { config, json } => Plan::Doctor { config, json },
        Command::Schema { markdown } => Plan::Schema { is_page: markdown },
        Command::Completions { shell } => Plan::Completions(shell),
        Command::Manual { folder } => Plan::Manual { folder },
        Command::Apply { file: File { file }, dry_run, at } => {
            at.change(Wanted::Config { file }, dry_run)
        }
        Command::Diff { file: File { file }, at } => {
            at.change(Wanted::Difference { file }, DryRun { dry_run: true })
        }
        Command::Net { change, dry_run, at } => at.change(change.wanted(), dry_run),
        Command::Port { change, dry_run, at } => at.change(change.wanted(), dry_run),
        Command::Mac { change, dry_run, at } => at.change(change.wanted(), dry_run),
        Command::Peer { change, dry_run, at } => at.change(change.wanted(), dry_run),
        Command::Events { json, at: At { socket } } => Plan::Events { json, socket },
        Command::Trace { live: Some(filter), by, count, rate, json, at: At { socket }, .. } => {
            let filter = Some(filter.join(" ")).filter(|filter| !filter.is_empty());
            let request = LiveRequest { port: by, filter, rate, count };
            Plan::TraceLive(TraceLive { request, json, socket })
        }
        Command::Trace { port, frame, read, json, at: At { socket }, .. } => {
            let port = port.unwrap_or_default();
            let frames = match read {
                Some(file) => Frames::Capture(file),
                None => Frames::One(frame::parse(&frame).map_err(|error| {
                    clap::Error::raw(ErrorKind::ValueValidation, error).format(&mut command)
                })?),
            };
            Plan::Trace(Trace { port, frames, json, socket })
        }
        Command::Capture { port, filter, write, count, direction, at: At { socket } } => {
            let request = CaptureRequest { port, filter, direction, count };
            Plan::Capture(Capture { request, file: write, socket })
        }
        Command::Top { at: At { socket } } => Plan::Top { socket },
        Command::Show { resource, json, watch, at: At { socket } } => {
            let watch = watch.map(|seconds| Duration::from_secs(seconds.into()));
            Plan::Show(Show { resource, json, watch, socket })
        }
    };
    Ok((plan, log))
}
