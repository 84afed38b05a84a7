//! Requests of this machine to a server of pushed ledgers, by curl.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use super::context::Context;
use crate::present::failure::Failure;
use crate::sync::push::{SyncRequest, SyncResponse};

/// The environment variable with the token of this machine.
const TOKEN: &str = "USAGE_LEDGER_PUSH_TOKEN";
/// The help of the option for a file with the token.
pub(super) const TOKEN_HELP: &str = "Read the token of this machine from this file [default: USAGE_LEDGER_PUSH_TOKEN]";
/// The largest file with a token, in bytes.
const TOKEN_FILE: u64 = 4_096;
/// The longest token, in characters.
const LONGEST: usize = 512;
/// How long to wait for a connection, in seconds.
const CONNECT: u32 = 10;
/// The largest answer, in bytes: a segment.
const ANSWER: u64 = 32 << 20;

/// A server, and the token of this machine.
pub(crate) struct LedgerServer {
    url: String,
    token: String,
    /// How long an answer may take, in seconds.
    seconds: u32,
}

/// Returns the address of a server without a slash at its end. Other machines are reached over https only, because the
/// token must not be readable on the way.
pub(crate) fn address(given: &str, allow_http: bool) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::usage(format!("the address of the server {why}: write https://HOST"));
    let url = given.trim_end_matches('/');
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let is_local =
                host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            if !is_local && !allow_http {
                return Err(wrong(
                    "would send the token without encryption; --allow-http permits that in a closed network",
                ));
            }
            rest
        }
        (None, None) => return Err(wrong("has no scheme")),
    };
    let plain = |char: char| char.is_ascii_graphic() && !"\"\\@?#".contains(char);
    if rest.is_empty() || !rest.chars().all(plain) {
        return Err(wrong("has a user, a query, or characters that no address has"));
    }
    Ok(url.to_owned())
}

impl LedgerServer {
    pub fn new(url: String, token_file: Option<&Path>, seconds: u32, context: &Context) -> Result<Self, Failure> {
        Ok(Self { url, token: token(token_file, context)?, seconds })
    }

    /// Sends a request. Token and address go over standard input, because other users can read the arguments of a process.
    pub fn send(&self, request: &SyncRequest) -> Result<SyncResponse, String> {
        let mut config = format!(
            "url = \"{}{}\"\nheader = \"Authorization: Bearer {}\"\nwrite-out = \"%{{stderr}}\\n%{{http_code}}\"\n",
            self.url, request.path, self.token
        );
        // The file is private to its owner, and removed at the end.
        let file = match &request.body {
            None => None,
            Some((bytes, media_type)) => {
                let failed = |error: std::io::Error| format!("the request cannot be written to a file ({error})");
                let mut file = NamedTempFile::new().map_err(failed)?;
                file.write_all(bytes).map_err(failed)?;
                let path = file.path().display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
                config += "header = \"Expect:\"\n";
                for (name, value) in
                    [("data-binary", format!("@{path}")), ("header", format!("Content-Type: {media_type}"))]
                {
                    config.extend([name, " = \"", &value, "\"\n"]);
                }
                Some(file)
            }
        };
        let answer = self.run(&config);
        drop(file);
        answer
    }

    fn run(&self, config: &str) -> Result<SyncResponse, String> {
        let failed = |error: std::io::Error| format!("curl cannot be run ({error}): install it");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--proto", "=http,https", "--config", "-"]);
        curl.args(["--connect-timeout", &CONNECT.min(self.seconds).to_string()]);
        curl.args(["--max-time", &self.seconds.to_string(), "--max-filesize", &ANSWER.to_string()]);
        curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = curl.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // Without a reader curl has failed already, and states why.
            let _ = stdin.write_all(config.as_bytes());
        }
        let done = child.wait_with_output().map_err(failed)?;
        let said = String::from_utf8_lossy(&done.stderr);
        let (why, status) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        if !done.status.success() {
            let why = if why.trim().is_empty() { "curl states no reason" } else { why.trim() };
            return Err(why.to_owned());
        }
        let status = status.trim().parse().map_err(|_| "its answer has no status".to_owned())?;
        Ok(SyncResponse { status, body: done.stdout })
    }
}

/// The token of this machine, from a file, else from the environment. Errors never quote it.
fn token(file: Option<&Path>, context: &Context) -> Result<String, Failure> {
    let (text, place) = if let Some(path) = file {
        context.refuse_ledger(path)?;
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(TOKEN_FILE).read_to_string(&mut text));
        read.map_err(|error| super::key_file::trouble(path, error))?;
        (text, path.display().to_string())
    } else if let Some(text) = std::env::var_os(TOKEN).filter(|text| !text.is_empty()) {
        (text.to_string_lossy().into_owned(), TOKEN.to_owned())
    } else {
        return Err(Failure::usage(format!(
            "the server needs the token of this machine: `usage-ledger fleet enrol NAME` on the server makes one; give it \
             with --token-file FILE or in {TOKEN}"
        )));
    };
    let text = text.trim();
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(plain) {
        return Err(Failure::usage(format!("{place} has no token: write it on one line")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_encrypted_beyond_this_machine() {
        for (given, url) in [
            ("https://ledger.example/", "https://ledger.example"),
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("http://localhost:1/base/", "http://localhost:1/base"),
            ("http://[::1]:4318", "http://[::1]:4318"),
        ] {
            assert_eq!(address(given, false).unwrap(), url);
        }
        assert_eq!(address("http://ledger:4318", true).unwrap(), "http://ledger:4318");
        for given in [
            "http://ledger.example",
            "http://127.0.0.1.example",
            "ledger.example",
            "ftp://ledger.example",
            "https://",
            "https://me:secret@ledger.example",
            "https://ledger.example/?a",
            "https://ledger.example\nurl = x",
        ] {
            assert!(address(given, false).is_err(), "{given}");
        }
    }
}
