//! Directories of an agent's logs: below a home on each system, and from environment variables.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::import::engine::platform_dirs;
use crate::import::engine::platform_dirs::EnvLookup;

/// A location of logs. The names are paths relative to it; `""` is the location itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogPlace {
    /// Below the home on every system.
    Home(&'static [&'static str]),
    /// Below the data directories of programs: `~/.local/share`, `~/Library/Application Support`, `%APPDATA%` …, and
    /// those in `XDG_DATA_HOME`, `APPDATA` and `LOCALAPPDATA`.
    Data(&'static [&'static str]),
    /// Below the configuration directories of programs: `~/.config`, `~/Library/Application Support`, `%APPDATA%`, and
    /// those in `XDG_CONFIG_HOME` and `APPDATA`.
    Config(&'static [&'static str]),
    /// Below the settings of Windows packages whose name has this prefix. The publisher's id follows it.
    Package(&'static str, &'static [&'static str]),
    /// Below the extension storage of Visual Studio Code and its derivatives.
    Editor(&'static [&'static str]),
    /// Below each directory of a variable that contains a comma-separated list.
    Listed(&'static str, &'static [&'static str]),
    /// Below the single directory that a variable contains, commas included.
    Named(&'static str, &'static [&'static str]),
    /// The file that a variable contains: absolute, or relative to one of these locations.
    File(&'static str, &'static [LogPlace]),
}

/// Returns the candidate directories below a home, including absent ones.
pub(in crate::import) fn below(places: &[LogPlace], home: &Path) -> Vec<PathBuf> {
    let of = |place: &LogPlace| match place {
        LogPlace::Home(names) => each(&[home.to_owned()], names),
        LogPlace::Data(names) => each(&platform_dirs::data(home), names),
        LogPlace::Config(names) => each(&platform_dirs::config(home), names),
        LogPlace::Package(prefix, names) => each(&packages(&home.join("AppData/Local"), prefix), names),
        LogPlace::Editor(names) => each(&platform_dirs::editors(home), names),
        LogPlace::Listed(..) | LogPlace::Named(..) | LogPlace::File(..) => Vec::new(),
    };
    unique(places.iter().flat_map(of))
}

/// Returns the directories from environment variables.
pub(in crate::import) fn configured(places: &[LogPlace], variable: EnvLookup<'_>) -> Vec<PathBuf> {
    let of = |place: &LogPlace| match *place {
        LogPlace::Home(_) => Vec::new(),
        LogPlace::Data(names) => each(&platform_dirs::data_configured(variable), names),
        LogPlace::Config(names) => each(&platform_dirs::config_configured(variable), names),
        LogPlace::Package(prefix, names) => {
            let local = platform_dirs::listed(variable, &["LOCALAPPDATA"]);
            each(&local.iter().flat_map(|local| packages(local, prefix)).collect::<Vec<_>>(), names)
        }
        LogPlace::Editor(names) => each(&platform_dirs::editors_configured(variable), names),
        LogPlace::Listed(name, names) => each(&platform_dirs::listed(variable, &[name]), names),
        LogPlace::Named(name, names) => each(&named(variable, name), names),
        LogPlace::File(name, alternatives) => file(variable, name, alternatives),
    };
    unique(places.iter().flat_map(of))
}

fn each(directories: &[PathBuf], names: &[&str]) -> Vec<PathBuf> {
    let of_name = |name: &&str| -> Vec<PathBuf> {
        if name.is_empty() { directories.to_vec() } else { platform_dirs::each(directories, name) }
    };
    // All names of one directory precede those of the next.
    match directories {
        [] => Vec::new(),
        [_] => names.iter().flat_map(of_name).collect(),
        many => many.iter().flat_map(|directory| each(std::slice::from_ref(directory), names)).collect(),
    }
}

fn packages(local: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(packages) = fs::read_dir(local.join("Packages")) else { return Vec::new() };
    let is_named = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
    let packages = packages.filter_map(std::result::Result::ok).filter(is_named);
    packages.map(|package| package.path().join("LocalCache/Roaming")).collect()
}

fn named(variable: EnvLookup<'_>, name: &str) -> Vec<PathBuf> {
    let value = variable(name).map(|value| PathBuf::from(value.trim()));
    value.into_iter().filter(|path| !path.as_os_str().is_empty()).collect()
}

fn file(variable: EnvLookup<'_>, name: &str, alternatives: &[LogPlace]) -> Vec<PathBuf> {
    let Some(path) = variable(name).map(PathBuf::from) else { return Vec::new() };
    if path.is_absolute() {
        return vec![path];
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
    let mut directories: Vec<PathBuf> = home.iter().flat_map(|home| below(alternatives, home)).collect();
    directories.extend(configured(alternatives, variable));
    directories.iter().map(|directory| directory.join(&path)).collect()
}

fn unique(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut known = HashSet::new();
    paths.filter(|path| known.insert(path.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_directory_has_the_log_places_of_all_three_systems() {
        let directories = below(&[LogPlace::Data(&["a/b"]), LogPlace::Home(&[".a", ""])], Path::new("/h"));
        for place in
            [".local/share/a/b", "Library/Application Support/a/b", "AppData/Roaming/a/b", "AppData/Local/a/b", ".a"]
        {
            assert!(directories.contains(&Path::new("/h").join(place)), "{place}: {directories:?}");
        }
        assert!(directories.contains(&PathBuf::from("/h")));
    }

    #[test]
    fn a_variable_may_list_directories_or_name_one() {
        let variable = |name: &str| (name == "A_HOME").then(|| " /a, /b".to_owned());
        let listed = LogPlace::Listed("A_HOME", &["x", "y"]);
        assert_eq!(configured(&[listed], &variable), ["/a/x", "/a/y", "/b/x", "/b/y"].map(PathBuf::from));
        assert_eq!(configured(&[LogPlace::Named("A_HOME", &[""])], &variable), [PathBuf::from("/a, /b")]);
        assert!(configured(&[listed, LogPlace::Home(&["z"])], &|_: &str| None).is_empty());
        assert!(configured(&[listed], &|_: &str| Some(" ".to_owned())).is_empty());
    }

    #[test]
    fn a_directory_is_named_once() {
        let variable = |_: &str| Some("/a".to_owned());
        let places = [LogPlace::Named("A_HOME", &["x"]), LogPlace::Listed("A_HOME", &["x"])];
        assert_eq!(configured(&places, &variable), [PathBuf::from("/a/x")]);
    }
}
