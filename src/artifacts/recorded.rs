//! What a file of weights that this program wrote says of its network: one of the cache in the entry of its facts, one
//! that was exported in entries of its own.

use safetensors::SafeTensors;
use serde::Deserialize;

use super::Damage;
use super::tensor_file::FACTS;
use crate::spec::SeededDropout;

/// The header entry of an exported file that names the program which wrote it, with its version.
pub const PROGRAM: &str = "program";
/// The header entry of an exported file that holds the network's input dropout; absent where it has none.
pub const INPUT_DROPOUT: &str = "input-dropout";
/// What [`PROGRAM`] begins with in a file by this program.
const NAME: &str = "overinterp ";

/// What a file of weights by this program records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// Which pixels the network sees: all, or those that are drawn.
    pub input_dropout: Option<SeededDropout>,
}

/// The facts of a file in the cache that count here.
#[derive(Deserialize)]
struct Facts {
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
    let input_dropout = if let Some(facts) = entries.get(FACTS) {
        let Facts { input_dropout } = serde_json::from_str(facts)?;
        input_dropout
    } else if entries.get(PROGRAM).is_some_and(|program| program.starts_with(NAME)) {
        entries.get(INPUT_DROPOUT).map(|dropout| serde_json::from_str(dropout)).transpose()?
    } else {
        return Ok(None);
    };
    Ok(Some(Recorded { input_dropout }))
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
        let facts = format!(r#"{{"arch":"cnn","input_dropout":{dropout}}}"#);
        let exported = (PROGRAM, "overinterp 0.0.9");
        for (entries, found) in [
            (&[(FACTS, facts.as_str())][..], Some(Some(expected))),
            (&[(FACTS, r#"{"arch":"cnn"}"#)], Some(None)),
            (&[exported, (INPUT_DROPOUT, dropout)], Some(Some(expected))),
            (&[exported], Some(None)),
            (&[("format", "pt"), (INPUT_DROPOUT, dropout)], None),
            (&[(PROGRAM, "another 1.0")], None),
            (&[], None),
        ] {
            let recorded = recorded(&file(entries)).unwrap();
            assert_eq!(recorded.map(|recorded| recorded.input_dropout), found, "{entries:?}");
        }
        assert_eq!(recorded(b"PK\x03\x04").unwrap(), None, "an archive by PyTorch");
        assert!(recorded(&file(&[exported, (INPUT_DROPOUT, "keep")])).is_err());
        assert!(recorded(&file(&[(FACTS, "keep")])).is_err());
    }
}
