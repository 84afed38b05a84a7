//! No two modules import each other, directly or through others.
//!
//! The test follows `use` statements and paths, through re-exports, to the module that defines a name. A module may use what
//! the folder above it defines, so an import of an enclosing module counts for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::layers::{code, sources};

/// Circles that stay, with the reason.
const ALLOWED: [&[&str]; 2] = [
    // An error names the event and the time that it is about; reading an id or a time may fail.
    &["model::error", "model::event::id", "model::time"],
    // To be taken apart: the sessions read columns as the messages do.
    &["import::agents::opencode::database", "import::agents::opencode::sessions"],
];

type Module = Vec<String>;

/// The text of every module.
struct Crate {
    modules: BTreeMap<Module, String>,
    /// What each module re-exports: (module, name) to the path of the name.
    reexports: BTreeMap<(Module, String), Module>,
}

/// The paths of a `use` statement, with what is in braces written out.
fn expanded(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let segments =
        |text: &str| text.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let own: Vec<String> = segments(tree.split(" as ").next().unwrap_or(tree));
        paths.push([before, &own].concat());
        return;
    };
    let own: Vec<String> = segments(head);
    let (mut depth, mut start) = (0_usize, 0);
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    for (at, char) in body.char_indices().chain([(body.len(), ',')]) {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[start..at].trim().is_empty() {
                    expanded(&body[start..at], &[before, &own].concat(), paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The paths that a module names, each with whether it is a re-export.
fn paths_of(text: &str) -> Vec<(Vec<String>, bool)> {
    let (mut found, mut body, mut statement) = (Vec::new(), String::new(), String::new());
    for line in text.lines() {
        let words = line.trim_start();
        let after_pub =
            words.strip_prefix("pub").map(|rest| rest.split_once(") ").map_or(rest, |(_, rest)| rest).trim_start());
        if statement.is_empty() && !words.starts_with("use ") && !after_pub.is_some_and(|rest| rest.starts_with("use "))
        {
            body.push_str(line);
            body.push('\n');
            continue;
        }
        statement.push_str(line);
        statement.push(' ');
        if line.contains(';') {
            let (visibility, tree) = statement.split_once("use ").unwrap();
            let mut paths = Vec::new();
            expanded(tree.split(';').next().unwrap(), &[], &mut paths);
            let is_reexport = visibility.contains("pub");
            found.extend(paths.into_iter().map(|path| (path, is_reexport)));
            statement.clear();
        }
    }
    for (at, _) in ["crate::", "super::", "self::"].iter().flat_map(|root| body.match_indices(root)) {
        if body[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == ':') {
            continue;
        }
        let path = body[at..].split(|char: char| !char.is_alphanumeric() && char != '_' && char != ':').next().unwrap();
        found.push((path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(), false));
    }
    found
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        sources(src, &mut files);
        let mut modules = BTreeMap::new();
        for file in files {
            let relative = file.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module.iter().any(|part| part == "tests" || part.ends_with("_tests")) || module == ["main"] {
                continue;
            }
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            modules.insert(module, code(&fs::read_to_string(&file).unwrap()));
        }
        Self::of(modules)
    }

    fn of(modules: BTreeMap<Module, String>) -> Self {
        let mut all = Self { modules, reexports: BTreeMap::new() };
        for (module, text) in &all.modules {
            for (path, is_reexport) in paths_of(text) {
                if let (true, Some(path)) = (is_reexport, all.absolute(module, &path)) {
                    let name = path.iter().rfind(|part| *part != "self").cloned().unwrap_or_default();
                    all.reexports.insert((module.clone(), name), path);
                }
            }
        }
        all
    }

    /// A path of this crate from its root; `None` for other crates.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Module> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let own = |module: &[String], rest: &[String]| [module, rest].concat();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some(own(module, &path[1..])),
            "super" => Some(own(&module[..module.len().checked_sub(supers)?], &path[supers..])),
            child => self.modules.contains_key(&own(module, &[child.to_owned()])).then(|| own(module, path)),
        }
    }

    /// The module that defines what a path names.
    fn defining(&self, path: &[String], hops: usize) -> Module {
        let path: Vec<String> = path.iter().filter(|part| *part != "self").cloned().collect();
        let known = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length])).unwrap_or(0);
        let (module, rest) = path.split_at(known);
        let named = rest.first().and_then(|name| self.reexports.get(&(module.to_vec(), name.clone())));
        match named {
            Some(target) if hops < 8 && *target != path => self.defining(&[target, &rest[1..]].concat(), hops + 1),
            _ => module.to_vec(),
        }
    }

    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |(module, text): (&Module, &String)| {
            let targets = paths_of(text).into_iter().filter(|(_, is_reexport)| !is_reexport);
            let targets = targets.filter_map(|(path, _)| Some(self.defining(&self.absolute(module, &path)?, 0)));
            (module.clone(), targets.filter(|target| !module.starts_with(target)).collect())
        };
        self.modules.iter().map(of).collect()
    }
}

/// All modules that one leads to.
fn reached(from: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(module) = waiting.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if found.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    found
}

/// The sets of modules that lead to each other.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Vec<String>> {
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        imports.keys().map(|from| (from, reached(from, imports))).collect();
    let name = |module: &Module| module.join("::");
    let circle = |from: &Module| {
        let both = reached[from].iter().filter(|to| reached.get(to).is_some_and(|back| back.contains(from)));
        both.map(name).collect::<Vec<_>>()
    };
    imports.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_modules_import_each_other() {
    let all = Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let imports = all.imports();
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > 2_500, "only {count} imports found: the test reads the wrong files");
    let circles: Vec<_> =
        circles(&imports).into_iter().filter(|circle| !ALLOWED.iter().any(|one| one == circle)).collect();
    assert!(circles.is_empty(), "modules that import each other: {circles:#?}");
}

#[test]
fn a_circle_is_found_through_reexports_and_not_through_the_folder_above() {
    let module = |path: &str, text: &str| (path.split("::").map(str::to_owned).collect(), text.to_owned());
    let modules = [
        module("a", "pub(crate) use self::first::{One, Two};\npub mod first;\nfn shared() {}"),
        module("a::first", "use super::shared;\nuse crate::b::{\n    Other,\n};"),
        module("b", "fn f() -> crate::a::One { loop {} }"),
        module("c", "use crate::a::Two;"),
    ];
    let found = circles(&Crate::of(BTreeMap::from(modules)).imports());
    assert_eq!(found, BTreeSet::from([vec!["a::first".to_owned(), "b".to_owned()]]));
}
