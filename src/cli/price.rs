//! `price`: shows prices and sets the user's own.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::amend_void::answer;
use super::context::Context;
use super::record::hint;
use super::record_flags::count;
use crate::model::event::{EventData, Payload, Position, PriceSet};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use crate::present::clock::Moment;
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer, grouped};
use crate::present::summary;
use crate::readers::price::PriceSource;

/// Show prices, or set your own price
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger price show anthropic claude-opus-4-5")]
pub(crate) struct PriceArgs {
    #[command(subcommand)]
    command: PriceCommand,
}

#[derive(Debug, Subcommand)]
enum PriceCommand {
    Set(Box<PriceSetArgs>),
    Show(PriceShowArgs),
    /// List your own prices and the built-in table
    #[command(after_help = "Example:\n  usage-ledger price list --json")]
    List,
}

/// Set the price of a model in US dollars per million tokens; `void` undoes it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger price set anthropic claude-opus-4-5 --input 4 --output 20 --cache-read 0.4 --from 2026-07-01\n  \
    usage-ledger price set google gemini-2.5-pro --above 200000 --input 2.5 --output 15\n  \
    usage-ledger price set ollama --input 0 --output 0")]
struct PriceSetArgs {
    /// The provider
    provider: ProviderId,
    /// Part of the model name; the longest matching name wins [default: all models]
    #[arg(default_value = "", hide_default_value = true)]
    model: String,
    /// Uncached input
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    input: Usd,
    /// Output
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    output: Usd,
    /// Input read from a cache [default: 0.1 times the input]
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    cache_read: Option<Usd>,
    /// Input written to a cache for five minutes [default: 1.25 times the input]
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    cache_write_5m: Option<Usd>,
    /// Input written to a cache for one hour [default: as for five minutes]
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    cache_write_1h: Option<Usd>,
    /// Reasoning [default: as output]
    #[arg(long, value_name = "USD", value_parser = Usd::exact)]
    reasoning: Option<Usd>,
    /// The time from which the price applies [default: always]
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// Only for prompts of more than this number of tokens
    #[arg(long, value_name = "N", value_parser = count)]
    above: Option<u64>,
    /// Only for calls of this service tier, such as batch, flex or priority
    #[arg(long, value_name = "TIER")]
    service_tier: Option<String>,
    /// The source of the price
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Show the price of a model and its source
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger price show anthropic claude-sonnet-4-5 --prompt 250000\n  \
    usage-ledger price show openai gpt-5.2 --at 2026-06-01")]
struct PriceShowArgs {
    /// The provider
    provider: ProviderId,
    /// The model, as records name it
    model: String,
    /// The time of the call [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// The number of tokens in the prompt
    #[arg(long, value_name = "N", value_parser = count, default_value = "0")]
    prompt: u64,
    /// The service tier of the call
    #[arg(long, value_name = "TIER")]
    service_tier: Option<String>,
}

pub(crate) fn run(args: PriceArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        PriceCommand::Set(args) => set(*args, context, out),
        PriceCommand::Show(args) => show(&args, context, out),
        PriceCommand::List => list(context, out),
    }
}

fn set(args: PriceSetArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let price = PriceSet {
        provider: args.provider,
        model: args.model,
        from: args.from.map(|from| from.resolve(context.zone(), now)),
        above: args.above,
        service_tier: args.service_tier,
        input: args.input,
        output: args.output,
        cache_read: args.cache_read,
        cache_write_5m: args.cache_write_5m,
        cache_write_1h: args.cache_write_1h,
        reasoning: args.reasoning,
        note: args.note,
    };
    price.validate()?;
    let ledger = context.write()?;
    let provider = price.provider.clone();
    let outcome = ledger.set_price(price, now)?;
    hint(provider.as_str(), &ledger, now)?;
    answer(&ledger, outcome, context, out)
}

/// A price and its origin.
#[derive(Serialize)]
struct PriceAnswer {
    provider: String,
    model: String,
    at: Timestamp,
    /// The model in the price table, or the name fragment of an own price.
    stated_for: Option<String>,
    /// The event that sets it.
    position: Option<Position>,
    /// US dollars per million tokens, by class.
    usd_per_million: serde_json::Map<String, serde_json::Value>,
    prices: PriceSource,
}

fn show(args: &PriceShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let at = args.at.map_or(now, |at| at.resolve(context.zone(), now));
    let prices = snapshot.prices()?;
    let quote = prices.quote(args.provider.as_str(), &args.model, at, args.service_tier.as_deref(), args.prompt);
    if context.json {
        let rates = quote.as_ref().map(|quote| quote.rates).unwrap_or_default();
        let by_class = TokenClass::ALL.into_iter().map(|class| {
            let usd = rates.of(class).map_or(serde_json::Value::Null, |usd| usd.to_string().into());
            (class.name().to_owned(), usd)
        });
        return JsonAnswer::new(PriceAnswer {
            provider: args.provider.as_str().to_owned(),
            model: args.model.clone(),
            at,
            stated_for: quote.as_ref().map(|quote| quote.stated_for.clone()),
            position: quote.as_ref().and_then(|quote| quote.position),
            usd_per_million: by_class.collect(),
            prices: prices.source(),
        })
        .write(out);
    }
    let Some(quote) = quote else {
        return Ok(writeln!(
            out,
            "no price of {} {} is known at {at}: `usage-ledger price set` states one",
            args.provider,
            EscapedText(&args.model)
        )?);
    };
    writeln!(out, "{} {} at {at}, US dollars for a million tokens", args.provider, EscapedText(&args.model))?;
    for class in TokenClass::ALL {
        let usd = quote.rates.of(class).map_or_else(|| "-".to_owned(), |usd| usd.to_string());
        writeln!(out, "  {:<15} {usd:>8}", class.name())?;
    }
    let source = prices.source();
    match quote.position {
        Some(position) => writeln!(out, "stated at position {position} for `{}`", EscapedText(&quote.stated_for))?,
        None => writeln!(out, "{}, `{}`", source_text(&source), EscapedText(&quote.stated_for))?,
    }
    Ok(())
}

/// Formats `genai-prices 0.2.1 of 2026-10-30 (sha256 36b2d46ee3f3…)`.
pub(crate) fn source_text(source: &PriceSource) -> String {
    let (Some(table), Some(published), Some(hash)) = (source.table, source.published, source.sha256) else {
        return "prices of your own".to_owned();
    };
    format!("{table} of {published} (sha256 {}…)", hash.get(..12).unwrap_or(hash))
}

/// The user's own prices.
#[derive(Serialize)]
struct PriceList {
    prices: PriceSource,
    own: Vec<CustomPriceRow>,
}

#[derive(Serialize)]
struct CustomPriceRow {
    position: Position,
    #[serde(flatten)]
    price: PriceSet,
}

fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let prices = snapshot.prices()?.source();
    let mut own = Vec::new();
    for position in &prices.custom {
        if let Payload::PriceSet(price) = snapshot.event(*position)?.payload {
            own.push(CustomPriceRow { position: *position, price });
        }
    }
    if context.json {
        return JsonAnswer::new(PriceList { prices, own }).write(out);
    }
    for one in &own {
        writeln!(out, "{:>6}  {}", grouped(one.position.get()), summary::summary(&one.price.clone().into()))?;
    }
    Ok(writeln!(out, "else {}", source_text(&prices))?)
}
