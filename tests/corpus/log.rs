//! Builds one log file.

use std::fs;
use std::path::PathBuf;

use super::Home;
use super::rng::Rng;

#[derive(Clone, Default)]
pub struct Log {
    pub text: String,
    pub lines: u64,
    /// Truncated lines.
    pub torn: Vec<u64>,
}

impl Log {
    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.lines += 1;
    }

    /// A truncated line: alone, or directly followed by the next line.
    pub fn torn(&mut self, line: &str, next: &str) {
        self.line(&format!("{line}{next}"));
        self.torn.push(self.lines);
    }

    /// Writes the file, possibly with an unfinished last line.
    pub fn finish(mut self, home: &mut Home, path: PathBuf, last: &str) {
        for line in &self.torn {
            home.truth.torn.insert((path.clone(), *line));
        }
        if home.trap(20) {
            self.text.push_str(&cut(&mut home.rng, last, 1));
            home.truth.tails.insert((path.clone(), self.lines + 1));
        }
        let whole = home.root.join(&path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        fs::write(whole, &self.text).unwrap();
        home.truth.bytes += self.text.len() as u64;
        home.truth.files.push(path);
    }
}

/// The beginning of a line, at least `least` bytes, which is not itself a valid line.
pub fn cut<'l>(rng: &mut Rng, line: &'l str, least: usize) -> std::borrow::Cow<'l, str> {
    let mut end = least + rng.index(line.len().saturating_sub(least + 120).max(1));
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let part = line[..end].trim_end_matches(|c: char| c == '}' || c.is_ascii_whitespace());
    if part.is_empty() { "{".into() } else { part.into() }
}
