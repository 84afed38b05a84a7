//! Normalises project directories on Windows.

use crate::model::event::TokenRecord;

/// The prefix that makes Windows use a path without interpreting it.
const VERBATIM: &str = r"\\?\";
/// The length of a drive's root, `C:\`, which keeps its separator.
const ROOT: usize = 3;

/// Writes a Windows directory in one form: the drive letter in upper case, `\` between names and none at the end. Editors
/// write `c:\app`, terminals `C:\app`, and programs from other systems `C:/app`.
pub(in crate::import) fn unify(record: &mut TokenRecord) {
    let Some(project) = &mut record.project else { return };
    let path = project.strip_prefix(VERBATIM).unwrap_or(project);
    let mut bytes = path.bytes();
    let (letter, colon, separator) = (bytes.next(), bytes.next(), bytes.next());
    let is_drive = letter.is_some_and(|letter| letter.is_ascii_alphabetic())
        && colon == Some(b':')
        && separator.is_none_or(|separator| matches!(separator, b'\\' | b'/'));
    if !is_drive {
        return;
    }
    let prefix = project.len() - path.len();
    if prefix > 0 {
        project.drain(..prefix);
    }
    if let Some(letter) = project.get_mut(..1) {
        letter.make_ascii_uppercase();
    }
    if project.contains('/') {
        *project = project.replace('/', r"\");
    }
    while project.len() > ROOT && project.ends_with('\\') {
        project.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_drive_letter_are_one_project() {
        for (path, project) in [
            (r"c:\dev\app", r"C:\dev\app"),
            (r"C:\dev\app", r"C:\dev\app"),
            ("d:/dev/app", r"D:\dev\app"),
            (r"d:\dev/app/", r"D:\dev\app"),
            ("c:/", r"C:\"),
            ("e:", "E:"),
            (r"\\?\c:\dev\app", r"C:\dev\app"),
            (r"\\?\UNC\server\share", r"\\?\UNC\server\share"),
            (r"\\server\c:\app", r"\\server\c:\app"),
            ("/srv/app", "/srv/app"),
            ("c:name", "c:name"),
            ("c", "c"),
            ("é:/x", "é:/x"),
        ] {
            let mut record = TokenRecord::new("anthropic", "m").project(path);
            unify(&mut record);
            assert_eq!(record.project.as_deref(), Some(project), "{path}");
        }
    }
}
