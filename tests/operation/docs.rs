//! The book in `docs/`: its commands run, its links lead somewhere, and its tables are the program's.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::Namespace;
use ferry::drop_reason::DropReason;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is between `](` and `)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

fn is_relative(link: &str) -> bool {
    !link.starts_with("http") && !link.starts_with('#')
}

/// Every chapter, relative to the book's folder.
fn chapters() -> BTreeSet<PathBuf> {
    let summary = read(&book().join("SUMMARY.md"));
    links(&summary).map(PathBuf::from).collect()
}

/// The commands of a chapter, all blocks of `sh` one after the other.
fn commands(chapter: &Path, text: &str) -> String {
    let (mut commands, mut block, mut last) = (String::new(), None, "");
    for line in text.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(kind), None) => {
                assert!(
                    kind != "sh,norun" || last.starts_with("<!-- Not run by the test"),
                    "{}: why is this not run? {last}",
                    chapter.display()
                );
                block = Some(kind);
            }
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => writeln!(commands, "{line}").unwrap(),
            (None, _) => {}
        }
        last = line;
    }
    commands
}

/// The arguments: the folder to be in, that of Ferry, and a file of commands. Nothing is left behind: not the named
/// namespaces, which are in /run, nor a process.
const ALONE: &str = r#"
mount -t tmpfs none /run
cd "$1"
PATH=$2:$PATH exec bash -euxo pipefail "$3"
"#;

fn run(chapter: &Path, commands: &str) {
    let (folder, host) = (tempfile::tempdir().unwrap(), Namespace::new("docs"));
    let file = folder.path().join("commands");
    std::fs::write(&file, commands).unwrap();
    let ferry = Path::new(env!("CARGO_BIN_EXE_ferry")).parent().unwrap();
    let unshare = "120 unshare --mount --pid --fork --kill-child --mount-proc sh -euc";
    let output = host
        .command("timeout")
        .args(unshare.split(' '))
        .args([ALONE, "sh"])
        .args([folder.path(), ferry, file.as_path()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}\n{}\n{}",
        chapter.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_command_works() {
    let texts = chapters().into_iter().map(|chapter| {
        let text = commands(&chapter, &read(&book().join(&chapter)));
        (chapter, text)
    });
    let runs: Vec<_> = texts.filter(|(_, commands)| !commands.is_empty()).collect();
    assert!(runs.len() >= 8, "{runs:?}");
    std::thread::scope(|scope| {
        for (chapter, commands) in &runs {
            scope.spawn(|| run(chapter, commands));
        }
    });
}

#[test]
fn every_chapter_is_in_the_summary_and_every_link_leads_somewhere() {
    let mut there = BTreeSet::new();
    for folder in [book(), book().join("recipes")] {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                there.insert(path.strip_prefix(book()).unwrap().to_owned());
            }
        }
    }
    there.remove(Path::new("SUMMARY.md"));
    assert_eq!(there, chapters());
    for chapter in there {
        let path = book().join(&chapter);
        for link in links(&read(&path)).filter(|link| is_relative(link)) {
            let file = link.split('#').next().unwrap();
            let target = path.parent().unwrap().join(file);
            assert!(target.is_file(), "{}: {link}", chapter.display());
        }
    }
}

/// The chapter on configuration is a part of `configs/README.md`, in which no link may lead to a neighbour of that.
#[test]
fn the_included_reference_is_there_and_stands_by_itself() {
    let chapter = read(&book().join("configuration.md"));
    assert!(chapter.contains("{{#include ../../configs/README.md:keys}}"), "{chapter}");
    let reference = read(&book().join("../../configs/README.md"));
    let (_, keys) = reference.split_once("<!-- ANCHOR: keys -->").unwrap();
    let (keys, after) = keys.split_once("<!-- ANCHOR_END: keys -->").unwrap();
    assert!(
        keys.contains("## The underlay") && keys.contains("## Networks") && after.trim().is_empty()
    );
    assert_eq!(links(keys).find(|link| is_relative(link)), None);
}

#[test]
fn the_table_of_drop_reasons_is_the_programs() {
    let chapter = read(&book().join("drops.md"));
    let rows: Vec<&str> = chapter.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |reason: &DropReason| {
        format!("| `{}` | {} | {} |", reason.name(), reason.meaning(), reason.remedy())
    };
    let wanted: Vec<String> = DropReason::ALL.iter().map(row).collect();
    assert!(rows == wanted, "docs/src/drops.md should have these rows:\n{}", wanted.join("\n"));
}
