//! A home whose logs are written while they are imported.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use usage_ledger::Ledger;
use usage_ledger::import::SourceReport;

use super::truth::Truth;
use super::{Options, check};

/// A corpus with its truth, and a home with the parts of it that a test has written.
pub struct Live {
    whole: TempDir,
    home: TempDir,
    pub truth: Truth,
    pub ledger: Ledger,
    writes: u64,
}

impl Live {
    pub fn new(options: Options) -> Self {
        let whole = TempDir::new().unwrap();
        let truth = options.write(whole.path());
        let ledger = Ledger::in_memory().unwrap();
        Self { whole, home: TempDir::new().unwrap(), truth, ledger, writes: 0 }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The final content of a file of the corpus.
    pub fn text(&self, file: &Path) -> Vec<u8> {
        fs::read(self.whole.path().join(file)).unwrap()
    }

    /// Writes this into a file, with a new modification time even on file systems with coarse clocks.
    pub fn put(&mut self, file: &Path, text: &[u8]) {
        let path = self.home.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.touch(file);
    }

    pub fn touch(&mut self, file: &Path) {
        self.writes += 1;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + self.writes);
        File::options().write(true).open(self.home.path().join(file)).unwrap().set_modified(time).unwrap();
    }

    /// Writes the final content of every listed file.
    pub fn put_all(&mut self, files: &[PathBuf]) {
        for file in files {
            let text = self.text(file);
            self.put(file, &text);
        }
    }

    pub fn remove(&self, file: &Path) {
        fs::remove_file(self.home.path().join(file)).unwrap();
    }

    pub fn import(&mut self) -> Vec<SourceReport> {
        check::import(&self.ledger, self.home.path())
    }

    /// Imports, and fails if that changes anything.
    pub fn import_nothing(&mut self, what: &str) {
        let before = self.ledger.head().unwrap();
        for source in self.import() {
            let news = (source.bytes, source.recorded, source.amended, source.duplicates);
            assert_eq!(news, (0, 0, 0, 0), "{what}: {}", source.source);
        }
        assert_eq!(self.ledger.head().unwrap(), before, "{what}: an import of nothing new appends nothing");
    }

    /// Fails if the ledger differs from the truth of the whole corpus.
    pub fn assert_truth(&mut self, what: &str) {
        check::assert_truth(what, &self.ledger, &self.truth);
    }
}
