//! What a cache holds beside results: the record of a step, with the manifest in it.

use std::collections::BTreeMap;
use std::fs;

use overinterp_workflow::change::changes;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::manifest::{Manifest, canonical};
use overinterp_workflow::store::Store;

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

/// Puts a record into a cache, under the key and with the seal that it must have, and looks it up.
fn record(text: &str) {
    let Some((body, _)) = text.rsplit_once(",\n  \"seal\"") else { return };
    let Some(manifest) = body.strip_prefix("{\n  \"manifest\": ").and_then(|body| body.split_once(",\n")) else {
        return;
    };
    let (before, behind) = body.split_once("\n  \"key\": \"").unwrap_or((body, ""));
    // The key's kind and version are the input's, its hash the right one.
    let Some((name, behind)) = behind.split_once(':') else { return };
    let (Some(behind), Some((kind, version))) = (behind.get(64..), name.rsplit_once("-v")) else { return };
    let Ok(version) = version.parse() else { return };
    if !StepKey::is_kind(kind) || kind.len() > 64 {
        return;
    }
    let key = StepKey::of(kind, version, manifest.0);
    let body = format!("{before}\n  \"key\": \"{name}:{}{behind}", key.hash());
    let seal = blake3::hash(body.as_bytes()).to_hex();
    let folder = Folder::new();
    let place = format!("v1/steps/{kind}/{}", key.hash());
    folder.write(&format!("{place}/empty"), b"");
    folder.write(&format!("{place}/step.json"), format!("{body},\n  \"seal\": \"{seal}\"\n}}\n").as_bytes());
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
