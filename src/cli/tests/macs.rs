//! `ferry mac replace` against a real socket.

use std::path::PathBuf;

use crate::api::tests::fake::{Fake, world};
use crate::cli::{ReplaceMacs, replace_macs};

#[test]
fn it_says_what_changed_or_what_is_wrong_and_where() {
    let fake = Fake::new(world());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.yaml");
    let run = |file: PathBuf| {
        let mut output = Vec::new();
        replace_macs(&ReplaceMacs { vni: 101, file, socket: fake.socket() }, &mut output)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8(output).unwrap())
    };
    std::fs::write(&file, "- {mac: \"02:00:00:00:00:05\", port: vm1}\n").unwrap();
    let output = run(file.clone()).unwrap();
    assert!(output.starts_with("MACs: 1 added, ") && output.ends_with(" kept\n"), "{output}");
    std::fs::write(&file, "\n- {mac: \"02:00:00:00:00:05\"}\n").unwrap();
    let told = "macs[0]: where this MAC is, is missing; add 'port: NAME' or 'peer: ADDRESS'";
    assert_eq!(run(file.clone()), Err(format!("{}:2: {told}", file.display())));
    let error = run(folder.path().join("none")).unwrap_err();
    assert!(error.contains("none cannot be read: "), "{error}");
}
