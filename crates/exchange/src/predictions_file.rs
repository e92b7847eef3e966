//! Predictions in the authors' form: CSV lines `index,class,confidence`. The authors write no header; pandas and
//! spreadsheets do, and their files are read as well.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::error::{ExchangeError, Fault, Located};
use super::npz::read_file;
use overinterp_foreign::delimited::{Header, Table, TableError};
use overinterp_foreign::numpy::{Exact, Number};

/// The columns, by which a header names them.
const COLUMNS: [&str; 3] = ["index", "class", "confidence"];

/// What a model says of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The image's number in its split.
    pub image: usize,
    /// The class predicted.
    pub class: u16,
    /// Its softmax probability.
    pub confidence: f32,
}

/// A file of predictions, by image.
#[derive(Clone, Debug)]
pub struct Predictions {
    path: PathBuf,
    /// Each with its line.
    by_image: BTreeMap<usize, (u64, Prediction)>,
}

impl Predictions {
    /// Bytes that such a file may have: those of numpy's longest form for every image that ImageNet trains on.
    pub const MOST_BYTES: u64 = 128 << 20;

    /// Reads a file of predictions.
    ///
    /// # Errors
    /// When the file cannot be read, a line is no prediction, or two are of one image; the error names the line.
    pub fn read(path: &Path) -> Result<Self, ExchangeError> {
        let mut by_image: BTreeMap<usize, (u64, Prediction)> = BTreeMap::new();
        let note = |line, prediction: Prediction| {
            if let Some((first, _)) = by_image.insert(prediction.image, (line, prediction)) {
                let problem = format!("image {} is on line {first} already: keep one of the two", prediction.image);
                return Err(Fault::Table(problem).at(place(line)));
            }
            Ok(())
        };
        read_file(path, Self::MOST_BYTES, |bytes| parse(bytes, note))?;
        Ok(Self { path: path.to_owned(), by_image })
    }

    /// What is said of an image, whose class must be one of `classes`.
    ///
    /// # Errors
    /// When nothing is, or the class is none; the error names the file and the line.
    pub fn of(&self, image: usize, classes: usize) -> Result<Prediction, ExchangeError> {
        let Some((line, prediction)) = self.by_image.get(&image) else {
            return Err(Fault::Table(format!("there is none for image {image}")).at("its lines").of(&self.path));
        };
        if usize::from(prediction.class) < classes {
            return Ok(*prediction);
        }
        let problem =
            format!("it predicts class {} for image {image}, but there are only {classes} classes", prediction.class);
        Err(Fault::Table(problem).at(place(*line)).of(&self.path))
    }
}

/// Reads every line of a file of predictions, in their order.
///
/// # Errors
/// When the file cannot be read, or a line is no prediction; the error names the line.
pub fn read_predictions(path: &Path) -> Result<Vec<Prediction>, ExchangeError> {
    let mut predictions = Vec::new();
    let note = |_, prediction| {
        predictions.push(prediction);
        Ok(())
    };
    read_file(path, Predictions::MOST_BYTES, |bytes| parse(bytes, note))?;
    Ok(predictions)
}

/// Predictions as the text of such a file.
#[must_use]
pub fn write_predictions(predictions: &[Prediction]) -> String {
    let mut text = String::new();
    for Prediction { image, class, confidence } in predictions {
        // The shortest form that reads back as the same number.
        let _ = writeln!(text, "{image},{class},{confidence}");
    }
    text
}

/// Lines that a file may have: more than three times as many as there are images that ImageNet trains on.
const MOST_LINES: usize = 1 << 22;

/// Hands every prediction to `note`, with its line, counted from 1.
fn parse(bytes: &[u8], mut note: impl FnMut(u64, Prediction) -> Result<(), Located>) -> Result<(), Located> {
    let mut count = 0;
    Table::visit(bytes, &COLUMNS, Header::Optional, |row, comma_separated| {
        count += 1;
        if count > MOST_LINES {
            return Err(Fault::Table(format!("there are more than {MOST_LINES} predictions, which is the limit"))
                .at(place(row.line)));
        }
        let prediction = prediction(&row.fields, comma_separated).map_err(|fault| fault.at(place(row.line)))?;
        note(row.line, prediction)
    })?;
    Ok(())
}

impl From<TableError> for Located {
    fn from(error: TableError) -> Self {
        Fault::Table(error.problem).at(place(error.line))
    }
}

fn place(line: u64) -> String {
    format!("line {line}")
}

fn prediction([image, class, confidence]: &[String; 3], comma_separated: bool) -> Result<Prediction, Fault> {
    let fault = |field: &str, expected: &str| Fault::Prediction(format!("`{field}` is no {expected}"));
    // Where commas separate nothing, some countries write decimal ones.
    let decimal = if comma_separated { confidence.clone() } else { confidence.replacen(',', ".", 1) };
    let read = decimal.parse().ok().filter(|confidence: &f32| (0.0..=1.001).contains(confidence));
    Ok(Prediction {
        image: whole(image)
            .and_then(|image| image.try_into().ok())
            .ok_or_else(|| fault(image, "number of an image"))?,
        class: whole(class).and_then(|class| class.try_into().ok()).ok_or_else(|| fault(class, "class"))?,
        confidence: read.ok_or_else(|| fault(confidence, "confidence from 0 to 1"))?,
    })
}

/// A whole number, perhaps written as `7.0` or `7.000e+00`, as pandas and numpy write columns of floating-point numbers.
fn whole(field: &str) -> Option<i64> {
    field.parse().ok().or_else(|| i64::exactly(Number::Real(field.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Prediction> {
        parsed(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
    }

    fn parsed(text: &str) -> Result<Vec<Prediction>, Located> {
        let mut predictions = Vec::new();
        let note = |_, prediction| {
            predictions.push(prediction);
            Ok(())
        };
        parse(text.as_bytes(), note).map(|()| predictions)
    }

    #[test]
    fn predictions_come_back_to_the_bit() {
        let predictions: Vec<Prediction> = (0..50)
            .map(|image| Prediction { image, class: (image % 10) as u16, confidence: 1.0 / (image as f32 + 1.7) })
            .collect();
        assert_eq!(read(&write_predictions(&predictions)), predictions);
        assert_eq!(write_predictions(&predictions[..1]), "0,0,0.58823526\n");
    }

    #[test]
    fn predictions_are_read_as_pandas_numpy_and_spreadsheets_save_them() {
        let expected = [(0, 7, 0.132_278_25), (1, 6, 0.5)].map(|(image, class, confidence)| Prediction {
            image,
            class,
            confidence,
        });
        for text in [
            "0,7,0.13227825\n1,6,0.5\n",
            "0, 7, 0.13227825\r\n1, 6, 0.5\r\n\r\n",
            "\u{feff}0,7,0.13227825\n1,6,0.5\n",
            "index,class,confidence\n0,7,0.13227825\n1,6,0.5\n",
            "\"0\",\"7\",\"0.13227825\"\n\"1\",\"6\",\"0.5\"\n",
            ",index,class,confidence\n0,0,7,0.13227825\n1,1,6,0.5\n",
            ",class,confidence\n0,7.0,0.13227825\n1,6.0,0.5\n",
            "\u{feff}index;class;confidence\r\n0;7;0,13227825\r\n1;6;0,5\r\n",
            "0;7;0,13227825\n1;6;0,5\n",
            "0.000000000000000000e+00 7.000000000000000000e+00 1.322782500000000014e-01\n\
             1.000000000000000000e+00 6.000000000000000000e+00 5.000000000000000000e-01\n",
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_refused_by_its_number() {
        for wrong in [
            "index,class,confidence",
            "1,-2,0.5",
            "1,2,nan",
            "1,2,7.5",
            "1.5,2,0.5",
            "-1,2,0.5",
            "1,2,50 %",
            "1,70000,0.5",
        ] {
            let located = parsed(&format!("0,1,0.5\n\n{wrong}\n")).unwrap_err();
            assert_eq!(located.place, "line 3", "{wrong}");
            assert!(located.fault.to_string().contains("index,class,confidence"), "{}", located.fault);
        }
        for (wrong, problem) in [("1,2", "it has 2 fields"), ("1,2,0.5,6", "it has 4 fields")] {
            let located = parsed(&format!("0,1,0.5\n{wrong}\n")).unwrap_err();
            assert!(located.place == "line 2" && located.fault.to_string().starts_with(problem), "{located:?}");
        }
    }

    #[test]
    fn a_file_without_end_in_sight_is_left_at_its_first_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        // 4 million lines, of which the second is one too many.
        std::fs::write(&path, "0,0,.5\n".repeat(1 << 22)).unwrap();
        let start = std::time::Instant::now();
        assert!(Predictions::read(&path).is_err());
        assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
    }

    #[test]
    fn images_are_asked_for_by_their_number_and_faults_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Predictions::read(&path)
        };
        let text = |error: ExchangeError| {
            let source = std::error::Error::source(&error).unwrap().to_string();
            format!("{error}: {source}").replace(path.to_str().unwrap(), "FILE")
        };
        let predictions = read("index,class,confidence\n4,1,0.5\n2,3,0.25\n").unwrap();
        assert_eq!(predictions.of(2, 4).unwrap(), Prediction { image: 2, class: 3, confidence: 0.25 });
        assert_eq!(
            text(predictions.of(2, 3).unwrap_err()),
            "cannot read FILE: fault in line 3: it predicts class 3 for image 2, but there are only 3 classes"
        );
        assert_eq!(
            text(predictions.of(3, 4).unwrap_err()),
            "cannot read FILE: fault in its lines: there is none for image 3"
        );
        assert_eq!(
            text(read("1,1,0.5\n2,1,0.5\n1,0,0.5\n").unwrap_err()),
            "cannot read FILE: fault in line 3: image 1 is on line 1 already: keep one of the two"
        );
    }
}
