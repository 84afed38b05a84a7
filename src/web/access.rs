//! Access rules: accepted host names, pages that may call the server, and the token.
//!
//! A browser sends requests to a loopback server on behalf of any page. A page can also point its own host name to
//! 127.0.0.1 (DNS rebinding), which makes its requests same-origin for the browser. The `Host` header still contains
//! the page's name, so the server accepts known names only.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::{BodyForm, RequestRefusal};
use super::intake::refuse;
use super::page;
use super::token::Token;

/// Content types that a page of another origin can send without a preflight request.
const SENT_BY_FORMS: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

/// The beginning of paths whose requests carry the token of a machine instead of that of the server.
const MACHINE_PATHS: &str = "/push/v1/";

/// The access rules, which apply to every route.
#[derive(Clone, Debug)]
pub struct Access {
    listen: IpAddr,
    hosts: Vec<String>,
    token: Option<Token>,
}

/// The local address of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub IpAddr);

impl Access {
    /// Creates the rules for a server that listens at an address. Loopback names, loopback addresses and this address
    /// are accepted, with any port.
    pub fn new(listen: IpAddr) -> Self {
        Self { listen: listen.to_canonical(), hosts: Vec::new(), token: None }
    }

    /// Requires a token in every request.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Also accepts another host name, such as that of a container or a reverse proxy.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Returns whether every request needs a token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Refuses a request that violates a rule.
    fn check(&self, parts: &Parts) -> Result<(), RequestRefusal> {
        let refuse = |status, why: &str| Err(RequestRefusal::new(BodyForm::of(parts), status, why));
        let Some(host) = authority(parts) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "the request needs exactly one Host header: send the server's own name and port",
            );
        };
        let local = parts.extensions.get::<Local>().map(|local| local.0);
        if !self.answers_to(host.host(), local) {
            return refuse(
                StatusCode::FORBIDDEN,
                "the Host header names another server: use localhost or the listen address, or start `serve` with --host NAME",
            );
        }
        if !is_own_page(parts, &host) {
            return refuse(
                StatusCode::FORBIDDEN,
                "the request comes from a page of another origin: only pages of this server and programs may send requests",
            );
        }
        // The page asks for the token, so its files do not need one. They contain nothing of the ledger.
        if let Some(token) = &self.token
            && !page::is_public(parts)
            && !carries_machine_token(parts)
            && !bearer(&parts.headers).is_some_and(|sent| token.is(sent))
        {
            return refuse(
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong: send the token of this server as a bearer token in the header `Authorization`",
            );
        }
        if is_from_form(parts) {
            return refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a body of this type is not read here: send application/json or application/x-protobuf",
            );
        }
        Ok(())
    }

    fn answers_to(&self, host: &str, local: Option<IpAddr>) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback()
                || address == self.listen
                || local.is_some_and(|local| local.to_canonical() == address)
                || self.hosts.iter().any(|host| host == bare);
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Returns the server that a request names. A target in absolute form must equal the header.
fn authority(parts: &Parts) -> Option<Authority> {
    let header = only(&parts.headers, &header::HOST)?;
    let host: Authority = header.parse().ok().filter(|host: &Authority| !host.as_str().contains('@'))?;
    match parts.uri.authority() {
        Some(target) if target != &host => None,
        _ => Some(host),
    }
}

/// Returns the value of a header that occurs once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok();
    value.filter(|_| values.next().is_none())
}

/// Returns whether the request comes from no page, or from a page of this server.
fn is_own_page(parts: &Parts, host: &Authority) -> bool {
    if parts.headers.contains_key(header::ORIGIN) {
        return only(&parts.headers, &header::ORIGIN).is_some_and(|origin| is_origin_of(origin, host));
    }
    // Browsers send no Origin with a plain GET. They send Sec-Fetch-Site instead, and following a link is allowed.
    let sent = |name: &'static str| only(&parts.headers, &HeaderName::from_static(name));
    match sent("sec-fetch-site") {
        Some("cross-site" | "same-site") => parts.method == Method::GET && sent("sec-fetch-mode") == Some("navigate"),
        _ => true,
    }
}

/// Returns whether an origin is that of this server: the same name and port.
fn is_origin_of(origin: &str, host: &Authority) -> bool {
    let (rest, default) = if let Some(rest) = origin.strip_prefix("http://") {
        (rest, 80)
    } else if let Some(rest) = origin.strip_prefix("https://") {
        (rest, 443)
    } else {
        return false;
    };
    rest.parse::<Authority>().is_ok_and(|origin| {
        origin.host().eq_ignore_ascii_case(host.host())
            && origin.port_u16().unwrap_or(default) == host.port_u16().unwrap_or(default)
    })
}

/// Returns whether the route checks the token of a machine itself.
fn carries_machine_token(parts: &Parts) -> bool {
    parts.uri.path().starts_with(MACHINE_PATHS)
}

/// Returns the token of `Authorization: Bearer TOKEN`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns whether a form of another origin could have sent this body.
fn is_from_form(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    SENT_BY_FORMS.iter().any(|form| kind.eq_ignore_ascii_case(form))
}

/// Passes a request on, or refuses it.
pub(super) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match access.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => refuse(refusal, &parts, body).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(access: &Access, headers: &[(&str, &str)]) -> u16 {
        let mut request = axum::http::Request::post("/v1/logs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        access.check(&parts).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_host_names_of_this_machine_are_accepted() {
        let access = Access::new([192, 168, 1, 5].into()).host("ledger.example");
        for host in [
            "localhost",
            "LOCALHOST:4318",
            "localhost.:80",
            "127.0.0.1:9",
            "127.8.9.1",
            "[::1]:4318",
            "[::ffff:127.0.0.1]:1",
            "192.168.1.5:4318",
            "ledger.example:443",
        ] {
            assert_eq!(check(&access, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "192.168.1.6",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "[::2]",
        ] {
            assert_eq!(check(&access, &[("host", host)]), 403, "{host}");
        }
        for host in ["", "evil@localhost", "localhost/", "a b"] {
            assert_eq!(check(&access, &[("host", host)]), 400, "{host}");
        }
        assert_eq!(check(&access, &[]), 400);
        assert_eq!(check(&access, &[("host", "localhost"), ("host", "evil.example")]), 400);
    }

    #[test]
    fn only_pages_of_this_server_may_send() {
        let access = Access::new([127, 0, 0, 1].into());
        let from = |origin| check(&access, &[("host", "localhost:4318"), ("origin", origin)]);
        assert_eq!((from("http://localhost:4318"), from("https://LOCALHOST:4318")), (200, 200));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:4318",
            "http://localhost:4318.evil.example",
            "file://",
            "http://x@localhost:4318@evil.example",
        ] {
            assert_eq!(from(origin), 403, "{origin}");
        }
        let port = |host, origin| check(&access, &[("host", host), ("origin", origin)]);
        assert_eq!((port("localhost", "http://localhost"), port("localhost:80", "http://localhost")), (200, 200));
        let site = |site| check(&access, &[("host", "localhost"), ("sec-fetch-site", site)]);
        assert_eq!((site("same-origin"), site("none"), site("cross-site"), site("same-site")), (200, 200, 403, 403));
    }

    #[test]
    fn a_token_is_required_and_forms_are_refused() {
        let access = Access::new([0, 0, 0, 0].into()).token(Token::new("correct-horse-battery").unwrap());
        let with = |sent| check(&access, &[("host", "localhost"), ("authorization", sent)]);
        assert_eq!((with("Bearer correct-horse-battery"), with("bearer  correct-horse-battery")), (200, 200));
        for sent in ["", "Bearer", "Bearer ", "Bearer correct-horse-batter", "Basic correct-horse-battery"] {
            assert_eq!(with(sent), 401, "{sent}");
        }
        assert_eq!(check(&access, &[("host", "localhost")]), 401);
        let open = Access::new([127, 0, 0, 1].into());
        for kind in ["text/plain", "Text/Plain; charset=utf-8", "multipart/form-data; boundary=x"] {
            assert_eq!(check(&open, &[("host", "localhost"), ("content-type", kind)]), 415, "{kind}");
        }
    }
}
