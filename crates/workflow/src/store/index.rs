//! `index`: what the records of a cache say, in one file. A cache of the cache: it is believed of a step only as long as the
//! step's record has the state that it had when it was read, so that deleting it loses nothing and none can lie.
//!
//! ```text
//! MAGIC
//! texts      number, then each with its length
//! makers     number, then three texts each
//! entries    number, then where each begins, in the order of kind and hash, then the entries
//! BLAKE3 of all that
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::files;
use super::kept::Kept;
use super::record::{FileRecord, Maker, Record};
use crate::key::{ContentHash, StepKey};
use overinterp_foreign::file_state::FileState;

/// Its name in the cache's folder.
pub(super) const INDEX: &str = "index";
/// Names the form; another form is as good as no index.
const MAGIC: &[u8; 8] = b"ovindex1";
/// A hundred thousand steps take some 25 MB.
const LARGEST: u64 = 2_000_000_000;

/// What was read of an index.
#[derive(Default)]
pub(super) struct Index {
    bytes: Vec<u8>,
    texts: Vec<String>,
    makers: Vec<Arc<Maker>>,
    /// Where each entry begins.
    entries: Vec<usize>,
}

/// What a record says, and by which state of its file that is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Indexed {
    pub kept: Kept,
    /// The number of the state that `step.json` had when it was read.
    pub state: i64,
    /// Whether it may be in memory alone.
    pub is_bound: bool,
    pub files: Box<[(Arc<str>, FileRecord)]>,
}

impl Indexed {
    /// What `record` says, of which the file has that state.
    pub fn of(record: &Record, state: FileState) -> Self {
        let files = record.files.iter().map(|(name, file)| (Arc::from(name.as_str()), file.clone()));
        Self { kept: Kept::of(record), state: state.number(), is_bound: record.is_bound, files: files.collect() }
    }
}

impl Index {
    /// The index in a cache's folder; an empty one where there is none that can be believed.
    pub fn read(base: &Path) -> Self {
        let bytes = files::read_small(&base.join(INDEX), LARGEST).ok().flatten();
        bytes.and_then(Self::of).unwrap_or_default()
    }

    fn of(bytes: Vec<u8>) -> Option<Self> {
        let (body, seal) = bytes.split_at_checked(bytes.len().checked_sub(blake3::OUT_LEN)?)?;
        if blake3::hash(body) != blake3::Hash::from_slice(seal).ok()? {
            return None;
        }
        let mut cursor = Cursor { bytes: body, at: 0 };
        if cursor.take::<8>()? != *MAGIC {
            return None;
        }
        let count = cursor.number()?;
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(cursor.text()?.to_owned());
        }
        let count = cursor.number()?;
        let mut makers = Vec::new();
        for _ in 0..count {
            let mut part = || texts.get(cursor.number()?).cloned();
            makers.push(Arc::new(Maker { program: part()?, host: part()?, device: part()? }));
        }
        let count = cursor.number()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(usize::try_from(u64::from_le_bytes(cursor.take()?)).ok()?);
        }
        Some(Self { bytes, texts, makers, entries })
    }

    /// How many steps it knows.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// All that an entry says.
    pub fn open(&self, sealed: &Sealed) -> Option<Indexed> {
        self.entry(sealed.at)
    }

    /// What it knows of the step of that kind and hash, without taking it out.
    pub fn find(&self, kind: &str, hash: [u8; 32]) -> Option<Sealed> {
        let place = self.entries.binary_search_by(|&at| {
            let found = self.name(at).map(|name| name.cmp(&(kind, hash)));
            found.unwrap_or(std::cmp::Ordering::Less)
        });
        let at = self.entries[place.ok()?];
        // The kind's number, and the hash.
        let mut cursor = Cursor { bytes: &self.bytes, at: at + 4 + blake3::OUT_LEN };
        let version = u32::from_le_bytes(cursor.take()?);
        let state = i64::from_le_bytes(cursor.take()?);
        let content = cursor.take()?;
        // Seconds, who made it, when, and whether it is shared.
        cursor.skip(8 + 4 + 8 + 1)?;
        let inputs = cursor.number()?;
        cursor.skip(inputs.checked_mul(4 + blake3::OUT_LEN + 4 + blake3::OUT_LEN)?)?;
        Some(Sealed { version, state, content, at, files: cursor.at })
    }

    /// Everything that it knows.
    pub fn iter(&self) -> impl Iterator<Item = Indexed> {
        self.entries.iter().filter_map(|&at| self.entry(at))
    }

    fn name(&self, at: usize) -> Option<(&str, [u8; 32])> {
        let mut cursor = Cursor { bytes: &self.bytes, at };
        Some((self.texts.get(cursor.number()?)?, cursor.take()?))
    }

    fn entry(&self, at: usize) -> Option<Indexed> {
        let mut cursor = Cursor { bytes: &self.bytes, at };
        let key = self.key(&mut cursor)?;
        let state = i64::from_le_bytes(cursor.take()?);
        let content = ContentHash::from_bytes(cursor.take()?);
        let seconds = f64::from_le_bytes(cursor.take()?);
        let by = Arc::clone(self.makers.get(cursor.number()?)?);
        let unix_seconds = u64::from_le_bytes(cursor.take()?);
        let is_shared = cursor.take::<1>()? != [0];
        let mut inputs = Vec::with_capacity(1);
        for _ in 0..cursor.number()? {
            inputs.push((self.key(&mut cursor)?, ContentHash::from_bytes(cursor.take()?)));
        }
        let mut files = Vec::with_capacity(1);
        for _ in 0..cursor.number()? {
            let (name, file) = self.file(&mut cursor)?;
            files.push((Arc::from(name), file));
        }
        let kept = Kept { key, content, inputs: inputs.into(), seconds, by, unix_seconds, is_shared };
        Some(Indexed { kept, state, is_bound: false, files: files.into() })
    }

    /// A file's name, and what is recorded of it.
    fn file(&self, cursor: &mut Cursor<'_>) -> Option<(&str, FileRecord)> {
        let name = self.texts.get(cursor.number()?)?.as_str();
        let bytes = u64::from_le_bytes(cursor.take()?);
        let hash = ContentHash::from_bytes(cursor.take()?);
        Some((name, FileRecord { bytes, hash, state: i64::from_le_bytes(cursor.take()?) }))
    }

    fn key(&self, cursor: &mut Cursor<'_>) -> Option<StepKey> {
        let kind = self.texts.get(cursor.number()?)?.clone();
        let hash = blake3::Hash::from_bytes(cursor.take()?);
        Some(StepKey::new(kind.into(), u32::from_le_bytes(cursor.take()?), hash))
    }
}

/// An entry that stays in its index.
pub(super) struct Sealed {
    pub version: u32,
    /// The number of the state that the record had.
    pub state: i64,
    pub content: [u8; 32],
    /// Where it begins.
    at: usize,
    /// Where its files begin.
    files: usize,
}

impl Sealed {
    /// The names of its files, each with what is recorded of it; `None` in the place of one that cannot be read.
    pub fn files<'a>(&self, index: &'a Index) -> impl Iterator<Item = Option<(&'a str, FileRecord)>> {
        let mut cursor = Cursor { bytes: &index.bytes, at: self.files };
        // One more that cannot be read, where it cannot even be told how many there are.
        let count = cursor.number();
        (0..count.unwrap_or(1)).map(move |_| {
            count?;
            index.file(&mut cursor)
        })
    }
}

/// What is left to read of packed bytes.
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|&at| at <= self.bytes.len())?;
        Some(())
    }

    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(N)?)?;
        self.at += N;
        taken.try_into().ok()
    }

    pub fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).ok()
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        str::from_utf8(taken).ok()
    }
}

/// The bytes of an index of `entries`; `None` where there are more than it has room for.
pub(super) fn bytes_of(entries: &[Indexed]) -> Option<Vec<u8>> {
    let mut sorted: Vec<&Indexed> = entries.iter().collect();
    sorted.sort_by_cached_key(|entry| (entry.kept.key.kind(), *entry.kept.key.hash_bytes().as_bytes()));
    let mut tables = Tables::default();
    let mut body = Vec::new();
    let mut begins = Vec::with_capacity(sorted.len());
    for Indexed { kept, state, files, .. } in sorted {
        begins.push(body.len());
        tables.key(&kept.key, &mut body)?;
        body.extend(state.to_le_bytes());
        body.extend(kept.content.as_bytes());
        body.extend(kept.seconds.to_le_bytes());
        body.extend(tables.maker(&kept.by)?);
        body.extend(kept.unix_seconds.to_le_bytes());
        body.push(u8::from(kept.is_shared));
        body.extend(number(kept.inputs.len())?);
        for (input, content) in &kept.inputs {
            tables.key(input, &mut body)?;
            body.extend(content.as_bytes());
        }
        body.extend(number(files.len())?);
        for (name, file) in files {
            body.extend(tables.text(name)?);
            body.extend(file.bytes.to_le_bytes());
            body.extend(file.hash.as_bytes());
            body.extend(file.state.to_le_bytes());
        }
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(number(tables.texts.len())?);
    let mut texts: Vec<(u32, String)> = tables.texts.into_iter().map(|(text, place)| (place, text)).collect();
    texts.sort_unstable();
    for (_, text) in texts {
        bytes.extend(number(text.len())?);
        bytes.extend(text.as_bytes());
    }
    bytes.extend(number(tables.makers.len())?);
    for part in tables.makers.into_iter().flatten() {
        bytes.extend(part.to_le_bytes());
    }
    bytes.extend(number(begins.len())?);
    let first = bytes.len() + 8 * begins.len();
    for begin in begins {
        bytes.extend(((first + begin) as u64).to_le_bytes());
    }
    bytes.append(&mut body);
    let seal = blake3::hash(&bytes);
    bytes.extend(seal.as_bytes());
    Some(bytes)
}

/// A number as it is packed; `None` of one that is too large.
pub(super) fn number(number: usize) -> Option<[u8; 4]> {
    u32::try_from(number).ok().map(u32::to_le_bytes)
}

/// What entries name again and again.
#[derive(Default)]
struct Tables {
    texts: BTreeMap<String, u32>,
    makers: Vec<[u32; 3]>,
}

impl Tables {
    fn text(&mut self, text: &str) -> Option<[u8; 4]> {
        self.place(text).map(u32::to_le_bytes)
    }

    fn place(&mut self, text: &str) -> Option<u32> {
        if let Some(&place) = self.texts.get(text) {
            return Some(place);
        }
        let place = u32::try_from(self.texts.len()).ok()?;
        self.texts.insert(text.to_owned(), place);
        Some(place)
    }

    fn maker(&mut self, Maker { program, host, device }: &Maker) -> Option<[u8; 4]> {
        let parts = [self.place(program)?, self.place(host)?, self.place(device)?];
        let place = self.makers.iter().position(|known| *known == parts).unwrap_or_else(|| {
            self.makers.push(parts);
            self.makers.len() - 1
        });
        number(place)
    }

    fn key(&mut self, key: &StepKey, body: &mut Vec<u8>) -> Option<()> {
        body.extend(self.text(key.kind())?);
        body.extend(key.hash_bytes().as_bytes());
        body.extend(key.version().to_le_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::plan::Label;

    fn entries() -> Vec<Indexed> {
        let of = |kind: &str, value: u32, inputs: BTreeMap<StepKey, ContentHash>| {
            let value = serde_json::json!({"kind": kind, "version": 1, "settings": {"value": value}});
            let record = crate::store::record_of(Manifest::from_value(&value).unwrap(), inputs, Label::default());
            Indexed { state: 7, ..Indexed::of(&record, FileState::of(&std::fs::metadata(".").unwrap())) }
        };
        let mut all: Vec<Indexed> = (0..20).map(|value| of("give", value, BTreeMap::new())).collect();
        let inputs = all.iter().take(3).map(|entry| (entry.kept.key.clone(), entry.kept.content)).collect();
        all.push(of("sum", 0, inputs));
        all
    }

    /// What an index knows of a step.
    fn get(index: &Index, key: &StepKey) -> Option<Indexed> {
        let sealed = index.find(key.kind(), *key.hash_bytes().as_bytes())?;
        index.open(&sealed).filter(|entry| entry.kept.key == *key)
    }

    #[test]
    fn an_index_reads_back() {
        let all = entries();
        let index = Index::of(bytes_of(&all).unwrap()).unwrap();
        assert_eq!(index.len(), all.len());
        for entry in &all {
            assert_eq!(get(&index, &entry.kept.key).as_ref(), Some(entry));
        }
        assert_eq!(index.iter().count(), all.len());
        let other: StepKey = format!("give-v1:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(get(&index, &other), None);
        let newer = all[0].kept.key.to_string().replace("give-v1", "give-v2").parse().unwrap();
        assert_eq!(get(&index, &newer), None);
    }

    #[test]
    fn an_index_of_which_a_byte_is_changed_or_missing_is_none() {
        let bytes = bytes_of(&entries()).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(Index::of(changed).is_none(), "byte {place}");
            assert!(Index::of(bytes[..place].to_vec()).is_none(), "first {place} bytes");
        }
    }
}
