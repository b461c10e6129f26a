//! A real broker for one run of a test program: started by `scripts/kafka`, ended when it is dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A broker of this run; ends when it is dropped.
pub(crate) struct Broker {
    /// `host:port` where it listens.
    pub(crate) address: String,
    /// Its data and log.
    pub(crate) folder: PathBuf,
}

impl Broker {
    /// Starts it. Clients are told to connect to the port `advertise`, if there is one. An error says why there can be none.
    pub(crate) fn start(advertise: Option<u16>) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("kstreams-broker-{}", std::process::id()));
        // The broker's controller takes the next one.
        let port = free_ports(2).ok_or("no free port")?.to_string();
        let advertise = advertise.map_or(port.clone(), |port| port.to_string());
        Self::up(&["--port", &port, "--advertise", &advertise], folder)
    }

    /// Starts what `arguments` of `scripts/kafka` say, with its data in `folder`.
    pub(crate) fn up(arguments: &[&str], folder: PathBuf) -> Result<Self, String> {
        let output = script("up", &folder)
            .args(arguments)
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("cannot run scripts/kafka: {error}"))?;
        if output.status.success() {
            let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            return Ok(Self { address, folder });
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(words.lines().last().unwrap_or("scripts/kafka failed and said nothing").to_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let ended = script("down", &self.folder).arg("--wipe").status();
        if !ended.is_ok_and(|status| status.success()) {
            println!("the broker in {} did not end", self.folder.display());
        }
    }
}

/// `scripts/kafka` with `command`, for the broker whose data is in `folder`.
pub(crate) fn script(command: &str, folder: &Path) -> Command {
    let mut folders =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("scripts/kafka"));
    let mut kafka = Command::new(folders.find(|script| script.exists()).unwrap_or_default());
    kafka.arg(command).arg("--dir").arg(folder).stdin(Stdio::null());
    kafka
}

/// The first of `count` ports in a row that are free. None of those that the system gives to connections: while a broker is down for a
/// moment, it could give a client the very port that the broker comes back to.
pub(crate) fn free_ports(count: u16) -> Option<u16> {
    const FIRST: u16 = 12_000;
    static BEFORE: AtomicU16 = AtomicU16::new(0);
    let given = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given = given.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768_u16);
    let end = given.max(FIRST + 1_000) - count;
    // Programs that run at the same time begin in different places.
    let begin = (std::process::id() * 16) as u16;
    (0..100).find_map(|_| {
        let place = begin.wrapping_add(BEFORE.fetch_add(count, Ordering::Relaxed));
        let first = FIRST + place % (end - FIRST);
        let all_free = (0..count).all(|next| TcpListener::bind(("127.0.0.1", first + next)).is_ok());
        all_free.then_some(first)
    })
}
