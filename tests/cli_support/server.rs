//! Starts servers of the command.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Starts a command that prints `{"listening":"http://ADDRESS"}` as its first line, and waits for that line.
pub fn start(command: &mut Command) -> (Child, SocketAddr) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} of {command:?}"));
    let address = answer["listening"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
    (child, address)
}
