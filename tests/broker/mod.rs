//! A real broker for one run of a test program: started by `scripts/kafka`, ended when it is dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A broker of this run; ends when it is dropped.
pub(crate) struct Broker {
    /// `host:port` where it listens.
    pub(crate) address: String,
    folder: PathBuf,
}

impl Broker {
    /// Starts it. Clients are told to connect to the port `advertise`, if there is one. An error says why there can be none.
    pub(crate) fn start(advertise: Option<u16>) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("kstreams-broker-{}", std::process::id()));
        let port = free_port().ok_or("no free port")?.to_string();
        let advertise = advertise.map_or(port.clone(), |port| port.to_string());
        let output = script(&["up", "--port", &port, "--advertise", &advertise], &folder)
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
        let ended = script(&["down", "--wipe"], &self.folder).status();
        if !ended.is_ok_and(|status| status.success()) {
            println!("the broker in {} did not end", self.folder.display());
        }
    }
}

fn script(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka"));
    command.args(arguments).arg("--dir").arg(folder).stdin(Stdio::null());
    command
}

/// A port that is free together with the next one, which the broker's controller takes.
fn free_port() -> Option<u16> {
    (0..100).find_map(|_| {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
    })
}
