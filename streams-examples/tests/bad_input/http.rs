//! Requests that the HTTP endpoints get. After each the server still answers.

#[cfg(feature = "http")]
use requests::{GET, send, with_token};

#[cfg(not(feature = "http"))]
fn not_built(_: &crate::place::Place) -> crate::place::Seen {
    unreachable!("rows that need HTTP are skipped without it")
}

use crate::Answer::Http;
use crate::Row;

macro_rules! row {
    ($class:literal, $tried:literal, $status:literal, [$($says:literal),*], $run:expr) => {
        Row { class: $class, tried: $tried, answer: Http($status), says: &[$($says),*], within: 30, needs: crate::Needs::Http,
            #[cfg(feature = "http")]
            run: $run,
            #[cfg(not(feature = "http"))]
            run: not_built,
        }
    };
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row!("a path that is not there", "`GET /helth`", 404, ["no such path; there are:", "/health/live"], |place| send(place, "GET /helth HTTP/1.1\r\n", "")),
    row!("a method that is not allowed", "`DELETE /status`", 405, [], |place| send(place, "DELETE /status HTTP/1.1\r\n", "")),
    row!("a body of 1 MiB to what takes none", "`POST /status`", 405, [], |place| send(place, "POST /status HTTP/1.1\r\nContent-Length: 1048576\r\n", &"x".repeat(1 << 20))),
    row!("a body of 1 MiB behind a question", "`GET /health/live`", 200, ["\"status\":\"up\""], |place| send(place, "GET /health/live HTTP/1.1\r\nContent-Length: 1048576\r\n", &"x".repeat(1 << 20))),
    row!("a path of 1 MiB", "`GET /xxx..`", 431, ["Request Header Fields Too Large"], |place| send(place, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20)), "")),
    row!("too many headers", "10,000 of them", 431, [], |place| send(place, &format!("{GET}{}", "a: b\r\n".repeat(10_000)), "")),
    row!("what is no HTTP", "`GARBAGE`", 400, [], |place| send(place, "GARBAGE\r\n", "")),
    row!("a version that does not exist", "`HTTP/9.9`", 400, [], |place| send(place, "GET / HTTP/9.9\r\n", "")),
    row!("a request without the token", "no `Authorization`", 401, ["www-authenticate: Bearer", "this needs the header `Authorization: Bearer TOKEN`"], |place| with_token(place, GET)),
    row!("a request with another token", "`Bearer wrong`", 401, ["this needs the header `Authorization: Bearer TOKEN`"], |place| with_token(place, &format!("{GET}Authorization: Bearer wrong\r\n"))),
];

#[cfg(feature = "http")]
mod requests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use kstreams::http::{HttpConfig, HttpServer};
    use kstreams::prelude::*;

    use crate::Answer;
    use crate::place::{Place, Seen};

    pub(super) const GET: &str = "GET /status HTTP/1.1\r\n";

    pub(super) fn send(place: &Place, head: &str, body: &str) -> Seen {
        ask(place, None, head, body)
    }

    pub(super) fn with_token(place: &Place, head: &str) -> Seen {
        ask(place, Some("s3cret"), head, "")
    }

    fn ask(place: &Place, token: Option<&str>, head: &str, body: &str) -> Seen {
        const IN: Topic<String, i64> = Topic::new("in");
        const OUT: Topic<String, i64> = Topic::new("out");
        let streams = place.streams(&place.kafka(&[("in", 1)]), |builder| builder.stream(&IN).to(&OUT));
        let config =
            HttpConfig { token: token.map(str::to_owned), ..HttpConfig::on(([127, 0, 0, 1], 0).into()) };
        let http = HttpServer::start(config, streams.monitor()).unwrap();
        // Half a request of somebody else, who never goes on.
        let mut stalled = TcpStream::connect(http.address()).unwrap();
        stalled.write_all(b"GET /sta").unwrap();
        let words =
            exchange(http.address(), &format!("{head}Host: localhost\r\nConnection: close\r\n\r\n{body}"));
        let own = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let still = exchange(
            http.address(),
            &format!("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{own}\r\n"),
        );
        assert!(still.starts_with("HTTP/1.1 200"), "the server goes on: {still}");
        let status = words.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Seen { answer: Answer::Http(status), words }
    }

    fn exchange(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The server may answer and close before it has read everything: then the rest cannot be written, nor all be read.
        let mut other = socket.try_clone().unwrap();
        let request = request.to_owned();
        let writer = std::thread::spawn(move || drop(other.write_all(request.as_bytes())));
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        writer.join().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}
