//! Files of passwords as `PGPASSFILE` names one: `HOST:PORT:DATABASE:USER:PASSWORD` on each line, `*` for any.

use std::fs;
use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::model::error::{Error, Result};

/// The text of a file of passwords. As for other programs, a missing file, and one that other users can read, has none.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let Ok(meta) = fs::metadata(path) else { return Ok(None) };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
        return Ok(None);
    }
    if !meta.is_file() {
        return Ok(None);
    }
    fs::read_to_string(path).map(Some).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// The fields of a line, without the escapes of `:` and `\`.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(chars.next()),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

/// The password of the first line that matches.
pub(super) fn password(text: &str, config: &Config) -> Option<String> {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().unwrap_or(&5432).to_string();
    let wanted = [host.as_str(), &port, config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default()];
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|fields| {
        let (password, rest) = fields.split_last().filter(|(_, rest)| rest.len() == wanted.len())?;
        let matches = rest.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        matches.then(|| password.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_counts() {
        let text = "# ours\nother:5432:usage:me:no\ndb.example:6432:usage:me:it\\:is\\\\so\n*:*:*:*:any\nbroken\n";
        let of = |address: &str| password(text, &address.parse().unwrap());
        assert_eq!(of("postgres://me@db.example:6432/usage").as_deref(), Some("it:is\\so"));
        assert_eq!(of("postgres://you@db.example:6432/usage").as_deref(), Some("any"));
        assert_eq!(password("a:1:b:c:d:e", &"postgres://c@a:1/b".parse().unwrap()).as_deref(), Some("d:e"));
        assert_eq!(password("a:1:b:c", &"postgres://c@a:1/b".parse().unwrap()), None);
    }
}
