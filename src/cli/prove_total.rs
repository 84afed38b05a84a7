//! `prove total`: proves what one project used in a sealed period, and checks such a proof.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use chrono::{Datelike, Months};
use clap::{ArgGroup, Args};
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::key_file;
use crate::merkle::{Note, ProvenTotal, SealedRow, SealedSums, SealedTotal, TotalProofText, Verifier};
use crate::model::error::Error;
use crate::model::humanize::number::grouped;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::TokenClass;
use crate::present::clock::Moment;
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer, counted};
use crate::report::{ReportKey, TotalRequest};

/// Prove what one project used in a sealed period, without showing other projects
///
/// The proof shows the number of calls, the sums, and a row for each day, provider, account and model. It needs the key
/// that signed the seal. The recipient checks it with `prove check`, or with tests/verify.py, and the public key.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("whose").required(true).args(["project", "account", "provider", "agent", "label"]),
    after_help = "Examples:\n  \
    usage-ledger prove total --project acme --period 2026-05 > acme.proof\n  \
    usage-ledger prove total --project acme --only day=2026-05-10 > one-day.proof\n  \
    usage-ledger prove total --label customer=acme --without-rows > acme.proof\n  \
    usage-ledger prove check acme.proof --verifier verifier.pub"
)]
pub(crate) struct TotalArgs {
    /// The project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// The account, if the period was sealed with --rows-by account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The provider, if the period was sealed with --rows-by provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The agent, if the period was sealed with --rows-by agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// The value of a label, if the period was sealed with --rows-by label:NAME
    #[arg(long, value_name = "NAME=VALUE")]
    label: Option<String>,
    /// The period: a month (2026-05), a day, or two times (2026-05-01..2026-06-01) [default: that of the last seal]
    #[arg(long, value_name = "PERIOD")]
    period: Option<String>,
    /// Show only the rows with this day, provider, account, model or project; repeat it for several conditions
    #[arg(long, value_name = "KEY=VALUE")]
    only: Vec<String>,
    /// Show the total alone
    #[arg(long, conflicts_with = "only")]
    without_rows: bool,
    /// The key that signed the seal [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl TotalArgs {
    fn request(&self, context: &Context) -> Result<TotalRequest, Failure> {
        let (key, name) = match (&self.project, &self.account, &self.provider, &self.agent, &self.label) {
            (Some(name), ..) => (ReportKey::Project, name.clone()),
            (_, Some(name), ..) => (ReportKey::Account, name.clone()),
            (_, _, Some(name), ..) => (ReportKey::Provider, name.clone()),
            (_, _, _, Some(name), _) => (ReportKey::Agent, name.clone()),
            (.., Some(label)) => {
                let (label, value) = pair(label, "--label")?;
                (ReportKey::Label(label.to_owned()), value.to_owned())
            }
            _ => return Err(Failure::usage("name whose total to prove, such as --project NAME")),
        };
        let mut request = TotalRequest::of(key, name);
        if let Some(text) = &self.period {
            request = request.period(period(text, context.zone(), context.now())?);
        }
        for text in &self.only {
            let (key, value) = pair(text, "--only")?;
            request = request.only(key.parse()?, value)?;
        }
        Ok(if self.without_rows { request.without_rows() } else { request })
    }
}

fn pair<'t>(text: &'t str, flag: &str) -> Result<(&'t str, &'t str), Failure> {
    text.split_once('=').ok_or_else(|| Failure::usage(format!("{flag} is written NAME=VALUE, not `{text}`")))
}

/// The first instant of a period, and the first instant after it.
pub(crate) fn period(text: &str, zone: Zone, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let at = |text: &str| Ok::<_, Error>(text.parse::<Moment>()?.resolve(zone, now));
    if let Some((from, until)) = text.split_once("..") {
        return Ok((at(from)?, at(until)?));
    }
    let end = match (text.len(), text.parse::<Moment>()?) {
        (7, Moment::Month(day)) => day.checked_add_months(Months::new(1)),
        (10, Moment::Day(day)) => day.succ_opt(),
        _ => None,
    };
    let end = end.filter(|end| end.year() < 2200).ok_or_else(|| {
        Failure::usage(format!("`{text}` is no period: write a month (2026-05), a day (2026-05-10) or FROM..UNTIL"))
    })?;
    Ok((at(text)?, zone.start_of_day(end)))
}

pub(crate) fn run(args: &TotalArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a proof is of a seal, which states its own position")?;
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let request = args.request(context)?;
    let proof = context.read_existing()?.prove_total(&request, &signer, context.now())?;
    if context.json {
        let proven = proof.verify(signer.verifier())?;
        return JsonAnswer::new(ProvenAnswer { proof: Some(proof.to_string()), ..ProvenAnswer::new(&proven)? })
            .write(out);
    }
    Ok(write!(out, "{proof}")?)
}

/// The content of a valid proof.
#[derive(Serialize)]
struct ProvenAnswer<'p> {
    ok: bool,
    by: &'p str,
    period: &'p str,
    total: &'p SealedTotal,
    rows: &'p [SealedRow],
    /// The sums of the rows, by month, if all rows are shown.
    months: BTreeMap<&'p str, SealedSums>,
    origin: &'p str,
    size: u64,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

impl<'p> ProvenAnswer<'p> {
    fn new(proven: &'p ProvenTotal) -> Result<Self, Error> {
        let mut months: BTreeMap<&str, SealedSums> = BTreeMap::new();
        if proven.rows.len() as u64 == proven.total.rows {
            for row in &proven.rows {
                let month = row.day.get(..7).unwrap_or(&row.day);
                months.entry(month).or_default().add(&row.sums)?;
            }
        }
        Ok(Self {
            ok: true,
            by: &proven.by,
            period: &proven.period,
            total: &proven.total,
            rows: &proven.rows,
            months,
            origin: proven.checkpoint.origin(),
            size: proven.checkpoint.size(),
            root: proven.checkpoint.root().to_string(),
            proof: None,
        })
    }
}

/// Checks a proof of a total, and prints what it shows.
pub(crate) fn check(
    text: &str,
    verifiers: &[Verifier],
    seal: Option<&PathBuf>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let proof: TotalProofText = text.parse()?;
    if let Some(path) = seal {
        let kept: Note = checkpoint::read(path, context)?.note;
        if kept.text() != proof.seal().text() {
            let what = format!("the proof is of another seal than {}", path.display());
            return Err(Error::unproven(what).into());
        }
    }
    let mut proven = Err(Error::unproven("there is no key to check it with"));
    for verifier in verifiers {
        proven = proof.verify(verifier);
        if proven.is_ok() {
            break;
        }
    }
    let proven = proven?;
    let answer = ProvenAnswer::new(&proven)?;
    if context.json {
        return JsonAnswer::new(answer).write(out);
    }
    let name = proven.total.name.as_deref().unwrap_or("(no value)");
    writeln!(out, "ok: {} {}: {}", EscapedText(&proven.by), EscapedText(name), sums(&proven.total.sums))?;
    writeln!(
        out,
        "of the period {}, sealed by {} over {}, root {}",
        proven.period,
        proven.checkpoint.origin(),
        counted(proven.checkpoint.size(), "event"),
        proven.checkpoint.root()
    )?;
    if answer.months.len() > 1 {
        for (month, of_month) in &answer.months {
            writeln!(out, "{month}: {}", sums(of_month))?;
        }
    }
    for row in &sorted(&proven.rows) {
        let names = [Some(&row.day), Some(&row.provider), row.account.as_ref(), row.model.as_ref()];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        writeln!(out, "{}: {}", EscapedText(&names.join(" ")), sums(&row.sums))?;
    }
    let shown = proven.rows.len() as u64;
    match (shown, proven.total.rows) {
        (0, rows) => writeln!(out, "shows none of its {}", counted(rows, "row"))?,
        (shown, rows) if shown == rows => writeln!(out, "shows all of its {}", counted(rows, "row"))?,
        (shown, rows) => writeln!(out, "shows {shown} of its {}: {}", counted(rows, "row"), sums(&proven.shown))?,
    }
    Ok(())
}

fn sorted(rows: &[SealedRow]) -> Vec<&SealedRow> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (&row.day, &row.provider, &row.account, &row.model, &row.project));
    rows
}

/// Formats `3 requests, input 1,200, output 40, reported cost 0.25 USD`.
fn sums(sums: &SealedSums) -> String {
    let mut parts = vec![counted(sums.requests, "request")];
    parts.extend(
        TokenClass::ALL
            .iter()
            .zip(sums.tokens)
            .filter(|(_, count)| *count > 0)
            .map(|(class, count)| format!("{} {}", class.name(), grouped(count))),
    );
    parts.extend(sums.reported_usd.map(|usd| format!("reported cost {usd} USD")));
    parts.join(", ")
}
