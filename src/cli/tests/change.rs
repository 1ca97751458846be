//! Commands that change the running configuration, against a real socket.

use std::path::PathBuf;

use crate::api::tests::fake::{Fake, world};
use crate::cli::{Change, Content, Exit, NetworkId, Part, Wanted, change};
use crate::wire::MacAddr;

struct Bench {
    fake: Fake,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { fake: Fake::new(world()), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("new.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Exit code, output and warnings; or the error.
    fn run(&self, wanted: Wanted) -> Result<(Exit, String, String), String> {
        self.try_run(wanted, false)
    }

    fn try_run(&self, wanted: Wanted, dry_run: bool) -> Result<(Exit, String, String), String> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let plan = Change { wanted, dry_run, socket: self.fake.socket() };
        let exit = change(&plan, &mut output, &mut errors).map_err(|error| {
            error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
        })?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((
            exit,
            text(output),
            text(errors).replace(&self.folder.path().display().to_string(), ""),
        ))
    }
}

#[test]
fn static_macs_say_what_changed_or_what_is_wrong_and_where() {
    let bench = Bench::new();
    let run = |text: &str| bench.run(Wanted::Macs { network: 101.into(), file: bench.file(text) });
    let (exit, output, _) = run("- {mac: \"02:00:00:00:00:05\", port: vm1}\n").unwrap();
    assert_eq!(exit, Exit::Fine);
    assert!(output.starts_with("MACs: 1 added, ") && output.ends_with(" kept\n"), "{output}");
    let told = "macs[0]: where this MAC is, is missing; add 'port: NAME' or 'peer: ADDRESS'";
    assert_eq!(run("\n- {mac: \"02:00:00:00:00:05\"}\n"), Err(format!("new.yaml:2: {told}")));
    let error = bench.run(Wanted::Macs { network: 101.into(), file: "none".into() }).unwrap_err();
    assert!(error.contains("none cannot be read: "), "{error}");
}

#[test]
fn a_file_is_compared_and_applied() {
    let bench = Bench::new();
    let base = include_str!("../../config/tests/base.yaml");
    let file = || bench.file(&base.replace("ageing: 300s", "ageing: 60s"));
    let nothing = (Exit::Fine, "nothing differs\n".to_owned(), String::new());
    let told = "~ network 101\n    ageing: 300s -> 60s\n";
    assert_eq!(bench.run(Wanted::Difference { file: bench.file(base) }), Ok(nothing.clone()));
    for dry_run in [true, true, false] {
        let (exit, output, _) = bench.run(Wanted::Difference { file: file() }).unwrap();
        assert_eq!((exit, output.as_str()), (Exit::Failed, told));
        let (exit, output, _) = bench.try_run(Wanted::Config { file: file() }, dry_run).unwrap();
        assert_eq!((exit, output.as_str()), (Exit::Fine, told));
    }
    assert_eq!(bench.run(Wanted::Config { file: file() }), Ok(nothing));
    let wrong = bench.file(&base.replace("vni: 102", "vni: 101"));
    let error = bench.run(Wanted::Config { file: wrong }).unwrap_err();
    assert!(error.starts_with("new.yaml:43: networks[1].vni: 101 is already used by "), "{error}");
}

#[test]
fn networks_come_and_go() {
    let bench = Bench::new();
    let set = |vni, text: &str, is_new| {
        let content = Content::File(bench.file(text));
        bench.run(Wanted::Set { part: Part::Network(NetworkId::Vni(vni)), content, is_new })
    };
    let (exit, output, errors) = set(103, "name: c\n", true).unwrap();
    assert_eq!((exit, output.as_str()), (Exit::Fine, "+ network 103\n"));
    assert!(errors.starts_with("warning: /new.yaml:1: this network has no ports"), "{errors}");
    let error = set(103, "name: d\n", true).unwrap_err();
    assert_eq!(error, "there is a network 103 already: 'c'");
    let (_, output, _) = set(103, "name: d\n", false).unwrap();
    assert_eq!(output, "~ network 103\n    name: c -> d\n");
    let remove = || bench.run(Wanted::Remove(vec![Part::Network(NetworkId::Vni(103))])).unwrap().1;
    assert_eq!(
        (remove(), remove()),
        ("- network 103\n".to_owned(), "nothing differs\n".to_owned())
    );
}

#[test]
fn arguments_make_parts_and_errors_name_their_keys() {
    let bench = Bench::new();
    let set = |part: &Part, text: &str, is_new| {
        let content = Content::Arguments(text.to_owned());
        bench.run(Wanted::Set { part: part.clone(), content, is_new })
    };
    let known = Part::Mac(101.into(), MacAddr([2, 0, 0, 0, 0, 2]));
    let (_, output, _) = bench.run(Wanted::Remove(vec![known])).unwrap();
    assert!(output.contains("macs: MACs: 0 added, 0 changed, 1 removed, 1 kept"), "{output}");
    let mac = Part::Mac(101.into(), MacAddr([2, 0, 0, 0, 0, 0x55]));
    let (_, output, _) = set(&mac, r#"{"port":"vm1"}"#, true).unwrap();
    assert!(output.contains("macs: MACs: 1 added, 0 changed, 0 removed"), "{output}");
    let told = "there is 02:00:00:00:00:55 in network 101 already";
    assert_eq!(set(&mac, r#"{"port":"vm1"}"#, true).unwrap_err(), told);
    let (_, output, _) = set(&mac, r#"{"peer":"192.0.2.2"}"#, false).unwrap();
    assert!(output.contains("macs: MACs: 0 added, 1 changed, 0 removed"), "{output}");
    let told = "port: no access port is called 'vn1'; did you mean 'vm1'?";
    assert_eq!(set(&mac, r#"{"port":"vn1"}"#, false).unwrap_err(), told);
    let (_, output, _) = bench.run(Wanted::Remove(vec![mac.clone(), mac])).unwrap();
    assert_eq!(output.lines().count(), 2, "the second time nothing differs: {output}");

    let flush = |port: &str| {
        let port = Some(port.to_owned());
        bench.run(Wanted::Flush { network: None, port, peer: None })
    };
    assert_eq!(flush("vm1").unwrap().1, "1 learned MAC forgotten\n");
    let told = "no access port is called 'vm11'; did you mean 'vm1'?";
    assert_eq!(flush("vm11").unwrap_err(), told);

    let peer = Part::Peer(101.into(), [192, 0, 2, 9].into());
    let (_, output, _) = set(&peer, "{}", true).unwrap();
    assert_eq!(output, "~ network 101\n    flood.peers: +192.0.2.9\n");
    let error = set(&peer, r#"{"portt":1}"#, false).unwrap_err();
    assert!(error.contains("portt: unknown key; did you mean 'port'?"), "{error}");
    let (_, output, _) = bench.run(Wanted::Remove(vec![peer])).unwrap();
    assert_eq!(output, "~ network 101\n    flood.peers: -192.0.2.9\n");

    let port = Part::Port("vm 9/ü".to_owned());
    let error = set(&port, r#"{"device":"net_tap9"}"#, true).unwrap_err();
    assert!(error.contains("name: expected a name of 1 to 63 letters"), "{error}");
    let port = Part::Port("vm9".to_owned());
    assert_eq!(set(&port, r#"{"device":"net_tap9"}"#, true).unwrap().1, "+ access port vm9\n");
    let (_, output, _) = bench.run(Wanted::Remove(vec![port])).unwrap();
    assert_eq!(output, "- access port vm9\n");
}

#[test]
fn networks_are_named_and_a_dry_run_changes_nothing() {
    let bench = Bench::new();
    let named = |name: &str| name.parse::<NetworkId>().unwrap();
    let mac = |network| Part::Mac(network, MacAddr([2, 0, 0, 0, 0, 2]));
    for dry_run in [true, true, false] {
        let wanted = Wanted::Remove(vec![mac(named("tenant-101"))]);
        let (_, output, _) = bench.try_run(wanted, dry_run).unwrap();
        assert!(output.contains("macs: MACs: 0 added, 0 changed, 1 removed"), "{output}");
    }
    let again = bench.run(Wanted::Remove(vec![mac(named("101"))])).unwrap().1;
    assert_eq!(again, "nothing differs\n");
    let wanted = |name: &str| Wanted::Macs { network: named(name), file: bench.file("[]") };
    for dry_run in [true, false] {
        let (_, output, _) = bench.try_run(wanted("tenant-101"), dry_run).unwrap();
        assert!(output.starts_with("MACs: 0 added, 0 changed, 1 removed"), "{output}");
    }
    for (name, told) in [
        ("tenant-10", "no network is called 'tenant-10'; did you mean 'tenant-101'?"),
        ("4711", "no network has the VNI 4711; 'ferry show networks' lists those that there are"),
    ] {
        assert_eq!(bench.run(wanted(name)).unwrap_err(), told);
    }
}
