//! Reading typed values out of the tree: every mistake becomes a message, and reading goes on.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_saphyr::Spanned;

use super::tree::{Node, Value};

/// The messages of one file, in the order of its lines.
#[derive(Default)]
pub struct Messages(RefCell<Vec<(u64, String)>>);

impl Messages {
    /// Adds one.
    pub fn add(&self, line: u64, message: impl Display) {
        self.0.borrow_mut().push((line, message.to_string()));
    }

    /// All of them, by line.
    pub fn into_lines(self, file: &str) -> Vec<String> {
        let mut messages = self.0.into_inner();
        messages.sort_by_key(|(line, _)| *line);
        messages.into_iter().map(|(line, message)| format!("{file}:{line}: {message}")).collect()
    }
}

/// A value, the path of keys that leads to it, and where to complain.
#[derive(Clone)]
pub struct Item<'a> {
    /// Such as `networks[1].vni`.
    pub path: String,
    /// Where it stands.
    pub line: u64,
    value: &'a Value,
    messages: &'a Messages,
}

impl<'a> Item<'a> {
    /// The whole file.
    pub fn root(node: &'a Node, messages: &'a Messages) -> Self {
        Self { path: String::new(), line: node.referenced.line(), value: &node.value, messages }
    }

    /// Complains about this value.
    pub fn wrong(&self, message: impl Display) {
        if self.path.is_empty() {
            self.messages.add(self.line, message);
        } else {
            self.messages.add(self.line, format!("{}: {message}", self.path));
        }
    }

    fn child(&self, node: &'a Node, path: String) -> Self {
        Self { path, line: node.referenced.line(), value: &node.value, messages: self.messages }
    }

    /// The entries of a mapping.
    pub fn section(&self) -> Option<Section<'a>> {
        match self.value {
            Value::Map(entries) => {
                Some(Section { item: self.clone(), entries, asked: RefCell::default() })
            }
            other => {
                self.wrong(format!("expected a mapping of keys, found {}", other.kind()));
                None
            }
        }
    }

    /// The elements of a list.
    pub fn list(&self) -> Vec<Item<'a>> {
        match self.value {
            Value::List(nodes) => {
                let child = |(index, node)| self.child(node, format!("{}[{index}]", self.path));
                nodes.iter().enumerate().map(child).collect()
            }
            other => {
                self.wrong(format!("expected a list, found {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// Whether it is a mapping, where a plain value would do too.
    pub fn is_section(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// A text; numbers count as their digits.
    pub fn text(&self) -> Option<String> {
        match self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            other => {
                self.wrong(format!("expected a text, found {}", other.kind()));
                None
            }
        }
    }

    /// A boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            other => {
                self.wrong(format!("expected true or false, found {}", other.kind()));
                None
            }
        }
    }

    /// A number within bounds.
    pub fn number<T: TryFrom<i128> + Into<i128> + Copy>(
        &self,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let (low, high): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        match self.value {
            Value::Integer(number) if (low..=high).contains(number) => T::try_from(*number).ok(),
            Value::Integer(number) => {
                self.wrong(format!(
                    "{number} is out of range; it is a number from {low} to {high}"
                ));
                None
            }
            other => {
                self.wrong(format!(
                    "expected a number from {low} to {high}, found {}",
                    other.kind()
                ));
                None
            }
        }
    }

    /// A text in a notation of its own.
    pub fn parsed<T: FromStr>(&self, what_is_right: &str) -> Option<T> {
        let text = self.text()?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => {
                self.wrong(format!("'{text}' is not {what_is_right}"));
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(format!("'{text}' is not one of {}", known.join(", ")));
        }
        found.map(|(_, value)| *value)
    }
}

/// The entries of a mapping. Keys that nobody asked for are errors.
pub struct Section<'a> {
    item: Item<'a>,
    entries: &'a [(Spanned<String>, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// An optional key.
    pub fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let (_, node) = self.entries.iter().find(|(name, _)| name.value == key)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        Some(self.item.child(node, self.path_of(key)))
    }

    /// A key that must be there.
    pub fn need(&self, key: &'static str, example: &str) -> Option<Item<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.item.wrong(format!("the key '{key}' is missing; for example {key}: {example}"));
        }
        found
    }

    /// The section itself, to complain about it.
    pub fn item(&self) -> &Item<'a> {
        &self.item
    }

    fn path_of(&self, key: &str) -> String {
        if self.item.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.item.path) }
    }
}

impl Drop for Section<'_> {
    /// Complains about the keys that were not asked for.
    fn drop(&mut self) {
        let known = self.asked.borrow();
        for (key, _) in self.entries {
            if known.contains(&key.value.as_str()) {
                continue;
            }
            let path = self.path_of(&key.value);
            let hint = nearest(&key.value, known.iter().copied())
                .map_or(String::new(), |near| format!("did you mean '{near}'? "));
            let line = key.referenced.line();
            let keys = known.join(", ");
            self.item.messages.add(line, format!("{path}: unknown key; {hint}known keys: {keys}"));
        }
    }
}

/// The word nearest to a misspelt one, if any is near.
pub fn nearest<'w>(word: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
