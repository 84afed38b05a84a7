//! Counts besides the token classes that affect the price: tokens of other modalities than text, and uses of server
//! tools.

use std::collections::BTreeMap;

use crate::model::error::{Error, Result};
use crate::model::tokens::{MAX_COUNT, TokenClass};

/// The modality of tokens that are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modality {
    Audio,
    Image,
    Video,
}

impl Modality {
    pub const ALL: [Self; 3] = [Self::Audio, Self::Image, Self::Video];

    const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Image => "image",
            Self::Video => "video",
        }
    }
}

/// Classes whose tokens may be of several modalities.
const CLASSES: [TokenClass; 3] = [TokenClass::Input, TokenClass::CacheRead, TokenClass::Output];

/// The name of a modality of a class in a record: `input_audio`.
pub(crate) fn modality_name(class: TokenClass, modality: Modality) -> String {
    format!("{}_{}", class.name(), modality.name())
}

/// The class and modality of such a name.
pub(crate) fn modality_of(name: &str) -> Option<(TokenClass, Modality)> {
    let (class, modality) = name.rsplit_once('_')?;
    let class = CLASSES.into_iter().find(|known| known.name() == class)?;
    Some((class, Modality::ALL.into_iter().find(|known| known.name() == modality)?))
}

/// Whether a name can denote a server tool. Keys of projections separate names with other characters.
pub(crate) fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Checks the modalities and server tools of a record.
pub(super) fn validate(modalities: &BTreeMap<String, u64>, server_tools: &BTreeMap<String, u64>) -> Result<()> {
    for name in modalities.keys() {
        if modality_of(name).is_none() {
            return Err(Error::invalid(format!(
                "`{name}` is no modality of a token class: write one such as input_audio, cache_read_image or output_video"
            )));
        }
    }
    for name in server_tools.keys() {
        if !is_tool_name(name) {
            return Err(Error::invalid(format!(
                "`{name}` is no name of a server tool: write up to 64 lower-case letters, digits and `_`, such as web_search"
            )));
        }
    }
    for (name, count) in modalities.iter().chain(server_tools) {
        if *count > MAX_COUNT {
            return Err(Error::invalid(format!(
                "`{name}` is {count}, above the largest count a record can carry ({MAX_COUNT})"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modalities_round_trip_and_others_are_refused() {
        for class in CLASSES {
            for modality in Modality::ALL {
                assert_eq!(modality_of(&modality_name(class, modality)), Some((class, modality)));
            }
        }
        for wrong in ["input", "audio", "reasoning_audio", "input_text", ""] {
            assert_eq!(modality_of(wrong), None, "{wrong}");
        }
        let one = |name: &str| BTreeMap::from([(name.to_owned(), 1)]);
        assert!(validate(&one("input_audio"), &one("web_search")).is_ok());
        assert!(validate(&one("input_text"), &BTreeMap::new()).is_err());
        assert!(validate(&BTreeMap::new(), &one("Web=1,")).is_err());
    }
}
