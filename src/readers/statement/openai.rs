//! `OpenAI`: usage and costs, as CSV of the dashboard and as JSON of the API.
//!
//! `input_tokens` includes cached input and cache writes. CSV spells counts as floats (`59200.0`), and empty buckets
//! are rows without values. Costs are by day, and a line item is `MODEL, input` and the like.

use super::{Class, Draft, Name, Role, StatementSource};

pub(super) const USAGE: StatementSource = StatementSource {
    name: "an OpenAI usage export",
    provider: Some("openai"),
    signature: &["start_time", "input_tokens", "num_model_requests"],
    columns: &[
        ("start_time", Role::Start),
        ("end_time", Role::End),
        ("start_time_iso", Role::Ignored),
        ("end_time_iso", Role::Ignored),
        ("object", Role::Ignored),
        ("project_id", Role::Name(Name::Workspace)),
        ("num_model_requests", Role::Requests),
        ("user_id", Role::Name(Name::User)),
        ("api_key_id", Role::Name(Name::KeyId)),
        ("model", Role::Name(Name::Model)),
        ("batch", Role::Text("batch")),
        ("service_tier", Role::Name(Name::Tier)),
        ("input_tokens", Role::Raw("input")),
        ("output_tokens", Role::Count(Class::Output)),
        ("input_cached_tokens", Role::Raw("cached")),
        ("input_uncached_tokens", Role::Raw("uncached")),
        ("input_cache_write_tokens", Role::Raw("writes")),
        ("input_cache_write_30m_tokens", Role::Raw("writes_30m")),
        ("input_cache_write_12h_tokens", Role::Raw("writes_12h")),
        // Parts of the counts above.
        ("input_text_tokens", Role::Ignored),
        ("output_text_tokens", Role::Ignored),
        ("input_cached_text_tokens", Role::Ignored),
        ("input_audio_tokens", Role::Ignored),
        ("input_cached_audio_tokens", Role::Ignored),
        ("output_audio_tokens", Role::Ignored),
        ("input_image_tokens", Role::Ignored),
        ("input_cached_image_tokens", Role::Ignored),
        ("output_image_tokens", Role::Ignored),
        ("organization_id", Role::Name(Name::Organisation)),
        ("organization_name", Role::Ignored),
        ("project_name", Role::Ignored),
        ("api_key_name", Role::Ignored),
        ("user_email", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: usage,
};

/// Separates the input classes. The three parts must add up to the stated input.
fn usage(draft: &mut Draft) -> Result<bool, String> {
    let Some(input) = draft.raw.get("input").copied() else { return Ok(true) };
    // A column that the export lacks counts nothing: it has no cached input, or no cache writes.
    // A null in a column that the export has is an unknown count. Only the sum is known then.
    if ["cached", "writes", "writes_30m", "writes_12h"].iter().any(|name| draft.absent.contains(name)) {
        draft.row.counts.insert(Class::Prompt, input);
        set_batch(draft);
        return Ok(true);
    }
    let part = |name| draft.raw.get(name).copied().unwrap_or(0);
    let cached = part("cached");
    let lifetimes = part("writes_30m").checked_add(part("writes_12h")).ok_or("the cache writes are too many tokens")?;
    let writes = draft.raw.get("writes").copied().unwrap_or(lifetimes);
    let rest = input.checked_sub(cached).and_then(|rest| rest.checked_sub(writes)).ok_or_else(|| {
        format!("cached input {cached} and cache writes {writes} exceed `input_tokens` {input}: export the file again")
    })?;
    if let Some(uncached) = draft.raw.get("uncached").filter(|uncached| **uncached != rest) {
        return Err(format!("`input_uncached_tokens` {uncached} is not the rest of `input_tokens`, {rest}"));
    }
    draft.row.counts.insert(Class::Input, rest);
    draft.row.counts.insert(Class::CacheRead, cached);
    draft.row.counts.insert(Class::CacheWrites, writes);
    set_batch(draft);
    Ok(true)
}

fn set_batch(draft: &mut Draft) {
    if draft.texts.get("batch").is_some_and(|batch| batch.eq_ignore_ascii_case("true")) {
        draft.row.names.insert(Name::Tier, "batch".to_owned());
    }
}

pub(super) const COST_CSV: StatementSource = StatementSource {
    name: "the OpenAI cost CSV",
    provider: Some("openai"),
    signature: &["start_time", "amount_value", "line_item"],
    columns: &[
        ("start_time", Role::Start),
        ("end_time", Role::End),
        ("start_time_iso", Role::Ignored),
        ("end_time_iso", Role::Ignored),
        ("amount_value", Role::Cost(1)),
        ("amount_currency", Role::Currency),
        ("line_item", Role::Text("line_item")),
        ("project_id", Role::Name(Name::Workspace)),
        ("project_name", Role::Ignored),
        ("organization_id", Role::Name(Name::Organisation)),
        ("organization_name", Role::Ignored),
        ("user_id", Role::Name(Name::User)),
        ("user_email", Role::Ignored),
        ("api_key_id", Role::Name(Name::KeyId)),
    ],
    step: 0,
    unnamed: &[],
    finish: line_item,
};

pub(super) const COST_JSON: StatementSource = StatementSource {
    name: "the OpenAI costs of the API",
    provider: Some("openai"),
    signature: &["start_time", "amount.value"],
    columns: &[
        ("start_time", Role::Start),
        ("end_time", Role::End),
        ("start_time_iso", Role::Ignored),
        ("end_time_iso", Role::Ignored),
        ("object", Role::Ignored),
        ("amount.value", Role::Cost(1)),
        ("amount.currency", Role::Currency),
        ("line_item", Role::Text("line_item")),
        ("quantity", Role::Text("quantity")),
        ("quantity_unit", Role::Text("unit")),
        ("project_id", Role::Name(Name::Workspace)),
        ("project_name", Role::Ignored),
        ("organization_id", Role::Name(Name::Organisation)),
        ("organization_name", Role::Ignored),
        ("user_id", Role::Name(Name::User)),
        ("api_key_id", Role::Name(Name::KeyId)),
    ],
    step: 0,
    unnamed: &[],
    finish: line_item,
};

fn line_item(draft: &mut Draft) -> Result<bool, String> {
    let Some(item) = draft.texts.get("line_item") else { return Ok(true) };
    let Some((model, what)) = item.rsplit_once(',') else {
        draft.row.names.insert(Name::Model, item.clone());
        return Ok(true);
    };
    draft.row.names.insert(Name::Model, model.trim().to_owned());
    if let (Some(class), Some(quantity)) = (Class::named(what), draft.texts.get("quantity")) {
        let unit = draft.texts.get("unit").map_or("tokens", String::as_str);
        let size =
            super::field::unit_size(unit).ok_or_else(|| format!("column `quantity_unit`: `{unit}` is unknown"))?;
        draft.row.counts.insert(class, super::field::count(quantity, size)?);
    }
    Ok(true)
}
