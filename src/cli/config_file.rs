//! `config.toml`: the settings of a user on this machine.
//!
//! No setting in it changes a decision, because limits, prices and alert rules are events. An unknown key, or a value of
//! another type, is an error, so a misspelt setting is noticed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use etcetera::BaseStrategy;
use serde::Serialize;
use toml_edit::{Document, Item, TableLike};

use crate::model::error::Error;
use crate::model::time::Zone;
use crate::present::failure::Failure;
use crate::report::ReportKey;

/// The environment variable with the path of another file.
pub(super) const VARIABLE: &str = "USAGE_LEDGER_CONFIG";
/// Maximal length of the file, in bytes.
const LONGEST: u64 = 1 << 20;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ValueOrigin {
    pub(super) origin: OriginKind,
    /// The option, the variable, or the file with the line.
    pub(super) place: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OriginKind {
    Flag,
    Environment,
    File,
    Default,
}

impl OriginKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

impl ValueOrigin {
    pub fn flag(name: &str) -> Self {
        Self { origin: OriginKind::Flag, place: Some(name.to_owned()) }
    }

    pub fn environment(name: &str) -> Self {
        Self { origin: OriginKind::Environment, place: Some(name.to_owned()) }
    }

    pub fn file<T>(file: &ConfigFile, stated: &StatedValue<T>) -> Self {
        let path = file.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        Self { origin: OriginKind::File, place: Some(format!("{path}:{}", stated.line)) }
    }

    pub const fn default() -> Self {
        Self { origin: OriginKind::Default, place: None }
    }
}

/// The colours of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThemeName {
    /// For a dark background
    Dark,
    /// For a light background
    Light,
    /// No colours
    None,
}

/// A value, and the line that contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatedValue<T> {
    pub value: T,
    pub line: usize,
}

/// The settings in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Path of the file, whether or not it exists; `None` if the system has no configuration directory.
    pub path: Option<PathBuf>,
    pub exists: bool,
    pub ledger: Option<StatedValue<PathBuf>>,
    pub zone: Option<StatedValue<Zone>>,
    pub homes: Option<StatedValue<Vec<PathBuf>>>,
    pub theme: Option<StatedValue<ThemeName>>,
    pub listen: Option<StatedValue<SocketAddr>>,
    pub report: Option<StatedValue<Vec<ReportKey>>>,
    /// Labels of the calls of every log.
    pub labels: BTreeMap<String, StatedValue<String>>,
    /// Labels of the calls of the logs below a directory.
    pub home_labels: BTreeMap<PathBuf, BTreeMap<String, StatedValue<String>>>,
    pub alerts: AlertTargets,
}

/// The targets of alerts. They are not events, because the address of a webhook may be a secret, and a command in another
/// person's ledger must never run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertTargets {
    pub command: Option<StatedValue<String>>,
    pub webhook: Option<StatedValue<String>>,
    pub desktop: Option<StatedValue<bool>>,
}

/// Every key of the file.
const KEYS: [&str; 8] = ["ledger", "zone", "homes", "theme", "listen", "report", "labels", "alerts"];
/// Every key of its table `alerts`.
const ALERT_KEYS: [&str; 3] = ["command", "webhook", "desktop"];

impl ConfigFile {
    /// Reads the user's file. If it does not exist, no setting has a value. `refuse_ledger` fails if the path is
    /// the ledger.
    pub fn read(refuse_ledger: impl Fn(&Path) -> Result<(), Failure>) -> Result<Self, Failure> {
        let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let is_named = named.is_some();
        let usual =
            || etcetera::choose_base_strategy().ok().map(|dirs| dirs.config_dir().join("usage-ledger/config.toml"));
        let Some(path) = named.or_else(usual) else { return Ok(Self::default()) };
        refuse_ledger(&path)?;
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == ErrorKind::NotFound && !is_named => {
                return Ok(Self { path: Some(path), ..Self::default() });
            }
            Err(source) => return Err(Error::Io { path, source }.into()),
        };
        Self::parse(&text, &path).map_err(Failure::usage)
    }

    /// Reads the text of a file.
    fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let place = |line: usize| format!("{}:{line}", path.display());
        let document = Document::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            format!("{}: {}", place(line), error.message())
        })?;
        let mut config = Self { path: Some(path.to_owned()), exists: true, ..Self::default() };
        for (key, item) in document.iter() {
            let span = document.as_table().key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            let line = span.map_or(1, |span| line_of(text, span.start));
            config.set(key, item, line).map_err(|why| format!("{}: {why}", place(line)))?;
            if key == "alerts" {
                let table = item
                    .as_table_like()
                    .ok_or_else(|| format!("{}: `alerts` is no table: write [alerts]", place(line)))?;
                for (key, item) in table.iter() {
                    let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                    let line = span.map_or(line, |span| line_of(text, span.start));
                    config.set_alert(key, item, line).map_err(|why| format!("{}: {why}", place(line)))?;
                }
            }
            if key == "labels" {
                let table = item
                    .as_table_like()
                    .ok_or_else(|| format!("{}: `labels` is no table: write [labels]", place(line)))?;
                for (key, item) in table.iter() {
                    let line_in = |table: &dyn TableLike, key: &str, item: &Item, around: usize| {
                        let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                        span.map_or(around, |span| line_of(text, span.start))
                    };
                    let line = line_in(table, key, item, line);
                    let Some(of_home) = item.as_table_like() else {
                        let stated = label(key, item, line).map_err(|why| format!("{}: {why}", place(line)))?;
                        config.labels.insert(key.to_owned(), stated);
                        continue;
                    };
                    let labels = config.home_labels.entry(expanded(key)).or_default();
                    for (key, item) in of_home.iter() {
                        let line = line_in(of_home, key, item, line);
                        let stated = label(key, item, line).map_err(|why| format!("{}: {why}", place(line)))?;
                        labels.insert(key.to_owned(), stated);
                    }
                }
            }
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, item: &Item, line: usize) -> Result<(), String> {
        match key {
            "ledger" => self.ledger = Some(StatedValue { value: expanded(text(key, item)?), line }),
            "zone" => {
                let value = text(key, item)?.parse().map_err(|error: Error| error.to_string())?;
                self.zone = Some(StatedValue { value, line });
            }
            "homes" => {
                let wrong =
                    || "`homes` is no list of directories: write homes = [\"~\", \"/mnt/laptop/home\"]".to_owned();
                let list = item.as_array().ok_or_else(wrong)?;
                let value =
                    list.iter().map(|one| one.as_str().map(expanded).ok_or_else(wrong)).collect::<Result<_, _>>()?;
                self.homes = Some(StatedValue { value, line });
            }
            "theme" => {
                let name = text(key, item)?;
                let value = ThemeName::from_str(name, false)
                    .map_err(|_| format!("`theme` is `{name}`: write dark, light or none"))?;
                self.theme = Some(StatedValue { value, line });
            }
            "listen" => {
                let address = text(key, item)?;
                let value = address.parse().map_err(|_| {
                    format!("`listen` is `{address}`: write an address and a port, such as 127.0.0.1:4318")
                })?;
                self.listen = Some(StatedValue { value, line });
            }
            "report" => {
                let keys = text(key, item)?;
                let value = keys
                    .split(',')
                    .map(|key| key.trim().parse().map_err(|error: Error| format!("`report`: {error}")))
                    .collect::<Result<_, _>>()?;
                self.report = Some(StatedValue { value, line });
            }
            "alerts" | "labels" => {}
            unknown => return Err(unknown_key(unknown, &KEYS)),
        }
        Ok(())
    }

    fn set_alert(&mut self, key: &str, item: &Item, line: usize) -> Result<(), String> {
        match key {
            "command" => self.alerts.command = Some(StatedValue { value: text(key, item)?.to_owned(), line }),
            "webhook" => self.alerts.webhook = Some(StatedValue { value: webhook(text(key, item)?)?.to_owned(), line }),
            "desktop" => {
                let value = item.as_bool().ok_or("`desktop` is neither true nor false: write desktop = true")?;
                self.alerts.desktop = Some(StatedValue { value, line });
            }
            unknown => return Err(unknown_key(unknown, &ALERT_KEYS)),
        }
        Ok(())
    }

    /// Writes the targets of alerts to the file. The rest of the file is unchanged.
    pub fn write_targets(
        &self,
        targets: &[(&str, toml_edit::Value)],
        refuse_ledger: impl Fn(&Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let path = self.path.clone().ok_or_else(|| {
            Failure::usage(format!("this system has no directory for settings: name a file in {VARIABLE}"))
        })?;
        refuse_ledger(&path)?;
        let failed = |source| Failure::from(Error::Io { path: path.clone(), source });
        let before = if self.exists { read_text(&path).map_err(failed)? } else { String::new() };
        let mut document: toml_edit::DocumentMut = before.parse().map_err(|error: toml_edit::TomlError| {
            Failure::usage(format!("{}: {}", path.display(), error.message()))
        })?;
        let table = document.entry("alerts").or_insert(toml_edit::table());
        for (key, value) in targets {
            let table = table
                .as_table_like_mut()
                .ok_or_else(|| Failure::usage(format!("{}: `alerts` is no table: write [alerts]", path.display())))?;
            table.insert(key, Item::Value(value.clone()));
        }
        super::agent_files::replace(&path, &document.to_string())?;
        Ok(path)
    }
}

/// The value of a label.
fn label(name: &str, item: &Item, line: usize) -> Result<StatedValue<String>, String> {
    let value = text(name, item)?;
    if name.is_empty() || value.is_empty() {
        return Err(format!("the label `{name}` has an empty name or value: write machine = \"laptop\""));
    }
    Ok(StatedValue { value: value.to_owned(), line })
}

/// Parses the address of a webhook.
pub(super) fn webhook(address: &str) -> Result<&str, String> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty()) && !address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(address);
    }
    // The address may contain a secret, so no message quotes it.
    Err("the address of the webhook begins with neither https:// nor http://, or contains a blank".to_owned())
}

fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    refuse_pipe(path)?;
    std::fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Refuses a named pipe or a socket: opening it would wait for a writer. A pipe that a shell passes has one.
#[cfg(unix)]
fn refuse_pipe(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path)?.file_type();
    let is_passed = ["/dev/fd", "/proc/self/fd"].iter().any(|directory| path.starts_with(directory));
    if (kind.is_fifo() && !is_passed) || kind.is_socket() {
        let why = "it is a pipe or a socket, not a regular file";
        return Err(std::io::Error::new(ErrorKind::InvalidInput, why));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_pipe(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn text<'i>(key: &str, item: &'i Item) -> Result<&'i str, String> {
    item.as_str().ok_or_else(|| format!("`{key}` is no text: write {key} = \"…\""))
}

/// A path with the home directory in place of a leading `~`.
fn expanded(path: &str) -> PathBuf {
    let rest = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\']));
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches(['/', '\\'])),
        _ => path.into(),
    }
}

/// The remedy for an unknown key.
fn unknown_key(key: &str, keys: &[&str]) -> String {
    let near = keys.iter().map(|known| (strsim::damerau_levenshtein(key, known), *known)).min();
    let near = near.filter(|(distance, known)| 2 * distance <= known.len());
    let meant = match (near, key) {
        (Some((_, near)), _) => format!("did you mean `{near}`?"),
        (None, "limit" | "limits" | "price" | "prices" | "budget") => {
            "limits, prices and alerts are events: use `usage-ledger limit`, `price` or `alert`".to_owned()
        }
        (None, _) => format!("the keys are {}", keys.join(", ")),
    };
    format!("unknown key `{key}`: {meant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(text, Path::new("config.toml"))
    }

    #[test]
    fn every_key_is_read_with_its_line() {
        let config = parsed(
            "# mine\nledger = \"/l.db\"\nzone = 'Europe/Paris'\nhomes = [\n  '/a',\n  '/b',\n]\ntheme = \"light\"\n\
             listen = \"127.0.0.1:9\"\nreport = \"day, model\"\n",
        )
        .unwrap();
        let lines = [config.ledger.as_ref().unwrap().line, config.zone.as_ref().unwrap().line];
        assert_eq!((lines, config.theme.as_ref().unwrap().line), ([2, 3], 8));
        assert_eq!(config.homes.unwrap().value, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(config.report.unwrap().value, [ReportKey::Day, ReportKey::Model]);
        assert_eq!(config.listen.unwrap().value, "127.0.0.1:9".parse().unwrap());
        assert!(config.exists);
    }

    #[test]
    fn a_mistake_names_file_line_and_remedy() {
        for (text, message) in [
            ("zone = \"UTC\"\nlegder = \"x\"\n", "config.toml:2: unknown key `legder`: did you mean `ledger`?"),
            ("\n\nlimits = 5", "config.toml:3: unknown key `limits`: limits, prices and alerts are events"),
            ("[colours]\nred = 1", "config.toml:1: unknown key `colours`: the keys are ledger, zone"),
            ("zone = \"Paris\"", "config.toml:1: "),
            ("theme = \"blue\"", "`theme` is `blue`: write dark, light or none"),
            ("theme = 5", "`theme` is no text"),
            ("homes = \"/a\"", "`homes` is no list of directories"),
            ("listen = \"4318\"", "`listen` is `4318`: write an address and a port"),
            ("report = \"day,colour\"", "config.toml:1: `report`: "),
            ("zone = \"UTC\"\nzone = \"UTC\"", "config.toml:2: "),
            ("zone = ", "config.toml:1: "),
            ("[alerts]\ncomand = \"x\"", "config.toml:2: unknown key `comand`: did you mean `command`?"),
            ("[alerts]\nwebhook = \"ftp://secret\"", "config.toml:2: the address of the webhook begins with neither"),
            ("alerts = 5", "`alerts` is no table"),
            ("labels = 5", "`labels` is no table: write [labels]"),
            ("[labels]\nmachine = \"\"", "config.toml:2: the label `machine` has an empty name or value"),
            ("[labels.'/mnt/a']\n\nmachine = 5", "config.toml:3: `machine` is no text"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn labels_are_of_all_logs_or_of_those_below_a_home() {
        let config = parsed("[labels]\nmachine = 'desktop'\n\n[labels.\"/mnt/laptop\"]\nmachine = 'laptop'\n").unwrap();
        assert_eq!(config.labels["machine"], StatedValue { value: "desktop".to_owned(), line: 2 });
        let laptop = &config.home_labels[Path::new("/mnt/laptop")]["machine"];
        assert_eq!(*laptop, StatedValue { value: "laptop".to_owned(), line: 5 });
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(
            (expanded("~"), expanded("~/u.db"), expanded("~me/u.db")),
            (home.clone(), home.join("u.db"), "~me/u.db".into())
        );
    }
}
