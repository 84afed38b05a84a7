//! Messages that resemble a refusal but are not one: server overload, warnings that part of a quota is used.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

/// The range around a match in which an exception applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The whole line.
    Line,
    /// The sentence's own line of text, which in JSON ends at a quotation mark or an escaped line break.
    Clause,
}

/// Words next to which a rule does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    /// Its stable name.
    pub id: &'static str,
    pattern: &'static str,
    reach: Reach,
}

pub(super) const EXCEPTIONS: &[Exception] = &[
    // "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited", seen 2026-06-26.
    Exception {
        id: "server-load",
        pattern: r#"\bnot (?:(?:related|due) to |because of |caused by |about |counted (?:toward|against)s? )?your (?:\w+ )?(?:usage )?(?:limit|quota)s?\b|\b(?:does|do|will|did) not count (?:toward|against)s? your\b|\bservers? (?:is|are) (?:currently |temporarily )?busy\b|\b(?:heavy|high|server|system|unusual) (?:load|traffic)\b|\btemporarily limiting requests\b|\boverloaded(?:_error)?\b|\b(?:HTTP|status|error|code)["']?\s*[:=(]?\s*["']?5(?:03|29)\b|\bservice unavailable\b|\b(?:experiencing )?high demand\b|\bno capacity available\b|\bat capacity\b"#,
        reach: Reach::Line,
    },
    // "You've used 51% of your weekly rate limit. Your weekly rate limit will reset on April 27 at 8:00 AM.", seen 2026-04-22.
    Exception {
        id: "usage-warning",
        pattern: r"\b(?:half|(?:a|one|three)[- ]quarters?|(?:one|two)[- ]thirds?|most) of (?:your|the|its)\b|\b[1-9]\d?(?:\.\d+)?\s?% (?:of|used|left|remaining|remains)\b|\b(?:used|reached|at|consumed) (?:over |about |more than )?[1-9]\d?(?:\.\d+)?\s?%|\bapproaching\b|\bless than \d{1,2}\s?%|\b(?:close to|nearing|almost (?:at|reached|hit)|nearly (?:at|reached|hit))\b",
        reach: Reach::Clause,
    },
    // "Error: EDQUOT: disk quota exceeded, write", "QuotaExceededError: The quota has been exceeded" of a browser's storage.
    Exception {
        id: "other-quota",
        pattern: r"\b(?:disk|storage|inode|mailbox|pod|namespace|file) quotas?\b|\bEDQUOT\b|\bQuotaExceededError\b|\blocalStorage\b|\bresource quota\b",
        reach: Reach::Line,
    },
    // "We have reset Codex usage limits for all plans", as announcements of agents word it.
    Exception {
        id: "limits-reset",
        pattern: r"\blimits? (?:was|were|(?:has|have) been|is now|are now) (?:just |fully |manually )?(?:reset|raised|increased|doubled)\b|\bwe(?:['’]ve| have)? (?:just )?reset\b",
        reach: Reach::Clause,
    },
    // "You have exceeded your premium request allowance. We have automatically switched you to GPT-4.1", seen 2026-04-24.
    Exception { id: "switched-model", pattern: r"\bautomatically switched you\b", reach: Reach::Clause },
];

static COMPILED: LazyLock<Vec<(Option<Regex>, Reach)>> = LazyLock::new(|| {
    let compile = |pattern| RegexBuilder::new(pattern).case_insensitive(true).build().ok();
    EXCEPTIONS.iter().map(|exception| (compile(exception.pattern), exception.reach)).collect()
});

/// Whether an exception applies to a match. `line` contains the match at `hit`.
pub(super) fn excepts(line: &str, hit: &Range<usize>) -> bool {
    let clause = clause(line, hit);
    COMPILED.iter().any(|(pattern, reach)| {
        let text = if *reach == Reach::Line { line } else { clause };
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    })
}

fn clause<'t>(line: &'t str, hit: &Range<usize>) -> &'t str {
    if !line.trim_start().starts_with('{') {
        return line;
    }
    let (head, tail) = (line.get(..hit.start).unwrap_or_default(), line.get(hit.end..).unwrap_or_default());
    let from = ["\"", "\\n"].iter().filter_map(|end| head.rfind(end).map(|at| at + end.len())).max().unwrap_or(0);
    let to = ["\"", "\\n"].iter().filter_map(|end| tail.find(end)).min().unwrap_or(tail.len());
    line.get(from..hit.end + to).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::{COMPILED, EXCEPTIONS, excepts};

    #[test]
    fn every_expression_compiles_and_names_are_unique() {
        assert!(COMPILED.iter().all(|(pattern, _)| pattern.is_some()));
        let mut ids: Vec<_> = EXCEPTIONS.iter().map(|exception| exception.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), EXCEPTIONS.len());
    }

    #[test]
    fn only_a_part_of_a_quota_is_a_warning() {
        for (line, wanted) in [
            ("You've used 80% of your weekly rate limit", true),
            ("Approaching usage limit · resets at 8pm", true),
            ("You've used 100% of your weekly rate limit", false),
            ("rate limit exceeded, 0% left", false),
            (r#"{"a":"You've used 80% of it","b":"weekly rate limit reached"}"#, false),
        ] {
            let start = line.find("rate limit").or_else(|| line.find("usage limit")).unwrap();
            assert_eq!(excepts(line, &(start..start + 10)), wanted, "{line}");
        }
    }
}
