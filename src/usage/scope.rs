//! Matches models with the scopes of quotas.

/// Words of a scope that denote a length of time.
const LENGTHS: [&str; 19] = [
    "one", "five", "seven", "minute", "minutes", "hour", "hours", "day", "days", "daily", "week", "weekly", "month",
    "monthly", "session", "7d", "5h", "1m", "30d",
];
/// Words of a scope that denote what is counted or how it is paid, and no model.
const NO_MODELS: [&str; 13] = [
    "request", "requests", "token", "tokens", "input", "output", "oauth", "apps", "overage", "included", "period",
    "extra", "usage",
];
/// Words of a model's name that do not distinguish models.
const MATURITY: [&str; 4] = ["preview", "latest", "exp", "experimental"];
/// The maximal number of digits in the last part of a version: longer numbers are dates.
const VERSION_DIGITS: usize = 2;

/// Whether a scope such as `seven_day_opus`, `Opus 4.8` or `gemini-3-pro-preview` covers a model.
///
/// Every word of the scope, apart from lengths of time, must be a word of the model's name. A version is one word: `4-8`
/// and `4.8` are the same, and `gemini-3-pro` does not cover `gemini-3.5-pro`.
pub(crate) fn covers(scope: &str, model: &str) -> bool {
    let model = words(model);
    let mut scope = words(scope);
    // A number before a length belongs to it: `7 day` contains no version.
    let mut index = 0;
    while let Some(word) = scope.get(index) {
        if !LENGTHS.contains(&word.as_str()) {
            index += 1;
        } else if index > 0 && scope.get(index - 1).is_some_and(|before| is_number(before)) {
            index -= 1;
            scope.drain(index..index + 2);
        } else {
            scope.remove(index);
        }
    }
    scope.retain(|word| !MATURITY.contains(&word.as_str()));
    scope.iter().any(|word| !is_number(word)) && scope.iter().all(|word| model.contains(word))
}

/// Whether a scope is exactly the model, not a family that includes it.
pub(crate) fn is_exactly(scope: &str, model: &str) -> bool {
    covers(scope, model) && covers(model, scope)
}

/// Whether a scope may be that of a model. A limit of requests or tokens, or of paid usage, is that of no model.
pub(crate) fn names_a_model(scope: &str) -> bool {
    let is_other = |word: &String| {
        let word = word.as_str();
        LENGTHS.contains(&word) || NO_MODELS.contains(&word) || is_number(word)
    };
    !words(scope).iter().all(is_other)
}

/// Whether two scopes concern the same models, or one includes some of the other's.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The words of a name in lower case, with the parts of a version joined by dots and without dates.
fn words(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let mut words: Vec<String> = Vec::new();
    let mut joins = false;
    for word in name.split(|c: char| !c.is_alphanumeric() && c != '.').map(|word| word.trim_matches('.')) {
        if word.is_empty() {
            continue;
        }
        let number = is_number(word);
        if number && word.split('.').any(|group| group.len() > VERSION_DIGITS) {
            joins = false;
            continue;
        }
        match words.last_mut().filter(|_| joins && number) {
            Some(last) => {
                last.push('.');
                last.push_str(word);
            }
            None => words.push(word.to_owned()),
        }
        joins = number;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{covers, is_exactly, names_a_model, overlap};

    #[test]
    fn a_scope_covers_the_models_that_have_all_of_its_words() {
        for (scope, model) in [
            ("seven_day_opus", "claude-opus-4-5"),
            ("opus", "anthropic/claude-opus-4-8[1m]"),
            ("seven_day_fable", "claude-fable-5-1"),
            ("Opus 4.8", "claude-opus-4-8-20261001"),
            ("Sonnet 3.5", "claude-3-5-sonnet-20241022"),
            ("gemini-3-pro", "gemini-3-pro-preview"),
            ("gemini-3-pro-preview", "gemini-3-pro"),
            ("GPT-5.3-Codex-Spark", "gpt-5.3-codex-spark"),
            ("7 day opus", "claude-opus-4-7"),
        ] {
            assert!(covers(scope, model), "{scope} covers {model}");
        }
        for (scope, model) in [
            ("seven_day_opus", "claude-sonnet-4-5"),
            ("seven_day", "claude-opus-4-5"),
            ("7 day", "gemini-7"),
            ("seven_day_oauth_apps", "claude-opus-4-5"),
            ("gemini-2.5-pro", "gemini-3-pro-preview"),
            ("gemini-3-pro", "gemini-3.5-pro"),
            ("opus 4", "claude-opus-4-8"),
            ("requests", "claude-opus-4-8"),
            ("4.8", "claude-opus-4-8"),
            ("", "claude-opus-4-8"),
        ] {
            assert!(!covers(scope, model), "{scope} does not cover {model}");
        }
    }

    #[test]
    fn a_model_differs_from_its_family() {
        assert!(is_exactly("gemini-2.5-flash", "gemini-2.5-flash-preview"));
        assert!(!is_exactly("gemini-2.5-flash", "gemini-2.5-flash-lite"));
    }

    #[test]
    fn a_limit_of_requests_or_tokens_is_that_of_no_model() {
        for scope in ["requests", "input-tokens", "output_tokens", "seven_day_oauth_apps", "overage_period_monthly"] {
            assert!(!names_a_model(scope), "{scope}");
        }
        for scope in ["opus", "seven_day_opus", "gpt-5", "seven_day_overage_included_fable", "premium_interactions"] {
            assert!(names_a_model(scope), "{scope}");
        }
    }

    #[test]
    fn a_family_and_its_model_overlap() {
        assert!(overlap("opus", "seven_day_opus") && overlap("opus", "Opus 4.8"));
        assert!(!overlap("opus", "sonnet"));
    }
}
