//! Where agents keep their data, as each platform has it.

use std::path::{Path, PathBuf};

use crate::import::engine::platform_dirs;

/// Looks an environment variable up; one that is set to nothing is not set.
pub(in crate::import) type EnvLookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The directories that a variable lists with commas between them.
pub(in crate::import) fn listed(variable: EnvLookup<'_>, name: &str) -> Vec<PathBuf> {
    platform_dirs::listed(variable, &[name])
}

/// The places below `home` where a program of this name keeps its data.
pub(in crate::import) fn data(home: &Path, program: &str) -> Vec<PathBuf> {
    platform_dirs::each(&platform_dirs::data(home), program)
}

/// The places of data that the environment names besides.
pub(in crate::import) fn data_configured(variable: EnvLookup<'_>, program: &str) -> Vec<PathBuf> {
    platform_dirs::each(&platform_dirs::data_configured(variable), program)
}

/// The name of the directory that `path` is in, some levels up: 1 is its own.
pub(in crate::import) fn above(path: &Path, levels: usize) -> Option<&str> {
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
