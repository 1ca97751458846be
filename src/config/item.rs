//! Typed access to the value tree; whatever does not fit is reported, and reading goes on.
//!
//! Every reader returns `Option`: `None` says that an error has been reported.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::diagnostic::Diagnostic;
use super::keys::{Keys, Kind};
use super::tree::{Entry, Node, Value};

/// Collects what is found in one file.
pub(super) struct Report {
    file: String,
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
}

impl Report {
    pub fn new(file: &str) -> Self {
        Report { file: file.to_owned(), errors: RefCell::default(), warnings: RefCell::default() }
    }

    /// Errors and warnings, each ordered by line.
    pub fn finish(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let by_line = |mut list: Vec<Diagnostic>| {
            list.sort_by_key(|diagnostic| diagnostic.line);
            list
        };
        (by_line(self.errors.into_inner()), by_line(self.warnings.into_inner()))
    }
}

/// A value at its place in the file.
#[derive(Clone)]
pub(super) struct Item<'a> {
    report: &'a Report,
    pub path: String,
    pub line: u32,
    value: &'a Value,
    /// What the tables say of its key, where that was asked for by its mapping's [`Fields`].
    kind: Option<&'static Kind>,
}

impl<'a> Item<'a> {
    pub fn root(report: &'a Report, node: &'a Node) -> Self {
        Item { report, path: String::new(), line: node.line, value: &node.value, kind: None }
    }

    pub fn error(&self, message: impl Display) {
        self.report.errors.borrow_mut().push(self.diagnostic(message));
    }

    pub fn warn(&self, message: impl Display) {
        self.report.warnings.borrow_mut().push(self.diagnostic(message));
    }

    fn diagnostic(&self, message: impl Display) -> Diagnostic {
        Diagnostic {
            file: self.report.file.clone(),
            line: Some(self.line),
            column: None,
            path: self.path.clone(),
            message: message.to_string(),
        }
    }

    pub fn expected<T>(&self, what: impl Display) -> Option<T> {
        self.error(format_args!("expected {what}, found {}", self.value));
        None
    }

    pub fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(_))
    }

    pub fn is_zero(&self) -> bool {
        matches!(self.value, Value::Integer(0))
    }

    pub fn boolean(&self) -> Option<bool> {
        self.as_boolean().or_else(|| self.expected("true or false"))
    }

    /// A whole number that the key may have, which `T` must be able to hold.
    pub fn number<T: TryFrom<i128>>(&self) -> Option<T> {
        self.number_within(self.numbers())
    }

    /// The same, where words could be there as well.
    pub fn number_or<T: TryFrom<i128>>(&self, words: &str) -> Option<T> {
        let range = self.numbers();
        self.as_number(range.clone()).or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.expected(format_args!("{words} or a whole number from {least} to {most}"))
        })
    }

    /// Those that its key may have: none, where the tables speak of none.
    fn numbers(&self) -> RangeInclusive<i128> {
        let numbers = self.kind.and_then(Kind::numbers);
        debug_assert!(numbers.is_some(), "{}: the tables know no number", self.path);
        numbers.unwrap_or(RangeInclusive::new(1, 0))
    }

    /// The shortest and the longest time that its key may have.
    pub fn durations(&self) -> [&'static str; 2] {
        let durations = self.kind.and_then(Kind::durations);
        debug_assert!(durations.is_some(), "{}: the tables know no duration", self.path);
        durations.unwrap_or_default()
    }

    /// A whole number within `range`, of which the tables say not all.
    pub fn number_within<T: TryFrom<i128>>(&self, range: RangeInclusive<i128>) -> Option<T> {
        self.as_number(range.clone()).or_else(|| {
            self.expected(format_args!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A number within a range, if it is one, without a report.
    pub fn as_number<T: TryFrom<i128>>(&self, range: RangeInclusive<i128>) -> Option<T> {
        match self.value {
            Value::Integer(value) if range.contains(value) => T::try_from(*value).ok(),
            _ => None,
        }
    }

    pub fn text(&self, what: &str) -> Option<&'a str> {
        match self.value {
            Value::Text(value) => Some(value),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
                self.expected(format_args!("{what} (put it in quotes)"))
            }
            _ => self.expected(what),
        }
    }

    /// Text that `T` can parse.
    pub fn parse<T: FromStr>(&self, what: &str) -> Option<T> {
        self.parse_with(what, |text| text.parse().ok())
    }

    pub fn parse_with<T>(&self, what: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.as_text().and_then(parse).or_else(|| self.expected(what))
    }

    /// The text of a value, if it is text, without a report.
    pub fn as_text(&self) -> Option<&'a str> {
        match self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A boolean, if it is one, without a report.
    pub fn as_boolean(&self) -> Option<bool> {
        match self.value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of the name that is given.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let allowed = names.join(", ");
        let mut near = None;
        if let Value::Text(text) = self.value {
            if let Some((_, value)) = choices.iter().find(|(name, _)| name == text) {
                return Some(*value);
            }
            near = nearest(text, &names);
        }
        let one_of = if names.len() > 1 { "one of " } else { "" };
        let near = near.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
        self.error(format_args!("expected {one_of}{allowed}, found {}{near}", self.value));
        None
    }

    pub fn list(&self) -> Option<Vec<Item<'a>>> {
        match self.value {
            Value::List(_) => Some(self.elements().collect()),
            _ => self.expected("a list"),
        }
    }

    /// The elements of a list, none of anything else, without a report.
    pub fn elements(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let nodes: &'a [Node] = match self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        };
        let (report, path) = (self.report, self.path.clone());
        let kind = self.kind.and_then(Kind::element);
        nodes.iter().enumerate().map(move |(index, node)| Item {
            report,
            path: format!("{path}[{index}]"),
            line: node.line,
            value: &node.value,
            kind,
        })
    }

    /// A list, each element read by `read`; elements with errors are left out.
    pub fn list_of<T>(&self, read: impl FnMut(Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.list()?.into_iter().filter_map(read).collect())
    }

    /// The keys of a mapping; unknown and repeated ones are reported.
    pub fn fields(&self, keys: &'static Keys) -> Option<Fields<'a>> {
        let Value::Mapping(entries) = self.value else {
            return self
                .expected(format_args!("a mapping with the keys {}", keys.names().join(", ")));
        };
        let mut misspelt = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let place = self.child(entry).at(entry.line);
            if let Some(first) = entries[..index].iter().find(|other| other.key == entry.key) {
                place.error(format_args!(
                    "this key is already given in line {}; keep one of them",
                    first.line
                ));
            } else if !keys.has(&entry.key) {
                let names = keys.names();
                let near = nearest(&entry.key, &names);
                let hint = near.map(|key| format!("did you mean '{key}'? ")).unwrap_or_default();
                place.error(format_args!("unknown key; {hint}allowed here: {}", names.join(", ")));
                misspelt.extend(near);
            }
        }
        Some(Fields { item: self.clone(), keys, misspelt })
    }

    /// A key of a mapping whose keys have been checked before.
    pub fn key(&self, key: &str) -> Option<Item<'a>> {
        let Value::Mapping(entries) = self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| self.child(entry))
    }

    fn child(&self, entry: &'a Entry) -> Item<'a> {
        let path = match self.path.as_str() {
            "" => entry.key.clone(),
            parent => format!("{parent}.{}", entry.key),
        };
        let (line, value) = (entry.node.line, &entry.node.value);
        Item { report: self.report, path, line, value, kind: None }
    }

    fn at(self, line: u32) -> Self {
        Item { line, ..self }
    }
}

/// The keys of one mapping, by name.
pub(super) struct Fields<'a> {
    pub item: Item<'a>,
    keys: &'static Keys,
    /// Keys that were probably meant by unknown ones: to call them missing too would be noise.
    misspelt: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let kind = self.keys.kind(key);
        debug_assert!(kind.is_some(), "'{key}' is read but not listed");
        self.item.key(key).map(|item| Item { kind, ..item })
    }

    /// A key that must be there; `example` is one right way to write it.
    pub fn required<T>(
        &self,
        key: &str,
        example: &str,
        read: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(item) => read(item),
            None if self.is_misspelt(key) => None,
            None => {
                self.item
                    .error(format_args!("the key '{key}' is missing; add it, such as '{example}'"));
                None
            }
        }
    }

    /// Whether a key that is not there was probably meant by one that is.
    pub fn is_misspelt(&self, key: &str) -> bool {
        self.misspelt.contains(&key)
    }

    /// A key that may be left out.
    pub fn or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(key).map_or(Some(default), read)
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    let near = candidates.iter().min_by_key(|candidate| distance(candidate))?;
    (distance(near) <= 1.max(near.chars().count() / 3)).then_some(*near)
}
