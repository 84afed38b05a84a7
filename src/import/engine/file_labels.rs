//! The labels that a user states for the calls of logs, by directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::import::engine::discover::absolute;
use crate::import::options::ImportOptions;
use crate::model::error::{Error, Result};
use crate::model::event::{EventData, TokenRecord};

/// Labels by name.
pub(in crate::import) type Labels = BTreeMap<String, String>;

/// The labels of an import, checked.
#[derive(Debug, Default)]
pub(in crate::import) struct FileLabels {
    /// Labels of every log.
    all: Labels,
    /// Labels of the logs below a directory, the shortest path first.
    below: Vec<(PathBuf, Labels)>,
}

impl FileLabels {
    /// Checks the labels of an import.
    pub fn of(options: &ImportOptions) -> Result<Self> {
        let (homes, labels): (Vec<_>, Vec<_>) = options.home_labels.clone().into_iter().unzip();
        let mut below: Vec<_> = absolute(homes).into_iter().zip(labels).collect();
        below.sort_by_key(|(home, _)| home.components().count());
        let labels = Self { all: options.labels.clone(), below };
        for (name, value) in labels.below.iter().flat_map(|(_, labels)| labels).chain(&labels.all) {
            check(name, value)?;
        }
        Ok(labels)
    }

    /// The labels of a log. Those of a nearer directory replace those of a farther one.
    pub fn of_file(&self, path: &Path) -> Labels {
        let mut labels = self.all.clone();
        for (home, own) in &self.below {
            if path.starts_with(home) {
                labels.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        labels
    }
}

/// Refuses a label that a record cannot have.
fn check(name: &str, value: &str) -> Result<()> {
    let record = TokenRecord::new("import", "any").input(1).label(name, value);
    record.validate()?;
    if name.is_empty() {
        return Err(Error::invalid(format!("the label `={value}` has no name: write machine={value}")));
    }
    let mut scrubbed = record.clone();
    scrubbed.scrub();
    if scrubbed.labels == record.labels {
        return Ok(());
    }
    // The value may be a credential, so no message quotes it.
    Err(Error::invalid(format!(
        "the value of the label `{name}` looks like a credential, which no event may contain. Write the id or name of the key"
    )))
}

/// Whether a log has all labels that the import states.
pub(in crate::import) fn has_all(own: &Labels, stated: &Labels) -> bool {
    stated.iter().all(|(name, value)| own.get(name) == Some(value))
}

/// The labels of a log after the stated ones replace its own.
pub(in crate::import) fn replaced(own: &Labels, stated: &Labels) -> Labels {
    let mut labels = own.clone();
    labels.extend(stated.iter().map(|(name, value)| (name.clone(), value.clone())));
    labels
}

/// The labels of a record after those of its log changed. A value that is not the log's former one stays: it comes from a line of
/// a log, from telemetry or from another copy of the log.
pub(in crate::import) fn relabelled(of_record: &Labels, before: &Labels, after: &Labels) -> Labels {
    let mut labels = of_record.clone();
    for (name, value) in after {
        let recorded = of_record.get(name);
        if recorded.is_none() || recorded == before.get(name) {
            labels.insert(name.clone(), value.clone());
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_nearest_directory_decides() {
        let options = ImportOptions::new()
            .label("team", "a")
            .label("machine", "all")
            .home_label("/h", "machine", "h")
            .home_label("/h/deep", "machine", "deep");
        let stated = FileLabels::of(&options).unwrap();
        let of = |path: &str| stated.of_file(Path::new(path));
        assert_eq!(of("/other/s.jsonl"), labels(&[("team", "a"), ("machine", "all")]));
        assert_eq!(of("/h/s.jsonl")["machine"], "h");
        assert_eq!(of("/h/deep/s.jsonl"), labels(&[("team", "a"), ("machine", "deep")]));
        assert_eq!(of("/hh/s.jsonl")["machine"], "all");
    }

    #[test]
    fn a_label_that_no_record_can_have_is_refused() {
        for (name, value) in [("machine", ""), ("", "x"), ("machine", "a\0b"), ("api_key", "sk-ant-api03-abcdefghijkl")]
        {
            let refused = FileLabels::of(&ImportOptions::new().label(name, value)).unwrap_err().to_string();
            assert!(!refused.contains("abcdefghijkl"), "{refused}");
        }
        for (name, value) in
            [("api_key", "claude_code_key_anna.lee_qwzx"), ("api_key_id", "apikey_01Rj2N8SVvo6BePZj99NhmiT")]
        {
            FileLabels::of(&ImportOptions::new().label(name, value)).unwrap();
        }
    }

    #[test]
    fn only_the_former_value_of_the_log_is_replaced() {
        let (before, after) = (labels(&[("machine", "a")]), labels(&[("machine", "b"), ("team", "x")]));
        let of = |pairs: &[(&str, &str)]| relabelled(&labels(pairs), &before, &after);
        assert_eq!(of(&[("machine", "a")]), after);
        assert_eq!(of(&[]), after);
        assert_eq!(of(&[("machine", "c"), ("team", "y")]), labels(&[("machine", "c"), ("team", "y")]));
    }
}
