//! Tokens of audio, images and video, which often have separate prices.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::error::{Error, Result};
use crate::model::event::{Modality, modality_name};
use crate::model::tokens::TokenClass;
use crate::readers::normalise::count::Count;

/// Counts by modality, as `OpenAI` and compatible servers state them.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts by modality")]
pub(super) struct ByModality {
    #[serde(rename = "audio_tokens")]
    audio: Count,
    #[serde(rename = "image_tokens")]
    image: Count,
    #[serde(rename = "video_tokens")]
    video: Count,
}

impl ByModality {
    pub(super) fn counts(&self) -> Result<[u64; 3]> {
        counts([&self.audio, &self.image, &self.video])
    }
}

/// The counts of audio, images and video, with 0 for a missing one.
pub(super) fn counts([audio, image, video]: [&Count; 3]) -> Result<[u64; 3]> {
    let of = |count: &Count, name| Ok::<_, Error>(count.named(name)?.count.unwrap_or(0));
    Ok([of(audio, "audio_tokens")?, of(image, "image_tokens")?, of(video, "video_tokens")?])
}

/// One modality's count, as Gemini states it in lists.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of one modality's token count")]
pub(super) struct ModalityCount {
    modality: String,
    #[serde(rename = "tokenCount")]
    tokens: Count,
}

/// The counts of a list. Gemini counts the pages of documents as images.
pub(super) fn listed(list: Option<&Vec<ModalityCount>>) -> Result<[u64; 3]> {
    let mut counts = [0_u64; 3];
    let [audio, image, video] = &mut counts;
    for one in list.into_iter().flatten() {
        let slot = match one.modality.as_str() {
            "AUDIO" => &mut *audio,
            "IMAGE" | "DOCUMENT" => &mut *image,
            "VIDEO" => &mut *video,
            _ => continue,
        };
        *slot = slot.saturating_add(one.tokens.named("tokenCount")?.count.unwrap_or(0));
    }
    Ok(counts)
}

/// The modalities of each class. `input` includes cache reads.
pub(super) fn split(input: [u64; 3], cached: [u64; 3], output: [u64; 3]) -> BTreeMap<String, u64> {
    let mut split = BTreeMap::new();
    let kinds = Modality::ALL.into_iter().zip(input).zip(cached).zip(output);
    for (((modality, input), cached), output) in kinds {
        for (class, count) in [
            (TokenClass::Input, input.saturating_sub(cached)),
            (TokenClass::CacheRead, cached),
            (TokenClass::Output, output),
        ] {
            if count > 0 {
                split.insert(modality_name(class, modality), count);
            }
        }
    }
    split
}
