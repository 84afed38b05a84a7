//! Keeps the arguments of tool calls as the client wrote them.
//!
//! The protocol's library parses arguments into values: their keys are then in another order, and numbers in another
//! spelling. A recorded usage object keeps both, so a response that two interfaces record is one record.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::{AsyncRwTransport, DEFAULT_MAX_LINE_LENGTH};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The arguments of a tool call, as JSON. A request carries them as an extension.
#[derive(Clone, Debug)]
pub(super) struct RawArguments(pub Arc<str>);

/// Number of calls that are kept. The library reads a few lines ahead; a line that it refuses leaves its call behind.
const KEPT: usize = 1_000;

/// The calls in lines that the library has not parsed yet, in the order of the lines.
type Calls = Arc<Mutex<VecDeque<(RequestId, RawArguments)>>>;

/// The parts of a line that identify a call and its arguments.
#[derive(Deserialize)]
struct CallLine<'l> {
    id: RequestId,
    method: String,
    #[serde(borrow)]
    params: Params<'l>,
}

#[derive(Deserialize)]
struct Params<'l> {
    #[serde(borrow)]
    arguments: Option<&'l RawValue>,
}

/// A stream of messages whose tool calls carry [`RawArguments`].
pub(super) struct RawTransport<R: AsyncRead + Unpin, W: AsyncWrite> {
    inner: AsyncRwTransport<RoleServer, CallReader<R>, W>,
    calls: Calls,
}

impl<R, W> RawTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub fn new(read: R, write: W) -> Self {
        let calls = Calls::default();
        let lines = CallReader { read, line: Vec::new(), is_too_long: false, calls: Arc::clone(&calls) };
        Self { inner: AsyncRwTransport::new_server(lines, write), calls }
    }

    /// The arguments of the call with this id. Calls before it were in lines that the library refused.
    fn arguments(&self, id: &RequestId) -> Option<RawArguments> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let place = calls.iter().position(|(known, _)| known == id)?;
        calls.drain(..=place).next_back().map(|(_, arguments)| arguments)
    }
}

impl<R, W> Transport<RoleServer> for RawTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(&mut self, message: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let mut message = self.inner.receive().await?;
        if let JsonRpcMessage::Request(request) = &mut message
            && let ClientRequest::CallToolRequest(call) = &mut request.request
            && let Some(arguments) = self.arguments(&request.id)
        {
            call.extensions.insert(arguments);
        }
        Some(message)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.inner.close().await
    }
}

/// Reads bytes, and notes the tool calls in them before anyone else reads them.
struct CallReader<R> {
    read: R,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// Whether that line is longer than the library accepts.
    is_too_long: bool,
    calls: Calls,
}

impl<R> CallReader<R> {
    fn see(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > DEFAULT_MAX_LINE_LENGTH {
                self.is_too_long = true;
                self.line.clear();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.is_too_long = false;
        let line = std::mem::take(&mut self.line);
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
        // The library answers a line that is no call.
        let Ok(CallLine { id, method, params }) = serde_json::from_slice(line) else { return };
        if method == "tools/call" {
            let arguments = RawArguments(params.arguments.map_or("{}", RawValue::get).into());
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.len() >= KEPT {
                calls.pop_front();
            }
            calls.push_back((id, arguments));
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for CallReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.read).poll_read(context, buffer);
        if let Some(new) = buffer.filled().get(before..) {
            self.see(new);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(parts: &[&[u8]]) -> Vec<(RequestId, String)> {
        let calls = Calls::default();
        let mut lines = CallReader { read: (), line: Vec::new(), is_too_long: false, calls: Arc::clone(&calls) };
        for part in parts {
            lines.see(part);
        }
        let calls = calls.lock().unwrap();
        calls.iter().map(|(id, arguments)| (id.clone(), arguments.0.to_string())).collect()
    }

    #[test]
    fn arguments_keep_their_spelling_however_lines_arrive() {
        let line =
            br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"record","arguments":{"b":1e1,"a":2}}}"#;
        let text = [&line[..], b"\r\n{\"id\":8,\"method\":\"ping\",\"params\":{}}\nno JSON\n", line, b"\n"].concat();
        let expected = vec![(RequestId::Number(7), r#"{"b":1e1,"a":2}"#.to_owned()); 2];
        assert_eq!(seen(&[&text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(seen(&bytes), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let long = vec![b' '; DEFAULT_MAX_LINE_LENGTH + 1];
        let call = br#"{"id":"a","method":"tools/call","params":{"name":"usage"}}"#;
        assert_eq!(seen(&[&long, call, b"\n", call, b"\n"]), [(RequestId::String("a".into()), "{}".to_owned())]);
    }
}
