//! Who works on a store, and which steps are whose.
//!
//! A worker is a process. It says of itself what it does in a presence, which it writes anew every few seconds, and claims
//! a step by a notice that names it. A claim is taken over when its worker has gone: its presence is no more, its process is
//! known to have ended, or it has been silent for long. How long is told by the store's clock, and by what was seen from
//! here; clocks of two machines are never compared. Should a worker that was silent come back, both may compute the same
//! step, which costs time and nothing else: results are published whole, and the second finds the first.

mod claim;
mod presence;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use claim::Holder;
pub(crate) use claim::{Claim, Claiming};
pub use presence::{HowFar, Machine, Pace, Presence, Working};

use crate::notices::{Notice, Notices, Place, StoreTime};
use crate::stage::Progress;

/// Where workers say what they do.
pub(crate) const WORKERS: &str = "workers";
/// Where steps are claimed.
pub(crate) const CLAIMS: &str = "claims";

/// How long workers wait for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between two signs of life.
    pub beat: Duration,
    /// After so long without one a worker is taken for gone.
    pub silent: Duration,
}

impl Patience {
    /// Twelve signs of life may be lost before a worker is taken for gone after `silent`.
    #[must_use]
    pub fn of(silent: Duration) -> Self {
        Self { beat: silent / 12, silent }
    }

    /// For how long a worker that the store calls silent is watched from here, so that a clock that was set is no death.
    fn confirm(self) -> Duration {
        self.beat * 2
    }
}

/// The variable that has the seconds after which a silent worker is taken for gone: the same for all on one store.
pub const SILENT_AFTER: &str = "OVERINTERP_SILENT_AFTER";

impl Default for Patience {
    /// A minute, or what [`SILENT_AFTER`] says. Attributes of files on network file systems may be as old as a minute, but for
    /// those of files that are opened.
    fn default() -> Self {
        Self::of(Self::from_environment().ok().flatten().unwrap_or(Duration::from_secs(60)))
    }
}

impl Patience {
    /// What [`SILENT_AFTER`] says; `None` where it says nothing.
    ///
    /// # Errors
    /// With its text, when that is no number of seconds from .1 to a day.
    pub fn from_environment() -> Result<Option<Duration>, String> {
        let Some(text) = std::env::var_os(SILENT_AFTER).filter(|text| !text.is_empty()) else { return Ok(None) };
        let seconds = text.to_str().and_then(|text| text.parse().ok());
        let seconds = seconds.filter(|seconds| (0.1..=86_400.0).contains(seconds));
        seconds.map(|seconds| Some(Duration::from_secs_f64(seconds))).ok_or_else(|| text.to_string_lossy().into_owned())
    }
}

/// Whether a worker still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has given a sign of life, or may yet.
    There,
    /// Nothing was heard of it for long, by the store's clock; it is watched before it is taken for gone.
    Quiet,
    /// Nothing was heard of it for long, and from here neither.
    Silent,
    /// It has left, or its process has ended.
    Gone,
}

impl State {
    /// Whether it has given a sign of life of late.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::There)
    }

    /// Whether what it has claimed may be taken over.
    #[must_use]
    pub const fn has_gone(self) -> bool {
        matches!(self, Self::Silent | Self::Gone)
    }
}

/// A process is at work on a store until this is dropped.
#[derive(Debug)]
pub(crate) struct AtWork<'a>(&'a Workers);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let last = self.0.me().as_mut().is_none_or(|me| {
            me.uses -= 1;
            me.uses == 0
        });
        if last {
            self.0.leave();
        }
    }
}

/// The workers on one store, seen from one of them.
#[derive(Debug)]
pub(crate) struct Workers {
    notices: Arc<dyn Notices>,
    patience: Patience,
    me: Mutex<Option<Me>>,
    joining: Mutex<()>,
    beating: Mutex<()>,
    seen: Mutex<BTreeMap<String, Seen>>,
    /// What was found of other workers of late.
    looked: Mutex<BTreeMap<String, Looked>>,
}

/// What this worker knows of itself.
#[derive(Debug)]
struct Me {
    id: String,
    presence: Presence,
    /// How many parts of the program are at work.
    uses: usize,
    joined: Instant,
    beaten: Instant,
    version: String,
    /// When the last sign of life was written: the store's clock, as far as it is known here.
    written: StoreTime,
    steps: BTreeMap<String, Mine>,
    /// Whether it has other steps than when it was last written.
    has_news: bool,
}

/// A step that this worker works on.
#[derive(Debug)]
struct Mine {
    label: String,
    since: Instant,
    progress: Option<HowFar>,
    version: String,
    lost: Arc<AtomicBool>,
}

/// What was found of another worker.
#[derive(Debug)]
struct Looked {
    when: Instant,
    presence: Option<Presence>,
    state: State,
}

/// When another worker's last sign of life was first seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    written: StoreTime,
    since: Instant,
}

/// After so many steps a worker knows how fast it is.
const ENOUGH: u32 = 2;
/// One that takes so many times as long as the others leaves the last steps to them.
const SLOW: f64 = 1.5;

/// A random word of eight letters and digits.
pub(crate) fn random() -> String {
    // The standard library seeds each of its hashers from the system.
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{number:016x}")[..8].to_owned()
}

impl Me {
    fn new(presence: Presence) -> Self {
        let host: String = presence.host.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        let id = format!("{}-{}-{}", host.to_lowercase(), presence.pid, random());
        let now = Instant::now();
        let (version, written, steps) = (String::new(), StoreTime(0.0), BTreeMap::new());
        Self { id, presence, uses: 1, joined: now, beaten: now, version, written, steps, has_news: false }
    }

    /// The presence as others read it.
    fn text(&mut self) -> io::Result<String> {
        self.presence.seconds = self.joined.elapsed().as_secs_f64();
        self.has_news = false;
        let working = |(step, mine): (&String, &Mine)| Working {
            step: step.clone(),
            label: mine.label.clone(),
            seconds: mine.since.elapsed().as_secs_f64(),
            progress: mine.progress.clone(),
        };
        self.presence.steps = self.steps.iter().filter(|(_, mine)| !mine.label.is_empty()).map(working).collect();
        serde_json::to_string(&self.presence).map_err(io::Error::from)
    }
}

const fn place_of(id: &str) -> Place<'_> {
    Place { folder: WORKERS, name: id }
}

impl Workers {
    /// Workers that know of each other by `notices`.
    pub fn new(notices: Arc<dyn Notices>, patience: Patience) -> Self {
        Self {
            notices,
            patience,
            me: Mutex::new(None),
            joining: Mutex::new(()),
            beating: Mutex::new(()),
            seen: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// How long they wait for one another.
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// Where they hang up notices.
    pub fn notices(&self) -> &dyn Notices {
        &*self.notices
    }

    fn me(&self) -> MutexGuard<'_, Option<Me>> {
        // Each change of it is whole.
        self.me.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that this process works on the store, until the result is dropped. What it does first is what is said.
    pub fn join(&self, doing: &str, alone: bool) -> io::Result<AtWork<'_>> {
        let _one = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(me) = self.me().as_mut() {
            me.uses += 1;
            return Ok(AtWork(self));
        }
        *self.me() = Some(Me::new(Presence::here(doing, alone)));
        self.beat().inspect_err(|_| *self.me() = None)?;
        Ok(AtWork(self))
    }

    /// Whether this process has joined.
    pub fn is_at_work(&self) -> bool {
        self.me().is_some()
    }

    /// Takes this process off the board, with what it has claimed.
    pub fn leave(&self) {
        let Some(me) = self.me().take() else { return };
        for (step, mine) in &me.steps {
            let _ = self.notices.remove(claim::place_of(step), &mine.version);
        }
        // One that stays is seen to be dead.
        let _ = self.notices.remove(place_of(&me.id), &me.version);
        self.notices.rest();
    }

    /// Gives a sign of life, and finds out which claims were taken over meanwhile.
    pub fn beat(&self) -> io::Result<()> {
        // One at a time, so that an older one never follows a newer; without holding up who only notes progress.
        let _one = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, text) = {
            let mut guard = self.me();
            let Some(me) = guard.as_mut() else { return Ok(()) };
            (me.id.clone(), me.text()?)
        };
        let version = self.notices.put(place_of(&id), &text)?;
        let written = self.notices.get(place_of(&id))?.map(|notice| notice.written);
        let claims: Vec<(String, String)> = {
            let mut guard = self.me();
            let Some(me) = guard.as_mut() else { return Ok(()) };
            (me.version, me.beaten) = (version, Instant::now());
            me.written = written.unwrap_or(me.written);
            me.steps.iter().map(|(step, mine)| (step.clone(), mine.version.clone())).collect()
        };
        for (step, version) in claims {
            let held = self.notices.get(claim::place_of(&step))?;
            if held.is_none_or(|notice| notice.version != version)
                && let Some(mine) = self.me().as_ref().and_then(|me| me.steps.get(&step))
            {
                mine.lost.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The same if one is due.
    fn beat_if_due(&self) -> io::Result<()> {
        let due = self.me().as_ref().is_some_and(|me| me.beaten.elapsed() >= self.patience.beat);
        if due { self.beat() } else { Ok(()) }
    }

    /// The same, asked again and again after `pause`; also if this worker has other steps than others know of.
    pub fn beat_if_news(&self, pause: Duration) -> io::Result<()> {
        let due = |me: &Me| me.has_news || me.beaten.elapsed() + pause / 2 >= self.patience.beat;
        let due = self.me().as_ref().is_some_and(due);
        if due { self.beat() } else { Ok(()) }
    }

    /// Notes how far a step has come that this worker works on.
    pub fn note(&self, step: &str, progress: &Progress<'_>) {
        if let Some(mine) = self.me().as_mut().and_then(|me| me.steps.get_mut(step)) {
            let Progress { unit, done, total } = *progress;
            mine.progress = Some(HowFar { unit: unit.to_owned(), done, total });
        }
    }

    /// What this worker is called; `None` before it has joined.
    pub fn id(&self) -> Option<String> {
        self.me().as_ref().map(|me| me.id.clone())
    }

    /// The machine and the process of this worker.
    pub fn name(&self) -> String {
        self.me().as_ref().map_or_else(String::new, |me| me.presence.name())
    }

    /// The store's time at this worker's last sign of life; `None` before it has joined.
    pub fn time(&self) -> Option<StoreTime> {
        self.me().as_ref().map(|me| me.written)
    }

    /// Whether a file was last written, at so many nanoseconds by the store's clock, before any worker that is still there
    /// can have been about to move it.
    pub fn is_older_than_silence(&self, written: i64) -> bool {
        let written = StoreTime(written as f64 * 1e-9);
        self.time().is_some_and(|now| now.since(written) > 2.0 * self.patience.silent.as_secs_f64())
    }

    /// Every other worker with what it last said of itself, in the order of their names; `None` where that cannot be read.
    pub fn others(&self) -> io::Result<Vec<(String, Option<Presence>, State)>> {
        let mine = self.me().as_ref().map(|me| me.id.clone());
        let mut others = Vec::new();
        for (id, _) in self.notices.list(WORKERS)?.into_iter().filter(|(id, _)| Some(id) != mine.as_ref()) {
            let notice = self.notices.get(place_of(&id))?;
            let state = self.judge(&id, notice.as_ref());
            let presence = notice.and_then(|notice| serde_json::from_str(&notice.text).ok());
            others.push((id, presence, state));
        }
        Ok(others)
    }

    /// What another worker last said of itself, and whether it is still there. Whoever asks often is told what was found of
    /// late.
    fn look_at(&self, id: &str) -> io::Result<(Option<Presence>, State)> {
        let looked = || self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Looked { when, presence, state }) = looked().get(id)
            && when.elapsed() < self.patience.beat / 8
        {
            return Ok((presence.clone(), *state));
        }
        let notice = self.notices.get(place_of(id))?;
        let state = self.judge(id, notice.as_ref());
        let presence: Option<Presence> = notice.and_then(|notice| serde_json::from_str(&notice.text).ok());
        looked().insert(id.to_owned(), Looked { when: Instant::now(), presence: presence.clone(), state });
        Ok((presence, state))
    }

    /// Notes what a step of a kind took this worker.
    pub fn note_pace(&self, kind: &str, seconds: f64) {
        if let Some(me) = self.me().as_mut() {
            let pace = me.presence.paces.entry(kind.to_owned()).or_default();
            pace.seconds = (pace.seconds * f64::from(pace.steps) + seconds) / f64::from(pace.steps + 1);
            pace.steps += 1;
        }
    }

    /// When this worker is so much slower than the others at steps of a kind, of which only `ready` are left, that they are
    /// done sooner without it: what one takes another. `None` otherwise.
    pub fn better_left(&self, kind: &str, ready: usize) -> Option<Duration> {
        let mine = self.me().as_ref()?.presence.paces.get(kind).copied()?;
        let others = self.others().ok()?;
        let there = others.into_iter().filter(|(_, _, state)| state.is_there());
        let paces: Vec<Option<Pace>> =
            there.map(|(_, presence, _)| presence.and_then(|presence| presence.paces.get(kind).copied())).collect();
        if ready > paces.len() {
            return None;
        }
        let mut seconds: Vec<f64> = paces.into_iter().flatten().map(|pace| pace.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let usual = *seconds.get(seconds.len() / 2)?;
        let is_slow = mine.steps >= ENOUGH && mine.seconds > SLOW * usual;
        is_slow.then(|| Duration::from_secs_f64(usual.clamp(0.0, 86_400.0)))
    }

    /// Whether a worker is still there, of which `notice` is the presence.
    fn judge(&self, id: &str, notice: Option<&Notice>) -> State {
        let Some(notice) = notice else { return State::Gone };
        if serde_json::from_str::<Presence>(&notice.text).is_ok_and(|presence| presence.has_ended()) {
            return State::Gone;
        }
        let silent_here = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let new = Seen { written: notice.written, since: Instant::now() };
            let seen = seen.entry(id.to_owned()).or_insert(new);
            if seen.written != notice.written {
                *seen = new;
            }
            seen.since.elapsed()
        };
        let by_store = self.time().map_or(0.0, |now| now.since(notice.written));
        let Patience { silent, .. } = self.patience;
        let long = by_store >= silent.as_secs_f64();
        if silent_here >= silent || long && silent_here >= self.patience.confirm() {
            State::Silent
        } else if long {
            State::Quiet
        } else {
            State::There
        }
    }

    /// Takes down what workers that are no more have left.
    pub fn sweep(&self) -> io::Result<()> {
        for (id, _, state) in self.others()? {
            if state.has_gone()
                && let Some(notice) = self.notices.get(place_of(&id))?
            {
                self.notices.remove(place_of(&id), &notice.version)?;
            }
        }
        for (name, _) in self.notices.list(CLAIMS)? {
            let place = claim::place_of(&name);
            let Some(notice) = self.notices.get(place)? else { continue };
            if self.notices.get(place_of(&notice.text))?.is_none() {
                self.notices.remove(place, &notice.version)?;
            }
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.leave();
    }
}
