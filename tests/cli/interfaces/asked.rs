//! Asks a question through an interface.

use serde_json::{Value, json};
use usage_ledger::{AsOf, Ledger, Timestamp};

use super::NOW;
use super::questions::Question;
use crate::api::Serving;
use crate::cli_support::TestCli;
use crate::mcp::{self, Client};
use crate::rpc::Session;

/// A position or time in the past, or now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub Option<&'static str>);

impl Moment {
    /// Now is a fixed time. The time of a question about the past follows from the ledger.
    fn clock(self) -> Vec<&'static str> {
        if self.0.is_none() { vec!["--now", NOW] } else { Vec::new() }
    }

    fn options(self) -> Vec<&'static str> {
        self.0.map_or_else(|| self.clock(), |past| vec!["--as-of", past])
    }

    /// Adds the moment to the parameters of an operation.
    fn add(self, params: &Value) -> Value {
        let mut params = params.clone();
        if let Some(past) = self.0 {
            params["as_of"] = json!(past);
        }
        params
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interface {
    Library,
    Command,
    Http,
    Rpc,
    Mcp,
    Sql,
    Exports,
}

impl Interface {
    pub const ALL: [Self; 7] =
        [Self::Library, Self::Command, Self::Http, Self::Rpc, Self::Mcp, Self::Sql, Self::Exports];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Command => "command",
            Self::Http => "HTTP",
            Self::Rpc => "rpc",
            Self::Mcp => "MCP",
            Self::Sql => "SQL",
            Self::Exports => "exports",
        }
    }

    /// Whether the answers lack fields that follow from no event, such as limits.
    pub const fn is_partial(self) -> bool {
        matches!(self, Self::Sql | Self::Exports)
    }
}

/// Every interface of one ledger.
pub(super) struct Interfaces<'a> {
    cli: &'a TestCli,
    moment: Moment,
    now: Timestamp,
    http: Serving,
    rpc: Session,
    runtime: tokio::runtime::Runtime,
    mcp: Client,
}

impl<'a> Interfaces<'a> {
    pub fn start(cli: &'a TestCli, moment: Moment) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mcp = runtime.block_on(mcp::connect(cli, &moment.clock()));
        let (http, rpc) = (Serving::start(cli, &moment.clock()), Session::start(cli, &moment.clock()));
        Self { cli, moment, now: time(cli, moment), http, rpc, runtime, mcp }
    }

    pub fn end(self) {
        let Self { runtime, mcp, .. } = self;
        runtime.block_on(mcp.cancel()).unwrap();
    }

    /// The answer; `None` if the interface does not offer it.
    pub fn ask(&mut self, interface: Interface, question: &Question) -> Option<Value> {
        let params = self.moment.add(&question.params);
        Some(match interface {
            Interface::Library => self.library(question),
            Interface::Command => {
                let args: Vec<&str> = question.args.iter().map(String::as_str).collect();
                self.command(&args)
            }
            Interface::Http => {
                let reply = self.http.get(&path(question.operation, &params));
                assert_eq!(reply.status, 200, "{reply:?}");
                reply.json()
            }
            Interface::Rpc => self.rpc.result(question.operation, &params),
            Interface::Mcp => {
                let (answer, is_error) = self.runtime.block_on(mcp::call(&self.mcp, tool(question.operation), params));
                assert!(!is_error, "{answer}");
                answer
            }
            Interface::Sql => {
                let (query, answer) = question.sql.as_ref()?;
                answer(self.command(&["sql", query])["rows"].as_array().unwrap())
            }
            Interface::Exports => {
                let (format, answer) = question.export.as_ref()?;
                answer(&self.cli.ok(&[self.moment.options(), vec!["export", "--format", format]].concat()))
            }
        })
    }

    fn command(&self, args: &[&str]) -> Value {
        // A shut gate is an answer, too.
        let run = self.cli.command().args(["--json", "--tz", "UTC"]).args(self.moment.options()).args(args).output();
        let run = run.unwrap();
        let error = String::from_utf8_lossy(&run.stderr);
        serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{args:?}: {error}"))
    }

    fn library(&self, question: &Question) -> Value {
        let ledger = Ledger::open(self.cli.ledger()).unwrap();
        let snapshot = self.moment.0.map_or_else(|| ledger.snapshot(), |past| ledger.as_of(as_of(past))).unwrap();
        (question.library)(&snapshot, self.now).unwrap()
    }

    /// The status and the problem of a refused operation.
    pub fn http_error(&self, operation: &str, params: &Value) -> (i64, Value) {
        let reply = self.http.get(&path(operation, params));
        (reply.status.into(), reply.json())
    }

    /// The code and the problem.
    pub fn rpc_error(&mut self, operation: &str, params: &Value) -> (i64, Value) {
        self.rpc.error(operation, params)
    }

    /// The problem.
    pub fn mcp_error(&self, operation: &'static str, params: &Value) -> Value {
        let (problem, is_error) = self.runtime.block_on(mcp::call(&self.mcp, tool(operation), params.clone()));
        assert!(is_error, "{problem}");
        problem
    }
}

fn as_of(past: &str) -> AsOf {
    past.parse::<u64>().map_or_else(|_| AsOf::Time(past.parse().unwrap()), |position| AsOf::Position(position.into()))
}

/// The time of a question: of one about a position, when that position was recorded.
fn time(cli: &TestCli, moment: Moment) -> Timestamp {
    match moment.0.map(|past| (past, as_of(past))) {
        None => NOW.parse().unwrap(),
        Some((past, AsOf::Position(_))) => {
            cli.json(&["show", past])["event"]["recorded_at"].as_str().unwrap().parse().unwrap()
        }
        Some((past, _)) => past.parse().unwrap(),
    }
}

fn tool(operation: &'static str) -> &'static str {
    if operation == "status" { "usage" } else { operation }
}

/// The path of an operation with its parameters as a query.
fn path(operation: &str, params: &Value) -> String {
    let mut path = operation.to_owned();
    for (name, value) in params.as_object().unwrap() {
        for value in value.as_array().map_or_else(|| vec![value.clone()], Clone::clone) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text = text.replace('%', "%25").replace(' ', "%20").replace('&', "%26");
            path += &format!("{}{name}={text}", if path.contains('?') { '&' } else { '?' });
        }
    }
    path
}
