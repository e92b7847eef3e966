//! Rankings by gradients of an ensemble with input dropout, on both paths, against differences and whole passes.

use candle_core::Device;

use crate::arch;
use crate::cpu::compiled_model::{CompiledModel, ModelWorkspace};
use crate::cpu::group_scorer::{GroupScorer, ImageGroup};
use crate::cpu::model_passes::{Group, ModelPasses};
use crate::cpu::scorer::{predict, probability};
use crate::formula;
use crate::gpu::group_scorer::GpuGroup;
use crate::gpu::model::GpuModel;
use crate::input_dropout::Use;
use overinterp_artifacts::{Model, Network};
use overinterp_kernels::engine::Purpose;
use overinterp_sis::{
    BackSelection, CurveScorer, GradientNoise, GradientScorer, ascending, batched_gradient, gradient_magnitudes,
    integrated_gradients, mask_in_order, watch_nothing,
};
use overinterp_spec::{Arch, Fraction, ImageShape, Normalise, Seed, SeededDropout};

const SHAPE: ImageShape = ImageShape { height: 6, width: 6, channels: 3 };
/// The images' numbers, by which input dropout draws.
const NUMBERS: [u32; 3] = [2, 7, 0];
const GROUP: Group<'static> = Group { purpose: Use::Selection, numbers: &NUMBERS };

/// Two architectures, one of which sees .7 of the pixels and is asked by three samples.
fn model() -> Model {
    let network = |arch, input_dropout| {
        let tensors = formula::tensors(&arch::build(arch, SHAPE, 4).unwrap(), 1.0);
        let normalise = Normalise { mean: vec![127.5; 3], std: vec![60.0; 3] };
        Network { arch, normalise, input_dropout, tensors, log: Vec::new() }
    };
    let dropout = SeededDropout { keep: Fraction::try_from(0.7).unwrap(), samples: 3, seed: Seed(9) };
    let networks = vec![network(Arch::Cnn, None), network(Arch::Resnet20, Some(dropout))];
    Model { shape: SHAPE, classes: 4, networks }
}

fn passes(model: &Model) -> ModelPasses {
    ModelPasses::new(&CompiledModel::new(model, Purpose::Gradients).unwrap(), NUMBERS.len())
}

fn images() -> Vec<f32> {
    formula::images(NUMBERS.len(), SHAPE)
}

/// The model's one image at a time.
struct Alone(ModelWorkspace);

impl Alone {
    fn new(model: &Model) -> Self {
        Self(ModelWorkspace::new(&CompiledModel::new(model, Purpose::Gradients).unwrap()))
    }

    /// The probability of a class, of what is seen of the image at a place.
    fn score(&mut self, place: usize, image: &[f32], class: usize) -> f32 {
        self.0.draw(Use::Selection, NUMBERS[place] as usize);
        probability(predict(&mut self.0, image), class)
    }
}

fn each(images: &[f32]) -> impl Iterator<Item = (usize, &[f32])> {
    images.chunks_exact(SHAPE.bytes()).enumerate()
}

#[test]
fn the_gradient_of_the_input_agrees_with_differences_on_the_way_to_the_image() {
    let model = model();
    let (mut asked, mut moved) = (passes(&model), Alone::new(&model));
    let mut scorer = GroupScorer::new(&mut asked, GROUP, images()).unwrap();
    let classes = scorer.predicted().to_vec();
    let (mut values, mut gradients) = ([f32::NAN; 3], vec![f32::NAN; images().len()]);
    for share in [1.0, 0.25] {
        scorer.restart_at(share);
        scorer.mask(1, &[30]);
        scorer.gradients(&mut values, &mut gradients).unwrap();
        let mut scaled: Vec<f32> = images().iter().map(|value| value * share).collect();
        scaled[SHAPE.bytes() + 90..][..3].fill(0.0);
        for ((place, image), gradient) in each(&scaled).zip(gradients.chunks_exact(SHAPE.bytes())) {
            let class = classes[place];
            assert_eq!(values[place].to_bits(), moved.score(place, image, class).to_bits());
            let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
            assert!(largest > 1e-3, "{largest}");
            let mut agreeing = 0;
            for (value, slope) in gradient.iter().enumerate() {
                let mut at = |offset: f32| {
                    let mut image = image.to_vec();
                    image[value] += offset;
                    moved.score(place, &image, class)
                };
                let difference = (at(2e-3) - at(-2e-3)) / 4e-3;
                // Where a ReLU has its corner within the step, a difference says nothing.
                agreeing += usize::from((difference - slope).abs() < 0.05 * largest);
            }
            assert!(agreeing * 100 >= image.len() * 85, "{agreeing} of {} at {share}", image.len());
        }
    }
}

#[test]
fn a_pixel_that_every_sample_has_dropped_has_no_gradient() {
    let mut model = model();
    model.networks.remove(0);
    let mut asked = passes(&model);
    let mut scorer = GroupScorer::new(&mut asked, GROUP, images()).unwrap();
    let (mut values, mut gradients) = ([0.0; 3], vec![f32::NAN; images().len()]);
    scorer.gradients(&mut values, &mut gradients).unwrap();
    let dropout = model.networks[0].input_dropout.unwrap();
    let mut hidden = 0;
    for (&number, gradient) in NUMBERS.iter().zip(gradients.chunks_exact(SHAPE.bytes())) {
        let mut seen = [false; SHAPE.pixels()];
        for sample in 0..3 {
            let mut kept = [false; SHAPE.pixels()];
            crate::input_dropout::draw(dropout, Use::Selection, sample, number as usize, &mut kept);
            seen.iter_mut().zip(kept).for_each(|(seen, kept)| *seen |= kept);
        }
        for (seen, slopes) in seen.iter().zip(gradient.chunks_exact(3)) {
            assert_eq!(*seen, slopes.iter().any(|slope| *slope != 0.0));
            hidden += usize::from(!seen);
        }
    }
    assert!(hidden > 0, "the draws hide no pixel from all samples");
}

#[test]
fn attributions_of_integrated_gradients_sum_up_to_what_the_image_adds_to_f() {
    let model = model();
    let (mut asked, mut alone) = (passes(&model), Alone::new(&model));
    let mut scorer = GroupScorer::new(&mut asked, GROUP, images()).unwrap();
    let attributions = integrated_gradients(&mut scorer, 300.try_into().unwrap(), watch_nothing).unwrap();
    for ((place, image), attributions) in each(&images()).zip(&attributions) {
        let class = scorer.predicted()[place];
        let added = alone.score(place, image, class) - alone.score(place, &vec![0.0; image.len()], class);
        let sum: f64 = attributions.iter().sum();
        assert!(added.abs() > 0.01, "{added}");
        assert!((sum - f64::from(added)).abs() < 0.02 * f64::from(added.abs()), "{sum} for {added}");
    }
}

#[test]
fn values_along_an_order_have_the_bits_of_whole_passes() {
    let model = model();
    let (mut asked, mut alone) = (passes(&model), Alone::new(&model));
    let mut scorer = GroupScorer::new(&mut asked, GROUP, images()).unwrap();
    let orders = gradient_magnitudes(&mut scorer).unwrap().iter().map(|values| ascending(values)).collect();
    let selections = mask_in_order(&mut scorer, orders, 5.try_into().unwrap(), watch_nothing).unwrap();
    for ((place, image), selection) in each(&images()).zip(&selections) {
        let class = scorer.predicted()[place];
        assert_eq!(selection.full.to_bits(), alone.score(place, image, class).to_bits());
        assert_eq!(selection.values.len(), 8);
        let mut masked = image.to_vec();
        for (pixels, value) in selection.order.chunks(5).zip(&selection.values) {
            for &pixel in pixels {
                masked[pixel as usize * 3..][..3].fill(0.0);
            }
            assert_eq!(value.to_bits(), alone.score(place, &masked, class).to_bits());
        }
    }
}

#[test]
fn a_ranking_has_the_same_bits_whatever_its_group() {
    let model = model();
    let mut passes = passes(&model);
    let mut selections = |numbers: &[u32], images: &[f32]| -> Vec<(usize, BackSelection)> {
        let group = Group { purpose: Use::Selection, numbers };
        let mut scorer = GroupScorer::new(&mut passes, group, images.to_vec()).unwrap();
        let noises = numbers.iter().map(|_| GradientNoise::None).collect();
        let found = batched_gradient(&mut scorer, 5.try_into().unwrap(), noises, watch_nothing).unwrap();
        scorer.predicted().iter().copied().zip(found).collect()
    };
    let together = selections(&NUMBERS, &images());
    for (place, image) in each(&images()) {
        assert_eq!(selections(&NUMBERS[place..][..1], image), together[place..][..1]);
    }
}

#[test]
fn both_paths_attribute_alike() {
    let model = model();
    let mut passes = passes(&model);
    let mut on_cpu = GroupScorer::new(&mut passes, GROUP, images()).unwrap();
    let device = GpuModel::new(&model, &Device::Cpu).unwrap();
    let seen = device.draw(Use::Selection, &NUMBERS).unwrap();
    let mut on_device = GpuGroup::new(&device, seen, &NUMBERS, images(), SHAPE).unwrap();
    assert_eq!(on_cpu.predicted(), on_device.predicted());
    let steps = 7.try_into().unwrap();
    let pairs = [
        (gradient_magnitudes(&mut on_cpu).unwrap(), gradient_magnitudes(&mut on_device).unwrap()),
        (
            integrated_gradients(&mut on_cpu, steps, watch_nothing).unwrap(),
            integrated_gradients(&mut on_device, steps, watch_nothing).unwrap(),
        ),
    ];
    for (cpu, device) in pairs.iter().flat_map(|(cpu, device)| cpu.iter().zip(device)) {
        let largest = cpu.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest > 1e-4);
        for (cpu, device) in cpu.iter().zip(device) {
            assert!((cpu - device).abs() < 1e-4 * largest, "{cpu} for {device}");
        }
    }
    let orders: Vec<Vec<u32>> = vec![(0..36).rev().collect(), (0..36).collect(), (0..36).rev().collect()];
    let step = 9.try_into().unwrap();
    let cpu = mask_in_order(&mut on_cpu, orders.clone(), step, watch_nothing).unwrap();
    let device = mask_in_order(&mut on_device, orders, step, watch_nothing).unwrap();
    for (cpu, device) in cpu.iter().zip(&device).flat_map(|(cpu, device)| cpu.values.iter().zip(&device.values)) {
        assert!((cpu - device).abs() < 1e-5, "{cpu} for {device}");
    }
}
