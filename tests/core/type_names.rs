//! Each type name of the crate has one definition, so a name means the same in every file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::layers::sources;

const KEYWORDS: [&str; 5] = ["struct ", "enum ", "trait ", "union ", "type "];

/// The type that a line declares. An indented `type` is an associated type.
fn declared(line: &str) -> Option<&str> {
    let indented = line.starts_with(' ');
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        let scoped = after.strip_prefix('(').and_then(|scope| scope.split_once(')')).map(|(_, rest)| rest);
        rest = scoped.unwrap_or(after).trim_start();
    }
    let word = KEYWORDS.iter().find(|word| rest.starts_with(**word))?;
    if indented && *word == "type " {
        return None;
    }
    let name = &rest[word.len()..];
    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

#[test]
fn a_declaration_is_recognised_with_any_visibility() {
    assert_eq!(declared("struct Plan {"), Some("Plan"));
    assert_eq!(declared("pub(super) enum Plan<'a> {"), Some("Plan"));
    assert_eq!(declared("    pub(in crate::import) struct Plan(u64);"), Some("Plan"));
    assert_eq!(declared("pub type Plan = u64;"), Some("Plan"));
    assert_eq!(declared("    type Plan = u64;"), None);
    assert_eq!(declared("pub fn of(kind: Kind) -> u64 {"), None);
}

#[test]
fn a_type_name_has_one_definition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        for name in fs::read_to_string(&file).unwrap().lines().filter_map(declared) {
            places.entry(name.to_owned()).or_default().push(file.strip_prefix(&root).unwrap().to_owned());
        }
    }
    assert!(places.len() > 500, "the test reads the sources");
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "give each meaning a name of its own: {places:#?}");
}
