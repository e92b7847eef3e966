//! Trainings of seconds on images made up here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::observer::Unobserved;
use overinterp_artifacts::ImageSet;
use overinterp_spec::{Fraction, InputDropout, Normalise};

/// Images whose class is where a bright bar lies: the upper, middle or lower third, with noise on top.
fn bars(count: usize, salt: u64) -> ImageSet {
    let shape = ImageShape { height: 12, width: 12, channels: 1 };
    let mut stream = Seed(salt).stream("bars", 0);
    let mut set = ImageSet {
        shape,
        classes: ["upper", "middle", "lower"].map(str::to_owned).to_vec(),
        normalise: Normalise { mean: vec![100.0], std: vec![60.0] },
        pixels: Vec::new().into(),
        labels: Vec::new(),
    };
    let mut pixels = Vec::new();
    for index in 0..count {
        let class = index % 3;
        for pixel in 0..shape.pixels() {
            let noise = crate::images::batches::below(&mut stream, 120) as u8;
            let bar = if pixel / 12 / 4 == class { 100 } else { 0 };
            pixels.push(noise + bar);
        }
        set.labels.push(class as u16);
    }
    set.pixels = pixels.into();
    set
}

fn recipe(epochs: usize, augment: Augment) -> Recipe {
    Recipe {
        epochs,
        batch: 16,
        lr: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        milestones: vec![epochs.saturating_sub(1)],
        gamma: 0.2,
        one_cycle: None,
        cosine: None,
        label_smoothing: 0.0,
        augment,
        input_dropout: None,
    }
}

fn input<'a>(
    arch: Arch,
    recipe: &'a Recipe,
    train: &'a ImageSet,
    test: &'a ImageSet,
    scratch: &'a Path,
) -> FitInput<'a> {
    FitInput {
        arch,
        recipe,
        seed: Seed(11),
        train: Samples::whole(train),
        monitor: Samples::whole(test),
        normalise: &train.normalise,
        init: None,
        device: &Device::Cpu,
        scratch,
        checkpoint: Every::default(),
    }
}

/// Counts batches, and at one of them cancels or crashes.
struct Saboteur {
    batches: AtomicUsize,
    at: usize,
    how: How,
    lines: Mutex<Vec<String>>,
}

#[derive(PartialEq)]
enum How {
    Cancel,
    Crash,
}

impl Saboteur {
    fn new(at: usize, how: How) -> Self {
        Self { batches: AtomicUsize::new(0), at, how, lines: Mutex::default() }
    }
}

impl Observer for Saboteur {
    fn progress(&self, _: &str, done: usize, _: usize) {
        self.batches.store(done, Ordering::Relaxed);
        assert!(self.how != How::Crash || done < self.at, "killed");
    }

    fn log(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.how == How::Cancel && self.batches.load(Ordering::Relaxed) >= self.at
    }
}

#[test]
fn a_tiny_net_learns_bars_in_seconds() {
    let (train, test) = (bars(300, 1), bars(90, 2));
    let (scratch, recipe) = (tempfile::tempdir().unwrap(), recipe(4, Augment::None));
    let model = fit(&input(Arch::Cnn, &recipe, &train, &test, scratch.path()), &Unobserved).unwrap();
    let log = &model.networks[0].log;
    assert_eq!(log.len(), 4);
    assert!(log[3].test_accuracy > 0.95, "{log:?}");
    assert!(log[3].loss < log[0].loss / 2.0, "{log:?}");
    assert!((log[3].learning_rate - 0.02).abs() < 1e-12);
    let said = predict::predict_by(Purpose::Scores, &model, Samples::whole(&test), &Device::Cpu, &Unobserved).unwrap();
    assert_eq!(predict::accuracy(&said).to_bits(), log[3].test_accuracy.to_bits());
}

#[test]
fn a_training_stopped_at_any_batch_and_resumed_gives_the_same_bytes() {
    let (train, test) = (bars(70, 1), bars(9, 2));
    let recipe = recipe(2, Augment::CropFlip);
    let whole = tempfile::tempdir().unwrap();
    let expected = fit(&input(Arch::Cnn, &recipe, &train, &test, whole.path()), &Unobserved).unwrap();
    // Five batches an epoch, the last of six images; the fifth stops at the test of the first epoch.
    for at in 1..=10 {
        let scratch = tempfile::tempdir().unwrap();
        let input = input(Arch::Cnn, &recipe, &train, &test, scratch.path());
        let stopped = fit(&input, &Saboteur::new(at, How::Cancel));
        assert!(matches!(stopped, Err(Halted::Stopped)), "batch {at}");
        assert_eq!(fit(&input, &Unobserved).unwrap(), expected, "stopped at batch {at}");
    }
}

#[test]
fn a_training_killed_after_an_old_checkpoint_gives_the_same_bytes() {
    let (train, test) = (bars(70, 1), bars(9, 2));
    let recipe = recipe(2, Augment::None);
    let whole = tempfile::tempdir().unwrap();
    let expected = fit(&input(Arch::Cnn, &recipe, &train, &test, whole.path()), &Unobserved).unwrap();
    for at in [1, 4, 8] {
        let scratch = tempfile::tempdir().unwrap();
        let input =
            FitInput { checkpoint: Every::Batches(2), ..input(Arch::Cnn, &recipe, &train, &test, scratch.path()) };
        let killed = catch_unwind(AssertUnwindSafe(|| fit(&input, &Saboteur::new(at, How::Crash))));
        assert!(killed.is_err(), "batch {at}");
        assert_eq!(fit(&input, &Unobserved).unwrap(), expected, "killed at batch {at}");
    }
}

#[test]
fn a_damaged_checkpoint_is_ignored_with_a_word() {
    let train = bars(40, 1);
    let recipe = recipe(1, Augment::None);
    let scratch = tempfile::tempdir().unwrap();
    let input = input(Arch::Cnn, &recipe, &train, &train, scratch.path());
    assert!(fit(&input, &Saboteur::new(2, How::Cancel)).is_err());
    let file = std::fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_000] ^= 4;
    std::fs::write(&file, bytes).unwrap();

    let observer = Saboteur::new(usize::MAX, How::Cancel);
    let resumed = fit(&input, &observer).unwrap();
    let lines = observer.lines.into_inner().unwrap();
    assert!(lines[0].contains("is damaged: it is ignored"), "{lines:?}");
    let fresh = tempfile::tempdir().unwrap();
    assert_eq!(resumed, fit(&FitInput { scratch: fresh.path(), ..input }, &Unobserved).unwrap());
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let (train, test) = (bars(70, 1), bars(9, 2));
    let recipe = recipe(1, Augment::CropFlip);
    for arch in [Arch::Cnn, Arch::Resnet20] {
        let [one, two] = [1, 2].map(|threads| {
            let scratch = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&input(arch, &recipe, &train, &test, scratch.path()), &Unobserved).unwrap())
        });
        assert_eq!(one, two, "{arch}");
    }
}

#[test]
fn another_seed_gives_another_model() {
    let train = bars(32, 1);
    let recipe = recipe(1, Augment::None);
    let scratch = tempfile::tempdir().unwrap();
    let input = input(Arch::Cnn, &recipe, &train, &train, scratch.path());
    let one = fit(&input, &Unobserved).unwrap();
    assert_eq!(fit(&input, &Unobserved).unwrap(), one);
    assert_ne!(fit(&FitInput { seed: Seed(12), ..input }, &Unobserved).unwrap().networks, one.networks);
}

#[test]
fn training_on_subsets_sees_only_the_kept_pixels() {
    let mut train = bars(32, 1);
    let mut subsets = Subsets::new(144);
    (0..32).for_each(|_| subsets.push(&[0, 50, 100, 143]));
    let recipe = recipe(1, Augment::None);
    let run = |images: &ImageSet| {
        let scratch = tempfile::tempdir().unwrap();
        let samples = Samples { images, subsets: Some(&subsets) };
        let input =
            FitInput { train: samples, monitor: samples, ..input(Arch::Cnn, &recipe, images, images, scratch.path()) };
        fit(&input, &Unobserved).unwrap()
    };
    let before = run(&train);
    let overinterp_artifacts::Pixels::Held(pixels) = &mut train.pixels else {
        panic!("images of a test are in memory")
    };
    for (place, byte) in pixels.iter_mut().enumerate() {
        if ![0, 50, 100, 143].contains(&(place % 144)) {
            *byte = byte.wrapping_add(77);
        }
    }
    assert_eq!(run(&train), before);
}

#[test]
fn a_training_on_subsets_in_memory_goes_on_with_the_same_in_their_file() {
    let train = bars(48, 1);
    let mut held = Subsets::new(144);
    (0..48).for_each(|image| held.push(&[image, 50, 100, 143]));
    let stored = tempfile::tempdir().unwrap();
    let filed = held.left_in(stored.path()).unwrap();
    let recipe = recipe(2, Augment::None);
    let run = |subsets: &Subsets, scratch: &Path, observer: &dyn Observer| {
        let samples = Samples { images: &train, subsets: Some(subsets) };
        let input = input(Arch::Cnn, &recipe, &train, &train, scratch);
        fit(&FitInput { train: samples, monitor: samples, ..input }, observer)
    };
    let (whole, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stopped = run(&held, scratch.path(), &Saboteur::new(2, How::Cancel));
    assert!(matches!(stopped, Err(Halted::Stopped)));
    let second = Saboteur::new(usize::MAX, How::Cancel);
    assert_eq!(run(&filed, scratch.path(), &second).unwrap(), run(&held, whole.path(), &Unobserved).unwrap());
    let lines = second.lines.into_inner().unwrap();
    assert_eq!(lines[0], "goes on at epoch 1, batch 3");

    let path = std::fs::read_dir(stored.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(200).unwrap();
    let error = run(&filed, whole.path(), &Unobserved).unwrap_err();
    assert!(matches!(error, Halted::Failed(FitError::Train(SamplesError::Unreadable(_)))), "{error}");
}

fn with_dropout(keep: f64, recipe: Recipe) -> Recipe {
    let keep = Fraction::try_from(keep).unwrap();
    Recipe { input_dropout: Some(InputDropout { keep, samples: 2 }), ..recipe }
}

#[test]
fn input_dropout_trains_a_model_that_goes_on_dropping() {
    let (train, test) = (bars(300, 1), bars(90, 2));
    let (scratch, recipe) = (tempfile::tempdir().unwrap(), with_dropout(0.8, recipe(4, Augment::None)));
    let model = fit(&input(Arch::Cnn, &recipe, &train, &test, scratch.path()), &Unobserved).unwrap();
    let dropout = model.networks[0].input_dropout.unwrap();
    assert_eq!((dropout.keep.get(), dropout.samples, dropout.seed), (0.8, 2, Seed(11)));
    let log = &model.networks[0].log;
    assert!(log[3].test_accuracy > 0.9, "{log:?}");
    // What is logged comes of one sample.
    let mut quick = model.clone();
    quick.networks[0].input_dropout = Some(overinterp_spec::SeededDropout { samples: 1, ..dropout });
    let said = predict::predict_by(Purpose::Scores, &quick, Samples::whole(&test), &Device::Cpu, &Unobserved).unwrap();
    assert_eq!(predict::accuracy(&said).to_bits(), log[3].test_accuracy.to_bits());
}

#[test]
fn a_resumed_training_with_input_dropout_gives_the_same_bytes_on_any_number_of_threads() {
    let (train, test) = (bars(70, 1), bars(9, 2));
    let recipe = with_dropout(0.8, recipe(2, Augment::CropFlip));
    let run = |threads: usize, stops: &[usize]| {
        let scratch = tempfile::tempdir().unwrap();
        let input = input(Arch::Cnn, &recipe, &train, &test, scratch.path());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            for &at in stops {
                assert!(matches!(fit(&input, &Saboteur::new(at, How::Cancel)), Err(Halted::Stopped)));
            }
            fit(&input, &Unobserved).unwrap()
        })
    };
    let whole = run(2, &[]);
    assert_eq!(run(1, &[]), whole);
    assert_eq!(run(2, &[3, 7]), whole);
}

#[test]
fn keeping_every_pixel_is_training_without_input_dropout() {
    let train = bars(40, 1);
    let tensors = |recipe: &Recipe| {
        let scratch = tempfile::tempdir().unwrap();
        let mut model = fit(&input(Arch::Cnn, recipe, &train, &train, scratch.path()), &Unobserved).unwrap();
        model.networks.remove(0).tensors
    };
    let plain = recipe(1, Augment::None);
    assert_eq!(tensors(&with_dropout(1.0, plain.clone())), tensors(&plain));
    assert_ne!(tensors(&with_dropout(0.8, plain.clone())), tensors(&plain));
}

#[test]
fn a_loss_that_is_not_finite_says_where() {
    let train = bars(64, 1);
    let recipe = Recipe { lr: 1e30, ..recipe(3, Augment::None) };
    let scratch = tempfile::tempdir().unwrap();
    let error = fit(&input(Arch::Cnn, &recipe, &train, &train, scratch.path()), &Unobserved).unwrap_err();
    assert!(matches!(error, Halted::Failed(FitError::Diverged { epoch: 1, batch: 2..=4, .. })), "{error}");
    assert!(error.to_string().contains("learning rate 1000000000000000000000000000000"), "{error}");
}

#[test]
fn a_training_starts_from_given_weights_and_goes_on_from_there() {
    let (train, test) = (bars(48, 1), bars(9, 2));
    let [first, second, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let trained = recipe(3, Augment::None);
    let start = fit(&input(Arch::Cnn, &trained, &train, &test, first.path()), &Unobserved).unwrap();
    // Of a step so small nothing is left in 32 bits.
    let still = Recipe { lr: 1e-30, weight_decay: 0.0, ..recipe(1, Augment::None) };
    let rested = FitInput { init: Some(&start), ..input(Arch::Cnn, &still, &train, &test, second.path()) };
    let rested = fit(&rested, &Unobserved).unwrap();
    for (name, tensor) in &rested.networks[0].tensors {
        let moved = name.ends_with("running_mean") || name.ends_with("running_var");
        assert_eq!(tensor == &start.networks[0].tensors[name], !moved, "{name}");
    }
    // Its first epoch begins where the other training ended.
    let further = recipe(1, Augment::None);
    let fresh = input(Arch::Cnn, &further, &train, &test, third.path());
    let loss = |input: &FitInput<'_>| fit(input, &Unobserved).unwrap().networks[0].log[0].loss;
    assert!(loss(&FitInput { init: Some(&start), ..fresh }) < 0.7 * loss(&fresh));
}

#[test]
fn weights_of_something_else_are_no_start() {
    let train = bars(4, 1);
    let scratch = tempfile::tempdir().unwrap();
    let short = recipe(1, Augment::None);
    let whole = input(Arch::Cnn, &short, &train, &train, scratch.path());
    let model = fit(&whole, &Unobserved).unwrap();
    let refused = |init: &Model, arch| fit(&FitInput { arch, init: Some(init), ..whole }, &Unobserved).unwrap_err();
    assert_eq!(
        refused(&model, Arch::Resnet20).to_string(),
        "cannot start from these weights: they are of cnn for 3 classes of 12x12x1 images, \
         the training is of resnet20 for 3 classes of 12x12x1 images"
    );
    let head = Model { classes: 4, ..model.clone() };
    assert!(refused(&head, Arch::Cnn).to_string().contains("of cnn for 4 classes"));
    let both = Model::ensemble([model.clone(), model]).unwrap();
    assert!(refused(&both, Arch::Cnn).to_string().contains("they are of an ensemble"));
}

#[test]
fn what_is_no_training_is_refused() {
    let train = bars(4, 1);
    let scratch = tempfile::tempdir().unwrap();
    let good = recipe(1, Augment::CropFlip);
    let whole = input(Arch::Cnn, &good, &train, &train, scratch.path());
    let mut subsets = Subsets::new(144);
    (0..4).for_each(|_| subsets.push(&[1]));
    let masked = FitInput { train: Samples { images: &train, subsets: Some(&subsets) }, ..whole };
    assert!(matches!(fit(&masked, &Unobserved), Err(Halted::Failed(FitError::AugmentedSubsets))));
    let empty = Recipe { batch: 0, ..good.clone() };
    assert!(matches!(
        fit(&FitInput { recipe: &empty, ..whole }, &Unobserved),
        Err(Halted::Failed(FitError::EmptyBatch))
    ));
    let fewer = ImageSet { classes: vec!["one".to_owned()], labels: vec![0; 4], ..train.clone() };
    assert!(matches!(
        fit(&FitInput { monitor: Samples::whole(&fewer), ..whole }, &Unobserved),
        Err(Halted::Failed(FitError::OtherImages))
    ));
    assert!(matches!(
        fit(&FitInput { arch: Arch::Vgg16, ..whole }, &Unobserved),
        Err(Halted::Failed(FitError::Arch(_)))
    ));
}
