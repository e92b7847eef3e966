//! What people answered, and what is exchanged as tables: sheets, keys, predictions.

use std::path::Path;

use overinterp_artifacts::HumanAnswers;
use overinterp_data::study::{read_key, read_sheet, write_key};
use overinterp_exchange::{Predictions, read_predictions, write_predictions};
use overinterp_workflow::stage::Artifact;

use super::folder::Folder;
use super::seen;

/// Reads a table as each of those that the program knows, and JSON as answers in a cache.
pub fn answers(bytes: &[u8]) {
    let path = Path::new("answers.csv");
    if let Some(rows) = seen(read_sheet(path, bytes)) {
        std::hint::black_box(rows.len());
    }
    if let Some(rows) = seen(read_key(path, bytes)) {
        let rows: Vec<_> = rows.into_values().collect();
        let again = seen(read_key(path, write_key(&rows).as_bytes())).expect("a key that was written is read");
        assert_eq!(again.len(), rows.len(), "a key has other rows after it was written");
    }
    let folder = Folder::new();
    let path = folder.write("answers.json", bytes);
    if let Some(predictions) = seen(read_predictions(&path)) {
        std::hint::black_box(write_predictions(&predictions));
    }
    if let Some(predictions) = seen(Predictions::read(&path)) {
        for image in 0..4 {
            seen(predictions.of(image, 10));
        }
    }
    match HumanAnswers::load(folder.path()) {
        Ok(answers) => drop(std::hint::black_box((answers.answered(), answers.accuracy()))),
        Err(error) => drop(seen::<(), _>(Err(error))),
    }
}
