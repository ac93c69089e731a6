//! The OpenAPI document: what the routes say of themselves, and what holds for all of them.
//!
//! A parameter of one name is the same thing wherever it stands, so its shape is written once, here. The shapes are those of
//! `warren-core`'s names, as far as a regular expression can tell them: what they describe is accepted.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

// Bytes are counted, not characters: so many of any sort, or so many that take one byte each.
const TASK: &str = r"^([!-~]{1,200}|[^\s\x00-\x1f\x7f-\x9f]{1,50})$";
const QUEUE: &str = "^[a-z0-9_-]{1,64}$";
const KIND: &str = "^[A-Za-z0-9._:/-]{1,100}$";
const WORKER: &str = "^[A-Za-z0-9._-]{1,120}$";
const TIME: &str = r"^([0-9]{1,12}|(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)$";
const STATES: &str = "^(queued|delayed|running|succeeded|dead|cancelled|expired)(,(queued|delayed|running|succeeded|dead|cancelled|expired))*$";
const DEAD_STATES: &str = "^(dead|expired)(,(dead|expired))*$";
const PLACE: &str = r"^[0-9]{1,12}\.[!-~]{1,200}$";
const ACTION: &str = r"^[0-9]{1,12}\.[A-Za-z0-9._-]{1,64}$";
const JOB: &str = "^[A-Za-z0-9._-]{1,64}$";
const WORKFLOW: &str = "^[A-Za-z0-9_-]{1,64}$";
const FINGERPRINT: &str = "^[0-9a-f]{16}$";

/// Whether the monitor wants a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Everybody who reaches it is let in.
    Open,
    /// Who shows the token is let in.
    Locked,
}

/// The document as it is served.
pub fn document(of_the_routes: &OpenApi, door: Door) -> Value {
    let mut document = serde_json::to_value(of_the_routes).expect("a description is JSON");
    document["components"]["schemas"]["Problem"] = problem();
    if door == Door::Locked {
        document["components"]["securitySchemes"] = json!({
            "token": {"type": "http", "scheme": "bearer"},
            "name_and_token": {"type": "http", "scheme": "basic"},
        });
        document["security"] = json!([{"token": []}, {"name_and_token": []}]);
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, methods) in paths {
            for operation in methods.as_object_mut().into_iter().flat_map(Map::values_mut) {
                complete(path, operation, door);
            }
        }
    }
    document
}

fn complete(path: &str, operation: &mut Value, door: Door) {
    let acts = operation.get("requestBody").is_some();
    let mut is_asked_for_something = false;
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        is_asked_for_something = true;
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some(shape) = shape(&name, path) {
            parameter["schema"] = shape;
        }
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let mut add = |status: &str, description: &str| {
        responses.entry(status).or_insert_with(|| json!({"description": description}));
    };
    if acts {
        add("400", "The body is not JSON");
        add("403", "A page of another site asks");
        add("415", "The request's content type is not application/json");
        add("422", "A field cannot be read; the problem names it");
    } else if is_asked_for_something {
        add("422", "A parameter or a field cannot be read; the problem names it");
    }
    if door == Door::Locked {
        add("401", "The token is missing, or is another");
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            response["content"] =
                json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        }
    }
}

// `None` where the route says all there is to say.
fn shape(name: &str, path: &str) -> Option<Value> {
    let text = |pattern: &str| Some(json!({"type": "string", "pattern": pattern}));
    match name {
        "id" if path.starts_with("/api/workers/") => text(WORKER),
        "id" if path.starts_with("/api/jobs/") => text(JOB),
        "id" if path.starts_with("/api/workflows/") => text(WORKFLOW),
        "id" if path.starts_with("/api/tasks/") || path.starts_with("/api/dead/") => text(TASK),
        "queue" => text(QUEUE),
        "kind" => text(KIND),
        "worker" => text(WORKER),
        "since" | "until" => text(TIME),
        "state" if path == "/api/dead" => text(DEAD_STATES),
        "state" => text(STATES),
        "fingerprint" => text(FINGERPRINT),
        "cursor" if path == "/api/actions" => text(ACTION),
        "cursor" => text(PLACE),
        "q" => Some(json!({"type": "string", "minLength": 1, "maxLength": 200})),
        "range" => Some(json!({"type": "string", "enum": ["15m", "6h", "7d"]})),
        "priority" => Some(json!({"type": "integer", "minimum": 0, "maximum": 9})),
        "limit" => Some(json!({"type": "integer", "minimum": 1, "maximum": 500})),
        _ => None,
    }
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong (RFC 9457).",
        "required": ["status", "title", "detail"],
        "properties": {
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "title": {"type": "string", "description": "The status in words."},
            "detail": {"type": "string", "description": "What is wrong with this very request."},
            "field": {"type": "string", "description": "The field that it is wrong with, if it is one."},
        },
    })
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    use super::*;
    use crate::api::Description;

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        let operations = |(path, methods): (&String, &'_ Value)| {
            let methods = methods.as_object().unwrap().clone();
            methods.keys().map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
        };
        let all: Vec<_> = paths.iter().flat_map(operations).collect();
        all.into_iter().map(|(path, method)| {
            let operation = &document["paths"][&path][&method];
            (format!("{method} {path}"), operation)
        })
    }

    #[test]
    fn every_answer_is_described_and_every_refusal_has_the_shape_of_a_problem() {
        let document = document(&Description::openapi(), Door::Locked);
        assert_eq!(document["openapi"], "3.1.0");
        for (name, operation) in operations(&document) {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("401") && operation.get("parameters") != Some(&Value::Null), "{name}");
            for (status, response) in responses {
                // OpenAPI demands it, and readers refuse the whole document without it.
                assert!(response["description"].is_string(), "{name} {status}");
                let is_problem = !response["content"]["application/problem+json"].is_null();
                assert_eq!(is_problem, status.starts_with(['4', '5']), "{name} {status}");
            }
        }
    }

    #[test]
    fn every_parameter_says_what_it_may_be() {
        let document = document(&Description::openapi(), Door::Open);
        assert!(document["security"].is_null());
        for (name, operation) in operations(&document) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let schema = &parameter["schema"];
                let tells = ["pattern", "enum", "maximum", "maxLength"].iter().any(|word| !schema[*word].is_null());
                assert!(tells || schema["type"] == "boolean", "{name}: {parameter}");
            }
        }
    }
}
