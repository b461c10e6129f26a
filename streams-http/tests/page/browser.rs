//! A headless Chromium, if this machine has one: a page becomes the text of its document after some seconds of the browser's own time.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--virtual-time-budget=6000",
];
/// A browser that has not come to an end by then never will.
const DEADLINE: Duration = Duration::from_secs(180);

/// The browser of this machine. None is said aloud, and a failure where all must be there.
pub(crate) fn find() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let runs = |name: &&&str| {
            Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
        };
        let found = NAMES.iter().find(runs).copied();
        if found.is_none() {
            let line =
                "SKIPPED the live page in a browser: this machine has none; apt-get install chromium\n";
            // Past the test harness, which shows the output of failed tests only.
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
        let needed = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(found.is_some() || !needed, "no browser, and CI=true");
        found
    })
}

/// The document of `url` as it is after 6 s of the browser's time. `picture`: also a screenshot of this name and size, if they are wanted.
pub(crate) fn document(browser: &'static str, url: &str, picture: Option<(&str, &str)>) -> String {
    if let (Some(folder), Some((name, size))) = (std::env::var_os("KSTREAMS_SCREENSHOTS"), picture) {
        let file = Path::new(&folder).join(format!("{name}.png"));
        run(browser, url, &[&format!("--window-size={size}"), &format!("--screenshot={}", file.display())]);
    }
    let output = run(browser, url, &["--window-size=1300,1700", "--dump-dom"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(browser: &'static str, url: &str, flags: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args(FLAGS).args(flags).arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let output = command.output().unwrap();
        drop(profile);
        // Nobody waits any more after the deadline.
        let _ = sender.send(output);
    });
    let output =
        receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{browser} did not end with {url}"));
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
