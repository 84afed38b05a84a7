//! Data directories of programs on Linux, macOS and Windows. All of them are searched on every system, because a home
//! may be mounted or copied from another machine.

use std::path::{Path, PathBuf};

/// Looks up an environment variable. An empty variable counts as unset.
pub(in crate::import) type EnvLookup<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Returns the data directories below a home.
pub(in crate::import) fn data(home: &Path) -> Vec<PathBuf> {
    below(home, &[".local/share", "Library/Application Support", "AppData/Roaming", "AppData/Local"])
}

/// Returns the data directories from environment variables.
pub(in crate::import) fn data_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    listed(variable, &["XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"])
}

/// Returns the configuration directories below a home.
pub(in crate::import) fn config(home: &Path) -> Vec<PathBuf> {
    below(home, &[".config", "Library/Application Support", "AppData/Roaming"])
}

/// Returns the configuration directories from environment variables.
pub(in crate::import) fn config_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    listed(variable, &["XDG_CONFIG_HOME", "APPDATA"])
}

/// Returns the directories that variables contain, separated by commas.
pub(in crate::import) fn listed(variable: EnvLookup<'_>, names: &[&str]) -> Vec<PathBuf> {
    let values: Vec<_> = names.iter().filter_map(|name| variable(name)).collect();
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
        .map(Into::into)
        .collect()
}

/// Appends `name` to each directory.
pub(in crate::import) fn each(directories: &[PathBuf], name: &str) -> Vec<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).collect()
}

/// Visual Studio Code and its derivatives.
const EDITORS: [&str; 13] = [
    "Code",
    "Code - Insiders",
    "Code - OSS",
    "VSCodium",
    "VSCodium - Insiders",
    "Cursor",
    "Windsurf",
    "Windsurf - Next",
    "Positron",
    "Antigravity",
    "Kiro",
    "Trae",
    "Trae CN",
];

/// Directories that editors create on remote machines.
const SERVERS: [&str; 10] = [
    ".vscode-server/data",
    ".vscode-server-insiders/data",
    ".vscodium-server/data",
    ".cursor-server/data",
    ".windsurf-server/data",
    ".antigravity-server/data",
    ".trae-server/data",
    ".openvscode-server/data",
    ".vscode-remote/data",
    ".local/share/code-server",
];

/// Directories of editors that are installed with Flatpak.
const FLATPAKS: [&str; 4] = [
    ".var/app/com.visualstudio.code/config",
    ".var/app/com.visualstudio.code.insiders/config",
    ".var/app/com.visualstudio.code-oss/config",
    ".var/app/com.vscodium.codium/config",
];

/// Returns the extension storage directories below a home.
pub(in crate::import) fn editors(home: &Path) -> Vec<PathBuf> {
    let mut directories = edited(&config(home));
    directories.extend(edited(&below(home, &FLATPAKS)));
    directories.extend(below(home, &SERVERS).iter().map(|server| server.join("User/globalStorage")));
    directories
}

/// Returns the extension storage directories from environment variables.
pub(in crate::import) fn editors_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    let mut directories = edited(&config_configured(variable));
    directories.extend(each(&listed(variable, &["VSCODE_PORTABLE"]), "user-data/User/globalStorage"));
    directories.extend(each(&listed(variable, &["XDG_DATA_HOME"]), "code-server/User/globalStorage"));
    directories
}

fn edited(settings: &[PathBuf]) -> Vec<PathBuf> {
    let of_each = |settings: &PathBuf| {
        let storage = |editor: &str| settings.join(editor).join("User/globalStorage");
        EDITORS.iter().map(|editor| storage(editor)).collect::<Vec<_>>()
    };
    settings.iter().flat_map(of_each).collect()
}

fn below(home: &Path, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| home.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_systems_are_covered() {
        let directories = editors(Path::new("/h"));
        for place in [
            "/h/.config/Code/User/globalStorage",
            "/h/Library/Application Support/Cursor/User/globalStorage",
            "/h/AppData/Roaming/VSCodium/User/globalStorage",
            "/h/.vscode-server/data/User/globalStorage",
            "/h/.openvscode-server/data/User/globalStorage",
            "/h/.config/Code - OSS/User/globalStorage",
            "/h/.var/app/com.visualstudio.code/config/Code/User/globalStorage",
        ] {
            assert!(directories.contains(&PathBuf::from(place)), "{place}");
        }
    }

    #[test]
    fn variables_may_name_several() {
        let variable = |name: &str| (name == "XDG_DATA_HOME").then(|| "/a, /b,".to_owned());
        assert_eq!(data_configured(&variable), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(each(&data_configured(&variable), "amp"), [PathBuf::from("/a/amp"), PathBuf::from("/b/amp")]);
    }
}
