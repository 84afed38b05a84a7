//! `serve`: runs the HTTP API and the telemetry receiver.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::app::importing::keep_importing;
use crate::cli::alert;
use crate::cli::context::Context;
use crate::cli::fleet;
use crate::cli::key_file;
use crate::ledger::Ledger;
use crate::model::error::Error;
use crate::model::threads::{Stop, start};
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, counted, grouped};
use crate::web::{self, Access, Api, Received, Receiver, Services, Token};

/// Seconds that a request waits for another process that writes. Then the sender is asked to retry.
const PATIENCE: u64 = 3;

/// How often new calls are imported.
const IMPORTS: Duration = Duration::from_secs(5);

/// How often alerts are checked.
const ALERTS: Duration = Duration::from_secs(60);

/// Environment variable with the token.
const TOKEN: &str = "USAGE_LEDGER_TOKEN";
const TOKEN_HELP: &str = "Read the token that every request must carry from this file [default: USAGE_LEDGER_TOKEN; on an address \
    that other machines can reach, a new token, printed on stderr]";
/// Maximum size of a token file in bytes.
const TOKEN_FILE: u64 = 4_096;

/// Serve the web page and the HTTP API, and receive telemetry from agents over OTLP/HTTP
///
/// The page is at the address itself; --open opens it in the browser and imports new calls while the server runs.
/// The API is at /api/v1, and /api/v1/openapi.json describes it. With --otlp the server also records the calls in
/// telemetry. Coding agents and OpenTelemetry GenAI instrumentations can send logs, traces and metrics, as protobuf or
/// JSON. A call that telemetry and an imported log both contain is one record. Metrics are compared with the records and
/// never recorded. Status 200 means that the calls are stored. With --otlp, GET / answers a browser with the page and
/// other programs with a list of what arrived. Ctrl-C ends the server.
///
/// Machines that `fleet enrol` names push their ledgers to /push/v1, each with a token of its own.
///
/// The server accepts requests for localhost, loopback addresses and the listen address, and refuses pages of other
/// origins. On a loopback address it requires a token only if you give one. On any other address every request needs
/// `Authorization: Bearer TOKEN`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger serve --open\n  \
    usage-ledger serve\n  \
    curl http://127.0.0.1:4318/api/v1/gate?provider=anthropic\n  \
    usage-ledger serve --otlp\n  \
    CLAUDE_CODE_ENABLE_TELEMETRY=1 OTEL_LOGS_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json claude\n  \
    usage-ledger serve --otlp --listen 0.0.0.0:4318 --token-file token.txt\n  \
    OTEL_EXPORTER_OTLP_HEADERS=\"Authorization=Bearer%20$(cat token.txt)\" claude")]
pub(crate) struct ServeArgs {
    /// Open the page in the browser, and import new calls of agents' logs while the server runs
    #[arg(long)]
    open: bool,
    /// With --open, import nothing
    #[arg(long, requires = "open")]
    no_import: bool,
    /// Accept telemetry over OTLP, the protocol of OpenTelemetry
    #[arg(long)]
    otlp: bool,
    /// The address to listen on; an address that other machines can reach requires a token [default: `listen` in
    /// config.toml, else 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[arg(long, value_name = "FILE", help = TOKEN_HELP)]
    token_file: Option<PathBuf>,
    /// Also accept requests for this host name, for example of a container or a reverse proxy; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Sign checkpoints and proofs of the API with this key; without it they are not signed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    fleet: fleet::FleetPlaceArgs,
}

pub(crate) fn run(args: &ServeArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let listen = args.listen.unwrap_or_else(|| context.listen_and_origin().0);
    let (access, new_token) = access(args, listen, context)?;
    let now = context.fixed_now();
    let clock = move || now.unwrap_or_else(|| chrono::Utc::now().into());
    let signer = args.key.as_deref().map(|file| key_file::read(file, context)).transpose()?;
    let ledger = context.serve_within(PATIENCE)?;
    let mut api = Api::new(ledger.clone().source("http"), context.zone(), clock);
    api = api.homes(context.homes(Vec::new()));
    if let Some(now) = context.named_now() {
        api = api.at(now);
    }
    if let Some(signer) = signer {
        api = api.signer(signer);
    }
    let alerts = ledger.clone();
    let receiver = args.otlp.then(|| Arc::new(Receiver::new(ledger, clock)));
    let machines = Arc::new(fleet::open(&args.fleet, context)?.with_own(alerts.clone()));
    let mut services = Services::new().api(api).fleet(Arc::clone(&machines));
    if let Some(receiver) = &receiver {
        services = services.telemetry(Arc::clone(receiver));
    }
    let mut sent: Result<(), Failure> = Ok(());
    let listening = |address: SocketAddr| {
        if let Some(token) = &new_token {
            print_message(&format!(
                "every request needs this token, which is new at each start: Authorization: Bearer {token}"
            ));
        }
        sent = announce(address, args.otlp, context.json, out);
        if args.open {
            open_page(address);
        }
    };
    let stop = Arc::new(Stop::default());
    let served = thread::scope(|scope| {
        let watched = &alerts;
        let merging = &machines;
        let stopped = &stop;
        let mut started = start(scope, move || watch_alerts(watched, context, stopped)).map(drop);
        started = started.and_then(|()| start(scope, move || merging.keep_merging(&clock)).map(drop));
        if args.open && !args.no_import && started.is_ok() {
            let importing = start(scope, move || {
                let mut last = None;
                keep_importing(context, IMPORTS, stopped, |failure| {
                    if let Some(why) = failure.as_ref().filter(|_| failure != last) {
                        print_message(&format!("new calls are not imported: {why}"));
                    }
                    last = failure;
                });
            });
            started = importing.map(drop);
        }
        // The threads end while the server answers its last requests.
        let (requested, merged) = (Arc::clone(&stop), Arc::clone(&machines));
        let ended = async move {
            web::shutdown_signal().await;
            requested.request();
            merged.end_merging();
        };
        let served = started.map(|()| web::serve(services, listen, access, listening, ended));
        // A server that could not listen received no signal.
        stop.request();
        machines.end_merging();
        served
    });
    served?.map_err(|error| {
        Error::invalid(format!("{listen} cannot be listened at ({error}): name another with --listen"))
    })?;
    sent?;
    // Without telemetry there is no summary to print.
    let Some(receiver) = receiver else { return Ok(()) };
    let done = receiver.received();
    if context.json { JsonAnswer::new(&done).write(out) } else { summary(&done, out) }
}

/// Returns the access rules, and the token if a new one was created.
fn access(args: &ServeArgs, listen: SocketAddr, context: &Context) -> Result<(Access, Option<String>), Failure> {
    let mut access = Access::new(listen.ip());
    for name in &args.host {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte)) {
            return Err(Failure::usage(format!("--host {name:?} is no host name: write it without scheme and port")));
        }
        access = access.host(name);
    }
    if let Some(token) = given_token(args, context)? {
        return Ok((access.token(token), None));
    }
    if listen.ip().to_canonical().is_loopback() {
        return Ok((access, None));
    }
    let (token, text) = Token::generate()?;
    Ok((access.token(token), Some(text)))
}

/// Returns the token from the file, otherwise from the environment. Errors never quote it.
fn given_token(args: &ServeArgs, context: &Context) -> Result<Option<Token>, Failure> {
    let (text, place) = if let Some(path) = &args.token_file {
        let unreadable = |source| Failure::Ledger(Error::Io { path: path.clone(), source });
        context.refuse_ledger(path)?;
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(TOKEN_FILE).read_to_string(&mut text).map_err(unreadable)?;
        (text, path.display().to_string())
    } else if let Some(text) = std::env::var_os(TOKEN) {
        (text.to_string_lossy().into_owned(), TOKEN.to_owned())
    } else {
        return Ok(None);
    };
    Ok(Some(
        Token::new(&text)
            .map_err(|error| Failure::usage(format!("{} holds no token ({error})", EscapedText(&place))))?,
    ))
}

/// Opens the page in the user's browser. The address contains no token, because other users of the machine may see the
/// arguments of a process.
fn open_page(address: SocketAddr) {
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let page = format!("http://{host}:{}/", address.port());
    if let Err(error) = open::that_detached(&page) {
        print_message(&format!("no browser could be opened ({error}): open {page} yourself"));
    }
}

/// Fires and delivers alerts every minute until the server ends.
fn watch_alerts(ledger: &Ledger, context: &Context, stop: &Stop) {
    loop {
        alert::after_until(ledger, context, stop);
        if stop.wait(ALERTS) {
            return;
        }
    }
}

fn announce(address: SocketAddr, otlp: bool, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        JsonAnswer::new(json!({"listening": format!("http://{address}")})).write(out)?;
    } else {
        let otlp = if otlp { " and OTLP/HTTP" } else { "" };
        writeln!(out, "listening at http://{address} for the page, /api/v1{otlp}")?;
    }
    Ok(out.flush()?)
}

fn summary(received: &Received, out: &mut dyn Write) -> Result<(), Failure> {
    let calls = received.calls;
    writeln!(out, "{} recorded, {} known, {} amended", counted(calls.recorded, "call"), calls.known, calls.amended)?;
    if received.unread > 0 {
        writeln!(out, "{} not understood:", grouped(received.unread))?;
        for why in &received.reasons {
            writeln!(out, "  {}", EscapedText(why))?;
        }
    }
    for sum in received.sums.iter().filter(|sum| sum.stated > 0) {
        let (agent, model) = (EscapedText(&sum.agent), EscapedText(&sum.model));
        let (stated, recorded) = (grouped(sum.stated), grouped(sum.recorded));
        writeln!(out, "{agent} {model}: its metrics state {stated} tokens, its logs and spans contain {recorded}")?;
    }
    Ok(())
}
