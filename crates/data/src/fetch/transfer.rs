//! One file: attempts, resumption, checksum, rename.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{Download, FetchError, FetchNotice, FetchOptions, Notify};
use crate::checksum;
use overinterp_foreign::bounded;

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// The HTTP client of a download.
pub(super) fn agent(options: &FetchOptions) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("overinterp/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(Some(options.silence))
        .timeout_recv_response(Some(options.silence))
        .timeout_per_read(Some(options.silence))
        .build()
        .new_agent()
}

/// Why an attempt ended without the whole file.
enum Failure {
    /// Another attempt may do better.
    Passing(String),
    /// The address does not have it.
    Refused(String),
    /// There is no sense in going on.
    Fatal(FetchError),
}

/// Brings one file under its name, unless it is there.
pub(super) fn fetch_file(
    agent: &Agent,
    download: &Download,
    addresses: &[&str],
    path: &Path,
    options: &FetchOptions,
    notify: Notify<'_>,
) -> Result<(), FetchError> {
    if path.exists() {
        let mut file = bounded::open(path).map_err(|error| FetchError::writing(path)(error.into()))?;
        let found = checksum::md5_of(&mut file).map_err(FetchError::writing(path))?;
        if found != download.md5 {
            return Err(FetchError::Other { path: path.to_owned(), found, expected: download.md5.to_owned() });
        }
        let _ = notify(FetchNotice::Present { file: download.file });
        return Ok(());
    }
    let mut part = Part::open(path)?;
    let mut refusals = Vec::new();
    let mut failed = None;
    for address in addresses {
        let url = format!("{}/{}", address.trim_end_matches('/'), download.file);
        match part.fill(agent, &url, download, options, notify) {
            Ok(()) => {
                part.rename_to(path)?;
                let _ = notify(FetchNotice::Finished { file: download.file });
                return Ok(());
            }
            Err(Failure::Refused(answer)) => refusals.push(format!("{url} {answer}")),
            Err(Failure::Passing(reason)) => failed = Some((url, reason)),
            Err(Failure::Fatal(error)) => return Err(error),
        }
    }
    part.discard_if_empty();
    if let Some((url, reason)) = failed {
        return Err(FetchError::Failed { url, reason, part: part.path });
    }
    let folder = path.parent().unwrap_or(path).to_owned();
    Err(FetchError::Refused { file: download.file.to_owned(), reason: refusals.join(", "), folder })
}

/// The unfinished file. It is locked against other downloads while it is open.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(target: &Path) -> Result<Self, FetchError> {
        let mut path = target.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        bounded::writable(&path).map_err(|error| FetchError::writing(&path)(error.into()))?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(FetchError::writing(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => Err(FetchError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(FetchError::Write { path, source }),
        }
    }

    /// Attempts until the file is whole and right, or the address has failed too often in a row.
    fn fill(
        &mut self,
        agent: &Agent,
        url: &str,
        download: &Download,
        options: &FetchOptions,
        notify: Notify<'_>,
    ) -> Result<(), Failure> {
        let mut failures = 0;
        let mut furthest = self.len()?;
        loop {
            let resumed = self.len()? > 0;
            let reason = match self.attempt(agent, url, download.file, notify) {
                Ok(()) => {
                    let found = self.checksum()?;
                    if found == download.md5 {
                        return Ok(());
                    }
                    self.truncate()?;
                    if !resumed {
                        self.discard_if_empty();
                        let (url, expected) = (url.to_owned(), download.md5.to_owned());
                        return Err(Failure::Fatal(FetchError::Checksum { url, found, expected }));
                    }
                    // What was there from before may be to blame; once more without it.
                    "the checksum is wrong after resuming".to_owned()
                }
                Err(Failure::Passing(reason)) => reason,
                Err(failure) => return Err(failure),
            };
            let reached = self.len()?;
            failures = if reached > furthest { 1 } else { failures + 1 };
            furthest = furthest.max(reached);
            if failures >= options.attempts {
                return Err(Failure::Passing(reason));
            }
            let pause = options.pause.saturating_mul(1 << (failures - 1).min(5));
            self.told(notify(FetchNotice::Retry { file: download.file, reason: &reason, pause }))?;
            self.wait(pause, || notify(FetchNotice::Progress { file: download.file, done: reached, total: None }))?;
        }
    }

    /// One request, from where the file ends if the server can do that.
    fn attempt(&mut self, agent: &Agent, url: &str, name: &str, notify: Notify<'_>) -> Result<(), Failure> {
        let have = self.len()?;
        let mut request = agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|error| Failure::Passing(error.to_string()))?;
        let status = response.status();
        let mut done = match status {
            StatusCode::OK => {
                self.truncate()?;
                0
            }
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => have,
            StatusCode::PARTIAL_CONTENT => {
                self.truncate()?;
                return Err(Failure::Passing("the server resumed at another place".to_owned()));
            }
            // Nothing lies beyond what is there: it is whole, or is something else, as the checksum tells.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
            _ => return Err(refusal(status)),
        };
        let total = response.body().content_length().map(|rest| done + rest);
        self.file.seek(SeekFrom::Start(done)).map_err(FetchError::writing(&self.path))?;
        self.told(notify(FetchNotice::Progress { file: name, done, total }))?;
        let mut body = response.body_mut().as_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = body.read(&mut chunk).map_err(|error| Failure::Passing(error.to_string()))?;
            if count == 0 {
                break;
            }
            self.file.write_all(&chunk[..count]).map_err(FetchError::writing(&self.path))?;
            done += count as u64;
            self.told(notify(FetchNotice::Progress { file: name, done, total }))?;
        }
        match total {
            Some(total) if done < total => {
                Err(Failure::Passing(format!("the connection closed after {done} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn len(&self) -> Result<u64, FetchError> {
        Ok(self.file.metadata().map_err(FetchError::writing(&self.path))?.len())
    }

    fn truncate(&self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(FetchError::writing(&self.path))
    }

    fn checksum(&mut self) -> Result<String, FetchError> {
        self.file.rewind().map_err(FetchError::writing(&self.path))?;
        checksum::md5_of(&mut self.file).map_err(FetchError::writing(&self.path))
    }

    /// Gives the file its name, its bytes being safe on disk first.
    fn rename_to(&self, path: &Path) -> Result<(), FetchError> {
        self.file.sync_all().map_err(FetchError::writing(&self.path))?;
        fs::rename(&self.path, path).map_err(FetchError::writing(path))
    }

    /// Leaves no empty file behind.
    fn discard_if_empty(&self) {
        if self.len().is_ok_and(|len| len == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn told(&self, answer: ControlFlow<()>) -> Result<(), FetchError> {
        match answer {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(FetchError::Stopped { part: self.path.clone() }),
        }
    }

    /// Waits, asking a few times a second whether to stop.
    fn wait(&self, pause: Duration, mut ask: impl FnMut() -> ControlFlow<()>) -> Result<(), FetchError> {
        let step = Duration::from_millis(200);
        let mut left = pause;
        while !left.is_zero() {
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
            self.told(ask())?;
        }
        Ok(())
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

/// What a status that brings no bytes means.
fn refusal(status: StatusCode) -> Failure {
    let answer = format!("answered {status}");
    let passing =
        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if passing { Failure::Passing(answer) } else { Failure::Refused(answer) }
}

/// The first byte that a partial response brings: N of `Content-Range: bytes N-M/TOTAL`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
