//! What concerns the machine: EAL and cores.

use super::item::{Fields, Item};
use super::keys::machine::{CORES, EAL};
use super::scalar;
use crate::worker::Idle;

/// How EAL, the environment layer of DPDK, is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eal {
    /// Take memory from hugepages; without them Ferry runs on any machine, more slowly.
    pub hugepages: bool,
    /// Bytes of memory for DPDK, whole MiB; `None` lets EAL take hugepages as it needs them.
    pub memory: Option<u64>,
    /// Packet buffers on each NUMA node; `None` counts what queues and workers hold at most.
    pub mbufs: Option<u32>,
    /// Further EAL arguments, verbatim.
    pub args: Vec<String>,
}

/// The cores that Ferry runs on, by the kernel's CPU number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Core of the control thread.
    pub control: u16,
    /// One worker on each of these cores; distinct, never empty; one may be the control core's where
    /// idle workers leave it.
    pub workers: Vec<u16>,
    /// What a worker does when its queues are empty.
    pub idle: Idle,
}

const DEFAULT_MEMORY: u64 = 512 << 20;
/// DPDK of Debian is built for 128 lcores, and the control core is one of them.
pub(super) const WORKERS_MAX: usize = 127;

/// EAL arguments that would contradict a key of the configuration.
const OWN_ARGUMENTS: [(&str, &str); 7] = [
    ("-l", "cores"),
    ("-c", "cores"),
    ("--lcores", "cores"),
    ("--main-lcore", "cores"),
    ("-m", "eal.memory"),
    ("--no-huge", "eal.hugepages"),
    ("--in-memory", "eal.hugepages"),
];

pub(super) fn eal(item: Option<Item<'_>>) -> Option<Eal> {
    let Some(item) = item else {
        return Some(Eal {
            hugepages: false,
            memory: Some(DEFAULT_MEMORY),
            mbufs: None,
            args: Vec::new(),
        });
    };
    let fields = item.fields(&EAL)?;
    let hugepages = fields.or("hugepages", false, |item| item.boolean());
    let memory = fields.or("memory", None, |item| scalar::memory(&item).map(Some));
    let mbufs = fields.or("mbufs", None, |item| item.number().map(Some));
    let args = fields.or("args", Vec::new(), |item| item.list_of(eal_argument));
    let hugepages = hugepages?;
    let memory = memory?.or((!hugepages).then_some(DEFAULT_MEMORY));
    Some(Eal { hugepages, memory, mbufs: mbufs?, args: args? })
}

fn eal_argument(item: Item<'_>) -> Option<String> {
    let text = item.text("an EAL argument such as '--log-level=lib.eal:debug'")?;
    let option = text.split('=').next().unwrap_or(text);
    // The value may follow a short option at once: -l0-3.
    let is_own = |own: &str| option == own || own.len() == 2 && option.starts_with(own);
    if let Some((own, key)) = OWN_ARGUMENTS.iter().find(|(own, _)| is_own(own)) {
        item.error(format_args!("'{own}' is set by Ferry itself; remove it and use '{key}'"));
    }
    Some(text.to_owned())
}

/// `available`: the CPUs that this process may use, where that is to be checked.
pub(super) fn cores(item: &Item<'_>, available: Option<&[usize]>) -> Option<Cores> {
    let fields = item.fields(&CORES)?;
    let control_item = fields.get("control");
    let control = fields.or("control", 0, |item| core(&item, available));
    let idle = fields.or("idle", Idle::Yield, |item| {
        item.choice(&[("spin", Idle::Spin), ("yield", Idle::Yield), ("sleep", Idle::Sleep)])
    });
    let workers = fields.required("workers", "workers: [1]", |item| {
        let taken = control.map(|control| (control, idle));
        workers(&item, &fields, taken, available)
    });
    if let (Some(0), None, Some(list)) = (control, &control_item, available)
        && !list.contains(&0)
    {
        item.error(format_args!("control is core 0 by default, {}", not_available(list)));
    }
    Some(Cores { control: control?, workers: workers?, idle: idle? })
}

fn workers(
    item: &Item<'_>,
    fields: &Fields<'_>,
    taken: Option<(u16, Option<Idle>)>,
    available: Option<&[usize]>,
) -> Option<Vec<u16>> {
    let items = item.list()?;
    if items.is_empty() || items.len() > WORKERS_MAX {
        return item.expected(format_args!("a list of 1 to {WORKERS_MAX} cores"));
    }
    let mut seen = scalar::Unique::default();
    let mut workers = Vec::new();
    for item in items {
        let Some(core) = core(&item, available) else { continue };
        if let Some(earlier) = seen.earlier(core, &item.path, &item) {
            item.error(format_args!(
                "core {core} is already used by {earlier}; give each worker its own core"
            ));
        }
        if let Some((control, idle)) = taken
            && control == core
        {
            let default = if fields.get("control").is_some() { "" } else { " by default" };
            match idle {
                Some(Idle::Spin) => item.error(format_args!(
                    "core {core} is the control core{default}; a worker that spins never leaves it: give the worker another core, set cores.control, or set cores.idle to yield"
                )),
                Some(Idle::Yield | Idle::Sleep) => item.warn(format_args!(
                    "core {core} is the control core{default}, so MACs are learned later while this worker is busy; give it another core if there is one"
                )),
                None => {}
            }
        }
        workers.push(core);
    }
    Some(workers)
}

fn core(item: &Item<'_>, available: Option<&[usize]>) -> Option<u16> {
    let core = item.number()?;
    if let Some(list) = available
        && !list.contains(&usize::from(core))
    {
        item.error(format_args!("core {core}, {}", not_available(list)));
    }
    Some(core)
}

fn not_available(available: &[usize]) -> String {
    let list: Vec<String> = available.iter().map(usize::to_string).collect();
    format!("which this process cannot use; use one of {}", list.join(", "))
}
