//! Conversation texts in the form of JSON strings: code, prose and output.

use super::rng::Rng;

const WORDS: &[&str] = &[
    "fn",
    "let",
    "pub",
    "struct",
    "impl",
    "return",
    "async",
    "error",
    "result",
    "value",
    "index",
    "buffer",
    "token",
    "usage",
    "session",
    "ledger",
    "import",
    "class",
    "self",
    "None",
    "while",
    "the",
    "of",
    "to",
    "in",
    "is",
    "that",
    "with",
    "file",
    "line",
    "test",
    "parse",
    "read",
    "write",
    "commit",
    "branch",
    "assistant",
    "request",
    "time",
];

/// A pool of text from which pieces are cut, because generating each word would dominate the run time.
pub struct Pool {
    text: String,
    /// Places where a piece may begin or end without cutting an escape.
    cuts: Vec<usize>,
}

impl Pool {
    pub fn new(rng: &mut Rng, length: usize) -> Self {
        let mut pool = Self { text: String::new(), cuts: vec![0] };
        while pool.text.len() < length {
            let piece = fragment(rng);
            pool.text.push_str(&piece);
            pool.text.push_str("\\n");
            pool.cuts.push(pool.text.len());
        }
        pool
    }

    /// A text of about this length, at most that of the pool.
    pub fn piece(&self, rng: &mut Rng, length: usize) -> &str {
        let length = length.min(self.text.len());
        let latest = self.cuts.partition_point(|cut| cut + length <= self.text.len());
        let start = self.cuts[rng.index(latest)];
        let end = self.cuts[self.cuts.partition_point(|cut| *cut < start + length)];
        &self.text[start..end]
    }
}

pub fn word(rng: &mut Rng) -> &'static str {
    rng.pick(WORDS)
}

fn fragment(rng: &mut Rng) -> String {
    let [a, b, c] = [(); 3].map(|()| word(rng));
    let number = rng.between(0, 99_999);
    match rng.between(0, 99) {
        0..15 => format!(r#"\"{a}\": {number},"#),
        15..30 => format!("    {a}({b}, {c}) {{"),
        30..34 => format!(r"\u001b[3{}m{a}\u001b[0m", number % 8),
        34..37 => format!("été — 使用量 トークン {a}"),
        37..40 => format!(r"\t{a} \\ {b}\\\"),
        // Text that quotes usage objects.
        40 => format!(r#"{{\"usage\":{{\"input_tokens\":{number},\"output_tokens\":7}},\"type\":\"token_count\"}}"#),
        41 => r#"{\"type\":\"assistant\",\"message\":{\"id\":\"msg_01\"}}"#.to_owned(),
        _ => (0..rng.between(4, 14)).map(|_| word(rng)).collect::<Vec<_>>().join(" "),
    }
}
