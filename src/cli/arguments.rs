//! Arguments, and the plan that they make.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::exit::Exit;
use super::log::Filter;
use crate::api::model::Version;
use crate::api::{DEFAULT_SOCKET, MacFilter};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Forward packets until told to stop.
    Run {
        /// The configuration file.
        config: PathBuf,
    },
    /// Say what is wrong with a configuration file.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Say whether the machine suits a configuration.
    Doctor {
        /// The configuration file.
        config: PathBuf,
        /// Whether to print JSON.
        json: bool,
    },
    /// Print a shell's completions.
    Completions(clap_complete::Shell),
    /// Write manual pages.
    Manual {
        /// Into this folder.
        folder: PathBuf,
    },
    /// Ask a running process.
    Show(Show),
    /// Have a running process replace a network's static MACs.
    ReplaceMacs(ReplaceMacs),
}

/// Which static MACs take the place of which.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ReplaceMacs {
    /// The network
    #[arg(value_name = "VNI", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
    pub vni: u32,
    /// All its static MACs: a list as under 'macs' in the configuration, YAML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The running Ferry's socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// What to ask a running process, and how to print it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// What to ask for.
    pub resource: Resource,
    /// Whether to print JSON rather than a table.
    pub json: bool,
    /// Where the process answers.
    pub socket: PathBuf,
}

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
    Neighbours {
        /// Only those of this network
        #[arg(long, value_name = "VNI", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
        vni: Option<u32>,
    },
    /// Members of multicast groups
    Groups,
    /// Remote VTEPs, and whether packets to them can leave
    Peers,
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
}

/// Which MACs to list.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct MacArguments {
    /// Only those of this network
    #[arg(long, value_name = "VNI", value_parser = clap::value_parser!(u32).range(1..1 << 24))]
    vni: Option<u32>,
    /// Only those behind this access port
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
    /// Only those behind this VTEP
    #[arg(long, value_name = "IP", conflicts_with = "port")]
    peer: Option<IpAddr>,
}

impl MacArguments {
    /// As the API wants it.
    pub(super) fn filter(&self) -> MacFilter {
        MacFilter { vni: self.vni, port: self.port.clone(), peer: self.peer, ..Default::default() }
    }
}

/// Ferry carries tenants' Ethernet over VXLAN, with DPDK.
#[derive(Parser)]
#[command(name = "ferry", subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// error, warn, info, debug, trace or off; also by module, as in info,ferry::control=debug
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        env = "FERRY_LOG",
        default_value_t,
        hide_env_values = true,
        global = true
    )]
    log_level: Filter,
}

#[derive(Subcommand)]
enum Command {
    /// Forward packets, until SIGINT or SIGTERM
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
    /// Change the static MACs of a running Ferry
    Mac {
        #[command(subcommand)]
        change: MacChange,
    },
    /// Show what a running Ferry knows
    Show {
        #[command(subcommand)]
        resource: Resource,
        /// Print JSON, as GET /v1/... answers it
        #[arg(long, global = true)]
        json: bool,
        /// The running Ferry's socket
        #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, global = true)]
        socket: PathBuf,
    },
}

#[derive(Subcommand)]
enum MacChange {
    /// Replace all static MACs of a network, until it is started anew; those that stay miss no packet
    Replace(ReplaceMacs),
}

/// The command line's grammar.
pub(super) fn command(version: &Version) -> clap::Command {
    Arguments::command()
        .version(format!("{} (DPDK {})", version.ferry, version.dpdk))
        .after_help(Exit::help())
}

/// Reads the arguments, the program's name first, and `FERRY_LOG`.
///
/// # Errors
/// The arguments are wrong, or ask for help or the version: the error prints itself to the right stream and knows
/// the exit code.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    version: &Version,
) -> Result<(Plan, Filter), clap::Error> {
    let mut command = command(version);
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Arguments { command: chosen, log_level } =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let plan = match chosen {
        Command::Run { config } => Plan::Run { config },
        Command::Check { config } => Plan::Check { config },
        Command::Doctor { config, json } => Plan::Doctor { config, json },
        Command::Completions { shell } => Plan::Completions(shell),
        Command::Manual { folder } => Plan::Manual { folder },
        Command::Mac { change: MacChange::Replace(replace) } => Plan::ReplaceMacs(replace),
        Command::Show { resource, json, socket } => Plan::Show(Show { resource, json, socket }),
    };
    Ok((plan, log_level))
}
