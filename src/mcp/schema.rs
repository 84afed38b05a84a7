//! Builds JSON schemas of inputs and answers from the types of the HTTP API.

use std::sync::Arc;

use rmcp::model::JsonObject;
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::error::{Error, Result};

/// Prefixes of type references in an OpenAPI document and in a JSON schema.
const OPENAPI: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/$defs/";

/// Returns the schema of a type, with the types that it refers to.
pub(super) fn of<T: ToSchema>() -> Result<Arc<JsonObject>> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let mut definitions = JsonObject::new();
    for (name, part) in parts {
        definitions.insert(name, standing_alone(&part)?);
    }
    let Value::Object(mut schema) = standing_alone(&T::schema())? else {
        return Err(Error::invalid(format!("the schema of {} is no object", T::name())));
    };
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Ok(Arc::new(schema))
}

/// Returns the schema of an input. A member that may be left out has one type: null means the same, but many clients
/// read neither lists of types nor alternatives.
pub(super) fn of_input<T: ToSchema>() -> Result<Arc<JsonObject>> {
    let mut schema = JsonObject::clone(&*of::<T>()?);
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        members.values_mut().for_each(without_null);
    }
    Ok(Arc::new(schema))
}

/// Removes null from the types of a member.
fn without_null(member: &mut Value) {
    let Value::Object(fields) = member else { return };
    if fields.get("default").is_some_and(Value::is_null) {
        fields.remove("default");
    }
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            fields.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(parts)) = fields.get_mut("oneOf") {
        parts.retain(|part| part.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(one)] = parts.as_slice() {
            let one = one.clone();
            fields.remove("oneOf");
            fields.extend(one);
        }
    }
}

/// Returns a schema whose references point to its own definitions.
fn standing_alone(schema: &impl serde::Serialize) -> Result<Value> {
    let mut value =
        serde_json::to_value(schema).map_err(|error| Error::invalid(format!("a schema cannot be written: {error}")))?;
    redirect(&mut value);
    Ok(value)
}

fn redirect(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => *target = target.replace(OPENAPI, DEFINITIONS),
                    other => redirect(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redirect),
        _ => {}
    }
}
