//! What the tables of keys say, the readers do, and the schema too, key by key.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;
use crate::config::keys::{Absent, Key, Keys, Kind, MANY};
use crate::config::schema::value;

/// Every key with one of its places, such as `networks[].flood.peers[].port`.
#[derive(Default)]
struct EveryKey {
    keys: Vec<(String, &'static Key)>,
    seen: Vec<&'static Keys>,
}

impl EveryKey {
    fn of_mapping(&mut self, place: &str, keys: &'static Keys) {
        if self.seen.iter().any(|seen| std::ptr::eq(*seen, keys)) {
            return;
        }
        self.seen.push(keys);
        for key in keys.keys {
            let dot = if place.is_empty() { "" } else { "." };
            let place = format!("{place}{dot}{}", key.name);
            self.of_kind(&place, &key.kind);
            self.keys.push((place, key));
        }
    }

    fn of_kind(&mut self, place: &str, kind: &Kind) {
        match kind {
            Kind::Mapping(keys) => self.of_mapping(place, keys),
            Kind::List(of, ..) => self.of_kind(&format!("{place}[]"), of),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| self.of_kind(place, kind)),
            _ => {}
        }
    }
}

fn every_key() -> Vec<(String, &'static Key)> {
    let mut every = EveryKey::default();
    every.of_mapping("", &ROOT);
    every.keys
}

/// The places of a key in a file, as JSON pointers.
fn pointers(file: &Value, place: &str) -> Vec<String> {
    let mut found = vec![(file, String::new())];
    for part in place.split('.') {
        let (name, is_list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let mut next = Vec::new();
        for (value, at) in found {
            match value.get(name) {
                Some(Value::Array(list)) if is_list => {
                    let of = |(index, value)| (value, format!("{at}/{name}/{index}"));
                    next.extend(list.iter().enumerate().map(of));
                }
                Some(value) if !is_list => next.push((value, format!("{at}/{name}"))),
                _ => {}
            }
        }
        found = next;
    }
    found.into_iter().map(|(_, at)| at).collect()
}

/// The file with every key, and where its last one of some name is, for YAML and as messages have it.
fn with_key(place: &str) -> (Value, String, String) {
    let file = value(&example());
    let at = pointers(&file, place).pop().unwrap_or_else(|| panic!("the example has no {place}"));
    let mut path = String::new();
    for part in at.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(index) => path += &format!("[{index}]"),
            Err(_) if path.is_empty() => path += part,
            Err(_) => path += &format!(".{part}"),
        }
    }
    (file, at, path)
}

/// Whether the readers take a value to be one of a kind that may be there, whatever they think of it otherwise.
fn is_read(file: &Value, path: &str) -> bool {
    let errors = match Config::parse("f", &file.to_string()) {
        Ok(_) => return true,
        Err(ConfigErrors(errors)) => errors,
    };
    !errors.iter().any(|Diagnostic { path: at, message, .. }| {
        let of_kind = ["expected", "unknown key", "no access port is called 'nonsense"];
        at.starts_with(path) && of_kind.iter().any(|words| message.starts_with(words))
    })
}

/// Values at the edge of a kind, and whether they are of it.
fn samples(kind: &Kind) -> Vec<(Value, bool)> {
    match *kind {
        Kind::Boolean => vec![(json!(true), true), (json!(false), true), (json!("maybe"), false)],
        Kind::Number(least, most, _) => vec![
            (json!(least), true),
            (json!(most), true),
            (json!(least - 1), false),
            (json!(most + 1), false),
            (json!("several"), false),
        ],
        Kind::Values(values) | Kind::Words(values) => {
            let right = values.iter().map(|text| (value(text), true));
            right.chain([(json!("nonsense"), false), (json!(4711), false)]).collect()
        }
        Kind::Text(..) => vec![(json!(true), false), (json!({"nonsense": 1}), false)],
        Kind::Duration(least, most) => vec![
            (json!(least), true),
            (json!(most), true),
            (json!("1 week"), false),
            (json!(5), false),
        ],
        Kind::List(of, least, most) => {
            let mut samples = vec![(json!({"nonsense": 1}), false), (json!([]), least == 0)];
            samples.extend(self::samples(of).into_iter().map(|(one, good)| (json!([one]), good)));
            if let (Kind::Number(..), false) = (of, most == MANY) {
                samples.push((json!((0..=most).collect::<Vec<_>>()), false));
            }
            samples
        }
        Kind::Mapping(_) => vec![(json!({"nonsense": 1}), false), (json!(true), false)],
        Kind::Either(kinds) => {
            let all = kinds.iter().flat_map(self::samples);
            // What one of them refuses another may take.
            let mut samples: Vec<_> = all.filter(|(_, good)| *good).collect();
            samples.extend([(json!({"nonsense": 1}), false), (json!("nonsense:"), false)]);
            samples.push((json!(1.5), false));
            samples
        }
    }
}

fn validator() -> Validator {
    jsonschema::validator_for(&crate::config::schema()).unwrap()
}

#[test]
fn readers_and_schema_take_what_the_tables_say_and_nothing_else() {
    let validator = validator();
    let mut wrong = String::new();
    for (place, key) in every_key() {
        let (mut file, at, path) = with_key(&place);
        let example = key.example.map(|example| (value(example), true));
        for (sample, is_right) in samples(&key.kind).into_iter().chain(example) {
            *file.pointer_mut(&at).unwrap() = sample.clone();
            let (read, valid) = (is_read(&file, &path), validator.is_valid(&file));
            if (read, valid) != (is_right, is_right) {
                wrong += &format!("{place}: {sample}: read {read}, valid {valid}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn defaults_are_what_holds_without_the_key() {
    let mut checked = 0;
    for (place, key) in every_key() {
        let (mut file, at, _) = with_key(&place);
        let (parent, name) = at.rsplit_once('/').unwrap();
        let without = |file: &Value| {
            let mut file = file.clone();
            file.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            Config::parse("f", &file.to_string())
        };
        match key.absent {
            Absent::Refused => assert!(without(&file).is_err(), "{place} is not required"),
            Absent::Value(default) => {
                // What else is said of a list or a mapping may need it to be there.
                let Ok(left_out) = without(&file) else { continue };
                *file.pointer_mut(&at).unwrap() = value(default);
                let given = Config::parse("f", &file.to_string());
                let given = given.unwrap_or_else(|errors| panic!("{place}: {errors}"));
                assert_eq!(given.render(), left_out.render(), "{place}");
                checked += 1;
            }
            Absent::Nothing | Absent::Words(_) => {}
        }
    }
    assert!(checked > 50, "{checked}");
}

/// Whole configurations within the book's commands.
fn in_the_book() -> Vec<(PathBuf, String)> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let mut found = Vec::new();
    for folder in [book.clone(), book.join("recipes")] {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let documents = text.split(".yaml <<'END'\n").skip(1);
            let documents = documents.map(|rest| rest.split("\nEND\n").next().unwrap());
            let whole =
                documents.filter(|text| text.contains("\ncores:") || text.starts_with("cores:"));
            found.extend(whole.map(|text| (path.clone(), text.to_owned())));
        }
    }
    found
}

#[test]
fn the_schema_takes_every_file_that_is_shipped_or_in_the_book() {
    let validator = validator();
    let book = in_the_book();
    assert!(book.len() >= 7, "{book:?}");
    let debian = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/debian/ferry.yaml").into();
    let shipped = shipped().into_iter().chain([debian]).map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema="), "{path:?}");
        (path, text)
    });
    for (path, text) in shipped.chain(book).chain([("configs/README.md".into(), example())]) {
        let errors: Vec<String> =
            validator.iter_errors(&value(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path:?}: {errors:?}");
    }
}

#[test]
fn the_schema_refuses_what_people_get_wrong() {
    let validator = validator();
    assert!(validator.is_valid(&value(BASE)));
    for (right, wrong) in [
        ("queues: 1", "queus: 1"),
        ("[192.0.2.1/24]", "192.0.2.1/24"),
        ("idle: yield", "idle: spinning"),
        ("vni: 101", "vni: 16777216"),
        ("vni: 101", "vni: tenant"),
        ("ageing: 300s", "ageing: 300"),
        ("workers: [1]", "workers: 1"),
        ("name: tenant-a", "label: tenant-a"),
        ("02:00:00:00:00:02", "02:00"),
        (", peer: 192.0.2.3}", "}"),
    ] {
        assert!(BASE.contains(right), "the base has no '{right}'");
        assert!(!validator.is_valid(&value(&BASE.replacen(right, wrong, 1))), "{wrong}");
    }
}

#[test]
fn the_shipped_schema_is_what_ferry_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/ferry.schema.json");
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        shipped == crate::config::schema(),
        "write it anew: ferry schema >configs/ferry.schema.json"
    );
}

#[test]
fn the_books_page_of_keys_is_what_ferry_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/keys.md");
    assert!(
        std::fs::read_to_string(page).unwrap() == crate::config::reference(),
        "write it anew: ferry schema --markdown >docs/src/keys.md"
    );
}
