//! Runs the command on a ledger in a temporary directory.

#![allow(dead_code)] // each test file uses the part it needs

pub mod server;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A temporary directory with a ledger, which does not exist at first.
pub struct TestCli {
    dir: TempDir,
}

impl TestCli {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn ledger(&self) -> PathBuf {
        self.dir().join("usage.db")
    }

    /// The bytes of the ledger's file.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.ledger()).unwrap()
    }

    /// The command with an empty environment.
    pub fn command(&self) -> Command {
        let mut command = Command::cargo_bin("usage-ledger").unwrap();
        command.env_clear().env("HOME", self.dir()).env("TZ", "UTC").env("USAGE_LEDGER", self.ledger());
        command
    }

    /// The output of a command that succeeds.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.command().args(args).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// The same at a given time.
    pub fn at(&self, now: &str, args: &[&str]) -> String {
        self.ok(&[&["--now", now], args].concat())
    }

    /// The JSON answer of a command.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], args].concat())).unwrap()
    }

    /// The output of a command with this standard input.
    pub fn ok_with_input(&self, input: impl Into<Vec<u8>>, args: &[&str]) -> String {
        let done = self.command().args(args).write_stdin(input).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// The message of a command that fails with this exit code; its standard output must be empty.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        self.fails_with_input(code, "", args)
    }

    pub fn fails_with_input(&self, code: i32, input: impl Into<Vec<u8>>, args: &[&str]) -> String {
        let done = self.command().args(args).write_stdin(input).assert().code(code);
        let output = done.get_output();
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(output.stdout.is_empty(), "{args:?} answered {:?}", output.stdout);
        assert!(stderr.starts_with("usage-ledger: "), "{args:?} said {stderr:?}");
        stderr
    }
}

/// Finds the provider in a status.
pub fn provider<'v>(status: &'v Value, name: &str) -> &'v Value {
    status["providers"].as_array().unwrap().iter().find(|one| one["provider"] == name).unwrap()
}
