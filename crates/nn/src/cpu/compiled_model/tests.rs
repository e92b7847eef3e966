//! Ensembles and input dropout against whole passes of their networks, one at a time.

use candle_core::{Device, Tensor};
use std::convert::Infallible;

use super::*;
use crate::cpu::scorer::{NetworkScorer, argmax, probability};
use crate::formula;
use crate::gpu::model::GpuModel;
use crate::gpu::scorer::GpuScorer;
use crate::images::batches::Samples;
use crate::init::initial_tensors;
use crate::observer::Unobserved;
use crate::predict;
use overinterp_artifacts::{ImageSet, Network};
use overinterp_sis::{Alone, Exhaustive, Scorer, back_select, back_select_among, watch_nothing};
use overinterp_spec::{Fraction, ImageShape, Normalise, Seed};

const SHAPE: ImageShape = ImageShape { height: 6, width: 6, channels: 3 };

fn dropout(keep: f64, samples: usize) -> SeededDropout {
    SeededDropout { keep: Fraction::try_from(keep).unwrap(), samples, seed: Seed(9) }
}

/// A network with weights of its own.
fn network(arch: Arch, seed: u64, input_dropout: Option<SeededDropout>) -> Network {
    let tensors = initial_tensors(&arch::build(arch, SHAPE, 4).unwrap(), Seed(seed));
    let normalise = Normalise { mean: vec![127.5; 3], std: vec![60.0; 3] };
    Network { arch, normalise, input_dropout, tensors, log: Vec::new() }
}

fn model(networks: Vec<Network>) -> Model {
    Model { shape: SHAPE, classes: 4, networks }
}

/// Two architectures, one of which is asked by three samples.
fn mixed() -> Model {
    model(vec![network(Arch::Cnn, 1, None), network(Arch::Resnet20, 2, Some(dropout(0.7, 3)))])
}

fn workspace(model: &Model) -> ModelWorkspace {
    ModelWorkspace::new(&CompiledModel::new(model, Purpose::Candidates).unwrap())
}

fn image() -> Vec<f32> {
    formula::images(1, SHAPE)
}

fn masked(image: &[f32], pixels: &[u32]) -> Vec<f32> {
    let mut image = image.to_vec();
    for &pixel in pixels {
        image[pixel as usize * 3..][..3].fill(0.0);
    }
    image
}

/// What a model says of an image, found by whole passes of each network alone on each sample, and plain means.
fn reference(model: &Model, purpose: Use, number: usize, image: &[f32]) -> Vec<f64> {
    let mut total = [0.0; 4];
    for network in &model.networks {
        let alone = Network { input_dropout: None, ..network.clone() };
        let mut workspace = workspace(&self::model(vec![alone]));
        let samples = network.input_dropout.map_or(1, |dropout| dropout.samples);
        for sample in 0..samples {
            let mut image = image.to_vec();
            if let Some(dropout) = network.input_dropout {
                let mut kept = vec![true; SHAPE.pixels()];
                draw(dropout, purpose, sample, number, &mut kept);
                drop_pixels(&kept, &mut image);
            }
            workspace.set_image(&image);
            for (total, logit) in total.iter_mut().zip(workspace.logits()) {
                *total += f64::from(*logit) / samples as f64 / model.networks.len() as f64;
            }
        }
    }
    total.to_vec()
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn an_ensemble_of_one_has_the_bits_of_its_member() {
    let one = model(vec![network(Arch::Resnet20, 3, None)]);
    let graph = arch::build(Arch::Resnet20, SHAPE, 4).unwrap();
    let program = Arc::new(compile(&graph, &one.networks[0].tensors, Isa::detect(), Purpose::Scores).unwrap());
    let mut engine = Workspace::new(&program);
    let mut ensemble = workspace(&Model::ensemble([one]).unwrap());
    engine.set_image(&image());
    ensemble.set_image(&image());
    engine.mask(7);
    ensemble.mask(7);
    assert_eq!(ensemble.logits(), engine.logits());
    let pixels: Vec<u32> = (0..36).filter(|pixel| *pixel != 7).collect();
    let [mut found, mut expected] = [(); 2].map(|()| vec![f32::NAN; 35 * 4]);
    ensemble.candidates(&pixels, &mut found);
    engine.candidates(&pixels, &mut expected);
    assert_eq!(found, expected);
}

#[test]
fn keeping_every_pixel_has_the_bits_of_no_dropout() {
    let [mut seen, mut all] =
        [Some(dropout(1.0, 3)), None].map(|dropout| workspace(&model(vec![network(Arch::Cnn, 3, dropout)])));
    seen.draw(Use::Selection, 5);
    seen.set_image(&image());
    all.set_image(&image());
    assert_eq!(seen.logits(), all.logits());
}

#[test]
fn logits_are_the_mean_over_members_and_samples() {
    for model in
        [mixed(), model(vec![network(Arch::Cnn, 1, None), network(Arch::Cnn, 2, None), network(Arch::Cnn, 3, None)])]
    {
        let mut workspace = workspace(&model);
        for number in [0, 8] {
            workspace.draw(Use::Evaluation, number);
            workspace.set_image(&image());
            assert_close(workspace.logits(), &reference(&model, Use::Evaluation, number, &image()));
        }
    }
}

#[test]
fn candidates_and_masks_have_the_bits_of_whole_passes() {
    let model = mixed();
    let [mut stepwise, mut whole] = [(); 2].map(|()| workspace(&model));
    stepwise.draw(Use::Selection, 4);
    whole.draw(Use::Selection, 4);
    stepwise.set_image(&image());
    stepwise.mask(3);
    stepwise.mask_all(&[20, 21]);
    let candidates: Vec<u32> = (0..36).rev().filter(|pixel| ![3, 20, 21].contains(pixel)).collect();
    let mut logits = vec![f32::NAN; candidates.len() * 4];
    stepwise.candidates(&candidates, &mut logits);
    for (candidate, logits) in candidates.iter().zip(logits.chunks_exact(4)) {
        whole.set_image(&masked(&image(), &[3, 20, 21, *candidate]));
        assert_eq!(logits, whole.logits(), "pixel {candidate}");
        let mut alone = [f32::NAN; 4];
        stepwise.candidates(&[*candidate], &mut alone);
        assert_eq!(logits, alone, "pixel {candidate} by itself");
    }
    whole.set_image(&masked(&image(), &[3, 20, 21]));
    assert_eq!(stepwise.logits(), whole.logits());
    assert_close(stepwise.logits(), &reference(&model, Use::Selection, 4, &masked(&image(), &[3, 20, 21])));
}

#[test]
fn scoring_stops_between_passes_and_leaves_the_image_alone() {
    let model = mixed();
    let mut workspace = workspace(&model);
    workspace.draw(Use::Selection, 4);
    workspace.set_image(&image());
    workspace.mask(3);
    let candidates: Vec<u32> = (0..36).filter(|pixel| *pixel != 3).collect();
    let mut expected = vec![f32::NAN; candidates.len() * 4];
    workspace.candidates(&candidates, &mut expected);
    let mut asked = 0;
    let mut found = vec![f32::NAN; candidates.len() * 4];
    let all = workspace.candidates_while(&candidates, &mut found, &mut || {
        asked += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((all, &found), (ControlFlow::Continue(()), &expected));
    // One network sees the image as it is, the other by three samples; there may be several groups in each.
    assert!(asked >= 4, "{asked}");
    for stop_at in 1..=asked {
        let mut asked = 0;
        let stopped = workspace.candidates_while(&candidates, &mut found, &mut || {
            asked += 1;
            if asked < stop_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!((stopped, asked), (ControlFlow::Break(()), stop_at));
        workspace.candidates(&candidates, &mut found);
        assert_eq!(found, expected, "after {stop_at}");
    }
}

/// Backward selection over whole passes, as the reference knows them.
struct Dense<'a> {
    model: &'a Model,
    masked: Vec<u32>,
    class: usize,
}

impl Dense<'_> {
    fn score(&self, also: &[u32]) -> f32 {
        let image = masked(&image(), &[&self.masked, also].concat());
        let logits: Vec<f32> =
            reference(self.model, Use::Selection, 2, &image).into_iter().map(|logit| logit as f32).collect();
        probability(&logits, self.class)
    }
}

impl Scorer for Dense<'_> {
    type Error = Infallible;

    fn features(&self) -> usize {
        SHAPE.pixels()
    }

    fn current(&mut self) -> Result<f32, Infallible> {
        Ok(self.score(&[]))
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), Infallible> {
        for (candidate, score) in candidates.iter().zip(scores) {
            *score = self.score(&[*candidate]);
        }
        Ok(())
    }

    fn mask(&mut self, feature: u32) -> Result<(), Infallible> {
        self.masked.push(feature);
        Ok(())
    }
}

#[test]
fn a_selection_agrees_with_whole_passes_at_every_step() {
    let model = mixed();
    let mut workspace = workspace(&model);
    workspace.draw(Use::Selection, 2);
    let image = image();
    let mut scorer = NetworkScorer::new(&mut workspace, 2, &image).unwrap();
    let selection = back_select(&mut scorer, watch_nothing).unwrap();
    let class = scorer.class();
    let mut dense = Dense { model: &model, masked: Vec::new(), class };
    let logits: Vec<f32> = reference(&model, Use::Selection, 2, &image).into_iter().map(|logit| logit as f32).collect();
    assert_eq!(argmax(&logits), class);
    assert!((dense.current().unwrap() - selection.full).abs() < 1e-5);
    // Teacher-forced, as a tie within rounding may send two greedy paths apart.
    let mut left: Vec<u32> = (0..36).collect();
    for (&pixel, &value) in selection.order.iter().zip(&selection.values) {
        let mut scores = vec![0.0; left.len()];
        dense.candidates(&left, &mut scores).unwrap();
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let place = left.iter().position(|other| *other == pixel).unwrap();
        assert!((scores[place] - value).abs() < 1e-5, "{value} for {}", scores[place]);
        assert!(best - scores[place] < 1e-5, "{best} is above {}", scores[place]);
        left.remove(place);
        dense.mask(pixel).unwrap();
    }
}

#[test]
fn a_selection_that_stops_at_the_ceiling_is_the_exhaustive_one_to_the_bit() {
    let mut at_ceiling = [0, 0];
    for (place, sureness) in [1.0, 3000.0].into_iter().enumerate() {
        let sure = |mut network: Network| {
            for name in ["linear.weight", "linear.bias"] {
                network.tensors.get_mut(name).unwrap().data.iter_mut().for_each(|value| *value *= sureness);
            }
            network
        };
        let networks = [
            vec![network(Arch::Cnn, 1, None)],
            vec![network(Arch::Resnet20, 2, None)],
            vec![network(Arch::Resnet20, 2, Some(dropout(0.7, 3)))],
            mixed().networks,
        ];
        for networks in networks {
            let mut workspace = workspace(&model(networks.into_iter().map(sure).collect()));
            workspace.draw(Use::Selection, 2);
            let image = image();
            let short =
                back_select(&mut NetworkScorer::new(&mut workspace, 2, &image).unwrap(), watch_nothing).unwrap();
            let mut whole = Exhaustive(NetworkScorer::new(&mut workspace, 2, &image).unwrap());
            let whole = back_select(&mut whole, watch_nothing).unwrap();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!((&short.order, bits(&short.values)), (&whole.order, bits(&whole.values)));
            assert_eq!((whole.effort.evaluated, short.effort.exhaustive), (36 * 37 / 2, 36 * 37 / 2));
            at_ceiling[place] += short.effort.at_ceiling;
        }
    }
    // Of four times 36 steps: of sure networks some but not all, of the others none.
    assert!(at_ceiling[0] == 0 && (1..144).contains(&at_ceiling[1]), "{at_ceiling:?}");
}

#[test]
fn candidates_on_a_device_score_as_the_mean_of_whole_passes() {
    let (model, image) = (mixed(), image());
    let device = GpuModel::new(&model, &Device::Cpu).unwrap();
    let seen = device.draw(Use::Selection, &[1]).unwrap();
    let mut device_scorer = GpuScorer::new(&device, seen, &[1], &image, SHAPE).unwrap().in_batches_of(48);
    let class = device_scorer.classes()[0];
    let mut scorer = Alone(&mut device_scorer);
    scorer.mask(4).unwrap();
    let mut scores = [0.0; 36];
    let pixels: Vec<u32> = (0..36).collect();
    scorer.candidates(&pixels, &mut scores).unwrap();
    for (&pixel, score) in pixels.iter().zip(scores) {
        let logits: Vec<f32> = reference(&model, Use::Selection, 1, &masked(&image, &[4, pixel]))
            .into_iter()
            .map(|logit| logit as f32)
            .collect();
        assert!((probability(&logits, class) - score).abs() < 1e-5, "pixel {pixel}");
    }
}

#[test]
fn predictions_of_many_images_are_those_of_each_on_either_path() {
    let model = mixed();
    let images = ImageSet {
        shape: SHAPE,
        classes: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        normalise: model.networks[0].normalise.clone(),
        pixels: (0..40 * SHAPE.bytes() as u32).map(|index| (index * 97 % 251) as u8).collect(),
        labels: vec![0; 40],
    };
    let samples = Samples::whole(&images);
    let logits = predict::logits(&model, samples, &Device::Cpu, &Unobserved).unwrap();
    let input = samples
        .input(&crate::images::batches::Levels::new(&images.normalise), &(0..40).collect::<Vec<_>>(), None)
        .unwrap();
    let device = GpuModel::new(&model, &Device::Cpu).unwrap();
    let seen = device.draw(Use::Evaluation, &(0..40).collect::<Vec<_>>()).unwrap();
    let x = Tensor::from_slice(&input, (40, 6, 6, 3), &Device::Cpu).unwrap();
    let on_device: Vec<f32> = device.logits(&x, &seen).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for (number, image) in input.chunks_exact(SHAPE.bytes()).enumerate() {
        let expected = reference(&model, Use::Evaluation, number, image);
        assert_close(&logits[number * 4..][..4], &expected);
        assert_close(&on_device[number * 4..][..4], &expected);
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = one.install(|| predict::logits(&model, samples, &Device::Cpu, &Unobserved).unwrap());
    assert_eq!(alone, logits, "the number of threads changes no bit");
}

/// Its last maps are of 2x2, which candidates go through in nine products. So it is asked at the size that it is made for, alone
/// and beside a network that has no such maps, of some pixels only.
#[test]
fn candidates_of_vgg16_have_the_bits_of_whole_passes_and_the_short_way_those_of_the_exhaustive() {
    let shape = ImageShape { height: 32, width: 32, channels: 3 };
    let network = |arch: Arch| {
        let mut tensors = initial_tensors(&arch::build(arch, shape, 4).unwrap(), Seed(5));
        let last = tensors.keys().filter(|name| name.ends_with("linear.weight") || name.ends_with("classifier.weight"));
        let last: Vec<String> = last.cloned().collect();
        assert_eq!(last.len(), 1, "{arch}: {last:?}");
        tensors.get_mut(&last[0]).unwrap().data.iter_mut().for_each(|value| *value *= 3000.0);
        let normalise = Normalise { mean: vec![127.5; 3], std: vec![60.0; 3] };
        Network { arch, normalise, input_dropout: None, tensors, log: Vec::new() }
    };
    let image = formula::images(1, shape);
    let pixels = [0, 31, 32, 65, 500, 511, 700, 992, 1023];
    for archs in [vec![Arch::Vgg16], vec![Arch::Vgg16, Arch::Resnet20]] {
        let model = Model { shape, classes: 4, networks: archs.iter().copied().map(network).collect() };
        let compiled = CompiledModel::new(&model, Purpose::Candidates).unwrap();
        let (mut asked, mut whole) = (ModelWorkspace::new(&compiled), ModelWorkspace::new(&compiled));
        asked.set_image(&image);
        asked.mask(64);
        let mut logits = vec![f32::NAN; pixels.len() * 4];
        asked.candidates(&pixels, &mut logits);
        for (pixel, logits) in pixels.iter().zip(logits.chunks(4)) {
            whole.set_image(&masked(&image, &[64, *pixel]));
            assert_eq!(whole.logits(), logits, "{archs:?}, pixel {pixel}");
        }
        let short =
            back_select_among(&mut NetworkScorer::new(&mut asked, 0, &image).unwrap(), pixels.to_vec(), watch_nothing);
        let mut every = Exhaustive(NetworkScorer::new(&mut whole, 0, &image).unwrap());
        let every = back_select_among(&mut every, pixels.to_vec(), watch_nothing).unwrap();
        let short = short.unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((&short.order, bits(&short.values)), (&every.order, bits(&every.values)), "{archs:?}");
    }
}

/// Only an architecture whose candidates are scored by a later version has another program for them.
#[test]
fn candidates_have_a_program_of_their_own_where_the_architecture_says_so() {
    let shape = ImageShape { height: 32, width: 32, channels: 3 };
    let products = |arch: Arch, purpose| {
        let tensors = initial_tensors(&arch::build(arch, shape, 4).unwrap(), Seed(5));
        let normalise = Normalise { mean: vec![127.5; 3], std: vec![60.0; 3] };
        let network = Network { arch, normalise, input_dropout: None, tensors, log: Vec::new() };
        let compiled = CompiledModel::new(&Model { shape, classes: 4, networks: vec![network] }, purpose).unwrap();
        compiled.members()[0].program.candidate_multiplications(9, 9)
    };
    for arch in [Arch::Resnet20, Arch::Vgg16] {
        let fewer = products(arch, Purpose::Candidates) < products(arch, Purpose::Scores);
        assert_eq!(fewer, !arch.scoring().is_first(), "{arch}");
    }
}
