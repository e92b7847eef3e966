//! Which pixels of each image are kept: in memory or, when they are many, left in a file; and how they lie on disk.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bits::{Bits, GrowingBits, MOST_HELD};
use super::{Damage, UnreadableImage, tensor_file};
use overinterp_spec::Appearance;
use overinterp_workflow::stage::{Artifact, ArtifactError};

/// The name of the bits in it.
const BITS: &str = "kept";

/// For each image of a split, the pixels that are kept; all others are masked. One bit a pixel: lowest bit first, each
/// image starting on a new byte.
///
/// Many of them stay in the file that they are loaded from, of which an image's part is read whenever it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Subsets {
    pixels: usize,
    appearance: Appearance,
    bits: Bits,
}

impl Subsets {
    /// The file that a result of this kind has, and no other.
    pub const FILE: &str = "subsets.safetensors";

    /// No images yet, of `pixels` pixels each, which will show themselves before the mean colour.
    #[must_use]
    pub fn new(pixels: usize) -> Self {
        Self { pixels, appearance: Appearance::default(), bits: Bits::new(pixels.div_ceil(8)) }
    }

    /// The same subsets with another appearance.
    #[must_use]
    pub fn shown_as(self, appearance: Appearance) -> Self {
        Self { appearance, ..self }
    }

    /// Adds an image of which the pixels in `kept` are kept; it is held in memory.
    pub fn push(&mut self, kept: &[u32]) {
        keep(kept, self.bits.push());
    }

    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.rows()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of an image.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.pixels
    }

    /// What kept and masked pixels show.
    #[must_use]
    pub const fn appearance(&self) -> Appearance {
        self.appearance
    }

    /// The subset of image number `image`.
    ///
    /// # Errors
    /// When it lies in a file and cannot be read from there.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn subset(&self, image: usize) -> Result<Subset<'_>, UnreadableImage> {
        Ok(Subset { image, appearance: self.appearance, bits: self.bits.row(image)? })
    }

    /// The bits of all images as they are stored, some at a time.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Cow<'_, [u8]>, UnreadableImage>> {
        self.bits.pieces()
    }

    /// The same subsets, saved in the folder `dir` and left there in their file, however few they are.
    ///
    /// # Errors
    /// When the file cannot be written or read.
    pub fn left_in(&self, dir: &Path) -> Result<Self, ArtifactError> {
        self.save(dir)?;
        Self::load_within(0, dir)
    }

    /// As [`Artifact::load`]; those of more than `most_held` bytes stay in their file.
    pub(crate) fn load_within(most_held: usize, dir: &Path) -> Result<Self, ArtifactError> {
        let path = dir.join(Subsets::FILE);
        tensor_file::read_in_place(&path, |file, header| {
            let Facts { images, pixels, appearance } = header.facts()?;
            let width = pixels.div_ceil(8);
            let place = header.place::<u8>(BITS, &[images, width])?;
            if width == 0 {
                return Err(Damage::value("its images have no pixels"));
            }
            let bits = Bits::from_file(file, &path, place, width, most_held)?;
            Ok(Self { pixels, appearance, bits })
        })
    }
}

/// The pixels that are kept of one image.
#[derive(Debug)]
pub struct Subset<'a> {
    image: usize,
    appearance: Appearance,
    bits: Cow<'a, [u8]>,
}

impl Subset<'_> {
    /// The image's number.
    #[must_use]
    pub const fn image(&self) -> usize {
        self.image
    }

    /// What kept and masked pixels show.
    #[must_use]
    pub const fn appearance(&self) -> Appearance {
        self.appearance
    }

    /// Whether that pixel is kept.
    #[must_use]
    pub fn keeps(&self, pixel: usize) -> bool {
        self.bits[pixel / 8] & (1 << (pixel % 8)) != 0
    }
}

/// Subsets in the making, of any number of images: few are held in memory, more go to a temporary file.
#[derive(Debug)]
pub struct GrowingSubsets<'a> {
    pixels: usize,
    folder: &'a Path,
    bits: GrowingBits<'a>,
}

impl<'a> GrowingSubsets<'a> {
    /// No images yet, of `pixels` pixels each; a temporary file, if one is needed, is made in `folder`.
    #[must_use]
    pub fn new(pixels: usize, folder: &'a Path) -> Self {
        Self::holding(MOST_HELD, pixels, folder)
    }

    /// The same with at most `most_held` bytes in memory.
    fn holding(most_held: usize, pixels: usize, folder: &'a Path) -> Self {
        Self { pixels, folder, bits: GrowingBits::new(pixels.div_ceil(8), folder, most_held) }
    }

    /// Adds an image of which the pixels in `kept` are kept.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn push(&mut self, kept: &[u32]) -> Result<(), ArtifactError> {
        let row = self.bits.push().map_err(|error| ArtifactError::writing(self.folder, error))?;
        keep(kept, row);
        Ok(())
    }

    /// The subsets of all images, which show themselves before the mean colour.
    #[must_use]
    pub fn finish(self) -> Subsets {
        Subsets { pixels: self.pixels, appearance: Appearance::default(), bits: self.bits.finish() }
    }
}

/// Sets the bits of the pixels in `kept`.
fn keep(kept: &[u32], row: &mut [u8]) {
    for &pixel in kept {
        row[pixel as usize / 8] |= 1 << (pixel % 8);
    }
}

/// What the header says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    images: usize,
    pixels: usize,
    #[serde(default, skip_serializing_if = "Appearance::is_default")]
    appearance: Appearance,
}

impl Artifact for Subsets {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let facts = Facts { images: self.len(), pixels: self.pixels, appearance: self.appearance };
        let shape = [facts.images, facts.pixels.div_ceil(8)];
        tensor_file::write_in_pieces(&dir.join(Subsets::FILE), &facts, (BITS, shape), self.pieces())
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        Self::load_within(MOST_HELD, dir)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tensor_file::Tensor;
    use super::*;
    use overinterp_spec::{Content, Fill, Seed, Split};

    /// Five images of 13 pixels each.
    const KEPT: [&[u32]; 5] = [&[0, 12], &[], &[7, 8], &[1, 2, 3, 12], &[5]];

    fn in_memory() -> Subsets {
        let mut subsets = Subsets::new(13);
        for kept in KEPT {
            subsets.push(kept);
        }
        subsets
    }

    /// The same but for the last image in a file.
    fn spilled(folder: &Path) -> Subsets {
        let mut subsets = GrowingSubsets::holding(4, 13, folder);
        for kept in KEPT {
            subsets.push(kept).unwrap();
        }
        subsets.finish()
    }

    /// The bytes of the subsets' file, and what is loaded from it with everything left there.
    fn stored(subsets: &Subsets) -> (Vec<u8>, Subsets) {
        let dir = tempfile::tempdir().unwrap();
        subsets.save(dir.path()).unwrap();
        (fs::read(dir.path().join(Subsets::FILE)).unwrap(), Subsets::load_within(0, dir.path()).unwrap())
    }

    #[test]
    fn a_file_in_pieces_is_byte_for_byte_the_one_that_is_written_whole() {
        let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let noise = Fill::Noise { seed: Seed(3), split: Split::Test };
        for appearance in [Appearance::default(), Appearance { content: Content::MaskOnly, fill: noise }] {
            for subsets in [in_memory(), spilled(folder.path()), Subsets::new(13)] {
                let subsets = subsets.shown_as(appearance);
                let facts = Facts { images: subsets.len(), pixels: 13, appearance };
                let bits = subsets.pieces().collect::<Result<Vec<_>, _>>().unwrap().concat();
                let whole = dir.path().join("whole");
                tensor_file::write(&whole, &facts, [(BITS, Tensor::new(&[facts.images, 2], &bits))]).unwrap();
                let whole = fs::read(whole).unwrap();
                let (bytes, loaded) = stored(&subsets);
                assert_eq!(bytes, whole);
                assert_eq!(stored(&loaded).0, whole, "what stays in its file is saved as it lies there");
            }
        }
    }

    #[test]
    fn subsets_are_equal_and_keep_the_same_pixels_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let held = in_memory();
        for subsets in [spilled(folder.path()), stored(&held).1, stored(&spilled(folder.path())).1] {
            assert_eq!(subsets, held);
            assert_eq!(subsets.clone(), held);
            assert_eq!((subsets.len(), subsets.pixels()), (5, 13));
            for (image, kept) in KEPT.iter().enumerate() {
                let subset = subsets.subset(image).unwrap();
                let found: Vec<u32> = (0..13).filter(|&pixel| subset.keeps(pixel as usize)).collect();
                assert_eq!((subset.image(), &found[..]), (image, *kept));
            }
        }
        assert_ne!(spilled(folder.path()).shown_as(Appearance { fill: Fill::Black, ..Appearance::default() }), held);
    }

    #[test]
    fn subsets_whose_file_is_cut_short_after_they_were_loaded_cannot_be_saved() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        in_memory().save(dir.path()).unwrap();
        let loaded = Subsets::load_within(0, dir.path()).unwrap();
        let file = fs::File::options().write(true).open(dir.path().join(Subsets::FILE)).unwrap();
        file.set_len(file.metadata().unwrap().len() - 3).unwrap();
        assert!(loaded.subset(2).is_ok());
        let said = loaded.subset(3).unwrap_err().to_string();
        assert!(said.starts_with("cannot read the subset of image 3 from ") && said.contains(Subsets::FILE), "{said}");
        let error = loaded.save(other.path()).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("it has been cut short"), "{error}");
    }

    #[test]
    fn a_temporary_file_that_cannot_be_written_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut subsets = GrowingSubsets::holding(0, 13, &gone);
        let said = subsets.push(&[3]).unwrap_err().to_string();
        assert_eq!(said, format!("cannot write {}", gone.display()));
    }
}
