use std::io::Write;

use super::*;
use crate::error::TaskErrorCause;
use crate::handler::{ErrorContext, ErrorStage, Response};
use streams_state::types::{Headers, TaskId};

fn faults(properties: &[(&str, &str)]) -> Vec<String> {
    let required = [("application.id", "app"), ("bootstrap.servers", "b:1")];
    let error = StreamsConfig::from_properties(required.iter().chain(properties).copied()).unwrap_err();
    error.faults
}

fn fault(key: &str, value: &str) -> String {
    let faults = faults(&[(key, value)]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

#[test]
fn misspelt_settings_name_the_nearest() {
    for (wrong, right) in [
        ("commit.intervall.ms", "commit.interval.ms"),
        ("num.streams.threads", "num.stream.threads"),
        ("aplication.id", "application.id"),
        ("max.pol.records", "max.poll.records"),
        ("queued.max.messages.kbyte", "queued.max.messages.kbytes"),
        ("bootstrap.server", "bootstrap.servers"),
    ] {
        assert_eq!(fault(wrong, "1"), format!("`{wrong}` is not a setting; did you mean `{right}`?"));
    }
    assert!(fault("my.own.thing", "1").contains("remove it, or put the client's prefix before it"));
}

/// Each of these stopped the program: no file with settings beside Kafka's could be taken over.
#[test]
fn keys_of_the_applications_own_are_kept_if_they_say_so() {
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
    config
        .apply_properties([
            ("app.config.prefixes", "schema.registry.,my.app.x , poll.msx"),
            ("schema.registry.url", " u "),
            ("my.app.x", "1"),
            ("app.password", "hunter2"),
            ("poll.msx", "2"),
            ("poll.ms", "3"),
        ])
        .unwrap();
    let own = ["app.config.prefixes", "app.password", "my.app.x", "poll.msx", "schema.registry.url"];
    assert_eq!(config.app_configs.keys().collect::<Vec<_>>(), own);
    assert_eq!((config.app_configs["schema.registry.url"].as_str(), config.poll.as_millis()), (" u ", 3));
    assert_eq!(config.app_configs_with_prefix("my.app.")["x"], "1");
    config.apply_properties([("schema.registry.ssl", "yes")]).unwrap();
    let error = config.apply_properties([("schema.regstry.url", "1")]).unwrap_err().to_string();
    assert!(error.contains("begins with `app.`, or is declared in `app.config.prefixes`"), "{error}");
    assert!(config.apply_properties([("pol.ms", "1")]).unwrap_err().to_string().contains("`poll.ms`?"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn bad_values_are_one_sentence_each_and_all_at_once() {
    assert_eq!(
        fault("commit.interval.ms", "soon"),
        "`commit.interval.ms` is `soon`; it must be a whole number of milliseconds, 0 or more"
    );
    assert_eq!(
        fault("processing.guarantee", "exactly_once"),
        "`processing.guarantee` is `exactly_once`; it must be one of `at_least_once`, `exactly_once_v2`; the older \
         forms were removed: write `exactly_once_v2`"
    );
    assert_eq!(
        fault("ensure.explicit.internal.resource.naming", "yes"),
        "`ensure.explicit.internal.resource.naming` is `yes`; it must be `true` or `false`"
    );
    assert!(fault("topology.optimization", "all,none").contains("`none`, `all`, or a list of: reuse"));
    assert!(fault("default.timestamp.extractor", "my.Extractor").contains("with `Consumed`"));
    assert_eq!(faults(&[("poll.ms", "x"), ("num.stream.threads", "-1"), ("nonsense", "")]).len(), 3);
}

#[test]
fn what_is_missing_is_said() {
    let none: [(&str, &str); 0] = [];
    let error = StreamsConfig::from_properties(none).unwrap_err().to_string();
    assert!(error.contains("2 faults"), "{error}");
    assert!(error.contains("`application.id` is missing; set it: it names the consumer group"), "{error}");
    assert!(error.contains("`bootstrap.servers` is missing; set it: it says which brokers"), "{error}");
}

#[test]
fn contradictions_under_exactly_once_are_said() {
    let late = faults(&[("processing.guarantee", "exactly_once_v2"), ("commit.interval.ms", "20000")]);
    assert!(late[0].contains("longer than `producer.transaction.timeout.ms` (10000)"), "{late:?}");
    let many = faults(&[
        ("processing.guarantee", "exactly_once_v2"),
        ("producer.max.in.flight.requests.per.connection", "6"),
    ]);
    assert!(many[0].contains("at most 5"), "{many:?}");
}

fn answer(handler: &Arc<dyn ExceptionHandler>) -> Response {
    let context = ErrorContext {
        stage: ErrorStage::Deserialization,
        task: TaskId { subtopology: 0, partition: 0 },
        node: "n",
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp: 0,
        headers: &Headers::EMPTY,
        key: None,
        value: None,
        source_kept: true,
        unsent: None,
    };
    handler.handle(&context, &TaskErrorCause::Timestamp("broken".to_owned()))
}

#[test]
fn handlers_go_by_their_java_names() {
    let base = [("application.id", "app"), ("bootstrap.servers", "b:1")];
    let with = |more: &[(&'static str, &'static str)]| {
        StreamsConfig::from_properties(base.iter().chain(more).copied()).unwrap()
    };
    let continues = "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler";
    let config = with(&[("deserialization.exception.handler", continues)]);
    assert_eq!(answer(&config.deserialization_exception_handler), Response::resume());
    assert_eq!(answer(&config.processing_exception_handler), Response::fail());
    let config = with(&[
        ("default.deserialization.exception.handler", continues),
        ("processing.exception.handler", "LogAndContinue"),
        ("errors.dead.letter.queue.topic.name", "dead"),
    ]);
    let resumes = |handler| {
        let answer: Response = answer(handler);
        let [letter] = answer.dead_letters.as_slice() else { panic!("{answer:?}") };
        assert_eq!(letter.topic, "dead");
        answer.resumes
    };
    assert!(resumes(&config.deserialization_exception_handler));
    assert!(resumes(&config.processing_exception_handler));
    assert!(!resumes(&config.production_exception_handler), "the default fails, after a dead letter");
    let own = fault("processing.exception.handler", "com.acme.Handler");
    assert!(own.contains("set the field of `StreamsConfig` in code"), "{own}");
}

/// librdkafka took `http://localhost:9092` for a broker that does not answer, and `localhost:nine` for port 0: 15 seconds, and an error that
/// spoke of a controller.
#[test]
fn brokers_are_hosts_with_ports() {
    let with = |servers: &str| {
        let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
        config.apply_properties([("bootstrap.servers", servers)]).map(|()| config.bootstrap_servers)
    };
    for servers in ["localhost:9092", "a:1,b-2.example.org:65535", "[::1]:9092", "10.0.0.1:9092"] {
        assert_eq!(with(servers).as_deref(), Ok(servers));
    }
    for servers in [
        "localhost",
        "http://localhost:9092",
        "a:1,b",
        "localhost:nine",
        "a:0",
        ":9092",
        "::1:9092",
        "a:65536",
    ] {
        let error = with(servers).unwrap_err().to_string();
        assert!(error.contains(&format!("`{servers}`")) && error.contains("`host:port`"), "{error}");
    }
}

#[test]
fn prefixed_and_client_settings_pass_through() {
    let config = StreamsConfig::from_properties([
        ("application.id", "app"),
        ("bootstrap.servers", " a:1 , b:2 "),
        ("topic.retention.ms", "5"),
        ("consumer.anything.at.all", "x"),
        ("statistics.interval.ms", "1000"),
        ("security.protocol", "sasl_ssl"),
        ("num.standby.replicas", "1"),
        ("client.tag.zone", "eu"),
    ])
    .unwrap();
    assert_eq!(config.bootstrap_servers, "a:1,b:2");
    assert_eq!(config.topic_properties.get("retention.ms").map(String::as_str), Some("5"));
    assert_eq!(config.consumer_properties().get("anything.at.all").map(String::as_str), Some("x"));
    for properties in [config.producer_properties(), config.admin_properties(), config.consumer_properties()]
    {
        assert_eq!(properties.get("statistics.interval.ms").map(String::as_str), Some("1000"));
        assert_eq!(properties.get("security.protocol").map(String::as_str), Some("sasl_ssl"));
    }
}

#[test]
fn later_properties_change_earlier_settings() {
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
    config.apply_properties([("processing.guarantee", "at_least_once")]).unwrap();
    assert_eq!(config.commit_interval, Duration::from_secs(30));
    config.apply_properties([("commit.interval.ms", "7"), ("max.task.idle.ms", "-1")]).unwrap();
    assert_eq!((config.commit_interval, config.max_task_idle), (Duration::from_millis(7), None));
    config
        .apply_properties([("cache.max.bytes.buffering", "1"), ("statestore.cache.max.bytes", "2")])
        .unwrap();
    assert_eq!(config.statestore_cache_max_bytes, 2);
}

#[test]
fn secrets_are_not_shown() {
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
    let secrets = [
        "sasl.password",
        "ssl.key.password",
        "consumer.sasl.jaas.config",
        "ssl.keystore.key",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "producer.sasl.oauthbearer.assertion.private.key.passphrase",
    ];
    config.apply_properties(secrets.map(|key| (key, "hunter2"))).unwrap();
    config.apply_properties([("ssl.keystore.location", "/keys")]).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && shown.contains("(hidden)") && shown.contains("/keys"), "{shown}");
}

#[test]
fn properties_come_from_a_java_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "# a comment\napplication.id = word-count\nbootstrap.servers: a:1,\\\n    b:2\npoll.ms=5")
        .unwrap();
    let config = StreamsConfig::from_properties_file(file.path()).unwrap();
    assert_eq!(
        (config.application_id.as_str(), config.bootstrap_servers.as_str()),
        ("word-count", "a:1,b:2")
    );
    assert_eq!(config.poll, Duration::from_millis(5));
    let missing = StreamsConfig::from_properties_file("/nowhere/at.all").unwrap_err().to_string();
    assert!(missing.contains("the properties file /nowhere/at.all cannot be read"), "{missing}");
}

/// Regression: a file that begins as UTF-16 does stopped the program with a panic of the parser; and bytes from 0x80 to 0x9f were read
/// as Windows has them.
#[test]
fn bytes_of_a_java_file_are_latin_1_whatever_it_begins_with() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\xfe\xffbom=x\napp.caf\xe9 = \x80\\\xe9\\\\\xe9\n").unwrap();
    let read = read_properties_file(file.path()).unwrap();
    let pairs = [("app.caf\u{e9}", "\u{80}\u{e9}\\\u{e9}"), ("\u{fe}\u{ff}bom", "x")];
    assert_eq!(read, pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}
