//! Rankings by gradients of an ensemble with input dropout, on both paths, against differences and whole passes.

use candle_core::Device;

use super::compiled_model::{CompiledModel, ModelWorkspace};
use super::device_model::DeviceModel;
use super::device_scorer::DeviceScorer;
use super::input_dropout::Use;
use super::scorer::{NetworkGradient, predict, probability};
use super::{arch, formula};
use crate::artifacts::{Model, Network};
use crate::kernels::engine::Purpose;
use crate::sis::{
    InputGradientScorer, ascending, gradient_magnitudes, integrated_gradients, mask_in_order, watch_nothing,
};
use crate::spec::{Arch, Fraction, ImageShape, Normalise, Seed, SeededDropout};

const SHAPE: ImageShape = ImageShape { height: 6, width: 6, channels: 3 };
const IMAGE: usize = 2;

/// Two architectures, one of which sees .7 of the pixels and is asked by three samples.
fn model() -> Model {
    let network = |arch, input_dropout| {
        let tensors = formula::tensors(&arch::build(arch, SHAPE, 4).unwrap(), 1.0);
        Network { arch, input_dropout, tensors, log: Vec::new() }
    };
    let dropout = SeededDropout { keep: Fraction::try_from(0.7).unwrap(), samples: 3, seed: Seed(9) };
    let networks = vec![network(Arch::Cnn, None), network(Arch::Resnet20, Some(dropout))];
    let normalise = Normalise { mean: vec![127.5; 3], std: vec![60.0; 3] };
    Model { shape: SHAPE, classes: 4, normalise, networks }
}

fn workspace(model: &Model) -> ModelWorkspace {
    let mut workspace = ModelWorkspace::new(&CompiledModel::new(model, Purpose::Gradients).unwrap());
    workspace.draw(Use::Selection, IMAGE);
    workspace
}

fn image() -> Vec<f32> {
    formula::images(1, SHAPE)
}

fn score(workspace: &mut ModelWorkspace, image: &[f32], class: usize) -> f32 {
    probability(predict(workspace, image), class)
}

#[test]
fn the_gradient_of_the_input_agrees_with_differences_on_the_way_to_the_image() {
    let model = model();
    let (mut asked, mut moved) = (workspace(&model), workspace(&model));
    let image = image();
    let mut scorer = NetworkGradient::new(&mut asked, &image);
    let class = scorer.class();
    let mut gradient = vec![f32::NAN; image.len()];
    for share in [1.0, 0.25] {
        let scaled: Vec<f32> = image.iter().map(|value| value * share).collect();
        let value = scorer.input_gradient(share, &mut gradient);
        assert_eq!(value.to_bits(), score(&mut moved, &scaled, class).to_bits());
        let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
        assert!(largest > 1e-3, "{largest}");
        let mut agreeing = 0;
        for place in 0..image.len() {
            let mut at = |offset: f32| {
                let mut image = scaled.clone();
                image[place] += offset;
                score(&mut moved, &image, class)
            };
            let difference = (at(2e-3) - at(-2e-3)) / 4e-3;
            // Where a ReLU has its corner within the step, a difference says nothing.
            agreeing += usize::from((difference - gradient[place]).abs() < 0.05 * largest);
        }
        assert!(agreeing * 100 >= image.len() * 85, "{agreeing} of {} at {share}", image.len());
    }
}

#[test]
fn attributions_of_integrated_gradients_sum_up_to_what_the_image_adds_to_f() {
    let model = model();
    let (mut asked, mut whole) = (workspace(&model), workspace(&model));
    let image = image();
    let mut scorer = NetworkGradient::new(&mut asked, &image);
    let class = scorer.class();
    let attributions = integrated_gradients(&mut scorer, 300.try_into().unwrap(), watch_nothing).unwrap();
    let added = score(&mut whole, &image, class) - score(&mut whole, &vec![0.0; image.len()], class);
    let sum: f64 = attributions.iter().sum();
    assert!(added.abs() > 0.05, "{added}");
    assert!((sum - f64::from(added)).abs() < 0.01 * f64::from(added.abs()), "{sum} for {added}");
}

#[test]
fn values_along_an_order_have_the_bits_of_whole_passes() {
    let model = model();
    let (mut asked, mut whole) = (workspace(&model), workspace(&model));
    let image = image();
    let mut scorer = NetworkGradient::new(&mut asked, &image);
    let (class, order) = (scorer.class(), ascending(&gradient_magnitudes(&mut scorer)));
    let selection = mask_in_order(&mut scorer, order, 5.try_into().unwrap(), watch_nothing).unwrap();
    assert_eq!(selection.full.to_bits(), score(&mut whole, &image, class).to_bits());
    assert_eq!(selection.values.len(), 8);
    let mut masked = image;
    for (pixels, value) in selection.order.chunks(5).zip(&selection.values) {
        for &pixel in pixels {
            masked[pixel as usize * 3..][..3].fill(0.0);
        }
        assert_eq!(value.to_bits(), score(&mut whole, &masked, class).to_bits());
    }
}

#[test]
fn both_paths_attribute_alike() {
    let model = model();
    let mut engine = workspace(&model);
    let image = image();
    let mut on_cpu = NetworkGradient::new(&mut engine, &image);
    let device = DeviceModel::new(&model, &Device::Cpu).unwrap();
    let seen = device.draw(Use::Selection, &[IMAGE as u32]).unwrap();
    let mut on_device = DeviceScorer::new(&device, seen, &image, [6, 6, 3]).unwrap();
    let steps = 7.try_into().unwrap();
    let pairs = [
        (gradient_magnitudes(&mut on_cpu), gradient_magnitudes(&mut on_device)),
        (
            integrated_gradients(&mut on_cpu, steps, watch_nothing).unwrap(),
            integrated_gradients(&mut on_device, steps, watch_nothing).unwrap(),
        ),
    ];
    for (cpu, device) in pairs {
        let largest = cpu.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest > 1e-4);
        for (cpu, device) in cpu.iter().zip(&device) {
            assert!((cpu - device).abs() < 1e-4 * largest, "{cpu} for {device}");
        }
    }
    let order: Vec<u32> = (0..36).rev().collect();
    let step = 9.try_into().unwrap();
    let cpu = mask_in_order(&mut on_cpu, order.clone(), step, watch_nothing).unwrap();
    let device = mask_in_order(&mut on_device, order, step, watch_nothing).unwrap();
    for (cpu, device) in cpu.values.iter().zip(&device.values) {
        assert!((cpu - device).abs() < 1e-5, "{cpu} for {device}");
    }
    on_device.finish().unwrap();
}
