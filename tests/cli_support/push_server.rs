//! A running server of pushed ledgers, and a relay in front of it that observes and cuts connections.

#![allow(dead_code)] // each test file uses the part it needs

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

use crate::cli_support::{TestCli, server};

pub struct PushServer {
    child: Child,
    pub address: SocketAddr,
}

impl PushServer {
    /// Starts a server on a ledger, with these arguments in addition.
    pub fn start(cli: &TestCli, ledger: &str, arguments: &[&str]) -> Self {
        let (child, address) = server::start(
            Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                .args(["--json", "--ledger", ledger, "serve", "--listen", "127.0.0.1:0"])
                .args(arguments)
                .current_dir(cli.dir())
                .env_clear()
                .env("HOME", cli.dir()),
        );
        Self { child, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the server without warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Status and body of a request with the token of a machine.
    pub fn send(&self, token: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.send_as("application/vnd.usage-ledger.segment", token, method, path, body)
    }

    /// Status and body of a POST of JSON.
    pub fn send_json(&self, path: &str, body: &[u8]) -> (u16, Value) {
        self.send_as("application/json", "", "POST", path, body)
    }

    fn send_as(&self, media_type: &str, token: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let border = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, serde_json::from_slice(&answer[border + 4..]).unwrap_or(Value::Null))
    }
}

impl Drop for PushServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a relay does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Ends it after so many bytes of the request.
    Request(usize),
    /// Passes the request on, and ends it in front of the answer.
    Answer,
    /// Passes everything on.
    Nothing,
    /// Passes the request on, reports that, and sends no answer.
    Hold,
}

/// A relay. Connection `n` is treated as `cuts[n]`, later ones as the last.
pub struct Relay {
    pub address: SocketAddr,
    /// Requests that were passed on whole.
    pub requests: Receiver<Vec<u8>>,
}

impl Relay {
    pub fn start(to: SocketAddr, cuts: &[Cut]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let cuts = cuts.to_vec();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (cut, sender) = (cuts[number.min(cuts.len() - 1)], sender.clone());
                thread::spawn(move || pass(stream.unwrap(), to, cut, &sender));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Reads one request, with its body.
pub fn read_request(stream: &mut TcpStream, most: usize) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        let size = stream.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..size]);
        if size == 0 || bytes.len() >= most {
            bytes.truncate(most);
            return bytes;
        }
        let Some(border) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..border]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        if bytes.len() >= border + 4 + length.unwrap_or(0) {
            return bytes;
        }
    }
}

fn pass(mut client: TcpStream, to: SocketAddr, cut: Cut, requests: &Sender<Vec<u8>>) {
    let most = if let Cut::Request(bytes) = cut { bytes } else { usize::MAX };
    let Ok(mut server) = TcpStream::connect(to) else { return };
    let request = read_request(&mut client, most);
    if server.write_all(&request).is_err() {
        return;
    }
    if matches!(cut, Cut::Request(_)) {
        let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
        return;
    }
    let _ = requests.send(request);
    if cut == Cut::Hold {
        // Until one side ends.
        let mut byte = [0];
        let _ = client.read(&mut byte);
        return;
    }
    let mut answer = Vec::new();
    let mut buffer = vec![0; 65_536];
    // The server keeps the connection open, so one read of an answer is passed on at a time.
    loop {
        let size = server.read(&mut buffer).unwrap_or(0);
        if size == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..size]);
        if cut == Cut::Answer {
            break;
        }
        if client.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}
