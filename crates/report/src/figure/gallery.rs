//! Images beside what subsets leave of them: a column for each image, a row for each model.

use std::num::NonZeroU32;

use maud::{Markup, html};

use super::super::drawing::{Drawing, DrawingError, Panel, Shown};
use super::Picture;
use super::svg::{BOLD_LETTER, LETTER, number, pixels, short_text, text, wrapped};

/// Width of a picture; its height follows from its shape.
const SIDE: f64 = 96.0;
/// Space between pictures that stand side by side, in units of the SVG.
const GAP: f64 = 14.0;
/// What two lines below a picture take.
const CAPTION: f64 = 44.0;
/// Columns beside each other; more images continue below.
const COLUMNS: usize = 12;
/// Letters of a row's name in a line.
const NAME_LETTERS: usize = 18;

/// Images of one split with subsets of them.
#[derive(Clone, Debug)]
pub struct Block {
    /// The images, such as `cifar10.test`.
    pub images: String,
    /// How they are drawn.
    pub drawing: Drawing,
    /// One entry a column.
    pub originals: Vec<Original>,
    /// What subsets leave of them.
    pub rows: Vec<PictureRow>,
}

/// An image as it is.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its number in the split, counted from 0.
    pub number: usize,
    /// The name of its true class.
    pub class: String,
    /// Its bytes, `[height, width, channels]`.
    pub bytes: Vec<u8>,
}

/// The subsets of one stage at one cell.
#[derive(Clone, Debug)]
pub struct PictureRow {
    /// What it is called.
    pub label: String,
    /// One entry a column; none where the stage has no such image.
    pub subsets: Vec<Option<Subset>>,
}

/// A subset of one image's pixels, and what a model says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// The pixels kept; none where no subset suffices.
    pub kept: Option<Vec<u32>>,
    /// What is seen of it, `[height, width, channels]`, where that is not the kept pixels before the mean colour.
    pub seen: Option<Vec<u8>>,
    /// The class that the model predicts, if a model is asked.
    pub class: Option<String>,
    /// Its probability for the full image, if that is known.
    pub full: Option<f64>,
    /// Its probability for the subset alone, if that is known.
    pub alone: Option<f64>,
}

impl Subset {
    /// The two lines below the picture.
    fn lines(&self) -> [String; 2] {
        let class = self.class.clone().unwrap_or_default();
        let confident = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}, "));
        match &self.kept {
            None => [class, format!("{}none", confident(self.full))],
            Some(kept) if kept.is_empty() => [class, format!("{}empty", confident(self.alone))],
            Some(kept) => [class, format!("{}{} px", confident(self.alone), kept.len())],
        }
    }

    /// What the picture shows, in a sentence.
    fn described(&self, original: &Original) -> String {
        let of = format!("image {} ({})", original.number, original.class);
        let says = match (&self.class, self.alone) {
            (Some(class), Some(alone)) => format!(", predicted as {class} with probability {alone:.4}"),
            (Some(class), None) => format!(", predicted as {class}"),
            (None, _) => String::new(),
        };
        match &self.kept {
            None => format!("no subset of {of} suffices{says}"),
            Some(kept) if kept.is_empty() => format!("{of} with everything masked{says}"),
            Some(kept) => format!("{} pixels of {of}{says}", kept.len()),
        }
    }
}

/// Draws blocks, one below the other.
///
/// # Errors
/// When an image does not fit its shape, or cannot be encoded.
pub(super) fn draw(blocks: &[Block]) -> Result<Picture, DrawingError> {
    let names = blocks.iter().flat_map(|block| block.rows.iter().map(|row| &row.label).chain([&block.images]));
    let names = names.flat_map(|name| wrapped(name, NAME_LETTERS));
    let letters = names.map(|line| line.chars().count()).max().unwrap_or(0).clamp(8, NAME_LETTERS + 8);
    let left = (letters as f64).mul_add(BOLD_LETTER, 12.0);
    let columns = blocks.iter().map(|block| block.originals.len()).max().unwrap_or(0).min(COLUMNS);
    let mut content = Vec::new();
    let mut top = 2.0;
    for block in blocks {
        let size = side(&block.drawing);
        for (line, originals) in block.originals.chunks(COLUMNS).enumerate() {
            content.push(name(&block.images, top, size.1));
            for (column, original) in originals.iter().enumerate() {
                content.push(draw_original(block, original, place(left, column), top, size)?);
            }
            top += size.1 + CAPTION;
            for row in &block.rows {
                content.push(name(&row.label, top, size.1));
                let subsets = row.subsets.iter().skip(line * COLUMNS);
                for (column, (subset, original)) in subsets.zip(originals).enumerate() {
                    content.push(draw_subset(block, original, subset.as_ref(), place(left, column), top, size)?);
                }
                top += size.1 + CAPTION;
            }
        }
    }
    let width = (SIDE + GAP).mul_add(columns as f64, left);
    Ok(Picture { width, height: top, content: html! { @for part in content { (part) } } })
}

fn place(left: f64, column: usize) -> f64 {
    (SIDE + GAP).mul_add(column as f64, left)
}

/// Width and height of a picture.
fn side(drawing: &Drawing) -> (f64, f64) {
    (SIDE, SIDE * drawing.shape.height as f64 / drawing.shape.width.max(1) as f64)
}

/// A row's name, beside the middle of its pictures.
fn name(label: &str, top: f64, height: f64) -> Markup {
    let lines = wrapped(label, NAME_LETTERS);
    let first = top + height / 2.0 - (lines.len() as f64 - 1.0) * 7.5 + 4.0;
    html! {
        @for (row, part) in lines.iter().enumerate() { (text(1.0, (row as f64).mul_add(15.0, first), "f-strong", part)) }
    }
}

fn draw_original(
    block: &Block,
    original: &Original,
    x: f64,
    top: f64,
    (width, height): (f64, f64),
) -> Result<Markup, DrawingError> {
    let png = block.drawing.image(Panel { image: &original.bytes, shown: Shown::All })?;
    let about = format!("image {} of {}: {}", original.number, block.images, original.class);
    Ok(html! {
        (pixels(&png, x, top, width, height, &about))
        (caption(x, top + height, [&original.class, &format!("no. {}", original.number)]))
    })
}

fn draw_subset(
    block: &Block,
    original: &Original,
    subset: Option<&Subset>,
    x: f64,
    top: f64,
    (width, height): (f64, f64),
) -> Result<Markup, DrawingError> {
    let frame = html! {
        rect x=(number(x + 0.5)) y=(number(top + 0.5)) width=(number(width - 1.0)) height=(number(height - 1.0))
            class="f-empty" {}
    };
    let Some(subset) = subset else { return Ok(frame) };
    let [class, size] = subset.lines();
    let picture = match &subset.kept {
        None => frame,
        Some(kept) => {
            let panel = match &subset.seen {
                Some(bytes) => Panel { image: bytes, shown: Shown::All },
                None => Panel { image: &original.bytes, shown: Shown::Only(kept) },
            };
            let png = block.drawing.image(panel)?;
            pixels(&png, x, top, width, height, &subset.described(original))
        }
    };
    Ok(html! { (picture) (caption(x, top + height, [&class, &size])) })
}

fn caption(x: f64, bottom: f64, [first, second]: [&str; 2]) -> Markup {
    #[expect(clippy::cast_sign_loss, reason = "a width is positive")]
    let letters = ((SIDE + GAP - 4.0) / LETTER) as usize;
    html! {
        (short_text(x, bottom + 14.0, "", first, letters))
        (short_text(x, bottom + 29.0, "f-muted", second, letters))
    }
}

/// How much larger each pixel of an image is stored, so that viewers that smooth pictures leave it recognisable.
#[must_use]
pub fn picture_scale(width: usize) -> NonZeroU32 {
    NonZeroU32::new(96_usize.div_ceil(width.max(1)) as u32).unwrap_or(NonZeroU32::MIN)
}

/// The text of all pictures, for those who do not see them.
pub(super) fn described(blocks: &[Block]) -> String {
    let mut sentences = Vec::new();
    for block in blocks {
        for row in &block.rows {
            let subsets = row.subsets.iter().zip(&block.originals);
            let each: Vec<String> =
                subsets.filter_map(|(subset, original)| Some(subset.as_ref()?.described(original))).collect();
            sentences.push(format!("{}: {}.", row.label, each.join("; ")));
        }
    }
    sentences.join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use overinterp_spec::{ImageShape, Normalise};

    /// Two images of one pixel by two, and a row with a subset of the first.
    pub fn block() -> Block {
        let shape = ImageShape { height: 1, width: 2, channels: 1 };
        let original = |number, class: &str| Original { number, class: class.into(), bytes: vec![1, 2] };
        let subset = Subset {
            kept: Some(vec![1]),
            seen: None,
            class: Some("cat".into()),
            full: Some(0.999),
            alone: Some(0.9912),
        };
        Block {
            images: "pets.test".into(),
            drawing: Drawing::new(shape, &Normalise { mean: vec![100.0], std: vec![1.0] }, picture_scale(2)),
            originals: vec![original(0, "cat"), original(1, "dog")],
            rows: vec![PictureRow { label: "ResNet20".into(), subsets: vec![Some(subset), None] }],
        }
    }

    #[test]
    fn every_subset_is_drawn_with_class_confidence_and_size() {
        let content = draw(&[block()]).expect("it can be drawn").content.into_string();
        assert_eq!(content.matches("<image").count(), 3, "{content}");
        assert_eq!(content.matches("f-empty").count(), 1, "{content}");
        for text in [">cat<", ">0.991, 1 px<", ">ResNet20<", ">no. 1<", ">dog<"] {
            assert!(content.contains(text), "{text}: {content}");
        }
    }

    #[test]
    fn a_subset_that_is_not_there_or_is_empty_says_so() {
        let none = Subset { kept: None, seen: None, class: Some("cat".into()), full: Some(0.61), alone: None };
        let empty =
            Subset { kept: Some(vec![]), seen: None, class: Some("cat".into()), full: Some(1.0), alone: Some(0.995) };
        assert_eq!(none.lines(), ["cat", "0.610, none"]);
        assert_eq!(empty.lines(), ["cat", "0.995, empty"]);
        let original = &block().originals[0];
        assert_eq!(none.described(original), "no subset of image 0 (cat) suffices, predicted as cat");
        assert!(empty.described(original).starts_with("image 0 (cat) with everything masked"));
    }

    #[test]
    fn pictures_are_described() {
        assert_eq!(
            described(&[block()]),
            "ResNet20: 1 pixels of image 0 (cat), predicted as cat with probability 0.9912."
        );
    }

    #[test]
    fn many_images_continue_in_further_lines() {
        let mut wide = block();
        let (original, row) = (wide.originals[0].clone(), wide.rows[0].clone());
        wide.originals = vec![original; 30];
        wide.rows[0].subsets = vec![row.subsets[0].clone(); 30];
        let (few, many) = (draw(&[block()]).unwrap(), draw(&[wide.clone()]).unwrap());
        // Twelve, twelve and six, each line with its originals and its row.
        assert!((many.height - 2.0 - 3.0 * (few.height - 2.0)).abs() < 1e-9, "{} {}", many.height, few.height);
        wide.originals.truncate(12);
        wide.rows[0].subsets.truncate(12);
        let line = draw(&[wide]).unwrap();
        assert!((many.width - line.width).abs() < 1e-9);
        assert_eq!(many.content.into_string().matches("<image").count(), 60);
    }
}
