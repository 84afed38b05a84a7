//! Classes of tokens, as statements count them.

use crate::model::tokens::TokenClass;

/// A set of token classes that a statement counts together, such as visible and reasoning output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Input,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    /// Cache writes of any lifetime.
    CacheWrites,
    /// Visible output and reasoning.
    Output,
    /// All input classes.
    Prompt,
}

impl Class {
    /// Every class.
    pub(crate) const ALL: [Self; 7] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheWrites,
        Self::Output,
        Self::Prompt,
    ];

    /// The token classes of the set.
    pub(crate) const fn parts(self) -> &'static [TokenClass] {
        use TokenClass as T;
        match self {
            Self::Input => &[T::Input],
            Self::CacheRead => &[T::CacheRead],
            Self::CacheWrite5m => &[T::CacheWrite5m],
            Self::CacheWrite1h => &[T::CacheWrite1h],
            Self::CacheWrites => &[T::CacheWrite5m, T::CacheWrite1h, T::CacheWrite],
            Self::Output => &[T::Output, T::Reasoning],
            Self::Prompt => &[T::Input, T::CacheRead, T::CacheWrite5m, T::CacheWrite1h, T::CacheWrite],
        }
    }

    /// The name in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheWrites => "cache_write",
            Self::Output => "output",
            Self::Prompt => "prompt",
        }
    }

    /// The class with a name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The class that a text names: `input, cached`, `cache-write-input-token-count`, `ephemeral_5m_input_tokens`.
    pub(super) fn named(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |part: &str| text.contains(part);
        Some(if has("cache") && (has("write") || has("creation")) || has("ephemeral") {
            if has("5m") {
                Self::CacheWrite5m
            } else if has("1h") {
                Self::CacheWrite1h
            } else {
                Self::CacheWrites
            }
        } else if has("uncached") {
            Self::Input
        } else if has("cache") {
            Self::CacheRead
        } else if has("outp") || has("completion") {
            Self::Output
        } else if has("inp") || has("prompt") {
            Self::Input
        } else {
            return None;
        })
    }
}
