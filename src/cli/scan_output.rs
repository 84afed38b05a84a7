//! `scan-output`: detects an exhausted quota in the output of an agent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::account_hint::account_hint;
use super::context::Context;
use super::record::hint;
use crate::api::input::StreamName;
use crate::api::scan::{ScanAnswer, ScannedRefusal};
use crate::ledger::Outcome;
use crate::model::error::Error;
use crate::model::humanize::duration::until_reset;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::clock::short;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer};
use crate::readers::exhaustion::reset::Reset;
use crate::readers::exhaustion::{Exhaustion, ScanVerdict, Stream, decode, detect, judge};

/// Bytes at the end of an output that are examined, because the cause of a failed run is there.
const TAIL: usize = 16 << 20;

/// Detect an exhausted quota in the output of an agent, on stdin
///
/// The command records an exhausted quota once, even if you scan the same output again. After the quota was open again, the
/// same words are recorded anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    claude -p … 2>errors.txt || usage-ledger scan-output claude --stream stderr --wait < errors.txt\n  \
    codex exec … > out.txt; usage-ledger scan-output codex --exit-code $? < out.txt\n  \
    codex exec … > out.txt 2> err.txt; usage-ledger scan-output codex --exit-code $? --stdout out.txt --stderr err.txt")]
pub(crate) struct ScanOutputArgs {
    /// The provider, or an alias such as claude or gemini
    provider: ProviderId,
    /// The stream of the agent; a transcript is the weakest evidence
    #[arg(long, value_enum, default_value_t)]
    stream: StreamName,
    /// Read the agent's output from this file instead of stdin
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    stdout: Option<PathBuf>,
    /// Read the agent's error stream from this file instead of stdin
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    stderr: Option<PathBuf>,
    /// The exit code of the agent; the output of a failed run is stronger evidence
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    exit_code: i32,
    /// The subscription or API key, if you have several
    #[arg(long)]
    account: Option<String>,
    /// The model of the run, for messages about "this model"
    #[arg(long)]
    model: Option<String>,
    /// The end of the run, from which relative reset times count [default: the time in the output, else now]
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    occurred_at: Option<Timestamp>,
    /// Print the result and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Exit 75 if the quota is exhausted
    #[arg(long)]
    wait: bool,
}

impl ScanOutputArgs {
    fn stream(&self) -> Stream {
        self.stream.of_run(self.exit_code)
    }

    /// Searches stdin or the given files for a sign of an exhausted quota.
    fn scan(&self, context: &Context) -> Result<Option<Exhaustion>, Failure> {
        for path in self.stdout.iter().chain(&self.stderr) {
            context.refuse_ledger(path)?;
        }
        let provider = self.provider.as_str();
        if self.stdout.is_none() && self.stderr.is_none() {
            let text = tail(&mut io::stdin().lock(), TAIL)
                .map_err(|source| Failure::Ledger(Error::Io { path: "stdin".into(), source }))?;
            return Ok(detect(provider, self.stream(), &text));
        }
        let (stdout, stderr) = (self.stdout.as_deref().map(captured), self.stderr.as_deref().map(captured));
        let read = |stream: &Option<io::Result<String>>| stream.as_ref().and_then(|text| text.as_ref().ok().cloned());
        match judge(provider, read(&stdout).as_deref(), read(&stderr).as_deref(), self.exit_code) {
            ScanVerdict::Exhausted(exhaustion) => Ok(Some(exhaustion)),
            ScanVerdict::NotExhausted => Ok(None),
            ScanVerdict::Unreliable => {
                let named = [(&self.stdout, stdout), (&self.stderr, stderr)];
                let why = named.iter().filter_map(|(path, text)| {
                    let error = text.as_ref()?.as_ref().err()?;
                    Some(format!("{}: {error}", path.as_deref()?.display()))
                });
                let why = why.collect::<Vec<_>>().join("; ");
                Err(Failure::usage(format!("no stream can be read, so nothing is known about the quota ({why})")))
            }
        }
    }
}

pub(crate) fn run(args: &ScanOutputArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("this command writes")?;
    let provider = args.provider.as_str();
    let Some(exhaustion) = args.scan(context)? else {
        if context.json {
            return JsonAnswer::new(ScanAnswer::none(provider)).write(out);
        }
        return Ok(writeln!(out, "{provider}: no sign of an exhausted quota")?);
    };
    let account = args.account.as_deref().filter(|account| !account.is_empty());
    let of_account = (&args.provider, account);
    let refusal = ScannedRefusal::new(
        of_account,
        &exhaustion,
        args.model.as_deref(),
        args.occurred_at,
        (context.now(), context.zone()),
    );
    if let Some(zone) = refusal.reset.as_ref().and_then(|reset| reset.unknown_zone.as_deref()) {
        print_message(&format!(
            "the reset names the zone {}, which is not known: the time is read without it",
            EscapedText(zone)
        ));
    }
    let outcome = if args.dry_run {
        None
    } else {
        match append(&refusal, provider, context) {
            Ok(outcome) => Some(outcome),
            // The answer is valid even if the ledger cannot record it.
            Err(Failure::Ledger(error @ (Error::ReadOnly { .. } | Error::DiskFull))) => {
                print_message(&format!("the refusal was not recorded: {error}"));
                None
            }
            Err(failure) => return Err(failure),
        }
    };
    if account.is_none() && matches!(outcome, Some(Outcome::Appended { .. })) {
        account_hint(&args.provider, &context.read()?)?;
    }
    if context.json {
        JsonAnswer::new(refusal.answer(outcome.map(|outcome| outcome.position().get()))).write(out)?;
    } else {
        let whose = refusal.model.map_or_else(|| provider.to_owned(), |model| format!("{provider}, {model}"));
        print(&whose, &exhaustion, refusal.reset.as_ref(), outcome, context, out)?;
    }
    if args.wait { Err(Failure::Wait) } else { Ok(()) }
}

fn print(
    whose: &str,
    exhaustion: &Exhaustion,
    reset: Option<&Reset>,
    outcome: Option<Outcome>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let until = match reset {
        Some(Reset { at: Some(at), .. }) => {
            let left = until_reset(at.millis().saturating_sub(context.now().millis()));
            format!(" until {}, in {left}", short(*at, context.zone()))
        }
        Some(reset) => format!(" ({})", EscapedText(&reset.display)),
        None => String::new(),
    };
    writeln!(out, "{}: the quota is used up{until}", EscapedText(whose))?;
    writeln!(out, "  {}: {}", exhaustion.rule, EscapedText(&exhaustion.excerpt))?;
    match outcome {
        Some(Outcome::Appended { position, .. }) => writeln!(out, "  recorded at position {position}")?,
        Some(Outcome::Existing { position, .. }) => {
            writeln!(out, "  already at position {position}; nothing was added")?;
        }
        None => writeln!(out, "  nothing was recorded")?,
    }
    Ok(())
}

fn append(refusal: &ScannedRefusal<'_>, provider: &str, context: &Context) -> Result<Outcome, Failure> {
    let ledger = context.write()?.source("cli");
    let outcome = refusal.append(&ledger, None, context.now())?;
    hint(provider, &ledger, context.now())?;
    Ok(outcome)
}

/// Reads the end of a stream from a file.
fn captured(path: &Path) -> io::Result<String> {
    tail(&mut File::open(path)?, TAIL)
}

/// Returns at most `most` bytes of the end of an input. If bytes were dropped, starts at a line.
fn tail(input: &mut dyn Read, most: usize) -> io::Result<String> {
    let (mut kept_bytes, mut head, mut cut) = (Vec::new(), Vec::new(), false);
    loop {
        // Buffer twice the size and drop the first half, so that each byte moves only once.
        let read = input.take(2 * most as u64 - kept_bytes.len() as u64).read_to_end(&mut kept_bytes)?;
        if head.is_empty() {
            head = kept_bytes.iter().take(4).copied().collect();
        }
        if kept_bytes.len() > most {
            // Drop an even number of bytes, because the text may be UTF-16.
            kept_bytes.drain(..(kept_bytes.len() - most).next_multiple_of(2));
            cut = true;
        }
        if read == 0 {
            break;
        }
    }
    let text = decode(&head, &kept_bytes);
    let without_first_line = text.split_once('\n').filter(|_| cut).map(|(_, lines)| lines.to_owned());
    Ok(without_first_line.unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_end_is_kept() {
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 40] {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let kept_bytes = tail(&mut text.as_bytes(), 8).unwrap();
            assert!(
                text.ends_with(&kept_bytes) && kept_bytes.len() <= 8 && kept_bytes.len() + 1 >= length.min(8),
                "{length}: {kept_bytes}"
            );
        }
        assert_eq!(tail(&mut &b"{\"cut\":\n{}"[..], 8).unwrap(), "{}", "the rest of a line is no line");
        let wide: Vec<u8> = "\u{feff}first\nlast".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(tail(&mut &wide[..], 16).unwrap(), "last");
        assert_eq!(tail(&mut &b"a\xff"[..], 8).unwrap(), "a\u{fffd}");
    }
}
