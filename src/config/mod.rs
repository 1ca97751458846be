//! The configuration: a YAML file in, a [`Config`] out that needs no further checks.
//!
//! The text becomes a tree that knows its lines ([`tree`]), the readers of the sections take typed values from it
//! ([`item`]) and go on after an error, so that a file is told all that is wrong with it at once. Whoever holds a
//! [`Config`] may rely on every rule that [`keys`] and `configs/README.md` state.

mod api;
mod diagnostic;
mod difference;
mod edit;
mod flood_group;
mod host;
mod item;
mod keys;
mod mac_move;
mod macs;
mod marking;
mod mirror;
mod multicast;
mod network;
mod oversize;
mod path;
mod peer;
mod place_policy;
mod port;
mod reference;
mod render;
mod scalar;
mod schema;
mod snooping;
mod storm;
#[cfg(test)]
mod tests;
mod tree;
mod underlay;
mod vlan;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use self::item::{Fields, Item, Report};
use self::keys::ROOT;
use self::keys::access::{ACCESS, ACCESS_PORT};
use self::mirror::MirrorReader;
use self::network::Networks;
use self::port::Ports;

pub use self::api::{Api, Listen, Metrics, Socket, Tls};
pub use self::diagnostic::{ConfigErrors, Diagnostic};
pub use self::difference::{
    Changes, Difference, Edit, Fate, KeyDifference, Resource, StaticChanges,
};
pub use self::edit::PortInUse;
pub use self::flood_group::{FloodGroup, LearnedPeers};
pub use self::host::{Cores, Eal};
pub(crate) use self::item::nearest;
pub use self::mac_move::{Dampening, MacMove};
pub use self::macs::{MacPlace, StaticMac};
pub use self::mirror::{Mirror, MirrorDirection, MirrorTo};
pub use self::multicast::{Group, Multicast, Unregistered};
pub use self::network::{ArpSuppression, InnerVlan, Member, Network, VlanPriority};
pub use self::oversize::{Others, Oversize};
pub use self::path::Reassembly;
pub use self::peer::{EncapName, Peer, Usual};
pub use self::place_policy::PlacePolicy;
pub use self::port::{Bond, Offloads, Port, device_parts, pci_address_of};
pub use self::reference::reference;
pub use self::schema::schema;
pub use self::snooping::Snooping;
pub use self::storm::StormControl;
pub use self::underlay::{
    Neighbour, ReservedBits, Twin, Underlay, UnderlayPort, Vtep, ZeroChecksum,
};

/// A configuration that has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it comes from, as the user named it.
    pub file: String,
    /// How EAL is started.
    pub eal: Eal,
    /// Which cores do what.
    pub cores: Cores,
    /// The API.
    pub api: Api,
    /// The side of the physical network.
    pub underlay: Underlay,
    /// The ports where VMs, containers and physical VLANs attach.
    pub access: Vec<Port>,
    /// The tenants' networks.
    pub networks: Vec<Arc<Network>>,
    /// Who gets copies of what passes ports.
    pub mirrors: Vec<Mirror>,
    /// What is allowed and yet probably not meant, ordered by line.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads and checks a file, also against the CPUs that this process may use; so call it before EAL starts, which
    /// leaves its caller with a single one.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigErrors> {
        let (name, text) = text_of(path.as_ref())?;
        let cpus = core_affinity::get_core_ids();
        let cpus: Option<Vec<usize>> =
            cpus.map(|list| list.into_iter().map(|core| core.id).collect());
        read(&name, &text, cpus.as_deref())
    }

    /// The same, for a process that runs already: only where it was started could one tell which CPUs it may use.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn reload(path: impl AsRef<Path>) -> Result<Config, ConfigErrors> {
        let (name, text) = text_of(path.as_ref())?;
        read(&name, &text, None)
    }

    /// Checks `text` as the content of a file called `name`; the same on every machine.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigErrors> {
        read(name, text, None)
    }

    /// What `ferry check` prints: one line of summary, then a line for each warning.
    pub fn summary(&self) -> impl fmt::Display {
        Summary(self)
    }
}

/// Bytes of a file, at most: three million MACs. A device may never end.
const LARGEST: u64 = 256 << 20;

/// A file's name and content.
fn text_of(path: &Path) -> Result<(String, String), ConfigErrors> {
    let name = path.display().to_string();
    let failed = |message| {
        let (file, path) = (name.clone(), String::new());
        ConfigErrors(vec![Diagnostic { file, line: None, column: None, path, message }])
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        failed(format!("cannot be read: {error}; name a YAML file that this user may read"))
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(format!("has more than {} MiB; name a YAML file", LARGEST >> 20)));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| failed("is not UTF-8 text; name a YAML file".to_owned()))?;
    Ok((name, text))
}

fn read(file: &str, text: &str, cpus: Option<&[usize]>) -> Result<Config, ConfigErrors> {
    let root = tree_of(file, text)?;
    let report = Report::new(file);
    let config = config(file, &Item::root(&report, &root), cpus);
    let (errors, warnings) = report.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
        _ => {
            debug_assert!(!errors.is_empty(), "a reader gave up without a word");
            Err(ConfigErrors(errors))
        }
    }
}

fn tree_of(file: &str, text: &str) -> Result<tree::Node, ConfigErrors> {
    tree::parse(text).map_err(|tree::Unparsable { line, column, reason }| {
        let (file, path) = (file.to_owned(), String::new());
        ConfigErrors(vec![Diagnostic { file, line, column, path, message: reason }])
    })
}

fn config(file: &str, root: &Item<'_>, cpus: Option<&[usize]>) -> Option<Config> {
    let fields = root.fields(&ROOT)?;
    let mut ports = Ports::new(fields.get("underlay"), fields.get("access"));
    let eal = host::eal(fields.get("eal"));
    let cores = fields
        .required("cores", "cores: {control: 0, workers: [1]}", |item| host::cores(&item, cpus));
    let api = api::api(fields.get("api"));
    let example = "underlay: {ports: [{name: up0, device: net_tap0}], vtep: {ipv4: 192.0.2.1}}";
    let mut reach = underlay::Reach { resolves: true, own_unknown: true, ..Default::default() };
    let underlay = fields.required("underlay", example, |item| {
        let (underlay, found) = underlay::underlay(&item, &mut ports);
        reach = found;
        underlay
    });
    let access = fields.or("access", Vec::new(), |item| access(&item, &mut ports));
    if let Some(cores) = &cores {
        check_queues(&fields, cores, &ports);
    }
    let mut readers = Networks::new(&ports, &reach);
    let networks = fields
        .or("networks", Vec::new(), |item| item.list_of(|item| readers.read(&item).map(Arc::new)));
    readers.finish(networks.as_deref().unwrap_or_default());

    let mut mirrors = MirrorReader::new(&ports, &reach, networks.as_deref().unwrap_or_default());
    let mirrors = fields.or("mirrors", Vec::new(), |item| mirrors.read(&item));

    let (networks, access, mirrors) = (networks?, access?, mirrors?);
    warn_unused(&fields, &access, &networks, &mirrors);
    let underlay = underlay?;
    oversize::warn_of_mtus(&fields, &underlay, &access, &networks);
    Some(Config {
        file: file.to_owned(),
        eal: eal?,
        cores: cores?,
        api: api?,
        underlay,
        access,
        networks,
        mirrors,
        warnings: Vec::new(),
    })
}

fn access(item: &Item<'_>, ports: &mut Ports) -> Option<Vec<Port>> {
    let fields = item.fields(&ACCESS)?;
    fields.or("ports", Vec::new(), |item| {
        item.list_of(|item| match item.fields(&ACCESS_PORT) {
            Some(fields) => ports.read_access(&fields),
            None => {
                ports.queues_unknown = true;
                None
            }
        })
    })
}

fn check_queues(fields: &Fields<'_>, cores: &Cores, ports: &Ports) {
    if let Some(error) = ports.starved(cores)
        && let Some(item) = fields.get("cores").and_then(|item| item.key("workers"))
    {
        item.error(error);
    }
}

fn warn_unused(
    fields: &Fields<'_>,
    access: &[Port],
    networks: &[Arc<Network>],
    mirrors: &[Mirror],
) {
    let items = fields.get("access").and_then(|item| item.key("ports"));
    let members = networks.iter().flat_map(|network| &network.members);
    let members = members.map(|member| member.port.as_str());
    let used: HashSet<&str> = members.chain(mirrors.iter().filter_map(Mirror::port)).collect();
    for (item, port) in items.iter().flat_map(|list| list.elements()).zip(access) {
        if !used.contains(port.name.as_str()) {
            item.warn(format_args!(
                "no network uses port '{}', so all that it receives is dropped; list it under the 'ports' of a network",
                port.name
            ));
        }
    }
}

struct Summary<'c>(&'c Config);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0;
        let count = |number: usize, what: &str| match number {
            1 => format!("1 {what}"),
            _ => format!("{number} {what}s"),
        };
        write!(
            f,
            "{}: ok: {}, {}, {}, {}",
            config.file,
            count(config.networks.len(), "network"),
            count(config.access.len(), "access port"),
            count(config.underlay.ports.len(), "underlay port"),
            count(config.cores.workers.len(), "worker"),
        )?;
        if !config.warnings.is_empty() {
            write!(f, ", {}", count(config.warnings.len(), "warning"))?;
        }
        config.warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}
