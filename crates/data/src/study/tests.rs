use std::collections::BTreeSet;
use std::path::Path;

use super::{AnswerRow, KeyRow, fingerprint, pictures, read_key, read_sheet, write_key, write_sheet};
use overinterp_spec::Fraction;

fn sheet(text: &str) -> Result<Vec<AnswerRow>, String> {
    read_sheet(Path::new("answers.csv"), text.as_bytes()).map_err(|error| error.to_string())
}

fn answers(text: &str) -> Vec<(u64, String, String)> {
    sheet(text).unwrap().into_iter().map(|row| (row.line, row.file, row.answer)).collect()
}

#[test]
fn every_image_is_shown_once_in_every_set_under_a_name_that_tells_nothing() {
    let shown = pictures(100, 4, 3, 7);
    assert_eq!(shown.len(), 12);
    let images: BTreeSet<usize> = shown.iter().map(|picture| picture.image).collect();
    assert_eq!(images.len(), 4);
    let places: BTreeSet<(usize, usize)> = shown.iter().map(|picture| (picture.image, picture.set)).collect();
    assert_eq!(places.len(), 12);
    let files: Vec<&str> = shown.iter().map(|picture| picture.file.as_str()).collect();
    assert_eq!((files[0], files[11]), ("01.png", "12.png"));
    let sets: Vec<usize> = shown.iter().map(|picture| picture.set).collect();
    assert!(!sets.is_sorted() && sets != [0, 1, 2].repeat(4), "{sets:?}");
    assert_eq!(shown, pictures(100, 4, 3, 7));
    assert_ne!(shown, pictures(100, 4, 3, 8));
}

#[test]
fn a_sheet_comes_back_empty_and_as_spreadsheets_save_it() {
    let empty = write_sheet(["1.png", "2.png"]);
    assert_eq!(empty, "file,answer\n1.png,\n2.png,\n");
    let row = |line, file: &str, answer: &str| (line, file.to_owned(), answer.to_owned());
    assert_eq!(answers(&empty), [row(2, "1.png", ""), row(3, "2.png", "")]);
    let filled = "\u{feff}File;answer;remark\r\n2.png; Ankle boot ;hard\r\n;;\r\n1.png;\"T-shirt; top\";\r\n";
    assert_eq!(answers(filled), [row(2, "2.png", "Ankle boot"), row(4, "1.png", "T-shirt; top")]);
    assert_eq!(answers("answer\tfile\ncat\t1.png"), [row(2, "1.png", "cat")]);
}

#[test]
fn a_sheet_with_a_fault_is_answered_with_its_name_and_line() {
    let twice = sheet("file,answer\n1.png,cat\n2.png,\n1.png,dog\n").unwrap_err();
    assert_eq!(twice, "cannot use line 4 of answers.csv: 1.png was answered on line 2 already: keep one of the two");
    let column = sheet("file,class\n1.png,cat\n").unwrap_err();
    assert!(column.starts_with("cannot use line 1 of answers.csv: there is no column `answer`"), "{column}");
    let fields = sheet("file,answer\n1.png,cat\n2.png,dog,cat\n").unwrap_err();
    assert_eq!(fields, "cannot use line 3 of answers.csv: it has 3 fields, expected 2");
    let latin = read_sheet(Path::new("answers.csv"), b"file,answer\n1.png,caf\xe9\n").unwrap_err().to_string();
    assert!(latin.starts_with("cannot use line 2 of answers.csv: it is not text in UTF-8"), "{latin}");
}

#[test]
fn a_key_comes_back() {
    let row = |file: &str, line, image, fraction, label: &str| KeyRow {
        line,
        file: file.to_owned(),
        image,
        fraction: Fraction::try_from(fraction).unwrap(),
        label: label.to_owned(),
        shown: "0123456789abcdef".to_owned(),
    };
    let rows = [row("1.png", 2, 17, 0.05, "T-shirt/top"), row("2.png", 3, 4, 0.3, "a, \"b\"")];
    let text = write_key(&rows);
    let read = read_key(Path::new("key.csv"), text.as_bytes()).unwrap();
    assert_eq!(read.into_values().collect::<Vec<_>>(), rows);
    for (from, to, fault) in [
        (",17,", ",-17,", "line 2 of key.csv: `-17` is no number of an image"),
        (",0.3,", ",3,", "line 3 of key.csv: `3` is no share of the pixels"),
        ("2.png", "1.png", "line 3 of key.csv: 1.png is on line 2 already"),
    ] {
        let error = read_key(Path::new("key.csv"), text.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn pictures_are_told_apart_by_their_bytes() {
    let prints = [[1, 69], [1, 69], [1, 68]].map(|picture| fingerprint(&picture));
    assert!(prints[0] == prints[1] && prints[0] != prints[2] && prints[0].len() == 16, "{prints:?}");
}
