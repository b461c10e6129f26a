//! A proxy in front of a broker that knows Kafka's frames well enough to hold one back.
//!
//! ```text
//! client ── EndTxn(commit) ──► proxy: kept, the client's connection is cut
//! client ── EndTxn(commit) ──► proxy ──► broker              the client tries again: the transaction is committed
//! client ── AddPartitionsToTxn ► proxy ──► broker            it begins its next transaction
//!                              proxy ── kept EndTxn ──► broker: what does it answer?
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const ADD_PARTITIONS_TO_TXN: i16 = 24;
const END_TXN: i16 = 26;

/// How long a kept frame waits behind the request that begins the next transaction: until the broker has answered that.
const BEHIND: Duration = Duration::from_millis(20);

/// Bytes of the largest frame that a test sends.
const FRAME_MAX: usize = 64 << 20;

/// What became of the frames that were held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Frames that were kept back.
    pub(crate) kept: usize,
    /// The broker's answers to them when they came late: Kafka's error codes.
    pub(crate) answers: Vec<i16>,
}

/// A frame that waits.
struct Kept {
    frame: Vec<u8>,
    transactional_id: String,
    retried: bool,
    broker: TcpStream,
}

#[derive(Default)]
struct State {
    /// The next commit is to be held.
    armed: bool,
    kept: Option<Kept>,
    held: Held,
}

/// The proxy. Its threads end with the test program.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    broker: Arc<AtomicU16>,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Listens. Connections are refused until [`Proxy::connect_to`] says where the broker is.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let proxy = Self { port, broker: Arc::default(), state: Arc::default() };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(client));
            }
        });
        Ok(proxy)
    }

    /// Where the broker is.
    pub(crate) fn connect_to(&self, address: &str) {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        self.broker.store(port.unwrap_or(0), SeqCst);
    }

    /// Holds the next commit.
    pub(crate) fn hold_next(&self) {
        self.state.lock().unwrap().armed = true;
    }

    /// What was held so far.
    pub(crate) fn held(&self) -> Held {
        self.state.lock().unwrap().held.clone()
    }

    fn serve(&self, client: TcpStream) -> Option<()> {
        let broker = TcpStream::connect(("127.0.0.1", self.broker.load(SeqCst))).ok()?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true).ok()?;
        }
        let late = Arc::new(Mutex::new(None));
        let (to_client, from_broker, answers_to) =
            (client.try_clone().ok()?, broker.try_clone().ok()?, late.clone());
        let proxy = self.clone();
        thread::spawn(move || proxy.copy_answers(from_broker, to_client, &answers_to));
        self.copy_requests(client, broker, &late);
        Some(())
    }

    /// Requests to the broker, until the client goes or a frame is kept: then the connection to the broker stays open for it.
    fn copy_requests(&self, mut client: TcpStream, mut broker: TcpStream, late: &Mutex<Option<i32>>) {
        while let Some(frame) = read_frame(&mut client) {
            if self.keep(&frame, &broker, late) {
                let _ = client.shutdown(Shutdown::Both);
                return;
            }
            if broker.write_all(&frame).is_err() {
                break;
            }
            self.let_go(&frame);
        }
        let _ = broker.shutdown(Shutdown::Both);
    }

    /// Answers to the client; the one to a frame that came late is counted.
    fn copy_answers(&self, mut broker: TcpStream, mut client: TcpStream, late: &Mutex<Option<i32>>) {
        while let Some(frame) = read_frame(&mut broker) {
            if let Some(correlation) = *late.lock().unwrap() {
                if int32(&frame, 4) == Some(correlation) {
                    // Length, correlation id, throttle time, error code.
                    let code = int16(&frame, 12).unwrap_or(-1);
                    self.state.lock().unwrap().held.answers.push(code);
                    break;
                }
                continue;
            }
            if client.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = broker.shutdown(Shutdown::Both);
    }

    /// Keeps the frame if it is the commit to be held.
    fn keep(&self, frame: &[u8], broker: &TcpStream, late: &Mutex<Option<i32>>) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some((END_TXN, id, commits)) = transactional(frame) else { return false };
        if let Some(kept) = state.kept.as_mut().filter(|kept| kept.transactional_id == id) {
            kept.retried = true;
            return false;
        }
        if !commits || !std::mem::take(&mut state.armed) {
            return false;
        }
        let Ok(broker) = broker.try_clone() else { return false };
        *late.lock().unwrap() = int32(frame, 8);
        state.kept = Some(Kept { frame: frame.to_vec(), transactional_id: id, retried: false, broker });
        state.held.kept += 1;
        true
    }

    /// Sends the kept frame behind the request that begins the next transaction of its producer.
    fn let_go(&self, frame: &[u8]) {
        let Some((ADD_PARTITIONS_TO_TXN, id, _)) = transactional(frame) else { return };
        let mut state = self.state.lock().unwrap();
        if !state.kept.as_ref().is_some_and(|kept| kept.retried && kept.transactional_id == id) {
            return;
        }
        let kept = state.kept.take();
        drop(state);
        if let Some(mut kept) = kept {
            thread::spawn(move || {
                thread::park_timeout(BEHIND);
                let _ = kept.broker.write_all(&kept.frame);
            });
        }
    }
}

/// A frame with its length in front.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).ok()?;
    let len = usize::try_from(int32(&frame, 0)?).ok().filter(|len| *len <= FRAME_MAX)?;
    frame.resize(4 + len, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// Kind, transactional id and, of an `EndTxn`, whether it commits. In the versions that librdkafka speaks (AddPartitionsToTxn 0, EndTxn 0
/// and 1) the id is the first field behind the header, and the decision the last.
fn transactional(frame: &[u8]) -> Option<(i16, String, bool)> {
    let kind = int16(frame, 4).filter(|kind| matches!(*kind, ADD_PARTITIONS_TO_TXN | END_TXN))?;
    // Length, kind, version, correlation id; then the client's id.
    let client = usize::try_from(int16(frame, 12)?).unwrap_or(0);
    let id = 14 + client;
    let len = usize::try_from(int16(frame, id)?).ok()?;
    let id = frame.get(id + 2..id + 2 + len)?;
    Some((kind, String::from_utf8_lossy(id).into_owned(), frame.last() == Some(&1)))
}

fn int16(frame: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

fn int32(frame: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?))
}
