//! A study with people: pictures of pixel-subsets under names that tell nothing, a sheet in which to answer, and a key.
//!
//! The sheet is CSV of `file,answer`, a class or nothing in each row. The key, which the people asked do not get, is CSV of
//! `file,image,fraction,label,shown`: the image's number in its split, the share of its pixels that is shown, its true
//! class, and a fingerprint of what is shown. By that the answers stay those to these subsets and no others.

mod error;
mod key;
mod sheet;
#[cfg(test)]
mod tests;

use overinterp_foreign::numpy::RandomState;

pub use error::StudyError;
pub use key::{KeyRow, read_key, write_key};
pub use sheet::{AnswerRow, read_sheet, write_sheet};

/// Bytes that a sheet or a key may have: those of some eighty thousand pictures.
pub const MOST_BYTES: u64 = 4 << 20;

/// A picture of the study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The name of its file.
    pub file: String,
    /// Which of the sets of subsets it is from.
    pub set: usize,
    /// The image's number.
    pub image: usize,
}

/// Draws `count` of `available` images, shows each in all of `sets` sets of subsets, and numbers the pictures in an order
/// that tells nothing. The same seed gives the same.
#[must_use]
pub fn pictures(available: u32, count: usize, sets: usize, seed: u32) -> Vec<Picture> {
    let mut stream = RandomState::new(seed);
    let images = stream.choice(available, count);
    let all = images.len() * sets;
    let order = stream.permutation(all as u32);
    let width = all.to_string().len();
    let picture = |(number, place): (usize, u32)| Picture {
        file: format!("{:0width$}.png", number + 1),
        set: place as usize % sets,
        image: images[place as usize / sets] as usize,
    };
    order.into_iter().enumerate().map(picture).collect()
}

/// By what a picture's bytes are known, before it is scaled: 16 hexadecimal digits of their BLAKE3.
#[must_use]
pub fn fingerprint(picture: &[u8]) -> String {
    let hash = blake3::hash(picture).to_hex();
    hash[..16].to_owned()
}
