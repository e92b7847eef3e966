//! The authors' file of one image's selection by batched gradient: read and written.
//!
//! `mask_order` `[1, height, width]`, the round in which each pixel is masked, counted from 0; `target_class_idx` `[]`,
//! the class predicted on the full image; `original_confidences`, the softmax probabilities of all classes there, or
//! that of the target class alone; `confidences_over_backselect`, the same **before** each round's masking, a row a
//! round. So f of the fully masked image is not in it. Numbers may be of any type, byte order and order of elements that
//! numpy saves, as long as they are exactly these.

use std::io::{self, Cursor};
use std::path::Path;

use super::error::{ExchangeError, Fault, Located};
use super::npz::{MOST_ELEMENTS, Npz, read_file, to_bytes};
use super::selection_file::SelectionFile;
use overinterp_foreign::bounded;
use overinterp_foreign::numpy::{Array, ArrayError};

const FULL: &str = "original_confidences";
const CLASS: &str = "target_class_idx";
const CONFIDENCES: &str = "confidences_over_backselect";
const ROUNDS: &str = "mask_order";

/// One image's selection by batched gradient. Pixels are counted row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientFile {
    height: usize,
    width: usize,
    class: u16,
    full: f64,
    confidences: Vec<f64>,
    order: Vec<u32>,
    per_round: usize,
}

impl GradientFile {
    /// A selection from its parts: the target class and f on the full image, f **before** each round, and the round of
    /// each pixel. The order within a round is not kept: it becomes that of the pixels.
    ///
    /// # Errors
    /// When there is not one round a pixel and one confidence a round, or the rounds, but for a smaller last one, are
    /// not of one size.
    pub fn new(
        [height, width]: [usize; 2],
        class: u16,
        full: f64,
        confidences: Vec<f64>,
        rounds: &[u32],
    ) -> Result<Self, Fault> {
        let pixels = height.checked_mul(width).filter(|&pixels| pixels <= MOST_ELEMENTS);
        if pixels != Some(rounds.len()) || rounds.is_empty() {
            return Err(Fault::Selection("there is not one round a pixel"));
        }
        let mut order: Vec<u32> = (0..rounds.len() as u32).collect();
        order.sort_by_key(|&pixel| rounds[pixel as usize]);
        let per_round = rounds.iter().filter(|&&round| round == 0).count();
        if per_round == 0 {
            return Err(Fault::Selection("no pixel is masked in round 0"));
        }
        let is_in_its_round = |(place, &pixel): (usize, &u32)| rounds[pixel as usize] as usize == place / per_round;
        if !order.iter().enumerate().all(is_in_its_round) {
            return Err(Fault::Selection("not every round but the last masks as many pixels as the first"));
        }
        if confidences.len() != rounds.len().div_ceil(per_round) {
            return Err(Fault::Selection("there is not one confidence a round"));
        }
        Ok(Self { height, width, class, full, confidences, order, per_round })
    }

    /// Rows of the image.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns of the image.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The class that f is the probability of.
    #[must_use]
    pub const fn class(&self) -> u16 {
        self.class
    }

    /// f of the full image.
    #[must_use]
    pub const fn full(&self) -> f64 {
        self.full
    }

    /// f before each round.
    #[must_use]
    pub fn confidences(&self) -> &[f64] {
        &self.confidences
    }

    /// The pixels, the one masked first in front; row by row within a round.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Pixels masked in each round but the last.
    #[must_use]
    pub const fn per_round(&self) -> usize {
        self.per_round
    }

    /// Reads a file that the authors' code wrote, compressed or not.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, ExchangeError> {
        read_file(path, SelectionFile::MOST_BYTES, Self::parse)
    }

    /// Reads the bytes of the file `path`.
    ///
    /// # Errors
    /// When they are damaged or contradict themselves.
    pub fn of_bytes(bytes: &[u8], path: &Path) -> Result<Self, ExchangeError> {
        Self::parse(bytes).map_err(|located| located.of(path))
    }

    /// Writes the file as the authors' code would with `target_confidences_only`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut rounds = vec![0_i32; self.order.len()];
        for (place, &pixel) in self.order.iter().enumerate() {
            rounds[pixel as usize] = ((place / self.per_round) as u32).cast_signed();
        }
        let numbers = |shape, numbers: &[f64]| Array { shape, elements: numbers.iter().map(|&n| n as f32).collect() };
        let arrays = [
            (FULL, numbers(Vec::new(), &[self.full]).to_bytes()),
            (CLASS, Array { shape: Vec::new(), elements: vec![i64::from(self.class)] }.to_bytes()),
            (CONFIDENCES, numbers(vec![self.confidences.len()], &self.confidences).to_bytes()),
            (ROUNDS, Array { shape: vec![1, self.height, self.width], elements: rounds }.to_bytes()),
        ];
        Ok(bounded::write(path, &to_bytes(&arrays)?)?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Located> {
        let mut archive = Npz::open(Cursor::new(bytes))?;
        let rounds: Array<i64> = archive.array(ROUNDS)?;
        let &[1, height, width] = rounds.shape.as_slice() else {
            return Err(Fault::Selection("the rounds have not the shape [1, height, width]").at(ROUNDS));
        };
        let round = |(pixel, &round): (usize, &i64)| {
            let unfit = || ArrayError::Element {
                index: vec![0, pixel / width, pixel % width],
                found: round.to_string(),
                expected: "a round, counted from 0",
            };
            u32::try_from(round).map_err(|_| Fault::from(unfit()).at(ROUNDS))
        };
        let rounds: Vec<u32> = rounds.elements.iter().enumerate().map(round).collect::<Result<_, _>>()?;
        let class: Array<i64> = archive.array(CLASS)?;
        let class = match *class.elements.as_slice() {
            [class] => u16::try_from(class).map_err(|_| Fault::Selection("this is no class").at(CLASS))?,
            _ => return Err(Fault::Selection("there is not one target class").at(CLASS)),
        };
        let of_target = |values: &Array<f64>, rows: usize| match values.shape.get(rows) {
            None if values.shape.len() == rows => Some(values.elements.clone()),
            Some(&classes) if values.shape.len() == rows + 1 && usize::from(class) < classes => {
                Some(values.elements.chunks_exact(classes).map(|row| row[usize::from(class)]).collect())
            }
            _ => None,
        };
        let unshaped = || Fault::Selection("the confidences are neither those of all classes nor of the target alone");
        let full = of_target(&archive.array(FULL)?, 0).ok_or_else(|| unshaped().at(FULL))?;
        let confidences = of_target(&archive.array(CONFIDENCES)?, 1).ok_or_else(|| unshaped().at(CONFIDENCES))?;
        let full = *full.first().ok_or_else(|| unshaped().at(FULL))?;
        Self::new([height, width], class, full, confidences, &rounds).map_err(|fault| fault.at(ROUNDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five pixels, two a round.
    const ROUND: [u32; 5] = [1, 0, 2, 1, 0];

    fn file() -> GradientFile {
        GradientFile::new([1, 5], 3, 0.75, vec![0.75, 0.5, 0.25], &ROUND).unwrap()
    }

    /// The file with arrays that may have all classes, in types of their own.
    fn bytes(full: Vec<u8>, confidences: Vec<u8>, rounds: Vec<u8>) -> Vec<u8> {
        let class = Array { shape: Vec::new(), elements: vec![3_i64] }.to_bytes();
        to_bytes(&[(FULL, full), (CLASS, class), (CONFIDENCES, confidences), (ROUNDS, rounds)]).unwrap()
    }

    #[test]
    fn pixels_are_ordered_by_round_and_then_row_by_row() {
        assert_eq!((file().order(), file().per_round()), (&[1, 4, 0, 3, 2][..], 2));
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image_0.npz");
        file().write(&path).unwrap();
        assert_eq!(GradientFile::read(&path).unwrap(), file());
    }

    #[test]
    fn the_target_class_is_taken_out_of_all_classes() {
        let row = |target: f32| [0.0, 0.1, 0.2, target];
        let full = Array { shape: vec![4], elements: row(0.75).to_vec() }.to_bytes();
        let rows = [row(0.75), row(0.5), row(0.25)].concat();
        let confidences = Array { shape: vec![3, 4], elements: rows }.to_bytes();
        let rounds = Array { shape: vec![1, 1, 5], elements: ROUND.map(u32::cast_signed).to_vec() }.to_bytes();
        let bytes = bytes(full, confidences, rounds);
        assert_eq!(GradientFile::of_bytes(&bytes, Path::new("x")).unwrap(), file());
    }

    #[test]
    fn rounds_and_confidences_that_do_not_belong_together_are_refused() {
        let new = |confidences: usize, rounds: &[u32]| {
            GradientFile::new([1, rounds.len()], 0, 1.0, vec![0.5; confidences], rounds).is_ok()
        };
        assert!(new(3, &ROUND));
        assert!(!new(2, &ROUND), "a confidence too few");
        assert!(!new(3, &[0, 0, 1, 2, 2]), "a small round in between");
        assert!(!new(3, &[0, 0, 2, 2, 2]), "a round left out");
        assert!(!new(2, &[1, 1, 2, 2]), "no first round");
        assert!(!new(0, &[]));
        assert!(GradientFile::new([2, 2], 0, 1.0, vec![0.5; 3], &ROUND).is_err(), "another size");
    }

    #[test]
    fn a_backward_selection_and_a_class_beyond_the_confidences_are_refused_by_name() {
        let fixture =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/selections/cifar10_0.npz");
        let ExchangeError::Malformed { place, source, .. } = GradientFile::read(&fixture).unwrap_err() else {
            panic!("it can be opened");
        };
        assert!(place == ROUNDS && matches!(source, Fault::NoArray), "{place}: {source}");
        let full = Array { shape: vec![2], elements: vec![0.5_f32, 0.5] }.to_bytes();
        let confidences = Array { shape: vec![3], elements: vec![0.5_f32; 3] }.to_bytes();
        let rounds = Array { shape: vec![1, 1, 5], elements: ROUND.map(u32::cast_signed).to_vec() }.to_bytes();
        let refused = GradientFile::of_bytes(&bytes(full, confidences, rounds), Path::new("x")).unwrap_err();
        assert!(matches!(refused, ExchangeError::Malformed { place, .. } if place == FULL));
    }
}
