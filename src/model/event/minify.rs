//! Minifies foreign JSON to one line.

use std::borrow::Cow;

/// The same JSON without insignificant white space. Keys, their order, numbers and strings keep their bytes.
///
/// The text must be valid JSON: a string then contains no raw line break, and white space outside of strings has no
/// meaning. The result therefore has no line break.
pub(crate) fn minified(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    if memchr::memchr3(b' ', b'\n', b'\t', bytes).is_none() && memchr::memchr(b'\r', bytes).is_none() {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        match character {
            ' ' | '\n' | '\r' | '\t' if !in_string => continue,
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && character == '\\' && !escaped;
        out.push(character);
    }
    Cow::Owned(out)
}

/// Whether a text contains a line break.
pub(crate) fn has_line_break(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_insignificant_white_space_is_removed() {
        for (json, want) in [
            ("{ }", "{}"),
            ("{\r\n\t\"b\" : 1.0e+05 ,\n \"a\" : [ 1 , -0.10 ] }\n", r#"{"b":1.0e+05,"a":[1,-0.10]}"#),
            (r#"{"a b": "c  d", "e\\": "\" { : \\\" ", "f": " "}"#, r#"{"a b":"c  d","e\\":"\" { : \\\" ","f":" "}"#),
            ("{\"\u{a0}\": \"\u{2028} x\"}", "{\"\u{a0}\":\"\u{2028} x\"}"),
        ] {
            assert_eq!(minified(json), want);
        }
        assert!(matches!(minified(r#"{"a":"b"}"#), Cow::Borrowed(_)));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<Option<bool>>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof!["[ \\t\\n\\r\"\\\\a{}:,]{0,8}", any::<String>()].prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ \"\\\\a\\n]{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_indented_document_becomes_the_compact_one(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compact = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(minified(&pretty), compact.as_str());
            let indented = pretty.replace('\n', "\r\n\t");
            prop_assert_eq!(minified(&indented), compact.as_str());
            prop_assert_eq!(minified(&compact), compact.as_str());
            prop_assert!(!has_line_break(&minified(&pretty)));
        }
    }
}
