//! The client and what a network, a proxy or an operator can do to it. Can catch: a client that gives up too early, waits longer than its
//! deadline, storms a registry that is ill, shows a password, trusts a stranger.

#![allow(clippy::unwrap_used)]

mod gate;
mod tls;

use std::time::{Duration, Instant};

use gate::{Gate, Step};
use streams_schemas::schema::{SchemaId, Version};
use streams_schemas::{AvroSerde, Registry, Schema, SchemaError, SchemaKind, SchemaRegistry};
use streams_schemas::{HttpRegistry, SchemaRegistryConfig};
use streams_state::serdes::{Part, Serde, SerdeErrorKind};

const STRING: Step = Step::Say(200, r#"{"schema":"\"string\""}"#);
const SUBJECTS: Step = Step::Say(200, r#"["a"]"#);

/// A client of these addresses that waits `deadline_ms` at most.
fn client(urls: &[String], deadline_ms: &str, more: &[(&str, &str)]) -> HttpRegistry {
    HttpRegistry::new(&config(urls, deadline_ms, more)).unwrap()
}

fn config(urls: &[String], deadline_ms: &str, more: &[(&str, &str)]) -> SchemaRegistryConfig {
    let urls = urls.join(",");
    let all = [
        ("schema.registry.url", urls.as_str()),
        ("request.deadline.ms", deadline_ms),
        ("retries.wait.ms", "10"),
        ("retries.max.wait.ms", "50"),
    ];
    SchemaRegistryConfig::from_properties(all.iter().chain(more).copied()).unwrap()
}

/// An address where nobody listens. (A port that was free a moment ago may be another test's by now.)
fn nowhere() -> String {
    "http://127.0.0.1:1".to_owned()
}

#[test]
fn what_may_pass_is_tried_again() {
    let gate = Gate::start(&[Step::Say(503, "busy"), Step::Close, Step::Say(429, "{}"), SUBJECTS]);
    assert_eq!(client(&[gate.url()], "20000", &[]).subjects().unwrap(), ["a"]);
    assert_eq!(gate.asked().len(), 4);
}

#[test]
fn the_deadline_holds_whatever_happens() {
    let ill = Gate::start(&[Step::Say(500, r#"{"error_code":50001,"message":"the backend is gone"}"#)]);
    let mute = Gate::start(&[Step::Hang]);
    for (url, expected) in
        [(ill.url(), "status 500: the backend is gone"), (mute.url(), "timeout"), (nowhere(), "refused")]
    {
        let begun = Instant::now();
        let error = client(std::slice::from_ref(&url), "400", &[]).schema(7).unwrap_err();
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(5), "{took:?}: {error}");
        assert_eq!(error.kind(), SerdeErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        assert!(text.contains(&url) && text.contains("GET /schemas/ids/7"), "{text}");
        assert!(text.to_lowercase().contains(expected), "{text}");
    }
    // Waits grow to 50 ms: no storm.
    assert!((4..60).contains(&ill.asked().len()), "{}", ill.asked().len());
}

#[test]
fn the_next_address_is_asked_and_remembered() {
    let (ill, well) = (Gate::start(&[Step::Say(503, "")]), Gate::start(&[SUBJECTS]));
    let client = client(&[nowhere(), ill.url(), well.url()], "20000", &[]);
    for _ in 0..5 {
        assert_eq!(client.subjects().unwrap(), ["a"]);
    }
    assert_eq!((ill.asked().len(), well.asked().len()), (1, 5));
}

#[test]
fn one_that_is_mute_does_not_take_the_time_of_the_others() {
    let (mute, well) = (Gate::start(&[Step::Hang]), Gate::start(&[SUBJECTS]));
    assert_eq!(client(&[mute.url(), well.url()], "1000", &[]).subjects().unwrap(), ["a"]);
}

#[test]
fn user_password_and_token_go_along_and_are_never_shown() {
    let refused = Step::Say(401, r#"{"error_code":40101,"message":"Unauthorized"}"#);
    for (key, value, header) in [
        // echo -n me:s3cret | base64
        ("basic.auth.user.info", "me:s3cret", "authorization: basic bwu6cznjcmv0"),
        ("bearer.auth.token", "s3cret", "authorization: bearer s3cret"),
    ] {
        let gate = Gate::start(&[SUBJECTS]);
        client(&[gate.url()], "20000", &[(key, value)]).subjects().unwrap();
        assert!(gate.asked()[0].headers.iter().any(|sent| sent == header), "{:?}", gate.asked()[0].headers);
        let steps: &'static [Step] = Box::leak(Box::new([refused]));
        let gate = Gate::start(steps);
        let error = client(&[gate.url()], "20000", &[(key, value)]).subjects().unwrap_err();
        assert!(matches!(error, SchemaError::Denied { status: 401, .. }), "{error}");
        assert_eq!((gate.asked().len(), error.kind()), (1, SerdeErrorKind::Setup), "told at once");
        assert!(!error.to_string().contains("s3cret") && error.to_string().contains("basic.auth.user.info"));
    }
    let anonymous = Gate::start(&[SUBJECTS]);
    client(&[anonymous.url()], "20000", &[]).subjects().unwrap();
    assert!(!anonymous.asked()[0].headers.iter().any(|sent| sent.starts_with("authorization")));
}

#[test]
fn what_is_no_registry_is_told_at_once() {
    for (step, expected) in [
        (Step::Say(200, "<html>Welcome</html>"), "it is no JSON"),
        (Step::Say(200, r#"{"hello":1}"#), "invalid type"),
        (Step::Say(404, "<html>Not here</html>"), "status 404: <html>Not here"),
    ] {
        let steps: &'static [Step] = Box::leak(Box::new([step]));
        let gate = Gate::start(steps);
        let error = client(&[gate.url()], "20000", &[]).subjects().unwrap_err();
        assert!(matches!(error, SchemaError::NotARegistry { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(gate.asked().len(), 1);
    }
    // Not even an unknown id is believed to such a server.
    let gate = Gate::start(&[Step::Say(404, "<html>Not here</html>")]);
    let error = client(&[gate.url()], "20000", &[]).schema(1).unwrap_err();
    assert!(matches!(error, SchemaError::NotARegistry { .. }), "{error}");
}

#[test]
fn an_id_that_is_not_there_yet_is_waited_for() {
    const MISSING: Step = Step::Say(404, r#"{"error_code":40403,"message":"Schema not found"}"#);
    let gate = Gate::start(&[MISSING, MISSING, STRING]);
    let schema = client(&[gate.url()], "20000", &[]).schema(7).unwrap();
    assert_eq!(schema, Schema::new(SchemaKind::Avro, "\"string\""));
    let gate = Gate::start(&[MISSING]);
    let error = client(&[gate.url()], "200", &[]).schema(7).unwrap_err();
    assert!(matches!(error, SchemaError::UnknownId { id: 7, .. }), "{error}");
    // A subject is not: nobody is to register it in a moment.
    let gate = Gate::start(&[Step::Say(404, r#"{"error_code":40401,"message":"Subject not found"}"#)]);
    let error = client(&[gate.url()], "20000", &[]).version("a", Version::Latest).unwrap_err();
    assert!(matches!(error, SchemaError::NotRegistered { .. }) && gate.asked().len() == 1, "{error}");
}

#[test]
fn subjects_of_any_name_are_one_part_of_the_path() {
    let gate = Gate::start(&[Step::Say(200, "[1]")]);
    client(&[gate.url()], "20000", &[]).versions("a/b?c=ä #value").unwrap();
    assert_eq!(gate.asked()[0].line, "GET /subjects/a%2Fb%3Fc%3D%C3%A4%20%23value/versions HTTP/1.1");
}

#[test]
fn confluents_way_of_giving_reasons_is_understood() {
    let gate = Gate::start(&[Step::Say(200, r#"{"is_compatible":false,"messages":["{a}","{b}"]}"#)]);
    let checked =
        client(&[gate.url()], "20000", &[]).check("s", &Schema::new(SchemaKind::Json, "{}")).unwrap();
    assert_eq!(checked, streams_schemas::schema::Compatibility::Incompatible("{a}; {b}".to_owned()));
    assert_eq!(gate.asked()[0].line, "POST /compatibility/subjects/s/versions?verbose=true HTTP/1.1");
}

/// A question for each record would make the registry part of the path of a record.
#[test]
fn a_schema_is_asked_for_once() {
    let gate = Gate::start(&[Step::Say(200, r#"{"id":3}"#), Step::Say(200, r#"{"schema":"\"string\""}"#)]);
    let registry = SchemaRegistry::connect(config(&[gate.url()], "20000", &[])).unwrap();
    let text = Schema::new(SchemaKind::Avro, "\"string\"");
    let serde = AvroSerde::<String>::new(&registry, text.clone()).unwrap();
    let mut out = Vec::new();
    // Tasks bind a serde each.
    for _task in 0..3 {
        let serde = Serde::<String>::for_topic(&serde, "words", Part::Value).unwrap();
        for _ in 0..100 {
            out.clear();
            serde.serialize(&"hé".to_owned(), &mut out).unwrap();
            assert_eq!(serde.deserialize(Some(&out)).unwrap(), "hé");
        }
    }
    let another = AvroSerde::<String>::new(&registry, text).unwrap();
    assert_eq!(Serde::<String>::deserialize(&another, Some(&out)).unwrap(), "hé");
    let lines: Vec<String> = gate.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["POST /subjects/words%2Dvalue/versions HTTP/1.1", "GET /schemas/ids/3 HTTP/1.1"]);
    let id: SchemaId = 3;
    assert_eq!(registry.schema(id).unwrap().text, "\"string\"");
    assert_eq!(gate.asked().len(), 2);
}
