//! YAML text to a tree of values that know their lines.
//!
//! serde stops at the first value that does not fit a type. Reading into this tree first, where everything fits, lets
//! the readers of the schema go on after an error and report all of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// A value and the line where it stands.
pub(super) struct Node {
    /// Line from 1. A list, a mapping or nothing stands where its key does.
    pub line: u32,
    pub value: Value,
}

/// One `key: value` of a mapping.
pub(super) struct Entry {
    pub key: String,
    pub line: u32,
    pub node: Node,
}

pub(super) enum Value {
    Nothing,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key that is given twice is there twice.
    Mapping(Vec<Entry>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nothing => f.write_str("nothing"),
            Value::Boolean(value) => write!(f, "the boolean {value}"),
            Value::Integer(value) => write!(f, "the number {value}"),
            Value::Float(value) => write!(f, "the number {value}"),
            Value::Text(value) => write!(f, "the text '{value}'"),
            Value::List(nodes) if nodes.is_empty() => f.write_str("an empty list"),
            Value::List(nodes) => write!(f, "a list of {}", nodes.len()),
            Value::Mapping(_) => f.write_str("a mapping"),
        }
    }
}

/// Why a text is no YAML.
pub(super) struct Unparsable {
    pub line: Option<u32>,
    pub column: Option<u32>,
    pub reason: String,
}

pub(super) fn parse(text: &str) -> Result<Node, Unparsable> {
    // The parser's own limits are for files of strangers. This one is an operator's, who may have 16,000 networks
    // that share one list of peers.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000_000,
            max_nodes: 50_000_000,
            max_total_scalar_bytes: 1 << 30,
            max_aliases: 1_000_000,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        let reason = match error.without_snippet() {
            serde_saphyr::Error::MultipleDocuments { .. } => {
                "a second YAML document begins here; keep the configuration in one document"
                    .to_owned()
            }
            other => {
                let text = other.to_string();
                let end = text.rfind(" at line ").unwrap_or(text.len());
                format!("this cannot be read as YAML: {}", &text[..end])
            }
        };
        Unparsable {
            line: location.map(|place| count(place.line())),
            column: location.map(|place| count(place.column())),
            reason,
        }
    })
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Node { line: count(referenced.line()), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, mut node)) = map.next_entry::<Spanned<String>, Node>()? {
            let line = count(key.referenced.line());
            if matches!(node.value, Value::Nothing | Value::List(_) | Value::Mapping(_)) {
                node.line = line;
            }
            entries.push(Entry { key: key.value, line, node });
        }
        Ok(Value::Mapping(entries))
    }
}
