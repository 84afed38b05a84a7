//! A connection between client and server that counts round trips and can cut the line at a commit.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Where the next commit is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    Never = 0,
    /// Before the commit reaches the server.
    Before = 1,
    /// After the commit reached the server, before its answer reaches the client.
    After = 2,
}

#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    round_trips: Arc<AtomicU64>,
    cut: Arc<AtomicU8>,
    /// How long answers take, in milliseconds.
    latency: Arc<AtomicU64>,
    /// The statements that were sent.
    statements: Arc<Mutex<BTreeSet<String>>>,
    gate: Gate,
}

/// Holds the n-th request of several proxies back, until the client is gone.
#[derive(Clone, Default)]
pub struct Gate {
    /// Requests that still pass; negative for all.
    left: Arc<AtomicI64>,
    /// Whether the request that is held back reaches the server, and only its answer is held back.
    is_sent: Arc<AtomicBool>,
    reached: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub fn open() -> Self {
        let gate = Self::default();
        gate.left.store(-1, Ordering::SeqCst);
        gate
    }

    /// Lets some requests pass. The next one reaches the server or does not.
    pub fn set(&self, requests: i64, is_sent: bool) {
        self.is_sent.store(is_sent, Ordering::SeqCst);
        *self.reached.0.lock().unwrap() = false;
        self.left.store(requests, Ordering::SeqCst);
    }

    /// Waits until a request is held back; false if none is in that time.
    pub fn wait(&self, most: Duration) -> bool {
        let reached = self.reached.0.lock().unwrap();
        *self.reached.1.wait_timeout_while(reached, most, |reached| !*reached).unwrap().0
    }

    /// Whether a request passes.
    fn pass(&self) -> bool {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then(|| left - 1));
        left != Err(0)
    }

    fn note_reached(&self) {
        *self.reached.0.lock().unwrap() = true;
        self.reached.1.notify_all();
    }
}

/// Splits a stream of messages.
struct Messages {
    buffer: Vec<u8>,
    /// The first message of a client has no type.
    untyped: bool,
}

impl Messages {
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let typed = usize::from(!self.untyped);
        let length = self.buffer.get(typed..typed + 4)?;
        let whole = typed + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if self.buffer.len() < whole {
            return None;
        }
        let message: Vec<u8> = self.buffer.drain(..whole).collect();
        let kind = if self.untyped { 0 } else { message[0] };
        self.untyped = false;
        Some((kind, message))
    }
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        Self::with_gate(server, Gate::open())
    }

    /// The statements so far.
    pub fn statements(&self) -> BTreeSet<String> {
        self.statements.lock().unwrap().clone()
    }

    fn note(&self, kind: u8, message: &[u8]) {
        let mut texts = message[5..].split(|byte| *byte == 0);
        let text = match kind {
            b'Q' => texts.next(),
            b'P' => texts.nth(1),
            _ => return,
        };
        self.statements.lock().unwrap().insert(String::from_utf8_lossy(text.unwrap()).into_owned());
    }

    pub fn with_gate(server: u16, gate: Gate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self {
            port,
            round_trips: Arc::default(),
            cut: Arc::default(),
            latency: Arc::default(),
            statements: Arc::default(),
            gate,
        };
        let of = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                of.connect(client, server);
            }
        });
        proxy
    }

    pub fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// Delays answers. Requests that are sent without waiting for an answer then count as one round trip.
    pub fn set_latency(&self, milliseconds: u64) {
        self.latency.store(milliseconds, Ordering::SeqCst);
    }

    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }

    /// The round trips of some work.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let before = self.round_trips();
        let done = work();
        (done, self.round_trips() - before)
    }

    fn connect(&self, client: TcpStream, server: TcpStream) {
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        // Requests without an answer yet.
        let open = Arc::new(AtomicU64::new(0));
        let (proxy, requests) = (self.clone(), Arc::clone(&open));
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || {
            let mut messages = Messages { buffer: Vec::new(), untyped: true };
            let mut chunk = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                messages.buffer.extend_from_slice(&chunk[..read]);
                while let Some((kind, message)) = messages.next() {
                    if message.len() > 5 {
                        proxy.note(kind, &message);
                    }
                    if matches!(kind, b'Q' | b'S') && !proxy.gate.pass() {
                        if proxy.gate.is_sent.load(Ordering::SeqCst) && to.write_all(&message).is_err() {
                            return;
                        }
                        proxy.gate.note_reached();
                        // The client waits until it is killed.
                        while let Ok(1..) = from.read(&mut chunk) {}
                        let _ = to.shutdown(Shutdown::Both);
                        return;
                    }
                    if matches!(kind, b'Q' | b'S') && requests.fetch_add(1, Ordering::SeqCst) == 0 {
                        proxy.round_trips.fetch_add(1, Ordering::SeqCst);
                    }
                    let commits = kind == b'Q' && message.ends_with(b"COMMIT\0");
                    let cut = if commits { proxy.cut.swap(Cut::Never as u8, Ordering::SeqCst) } else { 0 };
                    if cut == Cut::After as u8 {
                        // The answer never reaches the client, but the server has the request.
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.write_all(&message);
                        let _ = to.shutdown(Shutdown::Write);
                        return;
                    }
                    if cut == Cut::Before as u8 {
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                        return;
                    }
                    if to.write_all(&message).is_err() {
                        return;
                    }
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        let (mut from, mut to) = (server, client);
        let latency = Arc::clone(&self.latency);
        thread::spawn(move || {
            let mut messages = Messages { buffer: Vec::new(), untyped: false };
            let mut chunk = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                thread::sleep(Duration::from_millis(latency.load(Ordering::SeqCst)));
                messages.buffer.extend_from_slice(&chunk[..read]);
                while let Some((kind, _)) = messages.next() {
                    if kind == b'Z' {
                        // The answer to the start of a connection has no request.
                        let _ = open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                    }
                }
                if to.write_all(&chunk[..read]).is_err() {
                    return;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
