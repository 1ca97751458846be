//! A Ferry process under test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;

pub const BINARY: &str = env!("CARGO_BIN_EXE_ferry");

/// A running Ferry. When the test fails, its log is printed.
pub struct Ferry {
    child: Child,
    folder: TempDir,
    stopped: bool,
}

impl Ferry {
    /// Starts it in a namespace; `config` lacks only the API's socket, also where it has an `api`.
    pub fn start(namespace: &Namespace, config: &str) -> Self {
        Self::start_with(namespace, config, &[])
    }

    /// With further variables in its environment.
    pub fn start_with(namespace: &Namespace, config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let socket = format!("socket: {path}/ferry.sock");
        let text = if config.contains("\napi: {") {
            config.replacen("\napi: {", &format!("\napi: {{{socket}, "), 1)
        } else {
            format!("api: {{{socket}}}\n{config}")
        };
        std::fs::write(folder.path().join("ferry.yaml"), text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = namespace
            .command(BINARY)
            .args(["run", "-l", "debug", "-c"])
            .arg(folder.path().join("ferry.yaml"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ferry = Self { child, folder, stopped: false };
        let end = Instant::now() + Duration::from_secs(30);
        while !ferry.is_ready() {
            if let Some(status) = ferry.child.try_wait().unwrap() {
                ferry.stopped = true;
                panic!("Ferry ended at once: {status}\n{}", ferry.log());
            }
            assert!(Instant::now() < end, "Ferry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        ferry
    }

    fn is_ready(&self) -> bool {
        let shown = self.query("totals").output().unwrap();
        shown.status.success()
    }

    fn query(&self, what: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["show", what, "--json", "--socket"])
            .arg(self.folder.path().join("ferry.sock"));
        command
    }

    /// What `ferry show … --json` says.
    pub fn show(&self, what: &str) -> Value {
        let output = self.query(what).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What happens from now on: the data of server-sent events, in JSON.
    pub fn events(&self) -> impl FnMut() -> Value + use<> {
        let mut stream = UnixStream::connect(self.folder.path().join("ferry.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
        assert!(
            lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .any(|line| line.contains("text/event-stream"))
        );
        move || {
            let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
            serde_json::from_str(&data.unwrap()).unwrap()
        }
    }

    /// A command that asks it, such as `events --json`.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.args(line.split_whitespace()).arg("--socket");
        command.arg(self.folder.path().join("ferry.sock"));
        command
    }

    /// What is at a path of the API.
    pub fn get(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("ferry.sock")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// What `ferry trace … --json` says of a frame that comes in by a port.
    pub fn trace(&self, port: &str, frame: &[u8]) -> Value {
        let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let output = self.expect_change(&format!("trace {port} {digits} --json"), "");
        serde_json::from_str(&output).unwrap()
    }

    /// What `ferry mac replace` says: its output, or else its error.
    pub fn replace_macs(&self, vni: u32, set: &str) -> Result<String, String> {
        let file = self.folder.path().join("set.yaml");
        std::fs::write(&file, set).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["mac", "replace", &vni.to_string()]).arg(&file);
        command.arg("--socket").arg(self.folder.path().join("ferry.sock"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let folder = format!("{}/", self.folder.path().display());
        match output.status.code() {
            Some(0) => Ok(text(&output.stdout)),
            Some(1) => Err(text(&output.stderr).replace(&folder, "")),
            _ => panic!("{output:?}"),
        }
    }

    /// A command that changes the configuration, such as `net set 1000 -`, with its standard input: exit code, output
    /// and errors.
    pub fn change(&self, line: &str, input: &str) -> (i32, String, String) {
        let mut command = Command::new(BINARY);
        command.args(line.split_whitespace()).args(["-l", "error", "--socket"]);
        command.arg(self.folder.path().join("ferry.sock"));
        let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
        let [input_end, output, errors] = pipes;
        let mut child = command.stdin(input_end).stdout(output).stderr(errors).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Starts a command that runs until it is told to stop.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(BINARY);
        command.args(arguments).args(["-l", "error", "--socket"]);
        command.arg(self.folder.path().join("ferry.sock"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Such a command, which must succeed; what it says.
    pub fn expect_change(&self, line: &str, input: &str) -> String {
        let (code, output, errors) = self.change(line, input);
        assert_eq!(code, 0, "{line}: {errors}");
        output
    }

    /// The file that it was started with.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("ferry.yaml")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does something while no thread of it runs.
    pub fn while_stopped(&self, work: impl FnOnce()) {
        let signal = |name| super::namespace::run("kill", &["-s", name, &self.pid().to_string()]);
        signal("STOP");
        super::eventually("it has stopped", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
            status.unwrap().contains("State:\tT")
        });
        work();
        signal("CONT");
    }

    /// Dropped packets by port and reason.
    pub fn drops(&self) -> HashMap<(String, String), u64> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let drops = self.show("drops");
        let row = |row: &Value| {
            ((text(row, "port"), text(row, "reason")), row["packets"].as_u64().unwrap())
        };
        drops.as_array().unwrap().iter().map(row).collect()
    }

    pub fn dropped(&self, port: &str, reason: &str) -> u64 {
        self.drops().get(&(port.to_owned(), reason.to_owned())).copied().unwrap_or(0)
    }

    /// Waits until a drop counter has a value, and fails if it has another in the end.
    pub fn expect_dropped(&self, port: &str, reason: &str, packets: u64) {
        let end = Instant::now() + Duration::from_secs(3);
        while self.dropped(port, reason) != packets {
            assert!(Instant::now() < end, "{port}: not {packets} {reason}, but {:?}", self.drops());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `rx + copies = tx + drops + merged + held`, once nothing moves any more.
    pub fn expect_balance(&self) -> Value {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let totals = self.show("totals");
            let of = |key: &str| totals[key].as_u64().unwrap();
            let out = of("tx") + of("drops") + of("merged");
            if of("rx") + of("copies") == out && of("held") == 0 {
                return totals;
            }
            assert!(Instant::now() < end, "the counters do not add up: {totals}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The learned or static place of a MAC in a network: `port`, `port.vlan`, `port.vlan.inner` or the peer's address.
    pub fn place(&self, vni: u32, mac: [u8; 6]) -> Option<String> {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let macs = self.show("macs");
        let found =
            macs.as_array().unwrap().iter().find(|row| row["vni"] == vni && row["mac"] == mac)?;
        Some(match found["port"].as_str() {
            Some(port) => {
                let tags = ["vlan", "inner_vlan"].into_iter().filter_map(|key| found[key].as_u64());
                tags.fold(port.to_owned(), |name, id| format!("{name}.{id}"))
            }
            None => found["peer"].as_str().unwrap().to_owned(),
        })
    }

    pub fn expect_place(&self, vni: u32, mac: [u8; 6], place: &str) {
        super::eventually(&format!("{mac:02x?} at {place}"), || {
            self.place(vni, mac).as_deref() == Some(place)
        });
    }

    /// What is known of an address in a network: MAC and kind.
    pub fn neighbour(&self, vni: u32, ip: &str) -> Option<(String, String)> {
        let neighbours = self.show("neighbours");
        let mut rows = neighbours.as_array().unwrap().iter();
        let found = rows.find(|row| row["vni"] == vni && row["ip"] == ip)?;
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        Some((text("mac"), text("kind")))
    }

    pub fn expect_neighbour(&self, vni: u32, ip: &str, mac: [u8; 6], kind: &str) {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        super::eventually(&format!("{ip} at {mac} by {kind}"), || {
            self.neighbour(vni, ip) == Some((mac.clone(), kind.to_owned()))
        });
    }

    /// Stops it: within two seconds, with exit code 0, which says that no mbuf is missing.
    pub fn stop(self) {
        self.stop_and_log();
    }

    /// The same; and of the frames that came, each was sent.
    pub fn expect_lossless(self) {
        let log = self.stop_and_log();
        let (_, totals) = log.rsplit_once("received ").unwrap();
        let totals = totals.lines().next().unwrap();
        let numbers = totals.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [received, copied, sent, dropped] = numbers[..] else { panic!("{totals}") };
        assert_eq!((copied, dropped, sent), (0, 0, received), "{totals}");
    }

    /// The same; what it has logged.
    pub fn stop_and_log(mut self) -> String {
        let begin = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        self.stopped = true;
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
        let socket = self.folder.path().join("ferry.sock");
        assert!(!socket.exists(), "the socket is left behind");
        let runtime = format!("/var/run/dpdk/ferry-{}", self.child.id());
        assert!(!std::path::Path::new(&runtime).exists(), "{runtime} is left behind");
        self.log()
    }

    /// Ends it at once, so that it can tell nobody.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stopped = true;
        let _ = std::fs::remove_dir_all(format!("/var/run/dpdk/ferry-{}", self.child.id()));
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        super::namespace::run("kill", &["-s", signal, &pid]);
    }
}

impl Drop for Ferry {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- Ferry's log\n{}", self.log());
        }
    }
}
