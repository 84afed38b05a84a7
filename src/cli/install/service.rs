//! Installs a user service that runs `serve`: a systemd unit, a launchd agent, or a scheduled task.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use etcetera::BaseStrategy;
use serde::Serialize;

use super::{diff, shell_line};
use crate::cli::agent_files::replace;
use crate::cli::context::Context;
use crate::model::error::Error;
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer};

/// Name of the service.
const NAME: &str = "usage-ledger";

/// A service of your user that runs `serve`: a systemd unit, a launchd agent or a scheduled task
///
/// The command writes the file and prints the command that starts the service.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger install service --dry-run\n  \
    usage-ledger install service -- --otlp --listen 127.0.0.1:4400")]
pub(crate) struct ServiceArgs {
    /// Show the file and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove the file
    #[arg(long)]
    undo: bool,
    /// Options of `serve` [default: --otlp]
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// A file, its text, and the commands that start and end the service.
struct SystemService {
    path: PathBuf,
    text: String,
    start: String,
    stop: String,
}

#[derive(Serialize)]
struct ServiceAnswer {
    file: String,
    changed: bool,
    dry_run: bool,
    diff: String,
    next: String,
}

pub(super) fn run(args: &ServiceArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let service = described(&words(args, context)?)?;
    let failed = |source| Failure::from(Error::Io { path: service.path.clone(), source });
    context.refuse_ledger(&service.path)?;
    let before = match std::fs::read_to_string(&service.path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(failed(source)),
    };
    let after = if args.undo { "" } else { &service.text };
    let changed = before.as_deref().unwrap_or_default() != after;
    let file = service.path.display().to_string();
    let diff = diff::unified(&file, before.as_deref().unwrap_or_default(), after);
    if changed && !args.dry_run {
        if args.undo {
            std::fs::remove_file(&service.path).map_err(failed)?;
        } else {
            replace(&service.path, &service.text)?;
        }
    }
    let next = if args.undo { service.stop } else { service.start };
    if context.json {
        return JsonAnswer::new(ServiceAnswer { file, changed, dry_run: args.dry_run, diff, next }).write(out);
    }
    for line in diff.lines() {
        writeln!(out, "{}", EscapedText(line))?;
    }
    match (changed, args.dry_run) {
        (false, _) => writeln!(out, "{} is as it should be", EscapedText(&file))?,
        (true, true) => writeln!(out, "nothing is written")?,
        (true, false) => writeln!(out, "written")?,
    }
    Ok(writeln!(out, "next: {}", EscapedText(&next))?)
}

/// The command line of the service. Its paths are absolute, because a service does not inherit the user's working
/// directory and search path.
fn words(args: &ServiceArgs, context: &Context) -> Result<Vec<String>, Failure> {
    let own = std::env::current_exe().map_err(|error| {
        Failure::usage(format!("the path of this program is not known ({error}): write the service by hand"))
    })?;
    context.expect_file("a service file is no place for the address of a server: set USAGE_LEDGER for the service")?;
    let ledger = std::path::absolute(context.path()?).map_err(|source| Error::Io { path: PathBuf::new(), source })?;
    let mut words =
        vec![own.display().to_string(), "--ledger".to_owned(), ledger.display().to_string(), "serve".to_owned()];
    if args.options.is_empty() {
        words.push("--otlp".to_owned());
    }
    words.extend(args.options.iter().cloned());
    if words.iter().any(|word| word.chars().any(char::is_control)) {
        return Err(Failure::usage("a path or an option contains a control character: give another"));
    }
    Ok(words)
}

fn described(words: &[String]) -> Result<SystemService, Failure> {
    let none = || Failure::usage("this system has no directory for the services of a user");
    let home = std::env::home_dir().ok_or_else(none)?;
    if cfg!(target_os = "macos") {
        let path = home.join("Library/LaunchAgents").join(format!("{NAME}.plist"));
        let shown = path.display().to_string();
        let command = |verb: &str| shell_line(&["launchctl".to_owned(), verb.to_owned(), shown.clone()]);
        return Ok(SystemService { text: plist(words), start: command("load"), stop: command("unload"), path });
    }
    let dirs = etcetera::choose_base_strategy().map_err(|_| none())?;
    if cfg!(windows) {
        let path = dirs.data_dir().join(NAME).join("service.xml");
        let start = format!("schtasks /Create /TN {NAME} /XML \"{}\" && schtasks /Run /TN {NAME}", path.display());
        return Ok(SystemService { text: task(words), start, stop: format!("schtasks /Delete /TN {NAME}"), path });
    }
    let path = dirs.config_dir().join("systemd/user").join(format!("{NAME}.service"));
    let start = format!("systemctl --user daemon-reload && systemctl --user enable --now {NAME}");
    let stop = format!("systemctl --user disable --now {NAME}");
    Ok(SystemService { text: unit(words), start, stop, path })
}

/// A systemd user unit.
fn unit(words: &[String]) -> String {
    // Escapes quotes and backslashes as systemd.syntax(7) requires, and doubles the characters that ExecStart expands.
    let word = |word: &String| {
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
        format!("\"{escaped}\"")
    };
    let line = words.iter().map(word).collect::<Vec<_>>().join(" ");
    format!(
        "[Unit]\nDescription=usage-ledger: HTTP API, and telemetry of agents\n\n[Service]\nExecStart={line}\n\
         Restart=on-failure\nRestartSec=5\nNoNewPrivileges=yes\nPrivateTmp=yes\n\n[Install]\nWantedBy=default.target\n"
    )
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A launchd agent.
fn plist(words: &[String]) -> String {
    let words = words.iter().fold(String::new(), |list, word| list + "    <string>" + &xml(word) + "</string>\n");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{NAME}</string>\n  <key>ProgramArguments</key>\n  \
         <array>\n{words}  </array>\n  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    \
         <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n</dict>\n</plist>\n"
    )
}

/// A scheduled task that starts when the user logs on.
fn task(words: &[String]) -> String {
    let (program, options) = words.split_first().map_or((String::new(), String::new()), |(program, options)| {
        let quoted: Vec<String> = options.iter().map(|word| format!("\"{word}\"")).collect();
        (program.clone(), quoted.join(" "))
    });
    format!(
        "<?xml version=\"1.0\"?>\n<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\n  \
         <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>\n  \
         <Settings><ExecutionTimeLimit>PT0S</ExecutionTimeLimit></Settings>\n  \
         <Actions><Exec><Command>{}</Command><Arguments>{}</Arguments></Exec></Actions>\n</Task>\n",
        xml(&program),
        xml(&options)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<String> {
        ["/opt/my tools/usage-ledger", "--ledger", "/home/me/a & \"b\" 100%.db", "serve"].map(str::to_owned).to_vec()
    }

    #[test]
    fn words_stay_whole_in_every_file() {
        assert!(unit(&words()).contains(
            "ExecStart=\"/opt/my tools/usage-ledger\" \"--ledger\" \"/home/me/a & \\\"b\\\" 100%%.db\" \"serve\"\n"
        ));
        assert!(plist(&words()).contains("<string>/home/me/a &amp; &quot;b&quot; 100%.db</string>"));
        assert!(task(&words()).contains("<Command>/opt/my tools/usage-ledger</Command>"));
    }
}
