//! Predictions in the authors' form: CSV lines `index,class,confidence`, no header.

use std::fmt::Write;
use std::path::Path;

use super::error::{CheckpointError, Fault, Located};
use super::npz::read_file;

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

/// Reads every line of a file of predictions.
///
/// # Errors
/// When the file cannot be read, or a line is no prediction; the error names the line.
pub fn read_predictions(path: &Path) -> Result<Vec<Prediction>, CheckpointError> {
    read_file(path, parse)
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

fn parse(bytes: &[u8]) -> Result<Vec<Prediction>, Located> {
    let text = str::from_utf8(bytes).map_err(|_| Fault::Prediction("the file is not text").at("its bytes"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, text)| line(text).map_err(|fault| fault.at(format!("line {}", number + 1)))).collect()
}

fn line(text: &str) -> Result<Prediction, Fault> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let &[image, class, confidence] = fields.as_slice() else {
        return Err(Fault::Prediction("it has not three fields"));
    };
    let confidence = confidence.parse().ok().filter(|confidence: &f32| (0.0..=1.001).contains(confidence));
    Ok(Prediction {
        image: image.parse().map_err(|_| Fault::Prediction("the first field is no image's number"))?,
        class: class.parse().map_err(|_| Fault::Prediction("the second field is no class"))?,
        confidence: confidence.ok_or(Fault::Prediction("the third field is no confidence"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_come_back_to_the_bit() {
        let predictions: Vec<Prediction> = (0..50)
            .map(|image| Prediction { image, class: (image % 10) as u16, confidence: 1.0 / (image as f32 + 1.7) })
            .collect();
        assert_eq!(parse(write_predictions(&predictions).as_bytes()).unwrap(), predictions);
        assert_eq!(write_predictions(&predictions[..1]), "0,0,0.58823526\n");
    }

    #[test]
    fn windows_line_ends_and_a_last_empty_line_are_read() {
        assert_eq!(parse(b"7, 3, 0.5\r\n\n").unwrap(), [Prediction { image: 7, class: 3, confidence: 0.5 }]);
    }

    #[test]
    fn a_line_that_is_none_is_refused_by_its_number() {
        for wrong in ["index,class,confidence", "1,2", "1,2,0.5,6", "1,-2,0.5", "1,2,nan", "1,2,7.5"] {
            let located = parse(format!("0,1,0.5\n{wrong}\n").as_bytes()).unwrap_err();
            assert_eq!(located.place, "line 2", "{wrong}");
            assert!(located.fault.to_string().contains("index,class,confidence"), "{}", located.fault);
        }
    }
}
