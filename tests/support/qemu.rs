//! A real guest: QEMU without hardware support, Debian's kernel, busybox; commanded by its serial console.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::initramfs::{Initramfs, KERNEL};

/// What a virtio-net device needs, in the order in which they are loaded.
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

/// One at a time: without hardware support each keeps a core busy, and several wait for each other until they give up.
static TURN: Mutex<()> = Mutex::new(());

/// A guest. It ends with its handle.
pub struct Qemu {
    child: Child,
    input: ChildStdin,
    console: Arc<Mutex<String>>,
    commands: u32,
    folder: TempDir,
    /// Until all else is gone.
    _turn: MutexGuard<'static, ()>,
}

impl Qemu {
    /// Boots one with one vhost-user device, `eth0`. QEMU owns the socket where `server` says so.
    pub fn boot(socket: &Path, server: bool, mac: &str) -> Self {
        let load = MODULES.map(|module| format!("insmod /{module}.ko\n")).concat();
        let mut initramfs = Initramfs::new(&format!("{load}ip link set eth0 up"));
        MODULES.iter().for_each(|module| initramfs.module(module));
        let socket = socket.display();
        let side = if server { "server=on" } else { "reconnect=1" };
        let mut machine = Command::new("qemu-system-x86_64");
        machine
            .args(["-machine", "pc,accel=tcg,memory-backend=memory", "-m", "128"])
            .args(["-object", "memory-backend-memfd,id=memory,size=128M,share=on"])
            .args(["-chardev", &format!("socket,id=c0,path={socket},{side}")])
            .args(["-netdev", "vhost-user,id=n0,chardev=c0"])
            // QEMU 7.2 without KVM does not survive MSI-X on a vhost device: it gets a plain interrupt.
            .args(["-device", &format!("virtio-net-pci,netdev=n0,romfile=,vectors=0,mac={mac}")]);
        Self::start(machine, initramfs, "")
    }

    /// Boots one on a machine of its own, `kernel` being more of the kernel's command line.
    pub fn start(mut machine: Command, initramfs: Initramfs, kernel: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("initramfs");
        fs::write(&path, initramfs.finish()).unwrap();
        let monitor = folder.path().join("monitor");
        let mut child = machine
            .args(["-cpu", "max", "-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            .args(["-monitor", &format!("unix:{},server=on,wait=off", monitor.display())])
            .args(["-append", &format!("console=ttyS0 panic=-1 {kernel}")])
            .args(["-kernel", &format!("{KERNEL}/vmlinuz"), "-initrd"])
            .arg(&path)
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
        let mut guest = Self { child, input, console, commands: 0, folder, _turn: turn };
        guest.wait("the guest is up", BOOT);
        guest
    }

    /// A command of QEMU's monitor, such as `set_link n0 off`.
    pub fn monitor(&self, line: &str) {
        let mut monitor = UnixStream::connect(self.folder.path().join("monitor")).unwrap();
        writeln!(monitor, "{line}").unwrap();
        // It asks for the next one when it is done.
        let (mut said, mut bytes) = (String::new(), [0; 4096]);
        while said.matches("(qemu) ").count() < 2 {
            let count = monitor.read(&mut bytes).unwrap();
            assert!(count > 0, "the monitor: {line}: {said}");
            said += &String::from_utf8_lossy(&bytes[..count]);
        }
    }

    /// Runs a command that must succeed, and returns what it prints.
    pub fn run(&mut self, line: &str) -> String {
        let begin = self.console.lock().unwrap().len();
        self.commands += 1;
        let end = format!("command {} ended: ", self.commands);
        writeln!(self.input, "{line}; echo \"{end}$?\"").unwrap();
        self.wait(&end, COMMAND);
        let console = self.console.lock().unwrap();
        let (output, status) = console[begin..].split_once(&end).unwrap();
        assert!(status.starts_with("0\n"), "the guest: {line}: {output}");
        output.to_owned()
    }

    /// Time that it has spent on cores, its own and the kernel's for it: no other load of the machine is in it.
    pub fn time_on_cores(&self) -> Duration {
        let statistics = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, in parentheses, which may hold blanks: the state is field 3, user and system time are 14 and 15.
        let (_, fields) = statistics.rsplit_once(") ").unwrap();
        let ticks =
            |field: usize| fields.split(' ').nth(field - 3).unwrap().parse::<u64>().unwrap();
        // The kernel tells all programs of a hundred a second.
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
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
