//! The backward selections of many images in one `.npz`: the arrays of their files, each with an axis more in front.
//!
//! `index` int64 `[images]`, the images' numbers; `ordering_over_entire_backselect` int64 `[images, steps, 3]`;
//! `values_over_entire_backselect` float64 `[images, steps]`; `mask` bool `[images, 1, height, width]`; in place of
//! `sis`, whose length differs from image to image, `sis_size` int64 `[images]`: the subset is that many of the last
//! places of the order, the last in front, and -1 says that nothing suffices. It is read and written image by image:
//! 50,000 of them have two gigabytes.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::array_archive::ArrayArchive;
use super::error::{ExchangeError, Fault, Located};
use super::npz::Npz;
use super::packed_rows::Rows;
use super::selection_file::{coordinates, places};
use overinterp_foreign::bounded;
use overinterp_foreign::numpy::{Array, ArrayError, ArrayHeader};

const INDEX: &str = "index";
const ORDER: &str = "ordering_over_entire_backselect";
const VALUES: &str = "values_over_entire_backselect";
const MASK: &str = "mask";
const SIZE: &str = "sis_size";

/// One image's row.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedSelection {
    /// The image's number.
    pub image: usize,
    /// The pixels, the one masked first in front.
    pub order: Vec<u32>,
    /// f after each of them.
    pub values: Vec<f64>,
    /// The last so many pixels suffice; none do where this is `None`.
    pub sis_size: Option<usize>,
}

/// A packed file that is open.
#[derive(Clone, Debug)]
pub struct PackedFile {
    path: PathBuf,
    /// The images' numbers, in the order of their rows.
    images: Vec<usize>,
    /// How many of its last pixels suffice, if any do.
    sizes: Vec<Option<usize>>,
    height: usize,
    width: usize,
}

impl PackedFile {
    /// Bytes that such a file may have: half as many again as those of 50,000 photographs of 224 x 224 pixels, each of which
    /// takes 33.
    pub const MOST_BYTES: u64 = 128 << 30;

    /// Opens a packed file and reads which images it has.
    ///
    /// # Errors
    /// When it cannot be opened or is damaged.
    pub fn open(path: &Path) -> Result<Self, ExchangeError> {
        let open = || {
            let mut archive = archive(path)?;
            let index: Array<i64> = archive.array(INDEX)?;
            let images: Vec<usize> = column(&index, INDEX, "an image's number", |image| image.try_into().ok())?;
            let sizes: Array<i64> = archive.array(SIZE)?;
            let mask = ArrayHeader::read(&mut archive.stream(MASK)?).map_err(|error| Fault::from(error).at(MASK))?;
            let &[rows, 1, height, width] = mask.shape.as_slice() else {
                return Err(Fault::Selection("the masks have not the shape [images, 1, height, width]").at(MASK));
            };
            let pixels = height.saturating_mul(width);
            let sizes = column(&sizes, SIZE, "-1, or at most as many as there are pixels", |size| match size {
                -1 => Some(None),
                size => usize::try_from(size).ok().filter(|&size| size <= pixels).map(Some),
            })?;
            if rows != images.len() || sizes.len() != rows {
                return Err(Fault::Selection("there is not one row an image").at("its arrays"));
            }
            Ok(Self { path: path.to_owned(), images, sizes, height, width })
        };
        bounded::open_within(path, Self::MOST_BYTES).map_err(|error| ExchangeError::unreadable(path, error))?;
        open().map_err(|located| located.of(path))
    }

    /// Rows of an image.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns of an image.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The images' numbers, in the order of their rows.
    #[must_use]
    pub fn images(&self) -> &[usize] {
        &self.images
    }

    /// Calls `visit` for each row whose image `wanted` accepts, in the order of the rows, until it answers `false`.
    ///
    /// # Errors
    /// When the file is damaged or an order is none.
    pub fn for_each(
        &self,
        wanted: impl Fn(usize) -> bool,
        mut visit: impl FnMut(PackedSelection) -> bool,
    ) -> Result<(), ExchangeError> {
        let mut read = || {
            let (images, steps) = (self.images.len(), self.height.saturating_mul(self.width));
            let (mut orders, mut values) = (archive(&self.path)?, archive(&self.path)?);
            let mut orders = Rows::open(orders.stream(ORDER)?, &self.path, &[images, steps, 3], ORDER)?;
            let mut values = Rows::open(values.stream(VALUES)?, &self.path, &[images, steps], VALUES)?;
            for (&image, &size) in self.images.iter().zip(&self.sizes) {
                orders.advance()?;
                values.advance()?;
                if !wanted(image) {
                    continue;
                }
                let order = places(&orders.row()?, self.height, self.width)
                    .map_err(|fault| fault.at(format!("{ORDER}, image {image}")))?;
                let row = PackedSelection { image, order, values: values.row()?, sis_size: size };
                if !visit(row) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(|located: Located| located.of(&self.path))
    }
}

/// What `value` makes of each element of an array of one dimension; `expected` is what they must be.
fn column<T>(
    array: &Array<i64>,
    name: &str,
    expected: &'static str,
    value: impl Fn(i64) -> Option<T>,
) -> Result<Vec<T>, Located> {
    let unfit = |place: usize, found: i64| {
        Fault::from(ArrayError::Element { index: vec![place], found: found.to_string(), expected }).at(name)
    };
    let elements = array.elements.iter().enumerate();
    elements.map(|(place, &element)| value(element).ok_or_else(|| unfit(place, element))).collect()
}

/// Opens a packed file's archive.
pub(super) fn archive(path: &Path) -> Result<Npz<BufReader<File>>, Located> {
    let file = bounded::open(path).map_err(|error| Fault::from(io::Error::from(error)).at("the path"))?;
    Npz::open(BufReader::new(file))
}

/// Writes a packed file of images of `[height, width]`: their numbers, and how many of their last pixels suffice. It is
/// there complete or not at all.
///
/// `walk` is called several times. Each time it hands the order and the values of every image, in the same sequence, to
/// the function that it is given.
///
/// # Errors
/// When the file cannot be written, or `walk` fails.
pub fn write_packed<E: From<io::Error>>(
    path: &Path,
    size: [usize; 2],
    images: &[(usize, Option<usize>)],
    walk: impl Fn(&mut dyn FnMut(&[u32], &[f32]) -> io::Result<()>) -> Result<(), E>,
) -> Result<(), E> {
    let [height, width] = size;
    let (count, steps) = (images.len(), height * width);
    ArrayArchive::write(path, |archive| {
        archive.array(INDEX, images.iter().map(|&(image, _)| (image as u64).cast_signed()))?;
        let sizes = images.iter().map(|&(_, size)| size.map_or(-1, |size| (size as u64).cast_signed()));
        archive.array(SIZE, sizes)?;

        archive.start::<bool>(MASK, &[count, 1, height, width])?;
        let mut place = 0;
        walk(&mut |order, _| {
            let size = images.get(place).and_then(|&(_, size)| size).unwrap_or(0);
            place += 1;
            let mut mask = vec![size == 0; steps];
            order.iter().rev().take(size).for_each(|&pixel| mask[pixel as usize] = true);
            archive.push(mask)
        })?;

        archive.start::<i64>(ORDER, &[count, steps, 3])?;
        walk(&mut |order, _| archive.push(coordinates(order, width)))?;

        archive.start::<f64>(VALUES, &[count, steps])?;
        walk(&mut |_, values| archive.push(values.iter().copied().map(f64::from)))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Row = (Vec<u32>, Vec<f32>);

    fn rows() -> Vec<Row> {
        vec![
            (vec![3, 0, 5, 1, 2, 4], vec![0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
            (vec![0, 1, 2, 3, 4, 5], vec![0.95, 0.75, 0.65, 0.35, 0.25, 0.15]),
            (vec![5, 4, 3, 2, 1, 0], vec![0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
        ]
    }

    fn write(path: &Path) {
        let images = [(4, Some(2)), (7, Some(0)), (9, None)];
        write_packed::<io::Error>(path, [2, 3], &images, |visit| {
            rows().iter().try_for_each(|(order, values)| visit(order, values))
        })
        .unwrap();
    }

    #[test]
    fn every_image_comes_back_and_some_can_be_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cifar10_test.npz");
        write(&path);
        let file = PackedFile::open(&path).unwrap();
        assert_eq!((file.height(), file.width(), file.images()), (2, 3, &[4, 7, 9][..]));
        let mut found = Vec::new();
        let collect = |row| {
            found.push(row);
            true
        };
        file.for_each(|image| image != 7, collect).unwrap();
        let expected = |place: usize, image, sis_size| PackedSelection {
            image,
            order: rows()[place].0.clone(),
            values: rows()[place].1.iter().copied().map(f64::from).collect(),
            sis_size,
        };
        assert_eq!(found, [expected(0, 4, Some(2)), expected(2, 9, None)]);
    }

    #[test]
    fn masks_are_those_of_the_single_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cifar10_test.npz");
        write(&path);
        let masks: Array<bool> = archive(&path).unwrap().array(MASK).unwrap();
        assert_eq!(masks.shape, [3, 1, 2, 3]);
        let two_last = [false, false, true, false, true, false];
        assert_eq!(masks.elements, [two_last, [true; 6], [true; 6]].concat());
    }

    #[test]
    fn nothing_is_left_of_a_file_that_could_not_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cifar10_test.npz");
        let failed = write_packed::<io::Error>(&path, [2, 3], &[(4, Some(2))], |visit| {
            rows().iter().take(1).try_for_each(|(order, values)| visit(order, values))?;
            Err(io::Error::other("the images have gone"))
        });
        assert!(failed.is_err() && fs::read_dir(folder.path()).unwrap().next().is_none());
        write(&path);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_single_file_and_a_file_cut_short_are_refused() {
        let single =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/selections/cifar10_0.npz");
        let refused = PackedFile::open(&single).unwrap_err();
        assert!(matches!(refused, ExchangeError::Malformed { place, .. } if place == INDEX));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.npz");
        write(&path);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(PackedFile::open(&path).is_err());
    }
}
