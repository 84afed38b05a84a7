//! Components of a log's path.

use std::path::Path;

/// Returns the name of a directory above `path`: level 1 is its parent.
pub(in crate::import) fn above(path: &Path, levels: usize) -> Option<&str> {
    path.ancestors().nth(levels)?.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_from_below() {
        let path = Path::new("/h/tmp/slug/chats/s.json");
        assert_eq!((above(path, 1), above(path, 2), above(path, 9)), (Some("chats"), Some("slug"), None));
    }
}
