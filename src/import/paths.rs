//! Where agents keep their data, as each platform has it.

use std::path::{Path, PathBuf};

/// Looks an environment variable up; one that is set to nothing is not set.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where below a home programs keep data of their own: Linux, macOS, Windows.
const DATA: [&str; 4] = [".local/share", "Library/Application Support", "AppData/Local", "AppData/Roaming"];

/// The variables that move those places.
const DATA_VARIABLES: [&str; 3] = ["XDG_DATA_HOME", "LOCALAPPDATA", "APPDATA"];

/// The directories that a variable lists with commas between them.
pub(super) fn listed(variable: Variable<'_>, name: &str) -> Vec<PathBuf> {
    let listed = variable(name).unwrap_or_default();
    listed.split(',').map(str::trim).filter(|dir| !dir.is_empty()).map(PathBuf::from).collect()
}

/// The places below `home` where a program of this name keeps its data.
pub(super) fn data(home: &Path, program: &str) -> Vec<PathBuf> {
    DATA.iter().map(|place| home.join(place).join(program)).collect()
}

/// The places of data that the environment names besides.
pub(super) fn data_configured(variable: Variable<'_>, program: &str) -> Vec<PathBuf> {
    DATA_VARIABLES.iter().filter_map(|name| variable(name)).map(|dir| Path::new(&dir).join(program)).collect()
}

/// The name of the directory that `path` is in, some levels up: 1 is its own.
pub(super) fn above(path: &Path, levels: usize) -> Option<&str> {
    path.ancestors().nth(levels)?.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_its_places() {
        let places = data(Path::new("/h"), "opencode");
        for place in [".local/share", "Library/Application Support", "AppData/Local", "AppData/Roaming"] {
            assert!(places.contains(&Path::new("/h").join(place).join("opencode")), "{place}");
        }
        let variable = |name: &str| (name == "XDG_DATA_HOME").then(|| "/data".to_owned());
        assert_eq!(data_configured(&variable, "opencode"), [Path::new("/data/opencode")]);
    }

    #[test]
    fn a_list_may_have_blanks_and_nothing_between_its_commas() {
        let variable = |_: &str| Some(" /a, ,/b c ,".to_owned());
        assert_eq!(listed(&variable, "X"), [Path::new("/a"), Path::new("/b c")]);
        assert!(listed(&|_: &str| None, "X").is_empty());
    }

    #[test]
    fn directories_are_named_from_below() {
        let path = Path::new("/h/tmp/slug/chats/s.json");
        assert_eq!((above(path, 1), above(path, 2), above(path, 9)), (Some("chats"), Some("slug"), None));
    }
}
