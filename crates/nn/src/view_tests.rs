//! Models whose networks normalise images differently, on both paths, against images that are normalised by hand.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};

use crate::arch;
use crate::cpu::compiled_model::{CompiledModel, ModelWorkspace};
use crate::cpu::group_scorer::{GroupScorer, ImageGroup};
use crate::cpu::inference::CpuInference;
use crate::cpu::model_passes::{Group, ModelPasses};
use crate::cpu::scorer::{NetworkScorer, probability};
use crate::finite::NotFinite;
use crate::formula;
use crate::gpu::evaluation::EvaluationNetwork;
use crate::gpu::inference::GpuInference;
use crate::images::batches::{Levels, Samples};
use crate::inference::{Inference, Wanted};
use crate::input_dropout::{Use, draw};
use crate::observer::Unobserved;
use crate::predict;
use crate::unanswered::Unanswered;
use overinterp_artifacts::{ImageSet, Model, Network, Subsets};
use overinterp_kernels::engine::Purpose;
use overinterp_sis::{
    Alone, Candidate, GradientScorer, Halted, LockstepScorer, Scorer, gradient_magnitudes, integrated_gradients,
    watch_nothing,
};
use overinterp_spec::{Arch, Fraction, ImageShape, Normalise, Seed, SeededDropout};

const SHAPE: ImageShape = ImageShape { height: 6, width: 6, channels: 3 };
const IMAGES: usize = 3;

fn normalise(shift: f64) -> Normalise {
    Normalise { mean: vec![125.3 + shift, 123.0, 113.9 - shift], std: vec![63.0 - shift, 62.1, 66.7 + shift] }
}

fn network(arch: Arch, scale: f64, shift: f64, input_dropout: Option<SeededDropout>) -> Network {
    let tensors = formula::tensors(&arch::build(arch, SHAPE, 4).unwrap(), scale);
    Network { arch, normalise: normalise(shift), input_dropout, tensors, log: Vec::new() }
}

fn single(shift: f64) -> Model {
    Model { shape: SHAPE, classes: 4, networks: vec![network(Arch::Resnet20, 1.0, shift, None)] }
}

/// Two ways to normalise, the first of them twice, one network with input dropout.
fn mixed() -> Model {
    let dropout = SeededDropout { keep: Fraction::try_from(0.7).unwrap(), samples: 2, seed: Seed(4) };
    let networks = vec![
        network(Arch::Cnn, 1.0, 0.0, None),
        network(Arch::Resnet20, 1.0, 20.0, Some(dropout)),
        network(Arch::Resnet20, 0.5, 0.0, None),
    ];
    Model { shape: SHAPE, classes: 4, networks }
}

fn images() -> ImageSet {
    ImageSet {
        shape: SHAPE,
        classes: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        normalise: normalise(-30.0),
        pixels: (0..(IMAGES * SHAPE.bytes()) as u32).map(|index| (index * 7919 % 251) as u8).collect(),
        labels: vec![0; IMAGES],
    }
}

/// An image of bytes as a network is shown it: normalised in f64, 0 where it is masked or dropped.
fn by_hand(bytes: &[f64], normalise: &Normalise, kept: impl Fn(usize) -> bool) -> Vec<f32> {
    let value = |(place, byte): (usize, &f64)| {
        let channel = place % 3;
        if kept(place / 3) { ((byte - normalise.mean[channel]) / normalise.std[channel]) as f32 } else { 0.0 }
    };
    bytes.iter().enumerate().map(value).collect()
}

fn bytes(images: &ImageSet, index: usize) -> Vec<f64> {
    images.image(index).unwrap().iter().copied().map(f64::from).collect()
}

/// What a model says of an image: the mean over its networks, each asked alone about what it sees.
fn reference(model: &Model, purpose: Use, number: usize, bytes: &[f64], kept: &dyn Fn(usize) -> bool) -> Vec<f32> {
    let mut total = vec![0.0; model.classes];
    for network in &model.networks {
        let graph = arch::build(network.arch, SHAPE, model.classes).unwrap();
        let alone = EvaluationNetwork::new(&graph, &network.tensors, &Device::Cpu).unwrap();
        let samples = network.input_dropout.map_or(1, |dropout| dropout.samples);
        for sample in 0..samples {
            let mut seen = vec![true; SHAPE.pixels()];
            if let Some(dropout) = network.input_dropout {
                draw(dropout, purpose, sample, number, &mut seen);
            }
            let x = by_hand(bytes, &network.normalise, |pixel| kept(pixel) && seen[pixel]);
            let x = Tensor::from_vec(x, (1, SHAPE.height, SHAPE.width, 3), &Device::Cpu).unwrap();
            let logits = alone.logits(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (total, logit) in total.iter_mut().zip(logits) {
                *total += logit / samples as f32 / model.networks.len() as f32;
            }
        }
    }
    total
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{found} for {expected}");
    }
}

#[test]
fn a_subset_shows_each_model_its_pixels_as_that_model_was_trained_and_0_elsewhere() {
    let images = images();
    let mut subsets = Subsets::new(SHAPE.pixels());
    (0..IMAGES as u32).for_each(|image| subsets.push(&[image, 9, 20, 35]));
    let kept = |image: usize| move |pixel: usize| [image, 9, 20, 35].contains(&pixel);
    let samples = Samples { images: &images, subsets: Some(&subsets) };
    let mut answers = Vec::new();
    for model in [single(0.0), single(20.0), mixed()] {
        let said = predict::logits(&model, samples, &Device::Cpu, &Unobserved).unwrap();
        for (image, said) in said.chunks_exact(4).enumerate() {
            let expected = reference(&model, Use::Evaluation, image, &bytes(&images, image), &kept(image));
            assert_close(said, &expected);
        }
        answers.push(said);
    }
    assert!(answers[0].iter().zip(&answers[1]).any(|(a, b)| (a - b).abs() > 1e-3), "normalisations do not show");
    // Of a fully masked image both see the same, whatever they make of others.
    let mut nothing = Subsets::new(SHAPE.pixels());
    (0..IMAGES).for_each(|_| nothing.push(&[]));
    let masked = Samples { images: &images, subsets: Some(&nothing) };
    let [one, other] =
        [0.0, 20.0].map(|shift| predict::logits(&single(shift), masked, &Device::Cpu, &Unobserved).unwrap());
    assert_eq!(one, other);
}

#[test]
fn candidates_of_differently_normalised_members_score_as_whole_images_on_both_paths() {
    let (model, images) = (mixed(), images());
    let on_device = GpuInference::new(&model, &images, &Device::Cpu).unwrap();
    let inference = CpuInference::new(&model, &images, Purpose::Scores).unwrap();
    let compared = inference.for_each(0..IMAGES, |workspace, index, image| {
        let mut scorer = NetworkScorer::new(workspace, index, image)?;
        let numbers = [index as u32];
        let mut on_device = on_device.scorer(&numbers).unwrap().in_batches_of(48);
        assert_eq!(scorer.class(), on_device.classes()[0]);
        let mut device = Alone(&mut on_device);
        let class = scorer.class();
        let pixels: Vec<u32> = (0..SHAPE.pixels() as u32).filter(|pixel| *pixel != 8).collect();
        let (mut found, mut there) = (vec![0.0; pixels.len()], vec![0.0; pixels.len()]);
        scorer.mask(8)?;
        device.mask(8)?;
        scorer.candidates(&pixels, &mut found)?;
        device.candidates(&pixels, &mut there)?;
        for ((&pixel, found), there) in pixels.iter().zip(found).zip(there) {
            let kept = |other: usize| other != 8 && other != pixel as usize;
            let logits = reference(&model, Use::Selection, index, &bytes(&images, index), &kept);
            let expected = probability(&logits, class);
            assert!((found - expected).abs() < 1e-5 && (there - expected).abs() < 1e-5, "{found} {there} {expected}");
        }
        Ok(index)
    });
    assert_eq!(compared.unwrap(), [0, 1, 2]);
}

#[test]
fn a_selection_by_differently_normalised_members_records_what_whole_images_give() {
    let (model, images) = (mixed(), images());
    let inference = Inference::open(&model, &images, &Device::Cpu, Wanted::Scores).unwrap();
    let (class, selection) = inference.select(0..1, || watch_nothing).unwrap().remove(0);
    for (masked, value) in selection.values.iter().enumerate().step_by(7) {
        let kept = |pixel: usize| !selection.order[..=masked].contains(&(pixel as u32));
        let logits = reference(&model, Use::Selection, 0, &bytes(&images, 0), &kept);
        assert!((probability(&logits, class) - value).abs() < 1e-5);
    }
}

#[test]
fn gradients_of_differently_normalised_members_are_of_the_pixels_on_both_paths() {
    let (model, images) = (mixed(), images());
    let numbers: Vec<u32> = (0..IMAGES as u32).collect();
    let input = Samples::whole(&images).input(&Levels::of(&model), &numbers, None).unwrap();
    let compiled = CompiledModel::new(&model, Purpose::Gradients).unwrap();
    let mut passes = ModelPasses::new(&compiled, IMAGES);
    let group = Group { purpose: Use::Selection, numbers: &numbers };
    let mut on_cpu = GroupScorer::new(&mut passes, group, input).unwrap();
    let device = GpuInference::new(&model, &images, &Device::Cpu).unwrap();
    let mut on_device = device.group(Use::Selection, &numbers).unwrap();
    assert_eq!(on_cpu.predicted(), on_device.predicted());
    assert_eq!((on_cpu.channels(), on_device.channels()), (6, 6), "three channels in two ways");

    let [cpu, there] = [gradient_magnitudes(&mut on_cpu).unwrap(), gradient_magnitudes(&mut on_device).unwrap()];
    for (image, (cpu, there)) in cpu.iter().zip(&there).enumerate() {
        let largest = cpu.iter().copied().fold(0.0, f64::max);
        assert!(cpu.iter().zip(there).all(|(cpu, there)| (cpu - there).abs() < 1e-4 * largest));
        // By differences of bytes, in units of the first member's deviations.
        let mut compared = 0;
        let class = on_cpu.predicted()[image];
        let f = |bytes: &[f64]| probability(&reference(&model, Use::Selection, image, bytes, &|_| true), class);
        let mut agreeing = 0;
        for (pixel, magnitude) in cpu.iter().enumerate().skip(image).step_by(5) {
            let mut square = 0.0;
            for (channel, std) in normalise(0.0).std.iter().enumerate() {
                let moved = |offset: f64| {
                    let mut bytes = bytes(&images, image);
                    bytes[pixel * 3 + channel] += offset * std;
                    f64::from(f(&bytes))
                };
                square += ((moved(5e-3) - moved(-5e-3)) / 1e-2).powi(2);
            }
            compared += 1;
            agreeing += usize::from((square.sqrt() - magnitude).abs() < 0.05 * largest);
        }
        // Where a ReLU has its corner within the step, a difference says nothing.
        assert!(agreeing + 1 >= compared && compared > 6, "{agreeing} of {compared}");
    }

    let steps = 60.try_into().unwrap();
    let attributions = integrated_gradients(&mut on_cpu, steps, watch_nothing).unwrap();
    let there = integrated_gradients(&mut on_device, steps, watch_nothing).unwrap();
    for (image, (cpu, there)) in attributions.iter().zip(&there).enumerate() {
        let class = on_cpu.predicted()[image];
        let f = |kept: &dyn Fn(usize) -> bool| {
            f64::from(probability(&reference(&model, Use::Selection, image, &bytes(&images, image), kept), class))
        };
        let added = f(&|_| true) - f(&|_| false);
        for found in [cpu, there] {
            let sum: f64 = found.iter().sum();
            assert!((sum - added).abs() < 0.02 * added.abs().max(0.05), "{sum} for {added}");
        }
    }
}

/// A model one of whose logits is finite for the first image and for most of its candidates, and overflows for those that
/// raise it most.
fn fragile(images: &ImageSet) -> Model {
    let mut model = single(0.0);
    {
        let weight = &mut model.networks[0].tensors.get_mut("linear.weight").unwrap().data;
        let row = weight.len() / 4;
        // What is summed is then above 0, so that a sum overflows at its end, if at all, in whatever order.
        weight[row..2 * row].iter_mut().for_each(|value| *value = 10.0 + value.abs());
        model.networks[0].tensors.get_mut("linear.bias").unwrap().data[1] = 0.0;
    }
    let logit = |masked: Option<usize>| {
        let kept = |pixel: usize| Some(pixel) != masked;
        reference(&model, Use::Selection, 0, &bytes(images, 0), &kept)[1]
    };
    let (whole, highest) = (logit(None), (0..36).map(|pixel| logit(Some(pixel))).fold(f32::MIN, f32::max));
    assert!(highest > whole * 1.001, "some candidate raises this logit, {whole}, to {highest}");
    let factor = 3e37 / highest;
    let tensors = &mut model.networks[0].tensors;
    let weight = &mut tensors.get_mut("linear.weight").unwrap().data;
    let row = weight.len() / 4;
    weight[row..2 * row].iter_mut().for_each(|value| *value *= factor);
    tensors.get_mut("linear.bias").unwrap().data[1] = f32::MAX - factor * f32::midpoint(whole, highest);
    model
}

#[test]
fn a_candidate_whose_logits_overflow_is_noticed_although_it_never_wins() {
    let images = images();
    let model = fragile(&images);
    let compiled = CompiledModel::new(&model, Purpose::Scores).unwrap();
    let mut workspace = ModelWorkspace::new(&compiled);
    let image = Samples::whole(&images).input(&Levels::of(&model), &[0], None).unwrap();
    let mut scorer = NetworkScorer::new(&mut workspace, 0, &image).unwrap();
    // All of a step: a selection asks about no more than up to the first at the ceiling.
    let all: Vec<u32> = (0..36).collect();
    assert!(names_image_0(&scorer.candidates_while(&all, &mut [0.0; 36], &mut || ControlFlow::Continue(()))));
    let device = GpuInference::new(&model, &images, &Device::Cpu).unwrap();
    let mut scorer = device.scorer(&[0]).unwrap();
    let all: Vec<Candidate> = (0..36).map(|feature| Candidate { input: 0, feature }).collect();
    assert!(names_image_0(&scorer.candidates(&all, &mut [0.0; 36], &mut || ControlFlow::Continue(()))));
}

/// Whether it failed because logits of image 0 are not finite.
fn names_image_0(answer: &Result<(), Halted<Unanswered>>) -> bool {
    matches!(answer, Err(Halted::Failed(Unanswered::NotFinite(NotFinite::Logits { image: 0 }))))
}

#[test]
fn groups_name_the_image_whose_logits_are_not_finite() {
    let images = images();
    let mut model = single(0.0);
    model.networks[0].tensors.get_mut("linear.bias").unwrap().data[3] = f32::MIN;
    model.networks[0].tensors.get_mut("linear.weight").unwrap().data.iter_mut().for_each(|value| *value *= 1e37);
    let numbers = [2, 0];
    let input = Samples::whole(&images).input(&Levels::of(&model), &numbers, None).unwrap();
    let mut passes = ModelPasses::new(&CompiledModel::new(&model, Purpose::Gradients).unwrap(), 2);
    let on_cpu = GroupScorer::new(&mut passes, Group { purpose: Use::Selection, numbers: &numbers }, input);
    let names_image_2 = |error| matches!(error, Unanswered::NotFinite(NotFinite::Logits { image: 2 }));
    assert!(names_image_2(on_cpu.err().unwrap()));
    let device = GpuInference::new(&model, &images, &Device::Cpu).unwrap();
    assert!(names_image_2(device.group(Use::Selection, &numbers).err().unwrap()));
    model.networks[0].tensors.get_mut("bn1.bias").unwrap().data[3] = f32::NEG_INFINITY;
    let said = CompiledModel::new(&model, Purpose::Scores).unwrap_err().to_string();
    assert!(said.starts_with("the model's weights are not finite: `bn1.bias` holds -inf"), "{said}");
    assert!(GpuInference::new(&model, &images, &Device::Cpu).is_err());
}
