//! Brokers that are not there, or are something else; and the environment of the program that fault tests run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::Answer::Exit;
use crate::Needs::Kafka;
use crate::Row;
use crate::place::{Place, Seen};

/// Runs the word count on a "broker" that does with each connection what `answer` does, until the test ends.
fn on(place: &Place, answer: fn(TcpStream)) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    place.word_count(&["--bootstrap-servers", &address])
}

/// Reads and says nothing.
fn silent(mut connection: TcpStream) {
    let mut bytes = [0; 1024];
    while connection.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

/// Answers as a web server.
fn web(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 1024]);
    let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
}

#[cfg(feature = "rdkafka")]
fn workload(place: &Place, variables: &[(&str, &str)]) -> Seen {
    Place::ended(place.program(env!("CARGO_BIN_EXE_workload")).env_clear().envs(variables.iter().copied()))
}

#[cfg(not(feature = "rdkafka"))]
fn workload(_: &Place, _: &[(&str, &str)]) -> Seen {
    unreachable!("rows that need Kafka are skipped without its client")
}

macro_rules! row {
    ($class:literal, $tried:literal, $within:literal, [$($says:literal),*], $run:expr) => {
        Row { class: $class, tried: $tried, answer: Exit(1), says: &[$($says),*], within: $within, needs: Kafka, run: $run }
    };
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row!("a broker that is down", "`127.0.0.1:1`", 30, ["create topics: no broker answers at 127.0.0.1:1 (", "Connection refused", "is Kafka running there, and is `bootstrap.servers` right?"],
        |place| place.word_count(&["--bootstrap-servers", "127.0.0.1:1"])),
    row!("a broker that nobody knows", "`kafka.invalid:9092`", 40, ["create topics: no broker answers at kafka.invalid:9092 (", "is Kafka running there, and is `bootstrap.servers` right?"],
        |place| place.word_count(&["--bootstrap-servers", "kafka.invalid:9092"])),
    row!("a broker that never answers", "a port that reads and is silent", 60, ["create topics: no broker answers at 127.0.0.1:"], |place| on(place, silent)),
    row!("a web server", "HTTP in place of Kafka", 60, ["create topics: no broker answers at 127.0.0.1:"], |place| on(place, web)),
    row!("a variable that is missing", "`workload` without `APP_ID`", 30, ["environment variable APP_ID is missing"],
        |place| workload(place, &[("WORKLOAD", "bank"), ("INPUT", "in"), ("OUTPUT", "out")])),
    row!("a workload that does not exist", "`WORKLOAD=nothing`", 30, ["unknown workload `nothing`"],
        |place| workload(place, &[("WORKLOAD", "nothing"), ("INPUT", "in"), ("OUTPUT", "out")])),
];
