//! Texts about exhausted quotas, reset times and durations.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use usage_ledger::internals::exhaustion::{ScanVerdict, Stream, detect, judge, reset};
use usage_ledger::internals::humanize::duration::{countdown, parse_duration, retry_after, until_reset};
use usage_ledger::internals::resume_at;
use usage_ledger::time::{DAY, HOUR, MINUTE, SECOND};
use usage_ledger::{Timestamp, Zone};

use super::{Case, Checked, holds, same, unknown};

pub fn check(case: &Case) -> Checked {
    let checked = match case.area.as_str() {
        "quota_detection" => detection(case),
        "reset_time" => reset_time(case),
        "reset_extract" => reset_extract(case),
        "countdown" => countdown_text(case),
        _ => None,
    };
    checked.unwrap_or_else(|| unknown(case))
}

fn detection(case: &Case) -> Option<Checked> {
    let given = |key: &str| case.given.get(key).and_then(Value::as_str);
    // Without a provider the text belongs to an unknown one.
    let provider = given("provider").unwrap_or("unknown");
    let is_transcript = case.when.contains("transcript") || given("transcript").is_some();
    let Some(text) = given("text").or_else(|| given("transcript")) else { return both_streams(case, provider) };
    let on = |stream| detect(provider, stream, text);
    if let Some(wanted) = case.expect.as_bool() {
        let stream = match given("stream") {
            _ if is_transcript => Stream::Transcript,
            Some("stdout") if exit(case) == 0 => Stream::StdoutOk,
            Some("stdout") => Stream::StdoutFailed,
            _ => Stream::Stderr,
        };
        return Some(same(on(stream).is_some(), wanted));
    }
    let mut wrong = Vec::new();
    for (key, wanted) in case.expect.as_object()?.iter().filter(|(key, _)| !matches!(key.as_str(), "why" | "note")) {
        let stream = match key.as_str() {
            "stderr" => Stream::Stderr,
            "stdout_exit0" => Stream::StdoutOk,
            "stdout_exit1" => Stream::StdoutFailed,
            "transcript" => Stream::Transcript,
            _ => return None,
        };
        let actual = on(stream);
        if Some(actual.is_some()) != wanted.as_bool() {
            wrong.push(format!("{key}: wanted {wanted}, found {:?}", actual.map(|actual| actual.rule)));
        }
    }
    Some(holds(wrong.is_empty(), wrong.join("; ")))
}

fn exit(case: &Case) -> i32 {
    let code = ["exit", "exit_code"].iter().find_map(|name| case.given.get(*name)?.as_i64());
    code.and_then(|code| i32::try_from(code).ok()).unwrap_or(1)
}

/// The streams of a finished run, each of which may be missing or unreadable.
pub fn judged(case: &Case, provider: &str) -> ScanVerdict {
    let read = |name: &str| match case.given.get(name).and_then(Value::as_str) {
        Some("unreadable") => None,
        Some(text) => Some(text.to_owned()),
        // A missing stream is empty; only a marked one is unreadable.
        None => (case.given.get(name).is_none_or(|value| !value.is_null())).then(String::new),
    };
    judge(provider, read("stdout").as_deref(), read("stderr").as_deref(), exit(case))
}

fn both_streams(case: &Case, provider: &str) -> Option<Checked> {
    case.given.get("stdout").or_else(|| case.given.get("stderr"))?;
    let verdict = judged(case, provider);
    Some(match &case.expect {
        Value::Bool(wanted) => same(matches!(verdict, ScanVerdict::Exhausted(_)), *wanted),
        Value::Null => same(verdict, ScanVerdict::NotExhausted),
        Value::Number(code) => {
            let actual = match verdict {
                ScanVerdict::Exhausted(_) => 0,
                ScanVerdict::NotExhausted => 1,
                ScanVerdict::Unreliable => 2,
            };
            same(Some(actual), code.as_i64())
        }
        wanted if wanted.to_string().contains("unreliable") => same(verdict, ScanVerdict::Unreliable),
        wanted if wanted.to_string().contains("exhausted") => {
            let not = wanted.to_string().contains("not");
            same(matches!(verdict, ScanVerdict::Exhausted(_)), !not)
        }
        _ => return None,
    })
}

/// A time with its offset; without one it is in the host's zone, UTC.
fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

fn paris() -> Zone {
    "Europe/Paris".parse().unwrap()
}

/// The host's zone in the case, or else the one that the seed assumes.
fn host(case: &Case) -> Zone {
    if case.expect["unix"].to_string().contains("host time zone") { Zone::UTC } else { paris() }
}

fn reset_time(case: &Case) -> Option<Checked> {
    let text = case.given.get("text")?.as_str()?;
    let now = instant(case.given.get("now")?.as_str()?)?;
    let actual = reset::parse(text, now, host(case));
    Some(match at_and(case, actual.at, now)? {
        Checked::Passed => match case.expect.get("display").and_then(Value::as_str) {
            Some(display) => same(actual.display.as_str(), display),
            None => Checked::Passed,
        },
        other => other,
    })
}

fn reset_extract(case: &Case) -> Option<Checked> {
    let text = case.given.get("text")?.as_str()?;
    let now = instant(case.given.get("now")?.as_str()?)?;
    let actual = reset::find(text, now, host(case));
    if case.expect.is_null() {
        return Some(holds(actual.is_none(), format!("{actual:?}")));
    }
    Some(match at_and(case, actual.as_ref().and_then(|reset| reset.at), now)? {
        Checked::Passed => match case.expect.get("phrase") {
            Some(phrase) => {
                let actual = actual.map(|reset| reset.phrase).unwrap_or_default();
                same(actual.as_str(), phrase.as_str().unwrap_or_default())
            }
            None => Checked::Passed,
        },
        other => other,
    })
}

/// Compares the instant with the `unix` of a case: a number, nothing, or the wall clock of the host.
fn at_and(case: &Case, at: Option<Timestamp>, now: Timestamp) -> Option<Checked> {
    let Some(wanted) = case.expect.get("unix") else { return Some(Checked::Passed) };
    let actual = at.map(|at| at.millis() / SECOND);
    Some(match wanted {
        Value::Null => same(actual, None),
        Value::Number(unix) => same(actual, unix.as_i64()),
        Value::String(words) => {
            let (hours, minutes) = words.split_once(' ')?.0.split_once(':')?;
            let of_day = hours.parse::<i64>().ok()? * HOUR + minutes.parse::<i64>().ok()? * MINUTE;
            let at = at?;
            holds(
                at > now && at <= now.plus(DAY) && at.millis().rem_euclid(DAY) == of_day,
                format!("found {at}, {words}"),
            )
        }
        _ => return None,
    })
}

fn countdown_text(case: &Case) -> Option<Checked> {
    let number = |keys: &[&str]| keys.iter().find_map(|key| case.given.get(*key)?.as_f64());
    let start = case.given.get("session_start").and_then(Value::as_str);
    let (when, now) = (case.when.as_str(), case.given.get("now").and_then(Value::as_str).and_then(instant));
    if when.contains("pause") {
        return pause_time(start, case.expect.as_str()?);
    }
    let left = || {
        let until = ["resets_at", "reset_at", "reset"].iter().find_map(|key| match case.given.get(*key)? {
            Value::String(text) => instant(text),
            at => at.as_f64().map(|at| Timestamp::from_millis(millis(at, SECOND))),
        });
        let seconds = number(&["seconds", "seconds_left", "left"]).map(|seconds| millis(seconds, SECOND));
        let minutes = number(&["minutes", "minutes_left"]).map(|minutes| millis(minutes, MINUTE));
        let hours = number(&["hours", "hours_left"]).map(|hours| millis(hours, HOUR));
        seconds.or(minutes).or(hours).or_else(|| Some(until?.millis() - now?.millis()))
    };
    let text = if when.contains("retry-after") {
        retry_after(left()?)
    } else if when.contains("reset-parser") || when.contains("until") {
        until_reset(left()?)
    } else if when.contains("authoritative") {
        // A window whose end the provider does not state has none that is known.
        countdown(left())
    } else if when.contains("week") {
        super::windows::week_left(&case.given)?
    } else {
        return estimated_text(case, start, now);
    };
    Some(same(text.as_str(), case.expect.as_str()?))
}

/// The time left of a session that is estimated from its start.
fn estimated_text(case: &Case, start: Option<&str>, now: Option<Timestamp>) -> Option<Checked> {
    let number = |key: &str| case.given.get(key).and_then(Value::as_f64);
    let wanted = case.expect.as_str()?;
    let length = millis(number("window_hours").unwrap_or(5.0), HOUR);
    let elapsed = [("elapsed_seconds", SECOND), ("elapsed_minutes", MINUTE), ("elapsed_hours", HOUR)]
        .into_iter()
        .find_map(|(key, unit)| Some(millis(number(key)?, unit)));
    // A start that is no time has no end.
    let elapsed = elapsed.or_else(|| {
        let start = start.and_then(instant)?;
        Some(now.unwrap_or(start).millis() - start.millis())
    });
    let left = elapsed.map(|elapsed| length - elapsed);
    if elapsed.is_some_and(|elapsed| elapsed < 0) && parse_duration(wanted).is_some() {
        // The seed counts the hours up to the end of a window that opens in the future, where ours counts days. A better
        // answer is that such a window opens now.
        let actual = if case.conformance == "better" { Some(length) } else { left };
        return Some(same(actual, parse_duration(wanted)));
    }
    Some(same(countdown(left).as_str(), wanted))
}

#[allow(clippy::cast_precision_loss)]
fn millis(number: f64, unit: i64) -> i64 {
    (number * unit as f64).round() as i64
}

/// `now`, `now-2h`, `now+30m`, `now-4h59m59s` …
pub fn around(text: &str, now: Timestamp) -> Option<Timestamp> {
    let rest = text.trim().strip_prefix("now")?;
    let (sign, mut rest) = match rest.split_at_checked(1) {
        None => return Some(now),
        Some(("-", rest)) => (-1, rest),
        Some((_, rest)) => (1, rest),
    };
    let mut length = 0;
    while let Some(end) = rest.find(|char: char| !char.is_ascii_digit()) {
        let unit = match rest.as_bytes()[end] {
            b'd' => DAY,
            b'h' => HOUR,
            b'm' => MINUTE,
            b's' => SECOND,
            _ => return None,
        };
        length += rest[..end].parse::<i64>().ok()? * unit;
        rest = &rest[end + 1..];
    }
    rest.is_empty().then(|| now.plus(sign * length))
}

/// The time at which a budget pause of a session ends: ten minutes after its window, or five hours from now.
fn pause_time(start: Option<&str>, wanted: &str) -> Option<Checked> {
    let now: Timestamp = "2026-02-04T12:00:00Z".parse().ok()?;
    let ends = start.and_then(|start| around(start, now)).map(|start| start.plus(5 * HOUR));
    let resumes = resume_at(ends, now);
    let known = ends.is_some_and(|end| end > now);
    Some(same(if known { resumes.plus(-10 * MINUTE) } else { resumes }, around(wanted, now)?))
}
