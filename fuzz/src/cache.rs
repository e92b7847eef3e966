//! What a cache holds beside results: the record of a step, with the manifest in it, and the index of all records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use overinterp_workflow::change::changes;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::manifest::{Manifest, canonical};
use overinterp_workflow::plan::{Label, Plan};
use overinterp_workflow::stage::{Artifact, ArtifactError, Context, Stage, StageError};
use overinterp_workflow::store::{Inventory, Lookup, Store};
use overinterp_workflow::view::View;

use super::folder::Folder;
use super::seen;

/// Reads a `step.json` and the manifest in it; also any JSON as a manifest.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(value) = serde_json::from_str(text) {
        look_at(&value);
    }
    record(text);
}

/// Looks at a manifest as `plan` and `explain` do.
fn look_at(value: &serde_json::Value) {
    std::hint::black_box(canonical(value));
    let Some(manifest) = Manifest::from_value(value) else { return };
    let again = serde_json::from_str(manifest.canonical()).expect("canonical text is JSON");
    let again = Manifest::from_value(&again).expect("what was a manifest is one");
    assert_eq!(manifest.key(), again.key(), "the canonical text of a canonical text is another");
    let (leaves, inputs) = (manifest.leaves(), manifest.inputs());
    assert!(changes(&leaves, &again.leaves()).is_empty(), "a manifest differs from itself");
    let without_kind =
        leaves.iter().filter(|(path, _)| *path != "kind").map(|(path, leaf)| (path.clone(), leaf.clone()));
    for change in changes(&leaves, &without_kind.collect()) {
        std::hint::black_box(change.to_string());
    }
    std::hint::black_box((manifest.brief(), inputs, manifest.content_key(&BTreeMap::new())));
}

/// Puts a record into a cache, under the key and with the seal that it must have.
fn put(folder: &Folder, text: &str) -> Option<StepKey> {
    let (body, _) = text.rsplit_once(",\n  \"seal\"")?;
    let (manifest, _) = body.strip_prefix("{\n  \"manifest\": ")?.split_once(",\n")?;
    let (before, behind) = body.split_once("\n  \"key\": \"").unwrap_or((body, ""));
    // The key's kind and version are the input's, its hash the right one.
    let (name, behind) = behind.split_once(':')?;
    let (behind, (kind, version)) = (behind.get(64..)?, name.rsplit_once("-v")?);
    let version = version.parse().ok()?;
    if !StepKey::is_kind(kind) || kind.len() > 64 {
        return None;
    }
    let key = StepKey::of(kind, version, manifest);
    let body = format!("{before}\n  \"key\": \"{name}:{}{behind}", key.hash());
    let seal = blake3::hash(body.as_bytes()).to_hex();
    let place = format!("v1/steps/{kind}/{}", key.hash());
    folder.write(&format!("{place}/empty"), b"");
    folder.write(&format!("{place}/step.json"), format!("{body},\n  \"seal\": \"{seal}\"\n}}\n").as_bytes());
    Some(key)
}

/// Puts a record into a cache, and looks it up.
fn record(text: &str) {
    let folder = Folder::new();
    let Some(key) = put(&folder, text) else { return };
    // Beside the cache lies what none of its entries may name.
    folder.write("outside", b"");
    let Some(store) = seen(Store::open(folder.path())) else { return };
    if let Some((dir, record)) = seen(store.verified(&key)) {
        let files = record.files.keys().map(|name| dir.join(name).canonicalize().expect("a file of the entry"));
        let dir = fs::canonicalize(&dir).expect("the entry");
        files.for_each(|file| assert_eq!(file.parent(), Some(&*dir), "an entry has files elsewhere"));
        if let Some(manifest) = record.manifest() {
            look_at(&manifest.to_value());
        }
        std::hint::black_box((record.bytes(), format!("{record:?}")));
    }
    seen(store.verify(&mut |_, _| {}));
}

/// A step of which a cache has the record below.
#[derive(Serialize)]
struct Give {
    mean: f64,
    name: &'static str,
}

/// What it gives, which nobody asks for here.
struct Nothing;

impl Artifact for Nothing {
    fn save(&self, _: &Path) -> Result<(), ArtifactError> {
        Ok(())
    }

    fn load(_: &Path) -> Result<Self, ArtifactError> {
        Ok(Self)
    }
}

impl Stage<()> for Give {
    const KIND: &'static str = "give";
    const VERSION: u32 = 1;
    type Output = Nothing;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, _: &Context<'_, ()>) -> Result<Nothing, StageError> {
        Ok(Nothing)
    }
}

/// A cache with that step, and a look at it, which reads the index and may write one.
fn look_up(folder: &Folder) -> bool {
    let key = put(folder, RECORD).expect("a record");
    let mut plan = Plan::<()>::new();
    let given = plan.add(Give { mean: 72.9, name: "a" }, Label::default());
    assert_eq!(*given.step(), key);
    let store = Store::open(folder.path()).expect("a cache");
    let view = seen(View::of_entries(&plan, &store)).expect("a cache that can be read");
    matches!(view.entry(&key), Lookup::Intact(_))
}

/// Puts an index with a sound seal into a cache. Whatever it says, the step that is there is found.
pub fn cache_index(bytes: &[u8]) {
    let folder = Folder::new();
    folder.write("v1/index", &[bytes, blake3::hash(bytes).as_bytes()].concat());
    assert!(look_up(&folder), "an index makes a step that is there another");
    if let Some(inventory) = Inventory::from_bytes(bytes) {
        let again = inventory.to_bytes().and_then(|bytes| Inventory::from_bytes(&bytes));
        assert_eq!(again.as_ref(), Some(&inventory));
        let holds = Store::open(folder.path()).expect("a cache").still_holds(&inventory);
        assert!(!holds || inventory.is_empty(), "what is no index holds steps");
    }
}

/// The index of a cache with one step, without its seal.
pub fn index_of_a_cache() -> Vec<u8> {
    let folder = Folder::new();
    look_up(&folder);
    // What was just written may change yet without a change of its times, and is in no index.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let store = Store::open(folder.path()).expect("a cache");
    let mut plan = Plan::<()>::new();
    plan.add(Give { mean: 72.9, name: "a" }, Label::default());
    seen(View::of_entries(&plan, &store)).expect("a cache that can be read");
    let index = fs::read(folder.path().join("v1/index")).expect("an index");
    index[..index.len() - blake3::OUT_LEN].to_vec()
}

/// As a cache has it; key and seal are put right by what reads it here.
pub const RECORD: &str = r#"{
  "manifest": {"kind":"give","settings":{"mean":72.9,"name":"a"},"version":1},
  "key": "give-v1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "content-key": "give-v1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "inputs": {},
  "content": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  "files": {
    "empty": {
      "bytes": 0,
      "hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
      "modified": 0
    }
  },
  "labels": [],
  "seconds": 0.1,
  "made": {
    "by": {
      "program": "overinterp",
      "host": "here",
      "device": "CPU"
    },
    "date": "1970-01-01T00:00:00Z",
    "unix-seconds": 0
  },
  "taken-from": null,
  "seal": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}
"#;
