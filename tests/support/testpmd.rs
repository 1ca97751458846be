//! dpdk-testpmd as a guest: virtio-user on a vhost-user socket, commanded through its prompt.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Namespace;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A guest. It ends with its handle, without a word to whoever serves its device.
pub struct Testpmd {
    child: Child,
    prefix: String,
}

impl Testpmd {
    /// Starts it on a CPU. `device` is the devargs behind `net_virtio_user0,path=SOCKET`, `arguments` are testpmd's own.
    pub fn start(
        namespace: &Namespace,
        socket: &Path,
        core: usize,
        device: &str,
        arguments: &str,
    ) -> Self {
        let available = Command::new("dpdk-testpmd").arg("--version").output().is_ok();
        assert!(available, "dpdk-testpmd is missing: apt-get install dpdk");
        if device.contains("server=1") {
            // Where another was killed, its socket is left.
            let _ = std::fs::remove_file(socket);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("guest{number}-{}", std::process::id());
        let line = format!(
            "--lcores 0@{core},1@{core} --no-huge --no-pci --no-shconf -m 256 --file-prefix={prefix} \
             --vdev net_virtio_user0,path={},{device} -- -i --total-num-mbufs=8192 --no-mlockall {arguments}",
            socket.display()
        );
        let mut command = namespace.command("dpdk-testpmd");
        command.args(line.split_whitespace());
        let log = std::fs::File::create(socket.with_extension("log")).unwrap();
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut testpmd = Self { child, prefix };
        testpmd.say("start");
        testpmd
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends it, and returns its device's counters, such as `rx_good_packets`.
    pub fn finish(mut self) -> HashMap<String, u64> {
        self.say("show port xstats 0");
        self.say("quit");
        let output = BufReader::new(self.child.stdout.take().unwrap());
        let counter = |line: String| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        output.lines().filter_map(|line| counter(line.unwrap())).collect()
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(format!("/var/run/dpdk/{}", self.prefix));
    }
}
