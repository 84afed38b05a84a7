//! Generates Codex' rollouts.

use usage_ledger::Timestamp;

use super::Home;
use super::log::{Log, cut};
use super::text::word;
use super::truth::Call;

const MODELS: &[&str] = &["gpt-5-codex", "gpt-5.2-codex", "gpt-5", "gpt-5.3-codex"];

pub(super) fn write(home: &mut Home, files: usize, bytes: u64) {
    let before = home.truth.bytes;
    let mut threads: Vec<Thread> = Vec::new();
    for left in (1..=files).rev() {
        let size = home.share(bytes, home.truth.bytes - before, left);
        let thread = match threads.last() {
            Some(_) if home.trap(40) => {
                let parent = home.rng.index(threads.len());
                Thread::fork(home, &threads[parent].clone())
            }
            _ => Thread::begin(home),
        };
        // A few suffice to fork from.
        threads.truncate(7);
        threads.insert(0, thread.talk(home, size));
    }
}

/// A usage object's counts: input, cached input, output, reasoning output, total.
type Vector = [u64; 5];

/// A call in the form that a fork repeats.
#[derive(Clone)]
struct Shown {
    at: i64,
    model: &'static str,
    /// The thread of the call.
    thread: String,
    response: String,
    used: Vector,
    /// The thread's sum, of which the counter may miss some.
    sum: Vector,
    /// The counter, if the call changed it.
    counter: Option<Vector>,
}

#[derive(Clone)]
struct Thread {
    id: String,
    path: String,
    project: String,
    at: i64,
    model: &'static str,
    /// Whether the client records each call besides the counter.
    records: bool,
    /// The `session_meta` lines at the beginning: its own, then those of its parents.
    metas: Vec<String>,
    counter: Vector,
    sum: Vector,
    context: u64,
    calls: Vec<Shown>,
    log: Log,
    last: String,
}

impl Thread {
    fn begin(home: &mut Home) -> Self {
        let at = home.moment();
        let records = home.rng.chance(400);
        let mut thread = Self::named(home, at, records);
        thread.head(home, r#""source":"cli""#);
        thread
    }

    fn named(home: &mut Home, at: i64, records: bool) -> Self {
        let (id, time) = (home.rng.uuid(), Timestamp::from_millis(at).to_string());
        let (day, clock) = (time[..10].replace('-', "/"), time[..19].replace(':', "-"));
        Self {
            path: format!(".codex/sessions/{day}/rollout-{clock}-{id}.jsonl"),
            id,
            project: format!("/home/dev/{}", word(&mut home.rng)),
            at,
            model: home.rng.pick(MODELS),
            records,
            metas: Vec::new(),
            counter: [0; 5],
            sum: [0; 5],
            context: home.rng.between(6_000, 14_000),
            calls: Vec::new(),
            log: Log::default(),
            last: String::new(),
        }
    }

    fn head(&mut self, home: &mut Home, source: &str) {
        let (time, id) = (Timestamp::from_millis(self.at), &self.id);
        let line = format!(
            r#"{{"timestamp":"{time}","type":"session_meta","payload":{{"id":"{id}","timestamp":"{time}","cwd":"{}","originator":"codex_cli_rs","cli_version":"0.77.0","instructions":"{}",{source},"model_provider":"openai","git":{{"branch":"main"}}}}}}"#,
            self.project,
            home.text(1_500)
        );
        self.metas.insert(0, line.clone());
        self.log.line(&line);
    }

    fn line(&mut self, kind: &str, payload: &str) {
        let time = Timestamp::from_millis(self.at);
        self.log.line(&format!(r#"{{"timestamp":"{time}","type":"{kind}","payload":{payload}}}"#));
    }

    /// A thread that begins with repeated calls of another one.
    fn fork(home: &mut Home, parent: &Self) -> Self {
        let at = parent.calls.last().map_or(parent.at, |call| call.at) + home.rng.millis(1_000, 90_000_000);
        let spawned = home.rng.chance(500);
        let mut thread = Self::named(home, at, parent.records && !spawned);
        let mut repeated = parent.calls.clone();
        repeated.truncate(1 + home.rng.index(12));
        if spawned {
            let id = &parent.id;
            let source =
                format!(r#""source":{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{id}","depth":1}}}}}}"#);
            thread.head(home, &source);
        } else {
            thread.head(home, &format!(r#""source":"cli","forked_from_id":"{}""#, parent.id));
            for meta in parent.metas.clone() {
                thread.log.line(&meta);
                thread.metas.push(meta);
            }
        }
        // A spawned thread dates repeated lines with its own time; a fork may keep the times.
        let keeps_times = !spawned && home.rng.chance(500);
        let model = thread.model;
        for call in &repeated {
            thread.at = if keeps_times { call.at } else { at + 100 };
            if !spawned && thread.model != call.model {
                thread.model = call.model;
                thread.turn();
            }
            if thread.records {
                thread.record(call);
            }
            if let Some(counter) = call.counter {
                thread.count(home, Some((counter, call.used)));
                thread.counter = counter;
            }
            thread.sum = call.sum;
        }
        thread.calls = repeated;
        (thread.at, thread.model) = (at + 5_000, model);
        thread
    }

    fn talk(mut self, home: &mut Home, size: usize) -> Self {
        let size = self.log.text.len() + size;
        while self.log.text.len() < size {
            if home.rng.chance(60) {
                self.model = home.rng.pick(MODELS);
            }
            self.turn();
            let text = home.text(400);
            self.line("event_msg", &format!(r#"{{"type":"user_message","message":"{text}","images":[]}}"#));
            let content = format!(r#"[{{"type":"input_text","text":"{text}"}}]"#);
            self.line("response_item", &format!(r#"{{"type":"message","role":"user","content":{content}}}"#));
            if home.rng.chance(300) {
                self.count(home, None);
            }
            for _ in 0..=home.rng.tailed(6) {
                self.call(home);
                self.odd_lines(home);
                if self.log.text.len() >= size {
                    break;
                }
            }
            self.at += home.rng.millis(10_000, 600_000) + if home.rng.chance(50) { 20_000_000 } else { 0 };
        }
        let (log, path, last) = (std::mem::take(&mut self.log), self.path.clone(), std::mem::take(&mut self.last));
        log.finish(home, path.into(), &last);
        self
    }

    fn turn(&mut self) {
        let (cwd, model) = (&self.project, self.model);
        self.line(
            "turn_context",
            &format!(r#"{{"cwd":"{cwd}","approval_policy":"never","model":"{model}","summary":"auto"}}"#),
        );
    }

    fn call(&mut self, home: &mut Home) {
        let reasoning =
            format!(r#"{{"type":"reasoning","summary":[],"encrypted_content":"{}"}}"#, home.rng.id("", 300));
        self.line("response_item", &reasoning);
        let id = home.rng.id("call_", 22);
        let arguments = format!(r#"{{\"command\":[\"bash\",\"-lc\",\"ls {}\"]}}"#, word(&mut home.rng));
        let call = format!(r#"{{"type":"function_call","name":"shell","arguments":"{arguments}","call_id":"{id}"}}"#);
        self.line("response_item", &call);
        self.at += home.rng.millis(1_500, 40_000);
        let output = format!(r#"{{"type":"function_call_output","call_id":"{id}","output":"{}"}}"#, home.text(6_000));
        self.line("response_item", &output);
        let cached = if home.rng.chance(900) { self.context / 128 * 128 } else { 0 };
        self.context += home.rng.tailed(1_800) + 20;
        let out = home.rng.tailed(350) + 5;
        let used = [self.context, cached, out, home.rng.between(0, out * 4 / 5), self.context + out];
        if self.context > 220_000 {
            self.context = home.rng.between(9_000, 20_000);
        }
        // Compaction is recorded, but does not change the counter.
        let shortens = self.records && home.trap(10);
        self.used(home, used, !shortens);
        if shortens {
            let shown = (self.counter, [0, 0, 0, 0, self.context / 3]);
            self.count(home, Some(shown));
        }
    }

    /// Writes a call, and adds it to the truth.
    fn used(&mut self, home: &mut Home, used: Vector, counts: bool) {
        let add = |sum: &mut Vector| sum.iter_mut().zip(used).for_each(|(sum, more)| *sum += more);
        add(&mut self.sum);
        if counts {
            add(&mut self.counter);
        }
        let call = Shown {
            at: self.at,
            model: self.model,
            thread: self.id.clone(),
            response: home.rng.id("resp_0", 22),
            used,
            sum: self.sum,
            counter: counts.then_some(self.counter),
        };
        if self.records {
            self.record(&call);
        }
        if counts {
            self.count(home, Some((self.counter, used)));
        }
        self.calls.push(call);
        let [input, cached, output, reasoning, _] = used;
        home.truth.calls.push(Call {
            agent: "codex",
            provider: "openai",
            model: self.model,
            conversation: self.id.clone(),
            project: self.project.clone(),
            sidechain: false,
            at: Timestamp::from_millis(self.at),
            tokens: [input - cached, cached, 0, 0, output - reasoning, reasoning],
            micros: 0,
        });
    }

    fn record(&mut self, call: &Shown) {
        let (thread, response) = (&call.thread, &call.response);
        let [used, sum] = [usage(call.used), usage(call.sum)];
        let payload = format!(
            r#"{{"thread_id":"{thread}","session_id":"{thread}","response_id":"{response}","usage":{used},"turn_token_usage":{used},"thread_token_usage":{sum}}}"#
        );
        self.line("token_usage_record", &payload);
    }

    /// Writes the counter and the usage of the last call, or only the rate limits.
    fn count(&mut self, home: &mut Home, shown: Option<(Vector, Vector)>) {
        let info = shown.map_or("null".to_owned(), |(total, last)| {
            let [total, last] = [usage(total), usage(last)];
            format!(r#"{{"total_token_usage":{total},"last_token_usage":{last},"model_context_window":258400}}"#)
        });
        // The account's window advances at the same pace for all threads; each reply recomputes its reset.
        let length = 5 * 3_600_000;
        let percent = self.at.rem_euclid(length) * 90 / length;
        let resets = (self.at.div_euclid(length) + 1) * length / 1_000 + i64::from(home.rng.between(0, 1) == 1);
        let limits = format!(
            r#"{{"primary":{{"used_percent":{percent}.5,"window_minutes":300,"resets_at":{resets}}},"secondary":null,"credits":null,"plan_type":"plus"}}"#
        );
        let start = self.log.text.len();
        self.line("event_msg", &format!(r#"{{"type":"token_count","info":{info},"rate_limits":{limits}}}"#));
        if shown.is_some() {
            self.last = self.log.text[start..].trim_end().to_owned();
        }
    }

    /// Lines that repeat the counter, or are not counters.
    fn odd_lines(&mut self, home: &mut Home) {
        let Some(last) = self.calls.last().filter(|last| last.counter.is_some()).cloned() else { return };
        self.at += home.rng.millis(200, 900);
        if home.trap(15) {
            self.count(home, Some((self.counter, last.used)));
        }
        if home.trap(2) {
            // The context exceeded the window: the client sets its counter to that size.
            self.counter = [0, 0, 0, 0, 258_400 + self.counter[4]];
            self.count(home, Some((self.counter, [0, 0, 0, 0, 77])));
        }
        if home.trap(2) {
            // The client reset its counter.
            self.counter = [0; 5];
        }
        if home.trap(4) {
            let line = std::mem::take(&mut self.last);
            let next =
                format!(r#"{{"timestamp":"{}","type":"compacted","payload":{{}}}}"#, Timestamp::from_millis(self.at));
            let next = if home.rng.chance(500) { next } else { String::new() };
            let role = line.find("token_count").unwrap() + 12;
            self.log.torn(&cut(&mut home.rng, &line, role), &next);
            self.last = line;
        }
    }
}

fn usage([input, cached, output, reasoning, total]: Vector) -> String {
    format!(
        r#"{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":{reasoning},"total_tokens":{total}}}"#
    )
}
