//! Generates logs of Claude Code and Codex from a seed, together with the truth about them.
//!
//! The proportions are those of real logs: most bytes are texts and tool output, and a call is a line of several
//! kilobytes with a small usage object. The traps occur in real logs: repeated, nested, copied, truncated and empty
//! counts.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::similar_names, clippy::assigning_clones)]

pub mod check;
mod claude;
mod codex;
pub mod live;
mod log;
pub mod rng;
mod text;
pub mod truth;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rng::Rng;
use text::Pool;
use truth::Truth;

/// The size and content of a corpus.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// Log files.
    pub files: usize,
    /// How many of them are Codex logs.
    pub codex: usize,
    /// The approximate size of all files in bytes.
    pub bytes: u64,
    /// The length of texts in percent of the usual; shorter texts give more calls.
    pub text: u64,
    /// The frequency of traps relative to real logs; 0 for none.
    pub traps: u64,
}

impl Options {
    /// A small corpus that is full of traps.
    pub const fn small(seed: u64) -> Self {
        Self { seed, files: 32, codex: 10, bytes: 1_000_000, text: 25, traps: 10 }
    }

    /// A corpus of this many megabytes with the usual frequency of traps.
    pub const fn usual(seed: u64, megabytes: u64) -> Self {
        let files = 2 * megabytes as usize;
        Self { seed, files, codex: files / 6, bytes: megabytes * 1_000_000, text: 100, traps: 1 }
    }

    /// Writes the logs below `home`.
    pub fn write(self, home: &Path) -> Truth {
        let mut rng = Rng::new(self.seed);
        let pool = Pool::new(&mut rng, 1 << 18);
        let (text, traps) = (self.text, self.traps);
        let began = HashMap::new();
        let mut home = Home { root: home.to_owned(), rng, pool, text, traps, truth: Truth::default(), began };
        let codex = self.bytes * self.codex as u64 / self.files as u64;
        claude::write(&mut home, self.files - self.codex, self.bytes - codex);
        codex::write(&mut home, self.codex, codex);
        home.truth
    }
}

/// The home directory that the logs are written to.
struct Home {
    root: PathBuf,
    rng: Rng,
    pool: Pool,
    text: u64,
    traps: u64,
    truth: Truth,
    /// When each conversation's log begins.
    began: HashMap<String, i64>,
}

impl Home {
    /// Whether to set a trap that occurs in this many of a thousand places.
    const fn trap(&mut self, per_mille: u64) -> bool {
        self.rng.chance(per_mille * self.traps)
    }

    /// A text with a mean length in a corpus of usual texts.
    fn text(&mut self, mean: u64) -> String {
        let length = self.rng.tailed(mean * self.text / 100);
        self.pool.piece(&mut self.rng, usize::try_from(length).unwrap()).to_owned()
    }

    /// A moment in the hundred days of the corpus.
    fn moment(&mut self) -> i64 {
        const FIRST: i64 = 1_780_272_000_000; // 2026-06-01
        FIRST + self.rng.millis(0, 100 * 86_400_000)
    }

    /// The size of the next of `left` files, given the remaining bytes.
    fn share(&mut self, bytes: u64, written: u64, left: usize) -> usize {
        let mean = bytes.saturating_sub(written) / u64::try_from(left.max(1)).unwrap();
        usize::try_from(self.rng.tailed(mean).max(2_000)).unwrap()
    }
}
