//! The machine's huge pages, as the kernel shows them.

use std::fs;
use std::path::Path;

/// Bytes of huge pages of all sizes that nobody uses. `sys` is where sysfs is mounted.
pub fn free_hugepages(sys: &Path) -> u64 {
    bytes_of("free_hugepages", sys)
}

/// The same, with those in use.
pub fn all_hugepages(sys: &Path) -> u64 {
    bytes_of("nr_hugepages", sys)
}

fn bytes_of(count: &str, sys: &Path) -> u64 {
    let sizes = fs::read_dir(sys.join("kernel/mm/hugepages")).into_iter().flatten().flatten();
    let bytes = |size: fs::DirEntry| {
        let name = size.file_name().into_string().ok()?;
        let size_kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let count = fs::read_to_string(size.path().join(count)).ok()?;
        Some(count.trim().parse::<u64>().ok()? * size_kib * 1024)
    };
    sizes.filter_map(bytes).sum()
}

/// Whether a hugetlbfs is mounted, so that huge pages can be files, which other processes find. `proc` is where procfs is
/// mounted.
pub fn has_hugetlbfs(proc: &Path) -> bool {
    let mounts = fs::read_to_string(proc.join("mounts")).unwrap_or_default();
    // The third field is the type (proc_mounts(5)).
    mounts.lines().any(|line| line.split(' ').nth(2) == Some("hugetlbfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_by_its_type_not_its_name() {
        let proc = tempfile::tempdir().unwrap();
        for (mounts, expected) in [
            ("none / ext4 rw 0 0\nnodev /mnt/huge hugetlbfs rw,pagesize=2M 0 0\n", true),
            ("hugetlbfs /dev/hugepages tmpfs rw 0 0\n", false),
            ("", false),
        ] {
            fs::write(proc.path().join("mounts"), mounts).unwrap();
            assert_eq!(has_hugetlbfs(proc.path()), expected, "{mounts}");
        }
    }
}
