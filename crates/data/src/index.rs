//! A small file that remembers what data files were found to contain, so that planning need not decode them.
//!
//! A first line with the version of its form, and then one line an entry: fingerprint of the files, content hash,
//! provenance, images, height, width, channels, and the places of files that were left out, if any. It is a memo and no
//! more: a line that does not parse is passed over, and the whole may be deleted at any time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use overinterp_foreign::bounded;
use overinterp_spec::ImageShape;

use super::content::{Content, Provenance};

/// The first line. Raised whenever lines or their fingerprints are made of something else, so that nothing is read as
/// what it is not.
const VERSION: &str = "overinterp data index 3";

/// Bytes that the memo may have: some hundred thousand lines, or the places of ten million files that are left out.
const MOST_BYTES: u64 = 64 << 20;

/// What is remembered of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub content: Content,
    /// The places, among the files, of those that were left out.
    pub skipped: Vec<usize>,
}

/// The memo's file.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
}

impl Index {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What files of that fingerprint were found to contain, if it is known.
    pub(super) fn get(&self, fingerprint: &blake3::Hash) -> Option<Entry> {
        let entries = self.read();
        entries.get(fingerprint.to_hex().as_str()).and_then(|entry| parse(entry))
    }

    /// Remembers it, replacing the file as a whole.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is lost then but time.
    pub(super) fn put(&self, fingerprint: &blake3::Hash, Entry { content, skipped }: &Entry) -> io::Result<()> {
        let mut entries = self.read();
        let ImageShape { height, width, channels } = content.shape;
        let Content { hash, images, .. } = content;
        let mut entry = format!("{hash} {} {images} {height} {width} {channels}", content.provenance.name());
        for (turn, place) in skipped.iter().enumerate() {
            let _ = write!(entry, "{}{place}", if turn == 0 { ' ' } else { ',' });
        }
        entries.insert(fingerprint.to_hex().to_string(), entry);
        let mut text = format!("{VERSION}\n");
        for (fingerprint, entry) in entries {
            let _ = writeln!(text, "{fingerprint} {entry}");
        }
        bounded::replace(&self.path, text.as_bytes())
    }

    /// The lines by fingerprint; none where there is no such file, it cannot be read or is too large, or another version
    /// wrote it.
    fn read(&self) -> BTreeMap<String, String> {
        let text = bounded::read(&self.path, MOST_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let text = text.strip_prefix(VERSION).and_then(|text| text.strip_prefix('\n')).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(_, entry)| parse(entry).is_some());
        lines.map(|(fingerprint, entry)| (fingerprint.to_owned(), entry.to_owned())).collect()
    }
}

fn parse(entry: &str) -> Option<Entry> {
    let mut words = entry.split(' ');
    let hash = words.next()?.parse().ok()?;
    let provenance = Provenance::from_name(words.next()?)?;
    let mut number = || words.next()?.parse().ok();
    let images = number()?;
    let shape = ImageShape { height: number()?, width: number()?, channels: number()? };
    let skipped: Vec<usize> = match words.next() {
        None => Vec::new(),
        Some(places) => places.split(',').map(|place| place.parse().ok()).collect::<Option<_>>()?,
    };
    let content = Content { hash, provenance, images, shape, skipped: skipped.len(), passed: 0 };
    (words.next().is_none() && skipped.is_sorted()).then_some(Entry { content, skipped })
}
