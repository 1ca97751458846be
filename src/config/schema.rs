//! The JSON Schema of a configuration file, made of [`super::keys`]: editors complete and check by it.
//!
//! It knows each key by itself. What keys have to do with each other only Ferry's readers know.

use serde_json::{Map, Value, json};

use super::keys::{Absent, Key, Keys, Kind, MANY, ROOT};
use super::reference;

/// The schema (JSON Schema, draft 2020-12).
pub fn schema() -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Ferry",
    });
    extend(&mut root, mapping(&ROOT));
    root
}

fn extend(object: &mut Value, by: Value) {
    if let (Value::Object(object), Value::Object(by)) = (object, by) {
        object.extend(by);
    }
}

fn mapping(keys: &Keys) -> Value {
    let properties: Map<String, Value> =
        keys.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required = |key: &&Key| matches!(key.absent, Absent::Refused);
    let required: Vec<_> = keys.keys.iter().filter(required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !keys.one_of.is_empty() {
        schema["anyOf"] = keys.one_of.iter().map(|name| json!({"required": [name]})).collect();
    }
    schema
}

fn property(key: &Key) -> Value {
    let absent = match key.absent {
        Absent::Refused => "; required".to_owned(),
        Absent::Nothing => String::new(),
        Absent::Value(value) => format!("; default `{value}`"),
        Absent::Words(words) => format!("; default: {words}"),
    };
    let mut schema = json!({
        "description": format!("{}\n\n({}{absent})", key.meaning, reference::kind(&key.kind)),
    });
    if let Absent::Value(default) = key.absent {
        schema["default"] = value(default);
    }
    if let Some(example) = key.example {
        schema["examples"] = json!([value(example)]);
    }
    extend(&mut schema, of_kind(&key.kind));
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match *kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Number(least, most, _) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Values(values) => {
            json!({"enum": values.iter().map(|it| value(it)).collect::<Value>()})
        }
        Kind::Words(words) => json!({"enum": words}),
        Kind::Text(_, "") => json!({"type": "string"}),
        Kind::Text(_, pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::Duration(least, _) => {
            let units = if least.ends_with("ms") { "ms|s|m|h" } else { "s|m|h" };
            json!({"type": "string", "pattern": format!("^[0-9]+ *({units})$")})
        }
        Kind::List(of, least, most) => {
            let mut schema = json!({"type": "array", "items": of_kind(of), "minItems": least});
            if most != MANY {
                schema["maxItems"] = json!(most);
            }
            schema
        }
        Kind::Mapping(keys) => mapping(keys),
        Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(of_kind).collect::<Value>()}),
    }
}

/// What is in YAML here, read as files are: `on` is a word.
pub(super) fn value(yaml: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(yaml, options).unwrap_or_default()
}
