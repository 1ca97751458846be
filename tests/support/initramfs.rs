//! What a guest boots into: an archive in the kernel's format (its documentation: driver-api/early-userspace/buffer-format).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::namespace::output_of;

/// Where `make` puts a kernel and its modules.
pub const KERNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/guest-kernel");

/// The archive, with busybox and what was added.
pub struct Initramfs {
    archive: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    copied: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// Whose console runs the lines that it is given, one after the other, once `init` is done.
    pub fn new(init: &str) -> Self {
        let mut new =
            Self { archive: Vec::new(), folders: BTreeSet::new(), copied: BTreeSet::new() };
        for folder in ["bin", "proc", "sys", "dev", "tmp", "var/run"] {
            new.folder(Path::new(folder));
        }
        let init = format!(
            "#!/bin/busybox sh\n\
             /bin/busybox --install -s /bin\n\
             export PATH=/bin\n\
             chmod 755 /\n\
             mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n\
             ip link set lo up\n\
             {init}\n\
             stty -echo -onlcr\n\
             echo 'the guest is up'\n\
             while read -r line; do eval \"$line\"; done\n"
        );
        new.file("/init", init.as_bytes());
        new.file("/bin/busybox", &read("/bin/busybox", "apt-get install busybox-static"));
        new
    }

    /// A kernel module: `/NAME.ko`.
    pub fn module(&mut self, name: &str) {
        let remedy = "make target/guest-kernel/vmlinuz";
        let content = read(&format!("{KERNEL}/{name}.ko"), remedy);
        self.file(&format!("/{name}.ko"), &content);
    }

    /// A file that may be run.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.add(Path::new(path), 0o100_755, content);
    }

    /// Shared libraries that programs or other libraries need, where these look for them.
    pub fn libraries_of(&mut self, programs: &[PathBuf]) {
        let mut list = BTreeSet::new();
        for program in programs {
            let text = output_of("ldd", &[program.to_str().unwrap()]);
            let words = text.split_whitespace().filter(|word| word.starts_with('/'));
            list.extend(words.map(PathBuf::from));
        }
        for library in list {
            let file = library.canonicalize().unwrap();
            if file != library {
                self.add(&library, 0o120_777, file.to_str().unwrap().as_bytes());
            }
            self.copy(&file);
        }
    }

    /// A file of this machine, where it is here. A second copy changes nothing.
    pub fn copy(&mut self, file: &Path) {
        if self.copied.insert(file.to_owned()) {
            self.add(file, 0o100_755, &fs::read(file).unwrap());
        }
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.archive
    }

    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let path = path.strip_prefix("/").unwrap();
        self.folder(path.parent().unwrap());
        self.entry(path.to_str().unwrap(), mode, content);
    }

    fn folder(&mut self, path: &Path) {
        if path.as_os_str().is_empty() || !self.folders.insert(path.to_owned()) {
            return;
        }
        self.folder(path.parent().unwrap());
        self.entry(path.to_str().unwrap(), 0o040_755, &[]);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        // Inode number, mode, owner, group, links, time, size, four device numbers, length of the name, no checksum.
        let numbers = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let archive = &mut self.archive;
        archive.extend(b"070701");
        archive.extend(numbers.iter().flat_map(|number| format!("{number:08x}").into_bytes()));
        archive.extend(name.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
}

fn read(path: &str, remedy: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}: {remedy}"))
}
