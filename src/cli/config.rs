//! `config show`: prints each setting of this machine, with the origin of its value.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::config_file::{VARIABLE, ValueOrigin};
use super::context::Context;
use crate::present::failure::Failure;
use crate::present::output::{self, EscapedText, JsonAnswer};

/// Show the settings of this machine and the origin of each value
///
/// The settings are in config.toml below usage-ledger in the XDG configuration directory, or in the file that
/// `USAGE_LEDGER_CONFIG` names. A command-line option overrides the environment, the environment overrides the file, and
/// the file overrides the default. Settings that affect decisions are events: see `limit`, `price` and `alert`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger config show\n  \
    usage-ledger config path")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show each setting, its value and the origin of the value
    #[command(after_help = "Example:\n  usage-ledger config show --json")]
    Show,
    /// Print the path of the file
    #[command(after_help = "Example:\n  ${EDITOR:-vi} \"$(usage-ledger config path)\"")]
    Path,
}

/// One setting.
#[derive(Serialize)]
struct ConfigSetting {
    key: String,
    /// A string, or a list of strings.
    value: serde_json::Value,
    #[serde(flatten)]
    origin: ValueOrigin,
}

#[derive(Serialize)]
struct ConfigAnswer {
    file: Option<String>,
    exists: bool,
    settings: Vec<ConfigSetting>,
}

pub(crate) fn run(args: &ConfigArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let file = context.config();
    let path = file.path.as_ref().map(|path| path.display().to_string());
    match args.command {
        ConfigCommand::Path => {
            let path = path.ok_or_else(|| {
                Failure::usage(format!("this system has no directory for settings: name a file in {VARIABLE}"))
            })?;
            Ok(writeln!(out, "{}", EscapedText(&path))?)
        }
        ConfigCommand::Show => {
            let settings = settings(context)?;
            if context.json {
                return JsonAnswer::new(ConfigAnswer { file: path, exists: file.exists, settings }).write(out);
            }
            human(&settings, path.as_deref(), file.exists, out)
        }
    }
}

fn settings(context: &Context) -> Result<Vec<ConfigSetting>, Failure> {
    fn setting(key: impl Into<String>, value: serde_json::Value, origin: ValueOrigin) -> ConfigSetting {
        ConfigSetting { key: key.into(), value, origin }
    }
    let (ledger, from) = context.path_and_origin()?;
    let ledger = setting("ledger", ledger.display().to_string().into(), from);
    let (zone, from) = context.zone_and_origin();
    let zone = setting("zone", zone.to_string().into(), from);
    let (homes, from) = context.homes_and_origin();
    let homes: Vec<String> = homes.iter().map(|home| home.display().to_string()).collect();
    let homes = setting("homes", homes.into(), from);
    let (theme, from) = context.theme_and_origin();
    let theme = setting("theme", serde_json::json!(theme), from);
    let (listen, from) = context.listen_and_origin();
    let listen = setting("listen", listen.to_string().into(), from);
    let (report, from) = context.report_and_origin();
    let report: Vec<String> = report.iter().map(crate::report::ReportKey::name).collect();
    let report = setting("report", report.join(",").into(), from);
    let mut all = vec![ledger, zone, homes, theme, listen, report];
    let (file, targets) = (context.config(), &context.config().alerts);
    for (name, stated) in &file.labels {
        all.push(setting(format!("labels.{name}"), stated.value.clone().into(), ValueOrigin::file(file, stated)));
    }
    for (home, labels) in &file.home_labels {
        for (name, stated) in labels {
            let key = format!("labels.\"{}\".{name}", home.display());
            all.push(setting(key, stated.value.clone().into(), ValueOrigin::file(file, stated)));
        }
    }
    let origin = |stated: Option<ValueOrigin>| stated.unwrap_or_else(ValueOrigin::default);
    let command = targets.command.as_ref();
    let value = serde_json::json!(command.map(|stated| stated.value.as_str()));
    all.push(setting("alerts.command", value, origin(command.map(|stated| ValueOrigin::file(file, stated)))));
    // Show only the host, because the path of the address may be a secret.
    let webhook = targets.webhook.as_ref();
    let host = webhook.map(|stated| stated.value.splitn(4, '/').take(3).collect::<Vec<_>>().join("/") + "/…");
    all.push(setting(
        "alerts.webhook",
        serde_json::json!(host),
        origin(webhook.map(|stated| ValueOrigin::file(file, stated))),
    ));
    let desktop = targets.desktop.as_ref();
    let value = serde_json::json!(desktop.is_some_and(|stated| stated.value));
    all.push(setting("alerts.desktop", value, origin(desktop.map(|stated| ValueOrigin::file(file, stated)))));
    Ok(all)
}

fn human(settings: &[ConfigSetting], path: Option<&str>, exists: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => list.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join(", "),
        serde_json::Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let row = |one: &ConfigSetting| {
        let place = one.origin.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        vec![one.key.clone(), value(&one.value), format!("{}{place}", one.origin.origin.name())]
    };
    let header = ["setting", "value", "origin"].map(str::to_owned).to_vec();
    output::write_table(out, &output::table(header, 3, settings.iter().map(row)))?;
    let Some(path) = path else { return Ok(()) };
    let state = if exists { "" } else { ", which does not exist yet" };
    Ok(writeln!(out, "file: {}{state}", EscapedText(path))?)
}
