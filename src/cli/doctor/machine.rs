//! The machine, as the kernel shows it below `/sys` and `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder that its files lie below: the root, but for tests.
pub(super) struct Machine(PathBuf);

impl Machine {
    /// This one.
    pub fn this() -> Self {
        Self::below("/")
    }

    /// One whose `/sys` and `/proc` lie elsewhere.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The path of a file or folder that is named from the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
    }

    /// A file's text, without white space around it.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.path(path)).ok().map(|text| text.trim().to_owned())
    }

    /// What a file holds, where that is a single value.
    pub fn value<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The CPUs that a file lists, such as `0,2-5`; none where it is empty or missing.
    pub fn cpus(&self, path: impl AsRef<Path>) -> Vec<u16> {
        let text = self.text(path).unwrap_or_default();
        let ranges = text.split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        });
        ranges.flatten().collect()
    }

    /// The names in a folder, sorted.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The last part of where a link leads.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// The NUMA node of a CPU; 0 where there are no nodes.
    pub fn node_of_cpu(&self, cpu: u16) -> i32 {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
        let names = self.names(folder);
        let node = names.iter().find_map(|name| name.strip_prefix("node")?.parse().ok());
        node.unwrap_or(0)
    }
}
