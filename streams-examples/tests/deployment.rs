//! The files of `deploy/`, `docker-compose.yml` and the `Dockerfile` against each other and against the built program. No container is
//! built or started. Can catch: YAML that is none, options and settings that do not exist, names that lead nowhere, deadlines and memory
//! limits in the wrong order, probes that ask a path that is not there, a unit that systemd does not take.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kstreams::config::{StreamsConfig, read_properties_file};
use serde_json::Value;

/// `--stop-timeout`, if nobody says.
const STOP_TIMEOUT: u64 = 25;
const MIB: u64 = 1024 * 1024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One object a file.
fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

const WORD_COUNT: &str = env!("CARGO_BIN_EXE_word_count");

/// The example `program` takes this command line.
fn takes(program: &str, arguments: &[String]) {
    // Help is the last argument: what stands before it is read first, and refused if it is wrong.
    let output = Command::new(program).args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The value behind an option.
fn option(arguments: &[String], name: &str) -> Option<String> {
    arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone())
}

fn stop_timeout(arguments: &[String]) -> u64 {
    option(arguments, "--stop-timeout").map_or(STOP_TIMEOUT, |text| text.parse().unwrap())
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap()
}

fn properties() -> BTreeMap<String, String> {
    read_properties_file(root().join("deploy/app.properties")).unwrap()
}

fn memory_max() -> u64 {
    properties()["memory.max.bytes"].parse().unwrap()
}

#[test]
fn the_deadline_of_a_stop_is_what_the_program_says() {
    let help = Command::new(env!("CARGO_BIN_EXE_word_count")).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let option = help.split("--stop-timeout").nth(1).unwrap();
    assert!(option.contains(&format!("[default: {STOP_TIMEOUT}]")), "{option}");
}

#[test]
fn settings_exist() {
    let mut all = properties();
    all.insert("application.id".to_owned(), "word-count".to_owned());
    all.insert("bootstrap.servers".to_owned(), "kafka:9092".to_owned());
    let config = StreamsConfig::from_properties(all).unwrap();
    assert_eq!(config.memory_max_bytes, memory_max());
    let map = yaml("deploy/kubernetes/configmap.yaml");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let of_map = map["data"]["app.properties"].as_str().unwrap();
    assert_eq!(lines(of_map), lines(&text("deploy/app.properties")), "configmap.yaml and app.properties");
}

#[test]
fn compose_is_whole() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), SERVICES);
    for (name, service) in services {
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to other machines");
        }
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(root().join(path).exists(), "{name}: {source} is not there"),
                None => assert!(compose["volumes"].get(source).is_some(), "{name}: volume {source}"),
            }
        }
        let needed = match &service["depends_on"] {
            Value::Object(services) => services.keys().cloned().collect(),
            list => texts(list),
        };
        assert!(needed.iter().all(|needed| services.contains_key(needed)), "{name} needs {needed:?}");
        let alone = service.get("profiles").is_none();
        assert_eq!(alone, name == "kafka", "{name}: `docker compose up` starts the broker and nothing else");
    }
    for (name, program) in EXAMPLES {
        let example = &services[name];
        let command = texts(&example["command"]);
        takes(program, &command);
        assert!(seconds(example["stop_grace_period"].as_str().unwrap()) > stop_timeout(&command));
        assert!(root().join("Dockerfile").exists() && example["build"] == ".");
        // The image starts the word count unless another of its programs is named.
        let started = texts(&example["entrypoint"]).pop().unwrap_or("word_count".to_owned());
        assert_eq!(Path::new(program).file_stem().unwrap(), &*started);
        let (http, asked) = (option(&command, "--http").unwrap(), texts(&example["healthcheck"]["test"]));
        assert_eq!(asked.last(), Some(&format!("http://{http}/health/ready")));
        let state = format!("{name}-state:{}", option(&command, "--state-dir").unwrap());
        assert!(texts(&example["volumes"]).contains(&state), "{name}: each has a state of its own");
    }
    let command = texts(&services["word-count"]["command"]);
    // Listeners: each has a protocol, and programs are told the port that is listened to.
    let kafka = &services["kafka"]["environment"];
    let parts = |key: &str| kafka[key].as_str().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
    let name = |part: &str| part.split(':').next().unwrap().to_owned();
    let port = |part: &str| part.rsplit(':').next().unwrap().to_owned();
    let protocols = parts("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP");
    let listeners: BTreeMap<String, String> =
        parts("KAFKA_LISTENERS").iter().map(|part| (name(part), port(part))).collect();
    for listener in listeners.keys() {
        assert!(protocols.iter().any(|protocol| name(protocol) == *listener), "{listener}");
    }
    for told in parts("KAFKA_ADVERTISED_LISTENERS") {
        assert_eq!(listeners.get(&name(&told)), Some(&port(&told)), "{told}");
    }
    let servers = option(&command, "--bootstrap-servers").unwrap();
    assert!(
        kafka["KAFKA_ADVERTISED_LISTENERS"].as_str().unwrap().contains(&format!("://{servers}")),
        "{servers}"
    );
}

const SERVICES: [&str; 7] =
    ["grafana", "kafka", "order-enrichment", "page-views", "prometheus", "registry", "word-count"];

const EXAMPLES: [(&str, &str); 3] = [
    ("word-count", env!("CARGO_BIN_EXE_word_count")),
    ("order-enrichment", env!("CARGO_BIN_EXE_order_enrichment")),
    ("page-views", env!("CARGO_BIN_EXE_page_views")),
];

#[test]
fn prometheus_and_grafana_find_what_they_show() {
    let compose = yaml("docker-compose.yml");
    let scraped = yaml("deploy/prometheus/prometheus.yml");
    let targets = texts(&scraped["scrape_configs"][0]["static_configs"][0]["targets"]);
    let http = |name: &str| option(&texts(&compose["services"][name]["command"]), "--http").unwrap();
    assert_eq!(targets, EXAMPLES.map(|(name, _)| http(name)));
    for name in ["prometheus", "order-enrichment", "page-views"] {
        assert_eq!(compose["services"][name]["network_mode"], "service:word-count", "{name}");
    }
    let source = &yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    assert_eq!(source["url"], "http://word-count:9090", "Prometheus is in the network of the word count");
    let folder =
        &yaml("deploy/grafana/provisioning/dashboards/kstreams.yml")["providers"][0]["options"]["path"];
    assert!(
        text("deploy/grafana/dashboard.json").contains("\"uid\": \"prometheus\""),
        "asks the source that is there"
    );
    let mounted = format!("./deploy/grafana:{}:ro", folder.as_str().unwrap());
    assert!(texts(&compose["services"]["grafana"]["volumes"]).contains(&mounted), "{mounted}");
}

#[test]
fn the_image_has_what_it_is_started_with() {
    let docker = text("Dockerfile");
    let line =
        |word: &str| docker.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{word}"));
    assert!(docker.contains("cp target/release/word_count ") && line("ENTRYPOINT").contains("word_count"));
    for program in ["word_count", "order_enrichment", "page_views"] {
        assert!(docker.contains(&format!("target/release/{program} ")), "{program}");
        assert!(root().join(format!("streams-examples/src/bin/{program}.rs")).exists());
    }
    assert_eq!(line("STOPSIGNAL"), "STOPSIGNAL SIGTERM");
    let pod = &yaml("deploy/kubernetes/statefulset.yaml")["spec"]["template"]["spec"];
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(user != 0 && line("USER") == format!("USER {user}:{user}"));
    let rust = text("Cargo.toml");
    let rust = rust.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(line("FROM").starts_with(&format!("FROM rust:{rust}-")), "{rust}");
}

#[test]
fn the_manifests_fit_together() {
    let set = yaml("deploy/kubernetes/statefulset.yaml");
    let (spec, template) = (&set["spec"], &set["spec"]["template"]);
    let (pod, container) = (&template["spec"], &template["spec"]["containers"][0]);
    let labels = &template["metadata"]["labels"];
    assert_eq!(&spec["selector"]["matchLabels"], labels);
    let service = yaml("deploy/kubernetes/service.yaml");
    assert_eq!((&service["spec"]["selector"], &service["metadata"]["name"]), (labels, &spec["serviceName"]));
    assert_eq!(service["spec"]["clusterIP"], "None");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    let budget = yaml("deploy/kubernetes/poddisruptionbudget.yaml");
    assert_eq!(
        (&budget["kind"], &budget["spec"]["selector"]["matchLabels"]),
        (&"PodDisruptionBudget".into(), labels)
    );
    let map = yaml("deploy/kubernetes/configmap.yaml");
    assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);

    let arguments = texts(&container["args"]);
    takes(WORD_COUNT, &arguments);
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > stop_timeout(&arguments) + 5, "the kubelet must not be first");
    let limit = container["resources"]["limits"]["memory"].as_str().unwrap();
    let limit: u64 = limit.strip_suffix("Mi").unwrap().parse().unwrap();
    assert!(limit * MIB >= memory_max() + 64 * MIB, "{limit} Mi");
    assert_eq!(container["resources"]["requests"]["memory"], container["resources"]["limits"]["memory"]);

    let named = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut volumes = named(&pod["volumes"]);
    volumes.extend(
        spec["volumeClaimTemplates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|claim| claim["metadata"]["name"].as_str().unwrap().to_owned()),
    );
    assert!(named(&container["volumeMounts"]).iter().all(|mount| volumes.contains(mount)), "{volumes:?}");
    let mounts = container["volumeMounts"].as_array().unwrap().iter();
    let mounts: Vec<&str> = mounts.map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    for file in ["--state-dir", "--properties", "--http-certificate", "--http-key"] {
        let path = option(&arguments, file).unwrap();
        assert!(mounts.iter().any(|mount| path.starts_with(mount)), "{file} {path} is in no volume");
    }
    // The guide says how to make what no manifest has: secrets are not kept in files.
    let guide = text("deploy/README.md");
    for secret in [
        &pod["volumes"][1]["secret"]["secretName"],
        &container["env"][1]["valueFrom"]["secretKeyRef"]["name"],
    ] {
        assert!(guide.contains(&format!(" {} ", secret.as_str().unwrap())), "{secret}");
    }
    // The pod says its name to the option of that variable.
    let help = Command::new(env!("CARGO_BIN_EXE_word_count")).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    for variable in named(&container["env"]) {
        assert!(help.contains(&format!("[env: {variable}")), "{variable} is not read");
    }
}

#[cfg(feature = "http")]
#[test]
fn probes_ask_what_is_answered() {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};
    let state = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_word_count"))
        .args(["--input", "-", "--http", "127.0.0.1:0", "--state-dir"])
        .arg(state.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("HTTP endpoints on ").map(str::to_owned)).unwrap();
    let set = yaml("deploy/kubernetes/statefulset.yaml");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let mut asked: Vec<String> = ["startupProbe", "livenessProbe", "readinessProbe"]
        .iter()
        .map(|probe| container[*probe]["exec"]["command"][2].as_str().unwrap().to_owned())
        .collect();
    asked.push(
        yaml("docker-compose.yml")["services"]["word-count"]["healthcheck"]["test"][4]
            .as_str()
            .unwrap()
            .to_owned(),
    );
    asked.push("http://x/metrics".to_owned()); // Prometheus' own path.
    for command in asked {
        let (_, url) = command.rsplit_once("//").unwrap();
        let path = &url[url.find('/').unwrap()..];
        let ask =
            || ureq::get(format!("http://{address}{path}")).call().is_ok_and(|answer| answer.status() == 200);
        let end = Instant::now() + Duration::from_secs(60);
        while !ask() {
            assert!(Instant::now() < end, "{path}");
        }
    }
    program.kill().unwrap();
    program.wait().unwrap();
}

#[test]
fn systemd_takes_the_unit() {
    const UNIT: &str = "deploy/systemd/kstreams-word-count.service";
    let unit = text(UNIT);
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key}")).to_owned()
    };
    let mut command = value("ExecStart").split(' ').map(str::to_owned).collect::<Vec<_>>();
    let program = command.remove(0);
    takes(WORD_COUNT, &command);
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > stop_timeout(&command) + 5);
    assert_eq!(option(&command, "--state-dir").unwrap(), format!("/var/lib/{}", value("StateDirectory")));
    let limit: u64 = value("MemoryMax").strip_suffix('M').unwrap().parse().unwrap();
    assert!(limit * MIB >= memory_max() + 64 * MIB);
    // systemd's own opinion; the program need not be installed for it.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("kstreams-word-count.service");
    std::fs::write(&copy, unit.replace(&program, env!("CARGO_BIN_EXE_word_count"))).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("Unknown"), "{said}");
        }
        Err(error) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("systemd-analyze: {error}"),
        Err(error) => println!("SKIPPED the unit before systemd itself: systemd-analyze: {error}"),
    }
}
