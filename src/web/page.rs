//! The web page: static files in the program. They contain no data of the ledger, so they need no token.

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::cached;

/// A file of the page.
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// Lists files below `/page/` with their content.
macro_rules! files {
    ($($name:literal: $media_type:literal,)*) => {
        [$(PageFile {
            path: concat!("/page/", $name),
            media_type: $media_type,
            content: include_str!(concat!("page/", $name)),
        }),*]
    };
}

const DOCUMENT: PageFile =
    PageFile { path: "/", media_type: "text/html; charset=utf-8", content: include_str!("page/index.html") };

const FILES: [PageFile; 27] = files! {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "app.js": "text/javascript; charset=utf-8",
    "chart_axis.js": "text/javascript; charset=utf-8",
    "chart_lines.js": "text/javascript; charset=utf-8",
    "chart_matrix.js": "text/javascript; charset=utf-8",
    "chart_stack.js": "text/javascript; charset=utf-8",
    "chart_strip.js": "text/javascript; charset=utf-8",
    "client.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "merkle.js": "text/javascript; charset=utf-8",
    "note.js": "text/javascript; charset=utf-8",
    "sha256.js": "text/javascript; charset=utf-8",
    "view_bill.js": "text/javascript; charset=utf-8",
    "view_decisions.js": "text/javascript; charset=utf-8",
    "view_event.js": "text/javascript; charset=utf-8",
    "view_events.js": "text/javascript; charset=utf-8",
    "view_fleet.js": "text/javascript; charset=utf-8",
    "view_imports.js": "text/javascript; charset=utf-8",
    "view_overview.js": "text/javascript; charset=utf-8",
    "view_projects.js": "text/javascript; charset=utf-8",
    "view_provider.js": "text/javascript; charset=utf-8",
    "view_timeline.js": "text/javascript; charset=utf-8",
    "widgets.js": "text/javascript; charset=utf-8",
    "windows.js": "text/javascript; charset=utf-8",
};

/// Returns the routes of the files.
pub(super) fn routes() -> Router {
    FILES.iter().fold(Router::new(), |routes, file| {
        routes.route(file.path, get(move |headers: HeaderMap| async move { respond(&headers, file) }))
    })
}

/// Answers with the document.
pub(super) fn document(headers: &HeaderMap) -> Response {
    respond(headers, &DOCUMENT)
}

/// Returns whether a client of `/` wants a page: browsers name `text/html`, programs do not.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("text/html")
    })
}

/// Returns whether a request is for a static file, which anyone may read.
pub(super) fn is_public(parts: &Parts) -> bool {
    if ![Method::GET, Method::HEAD].contains(&parts.method) {
        return false;
    }
    let path = parts.uri.path();
    (path == DOCUMENT.path && wants_page(&parts.headers)) || FILES.iter().any(|file| file.path == path)
}

fn respond(headers: &HeaderMap, file: &PageFile) -> Response {
    let tag = cached::tag_of(file.content);
    if cached::is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let kind = [
        (header::CONTENT_TYPE, file.media_type.to_owned()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, "accept".to_owned()),
    ];
    (StatusCode::OK, kind, file.content).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served_and_small() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page");
        let mut present = BTreeSet::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            present.insert(entry.unwrap().file_name().into_string().unwrap());
        }
        let served: BTreeSet<String> =
            FILES.iter().map(|file| file.path.trim_start_matches("/page/").to_owned()).collect();
        assert!(present.remove("index.html"));
        assert_eq!(present, served);
        assert!(FILES.iter().chain([&DOCUMENT]).all(|file| file.content.len() < 100_000));
    }

    #[test]
    fn no_file_has_inline_code_styles_or_other_addresses() {
        let document = DOCUMENT.content;
        assert_eq!(
            document.matches("<script").count(),
            document.matches("<script type=\"module\" src=\"/page/").count()
        );
        for text in ["<style", " style=", "onclick", "onload", "http:", "https:"] {
            assert!(!document.contains(text), "{text}");
        }
        for file in &FILES {
            for text in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!file.content.contains(text), "{}: {text}", file.path);
            }
            // The name of the SVG name space is no address that a browser opens.
            let others = file.content.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !others.contains("http:") && !others.contains("https:") && !others.contains("url("),
                "{}",
                file.path
            );
        }
    }
}
