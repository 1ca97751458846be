//! The workers' cores: theirs alone, at full speed.

use super::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::worker::Idle;

const CPU: &str = "/sys/devices/system/cpu";

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let workers = &config.cores.workers;
    let spins = config.cores.idle == Idle::Spin;
    let mut findings = Vec::new();
    let isolated = machine.cpus(format!("{CPU}/isolated"));
    let shared: Vec<_> = workers.iter().filter(|core| !isolated.contains(core)).collect();
    findings.push(if shared.is_empty() {
        Finding::fine("isolated cores", "the workers' cores are isolated")
    } else if spins {
        let list = list(workers);
        Finding::poor(
            "isolated cores",
            format!(
                "other threads may run on {}, beside workers that never pause",
                list_of(&shared)
            ),
            format!("boot with isolcpus={list} nohz_full={list} rcu_nocbs={list}"),
        )
    } else {
        Finding::fine("isolated cores", "not needed: idle workers leave their cores to others")
    });
    for (position, core) in workers.iter().enumerate() {
        let siblings = machine.cpus(format!("{CPU}/cpu{core}/topology/thread_siblings_list"));
        let twin = workers[..position].iter().find(|other| siblings.contains(other));
        if let Some(other) = twin {
            findings.push(Finding::poor(
                "hyper-threads",
                format!(
                    "workers on {other} and {core} share one core's execution units and caches"
                ),
                "give each worker a core of its own: see lscpu -e",
            ));
        }
    }
    let governor = |core: &&u16| machine.text(format!("{CPU}/cpu{core}/cpufreq/scaling_governor"));
    let slow = workers.iter().find(|core| governor(core).is_some_and(|name| name != "performance"));
    match slow {
        Some(core) => findings.push(Finding::poor(
            "frequency",
            format!("core {core} follows the governor '{}'", governor(&core).unwrap_or_default()),
            "cpupower frequency-set -g performance",
        )),
        None if workers.iter().all(|core| governor(&core).is_some()) => {
            findings.push(Finding::fine("frequency", "the workers' cores run at full speed"));
        }
        // A guest has no say in it.
        None => {}
    }
    findings
}

fn list(cores: &[u16]) -> String {
    cores.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

fn list_of(cores: &[&u16]) -> String {
    match cores {
        [core] => format!("core {core}"),
        _ => format!("cores {}", list(&cores.iter().map(|core| **core).collect::<Vec<_>>())),
    }
}
