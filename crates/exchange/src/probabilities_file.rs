//! What a model says of every class of each image, as others read it: CSV for tables, `.npz` for numpy.

use std::io::{self, Write};
use std::path::Path;

use super::array_archive::ArrayArchive;
use overinterp_foreign::bounded;
use overinterp_foreign::delimited;

/// The columns of the CSV in front of those of the classes.
const COLUMNS: [&str; 2] = ["index", "label"];

/// The probabilities of all classes of some images.
#[derive(Clone, Copy, Debug)]
pub struct Probabilities<'a> {
    /// The names of the classes.
    pub classes: &'a [String],
    /// The true class of each image.
    pub labels: &'a [u16],
    /// `[images, classes]`: a row an image.
    pub rows: &'a [f32],
}

impl Probabilities<'_> {
    /// Writes `.npz`: `probabilities` float32 `[images, classes]`, `labels` int64 `[images]`, `classes` their names.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_npz(&self, path: &Path) -> io::Result<()> {
        ArrayArchive::write(path, |archive| {
            archive.start::<f32>("probabilities", &[self.labels.len(), self.classes.len()])?;
            self.each().try_for_each(|row| archive.push(row.iter().copied()))?;
            archive.array("labels", self.labels.iter().map(|&label| i64::from(label)))?;
            archive.texts("classes", self.classes)
        })
    }

    /// Writes CSV: `index`, `label` (a number), then a column a class under its name. A probability has the fewest
    /// digits that give it back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> io::Result<()> {
        bounded::write_with(path, |file| {
            let names = COLUMNS.into_iter().chain(self.classes.iter().map(String::as_str));
            file.write_all(delimited::line(names).as_bytes())?;
            for (image, (row, label)) in self.each().zip(self.labels).enumerate() {
                let numbers = [image.to_string(), label.to_string()].into_iter().chain(row.iter().map(f32::to_string));
                file.write_all(delimited::line(numbers).as_bytes())?;
            }
            Ok(())
        })
    }

    fn each(&self) -> impl Iterator<Item = &[f32]> {
        self.rows.chunks_exact(self.classes.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_are_quoted_and_probabilities_come_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        let classes = ["tench, Tinca".to_owned(), "dog".to_owned()];
        let rows = [0.1_f32, 0.9, 1e-30, 1.0];
        Probabilities { classes: &classes, labels: &[1, 0], rows: &rows }.write_csv(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["index,label,\"tench, Tinca\",dog", "0,1,0.1,0.9"]);
        let small: f32 = lines[2].split(',').nth(2).unwrap().parse().unwrap();
        assert_eq!((lines.len(), small.to_bits()), (3, 1e-30_f32.to_bits()));
    }
}
