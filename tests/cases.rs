//! The table of cases in `tests/README.md` names tests that exist.
#![allow(clippy::unwrap_used)]

use std::path::Path;

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
            let path =
                if file.contains('/') { file.to_owned() } else { format!("tests/{file}.rs") };
            !read(&path).contains(&format!("#[test]\nfn {test}("))
                && !read(&path).contains(&format!("#[test]\n    fn {test}("))
        })
        .collect();
    assert!(missing.is_empty(), "named, and not there: {missing:?}");
}
