//! A real guest: QEMU without hardware support, Debian's kernel, busybox; commanded by its serial console.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where `make` puts a kernel and its modules.
const KERNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/guest-kernel");
/// In the order in which they are loaded.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];
const BOOT: Duration = Duration::from_secs(60);
const COMMAND: Duration = Duration::from_secs(60);

/// A guest with one vhost-user device, `eth0`. It ends with its handle.
pub struct Qemu {
    child: Child,
    input: ChildStdin,
    console: Arc<Mutex<String>>,
    commands: u32,
    folder: TempDir,
}

impl Qemu {
    /// Boots it. QEMU owns the socket where `server` says so.
    pub fn boot(socket: &Path, server: bool, mac: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let initramfs = folder.path().join("initramfs");
        fs::write(&initramfs, archive()).unwrap();
        let socket = socket.display();
        let side = if server { "server=on" } else { "reconnect=1" };
        let mut child = Command::new("qemu-system-x86_64")
            .args(["-machine", "pc,accel=tcg,memory-backend=memory", "-cpu", "max", "-m", "128"])
            .args(["-object", "memory-backend-memfd,id=memory,size=128M,share=on"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-serial", "stdio", "-append", "console=ttyS0 panic=-1"])
            .args(["-kernel", &format!("{KERNEL}/vmlinuz"), "-initrd"])
            .arg(&initramfs)
            .args(["-chardev", &format!("socket,id=c0,path={socket},{side}")])
            .args(["-netdev", "vhost-user,id=n0,chardev=c0"])
            // QEMU 7.2 without KVM does not survive MSI-X on a vhost device: it gets a plain interrupt.
            .args(["-device", &format!("virtio-net-pci,netdev=n0,romfile=,vectors=0,mac={mac}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("errors")).unwrap())
            .spawn()
            .expect("qemu-system-x86_64: apt-get install qemu-system-x86");
        let console = Arc::new(Mutex::new(String::new()));
        let mut output = child.stdout.take().unwrap();
        std::thread::spawn({
            let console = console.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = output.read(&mut bytes) {
                    console.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            }
        });
        let input = child.stdin.take().unwrap();
        let mut guest = Self { child, input, console, commands: 0, folder };
        guest.wait("the guest is up", BOOT);
        guest
    }

    /// Runs a command that must succeed, and returns what it prints.
    pub fn run(&mut self, line: &str) -> String {
        let begin = self.console.lock().unwrap().len();
        self.commands += 1;
        let end = format!("command {} ended: ", self.commands);
        // In two parts, because the console echoes what is typed.
        writeln!(self.input, "{line}; echo \"command {}\" \"ended: $?\"", self.commands).unwrap();
        self.wait(&end, COMMAND);
        let console = self.console.lock().unwrap();
        let (output, status) = console[begin..].split_once(&end).unwrap();
        assert!(status.starts_with("0\r"), "the guest: {line}: {output}");
        output.to_owned()
    }

    fn wait(&mut self, text: &str, patience: Duration) {
        let end = Instant::now() + patience;
        // Whole lines.
        let found =
            |console: &str| console.split_once(text).is_some_and(|(_, rest)| rest.contains('\n'));
        while !found(&self.console.lock().unwrap()) {
            assert_eq!(self.child.try_wait().unwrap(), None, "QEMU ended");
            assert!(Instant::now() < end, "the guest does not say '{text}'");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // A failed command held it.
            let console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
            let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
            eprintln!("--- the guest's console\n{console}\n--- QEMU\n{errors}");
        }
    }
}

/// The initramfs: an archive in the kernel's format (its documentation: driver-api/early-userspace/buffer-format).
fn archive() -> Vec<u8> {
    let mut init = String::from(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin\n\
         mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n",
    );
    for module in MODULES {
        init += &format!("insmod /{module}.ko\n");
    }
    init += "ip link set lo up; ip link set eth0 up\necho 'the guest is up'\nexec sh\n";
    let read = |path: PathBuf, remedy: &str| {
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: {remedy}", path.display()))
    };
    let busybox = read("/bin/busybox".into(), "apt-get install busybox-static");
    let mut archive = Vec::new();
    for folder in ["bin", "proc", "sys", "dev", "tmp"] {
        entry(&mut archive, folder, 0o040_755, &[]);
    }
    entry(&mut archive, "bin/busybox", 0o100_755, &busybox);
    entry(&mut archive, "init", 0o100_755, init.as_bytes());
    for module in MODULES {
        let path = Path::new(KERNEL).join(format!("{module}.ko"));
        let remedy = "make target/guest-kernel/vmlinuz";
        entry(&mut archive, &format!("{module}.ko"), 0o100_644, &read(path, remedy));
    }
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    archive
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
    // Inode number, mode, owner, group, links, time, size, four device numbers, length of the name, no checksum.
    let numbers = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    archive.extend(b"070701");
    archive.extend(numbers.iter().flat_map(|number| format!("{number:08x}").into_bytes()));
    archive.extend(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}
