//! Network namespaces, gone when dropped.

use std::os::fd::AsRawFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace of our own.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn new(role: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferry-{}-{number}-{role}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        // Without IPv6 no kernel sends router solicitations and the like into the tests.
        namespace.exec(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        );
        namespace.exec("ip link set lo up");
        namespace
    }

    /// The start of a command that runs in the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a function in the namespace, on a thread of its own; sockets that it makes stay there.
    pub fn inside<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        let enter = || {
            // SAFETY: a plain system call on a descriptor that we own.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
            function()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    fn words(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().unwrap());
        command.args(words);
        command
    }

    /// Runs a command that must succeed, and returns what it prints.
    pub fn exec(&self, line: &str) -> String {
        let output = self.try_exec(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {line}: {text}{errors}", self.name);
        text
    }

    pub fn try_exec(&self, line: &str) -> Output {
        self.words(line).output().unwrap()
    }

    /// Starts a command that goes on; ended when the handle is dropped.
    pub fn spawn(&self, line: &str) -> Background {
        let child = self.words(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Background(child)
    }

    /// A veth pair between this namespace and another, up, without checksum offload: af_packet hands out what
    /// lies on the wire.
    pub fn veth(&self, interface: &str, other: &Namespace, other_interface: &str) {
        let line = format!(
            "ip link add {interface} type veth peer name {other_interface} netns {}",
            other.name
        );
        self.exec(&line);
        for (namespace, interface) in [(self, interface), (other, other_interface)] {
            namespace.exec(&format!("ip link set {interface} up promisc on"));
            namespace.exec(&format!("ethtool -K {interface} tx off tso off gso off"));
            // Only those whose route is by this interface get an answer: a raw underlay interface stays mute.
            namespace.exec(&format!("sysctl -qw net.ipv4.conf.{interface}.rp_filter=1"));
        }
    }

    pub fn mac(&self, interface: &str) -> [u8; 6] {
        let text = self.exec(&format!("cat /sys/class/net/{interface}/address"));
        let mut octets = text.trim().split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap());
        std::array::from_fn(|_| octets.next().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A process that ends with its handle.
pub struct Background(pub Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run(program: &str, arguments: &[&str]) {
    output_of(program, arguments);
}

/// Runs a command that must succeed, and returns what it prints.
pub fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
