//! Bad input of every class that we could think of, tried on the built programs and on the library, and what comes of it: one clear
//! error, within its time, and nothing that retries for ever. `BAD_INPUT.md` is written from this table (`BAD_INPUT=write cargo test -p
//! streams-examples --test bad_input`) and is compared with it, so that it stays true.
//!
//! Can catch: an error that does not name what is wrong, a wrong exit status, a second error behind the first, a program that hangs or
//! tries again for ever, a server that is ended by a request.
#![allow(clippy::unwrap_used)]

mod broker;
mod clients;
mod http;
mod place;
mod programs;
mod topologies;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use place::{Place, Seen};

/// How it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// The program ends with this status.
    Exit(i32),
    /// The call returns the error.
    Refused,
    /// The endpoint answers with this status.
    Http(u16),
}

/// What has to be built in for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Http,
    Kafka,
}

/// A class of bad input.
struct Row {
    class: &'static str,
    /// What is done, in a few words.
    tried: &'static str,
    answer: Answer,
    /// What the words have to contain, in this order.
    says: &'static [&'static str],
    /// Seconds until it must have come.
    within: u64,
    needs: Needs,
    run: fn(&Place) -> Seen,
}

/// Sections of the page.
const SECTIONS: [(&str, &[Row]); 5] = [
    ("Settings, files and options", programs::ROWS),
    ("Topologies, state and records", topologies::ROWS),
    ("Producers and consumers", clients::ROWS),
    ("HTTP", http::ROWS),
    ("Brokers", broker::ROWS),
];

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../BAD_INPUT.md");
const CLASSES_MIN: usize = 40;
const LANES: usize = 6;

impl Row {
    fn is_built(&self) -> bool {
        match self.needs {
            Needs::Nothing => true,
            Needs::Http => cfg!(feature = "http"),
            Needs::Kafka => cfg!(feature = "rdkafka"),
        }
    }

    /// What is wrong with the answer.
    fn fault(&'static self) -> Option<String> {
        let (sender, receiver) = channel();
        let began = Instant::now();
        std::thread::spawn(move || {
            let seen = catch_unwind(|| (self.run)(&Place::new(self.within)));
            // The receiver has given up: its fault is told already.
            let _ = sender.send(seen);
        });
        let Ok(seen) = receiver.recv_timeout(Duration::from_secs(self.within + 5)) else {
            return Some(format!("no answer after {:?}", began.elapsed()));
        };
        let Ok(Seen { answer, words }) = seen else { return Some("a panic, see above".to_owned()) };
        let took = began.elapsed();
        if answer != self.answer {
            return Some(format!("{answer:?}, not {:?}: {words}", self.answer));
        }
        let mut rest = words.as_str();
        for part in self.says {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return Some(format!("does not say `{part}` (in this order): {words}")),
            }
        }
        let errors = words.lines().filter(|line| line.starts_with("error: ")).count();
        match answer {
            Answer::Exit(_) if errors != 1 => Some(format!("{errors} errors: {words}")),
            _ if took > Duration::from_secs(self.within) => Some(format!("took {took:?}: {words}")),
            Answer::Exit(_) | Answer::Refused | Answer::Http(_) => None,
        }
    }

    fn line(&self) -> String {
        let answer = match self.answer {
            Answer::Exit(status) => format!("status {status}"),
            Answer::Refused => "the call fails".to_owned(),
            Answer::Http(status) => status.to_string(),
        };
        let says: Vec<&str> = self.says.iter().map(|part| part.trim()).collect();
        let says = says.join(" .. ").replace('|', "\\|").replace('\n', " ");
        let says = if says.is_empty() { "the status".to_owned() } else { format!("`` {says} ``") };
        format!("| {} | {} | {answer} | {says} | {} s |\n", self.class, self.tried, self.within)
    }
}

fn page() -> String {
    let count: usize = SECTIONS.iter().map(|(_, rows)| rows.len()).sum();
    let mut page = format!(
        "# Bad input\n\n{count} classes, each tried on the built programs or on the library by `streams-examples/tests/bad_input`, \
         which this page is written by: one\nerror that says what is wrong and where, in the time given, and no retry without an end. \
         `..` stands for what differs from run to run.\nTLS, passwords and missing ACLs have tests of their own beside the broker's.\n"
    );
    for (title, rows) in SECTIONS {
        page +=
            &format!("\n## {title}\n\n| class | tried | answer | says | within |\n|---|---|---|---|---|\n");
        rows.iter().for_each(|row| page += &row.line());
    }
    page
}

#[test]
fn each_class_gets_one_clear_error_in_time() {
    let rows: Vec<&'static Row> = SECTIONS.iter().flat_map(|(_, rows)| rows.iter()).collect();
    assert!(rows.len() >= CLASSES_MIN);
    let (next, faults, tried) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let lane = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
            if !row.is_built() {
                println!("SKIPPED {}: not built in", row.class);
                if std::env::var("CI").is_ok_and(|ci| ci == "true") {
                    faults.lock().unwrap().push(format!("{}: skipped", row.class));
                }
                continue;
            }
            tried.fetch_add(1, Ordering::SeqCst);
            let fault = row.fault().map(|fault| format!("{}: {fault}", row.class));
            faults.lock().unwrap().extend(fault);
        }
    };
    // Most of them wait.
    std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    let (faults, tried) = (faults.into_inner().unwrap(), tried.into_inner());
    println!("bad input: {tried} classes tried, {} wrong", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn the_page_is_the_table() {
    if std::env::var("BAD_INPUT").is_ok_and(|what| what == "write") {
        std::fs::write(PAGE, page()).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page(),
        "BAD_INPUT.md is not the table: BAD_INPUT=write cargo test -p streams-examples --test bad_input"
    );
}
