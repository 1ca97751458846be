//! The page of all keys, in Markdown, made of [`super::keys`].

use std::fmt::{self, Display, Write};

use super::keys::{Absent, Key, Keys, Kind, MANY, ROOT};

const HEAD: &str = "\
# Every key

This page is what `ferry schema --markdown` prints. [Configuration](configuration.md) says what keys do together, and has examples.
";

/// The page.
pub fn reference() -> String {
    let mut page = Page { text: HEAD.to_owned(), done: Vec::new() };
    // Nothing fails that writes to a string.
    let _ = page.mapping("", &ROOT);
    page.text
}

struct Page {
    text: String,
    /// What there is, by its place in the file.
    done: Vec<(&'static Keys, String)>,
}

impl Page {
    fn mapping(&mut self, place: &str, keys: &'static Keys) -> fmt::Result {
        let title =
            if place.is_empty() { "All of a file".to_owned() } else { format!("`{place}`") };
        write!(self.text, "\n## {title}\n\n")?;
        if let Some((_, first)) = self.done.iter().find(|(done, _)| std::ptr::eq(*done, keys)) {
            return writeln!(self.text, "The same keys as in `{first}`.");
        }
        self.done.push((keys, place.to_owned()));
        if !keys.one_of.is_empty() {
            let names: Vec<String> = keys.one_of.iter().map(|name| format!("`{name}`")).collect();
            write!(self.text, "One of {} must be there.\n\n", names.join(" and "))?;
        }
        writeln!(
            self.text,
            "| key | value | default | meaning | example |\n|---|---|---|---|---|"
        )?;
        for key in keys.keys {
            self.row(key)?;
        }
        for key in keys.keys {
            let dot = if place.is_empty() { "" } else { "." };
            self.within(&format!("{place}{dot}{}", key.name), &key.kind)?;
        }
        Ok(())
    }

    fn row(&mut self, Key { name, kind, absent, example, meaning }: &Key) -> fmt::Result {
        let absent = match absent {
            Absent::Refused => "required".to_owned(),
            Absent::Nothing => "none".to_owned(),
            Absent::Value(value) => format!("`{value}`"),
            Absent::Words(words) => (*words).to_owned(),
        };
        let example = example.map(|example| format!("`{example}`")).unwrap_or_default();
        let kind = self::kind(kind);
        writeln!(self.text, "| `{name}` | {kind} | {absent} | {meaning} | {example} |")
    }

    /// The mappings within a value.
    fn within(&mut self, place: &str, kind: &Kind) -> fmt::Result {
        match kind {
            Kind::Mapping(keys) => self.mapping(place, keys),
            Kind::List(of, ..) => self.within(&format!("{place}[]"), of),
            Kind::Either(kinds) => kinds.iter().try_for_each(|kind| self.within(place, kind)),
            _ => Ok(()),
        }
    }
}

/// What values there can be, in Markdown.
pub(super) fn kind(kind: &Kind) -> String {
    match *kind {
        Kind::Boolean => "boolean".to_owned(),
        Kind::Number(least, most, _) if least == most => format!("`{least}`"),
        Kind::Number(least, most, "") => format!("number, {least} to {most}"),
        Kind::Number(least, most, unit) => format!("number, {least} to {most}, in {unit}"),
        Kind::Values(words) | Kind::Words(words) => {
            either(words.iter().map(|word| format!("`{word}`")), ", ", " or ")
        }
        Kind::Text(what, _) => what.to_owned(),
        Kind::Duration(least, most) => format!("duration, `{least}` to `{most}`"),
        Kind::List(of, 0, MANY) => format!("list of: {}", self::kind(of)),
        Kind::List(of, least, MANY) => format!("list of {least} or more: {}", self::kind(of)),
        Kind::List(of, least, most) => format!("list of {least} to {most}: {}", self::kind(of)),
        Kind::Mapping(_) => "mapping".to_owned(),
        Kind::Either(kinds) => either(kinds.iter().map(self::kind), ", or ", ", or "),
    }
}

fn either(names: impl Iterator<Item = impl Display>, between: &str, last: &str) -> String {
    let mut names: Vec<String> = names.map(|name| name.to_string()).collect();
    match names.pop() {
        Some(end) if names.is_empty() => end,
        Some(end) => names.join(between) + last + &end,
        None => String::new(),
    }
}
