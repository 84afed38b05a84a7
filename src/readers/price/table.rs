//! The price table of the build: `genai-prices`, unchanged.
//!
//! Its rules: of a model's conditional prices the last active one applies. A variant (batch, a service tier) replaces
//! the prices that it names. Of a price's tiers the highest one below the prompt length applies to all tokens. A class
//! without a price costs what its parent class does.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use chrono::{NaiveDate, NaiveTime};
use memchr::memmem;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::extras::{ExtraRates, Extras};
use super::names::spellings;
use super::rates::Rates;
use super::rule::PriceRule;
use super::tariff::Tariff;
use super::{PriceLookup, PriceOrigin, Term};
use crate::model::event::Modality;
use crate::model::time::{DAY, Timestamp};
use crate::model::tokens::{TokenClass, Usd};

const JSON: &str = include_str!("genai-prices/prices.json");
/// Name and version of the table.
pub(super) const NAME: &str = "genai-prices 0.2.1";
/// Its date of publication.
pub(super) const DATE: &str = "2026-10-30";
/// The checksum of the file.
pub(super) const SHA256: &str = "36b2d46ee3f339666e58962d6e4d9ecb175adf2a0456ad029ea0cbafd9baf75c";

/// The table's names of our catalogue's providers, where they differ.
const NAMES: [(&str, &str); 5] = [
    ("aws-bedrock", "aws"),
    ("azure-openai", "azure"),
    ("google-vertex", "google"),
    ("moonshot", "moonshotai"),
    ("xai", "x-ai"),
];

/// The region that Anthropic's API offers besides the global one, and the price of its tokens in percent of the
/// standard price.
///
/// "1.1x pricing on all token categories", for Claude Opus 4.6 and all later models; earlier ones refuse the parameter
/// (<https://platform.claude.com/docs/en/build-with-claude/data-residency>).
const US: &str = "us";
const US_PERCENT: i128 = 110;

#[derive(Debug, Deserialize)]
struct Provider {
    id: &'static str,
    #[serde(default)]
    fallback_model_providers: Vec<String>,
    models: Vec<TableModel>,
}

/// A model. Its prices are parsed at their first use, because most models of the table are never used.
#[derive(Debug, Deserialize)]
struct TableModel {
    id: &'static str,
    #[serde(rename = "match")]
    rule: PriceRule,
    #[serde(borrow)]
    prices: &'static RawValue,
    #[serde(borrow)]
    price_variants: Option<&'static RawValue>,
    #[serde(skip)]
    priced: OnceLock<Option<PricedModel>>,
}

#[derive(Debug)]
struct PricedModel {
    id: &'static str,
    prices: ConditionalPrices,
    price_variants: Vec<Variant>,
}

impl TableModel {
    /// The model with its prices. A test reads the prices of every model.
    fn priced(&self) -> Option<&PricedModel> {
        self.priced.get_or_init(|| self.read().ok()).as_ref()
    }

    fn read(&self) -> serde_json::Result<PricedModel> {
        let variants = self.price_variants.map(|variants| serde_json::from_str(variants.get())).transpose()?;
        let prices = serde_json::from_str(self.prices.get())?;
        Ok(PricedModel { id: self.id, prices, price_variants: variants.unwrap_or_default() })
    }
}

/// Prices of which the last active one applies.
#[derive(Debug)]
struct ConditionalPrices(Vec<Conditional>);

impl<'de> Deserialize<'de> for ConditionalPrices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let read = if text.starts_with('[') {
            serde_json::from_str(text)
        } else {
            serde_json::from_str(text).map(|prices| vec![Conditional { constraint: None, prices }])
        };
        read.map(Self).map_err(D::Error::custom)
    }
}

#[derive(Debug, Deserialize)]
struct Conditional {
    constraint: Option<Constraint>,
    prices: ModelPrices,
}

#[derive(Debug, Deserialize)]
struct Variant {
    when: HashMap<String, String>,
    prices: ModelPrices,
    constraint: Option<Constraint>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Constraint {
    Since {
        #[serde(deserialize_with = "date")]
        start_date: NaiveDate,
    },
    Daily {
        start_time: String,
        end_time: String,
    },
}

/// The prices of tokens, requests and searches. Prices per hour, page or character are ignored.
#[derive(Debug, Default, Deserialize)]
struct ModelPrices {
    input_mtok: Option<TablePrice>,
    cache_read_mtok: Option<TablePrice>,
    cache_write_mtok: Option<TablePrice>,
    cache_write_1h_mtok: Option<TablePrice>,
    output_mtok: Option<TablePrice>,
    output_reasoning_mtok: Option<TablePrice>,
    requests_kcount: Option<TablePrice>,
    input_audio_mtok: Option<TablePrice>,
    cache_audio_read_mtok: Option<TablePrice>,
    output_audio_mtok: Option<TablePrice>,
    input_image_mtok: Option<TablePrice>,
    cache_image_read_mtok: Option<TablePrice>,
    output_image_mtok: Option<TablePrice>,
    input_video_mtok: Option<TablePrice>,
    output_video_mtok: Option<TablePrice>,
    web_searches_kcount: Option<TablePrice>,
    storage_searches_kcount: Option<TablePrice>,
}

#[derive(Debug)]
enum TablePrice {
    Flat(Usd),
    Tiered(Tiered),
}

#[derive(Debug, Deserialize)]
struct Tiered {
    base: Usd,
    tiers: Vec<PriceTier>,
}

impl<'de> Deserialize<'de> for TablePrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let read = if text.starts_with('{') {
            serde_json::from_str(text).map(Self::Tiered)
        } else {
            serde_json::from_str(text).map(Self::Flat)
        };
        read.map_err(D::Error::custom)
    }
}

#[derive(Debug, Deserialize)]
struct PriceTier {
    start: u64,
    price: Usd,
}

impl ModelPrices {
    fn all(&self) -> [Option<&TablePrice>; 7] {
        [
            &self.input_mtok,
            &self.cache_read_mtok,
            &self.cache_write_mtok,
            &self.cache_write_1h_mtok,
            &self.output_mtok,
            &self.output_reasoning_mtok,
            &self.requests_kcount,
        ]
        .map(Option::as_ref)
    }
}

impl Constraint {
    fn term(&'static self) -> Term {
        match self {
            Self::Since { start_date } => Term::Since(*start_date),
            Self::Daily { start_time, end_time } => Term::Daily(start_time, end_time),
        }
    }

    fn is_active(&self, at: Timestamp) -> bool {
        match self {
            Self::Since { start_date } => at.to_chrono().date_naive() >= *start_date,
            Self::Daily { start_time, end_time } => {
                let Some((start, end)) = time_of_day(start_time).zip(time_of_day(end_time)) else { return false };
                let now = at.millis().rem_euclid(DAY);
                if end < start { now >= start || now < end } else { start <= now && now < end }
            }
        }
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Milliseconds after midnight UTC.
fn time_of_day(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%SZ").ok()?;
    Some((time - NaiveTime::MIN).num_milliseconds())
}

impl TablePrice {
    /// The largest prompt length at which the price changes and that this tariff exceeds.
    fn above(&self, tariff: Tariff<'_>) -> u64 {
        let Self::Tiered(Tiered { tiers, .. }) = self else { return 0 };
        tiers.iter().map(|tier| tier.start).filter(|start| tariff.prompt > *start).max().unwrap_or(0)
    }

    /// The price for a prompt; `None` if the tariff does not determine it.
    fn at(&self, tariff: Tariff<'_>) -> Option<Usd> {
        match self {
            Self::Flat(usd) => Some(*usd),
            Self::Tiered(Tiered { base, tiers }) => {
                if !tiers.iter().all(|tier| tariff.is_exact_for(tier.start)) {
                    return None;
                }
                let above = tiers.iter().filter(|tier| tariff.prompt > tier.start).max_by_key(|tier| tier.start);
                Some(above.map_or(*base, |tier| tier.price))
            }
        }
    }
}

/// Providers of the table, parsed at their first use.
static READ: LazyLock<Mutex<HashMap<String, Option<&'static Provider>>>> = LazyLock::new(Mutex::default);

fn provider(id: &str) -> Option<&'static Provider> {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = read.get(id) {
        return *known;
    }
    let parsed = read_provider(id).map(|provider| &*Box::leak(Box::new(provider)));
    read.insert(id.to_owned(), parsed);
    parsed
}

/// Parses one provider. Each begins with its id; a model with this id has no models.
fn read_provider(id: &str) -> Option<Provider> {
    let start = format!("{{\"id\":{},", serde_json::to_string(id).ok()?);
    memmem::find_iter(JSON.as_bytes(), &start).find_map(|at| {
        let provider = Provider::deserialize(&mut serde_json::Deserializer::from_str(JSON.get(at..)?)).ok()?;
        (provider.id == id).then_some(provider)
    })
}

/// A model, and whether the provider sells it itself with its own tariffs.
type FoundModel = (&'static PricedModel, bool);

/// Models by provider, then by name.
type LookupCache = HashMap<String, HashMap<String, Option<FoundModel>>>;

/// A cache of the models that were looked up.
static LOOKUPS: LazyLock<Mutex<LookupCache>> = LazyLock::new(Mutex::default);

/// The model of a provider with a name.
fn model(provider_id: &str, name: &str) -> Option<FoundModel> {
    let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lookups.get(provider_id).and_then(|names| names.get(name)) {
        return *known;
    }
    let parsed = look_up(provider_id, name);
    lookups.entry(provider_id.to_owned()).or_default().insert(name.to_owned(), parsed);
    parsed
}

fn look_up(provider_id: &str, name: &str) -> Option<FoundModel> {
    let id = NAMES.iter().find(|(our_id, _)| *our_id == provider_id).map_or(provider_id, |(_, table_id)| table_id);
    let selected = provider(id)?;
    let find = |name: &String| {
        let among = |of: &'static Provider| of.models.iter().find(|model| model.rule.matches(name))?.priced();
        among(selected).map(|model| (model, true)).or_else(|| {
            let others = selected.fallback_model_providers.iter();
            others.filter_map(|other| among(provider(other)?)).map(|model| (model, false)).next()
        })
    };
    spellings(provider_id, name).iter().find_map(find)
}

/// The price of a model at a time, and whether it is constant for the day.
pub(super) fn find(provider: &str, name: &str, at: Timestamp, tariff: Tariff<'_>) -> PriceLookup {
    let Some((model, own)) = model(provider, name) else { return PriceLookup::Unknown };
    let list = &model.prices.0;
    let active = |one: &&Conditional| one.constraint.as_ref().is_none_or(|constraint| constraint.is_active(at));
    let Some(Conditional { constraint, prices: standard }) = list.iter().rev().find(active).or(list.first()) else {
        return PriceLookup::Unknown;
    };
    let variants: Vec<&Variant> = match tariff.service {
        None => Vec::new(),
        Some(service) => model
            .price_variants
            .iter()
            .filter(|variant| own && is_of(variant, service))
            .filter(|variant| variant.constraint.as_ref().is_none_or(|constraint| constraint.is_active(at)))
            .collect(),
    };
    // A special tier without its own price is unknown, never billed at the standard rate.
    if tariff.service.is_some() && variants.is_empty() {
        return PriceLookup::Unknown;
    }
    let constraint = variants.iter().find_map(|variant| variant.constraint.as_ref()).or(constraint.as_ref());
    let term = constraint.map_or(Term::Always, Constraint::term);
    // Only Anthropic's own API has a choice of region, and only `us` has a published price.
    let percent = match tariff.geo {
        None => 100,
        Some(US) if provider == "anthropic" => US_PERCENT,
        Some(_) => return PriceLookup::Unknown,
    };
    let sets: Vec<&ModelPrices> = variants.into_iter().map(|variant| &variant.prices).chain([standard]).collect();
    let above = sets.iter().flat_map(|set| set.all()).flatten().map(|price| price.above(tariff)).max().unwrap_or(0);
    let origin = PriceOrigin { of: model.id, above, term, custom: None };
    let Some(mut rates) = rates(&sets, tariff) else { return PriceLookup::Finer };
    if tariff.extras != Extras::None {
        let Some(extras) = extra_rates(&sets, tariff, model.id, &rates) else { return PriceLookup::Finer };
        rates.extras = extras;
    }
    if percent != 100 {
        let Some(more) = rates.percent(percent) else { return PriceLookup::Unknown };
        rates = more;
    }
    PriceLookup::Rates { rates, origin }
}

fn is_of(variant: &Variant, service: &str) -> bool {
    let key = if service == "batch" { "processing" } else { "service_tier" };
    variant.when.len() == 1 && variant.when.get(key).is_some_and(|value| value == service)
}

/// The prices of all classes, each from the first set that has it; `None` if one depends on a prompt length that the
/// tariff does not determine.
fn rates(sets: &[&ModelPrices], tariff: Tariff<'_>) -> Option<Rates> {
    let price = |of: fn(&ModelPrices) -> Option<&TablePrice>| {
        let stated = sets.iter().find_map(|set| of(set));
        stated.map_or(Some(None), |price| price.at(tariff).map(Some))
    };
    let input = price(|set| set.input_mtok.as_ref())?;
    let read = price(|set| set.cache_read_mtok.as_ref())?.or(input);
    let write = price(|set| set.cache_write_mtok.as_ref())?.or(input);
    let write_1h = price(|set| set.cache_write_1h_mtok.as_ref())?.or(write);
    let output = price(|set| set.output_mtok.as_ref())?;
    let reasoning = price(|set| set.output_reasoning_mtok.as_ref())?.or(output);
    let mut rates =
        Rates { thousand_requests: price(|set| set.requests_kcount.as_ref())?.unwrap_or_default(), ..Rates::default() };
    for (class, usd) in [
        (TokenClass::Input, input),
        (TokenClass::CacheRead, read),
        (TokenClass::CacheWrite5m, write),
        (TokenClass::CacheWrite, write),
        (TokenClass::CacheWrite1h, write_1h),
        (TokenClass::Output, output),
        (TokenClass::Reasoning, reasoning),
    ] {
        rates.set(class, usd);
    }
    Some(rates)
}

/// The prices of audio, images, video and tools, each from the first set that has it; `None` if one depends on a prompt
/// length that the tariff does not determine.
///
/// The table omits a modality with the price of text. This applies to image and video input, and to Gemini's audio. If
/// a model outputs only audio or images, its output price is theirs. Any other modality without a price is unknown.
fn extra_rates(sets: &[&ModelPrices], tariff: Tariff<'_>, id: &str, text: &Rates) -> Option<ExtraRates> {
    let price = |of: fn(&ModelPrices) -> Option<&TablePrice>| {
        let stated = sets.iter().find_map(|set| of(set));
        stated.map_or(Some(None), |price| price.at(tariff).map(Some))
    };
    let (input, read, output) = (TokenClass::Input, TokenClass::CacheRead, TokenClass::Output);
    let as_text = |class, holds: bool| text.of(class).filter(|_| holds);
    let is_gemini = id.starts_with("gemini");
    let mut extras = ExtraRates::default();
    let audio = price(|set| set.input_audio_mtok.as_ref())?;
    let image = price(|set| set.input_image_mtok.as_ref())?;
    let video = price(|set| set.input_video_mtok.as_ref())?;
    // A cache read costs at most the input price, so a more expensive modality has no text price there.
    let audio_read = as_text(read, is_gemini && audio.is_none());
    let (image_read, video_read) = (as_text(read, image.is_none()), as_text(read, video.is_none()));
    for (class, modality, usd) in [
        (input, Modality::Audio, audio.or_else(|| as_text(input, is_gemini))),
        (read, Modality::Audio, price(|set| set.cache_audio_read_mtok.as_ref())?.or(audio_read)),
        (output, Modality::Audio, price(|set| set.output_audio_mtok.as_ref())?.or(as_text(output, id.contains("tts")))),
        (input, Modality::Image, image.or_else(|| as_text(input, true))),
        (read, Modality::Image, price(|set| set.cache_image_read_mtok.as_ref())?.or(image_read)),
        (output, Modality::Image, price(|set| set.output_image_mtok.as_ref())?.or(as_text(output, is_painter(id)))),
        (input, Modality::Video, video.or_else(|| as_text(input, true))),
        (read, Modality::Video, video_read),
        (output, Modality::Video, price(|set| set.output_video_mtok.as_ref())?),
    ] {
        extras.set(class, modality, usd);
    }
    extras.web_searches = price(|set| set.web_searches_kcount.as_ref())?;
    extras.file_searches = price(|set| set.storage_searches_kcount.as_ref())?;
    Some(extras)
}

/// Whether a model outputs only images: `OpenAI`'s image models.
fn is_painter(id: &str) -> bool {
    id.starts_with("gpt-image") || id.starts_with("chatgpt-image")
}

/// Whether the price of a model changes within the day.
pub(super) fn changes_daily(provider: &str, name: &str) -> bool {
    let daily = |constraint: &Option<Constraint>| matches!(constraint, Some(Constraint::Daily { .. }));
    model(provider, name).is_some_and(|(model, _)| {
        let standard = model.prices.0.iter().any(|one| daily(&one.constraint));
        standard || model.price_variants.iter().any(|variant| daily(&variant.constraint))
    })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_price_file_has_its_stated_checksum() {
        let hash: [u8; 32] = Sha256::digest(JSON).into();
        assert_eq!(crate::merkle::Hash::from_bytes(hash).to_string(), SHA256);
        let note = include_str!("genai-prices/README.md");
        assert!(note.contains(SHA256) && note.contains(DATE));
    }

    #[test]
    fn every_provider_can_be_read() {
        let all: Vec<serde_json::Value> = serde_json::from_str(JSON).unwrap();
        for one in &all {
            let id = one["id"].as_str().unwrap();
            let read = provider(id).unwrap_or_else(|| panic!("{id} cannot be read"));
            let models = one["models"].as_array().unwrap();
            assert_eq!(read.models.len(), models.len());
            for (read, model) in read.models.iter().zip(models) {
                assert_eq!(read.id, model["id"].as_str().unwrap());
                let variants = model.get("price_variants").map_or(0, |variants| variants.as_array().unwrap().len());
                assert_eq!(read.read().unwrap().price_variants.len(), variants, "{id} {}", read.id);
            }
        }
        assert!(read_provider("claude-opus-4-5").is_none() && read_provider("").is_none());
        for (our_id, table_id) in NAMES {
            assert!(provider(table_id).is_some(), "{table_id}");
            assert!(crate::model::provider::CATALOGUE.iter().any(|known| known.id == our_id), "{our_id}");
        }
    }
}
