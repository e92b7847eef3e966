//! `import-selection`: rankings from files made elsewhere, in the authors' layout.
//!
//! A file of backward selection says neither which class f is the probability of nor what f(x) is: both come from the
//! authors' file of predictions, or are asked of the model. A file of batched gradient says both, but not f of the
//! fully masked image, which is asked of the model; and it does not say in which order a round's pixels went, for which
//! their own stands in.

use rayon::prelude::*;
use serde::Serialize;

use overinterp_artifacts::{Curve, ImageSet, Model, Pixels, Ranking, Subsets};
use overinterp_exchange::{
    ExchangeError, GradientFile, PackedFile, PackedSelection, Prediction, Predictions, SelectionFile,
};
use overinterp_nn::cpu::scorer::probability;
use overinterp_nn::finite::NotFinite;
use overinterp_nn::image_scorer::ImageScorer;
use overinterp_nn::images::batches::Samples;
use overinterp_nn::inference::{Finder, Wanted};
use overinterp_nn::predict::{PredictError, logits};
use overinterp_nn::unanswered::Unanswered;
use overinterp_sis::Halted;
use overinterp_spec::{ImageShape, Scoring, Selection};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Watcher, halted, open};
use super::named_files::{FileKind, HashedFile};
use super::{DataSplit, Env, Range, SelectionFiles};

/// Files that are read between two looks at whether to go on.
const BATCH: usize = 64;

/// The manifest of an `import-selection` step: one shard of a split's images.
#[derive(Debug, Serialize)]
pub struct ImportSelection {
    /// What the shard's files contain; a placeholder while they are absent.
    pub content: String,
    /// Where they lie.
    #[serde(skip)]
    pub files: SelectionFiles,
    /// The images' split.
    pub images: DataSplit,
    /// Which of the split's images the shard is of.
    pub range: Range,
    /// How the pixels were ranked.
    pub method: Selection,
    /// The BLAKE3 of the file of predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<String>,
    /// Where it lies.
    #[serde(skip)]
    pub predictions_file: Option<HashedFile>,
    /// The model that is asked for what the files leave out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Key<Model>>,
    /// How the model's candidates are scored, if it is asked.
    #[serde(skip_serializing_if = "Scoring::is_first")]
    pub scoring: Scoring,
}

/// One image's selection.
struct Imported {
    class: u16,
    full: f32,
    order: Vec<u32>,
    values: Vec<f32>,
}

/// Finds the class that a model predicts on the full image, and f of it.
struct Predicting<'a>(&'a Context<'a, Env>);

impl Predicting<'_> {
    fn go_on(&self) -> Result<(), Halted<Unanswered>> {
        if self.0.cancelled() { Err(Halted::Stopped) } else { Ok(()) }
    }
}

impl Finder for Predicting<'_> {
    type Found = (u16, f32);

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<(u16, f32)>, Halted<Unanswered>> {
        self.go_on()?;
        Ok(scorer.said().iter().map(|said| (said.class as u16, said.full)).collect())
    }
}

/// What is known of the images beside their files.
enum Known {
    /// Class and f(x) of each image of the shard.
    Predictions(Vec<(u16, f32)>),
    /// The logits of the fully masked image.
    FullyMasked(Vec<f32>),
}

impl Stage<Env> for ImportSelection {
    const KIND: &'static str = "import-selection";
    const VERSION: u32 = 1;
    type Output = Ranking;

    fn inputs(&self) -> Vec<StepKey> {
        self.model.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Ranking, StageError> {
        let images = self.images.load(context)?;
        if self.range.indexes().end > images.len() {
            return Err(failed(format!("cannot import selections: there are only {} images", images.len())));
        }
        let known = self.known(&images, context)?;
        let mut ranking = Ranking::new(self.range.first, images.shape.pixels(), self.method.clone());
        let mut push = |imported: &Imported| {
            let Imported { class, full, order, values } = imported;
            ranking.push(order, Some(Curve { class: *class, full: *full, values }));
            context.progress("images", ranking.len(), self.range.count);
        };
        match &self.files {
            SelectionFiles::Single(files) => {
                for (batch, files) in files.chunks(BATCH).enumerate() {
                    if context.cancelled() {
                        return Err(StageError::Cancelled);
                    }
                    let places = files.par_iter().enumerate();
                    let read = places.map(|(place, file)| self.read(batch * BATCH + place, file, &images, &known));
                    read.collect::<Result<Vec<Imported>, StageError>>()?.iter().for_each(&mut push);
                }
            }
            SelectionFiles::Packed(file) => self.read_packed(file, &images, &known, context, push)?,
        }
        Ok(ranking)
    }
}

impl ImportSelection {
    /// Finds out what the files leave out.
    fn known(&self, images: &ImageSet, context: &Context<'_, Env>) -> Result<Known, StageError> {
        let model = self.model.as_ref().map(|key| context.load(key)).transpose()?;
        match (&self.method, &self.predictions_file, model) {
            (Selection::BatchedGradient { .. }, _, Some(model)) => {
                fully_masked(&model, images, context).map(Known::FullyMasked)
            }
            (Selection::BatchedGradient { .. }, _, None) => {
                Err(failed("cannot import selections by batched gradient: there is no model to ask for what they lack"))
            }
            (_, Some(file), _) => self.predicted(file, images).map(Known::Predictions),
            (_, None, Some(model)) => Ok(Known::Predictions(self.asked(&model, images, context)?)),
            (_, None, None) => Err(failed("cannot import selections: there are neither predictions nor a model")),
        }
    }

    /// Class and f(x) from a file.
    fn predicted(&self, file: &HashedFile, images: &ImageSet) -> Result<Vec<(u16, f32)>, StageError> {
        file.check(FileKind::Predictions)?;
        let predictions = Predictions::read(&file.path)?;
        let all = self.range.indexes().map(|image| {
            let Prediction { class, confidence, .. } = predictions.of(image, images.classes.len())?;
            Ok((class, confidence))
        });
        Ok(all.collect::<Result<_, ExchangeError>>()?)
    }

    /// Class and f(x) as a selection by this model would find them.
    fn asked(
        &self,
        model: &Model,
        images: &ImageSet,
        context: &Context<'_, Env>,
    ) -> Result<Vec<(u16, f32)>, StageError> {
        let inference = open(context, model, images, Wanted::Scores)?;
        inference.find(self.range.indexes(), &Predicting(context)).map_err(halted)
    }

    /// The selection of the shard's image number `place` from a file of its own.
    fn read(&self, place: usize, file: &HashedFile, images: &ImageSet, known: &Known) -> Result<Imported, StageError> {
        let (bytes, path) = (file.read(FileKind::Selection)?, &file.path);
        let imported = match known {
            Known::Predictions(predictions) => {
                let selection = SelectionFile::of_bytes(&bytes, path)?;
                backward(
                    predictions[place],
                    [selection.height(), selection.width()],
                    selection.order().to_vec(),
                    selection.values(),
                    images,
                )
            }
            Known::FullyMasked(logits) => {
                let selection = GradientFile::of_bytes(&bytes, path)?;
                self.gradient(&selection, logits, images)
            }
        };
        imported.map_err(|fault| failed(format!("{} is of no use: {fault}", path.display())))
    }

    /// The shard's rows of a packed file, in the images' order.
    fn read_packed(
        &self,
        file: &HashedFile,
        images: &ImageSet,
        known: &Known,
        context: &Context<'_, Env>,
        mut push: impl FnMut(&Imported),
    ) -> Result<(), StageError> {
        file.check(FileKind::PackedSelections)?;
        let path = file.path.display();
        let Known::Predictions(predictions) = known else {
            return Err(failed(format!("{path} is one file: selections by batched gradient come one file an image")));
        };
        let packed = PackedFile::open(&file.path)?;
        let range = self.range.indexes();
        let mut rows: Vec<Option<Imported>> = Vec::new();
        rows.resize_with(self.range.count, || None);
        let mut stopped: Option<StageError> = None;
        let mut visit = |row: PackedSelection| -> Result<(), StageError> {
            if context.cancelled() {
                return Err(StageError::Cancelled);
            }
            let place = row.image - self.range.first;
            let size = [packed.height(), packed.width()];
            let imported = backward(predictions[place], size, row.order, &row.values, images)
                .map_err(|fault| failed(format!("the row of image {} in {path} is of no use: {fault}", row.image)))?;
            match rows[place].replace(imported) {
                None => Ok(()),
                Some(_) => Err(failed(format!("{path} has two rows of image {}", row.image))),
            }
        };
        let wanted = |image| range.contains(&image);
        let read = packed.for_each(wanted, |row| match visit(row) {
            Ok(()) => true,
            Err(error) => {
                stopped = Some(error);
                false
            }
        });
        read?;
        stopped.map_or(Ok(()), Err)?;
        for (place, row) in rows.iter().enumerate() {
            let missing = || failed(format!("{path} has no row of image {}", self.range.first + place));
            push(row.as_ref().ok_or_else(missing)?);
        }
        Ok(())
    }

    /// Checks a selection by batched gradient and puts it together with what is known of its image.
    fn gradient(&self, selection: &GradientFile, masked: &[f32], images: &ImageSet) -> Result<Imported, Unfit> {
        check_size([selection.height(), selection.width()], images)?;
        if let Selection::BatchedGradient { per_round, .. } = self.method
            && selection.per_round() != per_round.min(images.shape.pixels())
        {
            return Err(Unfit::PerRound { masked: selection.per_round(), stated: per_round });
        }
        let class = usize::from(selection.class());
        if class >= masked.len() {
            return Err(Unfit::Class { class, classes: masked.len() });
        }
        check_values(selection.confidences())?;
        check_values(&[selection.full()])?;
        // Before each round but the first is after the one that went before.
        let after = selection.confidences().iter().skip(1).map(|&value| value as f32);
        Ok(Imported {
            class: selection.class(),
            full: selection.full() as f32,
            order: selection.order().to_vec(),
            values: after.chain([probability(masked, class)]).collect(),
        })
    }
}

/// Checks a backward selection and puts it together with what is known of its image.
fn backward(
    (class, full): (u16, f32),
    size: [usize; 2],
    order: Vec<u32>,
    values: &[f64],
    images: &ImageSet,
) -> Result<Imported, Unfit> {
    check_size(size, images)?;
    let pixels = images.shape.pixels();
    let mut seen = vec![false; pixels];
    for &pixel in &order {
        match seen.get_mut(pixel as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(Unfit::Pixel(pixel)),
        }
    }
    if order.len() != pixels || values.len() != pixels {
        return Err(Unfit::Lengths { ordered: order.len(), pixels, values: values.len() });
    }
    check_values(values)?;
    Ok(Imported { class, full, order, values: values.iter().map(|&value| value as f32).collect() })
}

/// The logits of an image of which nothing is seen, which are the same for all.
fn fully_masked(model: &Model, images: &ImageSet, context: &Context<'_, Env>) -> Result<Vec<f32>, StageError> {
    let one = ImageSet {
        pixels: Pixels::Held(vec![0; images.shape.bytes()]),
        labels: vec![0],
        classes: images.classes.clone(),
        normalise: images.normalise.clone(),
        shape: images.shape,
    };
    let mut nothing = Subsets::new(images.shape.pixels());
    nothing.push(&[]);
    let samples = Samples { images: &one, subsets: Some(&nothing) };
    logits(model, samples, &context.env().device, &Watcher(context)).map_err(|error| match error {
        // It has no number.
        Halted::Failed(PredictError::NotFinite(NotFinite::Logits { .. })) => failed(
            "the model's logits of the fully masked image are not finite although its weights are: values overflow on the \
             way; import a file that is whole, or train the model anew at a lower learning rate",
        ),
        error => halted(error),
    })
}

/// Why a selection is of no use here.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it masks {masked} pixels a round, and `per-round` is {stated}")]
    PerRound { masked: usize, stated: usize },
    #[error("its class is {class}, but there are only {classes} classes")]
    Class { class: usize, classes: usize },
    #[error("its order names pixel {0} twice, or the image has no such pixel")]
    Pixel(u32),
    #[error("its order has {ordered} of {pixels} pixels, and {values} values")]
    Lengths { ordered: usize, pixels: usize, values: usize },
    #[error(
        "it is of an image of {}x{} pixels, these images have {}x{}",
        of[0], of[1], images.height, images.width
    )]
    Size { of: [usize; 2], images: ImageShape },
    #[error("its value number {step} is {value}, which is no confidence")]
    Value { step: usize, value: f64 },
}

fn check_size(of: [usize; 2], images: &ImageSet) -> Result<(), Unfit> {
    let shape = images.shape;
    if of == [shape.height, shape.width] { Ok(()) } else { Err(Unfit::Size { of, images: shape }) }
}

/// Confidences lie between 0 and 1, but for rounding.
fn check_values(values: &[f64]) -> Result<(), Unfit> {
    const ROUNDING: f64 = 1e-4;
    match values.iter().position(|value| !(-ROUNDING..=1.0 + ROUNDING).contains(value)) {
        None => Ok(()),
        Some(step) => Err(Unfit::Value { step, value: values[step] }),
    }
}

fn failed(message: impl Into<String>) -> StageError {
    StageError::failed(message.into())
}
