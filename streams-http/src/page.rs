//! The live page: files that are part of the program, and the headers that keep the page to itself.
//!
//! Plain HTML, CSS and ES modules; nothing is loaded from elsewhere and nothing is built. It reads the other endpoints.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// Only what this server sends runs or is loaded; no markup is made of text; no other page frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

static HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal: $form:ident = $file:literal),* $(,)?) => {
        &[$(($path, $form, include_str!(concat!("page/", $file)))),*]
    };
}

/// Path, form and text of each file.
const FILES: &[(&str, &str, &str)] = files! {
    "/": HTML = "index.html",
    "/page/style.css": CSS = "style.css",
    "/page/icon.svg": IMAGE = "icon.svg",
    "/page/main.js": SCRIPT = "main.js",
    "/page/ask.js": SCRIPT = "ask.js",
    "/page/dom.js": SCRIPT = "dom.js",
    "/page/instance.js": SCRIPT = "instance.js",
    "/page/layout.js": SCRIPT = "layout.js",
    "/page/letters.js": SCRIPT = "letters.js",
    "/page/lookup.js": SCRIPT = "lookup.js",
    "/page/model.js": SCRIPT = "model.js",
    "/page/node.js": SCRIPT = "node.js",
    "/page/rates.js": SCRIPT = "rates.js",
    "/page/tasks.js": SCRIPT = "tasks.js",
    "/page/timeline.js": SCRIPT = "timeline.js",
    "/page/topology.js": SCRIPT = "topology.js",
    "/page/words.js": SCRIPT = "words.js",
};

/// A route for each file.
pub(crate) fn add_to<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    FILES.iter().fold(router, |router, (path, form, text)| {
        let answer = || async { (HEADERS.clone(), [(header::CONTENT_TYPE, *form)], *text).into_response() };
        router.route(path, get(answer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page is made of stays readable, and cannot make markup of foreign text or load anything from elsewhere.
    #[test]
    fn the_files_keep_to_the_rules_of_the_page() {
        for (path, form, text) in FILES {
            assert!(text.lines().count() < 500, "{path} is too long");
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "DOMParser",
                "eval(",
                "Function(",
            ] {
                assert!(!text.contains(word), "{path} uses {word}");
            }
            let addresses = text.replace("http://www.w3.org/", "");
            assert!(
                !addresses.contains("http://") && !addresses.contains("https://"),
                "{path} names another server"
            );
            assert!(*form == HTML || !text.contains("<script"), "{path}");
            // The policy forbids them, so they would do nothing.
            assert!(*form != HTML || !(text.contains("style=") || text.contains(" onclick=")), "{path}");
        }
    }

    #[test]
    fn each_module_that_a_file_names_is_there() {
        for (path, _, text) in FILES {
            for (_, rest) in
                text.match_indices(" from \"./").map(|(at, found)| text.split_at(at + found.len()))
            {
                let name = rest.split('"').next().unwrap_or_default();
                let known = FILES.iter().any(|(path, _, _)| *path == format!("/page/{name}"));
                assert!(known, "{path} imports {name}");
            }
        }
    }
}
