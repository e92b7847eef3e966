//! Exact selection of whole images, which stops at the ceiling, beside the exhaustive one:
//! `cargo bench --bench whole_images -- COUNT [ARCH [MODEL_FILE CIFAR10]]`.
//!
//! With a model file (of networks that expect ImageNet's usual normalisation) the first COUNT test images in the folder
//! CIFAR10 are selected; without one, made-up images by a network with fresh weights, which is never sure. Both ways take
//! turns, one batch of images after the other, on as many threads as there are; what they find must be the same to the bit.
//! `RAYON_NUM_THREADS` sets their number.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;

use overinterp_artifacts::{ImageSet, Model, Network};
use overinterp_data::Library;
use overinterp_exchange::{Architecture, ModelFile};
use overinterp_nn::arch;
use overinterp_nn::image_scorer::{Ceiling, ImageScorer};
use overinterp_nn::inference::{Finder, Inference, Wanted};
use overinterp_nn::init::initial_tensors;
use overinterp_nn::unanswered::Unanswered;
use overinterp_sis::{BackSelection, Effort, Halted, watch_nothing};
use overinterp_spec::{Arch, Cell, DataKind, DataSource, Limit, Normalise, Seed, Split};

/// Images that one way selects before the other has its turn: many, as images differ in what they take, and a thread that has no
/// further one waits for the others.
const TURN: usize = 10;
/// Images if nothing is said.
const COUNT: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let count: usize = arguments.first().map_or(Ok(COUNT), |count| count.parse())?;
    let arch: Arch = match arguments.get(1) {
        Some(name) => *Arch::ALL.iter().find(|arch| arch.to_string() == *name).ok_or("no such architecture")?,
        None => Arch::Resnet20,
    };
    let (model, images) = match &arguments[2.min(arguments.len())..] {
        [weights, folder, ..] => real(arch, Path::new(weights), Path::new(folder), count)?,
        _ => made_up(arch, count)?,
    };
    measure(&model, &images, count)
}

fn real(arch: Arch, weights: &Path, folder: &Path, count: usize) -> Result<(Model, Arc<ImageSet>), Box<dyn Error>> {
    let source = DataSource {
        name: "cifar10".to_owned(),
        cell: Cell::default(),
        kind: DataKind::Cifar10,
        root: Some(PathBuf::from(folder)),
        limit: Limit { train: None, test: Some(count) },
        corrupted: None,
    };
    let images = Library::new(None).images(&source, Split::Test)?;
    let bytes = std::fs::read(weights)?;
    let graph = arch::build(arch, images.shape, images.classes.len())?;
    let parameters = graph.parameters().iter();
    let expected: Vec<(String, Vec<usize>)> =
        parameters.map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
    let mut file = ModelFile::parse(weights, &bytes)?;
    let fitting = file.fit(&Architecture { expected: &expected, left_out: arch::left_out(arch) }, None)?;
    let tensors = file.gather(&fitting)?;
    let normalise = Normalise::of_unit_range(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
    let network = Network { arch, normalise, input_dropout: None, tensors, log: Vec::new() };
    Ok((Model { shape: images.shape, classes: images.classes.len(), networks: vec![network] }, images))
}

fn made_up(arch: Arch, count: usize) -> Result<(Model, Arc<ImageSet>), Box<dyn Error>> {
    let shape = arch.usual_images();
    let normalise = Normalise { mean: vec![127.5; shape.channels], std: vec![64.0; shape.channels] };
    let images = ImageSet {
        shape,
        classes: (0..10).map(|class| class.to_string()).collect(),
        normalise: normalise.clone(),
        pixels: (0..count * shape.bytes()).map(|place| (place * 7919 % 1009 % 256) as u8).collect(),
        labels: vec![0; count],
    };
    let graph = arch::build(arch, images.shape, images.classes.len())?;
    let network =
        Network { arch, normalise, input_dropout: None, tensors: initial_tensors(&graph, Seed(0)), log: Vec::new() };
    Ok((Model { shape: images.shape, classes: images.classes.len(), networks: vec![network] }, Arc::new(images)))
}

/// How images are selected.
struct Way(Ceiling);

impl Finder for Way {
    type Found = BackSelection;

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<BackSelection>, Halted<Unanswered>> {
        scorer.select(self.0, watch_nothing)
    }
}

fn measure(model: &Model, images: &ImageSet, count: usize) -> Result<(), Box<dyn Error>> {
    let inference = Inference::open(model, images, &Device::Cpu, Wanted::Scores)?;
    let select = |images: std::ops::Range<usize>, way: Way| {
        let start = Instant::now();
        let found = inference.find(images, &way).map_err(|halted| halted.to_string())?;
        Ok::<_, Box<dyn Error>>((found, start.elapsed()))
    };
    let (mut taken, mut total, mut ratios) = ([Duration::ZERO; 2], Effort::default(), Vec::new());
    for first in (0..count).step_by(TURN) {
        let turn = first..count.min(first + TURN);
        let (short, short_time) = select(turn.clone(), Way(Ceiling::Used))?;
        let (whole, whole_time) = select(turn, Way(Ceiling::Ignored))?;
        taken[0] += short_time;
        taken[1] += whole_time;
        for (place, (short, whole)) in short.iter().zip(&whole).enumerate() {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                (&short.order, bits(&short.values)),
                (&whole.order, bits(&whole.values)),
                "the results are the same"
            );
            let Effort { evaluated, needed, .. } = short.effort;
            let ratio = whole.effort.evaluated as f64 / evaluated as f64;
            println!(
                "image {:>3}: {evaluated:>7} of {} candidates ({ratio:.1}x fewer), {needed} needed",
                first + place,
                whole.effort.evaluated
            );
            total += short.effort;
            ratios.push(ratio);
        }
    }
    let Effort { evaluated, needed, exhaustive, steps, at_ceiling } = total;
    let [short, whole] = taken.map(|taken| taken.as_secs_f64());
    println!(
        "{count} images: {evaluated} of {exhaustive} candidates, {:.2}x fewer in all, {:.2}x in the mean of the images, \
         {:.3} for one needed, {at_ceiling} of {steps} steps at the ceiling; {short:.1} s for {whole:.1} s, {:.3}x less time",
        exhaustive as f64 / evaluated as f64,
        ratios.iter().sum::<f64>() / ratios.len() as f64,
        evaluated as f64 / needed as f64,
        whole / short,
    );
    Ok(())
}
