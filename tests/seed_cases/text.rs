//! What texts say: quota used up, until when, how long that is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::Value;
use usage_ledger::exhaustion::{ScanVerdict, Stream, detect, judge, reset};
use usage_ledger::humanize::duration::{countdown, retry_after, until_reset};
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
    // Without a provider the text is nobody's in particular.
    let provider = given("provider").unwrap_or("unknown");
    if let Some(text) = given("text") {
        let on = |stream| detect(provider, stream, text).is_some();
        if let Some(wanted) = case.expect.as_bool() {
            return case.when.contains("transcript").then(|| same(on(Stream::Transcript), wanted));
        }
        let wanted = case.expect.as_object()?;
        let mut wrong = Vec::new();
        for (key, wanted) in wanted {
            let stream = match key.as_str() {
                "stderr" => Stream::Stderr,
                "stdout_exit0" => Stream::StdoutOk,
                "stdout_exit1" => Stream::StdoutFailed,
                "transcript" => Stream::Transcript,
                _ => return None,
            };
            if Some(on(stream)) != wanted.as_bool() {
                let rule = detect(provider, stream, text).map(|found| found.rule);
                wrong.push(format!("{key}: wanted {wanted}, found {rule:?}"));
            }
        }
        return Some(holds(wrong.is_empty(), wrong.join("; ")));
    }
    let exit = case.given.get("exit").or_else(|| case.given.get("exit_code")).and_then(Value::as_i64).unwrap_or(1);
    let unreadable = case.given.to_string().contains("unreadable");
    let read = |key| given(key).or(if unreadable { None } else { Some("") });
    let verdict = judge(provider, read("stdout"), read("stderr"), i32::try_from(exit).ok()?);
    Some(match &case.expect {
        Value::Bool(wanted) => same(matches!(verdict, ScanVerdict::Exhausted(_)), *wanted),
        wanted if wanted.to_string().contains("unreliable") => same(verdict, ScanVerdict::Unreliable),
        Value::Number(code) => {
            let found = match verdict {
                ScanVerdict::Exhausted(_) => 0,
                ScanVerdict::NotExhausted => 1,
                ScanVerdict::Unreliable => 2,
            };
            same(Some(found), code.as_i64())
        }
        _ => return None,
    })
}

/// A time with its offset; one without is the host's, which is in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

fn paris() -> Zone {
    "Europe/Paris".parse().unwrap()
}

/// The host's zone where the case tells of it, else the one that the seed takes for granted.
fn host(case: &Case) -> Zone {
    if case.expect["unix"].to_string().contains("host time zone") { Zone::UTC } else { paris() }
}

fn reset_time(case: &Case) -> Option<Checked> {
    let text = case.given.get("text")?.as_str()?;
    let now = instant(case.given.get("now")?.as_str()?)?;
    let found = reset::parse(text, now, host(case));
    Some(match at_and(case, found.at, now)? {
        Checked::Passed => match case.expect.get("display").and_then(Value::as_str) {
            Some(display) => same(found.display.as_str(), display),
            None => Checked::Passed,
        },
        other => other,
    })
}

fn reset_extract(case: &Case) -> Option<Checked> {
    let text = case.given.get("text")?.as_str()?;
    let now = instant(case.given.get("now")?.as_str()?)?;
    let found = reset::find(text, now, host(case));
    Some(match at_and(case, found.as_ref().and_then(|reset| reset.at), now)? {
        Checked::Passed => match case.expect.get("phrase") {
            Some(phrase) => {
                let found = found.map(|reset| reset.phrase).unwrap_or_default();
                same(found.as_str(), phrase.as_str().unwrap_or_default())
            }
            None => Checked::Passed,
        },
        other => other,
    })
}

/// Compares the instant with the `unix` of a case: a number, nothing, or the wall clock of the host.
fn at_and(case: &Case, at: Option<Timestamp>, now: Timestamp) -> Option<Checked> {
    let Some(wanted) = case.expect.get("unix") else { return Some(Checked::Passed) };
    let found = at.map(|at| at.millis() / SECOND);
    Some(match wanted {
        Value::Null => same(found, None),
        Value::Number(unix) => same(found, unix.as_i64()),
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
    let number = |key: &str| case.given.get(key).and_then(Value::as_f64);
    let start = case.given.get("session_start").and_then(Value::as_str);
    if case.when.starts_with("timestamp used for a budget pause") {
        return pause_time(start?, case.expect.as_str()?);
    }
    let text = if case.when.starts_with("retry-after") {
        retry_after(millis(number("seconds")?, SECOND))
    } else if case.when.starts_with("reset-parser") {
        until_reset(millis(number("seconds_left")?, SECOND))
    } else if case.when.starts_with("authoritative") {
        countdown(Some(millis(number("seconds_left")?, SECOND)))
    } else if case.when.starts_with("estimator") {
        let left = match number("elapsed_minutes") {
            Some(elapsed) => Some(millis(number("window_hours")?, HOUR) - millis(elapsed, MINUTE)),
            // Here the start is given, and a start that is no time has no end.
            None => start.and_then(instant).map(|_| 0),
        };
        countdown(left)
    } else {
        return None;
    };
    Some(same(text.as_str(), case.expect.as_str()?))
}

#[allow(clippy::cast_precision_loss)]
fn millis(number: f64, unit: i64) -> i64 {
    (number * unit as f64).round() as i64
}

/// `now`, `now-2h`, `now+30m` …
fn around(text: &str, now: Timestamp) -> Option<Timestamp> {
    let rest = text.strip_prefix("now")?;
    if rest.is_empty() {
        return Some(now);
    }
    let length = usage_ledger::humanize::duration::parse_duration(rest.get(1..)?)?;
    Some(now.plus(if rest.starts_with('-') { -length } else { length }))
}

fn pause_time(start: &str, wanted: &str) -> Option<Checked> {
    let now: Timestamp = "2026-02-04T12:00:00Z".parse().ok()?;
    let ends = around(start, now).map(|start| start.plus(5 * HOUR));
    Some(same(reset::pause_until(ends, now), around(wanted, now)?))
}
