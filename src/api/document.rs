//! `GET /v1/openapi.json`: the API's description (OpenAPI 3.1), made of the types that it speaks in.
//!
//! A route comes into the server with its description or not at all.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, get};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::model::Failure;
use super::query::Handle;

type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What a method does at a path.
pub(super) struct Operation {
    method: &'static str,
    summary: &'static str,
    parameters: Option<MakeSchema>,
    /// What its body is.
    body: Option<&'static str>,
    /// How that is made, where it is JSON only.
    body_schema: Option<MakeSchema>,
    media_type: &'static str,
    answer: MakeSchema,
}

/// A `GET` that answers with JSON.
pub(super) const fn reads<T: JsonSchema>(summary: &'static str) -> Operation {
    Operation {
        method: "get",
        summary,
        parameters: None,
        body: None,
        body_schema: None,
        media_type: "application/json",
        answer: schema::<T>,
    }
}

/// A method that changes something.
pub(super) const fn changes<T: JsonSchema>(
    method: &'static str,
    summary: &'static str,
) -> Operation {
    Operation { method, ..reads::<T>(summary) }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    /// With the parameters that a type has as its fields.
    pub const fn with<T: JsonSchema>(self) -> Self {
        Self { parameters: Some(|generator| T::json_schema(generator)), ..self }
    }

    /// With a body, in YAML or JSON.
    pub const fn of(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    /// With a body of a type, in JSON.
    pub const fn taking<T: JsonSchema>(self, body: &'static str) -> Self {
        Self { body: Some(body), body_schema: Some(schema::<T>), ..self }
    }

    /// With another answer than JSON.
    pub const fn in_type(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }

    fn describe(&self, path: &str, generator: &mut SchemaGenerator) -> Value {
        let mut parameters: Vec<_> = path
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| {
                let kind = if name == "vni" { "integer" } else { "string" };
                json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
            })
            .collect();
        let fields = self.parameters.map(|fields| fields(generator));
        let fields = fields.and_then(|fields| fields.get("properties").cloned());
        for (name, field) in fields.as_ref().and_then(Value::as_object).into_iter().flatten() {
            parameters.push(json!({"name": name, "in": "query", "schema": field}));
        }
        let answer = (self.answer)(generator);
        let failure = schema::<Failure>(generator);
        let mut operation = json!({
            "summary": self.summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": "Done.", "content": {self.media_type: {"schema": answer}}},
                "default": {
                    "description": "What is wrong, and what would be right.",
                    "content": {"application/json": {"schema": failure}},
                },
            },
        });
        if let Some(body) = self.body {
            let any = json!({"schema": {}});
            let content = match self.body_schema {
                Some(make) => json!({"application/json": {"schema": make(generator)}}),
                None => json!({"application/yaml": any, "application/json": any}),
            };
            operation["requestBody"] =
                json!({"description": body, "required": true, "content": content});
        }
        operation
    }
}

/// Routes with their descriptions.
pub(super) struct Routes {
    router: Router<Handle>,
    paths: Map<String, Value>,
    generator: SchemaGenerator,
}

impl Routes {
    /// None yet.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        let generator = settings.into_generator();
        Self { router: Router::new(), paths: Map::new(), generator }
    }

    /// Adds a path, with what can be done there.
    pub fn at(
        mut self,
        path: &'static str,
        methods: MethodRouter<Handle>,
        operations: &[Operation],
    ) -> Self {
        let described = operations.iter().map(|operation| {
            (operation.method.to_owned(), operation.describe(path, &mut self.generator))
        });
        self.paths.insert(path.to_owned(), Value::Object(described.collect()));
        Self { router: self.router.route(path, methods), ..self }
    }

    /// The router, which serves the description, too.
    pub fn finish(self) -> Router<Handle> {
        const PATH: &str = "/v1/openapi.json";
        let own = [reads::<Map<String, Value>>("This description")];
        let Self { router, paths, mut generator } = self.at(PATH, MethodRouter::new(), &own);
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Ferry",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "What a running Ferry knows, and its configuration.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {"schemas": generator.take_definitions(true)},
        })
        .to_string();
        let show =
            move || std::future::ready(([(CONTENT_TYPE, "application/json")], document.clone()));
        router.route(PATH, get(show))
    }
}
