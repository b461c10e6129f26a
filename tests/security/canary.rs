//! Secrets that must not be seen: everything that this program logs at TRACE is kept, and the examples run at TRACE with librdkafka's own
//! debug output. The password, and the tokens, must be in none of it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::{SASL, Secured};

/// How long an example that does not end by itself runs.
const RUN: Duration = Duration::from_secs(20);
const EXAMPLES: [&str; 3] = ["word_count", "order_enrichment", "page_views"];

/// All that was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs to it from now on.
    pub(crate) fn begin() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace"))
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    /// The first line that is as asked for.
    pub(crate) fn find(&self, is: impl Fn(&str) -> bool) -> Option<String> {
        let bytes = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().find(|line| is(line)).map(str::to_owned)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn run(secured: &Secured, log: &Log) -> usize {
    let password = secured.password();
    // What passwords and unsecured tokens look like in what was logged so far: the parts before this one used them all.
    let secrets = [password.as_str(), "canary-wrong", &crate::base64url(r#"{"alg":"none"}"#)];
    let leak = log.find(|line| secrets.iter().any(|secret| line.contains(secret)));
    assert_eq!(leak, None, "a secret was logged");
    assert!(log.find(|line| line.contains("DEBUG")).is_some(), "nothing was logged: nothing was shown");
    1 + EXAMPLES.iter().filter(|example| is_silent(secured, example, &password)).count()
}

/// Runs an example with the password in its properties. Whether it was built, and kept the secret.
fn is_silent(secured: &Secured, example: &str, password: &str) -> bool {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(example);
    if !program.exists() {
        assert!(std::env::var("CI").is_err(), "{} was not built", program.display());
        println!("security: {example} was not built beside this program: it was not looked at");
        return false;
    }
    let folder = tempfile::tempdir().unwrap();
    let properties = folder.path().join("application.properties");
    let settings = std::fs::read_to_string(secured.secret("scram-256.properties")).unwrap();
    std::fs::write(&properties, format!("{settings}\ndebug=all\n")).unwrap();
    let output = std::fs::File::create(folder.path().join("output")).unwrap();
    let mut child = Command::new(program)
        .args(["--bootstrap-servers", &secured.at(SASL), "--properties"])
        .arg(&properties)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < RUN {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let output = std::fs::read(folder.path().join("output")).unwrap();
    let output = String::from_utf8_lossy(&output);
    assert!(
        output.contains("SASL"),
        "{example} said nothing of its connection, so nothing was shown: {output:.500}"
    );
    assert!(!output.contains(password), "{example} printed the password");
    true
}
