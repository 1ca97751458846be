//! `ferry show` against a real socket.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Sender, bounded, unbounded};
use serde::de::DeserializeOwned;

use crate::api::model::{DropCount, Mac, Mirror, Network, Peer, Port, Totals, Worker};
use crate::api::tests::fake::{Fake, World, mac, mirror, serve, totals, version, world};
use crate::cli::watch::repeat;
use crate::cli::{Plan, parse, show};

fn shown(socket: &Path, line: &str) -> Result<String, String> {
    let arguments = ["ferry", "show", "--socket", socket.to_str().unwrap()];
    let (plan, _) =
        parse(arguments.into_iter().chain(line.split_whitespace()), &version()).unwrap();
    let Plan::Show(plan) = plan else { panic!("{plan:?}") };
    let mut output = Vec::new();
    show(&plan, &mut output).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(output).unwrap())
}

#[test]
fn json_parses_back_into_the_model() {
    fn json<T: DeserializeOwned>(fake: &Fake, line: &str) -> T {
        let text = shown(&fake.socket(), &format!("{line} --json")).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() > 2, "pretty: {text}");
        serde_json::from_str(&text).unwrap()
    }
    let (fake, world) = (Fake::new(world()), world());
    assert_eq!(json::<Vec<Port>>(&fake, "ports"), world.ports);
    assert_eq!(json::<Vec<Network>>(&fake, "networks"), world.networks);
    assert_eq!(json::<Vec<Mac>>(&fake, "macs"), world.macs);
    assert_eq!(json::<Vec<Mac>>(&fake, "macs --port vm1"), [mac(101, 0), mac(101, 2)]);
    assert_eq!(json::<Vec<Mac>>(&fake, "macs --peer 192.0.2.2"), [mac(101, 1)]);
    assert_eq!(json::<Vec<Peer>>(&fake, "peers"), world.peers);
    assert_eq!(json::<Vec<Worker>>(&fake, "workers"), world.workers);
    assert_eq!(json::<Vec<Mirror>>(&fake, "mirrors"), [mirror()]);
    assert_eq!(json::<Vec<DropCount>>(&fake, "drops"), world.drops[..1]);
    assert_eq!(json::<Vec<DropCount>>(&fake, "drops --all"), world.drops);
    assert_eq!(json::<Totals>(&fake, "totals"), totals());
}

#[test]
fn nothing_to_show_is_said() {
    let fake = Fake::new(World::default());
    for name in ["ports", "networks", "peers", "workers", "drops"] {
        assert_eq!(shown(&fake.socket(), name), Ok(format!("no {name}\n")));
    }
    assert_eq!(shown(&fake.socket(), "macs"), Ok("no MACs\n".to_owned()));
    assert_eq!(shown(&fake.socket(), "macs --json"), Ok("[]\n".to_owned()));
}

#[test]
fn a_table_comes_from_the_running_process() {
    let fake = Fake::new(world());
    let text = shown(&fake.socket(), "macs").unwrap();
    assert!(text.contains("02:00:00:00:00:02"), "{text}");
}

#[test]
fn without_a_process_it_says_what_to_do() {
    let mut fake = Fake::new(World::default());
    fake.stop();
    let missing = fake.socket();
    let hint = "is it running? (ferry run -c FILE; another socket: --socket PATH)";
    let expected = format!("no Ferry answers at {}: {hint}", missing.display());
    assert_eq!(shown(&missing, "ports"), Err(expected.clone()));
    // A socket that a killed process left behind is no better than none.
    drop(std::os::unix::net::UnixListener::bind(&missing).unwrap());
    assert_eq!(shown(&missing, "ports"), Err(expected));
}

#[test]
fn a_process_that_is_no_ferry_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let other =
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"SSH-2.0-x\r\n"));
    let error = shown(&path, "ports").unwrap_err();
    assert!(error.starts_with("no usable answer from "), "{error}");
    other.join().unwrap().unwrap();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Gone(io::ErrorKind);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fake = Fake::new(world());
    for arguments in ["ports", "ports --json"] {
        let line = format!("ferry show {arguments} --socket {}", fake.socket().display());
        let (plan, _) = parse(line.split_whitespace(), &version()).unwrap();
        let Plan::Show(plan) = plan else { panic!("{plan:?}") };
        show(&plan, Gone(io::ErrorKind::BrokenPipe)).unwrap();
        show(&plan, Gone(io::ErrorKind::StorageFull)).unwrap_err();
    }
}

/// Sends what is written, a flush at a time.
struct Blocks(Vec<u8>, Sender<String>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        let text = String::from_utf8(std::mem::take(&mut self.0)).unwrap();
        self.1.send(text).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn what_is_watched_is_shown_again_and_survives_a_restart() {
    let mut fake = Fake::new(world());
    for (arguments, is_terminal) in [("ports --json", false), ("ports", false), ("ports", true)] {
        let line = format!("ferry show {arguments} --watch --socket {}", fake.socket().display());
        let (plan, _) = parse(line.split_whitespace(), &version()).unwrap();
        let Plan::Show(plan) = plan else { panic!("{plan:?}") };
        let (sender, blocks) = unbounded();
        let (end, stop) = bounded(1);
        let output = Blocks(Vec::new(), sender);
        let (mut errors, pause) = (Vec::new(), Duration::from_millis(20));
        thread::scope(|scope| {
            let both = (output, &mut errors);
            let watching = scope.spawn(move || repeat(&plan, pause, is_terminal, both, &stop));
            let (first, second) = (blocks.recv().unwrap(), blocks.recv().unwrap());
            if arguments.ends_with("--json") {
                assert_eq!(first.lines().count(), 1, "a document a line: {first}");
                assert_eq!(serde_json::from_str::<Vec<Port>>(&first).unwrap(), world().ports);
                assert_eq!(first, second);
            } else if is_terminal {
                assert!(first.starts_with("\x1b[H\x1b[2J"), "{first:?}");
                assert_eq!(first, second);
            } else {
                assert_eq!(format!("\n{first}"), second);
            }
            fake.stop();
            while blocks.recv_timeout(Duration::from_millis(300)).is_ok() {}
            fake.start(world());
            assert_eq!(blocks.recv().unwrap(), second);
            end.send(()).unwrap();
            watching.join().unwrap().unwrap();
        });
        let errors = String::from_utf8(errors).unwrap();
        assert!(errors.ends_with("; trying on\n"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "said once: {errors}");
    }
}

#[test]
fn a_refusal_is_printed_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (handle, queries) = crate::api::channel(version());
    drop(queries);
    let _server = serve(&path, handle).unwrap();
    assert_eq!(shown(&path, "ports"), Err("Ferry is stopping".to_owned()));
}
