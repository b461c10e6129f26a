//! A server that answers as it is told, and remembers what it was asked: what no real registry does on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it does with a question.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// Answers with this status and body.
    Say(u16, &'static str),
    /// Hangs up without a word.
    Close,
    /// Does not answer, as long as the client waits.
    Hang,
}

/// One question: its first line and its headers, in lower case.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
}

/// The server; its thread ends with the process.
pub(crate) struct Gate {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Gate {
    /// Answers question after question by `steps`, the last one for ever.
    pub(crate) fn start(steps: &'static [Step]) -> Self {
        Self::start_with(steps, None)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(steps: &'static [Step], tls: Arc<ServerConfig>) -> Self {
        Self::start_with(steps, Some(tls))
    }

    fn start_with(steps: &'static [Step], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match &tls {
                    None => serve(stream, steps, &seen),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls.clone()).unwrap();
                        serve(StreamOwned::new(connection, stream), steps, &seen);
                    }
                }
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One question a connection. Whatever the client does wrong ends it.
fn serve(mut stream: impl Read + Write, steps: &[Step], seen: &Mutex<Vec<Asked>>) {
    let Some(asked) = question(&mut stream) else {
        // As an HTTP server does with what is no HTTP.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        return;
    };
    let step = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked);
        steps[(seen.len() - 1).min(steps.len() - 1)]
    };
    match step {
        Step::Say(status, body) => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
            let _ = stream.flush();
        }
        Step::Close => {}
        // Until the client gives up.
        Step::Hang => drop(stream.read(&mut [0; 1])),
    }
}

fn question(stream: &mut impl Read) -> Option<Asked> {
    let mut lines = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let headers: Vec<String> = head.iter().skip(1).map(|line| line.to_lowercase()).collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    lines.read_exact(&mut body).ok()?;
    Some(Asked { line: head.first()?.clone(), headers })
}
