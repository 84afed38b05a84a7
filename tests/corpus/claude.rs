//! Generates Claude Code's logs.

use std::path::PathBuf;

use usage_ledger::Timestamp;

use super::Home;
use super::log::{Log, cut};
use super::text::word;
use super::truth::Call;

const MODELS: &[&str] =
    &["claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001", "claude-opus-4-6"];
const TOOLS: &[&str] = &["Read", "Bash", "Edit", "Grep", "mcp__jira__search"];
/// The first version wrote costs, the last a longer usage object.
const VERSIONS: &[&str] = &["1.0.8", "2.0.14", "2.0.76", "2.1.50", "2.1.197"];

pub(super) fn write(home: &mut Home, files: usize, bytes: u64) {
    let projects = 2 + files / 40;
    while home.truth.files.len() < files {
        let left = files - home.truth.files.len();
        let size = home.share(bytes, home.truth.bytes, left);
        let project = format!("{}-{}", word(&mut home.rng), home.rng.index(projects));
        family(home, &project, size, left);
    }
}

/// A session and its related logs, in at most `left` files.
fn family(home: &mut Home, project: &str, size: usize, left: usize) {
    let mut sessions = vec![Session::begin(home, project, size)];
    let mut files = 1;
    if files < left && home.rng.chance(180) {
        sessions[0].subagent(home, size / 3);
        files += 1;
    }
    while files < left && home.trap(60) && files < 5 {
        let of = home.rng.index(sessions.len());
        let fork = sessions[of].fork(home, size / 4);
        sessions.push(fork);
        files += 1;
    }
    if files < left && home.trap(30) {
        sessions[0].replay(home);
    }
    for session in sessions {
        let path = session.path();
        session.finish(home, path);
    }
}

/// A line of a log.
#[derive(Clone, Copy)]
struct Mark {
    start: usize,
    end: usize,
    lines: u64,
    /// How many of the session's calls precede the end of this line.
    calls: usize,
}

#[derive(Clone)]
struct Session {
    id: String,
    project: String,
    version: &'static str,
    /// The writing subagent, if any.
    agent: Option<String>,
    model: &'static str,
    at: i64,
    context: u64,
    one_hour: bool,
    parent: String,
    log: Log,
    /// Every line of a reply.
    marks: Vec<Mark>,
    /// The index of each reply in the truth, including copies.
    calls: Vec<usize>,
}

impl Session {
    fn begin(home: &mut Home, project: &str, size: usize) -> Self {
        let rng = &mut home.rng;
        let mut session = Self {
            id: rng.uuid(),
            project: project.to_owned(),
            version: rng.pick(VERSIONS),
            agent: None,
            model: rng.pick(MODELS),
            at: 0,
            context: rng.between(12_000, 24_000),
            one_hour: rng.chance(400),
            parent: "null".to_owned(),
            log: Log::default(),
            marks: Vec::new(),
            calls: Vec::new(),
        };
        session.at = home.moment();
        for _ in 0..home.rng.index(3) {
            let line =
                format!(r#"{{"type":"summary","summary":"{}","leafUuid":"{}"}}"#, home.text(60), home.rng.uuid());
            session.log.line(&line);
        }
        let message = home.rng.uuid();
        let line = format!(
            r#"{{"type":"file-history-snapshot","messageId":"{message}","snapshot":{{"messageId":"{message}","trackedFileBackups":{{}},"timestamp":"{}"}},"isSnapshotUpdate":false}}"#,
            session.time()
        );
        session.log.line(&line);
        home.began.insert(session.id.clone(), session.at);
        session.talk(home, size);
        session
    }

    fn path(&self) -> PathBuf {
        format!(".claude/projects/-home-dev-{}/{}.jsonl", self.project, self.id).into()
    }

    fn subagent_path(&self, agent: &str) -> PathBuf {
        format!(".claude/projects/-home-dev-{}/{}/subagents/agent-{agent}.jsonl", self.project, self.id).into()
    }

    fn cwd(&self) -> String {
        format!("/home/dev/{}", self.project)
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }

    fn finish(self, home: &mut Home, path: PathBuf) {
        let last = self.marks.last().map(|mark| self.log.text[mark.start..mark.end].to_owned()).unwrap_or_default();
        self.log.finish(home, path, &last);
    }

    /// The beginning of every line of a message.
    fn head(&self) -> String {
        let agent = self.agent.as_ref().map(|agent| format!(r#","agentId":"{agent}""#)).unwrap_or_default();
        format!(
            r#"{{"parentUuid":{},"isSidechain":{},"userType":"external","cwd":"{}","sessionId":"{}","version":"{}","gitBranch":"main"{agent}"#,
            self.parent,
            self.agent.is_some(),
            self.cwd(),
            self.id,
            self.version
        )
    }

    /// A person prompts, the model replies and uses tools, until the log has its size.
    fn talk(&mut self, home: &mut Home, size: usize) {
        let size = self.log.text.len() + size;
        while self.log.text.len() < size {
            let content = home.text(500);
            self.user(home, &format!(r#""{content}""#), "");
            for _ in 0..=home.rng.tailed(6) {
                self.answer(home);
                self.odd_lines(home);
                if self.log.text.len() >= size {
                    break;
                }
            }
            self.at += home.rng.millis(10_000, 600_000) + if home.rng.chance(30) { 20_000_000 } else { 0 };
        }
    }

    fn user(&mut self, home: &mut Home, content: &str, result: &str) {
        let uuid = home.rng.uuid();
        let line = format!(
            r#"{},"type":"user","message":{{"role":"user","content":{content}}},"uuid":"{uuid}","timestamp":"{}"{result}}}"#,
            self.head(),
            self.time()
        );
        self.parent = format!(r#""{uuid}""#);
        let torn = self.marks.last().copied().filter(|_| home.trap(3));
        let Some(mark) = torn else { return self.log.line(&line) };
        // A complete reply is started again and truncated.
        let answer = self.log.text[mark.start..mark.end].to_owned();
        if home.rng.chance(500) {
            self.log.torn(&cut(&mut home.rng, &answer, 1), "");
            self.log.line(&line);
        } else {
            let role = answer.find(r#""role":"assistant""#).unwrap() + 20;
            self.log.torn(&cut(&mut home.rng, &answer, role), &line);
        }
    }

    /// One reply: a line for each of its blocks, of which only the last has the final output count.
    fn answer(&mut self, home: &mut Home) {
        self.at += home.rng.millis(2_000, 40_000);
        if self.agent.is_none() && home.rng.chance(20) {
            self.model = home.rng.pick(MODELS);
        }
        let (fresh, output) = (home.rng.tailed(2_500) + 50, home.rng.tailed(450) + 5);
        let (mut read, mut written) = (self.context, fresh);
        if home.rng.chance(20) {
            (read, written) = (0, read + written);
        }
        self.context = if self.context > 165_000 { home.rng.between(20_000, 40_000) } else { self.context + fresh };
        let (five, hour) = if self.one_hour { (0, written) } else { (written, 0) };
        let tokens = [home.rng.between(1, 12), read, five, hour, output, 0];
        let [message, request] = [home.rng.id("msg_01", 22), home.rng.id("req_011C", 20)];
        let micros = if self.version == "1.0.8" { home.rng.between(1, 900_000) } else { 0 };
        let call = Call {
            agent: "claude-code",
            provider: "anthropic",
            model: self.model,
            conversation: self.id.clone(),
            project: self.cwd(),
            sidechain: self.agent.is_some(),
            at: self.time(),
            tokens,
            micros,
        };
        self.calls.push(home.truth.calls.len());
        home.truth.calls.push(call);
        let tool = home.rng.id("toolu_01", 22);
        let blocks = self.blocks(home, &tool);
        let grows = home.rng.chance(600);
        for (index, block) in blocks.iter().enumerate() {
            let is_last = index + 1 == blocks.len();
            let shown = if is_last || !grows { output } else { home.rng.between(1, 8.min(output)) };
            let usage = self.usage(tokens, shown);
            let stop = if is_last { r#""tool_use""# } else { "null" };
            let cost =
                if micros > 0 { format!(r#","costUSD":0.{micros:06},"durationMs":{shown}"#) } else { String::new() };
            let uuid = home.rng.uuid();
            let line = format!(
                r#"{},"message":{{"model":"{}","id":"{message}","type":"message","role":"assistant","content":[{block}],"stop_reason":{stop},"stop_sequence":null,"usage":{usage}}},"requestId":"{request}"{cost},"type":"assistant","uuid":"{uuid}","timestamp":"{}"}}"#,
                self.head(),
                self.model,
                self.time()
            );
            let start = self.log.text.len();
            self.log.line(&line);
            let (end, lines, calls) = (self.log.text.len() - 1, self.log.lines, self.calls.len());
            self.marks.push(Mark { start, end, lines, calls });
            self.parent = format!(r#""{uuid}""#);
            self.at += home.rng.millis(200, 2_500);
        }
        self.result(home, &tool);
    }

    fn blocks(&self, home: &mut Home, tool: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        if home.rng.chance(350) {
            let signature = home.rng.id("", 300);
            blocks.push(format!(r#"{{"type":"thinking","thinking":"{}","signature":"{signature}"}}"#, home.text(700)));
        }
        if home.rng.chance(500) {
            blocks.push(format!(r#"{{"type":"text","text":"{}"}}"#, home.text(400)));
        }
        let input = match home.rng.index(3) {
            // An object that a careless reader takes for the message's id.
            _ if home.trap(4) => format!(r#"{{"id":null,"query":"{}","usage":{{"input_tokens":77}}}}"#, home.text(40)),
            0 => format!(r#"{{"file_path":"{}/src/{}.rs"}}"#, self.cwd(), word(&mut home.rng)),
            1 => format!(r#"{{"command":"{}","description":"{}"}}"#, home.text(80), word(&mut home.rng)),
            _ => format!(r#"{{"old_string":"{}","new_string":"{}"}}"#, home.text(500), home.text(600)),
        };
        let name = home.rng.pick(TOOLS);
        blocks.push(format!(r#"{{"type":"tool_use","id":"{tool}","name":"{name}","input":{input}}}"#));
        blocks
    }

    fn usage(&self, [input, read, five, hour, _, _]: [u64; 6], output: u64) -> String {
        let written = five + hour;
        let longer = if self.version == "2.1.197" {
            r#","server_tool_use":{"web_search_requests":0,"web_fetch_requests":0},"iterations":[],"speed":"standard""#
        } else {
            ""
        };
        format!(
            r#"{{"input_tokens":{input},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{five},"ephemeral_1h_input_tokens":{hour}}},"output_tokens":{output},"service_tier":"standard","inference_geo":"not_available"{longer}}}"#
        )
    }

    /// The tool's result, twice: for the model and for the client.
    fn result(&mut self, home: &mut Home, tool: &str) {
        self.at += home.rng.millis(100, 15_000);
        let body = home.text(3_500);
        let content = format!(r#"[{{"tool_use_id":"{tool}","type":"tool_result","content":"{body}"}}]"#);
        let shown = match home.rng.between(0, 99) {
            // A subagent's usage, which is also in its own log.
            _ if home.trap(10) => format!(
                r#"{{"status":"completed","agentId":"a0","content":[{{"type":"text","text":"{}"}}],"totalTokens":22210,"usage":{{"input_tokens":4,"cache_creation_input_tokens":900,"cache_read_input_tokens":21000,"output_tokens":306}}}}"#,
                home.text(400)
            ),
            0 => format!(r#"{{"type":"image","file":{{"base64":"{}","type":"image/png"}}}}"#, home.rng.id("", 2_000)),
            _ => format!(r#"{{"stdout":"{body}","stderr":"","interrupted":false,"isImage":false}}"#),
        };
        self.user(home, &content, &format!(r#","toolUseResult":{shown}"#));
    }

    /// Lines that repeat a reply or look like one.
    fn odd_lines(&mut self, home: &mut Home) {
        let last = self.marks[self.marks.len() - 1];
        let (head, time, uuid) = (self.head(), self.time(), home.rng.uuid());
        if self.agent.is_none() && home.trap(3) {
            let answer = self.log.text[last.start..last.end].to_owned();
            self.log.line(&format!(
                r#"{head},"type":"progress","data":{{"type":"agent_progress","message":{answer}}},"uuid":"{uuid}","timestamp":"{time}"}}"#
            ));
        }
        if home.trap(2) {
            self.log.line(&format!(
                r#"{head},"type":"assistant","uuid":"{uuid}","timestamp":"{time}","message":{{"id":"{uuid}","model":"<synthetic>","role":"assistant","type":"message","usage":{{"input_tokens":0,"output_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}},"content":[{{"type":"text","text":"API Error: 529"}}]}},"isApiErrorMessage":true}}"#
            ));
        }
    }

    /// A separate file within the session.
    fn subagent(&self, home: &mut Home, size: usize) {
        let agent = format!("a{:07x}", home.rng.between(0, 0xfff_ffff));
        let mut side = Self { agent: Some(agent.clone()), log: Log::default(), marks: Vec::new(), ..self.clone() };
        side.calls = Vec::new();
        side.parent = "null".to_owned();
        side.model = home.rng.pick(MODELS);
        side.talk(home, size);
        side.finish(home, self.subagent_path(&agent));
    }

    /// A session that continues from some line of this one, whose lines it copies under its own name.
    fn fork(&self, home: &mut Home, size: usize) -> Self {
        let mut fork = Self { id: home.rng.uuid(), log: Log::default(), marks: Vec::new(), ..self.clone() };
        let cut = self.marks[home.rng.index(self.marks.len())];
        let copied = self.marks.iter().filter(|mark| mark.lines <= cut.lines).copied();
        fork.calls.truncate(cut.calls);
        fork.at += home.rng.millis(60_000, 90_000_000);
        let mut began = home.began[&self.id];
        let whole = &self.log.text[..=cut.end];
        match home.rng.index(3) {
            // Only the replies, as some clients do.
            0 => {
                began = home.truth.calls[self.calls[0]].at.millis();
                for mark in copied {
                    fork.log.line(&self.log.text[mark.start..mark.end]);
                    let end = fork.log.text.len() - 1;
                    let start = end - (mark.end - mark.start);
                    fork.marks.push(Mark { start, end, lines: fork.log.lines, calls: mark.calls });
                }
            }
            // All lines, so that both logs begin at the same moment; or with an earlier line.
            kind => {
                if kind == 2 {
                    began = fork.at;
                    let (time, id) = (fork.time(), &self.id);
                    let line = r#"{"type":"queue-operation","operation":"enqueue""#;
                    fork.log.line(&format!(r#"{line},"timestamp":"{time}","sessionId":"{id}","content":"go on"}}"#));
                }
                let (offset, before) = (fork.log.text.len(), fork.log.lines);
                fork.log.text.push_str(whole);
                fork.log.lines += cut.lines;
                let torn = self.log.torn.iter().filter(|line| **line <= cut.lines);
                fork.log.torn = torn.map(|line| line + before).collect();
                fork.marks.extend(copied.map(|mark| Mark {
                    start: mark.start + offset,
                    end: mark.end + offset,
                    lines: mark.lines + before,
                    calls: mark.calls,
                }));
            }
        }
        fork.log.text = fork.log.text.replace(&self.id, &fork.id);
        home.began.insert(fork.id.clone(), began);
        for call in &fork.calls {
            let call = &mut home.truth.calls[*call];
            if (began, &fork.id) < (home.began[&call.conversation], &call.conversation) {
                call.conversation.clone_from(&fork.id);
            }
        }
        fork.talk(home, size);
        fork
    }

    /// A subagent's log that repeats replies of the main log, as replies to other requests.
    fn replay(&self, home: &mut Home) {
        let agent = format!("a{:07x}", home.rng.between(0, 0xfff_ffff));
        let mut log = Log::default();
        let until = home.rng.index(self.marks.len().min(60));
        for mark in &self.marks[..=until] {
            let line = self.log.text[mark.start..mark.end].replace(r#""isSidechain":false"#, r#""isSidechain":true"#);
            let (before, behind) = line.rsplit_once(r#""requestId":""#).unwrap();
            let request = home.rng.id("req_011C", 20);
            log.line(&format!(r#"{before}"requestId":"{request}{}"#, &behind[request.len()..]));
        }
        let last = log.text.lines().last().unwrap_or_default().to_owned();
        log.finish(home, self.subagent_path(&agent), &last);
    }
}
