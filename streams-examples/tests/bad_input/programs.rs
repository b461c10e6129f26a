//! What a user types and writes into files.

use std::net::TcpListener;

use crate::Answer::Exit;
use crate::Needs::{Http, Nothing};
use crate::Row;

macro_rules! row {
    ($class:literal, $tried:literal, $status:literal, $needs:expr, [$($says:literal),*], $run:expr) => {
        Row { class: $class, tried: $tried, answer: Exit($status), says: &[$($says),*], within: 30, needs: $needs, run: $run }
    };
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row!("a setting that does not exist", "`num.stream.thread=2`", 1, Nothing,
        ["`num.stream.thread` is not a setting; did you mean `num.stream.threads`?"], |place| place.properties("num.stream.thread=2")),
    row!("several wrong values", "three in one file", 1, Nothing,
        ["invalid configuration, 3 faults:", "`processing.guarantee` is `exactly`", "`commit.interval.ms` is `-5`", "`num.stream.threads` is `two`"],
        |place| place.properties("num.stream.threads=two\ncommit.interval.ms=-5\nprocessing.guarantee=exactly\n")),
    row!("a number out of range", "`replication.factor=0`", 1, Nothing,
        ["`replication.factor` is `0`; it must be a whole number of at least 1"], |place| place.properties("replication.factor=0")),
    row!("a size that is no number", "`memory.max.bytes=lots`", 1, Nothing,
        ["`memory.max.bytes` is `lots`; it must be a whole number of at least 0"], |place| place.properties("memory.max.bytes=lots")),
    row!("a wrong value of a setting that has no effect here", "`acceptable.recovery.lag=x`", 1, Nothing,
        ["`acceptable.recovery.lag` is `x`; it must be a whole number"], |place| place.properties("acceptable.recovery.lag=x")),
    row!("a Java class", "`processing.exception.handler=com.acme.Mine`", 1, Nothing,
        ["`processing.exception.handler` is `com.acme.Mine`; it must be one of", "in code"],
        |place| place.properties("processing.exception.handler=com.acme.Mine")),
    row!("a setting of topics that does not exist", "`topic.cleanup.policyy=compact`", 1, Nothing,
        ["create topic `word-count-counts-changelog`: `cleanup.policyy` is no setting of a topic"],
        |place| place.properties("topic.cleanup.policyy=compact")),
    row!("a properties file that is not there", "`--properties nowhere`", 1, Nothing,
        ["the properties file nowhere cannot be read: No such file"], |place| place.word_count(&["--properties", "nowhere"])),
    row!("a properties file that is a directory", "`--properties DIR`", 1, Nothing,
        ["the properties file ", " cannot be read: Is a directory"], |place| place.word_count(&["--properties", "{}"])),
    row!("a properties file that Java would not read", "`\\u00zz` in it", 1, Nothing,
        ["the properties file ", " cannot be read: Malformed", "line_number = 1"], |place| place.properties("x=\\u00zz\n")),
    row!("an application id that is no name of a directory", "`application.id=word count/x`", 1, Nothing,
        ["`word count/x` cannot be the name of a directory", "choose another application.id"],
        |place| place.properties("application.id=word count/x")),
    row!("an empty application id", "`application.id=`", 1, Nothing,
        ["choose another application.id"], |place| place.properties("application.id=")),
    row!("a broker without a port", "`--bootstrap-servers localhost`", 1, Nothing,
        ["`bootstrap.servers` is `localhost`; it must be a list of `host:port`"], |place| place.word_count(&["--bootstrap-servers", "localhost"])),
    row!("a URL as a broker", "`bootstrap.servers=http://localhost:9092`", 1, Nothing,
        ["`bootstrap.servers` is `http://localhost:9092`; it must be a list of `host:port`"],
        |place| place.properties("bootstrap.servers=http://localhost:9092")),
    row!("a checkpoint that is none", "`state.start.from=DIR`", 1, Nothing,
        ["checkpoint ", "there is no checkpoint.json"], |place| place.properties(format!("state.start.from={}", place.path().display()))),
    row!("an option that does not exist", "`--nonsense`", 2, Nothing,
        ["unexpected argument '--nonsense' found"], |place| place.word_count(&["--nonsense"])),
    row!("an option that is no number", "`--threads zero`", 2, Nothing,
        ["invalid value 'zero' for '--threads <N>'"], |place| place.word_count(&["--threads", "zero"])),
    row!("topics without partitions", "`--partitions 0`", 2, Nothing,
        ["invalid value '0' for '--partitions <N>'"], |place| place.word_count(&["--partitions", "0"])),
    row!("no time to stop", "`--stop-timeout 0`", 2, Nothing,
        ["invalid value '0' for '--stop-timeout <SECONDS>'"], |place| place.word_count(&["--stop-timeout", "0"])),
    row!("an input that is not there", "`--input nowhere`", 1, Nothing,
        ["nowhere: No such file"], |place| place.word_count(&["--input", "nowhere"])),
    row!("an input that is a directory", "`--input DIR`", 1, Nothing,
        ["Is a directory"], |place| place.word_count(&["--input", "{}"])),
    row!("an input that is no text", "bytes that are not UTF-8", 1, Nothing,
        ["file: stream did not contain valid UTF-8"], |place| { place.file(b"\xff\xfe\n"); place.word_count(&["--input", "{}/file"]) }),
    row!("a state directory that is a file", "`--state-dir FILE`", 1, Nothing,
        ["state directory ", "cannot be created: Not a directory", "choose another place with state.dir"],
        |place| { place.file(""); place.word_count(&["--state-dir", "{}/file"]) }),
    row!("a state directory where nothing can be written", "`--state-dir /proc/x`", 1, Nothing,
        ["state directory /proc/x", "cannot be created", "make it writable"], |place| place.word_count(&["--state-dir", "/proc/x"])),
    row!("an HTTP address that is none", "`--http nonsense`", 2, Nothing,
        ["invalid value 'nonsense' for '--http <ADDRESS:PORT>'"], |place| place.word_count(&["--http", "nonsense"])),
    row!("a key without its certificate", "`--http-key FILE`", 2, Nothing,
        ["required arguments were not provided", "--http-certificate"], |place| place.word_count(&["--http-key", "k.pem"])),
    row!("a port that is taken", "`--http` there", 1, Http,
        ["cannot listen on 127.0.0.1:", "Address already in use", "choose another port"], |place| {
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            place.word_count(&["--http", &taken.local_addr().unwrap().to_string()])
        }),
    row!("HTTP open to other machines, with a token only", "`--http 192.0.2.1:80 --http-token ..`", 1, Http,
        ["192.0.2.1:80 can be reached by other machines, and TLS is missing"],
        |place| place.word_count(&["--http", "192.0.2.1:80", "--http-token", "x"])),
    row!("HTTP open to other machines", "`--http 0.0.0.0:0`", 1, Http,
        ["0.0.0.0:0 can be reached by other machines, and TLS and a token is missing; set it, or bind to 127.0.0.1"],
        |place| place.word_count(&["--http", "0.0.0.0:0"])),
    row!("an empty token", "`--http-token ' '`", 1, Http,
        ["the token is empty"], |place| place.word_count(&["--http", "127.0.0.1:0", "--http-token", " "])),
];
