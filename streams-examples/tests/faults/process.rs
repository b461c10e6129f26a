//! An instance of the application: the program `workload` as a process of its own, with what it says on stdout and stderr.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_workload");

/// Sends a signal, `KILL` or another, to a process that this run has started.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).stderr(Stdio::null()).status();
    assert!(sent.unwrap().success(), "no process {pid} to send {name} to");
}

/// A running, frozen or ended process. Killed when it is dropped.
pub(crate) struct Instance {
    /// Name of the instance, over restarts.
    pub(crate) name: String,
    /// Its state directory.
    pub(crate) state_dir: PathBuf,
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Instance {
    /// Starts the program with these variables. `file_blocks` bounds the size of the files that it may write (`ulimit -f`).
    pub(crate) fn start(
        name: &str,
        state_dir: &Path,
        environment: &BTreeMap<String, String>,
        file_blocks: Option<u32>,
    ) -> Self {
        let mut command = match file_blocks {
            None => Command::new(PROGRAM),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                // The signal that comes with the error is ignored: it would end the process.
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\"");
                shell.args(["-c", &script, PROGRAM]);
                shell
            }
        };
        command.envs(environment).env("INSTANCE", name).env("STATE_DIR", state_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (events, errors) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (heard, said) = (events.clone(), errors.clone());
        let readers = vec![
            lines(stdout, move |line| {
                let event = line.strip_prefix("CHAOS ").and_then(|event| serde_json::from_str(event).ok());
                heard.lock().unwrap().extend::<Option<Value>>(event);
            }),
            lines(stderr, move |line| {
                let mut said = said.lock().unwrap();
                said.push_str(line);
                said.push('\n');
            }),
        ];
        Self { name: name.to_owned(), state_dir: state_dir.to_owned(), child, events, errors, readers }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it is still there.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself or after a signal; `None` if it has not within `deadline`.
    pub(crate) fn ended_within(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                return Some(status);
            }
            if begin.elapsed() > deadline {
                return None;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// What it has said about itself.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    /// All that it wrote to stderr.
    pub(crate) fn said(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// The most memory that it had at a time, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("the peak in /proc of a process that lives") << 10
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static, mut take: impl FnMut(&str) + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            take(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    })
}
