//! Schemas of the times that inputs take. `present/clock` reads these texts.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A time, date or month, a duration before now, or a day by name.
const TIME: &str = "today|yesterday|[0-9]{1,9}[mhdw]|[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?";
/// The most digits of a position.
const POSITION: &str = "[0-9]{1,18}";

/// The schema of a time at which a range begins or ends.
pub(crate) fn time() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^({TIME})$"))).examples(["2026-06-01"]).build()
}

/// The schema of a position, or of a time by which events were recorded.
pub(crate) fn as_of() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^({POSITION}|{TIME})$")))
        .examples(["120"])
        .build()
}
