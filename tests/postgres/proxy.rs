//! A connection between client and server that counts round trips and can cut the line at a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;

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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self { port, round_trips: Arc::default(), cut: Arc::default(), latency: Arc::default() };
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
                thread::sleep(std::time::Duration::from_millis(latency.load(Ordering::SeqCst)));
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
