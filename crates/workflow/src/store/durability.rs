//! When results are on the disk, and not only in the memory of the system.
//!
//! A step that took long, or left much, is on the disk before it has its name. Steps that took next to nothing would wait for
//! the disk far longer than they computed: they get their names at once, and a second's worth of them is put onto the disk
//! together. Until then their records bind the states of files to this boot of the system. After a crash of the system there
//! is another boot, and every byte of such a step is verified before it is believed; what is torn is damage. No crash of a
//! program tears a file that is written.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::Doing as _;
use super::{Store, StoreError};
use overinterp_foreign::file_state::FileState;

/// A step that took longer is worth waiting for the disk.
const CHEAP: f64 = 1.0;
/// A step that left more is verified anew after a restart of the system for too long.
const SMALL: u64 = 1 << 20;
/// So long may cheap results be in memory alone while steps go on to finish.
const LATEST: Duration = Duration::from_secs(1);

/// What waits to be put onto the disk, and by what this boot of the system is told from others.
#[derive(Debug)]
pub(super) struct Durability {
    /// Empty where the system does not tell, so that every step waits for the disk.
    boot: String,
    /// Since when something waits.
    waiting: Mutex<Option<Instant>>,
}

impl Durability {
    /// Nothing waits.
    pub fn new() -> Self {
        let boot = if cfg!(target_os = "linux") {
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
        } else {
            String::new()
        };
        Self { boot, waiting: Mutex::default() }
    }

    /// Whether a result that took so many seconds and has so many bytes gets its name before it is on the disk.
    pub fn may_wait(&self, seconds: f64, bytes: u64) -> bool {
        !self.boot.is_empty() && seconds < CHEAP && bytes <= SMALL
    }

    /// The number of a file's state in this boot alone; less than 0, as no other is.
    pub fn bound(&self, state: FileState) -> i64 {
        const STATE: i64 = (1 << 48) - 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&state.to_bytes()).update(self.boot.as_bytes());
        number_of(hasher.finalize()) & STATE | self.boot_bits() | i64::MIN
    }

    /// Whether the number of a state was bound to another boot.
    pub fn is_of_another_boot(&self, number: i64) -> bool {
        is_bound(number) && (self.boot.is_empty() || number & BOOT != self.boot_bits())
    }

    fn boot_bits(&self) -> i64 {
        number_of(blake3::hash(self.boot.as_bytes())) & BOOT
    }

    /// Whether `number` was recorded of a file that has this state now, and nothing has happened since that could have torn it.
    pub fn is_of(&self, number: i64, state: FileState) -> bool {
        if is_bound(number) { !self.boot.is_empty() && number == self.bound(state) } else { number == state.number() }
    }
}

/// The bits of a bound number that tell the boot.
const BOOT: i64 = 0x7fff << 48;

fn number_of(hash: blake3::Hash) -> i64 {
    let mut number = [0; 8];
    number.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_le_bytes(number)
}

/// Whether the number of a state holds in one boot alone.
pub(super) const fn is_bound(number: i64) -> bool {
    number < 0
}

/// Waits until all that was written to the file system of `dir` is on its disk.
fn sync_all_in(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(&dir)?);
    #[cfg(not(target_os = "linux"))]
    dir.sync_all()
}

impl Store {
    /// Notes that a result is in memory alone, and puts all such onto the disk when the first of them has waited for long.
    pub(super) fn wait_for_disk(&self) -> Result<(), StoreError> {
        let since = *self.waiting().get_or_insert_with(Instant::now);
        if since.elapsed() < LATEST { Ok(()) } else { self.settle() }
    }

    /// Puts onto the disk what is in memory alone, if something is.
    ///
    /// # Errors
    /// When it cannot be written; then it waits on.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let Some(since) = self.waiting().take() else { return Ok(()) };
        self.sync_all().inspect_err(|_| *self.waiting() = Some(since))
    }

    /// The text of a record as if its files had been written as they are now.
    #[cfg(test)]
    pub(crate) fn text_as_if_written_now(&self, record: &super::Record) -> String {
        let mut record = record.clone();
        for (name, file) in &mut record.files {
            let metadata = self.dir(&record.key).join(name).symlink_metadata().unwrap();
            file.state = self.durability.bound(FileState::of(&metadata));
        }
        record.to_text().unwrap()
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.durability.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same cache after the system has been started again.
    #[cfg(test)]
    pub(crate) fn after_restart(mut self) -> Self {
        self.durability = Durability { boot: "another".to_owned(), waiting: Mutex::default() };
        self
    }

    /// Waits until all results are on the disk, those of other processes too.
    pub(super) fn sync_all(&self) -> Result<(), StoreError> {
        sync_all_in(&self.base).doing("write", &self.base)
    }
}
