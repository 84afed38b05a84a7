//! Where programs keep their data on Linux, macOS and Windows. All places are looked at everywhere: a home may be a
//! mounted one, or a copy.

use std::path::{Path, PathBuf};

/// Looks up an environment variable; one that is set to nothing is not set.
pub(in crate::import) type EnvLookup<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Directories of programs' data below a home.
pub(in crate::import) fn data(home: &Path) -> Vec<PathBuf> {
    below(home, &[".local/share", "Library/Application Support", "AppData/Roaming", "AppData/Local"])
}

/// Directories of programs' data that the environment names.
pub(in crate::import) fn data_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    listed(variable, &["XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"])
}

/// Directories of programs' settings below a home.
pub(in crate::import) fn config(home: &Path) -> Vec<PathBuf> {
    below(home, &[".config", "Library/Application Support", "AppData/Roaming"])
}

/// Directories of programs' settings that the environment names.
pub(in crate::import) fn config_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    listed(variable, &["XDG_CONFIG_HOME", "APPDATA"])
}

/// The directories that variables name, several in one with commas between them.
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

/// Each of the directories with `name` behind it.
pub(in crate::import) fn each(directories: &[PathBuf], name: &str) -> Vec<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).collect()
}

/// Visual Studio Code and the editors made from it.
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

/// What editors leave where they are used from afar.
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

/// Where Flatpak puts the settings of editors that come by it.
const FLATPAKS: [&str; 4] = [
    ".var/app/com.visualstudio.code/config",
    ".var/app/com.visualstudio.code.insiders/config",
    ".var/app/com.visualstudio.code-oss/config",
    ".var/app/com.vscodium.codium/config",
];

/// Where editors keep what their extensions store, below a home.
pub(in crate::import) fn editors(home: &Path) -> Vec<PathBuf> {
    let mut found = edited(&config(home));
    found.extend(edited(&below(home, &FLATPAKS)));
    found.extend(below(home, &SERVERS).iter().map(|server| server.join("User/globalStorage")));
    found
}

/// The same where the environment names it.
pub(in crate::import) fn editors_configured(variable: EnvLookup<'_>) -> Vec<PathBuf> {
    let mut found = edited(&config_configured(variable));
    found.extend(each(&listed(variable, &["VSCODE_PORTABLE"]), "user-data/User/globalStorage"));
    found.extend(each(&listed(variable, &["XDG_DATA_HOME"]), "code-server/User/globalStorage"));
    found
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
        let found = editors(Path::new("/h"));
        for place in [
            "/h/.config/Code/User/globalStorage",
            "/h/Library/Application Support/Cursor/User/globalStorage",
            "/h/AppData/Roaming/VSCodium/User/globalStorage",
            "/h/.vscode-server/data/User/globalStorage",
            "/h/.openvscode-server/data/User/globalStorage",
            "/h/.config/Code - OSS/User/globalStorage",
            "/h/.var/app/com.visualstudio.code/config/Code/User/globalStorage",
        ] {
            assert!(found.contains(&PathBuf::from(place)), "{place}");
        }
    }

    #[test]
    fn variables_may_name_several() {
        let variable = |name: &str| (name == "XDG_DATA_HOME").then(|| "/a, /b,".to_owned());
        assert_eq!(data_configured(&variable), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(each(&data_configured(&variable), "amp"), [PathBuf::from("/a/amp"), PathBuf::from("/b/amp")]);
    }
}
