//! Delivers each alert once to each target, however many processes try.
//!
//! A process begins an attempt by appending an event. The id of the event depends only on the alert, the target and the
//! number of the attempt, so one process alone can append it. A failed attempt is repeated after a pause. An attempt
//! without a result, because its process died, is not repeated, because the alert may have arrived.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::probe;
use crate::ledger::{Ledger, Snapshot};
use crate::model::event::{
    AlertDelivery, AlertFired, AlertTarget, DeliveryState, EventId, EventKind, NewEvent, Payload, Position, Subject,
};
use crate::model::threads::Stop;
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp, Zone};
use crate::present::alerts;
use crate::present::failure::Failure;
use crate::present::output::counted;
use crate::projection::{collect_events, each_event_between};
use crate::store::{GO_ON, Order};

/// An alert that fired, and its deliveries.
#[derive(Serialize)]
pub(crate) struct FiredAnswer {
    pub id: EventId,
    pub position: Position,
    pub at: Timestamp,
    #[serde(flatten)]
    pub alert: AlertFired,
    pub message: String,
    pub deliveries: Vec<DeliveryAttempt>,
}

/// The alerts that fired since a time, earliest first.
pub(crate) fn fired_since(
    snapshot: &Snapshot<'_>,
    since: Timestamp,
    until: Timestamp,
    zone: Zone,
) -> Result<Vec<FiredAnswer>, Failure> {
    let mut fired =
        collect_events(snapshot.view(), EventKind::AlertFired, &Subject::Ledger, (since, until), |indexed| {
            let Payload::AlertFired(alert) = indexed.event.payload else { return None };
            let message = alerts::message(&alert, zone);
            let (id, position, at) = (indexed.event.id, indexed.position, indexed.event.occurred_at);
            Some(FiredAnswer { id, position, at, alert, message, deliveries: Vec::new() })
        })?;
    add(snapshot, since, until, &mut fired)?;
    Ok(fired)
}

/// The age at which an undelivered alert is dropped, because it no longer describes the present.
const LASTS: i64 = DAY;
/// The longest pause between two attempts.
const LONGEST_PAUSE: i64 = HOUR;
/// Time limit of a webhook, in seconds.
const WEBHOOK_SECONDS: &str = "10";
/// The shell, and its option before a command.
const SHELL: [&str; 2] = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };

/// The last attempt to deliver an alert to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DeliveryAttempt {
    pub target: AlertTarget,
    pub attempts: u32,
    pub state: DeliveryState,
    pub at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl DeliveryAttempt {
    pub fn in_words(&self) -> String {
        let target = self.target.name();
        match (self.state, &self.why) {
            (DeliveryState::Delivered, _) => format!("{target}: delivered"),
            (DeliveryState::Sending, _) => format!("{target}: unknown"),
            (DeliveryState::Failed, why) => {
                let why = why.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
                format!("{target}: failed {}{why}", counted(u64::from(self.attempts), "time"))
            }
        }
    }

    /// Returns the number of the next attempt, if one is due.
    fn next(&self, now: Timestamp) -> Option<u32> {
        let pause = (MINUTE << self.attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let due = self.state == DeliveryState::Failed && now.millis() >= self.at.millis() + pause;
        due.then(|| self.attempts + 1)
    }
}

/// Adds their deliveries to alerts.
pub(super) fn add(
    snapshot: &Snapshot<'_>,
    since: Timestamp,
    until: Timestamp,
    fired: &mut [FiredAnswer],
) -> Result<(), Failure> {
    let (view, span) = (snapshot.view(), (since, until));
    each_event_between(view, EventKind::AlertDelivery, &Subject::Ledger, span, Order::Ascending, &mut |indexed| {
        let Payload::AlertDelivery(recorded) = indexed.event.payload else { return GO_ON };
        let Some(alert) = fired.iter_mut().find(|alert| alert.id == recorded.alert) else { return GO_ON };
        let AlertDelivery { target, attempt, state, why, .. } = recorded;
        let delivery = DeliveryAttempt { target, attempts: attempt, state, at: indexed.event.occurred_at, why };
        match alert.deliveries.iter_mut().find(|known| known.target == target) {
            // At the same instant, the end of an attempt is later than its beginning.
            Some(known) if attempt > known.attempts || state != DeliveryState::Sending => *known = delivery,
            Some(_) => {}
            None => alert.deliveries.push(delivery),
        }
        GO_ON
    })?;
    Ok(())
}

/// A configured target, and its address.
struct LocalTarget<'c> {
    target: AlertTarget,
    address: &'c str,
}

fn places(context: &Context) -> Vec<LocalTarget<'_>> {
    let targets = &context.config().alerts;
    let command = targets.command.as_ref().map(|stated| (AlertTarget::Command, stated.value.as_str()));
    let webhook = targets.webhook.as_ref().map(|stated| (AlertTarget::Webhook, stated.value.as_str()));
    let desktop = targets.desktop.as_ref().filter(|stated| stated.value).map(|_| (AlertTarget::Desktop, ""));
    [command, desktop, webhook].into_iter().flatten().map(|(target, address)| LocalTarget { target, address }).collect()
}

/// Returns whether any target is configured.
pub(super) fn is_configured(context: &Context) -> bool {
    !places(context).is_empty()
}

/// Fires rules and delivers pending alerts. Returns the reasons of failed attempts, one sentence each. A request to stop
/// ends the attempt that runs, and no other begins.
pub(crate) fn run(ledger: &Ledger, context: &Context, stop: &Stop) -> Result<Vec<String>, Failure> {
    let now = context.now();
    ledger.fire_alerts(now)?;
    let places = places(context);
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = fired_since(&ledger.snapshot()?, now.plus(-LASTS), now, context.zone())?;
    let mut failed = Vec::new();
    for alert in &waiting {
        for place in &places {
            if stop.is_requested() {
                return Ok(failed);
            }
            let known = alert.deliveries.iter().find(|known| known.target == place.target);
            let Some(attempt) = known.map_or(Some(1), |known| known.next(now)) else { continue };
            failed.extend(deliver(ledger, alert, place, attempt, (context, stop))?);
        }
    }
    Ok(failed)
}

/// Makes one attempt, unless another process makes it. Returns the reason of a failure.
fn deliver(
    ledger: &Ledger,
    alert: &FiredAnswer,
    place: &LocalTarget<'_>,
    attempt: u32,
    (context, stop): (&Context, &Stop),
) -> Result<Option<String>, Failure> {
    let append = |state, why: Option<String>| -> Result<bool, Failure> {
        let mut recorded = AlertDelivery::new(alert.id, place.target, attempt, state);
        recorded.why = why;
        let now = context.now();
        let event = NewEvent::new(recorded.clone(), now).id(recorded.id()).source("alert");
        Ok(ledger.append([event], now)?.into_iter().any(crate::Outcome::is_new))
    };
    if !append(DeliveryState::Sending, None)? {
        return Ok(None);
    }
    match send(place, alert, stop) {
        Ok(()) => {
            append(DeliveryState::Delivered, None)?;
            Ok(None)
        }
        Err(why) => {
            let delivery =
                format!("the alert at position {} did not reach the {}: {why}", alert.position, place.target.name());
            append(DeliveryState::Failed, Some(why))?;
            Ok(Some(delivery))
        }
    }
}

/// The alert as JSON.
fn document(alert: &FiredAnswer) -> String {
    let mut document =
        json!({ "schema": 1, "id": alert.id, "position": alert.position, "at": alert.at, "message": alert.message });
    if let (Some(document), Ok(serde_json::Value::Object(fields))) =
        (document.as_object_mut(), serde_json::to_value(&alert.alert))
    {
        document.extend(fields);
    }
    document.to_string()
}

/// Sends an alert. The reason of a failure contains neither the address nor the output, because both may contain secrets.
fn send(place: &LocalTarget<'_>, alert: &FiredAnswer, stop: &Stop) -> Result<(), String> {
    match place.target {
        AlertTarget::Command => {
            let mut shell = Command::new(SHELL[0]);
            shell.args([SHELL[1], place.address]).env("USAGE_LEDGER_ALERT", &alert.message);
            ran(shell, &document(alert), "the command", stop)
        }
        AlertTarget::Webhook => {
            let mut curl = Command::new("curl");
            // Pass the address on standard input, because other users can read the arguments of a process.
            curl.args(["--silent", "--fail", "--max-time", WEBHOOK_SECONDS, "--proto", "=http,https", "--config", "-"]);
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let config = format!(
                "url = \"{}\"\nheader = \"Content-Type: application/json\"\nheader = \"Idempotency-Key: {}\"\n\
                 data-binary = \"{}\"\noutput = \"{}\"\n",
                quoted(place.address),
                alert.id,
                quoted(&document(alert)),
                if cfg!(windows) { "NUL" } else { "/dev/null" }
            );
            ran(curl, &config, "curl", stop)
        }
        _ => ran(notification(&alert.message), "", "the notification of the desktop", stop),
    }
}

/// The command that shows a notification. The message is an argument or an environment variable, never a part of a
/// script, so it cannot run as code.
fn notification(message: &str) -> Command {
    const SCRIPT: &str = "on run argv\ndisplay notification (item 1 of argv) with title \"usage-ledger\"\nend run";
    const BALLOON: &str = "Add-Type -AssemblyName System.Windows.Forms; $n = New-Object System.Windows.Forms.NotifyIcon; \
        $n.Icon = [System.Drawing.SystemIcons]::Information; $n.Visible = $true; \
        $n.ShowBalloonTip(10000, 'usage-ledger', $env:USAGE_LEDGER_ALERT, 'Info'); Start-Sleep 5";
    let mut command;
    if cfg!(target_os = "macos") {
        command = Command::new("osascript");
        command.args(["-e", SCRIPT, message]);
    } else if cfg!(windows) {
        command = Command::new("powershell");
        command.args(["-NoProfile", "-Command", BALLOON]).env("USAGE_LEDGER_ALERT", message);
    } else {
        command = Command::new("notify-send");
        command.args(["--app-name=usage-ledger", "--", "usage-ledger", message]);
    }
    command
}

/// Runs a command with a text on its standard input, and waits for its end.
fn ran(mut command: Command, input: &str, what: &str, stop: &Stop) -> Result<(), String> {
    let failed = |error: io::Error| format!("{what} cannot be run ({error})");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes the pipe early.
        let _ = stdin.write_all(input.as_bytes());
    }
    match probe::ended(&mut child, stop).map_err(failed)? {
        0 => Ok(()),
        code => Err(format!("{what} exits {code}")),
    }
}
