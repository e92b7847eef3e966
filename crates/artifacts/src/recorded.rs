//! What a file of weights that this program wrote says of its network: one of the cache in the entry of its facts, one
//! that was exported in entries of its own.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use safetensors::SafeTensors;
use serde::Deserialize;

use super::Damage;
use super::tensor_file::{FACTS, LENGTH_BYTES, LONGEST_HEADER};
use overinterp_foreign::bounded;
use overinterp_spec::{Normalise, SeededDropout};

/// The header entry of an exported file that names the program which wrote it, with its version.
pub(super) const PROGRAM: &str = "program";
/// The header entry of an exported file that holds the network's input dropout; absent where it has none.
pub(super) const INPUT_DROPOUT: &str = "input-dropout";
/// The header entry of an exported file that holds how the network normalises images, on the scale of 0 to 255.
pub(super) const NORMALISE: &str = "normalise";
/// What [`PROGRAM`] begins with in a file by this program.
const NAME: &str = "overinterp ";

/// What a file of weights by this program records.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// How bytes become the network's input; absent where it is that of the first member of an ensemble in the cache.
    pub normalise: Option<Normalise>,
    /// Which pixels the network sees: all, or those that are drawn.
    pub input_dropout: Option<SeededDropout>,
}

/// The facts of a file in the cache that count here.
#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    normalise: Option<Normalise>,
    #[serde(default)]
    input_dropout: Option<SeededDropout>,
}

/// What the weights in the bytes of a file record, be it from the cache or exported; none in a file by others.
///
/// # Errors
/// When the file is by this program and its header says something else than what is written there.
pub fn recorded(file: &[u8]) -> Result<Option<Recorded>, Damage> {
    let Ok((_, header)) = SafeTensors::read_metadata(file) else { return Ok(None) };
    let Some(entries) = header.metadata() else { return Ok(None) };
    recorded_by(|name| entries.get(name))
}

/// [`recorded`] of the file at `path`, of which the header alone is read; none where that cannot be had.
#[must_use]
pub fn recorded_in(path: &Path) -> Option<Recorded> {
    let mut file = bounded::open(path).ok()?;
    let mut length = [0; LENGTH_BYTES];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    // A file of another format begins with anything.
    if length > LONGEST_HEADER.min(file.metadata().ok()?.len()) {
        return None;
    }
    let header: Header = serde_json::from_reader(BufReader::new(file.take(length))).ok()?;
    recorded_by(|name| header.metadata.get(name)).ok().flatten()
}

/// The header of a file, but for its tensors.
#[derive(Deserialize)]
struct Header {
    #[serde(default, rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
}

fn recorded_by<'a>(entry: impl Fn(&str) -> Option<&'a String>) -> Result<Option<Recorded>, Damage> {
    let recorded = if let Some(facts) = entry(FACTS) {
        let Facts { normalise, input_dropout } = serde_json::from_str(facts)?;
        Recorded { normalise, input_dropout }
    } else if entry(PROGRAM).is_some_and(|program| program.starts_with(NAME)) {
        let normalise = entry(NORMALISE).map(|normalise| serde_json::from_str(normalise)).transpose()?;
        let input_dropout = entry(INPUT_DROPOUT).map(|dropout| serde_json::from_str(dropout)).transpose()?;
        Recorded { normalise, input_dropout }
    } else {
        return Ok(None);
    };
    Ok(Some(recorded))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use super::*;

    fn file(entries: &[(&str, &str)]) -> Vec<u8> {
        let entries: HashMap<String, String> =
            entries.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), Some(entries)).unwrap()
    }

    #[test]
    fn both_headers_of_this_program_are_known_and_no_others() {
        let dropout = r#"{"keep":0.7,"samples":2,"seed":5}"#;
        let expected: SeededDropout = serde_json::from_str(dropout).unwrap();
        let normalise = r#"{"mean":[123.675],"std":[58.395]}"#;
        let scaled = Normalise { mean: vec![123.675], std: vec![58.395] };
        let facts = format!(r#"{{"arch":"cnn","normalise":{normalise},"input_dropout":{dropout}}}"#);
        let exported = (PROGRAM, "overinterp 0.0.9");
        let said =
            |normalise: Option<&Normalise>, input_dropout| Recorded { normalise: normalise.cloned(), input_dropout };
        let folder = tempfile::tempdir().unwrap();
        for (entries, found) in [
            (&[(FACTS, facts.as_str())][..], Some(said(Some(&scaled), Some(expected)))),
            (&[(FACTS, r#"{"arch":"cnn"}"#)], Some(said(None, None))),
            (&[exported, (INPUT_DROPOUT, dropout)], Some(said(None, Some(expected)))),
            (&[exported, (NORMALISE, normalise)], Some(said(Some(&scaled), None))),
            (&[exported], Some(said(None, None))),
            (&[("format", "pt"), (INPUT_DROPOUT, dropout), (NORMALISE, normalise)], None),
            (&[(PROGRAM, "another 1.0")], None),
            (&[], None),
        ] {
            let bytes = file(entries);
            assert_eq!(recorded(&bytes).unwrap(), found, "{entries:?}");
            let path = folder.path().join("weights");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(recorded_in(&path), found, "{entries:?}");
            // The tensors are not read.
            std::fs::write(&path, [&bytes[..], b"and more"].concat()).unwrap();
            assert_eq!(recorded_in(&path), found, "{entries:?}");
        }
        assert_eq!(recorded(b"PK\x03\x04").unwrap(), None, "an archive by PyTorch");
        for other in [&b"PK\x03\x04\0\0\0\0\xff\xff"[..], b"", b"\x02\0\0\0\0\0\0\0[]"] {
            std::fs::write(folder.path().join("other"), other).unwrap();
            assert_eq!(recorded_in(&folder.path().join("other")), None);
        }
        for damaged in [(INPUT_DROPOUT, "keep"), (NORMALISE, "[0.5]")] {
            assert!(recorded(&file(&[exported, damaged])).is_err());
        }
        assert!(recorded(&file(&[(FACTS, "keep")])).is_err());
    }
}
