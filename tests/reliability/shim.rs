//! The preloaded library that counts, records, fails and kills at system calls of a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Builds the library once per process.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (source, built) = (dir.join("shim.c"), dir.join("shim.so"));
        std::fs::write(&source, include_str!("shim.c")).unwrap();
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&built).arg(&source).arg("-ldl");
        assert!(command.status().unwrap().success(), "the shim does not compile");
        built
    })
}

/// Which system calls of a process the shim acts on.
pub const WRITES: &str = "wstn";
pub const ALL: &str = "owstnrm";

/// The effect at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The call fails without effect.
    Before,
    /// The call takes effect, and reports failure.
    After,
    /// A write is done in part, and fails.
    Half,
    /// The process dies before it.
    Kill,
    /// The process dies after it.
    KillAfter,
}

impl How {
    const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Half => "half",
            Self::Kill => "kill",
            Self::KillAfter => "killafter",
        }
    }
}

pub const EIO: i32 = 5;
pub const ENOMEM: i32 = 12;
pub const ENOSPC: i32 = 28;

/// The settings of the shim for one process.
#[derive(Clone, Debug)]
pub struct Shim {
    files: PathBuf,
    scratch: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Shim {
    /// Acts on files below `files`; keeps its own in `scratch`.
    pub fn new(files: &Path, scratch: &Path) -> Self {
        let _ = std::fs::remove_file(scratch.join("hit"));
        let _ = std::fs::remove_file(scratch.join("count"));
        Self { files: files.canonicalize().unwrap(), scratch: scratch.to_owned(), settings: Vec::new() }
    }

    pub fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }

    /// Appends every call to a log.
    pub fn log(self, to: &Path) -> Self {
        let to = to.display().to_string();
        self.set("SHIM_LOG", to)
    }

    /// Counts calls without affecting them.
    pub fn counting(self, mask: &str) -> Self {
        self.set("SHIM_MASK", mask)
    }

    /// Sets the effect at the call with this number.
    pub fn at(self, mask: &str, number: u64, how: How) -> Self {
        self.set("SHIM_MASK", mask).set("SHIM_AT", number).set("SHIM_HOW", how.name())
    }

    pub fn errno(self, number: i32) -> Self {
        self.set("SHIM_ERRNO", number)
    }

    /// All calls after the chosen one fail too.
    pub fn sticky(self) -> Self {
        self.set("SHIM_STICKY", 1)
    }

    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("LD_PRELOAD", library())
            .env("SHIM_DIR", &self.files)
            .env("SHIM_HIT", self.scratch.join("hit"))
            .env("SHIM_COUNT", self.scratch.join("count"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
    }

    /// Whether the chosen call was reached.
    pub fn was_hit(&self) -> bool {
        self.scratch.join("hit").exists()
    }

    /// The number of matching calls of a process that ended normally.
    pub fn count(&self) -> u64 {
        let text = std::fs::read_to_string(self.scratch.join("count")).expect("the process left no count");
        text.trim().parse().unwrap()
    }
}
