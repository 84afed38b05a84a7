//! Splits an object into fields and composes it again without changing its values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of a JSON object in order, each value verbatim.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The names of the fields, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Keeps the fields of which `wanted` is true.
    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|(key, _)| wanted(key));
    }

    /// Merges the fields of a later object. A `null` changes nothing, and a zero does not replace a count: the last
    /// event of a stream often has only some of the counts, and zeros for the others.
    pub(super) fn merge(&mut self, later: &Self) {
        for (key, value) in &later.0 {
            match self.0.iter_mut().find(|(known, _)| known == key) {
                Some((_, old)) if is_silent(value.get()) && !is_silent(old.get()) => {}
                Some((_, old)) if value.get() != "null" => *old = value,
                Some(_) => {}
                None => self.0.push((key.clone(), value)),
            }
        }
    }

    /// Whether this object contains every field of the other one, verbatim.
    pub(super) fn contains_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|(key, value)| self.get(key).is_some_and(|own| own.get() == value.get()))
    }

    /// The object as JSON.
    pub(super) fn compose(&self) -> String {
        let fields: Vec<_> = self
            .0
            .iter()
            .map(|(key, value)| format!("{}:{}", serde_json::Value::from(key.as_str()), value.get()))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// Whether a value states nothing: `null`, a zero, or only these in an object or a list.
fn is_silent(json: &str) -> bool {
    fn silent(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Array(list) => list.iter().all(silent),
            Value::Object(object) => object.values().all(silent),
            Value::Bool(_) | Value::String(_) => false,
        }
    }
    serde_json::from_str(json).is_ok_and(|value| silent(&value))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_zero_does_not_replace_a_count() {
        let mut fields: Fields = serde_json::from_str(r#"{"a":5,"b":{"c":3},"d":0,"e":[],"f":7,"g":"x"}"#).unwrap();
        let later: Fields =
            serde_json::from_str(r#"{"a":0.0,"b":{"c":0,"h":null},"d":0,"e":[1],"f":6,"g":""}"#).unwrap();
        fields.merge(&later);
        assert_eq!(fields.compose(), r#"{"a":5,"b":{"c":3},"d":0,"e":[1],"f":6,"g":""}"#);
    }

    #[test]
    fn values_are_unchanged() {
        let mut fields: Fields = serde_json::from_str(r#"{"a": 1.50, "b\n": [ 1 ], "c": 3}"#).unwrap();
        let later: Fields = serde_json::from_str(r#"{"c":null,"a":2e0,"d":null}"#).unwrap();
        fields.merge(&later);
        assert_eq!(fields.compose(), r#"{"a":2e0,"b\n":[ 1 ],"c":3,"d":null}"#);
        assert!(fields.contains_all_of(&Fields::default()) && !later.contains_all_of(&fields));
        fields.retain(|key| key == "c");
        assert_eq!((fields.compose().as_str(), fields.is_empty()), (r#"{"c":3}"#, false));
    }
}
