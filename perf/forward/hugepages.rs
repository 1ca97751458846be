//! 2 MiB pages for all contenders, as bare metal has them: taken for the length of the bench, if the machine has
//! the memory, and given back at its end however that comes.

use std::fs;

const COUNT: &str = "/proc/sys/vm/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
/// MiB of a page.
const PAGE: usize = 2;
/// MiB of memory that must be left to everything else.
const REST: usize = 1024;

/// Huge pages that are reserved until this is dropped.
pub struct Reserved {
    /// What `vm.nr_hugepages` was, where the bench raised it.
    before: Option<usize>,
}

impl Reserved {
    /// Makes so many MiB of huge pages free.
    ///
    /// # Errors
    /// Why there are not enough; what was reserved already is given back.
    pub fn new(mebibytes: usize) -> Result<Self, String> {
        let wanted = mebibytes.div_ceil(PAGE);
        let free = number(FREE)?;
        if free >= wanted {
            return Ok(Self { before: None });
        }
        let missing = wanted - free;
        let available = available()?;
        if available < missing * PAGE + REST {
            return Err(format!(
                "{mebibytes} MiB of huge pages are needed, {} are free, and the machine has only {available} MiB left",
                free * PAGE
            ));
        }
        let before = number(COUNT)?;
        let reserved = Self { before: Some(before) };
        fs::write(COUNT, (before + missing).to_string())
            .map_err(|error| format!("cannot write {COUNT}: {error}"))?;
        match number(FREE)? {
            free if free < wanted => Err(format!(
                "the kernel found {} MiB of huge pages, {mebibytes} are needed: its memory is in pieces",
                free * PAGE
            )),
            _ => Ok(reserved),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(before) = self.before
            && let Err(error) = fs::write(COUNT, before.to_string())
        {
            eprintln!("forward: vm.nr_hugepages was {before} and cannot be set back: {error}");
        }
    }
}

fn number(path: &str) -> Result<usize, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    text.trim().parse().map_err(|_| format!("{path} holds no number"))
}

/// MiB that the kernel could give away.
fn available() -> Result<usize, String> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| format!("meminfo: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.map(|kibibytes| kibibytes / 1024).ok_or_else(|| "no MemAvailable".to_owned())
}
