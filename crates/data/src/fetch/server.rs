//! An HTTP server for tests, which can misbehave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Serves whole files, and ranges.
    Good,
    /// Serves ranges, but closes the connection after this many bytes of each answer.
    Cuts(usize),
    /// Knows no ranges, and closes the first connection after this many bytes.
    WholeOnlyCutsOnce(usize),
    /// Answers 404.
    HasNothing,
    /// Answers 503 to the first so many requests, then behaves.
    Busy(usize),
    /// Falls silent for two seconds after this many bytes of its first answer.
    FallsSilent(usize),
    /// Answers a range with one that begins elsewhere.
    WrongRange,
}

/// A running server; its thread ends with the test process.
pub struct Server {
    /// Where it listens, with a path in it.
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    /// The first byte asked for, if the request had a range.
    pub from: Option<usize>,
}

impl Server {
    /// Serves `content` under every path.
    pub fn start(content: Vec<u8>, habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/data/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (content, log) = (content.clone(), Arc::clone(&log));
                thread::spawn(move || answer(&mut stream.unwrap(), &content, habit, &log));
            }
        });
        Self { address, requests }
    }

    /// What has been asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream, content: &[u8], habit: Habit, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let request = read_request(stream)?;
    let from = request.from;
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(request);
        log.len() - 1
    };
    let start = match habit {
        Habit::HasNothing => return empty(stream, "404 Not Found"),
        Habit::Busy(times) if earlier < times => return empty(stream, "503 Service Unavailable"),
        Habit::WholeOnlyCutsOnce(_) => 0,
        _ => from.unwrap_or(0),
    };
    if start > 0 && start >= content.len() {
        return empty(stream, "416 Range Not Satisfiable");
    }
    let rest = &content[start..];
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", rest.len())?;
    if start > 0 {
        let claimed = if habit == Habit::WrongRange { start - 1 } else { start };
        write!(stream, "Content-Range: bytes {claimed}-{}/{}\r\n", content.len() - 1, content.len())?;
    }
    write!(stream, "\r\n")?;
    let sent = match habit {
        Habit::Cuts(bytes) => rest.len().min(bytes),
        Habit::WholeOnlyCutsOnce(bytes) | Habit::FallsSilent(bytes) if earlier == 0 => rest.len().min(bytes),
        _ => rest.len(),
    };
    stream.write_all(&rest[..sent])?;
    if matches!(habit, Habit::FallsSilent(_)) && sent < rest.len() {
        stream.flush()?;
        thread::sleep(Duration::from_secs(2));
    }
    Ok(())
}

fn empty(stream: &mut TcpStream, status: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    Ok(Request { path, from })
}
