use super::*;

const NOW: &str = "2026-02-04T12:00:00Z"; // a Wednesday

fn at(text: &str, now: &str, zone: &str) -> Option<String> {
    let reset = find(text, now.parse().unwrap(), zone.parse().unwrap())?;
    reset.at.map(|at| at.to_string().replace(":00.000Z", "Z"))
}

#[test]
fn every_form_of_a_reset_is_read() {
    for (text, wanted) in [
        ("resets 10am", "2026-02-05T10:00Z"),
        ("resets at 10 PM", "2026-02-04T22:00Z"),
        ("resets 8:40 a.m.", "2026-02-05T08:40Z"),
        ("resets 18:00 (UTC)", "2026-02-04T18:00Z"),
        ("resets 12pm", "2026-02-05T12:00Z"),
        ("resets 12am", "2026-02-05T00:00Z"),
        ("resets 10am UTC", "2026-02-05T10:00Z"),
        ("resets 10am (utc)", "2026-02-05T10:00Z"),
        ("Reset time: 3pm UTC", "2026-02-04T15:00Z"),
        ("resets Feb 5, 10am", "2026-02-05T10:00Z"),
        ("resets February 5th at 10:30am", "2026-02-05T10:30Z"),
        ("resets on 5 Feb at 10:30", "2026-02-05T10:30Z"),
        ("resets Jan 1 at 10am", "2027-01-01T10:00Z"),
        ("resets Jan 1, 2028 at 10am", "2028-01-01T10:00Z"),
        ("resets Feb 29 at 10am", "2028-02-29T10:00Z"),
        ("resets Mon, Feb 9 at 10am", "2026-02-09T10:00Z"),
        ("resets tomorrow at 10am", "2026-02-05T10:00Z"),
        ("resets today at 5pm", "2026-02-04T17:00Z"),
        ("resets Wed 1pm", "2026-02-04T13:00Z"),
        ("resets Wednesday at 11am", "2026-02-11T11:00Z"),
        ("resets in 3h", "2026-02-04T15:00Z"),
        ("resets in 1h30m", "2026-02-04T13:30Z"),
        ("resets in 2 days, 3 hours and 5 minutes", "2026-02-06T15:05Z"),
        ("resets in an hour", "2026-02-04T13:00Z"),
        ("limit will reset at 7pm (Asia/Tokyo).", "2026-02-05T10:00Z"),
        ("resets 2026-02-05T10:00:00+01:00", "2026-02-05T09:00Z"),
        ("resets_at: 2026-02-05 10:00 (Europe/Paris)", "2026-02-05T09:00Z"),
        (r#"{"resets_at":"2026-02-05T10:00:00Z"}"#, "2026-02-05T10:00Z"),
        (r#"{"resets_at":1770300000}"#, "2026-02-05T14:00Z"),
        ("resetsAt 1770300000000", "2026-02-05T14:00Z"),
        ("resetsAt 1000000000", "2001-09-09T01:46:40.000Z"),
        ("Claude AI usage limit reached|1770300000", "2026-02-05T14:00Z"),
        ("anthropic-ratelimit-unified-reset: 1770300000", "2026-02-05T14:00Z"),
        (r#""resets_in_seconds": 90000"#, "2026-02-05T13:00Z"),
        ("Retry-After: 300", "2026-02-04T12:05Z"),
        ("Retry-After: 0", "2026-02-04T17:00Z"),
        ("Retry-After: -3", "2026-02-04T17:00Z"),
        ("retry-after-ms: 60000", "2026-02-04T12:01Z"),
        ("Retry-After: Wed, 04 Feb 2026 13:00:00 GMT", "2026-02-04T13:00Z"),
        ("please retry after 120 seconds", "2026-02-04T12:02Z"),
        // No quota window in hours lasts for years.
        ("try again in 99999 hours", "2026-02-05T12:00Z"),
        ("try again in 51 hours", "2026-02-06T15:00Z"),
        ("Please wait a moment and try again in 384495s.", "2026-02-08T22:48:15.000Z"),
        ("try again in 3d 4h", "2026-02-07T16:00Z"),
        ("try again in 2 weeks", "2026-02-18T12:00Z"),
        ("retry in 6 days 23 hours 59 minutes", "2026-02-11T11:59Z"),
        (r#"retryDelay": "PT1H30M""#, "2026-02-04T13:30Z"),
        ("resets in P2DT3H", "2026-02-06T15:00Z"),
        (r#""quotaResetDelay":"8h44m7s""#, "2026-02-04T20:44:07.000Z"),
        ("come back in 3h 47m", "2026-02-04T15:47Z"),
        ("try again in 90000 milliseconds", "2026-02-04T12:01:30.000Z"),
        ("try again in 1.5 hours", "2026-02-04T13:30Z"),
        ("try again in 3 days", "2026-02-07T12:00Z"),
        (r#""retryDelay": "60s""#, "2026-02-04T12:01Z"),
        ("try again at 3:05 PM", "2026-02-04T15:05Z"),
        ("he resets the counter; it resets 3pm", "2026-02-04T15:00Z"),
        ("resets 3pm (GMT-3)", "2026-02-04T18:00Z"),
        ("resets 3pm (UTC+5:30)", "2026-02-05T09:30Z"),
        ("resets 3pm +05:30", "2026-02-05T09:30Z"),
        ("resets 3pm (+0530)", "2026-02-05T09:30Z"),
        ("resets 3pm PDT", "2026-02-04T22:00Z"),
        ("resets at 3:00 PM PST", "2026-02-04T23:00Z"),
        ("resets 3pm Pacific Time", "2026-02-04T23:00Z"),
        ("resets at midnight Pacific", "2026-02-05T08:00Z"),
        ("resets at noon (CET)", "2026-02-05T11:00Z"),
        ("resets 10am IST", "2026-02-05T04:30Z"),
        ("resets 10am (america/new_york)", "2026-02-04T15:00Z"),
        ("resets 10am (America/Argentina/Buenos_Aires)", "2026-02-04T13:00Z"),
        ("resets at 2026-02-06 00:35:41 UTC+8", "2026-02-05T16:35:41.000Z"),
        ("resets at 2026-02-06 3:05 PM EST", "2026-02-06T20:05Z"),
        ("You will regain access on 2026-03-01 at 00:00 UTC.", "2026-03-01T00:00Z"),
        ("You will regain access on 2026-03-01.", "2026-03-01T00:00Z"),
        ("您的限额将在 2026-02-25 07:41:44 重置。", "2026-02-25T07:41:44.000Z"),
        ("your limit to reset on April 20, 2026 at 2:00 AM", "2026-04-20T02:00Z"),
        ("Your rate limit resets on Apr 19, 2026, 12:08 AM.", "2026-04-19T00:08Z"),
        ("try again at Feb 28th, 2026 4:13 PM.", "2026-02-28T16:13Z"),
        ("resets 3pm on Feb 6", "2026-02-06T15:00Z"),
        ("resets 3pm tomorrow", "2026-02-05T15:00Z"),
        ("resets 3pm EST on Friday", "2026-02-06T20:00Z"),
        ("resets Feb 6", "2026-02-06T00:00Z"),
        ("resets on Monday", "2026-02-09T00:00Z"),
        ("resets Feb 3", "2027-02-03T00:00Z"),
        ("resets 2026/02/06 10:00", "2026-02-06T10:00Z"),
        (r#""quotaResetTimeStamp":"2026-02-05T10:00:00Z""#, "2026-02-05T10:00Z"),
        ("resets Feb 30 at 10am. Retry-After: 60", "2026-02-04T12:01Z"),
    ] {
        assert_eq!(at(text, NOW, "UTC").as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn impossible_resets_are_refused() {
    for text in [
        "resets 13pm",
        "resets 0am",
        "resets 25:00",
        "resets 12:60pm",
        "resets 10",
        "resets 10 minutes",
        "resets 10amber",
        "resets Feb 30 at 10am",
        "resets Feb 3, 2026 at 10am",
        "resets today at 11am",
        // A date without a year that passed lately is not one of the next year.
        "resets Feb 4 at 11:59am",
        "resets Feb 3 at 12:30pm",
        "resets 2/4",
        "resets 2026-02-04T10:00:00Z",
        "resets in 0m",
        "resets in 999999999 days",
        "resets soon",
        "nothing at all",
    ] {
        assert_eq!(at(text, NOW, "UTC"), None, "{text}");
    }
}

#[test]
fn a_reset_that_has_just_passed_is_not_the_next_one() {
    for (text, now, wanted) in [
        ("weekly limit · resets Nov 23 at 9pm (UTC)", "2026-11-23T21:00:20Z", None),
        ("weekly limit · resets Dec 31 at 11pm (UTC)", "2027-01-01T08:00:00Z", None),
        ("weekly limit · resets Jan 2 at 11pm (UTC)", "2026-12-31T08:00:00Z", Some("2027-01-02T23:00Z")),
        ("resets Wed 9am", "2026-02-04T09:09:59Z", None),
        ("resets Wed 9am", "2026-02-04T09:10:00Z", Some("2026-02-11T09:00Z")),
        ("resets Tue 11:59pm", "2026-02-04T00:00:20Z", None),
        ("resets on Wednesday", "2026-02-04T00:00:20Z", None),
        // A time of day alone may be one of a day or of a week.
        ("You've hit your limit · resets 9am", "2026-02-04T09:00:20Z", Some("2026-02-05T09:00Z")),
        ("You've hit your session limit · resets 9am", "2026-02-04T09:00:20Z", None),
        ("5-hour limit reached ∙ resets 11:59pm", "2026-02-04T00:00:20Z", None),
        ("You've hit your session limit · resets 9am", "2026-02-04T08:59:59Z", Some("2026-02-04T09:00Z")),
    ] {
        assert_eq!(at(text, now, "UTC").as_deref(), wanted, "{text} at {now}");
    }
}

#[test]
fn of_several_headers_those_of_the_exhausted_windows_count() {
    let claim = "anthropic-ratelimit-unified-representative-claim";
    let week = "anthropic-ratelimit-unified-5h-reset: 1770210000\nanthropic-ratelimit-unified-7d-reset: 1770600000\n\
         anthropic-ratelimit-unified-overage-reset: 1772000000\nanthropic-ratelimit-unified-overage-status: rejected\n";
    for (headers, wanted) in [
        // The first one has passed, or is of a window with a rest.
        (
            "x-ratelimit-remaining-requests: 99\nx-ratelimit-reset-requests: 60s\n\
             x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 5h59m0s",
            "2026-02-04T17:59Z",
        ),
        (
            r#"{"x-ratelimit-reset-tokens":"2h0m0s","x-ratelimit-remaining-tokens":"7","x-ratelimit-remaining-requests":"0","x-ratelimit-reset-requests":"12ms"}"#,
            "2026-02-04T12:00:00.012Z",
        ),
        (
            "anthropic-ratelimit-requests-reset: 2026-02-04T11:59:30Z\n\
             anthropic-ratelimit-tokens-reset: 2026-02-04T14:00:00Z\nretry-after: 60",
            "2026-02-04T14:00Z",
        ),
        ("x-ratelimit-reset: 1770200000\nretry-after: 7200", "2026-02-04T14:00Z"),
        ("x-ratelimit-remaining: 5\nx-ratelimit-reset: 1770299999\nretry-after: 60", "2026-02-04T12:01Z"),
        ("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1770206460\nretry-after: 3600", "2026-02-04T13:00Z"),
        ("x-ratelimit-remaining: 0\nx-ratelimit-reset: 1770210000\nretry-after: 0", "2026-02-04T13:00Z"),
        ("x-ratelimit-reset-tokens-day: 3600.5\nx-ratelimit-remaining-tokens-day: 0", "2026-02-04T13:00:01.000Z"),
        ("resets 3pm\nx-ratelimit-reset: 1770299999", "2026-02-04T15:00Z"),
        // The latest response counts.
        ("x-ratelimit-reset: 1770299999\nx-ratelimit-reset: 1770210000", "2026-02-04T13:00Z"),
        (&format!("{week}{claim}: five_hour\nanthropic-ratelimit-unified-status: rejected"), "2026-02-04T13:00Z"),
        (&format!("{week}{claim}: seven_day\nretry-after: 60"), "2026-02-09T01:20Z"),
        (&format!("{week}anthropic-ratelimit-unified-7d-status: allowed"), "2026-02-04T13:00Z"),
        (&format!("{week}anthropic-ratelimit-unified-5h-utilization: 1.0"), "2026-02-04T13:00Z"),
        // A number that has passed hides no other hint.
        ("resetsAt 1000000000\ntry again in 20 minutes", "2026-02-04T12:20Z"),
        ("resetsAt 99999999999\ntry again in 20 minutes", "2026-02-04T12:20Z"),
    ] {
        assert_eq!(at(headers, NOW, "UTC").as_deref(), Some(wanted), "{headers}");
    }
}

#[test]
fn a_phrase_may_be_wrapped() {
    for (text, wanted) in [
        ("try again in 5 days 22 hours 11\nminutes.", "2026-02-10T10:11Z"),
        ("resets on February 9, 2026 at\n    2:00 AM", "2026-02-09T02:00Z"),
        ("resets at 3:05\nPM (UTC)", "2026-02-04T15:05Z"),
        ("resets 5pm\n11 files changed", "2026-02-04T17:00Z"),
        ("resets Feb 9\n3 files changed", "2026-02-09T00:00Z"),
    ] {
        assert_eq!(at(text, NOW, "UTC").as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn every_zone_of_windows_exists() {
    for (name, zone) in windows_zones::WINDOWS {
        let named = format!("{name} Time").replace(" STANDARD", " Standard");
        assert_eq!(ClockZone::read(&named, ClockZone::BEIJING), zone.parse().ok().map(ClockZone::Zone), "{name}");
    }
}

#[test]
fn resets_across_clock_changes() {
    let (paris, york) = ("Europe/Paris", "America/New_York");
    for (text, now, zone, wanted) in [
        ("resets 10am", "2026-03-28T14:00:00Z", paris, "2026-03-29T08:00Z"),
        // 02:30 does not exist in that night. With the offset of the evening before it is 03:30.
        ("resets 2:30am", "2026-03-08T05:30:00Z", york, "2026-03-08T07:30Z"),
        // 01:30 occurs twice.
        ("resets 1:30am", "2026-11-01T04:00:00Z", york, "2026-11-01T05:30Z"),
        ("resets 1:30am", "2026-11-01T05:45:00Z", york, "2026-11-01T06:30Z"),
        ("resets 1:30am", "2026-11-01T06:30:00Z", york, "2026-11-02T06:30Z"),
        // An unknown zone gives way to the host's.
        ("resets 10am (Mars/Base)", NOW, paris, "2026-02-05T09:00Z"),
    ] {
        assert_eq!(at(text, now, zone).as_deref(), Some(wanted), "{text} after {now}");
    }
}

#[test]
fn a_zone_that_is_not_known_is_named() {
    for (text, unknown) in [
        ("resets 3am (Europe/Pariss)", Some("Europe/Pariss")),
        ("resets tomorrow (Mars/Base)", Some("Mars/Base")),
        ("resets at 2027-01-05 18:00 (XQT)", Some("XQT")),
        ("resets 3am (Europe/Paris)", None),
        ("resets 3am (see the docs)", None),
        ("resets 3am", None),
    ] {
        let reset = find(text, NOW.parse().unwrap(), "UTC".parse().unwrap()).unwrap();
        assert_eq!(reset.unknown_zone.as_deref(), unknown, "{text}");
    }
}

#[test]
fn resets_are_displayed() {
    for (text, wanted) in [
        ("resets 10 AM", "resets 10am (UTC)"),
        ("resets February 5th, 10:30am (Europe/Paris)", "resets February 5 at 10:30am (Europe/Paris)"),
        ("your limit will reset at 7pm (Europe/Paris).", "resets 7pm (Europe/Paris)"),
        ("resets in 90 minutes", "resets in 1h 30m"),
        ("resets in 48h", "resets in 48h"),
        ("resets in 2 days 3h", "resets in 2d 3h"),
        ("resetsAt 1779937200", "resets at 2026-05-28 03:00 UTC"),
        ("resets Mon 9am (Nowhere)", "resets Mon 9am (Nowhere)"),
        ("resets Xyz 5 at 10am", "resets Xyz 5 at 10am"),
        ("Retry-After: 86401", "resets in 24h"),
        ("Retry-After: 45", "resets in 45s"),
        (r"sorry.\nresets 3pm (UTC)\nbye", "resets 3pm (UTC)"),
    ] {
        assert_eq!(parse(text, NOW.parse().unwrap(), Zone::UTC).display, wanted, "{text}");
    }
}

#[test]
fn a_reset_beyond_any_calendar_of_a_quota_is_displayed_and_does_not_count() {
    let reset = find("resets at 9999-12-31T23:59:59Z", NOW.parse().unwrap(), "UTC".parse().unwrap()).unwrap();
    assert_eq!((reset.at, reset.phrase.as_str()), (None, "resets at 9999-12-31T23:59:59Z"));
}
