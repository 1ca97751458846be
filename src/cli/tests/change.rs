//! Commands that change the running configuration, against a real socket.

use std::path::PathBuf;

use crate::api::tests::fake::{Fake, world};
use crate::cli::{Change, Exit, Wanted, change};

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
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let plan = Change { wanted, socket: self.fake.socket() };
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
    let run = |text: &str| bench.run(Wanted::Macs { vni: 101, file: bench.file(text) });
    let (exit, output, _) = run("- {mac: \"02:00:00:00:00:05\", port: vm1}\n").unwrap();
    assert_eq!(exit, Exit::Fine);
    assert!(output.starts_with("MACs: 1 added, ") && output.ends_with(" kept\n"), "{output}");
    let told = "macs[0]: where this MAC is, is missing; add 'port: NAME' or 'peer: ADDRESS'";
    assert_eq!(run("\n- {mac: \"02:00:00:00:00:05\"}\n"), Err(format!("new.yaml:2: {told}")));
    let error = bench.run(Wanted::Macs { vni: 101, file: "none".into() }).unwrap_err();
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
        let (exit, output, _) = bench.run(Wanted::Config { file: file(), dry_run }).unwrap();
        assert_eq!((exit, output.as_str()), (Exit::Fine, told));
    }
    assert_eq!(bench.run(Wanted::Config { file: file(), dry_run: false }), Ok(nothing));
    let wrong = bench.file(&base.replace("vni: 102", "vni: 101"));
    let error = bench.run(Wanted::Config { file: wrong, dry_run: false }).unwrap_err();
    assert!(error.starts_with("new.yaml:43: networks[1].vni: 101 is already used by "), "{error}");
}

#[test]
fn networks_come_and_go() {
    let bench = Bench::new();
    let set = |vni, text: &str, is_new| {
        bench.run(Wanted::Network { vni, file: bench.file(text), is_new })
    };
    let (exit, output, errors) = set(103, "name: c\n", true).unwrap();
    assert_eq!((exit, output.as_str()), (Exit::Fine, "+ network 103\n"));
    assert!(errors.starts_with("warning: /new.yaml:1: this network has no ports"), "{errors}");
    let error = set(103, "name: d\n", true).unwrap_err();
    assert_eq!(error, "there is a network 103 already: 'c'");
    let (_, output, _) = set(103, "name: d\n", false).unwrap();
    assert_eq!(output, "~ network 103\n    name: c -> d\n");
    let remove = || bench.run(Wanted::NoNetwork { vni: 103 }).unwrap().1;
    assert_eq!(
        (remove(), remove()),
        ("- network 103\n".to_owned(), "nothing differs\n".to_owned())
    );
}
