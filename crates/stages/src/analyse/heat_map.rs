//! Where subsets lie: the share of images that keep each pixel, in all and by true class, and how much
//! of a subset lies in the border.

use serde::Serialize;

use overinterp_artifacts::{Analysis, HeatMap, ImageSet, Number, Subsets};
use overinterp_spec::{ImageShape, Metric};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::{DataSplit, Env};
use super::{go_on, labels};

/// Numbers that the maps of all classes may have together; 10 classes of 32x32 have 10,240.
const MOST_VALUES: usize = 1 << 22;

/// The manifest of an analysis of where subsets lie.
#[derive(Debug, Serialize)]
pub struct AnalyseHeatMap {
    /// The subsets of one split.
    pub subset: Key<Subsets>,
    /// Its images, for their shape and labels.
    pub images: DataSplit,
    /// Whether each class has a map of its own, too.
    pub per_class: bool,
}

impl Stage<Env> for AnalyseHeatMap {
    const KIND: &'static str = "analyse-heat-map";
    const VERSION: u32 = 2;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.subset.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let (images, subsets) = (self.images.load(context)?, context.load(&self.subset)?);
        let pixels = images.shape.pixels();
        if self.per_class && images.classes.len().saturating_mul(pixels) > MOST_VALUES {
            return Err(StageError::failed(format!(
                "cannot keep a map of {pixels} pixels for each of {} classes: write `per-class = false`",
                images.classes.len()
            )));
        }
        let border = Border::new(images.shape);
        let mut kept = Kept::new(if self.per_class { images.classes.len() } else { 0 }, pixels, border);
        for (index, &label) in labels(&images, 0, subsets.len())?.iter().enumerate() {
            if index % 1024 == 0 {
                go_on(context)?;
                context.progress("images", index, subsets.len());
            }
            kept.add(&subsets, index, usize::from(label))?;
        }
        let numbers = vec![kept.border.number(Metric::Border), kept.border.chance()];
        Ok(Analysis { numbers, maps: kept.maps(&images), ..Analysis::default() })
    }
}

/// How many images keep each pixel.
#[derive(Debug)]
struct Kept {
    pixels: usize,
    all: Count,
    of_class: Vec<Count>,
    border: Border,
}

/// How much of each subset lies in the border.
#[derive(Debug)]
struct Border {
    /// Whether each pixel does.
    holds: Vec<bool>,
    /// The sum over all subsets that keep a pixel.
    shares: f64,
    subsets: usize,
}

impl Border {
    fn new(shape: ImageShape) -> Self {
        let width = (shape.height.min(shape.width) / 10).max(1);
        let at_edge = |place: usize, extent: usize| place < width || place + width >= extent;
        let row = |y| (0..shape.width).map(move |x| at_edge(y, shape.height) || at_edge(x, shape.width));
        Self { holds: (0..shape.height).flat_map(row).collect(), shares: 0.0, subsets: 0 }
    }

    /// Counts a subset of `all` pixels, `inside` of them in the border.
    fn add(&mut self, inside: usize, all: usize) {
        if all > 0 {
            self.shares += inside as f64 / all as f64;
            self.subsets += 1;
        }
    }

    fn number(&self, metric: Metric) -> Number {
        let value = (self.subsets > 0).then(|| self.shares / self.subsets as f64);
        Number { metric, value, interval: None, count: self.subsets }
    }

    fn chance(&self) -> Number {
        let inside = self.holds.iter().filter(|holds| **holds).count();
        let value = (self.subsets > 0).then(|| inside as f64 / self.holds.len() as f64);
        Number { value, ..self.number(Metric::BorderChance) }
    }
}

#[derive(Clone, Debug)]
struct Count {
    images: usize,
    kept: Vec<u32>,
}

impl Kept {
    fn new(classes: usize, pixels: usize, border: Border) -> Self {
        let none = Count { images: 0, kept: vec![0; pixels] };
        Self { pixels, all: none.clone(), of_class: vec![none; classes], border }
    }

    fn add(&mut self, subsets: &Subsets, index: usize, class: usize) -> Result<(), StageError> {
        if subsets.pixels() != self.pixels {
            return Err(StageError::failed(format!(
                "cannot lay subsets of {} pixels over images of {}",
                subsets.pixels(),
                self.pixels
            )));
        }
        let subset = subsets.subset(index)?;
        let kept: Vec<usize> = (0..self.pixels).filter(|pixel| subset.keeps(*pixel)).collect();
        for count in [Some(&mut self.all), self.of_class.get_mut(class)].into_iter().flatten() {
            count.images += 1;
            for &pixel in &kept {
                count.kept[pixel] += 1;
            }
        }
        self.border.add(kept.iter().filter(|pixel| self.border.holds[**pixel]).count(), kept.len());
        Ok(())
    }

    /// That of all images, and that of each class that has images.
    fn maps(&self, images: &ImageSet) -> Vec<HeatMap> {
        let named =
            [("all", &self.all)].into_iter().chain(images.classes.iter().map(String::as_str).zip(&self.of_class));
        let map = |(name, count): (&str, &Count)| HeatMap {
            figure: "kept-pixels".to_owned(),
            name: name.to_owned(),
            height: images.shape.height,
            width: images.shape.width,
            values: count.kept.iter().map(|&kept| (f64::from(kept) / count.images as f64) as f32).collect(),
            count: count.images,
        };
        named.filter(|(_, count)| count.images > 0).map(map).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_spec::Normalise;

    #[test]
    fn maps_give_the_share_of_images_that_keep_a_pixel() {
        let images = ImageSet {
            shape: ImageShape { height: 2, width: 2, channels: 1 },
            classes: ["cat", "dog", "frog"].map(str::to_owned).to_vec(),
            normalise: Normalise { mean: vec![0.0], std: vec![1.0] },
            pixels: vec![0; 16].into(),
            labels: vec![2, 0, 2, 2],
        };
        let mut subsets = Subsets::new(4);
        for kept in [&[0, 3][..], &[0, 1], &[0, 2], &[0, 3]] {
            subsets.push(kept);
        }
        let mut kept = Kept::new(3, 4, Border::new(images.shape));
        for (index, &label) in images.labels.iter().enumerate() {
            kept.add(&subsets, index, usize::from(label)).unwrap();
        }
        let maps = kept.maps(&images);
        let found: Vec<(&str, usize, &[f32])> =
            maps.iter().map(|map| (map.name.as_str(), map.count, map.values.as_slice())).collect();
        let third = (1.0_f64 / 3.0) as f32;
        assert_eq!(
            found,
            [
                ("all", 4, &[1.0, 0.25, 0.25, 0.5][..]),
                ("cat", 1, &[1.0, 1.0, 0.0, 0.0]),
                ("frog", 3, &[1.0, 0.0, third, (2.0_f64 / 3.0) as f32]),
            ]
        );
    }

    #[test]
    fn the_border_is_a_tenth_of_the_shorter_side_wide_and_empty_subsets_are_left_out() {
        let mut border = Border::new(ImageShape { height: 20, width: 30, channels: 3 });
        // Two rows and columns on each side.
        assert_eq!(border.holds.iter().filter(|holds| **holds).count(), 20 * 30 - 16 * 26);
        assert!(border.holds[1] && border.holds[2 * 30 + 1] && border.holds[10 * 30 + 28] && border.holds[599]);
        assert!(!border.holds[2 * 30 + 2] && !border.holds[17 * 30 + 27]);
        border.add(1, 4);
        border.add(0, 0);
        border.add(3, 4);
        assert_eq!(border.number(Metric::Border).value, Some(0.5));
        assert_eq!(border.number(Metric::Border).count, 2);
        assert_eq!(border.chance().value, Some(184.0 / 600.0));
        assert_eq!(
            Border::new(ImageShape { height: 3, width: 3, channels: 1 }).holds.iter().filter(|h| **h).count(),
            8
        );
        assert_eq!(Border::new(ImageShape { height: 3, width: 3, channels: 1 }).number(Metric::Border).value, None);
    }
}
