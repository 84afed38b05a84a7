//! The folders of `src` are layers: each imports only from layers below it, and surfaces do not import each other.
//!
//! The test reads the sources. A name that `lib.rs` re-exports counts as an import of the layer that defines it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top down. Folders of one row do not import each other.
const LAYERS: [&[&str]; 15] = [
    &["app", "main", "internals"],
    &["cli", "tui", "web", "mcp"],
    &["api"],
    &["present"],
    &["import"],
    &["sql"],
    &["export", "sync"],
    &["report", "budget", "bill"],
    &["ledger"],
    &["usage"],
    &["projection"],
    &["store"],
    &["merkle"],
    &["readers"],
    &["model"],
];

/// Imports between folders of one layer, with the reason.
const BESIDE: [(&str, &str); 1] = [
    // A report is one answer of the budget's forecast, never the other way round.
    ("budget", "report"),
];

fn layer(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&folder))
}

pub(super) fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code without comments and without the modules that are compiled for tests alone.
pub(super) fn code(text: &str) -> String {
    let mut code = String::new();
    let mut tests: Option<usize> = None;
    let mut marked = false;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim_start();
        if let Some(depth) = tests {
            if indent == depth && trimmed.starts_with('}') {
                tests = None;
            }
            continue;
        }
        if trimmed.starts_with("#[cfg(test)]") {
            marked = true;
            continue;
        }
        if marked && !trimmed.starts_with('#') {
            marked = false;
            if trimmed.ends_with('{') {
                tests = Some(indent);
            }
            continue;
        }
        if !trimmed.starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The first segments of all paths that start with `crate::`, those in braces too.
fn roots(code: &str) -> Vec<String> {
    let mut roots = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut start = true;
            for (place, char) in group.char_indices() {
                match char {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    _ if start && !char.is_whitespace() => {
                        roots.push(word(&group[place..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            roots.push(word(rest));
        }
    }
    roots
}

/// Which folder defines each name that `lib.rs` re-exports.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for statement in code(lib).split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else { continue };
        let folder = path.split("::").next().unwrap().trim().to_owned();
        for name in path.rsplit("::").next().unwrap().trim_matches(['{', '}', ' ', '\n']).split(',') {
            names.insert(name.trim().trim_matches(['{', '}']).to_owned(), folder.clone());
        }
    }
    names
}

#[test]
fn no_import_climbs_a_layer() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exported = reexports(&fs::read_to_string(src.join("lib.rs")).unwrap());
    assert!(exported.contains_key("Ledger") && exported.contains_key("Timestamp"), "{exported:?}");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut looked_at, mut climbs) = (0_usize, Vec::new());
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let name = relative.to_string_lossy();
        if name == "lib.rs" || name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let folder = relative.components().next().unwrap().as_os_str().to_string_lossy();
        let folder = folder.trim_end_matches(".rs");
        let own = layer(folder).unwrap_or_else(|| panic!("{name}: add `{folder}` to the layers"));
        for root in roots(&code(&fs::read_to_string(&file).unwrap())) {
            let target = if layer(&root).is_some() { &root } else { exported.get(&root).unwrap_or(&root) };
            let Some(below) = layer(target) else {
                climbs.push(format!("{name}: `crate::{root}` belongs to no layer"));
                continue;
            };
            looked_at += 1;
            let beside = below == own && target != folder && !BESIDE.contains(&(folder, target.as_str()));
            if below < own || beside {
                climbs.push(format!("{name} imports `{root}`, of `{target}`"));
            }
        }
    }
    assert!(looked_at > 1_000, "only {looked_at} imports found: the test reads the wrong files");
    assert!(climbs.is_empty(), "imports that climb a layer or cross to a folder beside:\n{}", climbs.join("\n"));
}

#[test]
fn an_upward_import_is_detected() {
    assert_eq!(roots("use crate::{model::event::Position, store::{A, B}, Ledger};"), ["model", "store", "Ledger"]);
    assert_eq!(roots("fn f() -> crate::Result<()> { crate::cli::run() }"), ["Result", "cli"]);
    assert_eq!(
        roots(&code("// crate::cli\n#[cfg(test)]\nmod tests {\n    use crate::Ledger;\n}\nuse crate::model;\n")),
        ["model"]
    );
}
