//! Every error, with its exact words.

use super::*;

/// A change to the base, and what it must be told.
#[derive(Default)]
struct Case {
    taken: Vec<&'static str>,
    put: Vec<&'static str>,
    told: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases = vec![Case::default()];
    for line in include_str!("messages.txt").lines() {
        let case = cases.last_mut().unwrap();
        match line.split_at_checked(1) {
            Some(("-", rest)) => case.taken.push(rest),
            Some(("+", rest)) => case.put.push(rest),
            Some(("!", rest)) => case.told.push(rest),
            Some((";", _)) => {}
            None => cases.push(Case::default()),
            Some(_) => panic!("messages.txt: '{line}'"),
        }
    }
    cases.retain(|case| !case.taken.is_empty());
    cases
}

#[test]
fn the_base_is_right() {
    let config = Config::parse("f", BASE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, []);
}

#[test]
fn each_error_is_told_in_these_words() {
    let cases = cases();
    assert!(cases.len() > 100);
    let mut wrong = String::new();
    for Case { taken, put, told } in cases {
        let (mut taken, put) = (taken.join("\n"), put.join("\n"));
        if put.is_empty() {
            taken.push('\n');
        }
        assert!(BASE.contains(&taken), "the base has no '{taken}'");
        let found = match Config::parse("f", &BASE.replacen(&taken, &put, 1)) {
            Ok(_) => "no error".to_owned(),
            Err(errors) => errors.to_string(),
        };
        if found != told.join("\n") {
            wrong += &format!("\n-{taken}\n+{put}\n!{}\n", found.replace('\n', "\n!"));
        }
    }
    assert!(wrong.is_empty(), "these are told otherwise:\n{wrong}");
}
