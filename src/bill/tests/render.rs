//! Writes statements of every shape.

use std::collections::BTreeMap;
use std::fmt::Write;

use rust_decimal::Decimal;

use super::corpus::{Billed, Plant};
use crate::model::time::{DAY, HOUR, Timestamp};
use crate::model::tokens::Usd;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    AnthropicUsage,
    /// Zoomed: rows are hours.
    AnthropicHours,
    AnthropicLegacy,
    /// Without groups: a row has all models.
    AnthropicSums,
    AnthropicAnalytics,
    AnthropicActors,
    AnthropicCost,
    AnthropicCostJson,
    OpenAiUsage,
    OpenAiUsageJson,
    OpenAiCost,
    OpenAiCostJson,
    /// Without groups: a row is the amount of a day.
    OpenAiCostSums,
    GitHub,
    CursorCsv,
    CursorJson,
    OpenRouterCsv,
    OpenRouterActivity,
    Generations,
    Cur,
    Focus,
    LiteLlm,
}

pub(super) const SHAPES: [Shape; 22] = [
    Shape::AnthropicUsage,
    Shape::AnthropicHours,
    Shape::AnthropicLegacy,
    Shape::AnthropicSums,
    Shape::AnthropicAnalytics,
    Shape::AnthropicActors,
    Shape::AnthropicCost,
    Shape::AnthropicCostJson,
    Shape::OpenAiUsage,
    Shape::OpenAiUsageJson,
    Shape::OpenAiCost,
    Shape::OpenAiCostJson,
    Shape::OpenAiCostSums,
    Shape::GitHub,
    Shape::CursorCsv,
    Shape::CursorJson,
    Shape::OpenRouterCsv,
    Shape::OpenRouterActivity,
    Shape::Generations,
    Shape::Cur,
    Shape::Focus,
    Shape::LiteLlm,
];

impl Shape {
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAiUsage
            | Self::OpenAiUsageJson
            | Self::OpenAiCost
            | Self::OpenAiCostJson
            | Self::OpenAiCostSums
            | Self::LiteLlm => "openai",
            Self::GitHub => "github-copilot",
            Self::CursorCsv | Self::CursorJson => "cursor",
            Self::OpenRouterCsv | Self::OpenRouterActivity | Self::Generations => "openrouter",
            Self::Cur | Self::Focus => "aws-bedrock",
            _ => "anthropic",
        }
    }

    /// The indices of the token classes that calls of the shape have.
    pub fn classes(self) -> &'static [usize] {
        match self {
            Self::AnthropicUsage
            | Self::AnthropicHours
            | Self::AnthropicLegacy
            | Self::AnthropicSums
            | Self::AnthropicAnalytics => &[0, 1, 2, 3, 5],
            _ => &[0, 1, 4, 5],
        }
    }

    pub fn has_ids(self) -> bool {
        matches!(self, Self::Generations | Self::LiteLlm)
    }

    pub fn has_money(self) -> bool {
        !matches!(
            self,
            Self::AnthropicUsage
                | Self::AnthropicHours
                | Self::AnthropicLegacy
                | Self::AnthropicSums
                | Self::AnthropicAnalytics
                | Self::AnthropicActors
                | Self::OpenAiUsage
                | Self::OpenAiUsageJson
        )
    }

    pub fn is_csv(self) -> bool {
        matches!(
            self,
            Self::AnthropicUsage
                | Self::AnthropicHours
                | Self::AnthropicCost
                | Self::OpenAiUsage
                | Self::OpenAiCost
                | Self::GitHub
                | Self::CursorCsv
                | Self::OpenRouterCsv
                | Self::Cur
                | Self::Focus
                | Self::LiteLlm
        )
    }

    pub fn plants(self) -> &'static [Plant] {
        use Plant::*;
        match self {
            Self::AnthropicUsage | Self::AnthropicHours | Self::AnthropicLegacy | Self::AnthropicAnalytics => {
                &[LostLog, SilentMachine, NamedMachine, Background, Telemetry, Border, Key, LeftOut, Lifetime]
            }
            Self::AnthropicSums => &[LostLog, SilentMachine, Background, Telemetry, Border, Lifetime],
            Self::AnthropicCost | Self::AnthropicCostJson => &[Background, Telemetry, Tier],
            Self::OpenAiCost | Self::OpenAiCostSums => &[Background, Telemetry],
            Self::OpenRouterCsv | Self::OpenRouterActivity | Self::OpenAiCostJson => {
                &[LostLog, SilentMachine, Background, Telemetry, Border]
            }
            Self::Generations => &[LostLog, SilentMachine, Background, Telemetry, Border, Tier],
            Self::Cur => &[LostLog, SilentMachine, NamedMachine, Background, Telemetry, Border, Key, Tier],
            Self::OpenAiUsage | Self::OpenAiUsageJson => {
                &[LostLog, SilentMachine, NamedMachine, Background, Telemetry, Border, Key, LeftOut]
            }
            _ => &[LostLog, SilentMachine, NamedMachine, Background, Telemetry, Border, Key],
        }
    }

    /// Whether rows name models.
    pub fn has_models(self) -> bool {
        !matches!(self, Self::AnthropicSums | Self::OpenAiCostSums)
    }

    /// The length of a bucket.
    fn length(self) -> i64 {
        if self == Self::AnthropicHours { HOUR } else { DAY }
    }

    /// Whether a row is one request.
    fn is_by_request(self) -> bool {
        matches!(self, Self::CursorCsv | Self::CursorJson | Self::Generations | Self::LiteLlm)
    }
}

fn date(day: i64) -> String {
    Timestamp::from_millis(day * DAY).to_string()[..10].to_owned()
}

/// The charge of a row in dollars.
fn usd(row: &Billed) -> Decimal {
    row.call.cost.unwrap().to_decimal() * row.factor
}

/// One row for each day, model, key and tier, or for each request.
fn grouped(shape: Shape, billed: &[Billed]) -> Vec<Billed> {
    let mut groups: BTreeMap<(i64, String, &str, &str, String), Billed> = BTreeMap::new();
    for one in billed {
        let id = if shape.is_by_request() { one.id.clone() } else { String::new() };
        let model = if shape.has_models() { one.call.model.clone() } else { String::new() };
        let key = (one.at.millis() / shape.length(), model, one.key, one.tier, id);
        match groups.get_mut(&key) {
            None => drop(groups.insert(key, one.clone())),
            Some(group) => {
                for (sum, count) in group.call.counts.iter_mut().zip(one.call.counts) {
                    *sum += count;
                }
                let sum = group.call.cost.unwrap().checked_add(one.call.cost.unwrap()).unwrap();
                group.call.cost = Some(sum);
            }
        }
    }
    groups.into_values().collect()
}

const HEADS: [(Shape, &str); 11] = [
    (
        Shape::AnthropicUsage,
        "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens",
    ),
    (
        Shape::AnthropicHours,
        "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens",
    ),
    (Shape::AnthropicCost, "usage_date_utc,model,usage_type,token_type,cost_usd"),
    (
        Shape::OpenAiUsage,
        "start_time,end_time,num_model_requests,api_key_id,model,input_tokens,output_tokens,input_cached_tokens,input_cache_write_tokens",
    ),
    (Shape::OpenAiCost, "start_time,end_time,amount_value,amount_currency,line_item"),
    (Shape::GitHub, "date,username,sku,model,net_amount,input,output,cache_read,cache_write"),
    (
        Shape::CursorCsv,
        "Date,User,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,Total Tokens,Cost",
    ),
    (Shape::OpenRouterCsv, "Date,Slug,Usage,BYOK Usage,Requests,Prompt Tokens,Completion Tokens,Reasoning Tokens"),
    (
        Shape::Cur,
        "line_item_usage_start_date,line_item_usage_end_date,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost,pricing_unit,line_item_iam_principal",
    ),
    (
        Shape::Focus,
        "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ChargeCategory,SkuMeter,ConsumedQuantity,ConsumedUnit,ServiceProviderName,SubAccountId",
    ),
    (
        Shape::LiteLlm,
        "request_id,startTime,model,custom_llm_provider,api_key,spend,prompt_tokens,completion_tokens,total_tokens",
    ),
];

pub(super) fn render(shape: Shape, billed: &[Billed]) -> String {
    let rows = grouped(shape, billed);
    if let Some((_, head)) = HEADS.iter().find(|(of, _)| *of == shape) {
        return format!("{head}\n{}", rows.iter().map(|row| csv(shape, row)).collect::<String>());
    }
    let items: Vec<String> = rows.iter().map(|row| json(shape, row)).collect();
    let items = items.join(",\n");
    match shape {
        Shape::CursorJson => format!("{{\"totalUsageEventsCount\":1,\"usageEvents\":[{items}]}}"),
        _ => format!("{{\"data\":[{items}],\"has_more\":false}}"),
    }
}

/// The amount of a class of a row, in proportion to its tokens.
fn part(row: &Billed, count: u64) -> Decimal {
    let sum: u64 = row.call.counts.iter().sum();
    (usd(row) * Decimal::from(count) / Decimal::from(sum)).normalize()
}

fn csv(shape: Shape, row: &Billed) -> String {
    let [input, read, w5, w1, writes, output, _] = row.call.counts;
    let day = row.at.millis() / DAY;
    let (start, end, key, model) = (date(day), date(day + 1), row.key, &row.call.model);
    let (from, to) = (day * 86_400, (day + 1) * 86_400);
    let classes = [
        ("input-tokens", input),
        ("cache-read-input-token-count", read),
        ("cache-write-input-token-count", writes),
        ("output-tokens", output),
    ];
    let mut text = String::new();
    match shape {
        Shape::AnthropicUsage => writeln!(text, "{start},{model},{key},{input},{w5},{w1},{read},{output}"),
        Shape::AnthropicHours => writeln!(text, "{start} {:02}:00,{model},{key},{input},{w5},{w1},{read},{output}", row.at.millis() % DAY / HOUR),
        Shape::AnthropicCost => {
            let tier = if row.tier.is_empty() { "standard" } else { row.tier };
            for (kind, count) in classes {
                writeln!(text, "{start},{model},{tier},{kind},{}", part(row, count).round_dp(2)).unwrap();
            }
            Ok(())
        }
        Shape::OpenAiUsage => writeln!(text, "{from},{to},1.0,{key},{model},{}.0,{output}.0,{read}.0,{writes}.0", input + read + writes),
        Shape::OpenAiCost => writeln!(text, "{from},{to},{},usd,{model}", usd(row)),
        Shape::GitHub => writeln!(text, "{start},{key},s,{model},{},{input},{output},{read},{writes}", usd(row)),
        Shape::CursorCsv => writeln!(text, "{},{key},On-Demand,{model},No,{writes},{input},{read},{output},{},{}", row.at, input + read + writes + output, usd(row).round_dp(2)),
        Shape::OpenRouterCsv => writeln!(text, "{start},{model},{},0,3,{},{output},0", usd(row), input + read + writes),
        Shape::Cur => {
            let tier = if row.tier.is_empty() { String::new() } else { format!("-{}", row.tier) };
            for (kind, count) in classes {
                let amount = Decimal::from(count) / Decimal::from(1_000);
                writeln!(text, "{start},{end},USE1-{model}-{kind}{tier},{amount},{},1K tokens,arn:aws:iam::1:user/{key}", part(row, count)).unwrap();
            }
            Ok(())
        }
        Shape::Focus => {
            for (kind, count) in classes {
                let amount = Decimal::from(count) / Decimal::from(1_000_000);
                writeln!(text, "{start}T00:00:00Z,{end}T00:00:00Z,{},USD,Usage,USE1-{model}-{kind},{amount},1M tokens,Amazon Web Services,{key}", part(row, count)).unwrap();
            }
            Ok(())
        }
        _ => writeln!(text, "{},{},{model},openai,{key},{},{},{output},{}", row.id, row.at, usd(row), input + read + writes, input + read + writes + output),
    }
    .unwrap();
    text
}

fn json(shape: Shape, row: &Billed) -> String {
    let [input, read, w5, w1, writes, output, _] = row.call.counts;
    let day = row.at.millis() / DAY;
    let (start, end, key, model) = (date(day), date(day + 1), row.key, &row.call.model);
    let (from, to) = (day * 86_400, (day + 1) * 86_400);
    let bucket = format!("\"starting_at\":\"{start}T00:00:00Z\",\"ending_at\":\"{end}T00:00:00Z\"");
    let cache = format!("\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{w5},\"ephemeral_1h_input_tokens\":{w1}}}");
    match shape {
        Shape::AnthropicLegacy => format!(
            "{{{bucket},\"results\":[{{\"uncached_input_tokens\":{input},{cache},\"cache_read_input_tokens\":{read},\"output_tokens\":{output},\"model\":\"{model}\",\"api_key_id\":\"{key}\",\"workspace_id\":null}}]}}"
        ),
        Shape::AnthropicSums => format!(
            "{{{bucket},\"results\":[{{\"uncached_input_tokens\":{input},{cache},\"cache_read_input_tokens\":{read},\"output_tokens\":{output},\"model\":null,\"api_key_id\":null,\"workspace_id\":null}}]}}"
        ),
        Shape::OpenAiCostSums => format!(
            "{{\"object\":\"bucket\",\"start_time\":{from},\"end_time\":{to},\"results\":[{{\"object\":\"x\",\"amount\":{{\"value\":\"{}\",\"currency\":\"usd\"}},\"line_item\":null,\"project_id\":null}}]}}",
            usd(row)
        ),
        Shape::AnthropicAnalytics => format!(
            "{{{bucket},\"group\":{{\"model\":\"{model}\",\"api_key_id\":\"{key}\"}},\"usage\":{{\"uncached_input_tokens\":{input},\"cache_read_input_tokens\":{read},{cache},\"output_tokens\":{output}}}}}"
        ),
        Shape::AnthropicActors => format!(
            "{{\"date\":\"{start}T00:00:00Z\",\"actor\":{{\"type\":\"user_actor\",\"email_address\":\"{key}\"}},\"core_metrics\":{{\"num_sessions\":1}},\"model_breakdown\":[{{\"model\":\"{model}\",\"tokens\":{{\"input\":{input},\"output\":{output},\"cache_read\":{read},\"cache_creation\":{writes}}},\"estimated_cost\":{{\"currency\":\"USD\",\"amount\":1}}}}]}}"
        ),
        Shape::AnthropicCostJson => format!(
            "{{{bucket},\"results\":[{{\"currency\":\"USD\",\"amount\":\"{}\",\"model\":\"{model}\",\"service_tier\":\"{}\"}}]}}",
            usd(row) * Decimal::from(100),
            row.tier
        ),
        Shape::OpenAiUsageJson => format!(
            "{{\"object\":\"bucket\",\"start_time\":{from},\"end_time\":{to},\"results\":[{{\"object\":\"x\",\"input_tokens\":{},\"output_tokens\":{output},\"input_cached_tokens\":{read},\"input_cache_write_tokens\":{writes},\"num_model_requests\":1,\"api_key_id\":\"{key}\",\"model\":\"{model}\"}}]}}",
            input + read + writes
        ),
        Shape::OpenAiCostJson => {
            let classes = [("input", input), ("cached input", read), ("cache write", writes), ("output", output)];
            let items = classes.map(|(kind, count)| format!("{{\"object\":\"x\",\"amount\":{{\"value\":{},\"currency\":\"usd\"}},\"line_item\":\"{model}, {kind}\",\"quantity\":{},\"quantity_unit\":\"1000_tokens\"}}", part(row, count), Decimal::from(count) / Decimal::from(1_000)));
            format!(
                "{{\"object\":\"bucket\",\"start_time\":{from},\"end_time\":{to},\"results\":[{}]}}",
                items.join(",")
            )
        }
        Shape::CursorJson => format!(
            "{{\"timestamp\":\"{}\",\"userEmail\":\"{key}\",\"model\":\"{model}\",\"kind\":\"Usage-based\",\"chargedCents\":{},\"tokenUsage\":{{\"inputTokens\":{input},\"outputTokens\":{output},\"cacheWriteTokens\":{writes},\"cacheReadTokens\":{read}}}}}",
            row.at.millis(),
            usd(row) * Decimal::from(100)
        ),
        Shape::OpenRouterActivity => format!(
            "{{\"date\":\"{start}\",\"model\":\"{model}\",\"endpoint_id\":\"e\",\"usage\":{},\"requests\":2,\"prompt_tokens\":{},\"completion_tokens\":{output},\"reasoning_tokens\":0}}",
            usd(row),
            input + read + writes
        ),
        _ => format!(
            "{{\"id\":\"{}\",\"created_at\":\"{}\",\"model\":\"{model}\",\"native_tokens_prompt\":{},\"native_tokens_cached\":{read},\"native_tokens_completion\":{output},\"total_cost\":{},\"service_tier\":\"{}\"}}",
            row.id,
            row.at,
            input + read + writes,
            usd(row),
            row.tier
        ),
    }
}

/// A sum of amounts, which tests compare with the difference of a row.
pub(super) fn sum(amounts: impl IntoIterator<Item = Usd>) -> Usd {
    amounts.into_iter().fold(Usd::default(), |sum, usd| sum.checked_add(usd).unwrap())
}
