//! The table of cases in `tests/README.md` names tests that exist.

use std::path::Path;

/// Where a file without a folder is.
const FOLDERS: [&str; 6] = [".", "devices", "network", "operation", "peers", "wire"];

#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let table = read("tests/README.md");
    let names: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::"))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            let (file, test) = name.rsplit_once("::").unwrap();
            let in_folders = FOLDERS.iter().map(|folder| format!("tests/{folder}/{file}.rs"));
            let paths: Vec<_> =
                if file.contains('/') { vec![file.to_owned()] } else { in_folders.collect() };
            !paths.iter().map(|path| read(path)).any(|text| {
                text.contains(&format!("#[test]\nfn {test}("))
                    || text.contains(&format!("#[test]\n    fn {test}("))
            })
        })
        .collect();
    assert!(missing.is_empty(), "named, and not there: {missing:?}");
}
