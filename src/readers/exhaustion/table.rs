//! The table of rules, the most reliable first. The first match names the refusal.

use std::sync::LazyLock;

use regex::Regex;

use super::reset::ClockZone;
use super::rule::{ExhaustionRule, Grant, TextPattern, Trust};
use TextPattern::{ErrorEvent, RefusalNearEvent, RefusedEvent, Words};
use Trust::{Anywhere, Failed, FailedBeside, FailedPlainBeside, Stderr};

/// Providers whose agents never report a quota: the stand-in of tests prints arbitrary text.
pub(super) const SILENT: &[&str] = &["fake"];
/// Providers whose agents wrap each failure in a message of their own. A bare error event in the output of a successful run
/// is the output of a tool.
pub(super) const OWN_MESSAGES: &[&str] = &["cline", "haze", "xai"];
/// Every provider without rules.
pub(super) const OTHERS: &str = "*";

const CLAUDE: &[&str] = &["anthropic", OTHERS];
const OLLAMA: &[&str] = &["ollama", "ollama-cloud"];
const COPILOT: &[&str] = &["github-copilot"];
const CODEX: &[&str] = &["openai"];
const CLINE: &[&str] = &["cline"];
const HAZE: &[&str] = &["haze"];
const GROK: &[&str] = &["xai"];
/// APIs that are called directly or through a general client.
const APIS: &[&str] = &[
    "alibaba",
    "aws-bedrock",
    "azure-openai",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "google",
    "google-vertex",
    "groq",
    "minimax",
    "mistral",
    "moonshot",
    "opencode-zen",
    "openrouter",
    "perplexity",
    "together",
    "zai",
];

const fn to(providers: &'static [&'static str], trust: Trust) -> Grant {
    Grant { providers, trust }
}

// Words that mark a line of a failed run's output as part of the failure.
const BY_CODEX: Trust = FailedPlainBeside("error|openai|codex|api");
const BY_COPILOT: Trust = FailedBeside("error|copilot|github|http|status");
const BY_CLINE: Trust = FailedBeside("error|rate|limit|quota|http|status|api");
const BY_GROK: Trust = FailedBeside("error|rate|limit|quota|http|status|api|auth|denied|credit");
/// Haze wraps a failure in its own message, so a line that only mentions a limit is the model's.
const BY_HAZE: Trust = FailedBeside(
    r"error|fail|exceeded|reached|exhausted|rejected|insufficient|depleted|refused|denied|too (?:low|many)|throttled|rate[ _-]?limited|^\W*(?:http|status|429)",
);
const BY_API: Trust = FailedBeside("error|exception|fail|http|status|exceeded|exhausted|reached|insufficient");

/// Messages that only Claude Code prints. Under Ollama it runs models without that quota.
const STRICT: &[Grant] = &[to(CLAUDE, Anywhere), to(OLLAMA, Failed)];
/// Messages about the account's balance, which agents of any API may receive.
const MONEY: &[Grant] = &[
    to(CLAUDE, Anywhere),
    to(OLLAMA, Failed),
    to(CLINE, BY_CLINE),
    to(HAZE, BY_HAZE),
    to(GROK, BY_GROK),
    to(APIS, BY_API),
];
/// Messages that a model may also write.
const LOOSE: &[Grant] = &[to(CLAUDE, Stderr), to(OLLAMA, Stderr), to(COPILOT, BY_COPILOT)];
/// Terms of HTTP APIs, for the agents that pass them on.
const HTTP: &[Grant] = &[
    to(CODEX, BY_CODEX),
    to(CLINE, BY_CLINE),
    to(HAZE, BY_HAZE),
    to(GROK, BY_GROK),
    to(APIS, BY_API),
    to(&[OTHERS], Stderr),
];
/// The same, for Claude Code and Copilot on their error streams.
const LOOSE_HTTP: &[Grant] = &[
    to(CLAUDE, Stderr),
    to(OLLAMA, Stderr),
    to(COPILOT, BY_COPILOT),
    to(CODEX, BY_CODEX),
    to(CLINE, BY_CLINE),
    to(HAZE, BY_HAZE),
    to(GROK, BY_GROK),
    to(APIS, BY_API),
];
const API: &[Grant] = &[to(APIS, BY_API)];
const ZAI: &[Grant] = &[to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(APIS, Failed)];

const fn rule(id: &'static str, seen: &'static str, pattern: TextPattern, grants: &'static [Grant]) -> ExhaustionRule {
    ExhaustionRule { id, seen, pattern, runtime: false, grants }
}

const fn runtime(
    id: &'static str,
    seen: &'static str,
    pattern: TextPattern,
    grants: &'static [Grant],
) -> ExhaustionRule {
    ExhaustionRule { id, seen, pattern, runtime: true, grants }
}

/// Providers whose times without a zone are in Beijing time.
const IN_BEIJING: &[&str] = &[
    "alibaba",
    "baidu",
    "deepseek",
    "minimax",
    "modelscope",
    "moonshot",
    "siliconflow",
    "stepfun",
    "tencent",
    "volcengine",
    "xiaomi",
    "zai",
];

/// The words of Z.ai, which its resellers and the agents of other providers pass on.
static ZAI_WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\blimit reached for \d{1,3} ?(?:hour|day|week|month)s?\b|\b(?:weekly|monthly) limit exhausted\b|\[1(?:304|308|310|31[6-9]|32[01])\]\[|使用上限|限额将在|\b(?:z\.ai|bigmodel\.cn)\b",
    )
    .ok()
});

/// The zone of times without a zone in a message of a provider. `line` is its line.
pub(super) fn place(provider: &str, rule: &str, line: &str) -> Option<ClockZone> {
    let of_zai = || ZAI_WORDS.as_ref().is_some_and(|words| words.is_match(line));
    (IN_BEIJING.contains(&provider) || rule.starts_with("zai-") || of_zai()).then_some(ClockZone::BEIJING)
}

// Gaps are short and contain neither a quotation mark nor a line break, because a manifest can be one line of 90 KB.
#[rustfmt::skip]
pub(super) const RULES: &[ExhaustionRule] = &[
    // Events that runtimes report about themselves.
    runtime("rate-limit-event", "2026-05-27", RefusedEvent, STRICT),
    runtime("rate-limit-summary", "2026-05-27", Words(r"\[cli\] rate_limit_rejected\b"), &[
        to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(CODEX, Stderr), to(CLINE, BY_CLINE), to(HAZE, BY_HAZE),
        to(GROK, BY_GROK),
    ]),
    runtime("session-limit", "2026-07-17", Words(r"\bhit (?:your|the) session limit\b"), STRICT),
    rule("codex-error-event", "2026-04-27", ErrorEvent(
        r#"\brate[ _-]?limit(?:s|ed)?[ _-]+(?:was |has been |is )?(?:error|exceeded|reached)|\binsufficient_quota\b|\bquota(?:\b[^"\n]{0,40}\b|_)(?:exceeded|reached|exhausted)\b|\bexceeded\b[^"\n]{0,40}\bquota\b|\b(?:hit|reached|exceeded) (?:its|your|their) (?:(?:monthly|weekly|daily|hourly|5-hour|codex|chatgpt|plan|workspace|own|free|go|plus|pro|team|business|enterprise|edu) ){0,3}(?:usage limit|spend(?:ing)? (?:cap|limit))|\busage[_ ](?:limit|cap)[_ ](?:has been |was |is )?(?:reached|exceeded|hit)|\bout of credits?\b|\btoo many requests\b|\b429\b"#,
    ), &[to(CODEX, Anywhere)]),
    // These agents transform such events, so only the words can be matched.
    rule("rate-limit-event-words", "2026-05-27", RefusalNearEvent, &[to(CLINE, Failed), to(HAZE, Failed), to(GROK, Failed)]),

    // Limits of money and of groups, in Claude Code's own wording.
    rule("spend-limit", "2026-09-02", Words(
        r"\bhit (?:your|the) (?:(?:org(?:ani[sz]ation)?|team|workspace|company|enterprise)['’]?s? )?(?:(?:monthly|weekly|daily) )?spend(?:ing)? limit\b",
    ), &[to(CLAUDE, Anywhere)]),
    rule("org-limit", "2026-04-24", Words(
        r"\bhit (?:your|the) (?:org(?:ani[sz]ation)?|team|workspace|company|enterprise)['’]?s? (?:(?:5-hour|session|monthly|weekly|daily) )?(?:usage )?limit\b",
    ), &[to(CLAUDE, Anywhere)]),
    rule("api-usage-limits", "2026-05-04", Words(
        r"\breached your specified (?:\w+ )?API usage limits?\b|\byou will regain access on\b",
    ), &[to(CLAUDE, Anywhere), to(OLLAMA, Failed)]),
    // Z.ai's codes, which Claude Code also passes on. Codes 1302, 1303, 1305 and 1312 are about the rate of requests and server load.
    rule("zai-limit-code", "2026-07-08", Words(r#"\[1(?:304|308|310|31[6-9]|32[01])\]\[|\bcode["']?\s*:\s*["']?1(?:304|308|310|31[6-9]|32[01])\b"#), ZAI),
    rule("zai-limit-words", "2026-08-24", Words(r"\b(?:weekly/monthly|weekly|monthly|daily|\d{1,3}[ -]hour) (?:usage )?limit exhausted\b|已达到.{0,20}使用上限"), ZAI),

    // Subscriptions.
    rule("window-limit", "2026-08-22", Words(
        r"(?:\bhit (?:your|the)|\byou(?:['’]ve| have)? (?:reached|exceeded|exhausted) your) (?:(?:weekly|daily|monthly|hourly|5-hour|five-hour|overage|extra|opus|sonnet|haiku|fable|model|plan|pro|max|team|\d+(?:\.\d+)?|\(\d-(?:day|hour)\)) ){1,4}(?:usage )?limits?\b|\byou(?:['’]ve| have)? (?:reached|exceeded) your session limit\b",
    ), &[to(CLAUDE, Anywhere), to(APIS, Failed)]),
    rule("window-limit-reached", "2025-12-01", Words(
        r"\b(?:(?:5|five)[- ]hour|session|weekly|daily|monthly|opus|sonnet|haiku|fable|extra)(?: \d+(?:\.\d+)?)?(?: weekly)?(?: usage)? limit reached\s*(?:[·∙•|.;:!(]|$|resets?\b)|^\W*limit reached\s*[·∙•|]?\s*resets\b",
    ), &[to(CLAUDE, Anywhere)]),
    rule("usage-limit-reached", "2026-07-16", Words(r#"\busage limit reached\s*(?:[·∙•|.;:!("]|$|resets?\b)"#), &[to(CLAUDE, Anywhere)]),
    rule("own-limit", "2026-04-23", Words(r"\bhit your limit\b|^\W*you(?:['’]ve| have) hit your usage limit\b|\byou(?:['’]ve| have) reached your limit\s*(?:[·∙•|]|resets?\b)|\byou(?:['’]ve| have)? hit the limit\b|\bhit the limit\s*(?:[·∙•|.;:!(]|$|resets?\b)"), &[to(CLAUDE, Anywhere)]),
    rule("extra-usage", "2026-08-05", Words(r"\bout of (?:your )?(?:extra|included|plan) usage\b|\bused (?:(?:up )?all (?:of )?|up )(?:your|(?:today|this (?:week|month))['’]s) (?:extra|included|plan|free|daily|monthly|weekly) usage\b"), STRICT),
    rule("codex-usage-limit", "2026-09-22", Words(r"\b(?:hit|reached|exceeded) your (?:(?:monthly|weekly|daily|hourly|5-hour|codex|chatgpt|plan|workspace|own|free|go|plus|pro|team|business|enterprise|edu) ){0,3}usage limit\b|^\W*usage limit reached\s*(?:[·∙•|.;:!(]|$|for\b|resets?\b)"), &[to(CODEX, Failed)]),
    rule("codex-spend-cap", "2026-06-26", Words(r"\b(?:hit|increase) your spend cap\b|\b(?:hit|reached|exceeded) (?:its|your|their) (?:monthly |weekly )?spend (?:cap|limit)\b"), &[to(CODEX, Failed)]),
    rule("codex-credits", "2026-06-11", Words(r"\bworkspace is out of credits?\b|^\W*(?:error: ?)?you(?:['’]re| are) out of credits\b|\bout of codex messages\b|\bused (?:up|all|all of) your (?:\w+ )?codex credits?\b"), &[to(CODEX, Failed)]),
    rule("own-usage-limit", "2026-07-16", Words(r"\b(?:hit|reached|exceeded) your (?:(?:monthly|weekly|daily|hourly|5-hour|plan|account|free|pro|coding|own) ){0,2}usage limit\b|\breached \w[\w.]*-[\w.-]+ usage limit\b"), &[
        to(CLINE, BY_CLINE), to(HAZE, Failed), to(GROK, BY_GROK), to(APIS, Failed),
        to(&[OTHERS], FailedPlainBeside(r"^\W*\w{0,40}(?:error|exception):")),
    ]),
    rule("ollama-upgrade", "2026-03-15", Words(r"\bollama\.com/upgrade\b"), &[to(OLLAMA, Failed)]),
    rule("ollama-usage-limit", "2026-02-05", Words(r"\breached your (?:session|hourly|daily|weekly|monthly) usage limit\b"), &[to(OLLAMA, Failed)]),
    rule("request-rejected", "2026-08-22", Words(r"\brequest rejected \(429\)"), &[to(CLAUDE, Stderr)]),
    rule("ollama-request-rejected", "2026-06-10", Words(r"\brequest rejected \(429\)"), &[to(OLLAMA, Failed)]),
    rule("ollama-own-limit", "2026-07-16", Words(r"\bhit (?:your|the) limit\b"), &[to(OLLAMA, Failed)]),
    rule("copilot-limit", "2026-04-18", Words(
        r"\b(?:reached|hit|exhausted|exceeded) (?:your|this model['’]s|the model['’]s) (?:(?:weekly|daily|monthly|hourly|session|global|premium|copilot) )?(?:rate|premium request|budget) limit\b|\breached your (?:monthly|weekly) (?:limit|quota)\b|\bhit your (?:monthly limit|monthly quota|weekly quota)\b|\bused (?:up|all|up all) (?:of )?your (?:\w+ ){0,3}credits?\b|\breached your additional spend(?:ing)? limit\b|\b(?:your request was|you(?:['’]ve| have) been) rate[- ]limited\b|\bexceeded: user_(?:\w+_)?rate_limited\b|\breached your (?:(?:monthly|daily|free) ){0,2}(?:chat messages?|(?:code )?completions?) limit\b",
    ), &[to(COPILOT, Failed)]),
    rule("copilot-no-quota", "2026-05-20", Words(
        r#"\byou have no quota\b|\b429\W{1,3}quota exceeded\b|\bquota exceeded\. upgrade to\b|\bai credits? (?:have|has) been used up\b|\bquota_exceeded\b|\bexceeded your (?:(?:monthly|weekly|daily|copilot) ){0,2}(?:premium request|token|monthly|ai credits?|quota)s? (?:allowance|usage|quota|limit)\b|\bused (?:(?:up )?all (?:of )?|up )(?:(?:your|the|its|available|included|monthly|copilot) ){0,3}premium (?:requests?|interactions?)\b|\bcopilot (?:spend(?:ing)? limit|budget) (?:has been|was) (?:reached|exceeded|used up)\b|\bpremium (?:requests?|interactions?) (?:(?:limit|allowance|quota) )?(?:has been |have been |was |were |is |are )?(?:reached|exceeded|exhausted|used up|depleted)\b|\b(?:out of|no(?: more)?) premium (?:requests?|interactions?)(?: (?:left|remaining|available))?\b|\berrorType["']?\s*[:=]\s*["'](?:quota|quota_exceeded|rate_limit)\b"#,
    ), &[to(COPILOT, Failed)]),
    rule("opencode-limit", "2026-08-12", Words(r"\b(?:(?:Free|Go|Zen)Usage|Monthly|User|Workspace)LimitError\b|\bfree usage (?:limit )?(?:exceeded|reached)\b"), &[
        to(APIS, Failed), to(CLAUDE, Stderr),
    ]),

    rule("kiro-limit", "2026-09-16", Words(r"\bMONTHLY_REQUEST_COUNT\b|\breached the limit for overages\b"), &[to(CLAUDE, Anywhere)]),
    rule("key-limit", "2026-09-17", Words(r"\bkey limit exceeded\b|\brequires more credits\b"), &[to(CLAUDE, Stderr), to(APIS, Failed)]),

    // Quotas.
    rule("quota-flag", "2026-07-16", Words(r#"\bquota_exhausted\b["']?\s*[:=]\s*true\b"#), STRICT),
    rule("quota-reached", "2026-07-16", Words(r#"\bquota\b[^"\n]{0,40}\b(?:reached|exhausted)\b"#), STRICT),
    rule("resource-exhausted", "2026-04-10", Words(r"\bRESOURCE_EXHAUSTED\b|\bresource has been exhausted\b|\bexhausted your (?:capacity|daily quota)\b"), API),
    rule("throttling-exception", "2026-07-16", Words(r"\b(?:Throttling|TooManyRequests|ServiceQuotaExceeded)Exception\b"), API),
    rule("insufficient-quota", "2026-03-24", Words(r"\binsufficient[_ ]quota\b|\bexceeded_current_quota"), HTTP),
    rule("quota-exceeded", "2025-07-18", Words(
        // The identifier `quota_exhausted` is excluded, because programs use it as a field name.
        r#"\bquota(?:\b[^"\n]{0,40}\b(?:exceeded|reached|exhausted)|_(?:exceeded|reached))\b|\b(?:exceeded|reached|exhausted)\b[^"\n]{0,40}\bquota\b"#,
    ), HTTP),
    rule("usage-limit-or-cap", "2026-09-08", Words(
        r#"\busage\b[^"\n]{0,40}\b(?:limit|cap)\b[^"\n]{0,40}\b(?:reached|exceeded|hit)\b"#,
    ), HTTP),
    rule("zai-window-words", "2026-09-08", Words(r"\busage limit reached for \d{1,3} ?(?:hour|day|week|month)s?\b"), &[
        to(CLAUDE, Anywhere), to(OLLAMA, Failed),
    ]),
    rule("usage-cap", "2026-07-16", Words(r#"\busage\b[^"\n]{0,40}\bcap\b[^"\n]{0,40}\b(?:reached|exceeded|hit)\b"#), STRICT),

    // Money.
    rule("credit-balance", "2026-04-06", Words(r#"\byour credit balance\b|\bcredit balance\b[^"\n]{0,40}\b(?:too low|exhausted|zero|empty)\b"#), MONEY),
    rule("out-of-credits", "2026-07-11", Words(r"\bout of (?:(?:your|the|its|usage|extra|cline|ai|api|codex|copilot|premium|prepaid|included|monthly|free|account|workspace) ){0,3}credits?\b"), MONEY),
    rule("credits-used-up", "2026-07-16", Words(r"\bused (?:up|all|up all) (?:of )?(?:(?:your|the|its|available|monthly|weekly|included|prepaid|premium|ai|usage|cline|codex|chatgpt|free) ){0,4}credits?\b|\bcredits? (?:have|has) (?:all )?been (?:fully )?used(?: up)?\s*(?:[·∙•|.;:!(]|$|for (?:this|the)\b)"), &[
        to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(CLINE, BY_CLINE), to(HAZE, BY_HAZE), to(GROK, BY_GROK), to(APIS, BY_API),
    ]),
    rule("insufficient-credits", "2026-09-08", Words(r"\binsufficient[ _]credits?\b"), MONEY),
    rule("cline-credits", "2026-06-08", Words(
        r"\bcline credits balance is (?:-\$|\$-)\d|\bcline credits balance is \$0(?:\.0+)?(?:[^.\d]|\.(?:\D|$)|$)|\bnot enough credits(?: available)?\b|\b(?:run out of|no(?: more)?) cline credits\b|\byou(?:['’]ve| have) run out of credits\b|^\W*(?:error: ?)?(?:out of|insufficient) credits\b|\bout of cline credits\b|\byour cline balance is (?:-\$|\$-|\$0(?:\.0+)?(?:[^.\d]|\.(?:\D|$)|$))|\b(?:402|payment required)\b.{0,20}\bbalance is insufficient\b|\bcline credits (?:have been |are |is |were )?(?:depleted|exhausted|used up|insufficient|gone)\b",
    ), &[to(CLINE, Failed)]),
    rule("credits-gone", "2026-07-16", Words(
        r#"\bcredits\b[^"\n]{0,40}\b(?:exhausted|depleted|expired|insufficient)\b|\bcredit(?: (?:limit|has|have|is|was|been|now))* (?:exhausted|depleted|expired|insufficient)\b"#,
    ), MONEY),
    rule("insufficient-balance", "2026-07-16", Words(r"\binsufficient (?:account )?balance\b"), &[to(CLAUDE, Stderr), to(APIS, BY_API)]),
    rule("http-402", "2026-07-16", Words(r#"\b(?:HTTP|status|error)(?:/\d(?:\.\d)?)?(?: code)?["']?\s*[:=]?\s*["'(]?402\b|\bpayment required\b"#), API),
    rule("spending-limit", "2026-02-09", Words(r#"\b(?:reached|hit|exceeded)\b[^"\n]{0,45}\b(?:spend(?:ing)? limit|spending cap)\b"#), &[
        to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(GROK, BY_GROK), to(APIS, Failed),
    ]),
    rule("spend-limit-reached", "2026-03-27", Words(
        r"\b(?:spend(?:ing)?|budget)[ -](?:limit|cap) (?:has been |was |is |has )?(?:reached|exceeded|hit|used up|exhausted)\s*(?:[·∙•|.;:!()]|$|resets?\b|for (?:this|your|user|member|workspace|org(?:ani[sz]ation)?|account|team|the (?:user|member|workspace|org(?:ani[sz]ation)?|account|team|month|week|period))\b)",
    ), &[to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(CODEX, Failed), to(CLINE, Failed), to(GROK, BY_GROK), to(APIS, Failed)]),
    rule("billing-exceeded", "2026-07-16", Words(
        r#"\bbilling\b[^"\n]{0,40}\b(?:limit|period)\b[^"\n]{0,40}\b(?:exceeded|reached|hit|exhausted)\b|\b(?:hit|reached|exceeded|exhausted) (?:your|the|its) (?:(?:monthly|current|hard|own) ){0,2}billing (?:(?:period|cycle|hard) ){0,2}(?:limit|quota|cap)\b|\bbilling_(?:hard_)?limit_reached\b"#,
    ), &[
        to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(CODEX, Failed), to(CLINE, Failed), to(GROK, BY_GROK), to(APIS, Failed),
    ]),
    rule("billing-limit", "2026-07-16", Words(r#"\bbilling\b[^"\n]{0,40}\b(?:limit|quota|credits?)\b"#), &[
        to(CODEX, BY_CODEX), to(CLINE, BY_CLINE), to(HAZE, BY_HAZE), to(GROK, BY_GROK),
    ]),
    rule("group-limit-reached", "2026-07-29", Words(
        r"\b(?:org(?:ani[sz]ation)?|team|workspace|company|enterprise|account|project|plan|key) (?:has |have )?(?:hit|reached|exceeded) (?:its|your|their) (?:(?:monthly|weekly|daily|hourly|5-hour|usage|spend(?:ing)?|credit|api|codex|copilot) ){1,3}(?:limit|cap|budget)\b|\b(?:your|the) (?:(?:org(?:ani[sz]ation)?|team|workspace|company|enterprise|account|project|plan)['’]s )?(?:(?:monthly|weekly|daily|hourly|5-hour|session|usage|spend(?:ing)?|credit) ){1,3}(?:limit|cap|budget) (?:has been|was) (?:reached|exceeded|hit|used up)\b",
    ), &[to(CLAUDE, Anywhere), to(OLLAMA, Failed), to(CODEX, Failed), to(COPILOT, Failed), to(CLINE, BY_CLINE), to(HAZE, BY_HAZE), to(GROK, BY_GROK), to(APIS, Failed)]),

    // Rates.
    rule("codex-http-429", "2026-07-16", Words(r"^\s*HTTP(?:/\d(?:\.\d)?)? 429\b"), &[to(CODEX, Failed)]),
    rule("codex-rate-limit", "2026-07-16", Words(
        r"\brate[ -]?limit(?:s|ed)?[ -]+(?:was |has been |is )?(?:error|exceeded|reached|rejected)\b|\brate_limit_(?:error|exceeded|reached)\b",
    ), &[to(CODEX, BY_CODEX)]),
    rule("http-429", "2026-06-26", Words(
        r#"\b(?:HTTP|status|error)(?:/\d(?:\.\d)?)?(?: code)?["']?\s*[:=]?\s*["'(]?429\b|\b429[ :_-]+(?:status|too many|rate)"#,
    ), LOOSE_HTTP),
    rule("too-many-requests", "2026-07-16", Words(r"\btoo many requests\b"), LOOSE_HTTP),
    rule("secondary-limit", "2026-07-16", Words(r#"\bexceeded\b[^"\n]{0,40}\b(?:copilot|secondary)\b[^"\n]{0,40}\b(?:limit|rate)"#), LOOSE),
    rule("copilot-unavailable", "2026-07-16", Words(r#"\bcopilot\b[^"\n]{0,40}\b(?:not available|unavailable)\b"#), LOOSE),
    rule("usage-limit", "2026-07-16", Words(r"\busage limit"), LOOSE),
    rule("rate-limit", "2026-03-18", Words(r"\brate[ -]limit|\bratelimit(?:s|ed|error)?\b"), LOOSE),
    rule("api-rate-limit", "2026-03-24", Words(
        r"\brate[ -]limit|\bratelimit(?:s|ed|error|exceeded)?\b|\brate_limit_(?:error|exceeded|reached)\b",
    ), &[
        to(CLINE, BY_CLINE), to(HAZE, BY_HAZE), to(GROK, BY_GROK), to(APIS, BY_API),
    ]),
    rule("retry-after", "2026-07-16", Words(r"\bretry[-_ ]after\b"), LOOSE_HTTP),
];
