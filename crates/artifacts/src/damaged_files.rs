//! What holds of every artifact: it comes back as it was saved, always writes the same bytes, and a damaged file is
//! an error that names it, never a panic.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use super::{
    Analysis, CollectionEnding, CollectionMember, Collections, Curve, Effort, EpochLog, Evaluation, HeatMap,
    ImageCollection, ImageSis, Metrics, Model, Network, Number, ParameterTensor, Point, Predictions, Ranking, Scale,
    ScaleRange, Series, SisSet, Subsets,
};
use overinterp_spec::{
    Appearance, Arch, Content, Fill, Fraction, ImageShape, Metric, Normalise, RandomSeeds, Seed, SeededDropout,
    Selection, Split,
};
use overinterp_workflow::stage::{Artifact, ArtifactError};

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .expect("the directory is there")
        .map(|entry| entry.expect("the entry is there").path())
        .map(|path| {
            let name = path.file_name().expect("files have names").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("the file is readable"))
        })
        .collect()
}

fn assert_sound<A: Artifact + Clone + Debug + PartialEq>(artifact: &A) {
    let [first, second, damaged] = [(); 3].map(|()| tempfile::tempdir().expect("a directory for the test"));
    artifact.save(first.path()).expect("it can be written");
    let loaded = A::load(first.path()).expect("it can be read");
    assert_eq!(&loaded, artifact);
    loaded.save(second.path()).expect("it can be written");
    let whole = files(first.path());
    assert_eq!(whole, files(second.path()), "the same artifact writes the same bytes");

    for (name, bytes) in &whole {
        for (other, bytes) in &whole {
            fs::write(damaged.path().join(other), bytes).expect("it can be written");
        }
        let path = damaged.path().join(name);
        let load = |content: &[u8]| {
            fs::write(&path, content).expect("it can be written");
            A::load(damaged.path()).map_err(|error| {
                let message = error.to_string();
                assert!(message.contains(name.as_str()), "'{message}' does not name {name}");
                assert!(error.source().is_some(), "'{message}' does not say why");
            })
        };
        // A log of fewer epochs is a log, and JSON does not need its last line break.
        let shorter_is_damaged = if name == "log.csv" { 0 } else { bytes.len() - 1 };
        for length in (0..bytes.len()).step_by(bytes.len() / 97 + 1) {
            let cut = load(&bytes[..length]);
            assert!(cut.is_err() || length >= shorter_is_damaged, "{name} cut to {length} bytes goes unnoticed");
        }
        for place in (0..bytes.len()).step_by(bytes.len() / 149 + 1) {
            for flip in [0x01, 0x10, 0x80] {
                let mut content = bytes.clone();
                content[place] ^= flip;
                let _ = load(&content); // a value may have become another valid one; it must not panic
            }
        }
        // What older results lack is not missed.
        if name == "effort.csv" {
            continue;
        }
        fs::remove_file(&path).expect("it can be removed");
        let missing = A::load(damaged.path()).expect_err("a file is missing");
        assert!(missing.to_string().contains(name.as_str()), "'{missing}' does not name {name}");
    }
}

fn curve(values: &[f32]) -> Curve<'_> {
    Curve { class: 3, full: 0.995, values }
}

#[test]
fn backward_rankings_are_sound() {
    let mut ranking = Ranking::new(500, 6, Selection::Backward);
    ranking.push(&[5, 4, 3, 2, 1, 0], Some(curve(&[0.99, 0.9, 0.7, 0.5, 0.3, 0.1])));
    ranking.push(&[0, 2, 4, 1, 3, 5], Some(curve(&[0.9, 0.9, 0.7, f32::MIN_POSITIVE, 0.0, 1.0])));
    assert_sound(&ranking);
    ranking.note(vec![Effort { evaluated: 15, needed: 14, exhaustive: 21, steps: 6, at_ceiling: 3 }; 2]);
    assert_sound(&ranking);
}

#[test]
fn batched_gradient_rankings_are_sound() {
    let mut ranking = Ranking::new(0, 6, Selection::BatchedGradient { per_round: 4, noise: 1e-12 });
    ranking.push(&[5, 4, 3, 2, 1, 0], Some(curve(&[0.5, 0.1])));
    assert_sound(&ranking);
}

#[test]
fn rankings_by_gradients_are_sound() {
    for method in [Selection::Gradient { per_step: 4 }, Selection::IntegratedGradients { steps: 50, per_step: 4 }] {
        let mut ranking = Ranking::new(3, 6, method);
        ranking.push(&[5, 4, 3, 2, 1, 0], Some(curve(&[0.5, 0.1])));
        assert_sound(&ranking);
    }
}

#[test]
fn random_rankings_are_sound() {
    let mut ranking =
        Ranking::new(0, 3, Selection::Random { seeds: RandomSeeds { train: Some(1234), test: Some(5678) } });
    ranking.push(&[2, 0, 1], None);
    ranking.push(&[1, 2, 0], None);
    assert_sound(&ranking);
}

#[test]
fn orders_of_more_than_65536_pixels_are_sound() {
    let pixels = 65_537;
    let mut ranking =
        Ranking::new(0, pixels, Selection::Random { seeds: RandomSeeds { train: Some(1), test: Some(2) } });
    ranking.push(&(0..pixels as u32).rev().collect::<Vec<_>>(), None);
    let dir = tempfile::tempdir().expect("a directory for the test");
    ranking.save(dir.path()).expect("it can be written");
    assert_eq!(Ranking::load(dir.path()).expect("it can be read"), ranking);
}

#[test]
fn an_order_that_repeats_a_pixel_is_refused() {
    let mut ranking = Ranking::new(0, 3, Selection::Random { seeds: RandomSeeds { train: Some(1), test: Some(2) } });
    ranking.push(&[2, 0, 1], None);
    ranking.push(&[1, 1, 0], None);
    let dir = tempfile::tempdir().expect("a directory for the test");
    ranking.save(dir.path()).expect("it can be written");
    let error = Ranking::load(dir.path()).expect_err("pixel 1 is there twice");
    let why = error.source().expect("it says why").to_string();
    assert_eq!(why, "the order of image 1 repeats or leaves its pixels");
}

#[test]
fn rankings_and_subsets_of_no_images_are_sound() {
    assert_sound(&Ranking::new(7, 16, Selection::Backward));
    assert_sound(&Subsets::new(16));
}

/// Subsets that stay in the file that they are loaded from.
#[derive(Clone, Debug, PartialEq)]
struct InTheirFile(Subsets);

impl Artifact for InTheirFile {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        self.0.save(dir)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        Subsets::load_within(0, dir).map(Self)
    }
}

#[test]
fn subsets_are_sound() {
    let mut subsets = Subsets::new(13);
    subsets.push(&[0, 12]);
    subsets.push(&[]);
    subsets.push(&[7, 8]);
    assert_sound(&subsets);
    assert_sound(&InTheirFile(subsets.clone()));
    assert_sound(&InTheirFile(Subsets::new(13)));
    let noise = Fill::Noise { seed: Seed(3), split: Split::Test };
    for fill in [Fill::Mean, Fill::Black, Fill::Blur, noise] {
        assert_sound(&subsets.clone().shown_as(Appearance { content: Content::MaskOnly, fill }));
    }
}

#[test]
fn evaluations_are_sound() {
    let evaluation = Evaluation::new(Predictions {
        classes: 3,
        predicted: vec![0, 1, 2, 1],
        confidence: vec![0.5, 0.75, 1.0, 0.25],
        labels: vec![0, 1, 1, 1],
    });
    assert_sound(&evaluation);
    let dir = tempfile::tempdir().expect("a directory for the test");
    evaluation.save(dir.path()).expect("it can be written");
    assert_eq!(Metrics::load(dir.path()).expect("the sums are there"), evaluation.metrics);
}

#[test]
fn sis_sets_are_sound() {
    let image = |subset, alone| ImageSis { class: 9, full: 0.9975, alone, subset };
    assert_sound(&SisSet {
        first: 12,
        pixels: 784,
        threshold: 0.99,
        images: vec![image(None, None), image(Some(vec![]), Some(0.992)), image(Some(vec![783, 0, 5]), Some(0.991))],
    });
}

#[test]
fn collections_are_sound() {
    let member = CollectionMember { subset: vec![1], full: 1.0, order: vec![0, 2, 1], values: vec![0.995, 0.5, 0.1] };
    let collection = |members, ending| ImageCollection { class: 0, members, ending };
    assert_sound(&Collections {
        first: 0,
        pixels: 3,
        threshold: 0.9,
        images: vec![
            collection(vec![member], CollectionEnding::BelowThreshold),
            collection(vec![], CollectionEnding::EmptySubset),
        ],
        efforts: vec![Effort { evaluated: 5, needed: 4, exhaustive: 6, steps: 3, at_ceiling: 1 }; 2],
    });
}

#[test]
fn a_subset_beyond_its_image_is_refused() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let image = ImageSis { class: 0, full: 1.0, alone: Some(1.0), subset: Some(vec![4]) };
    let set = SisSet { first: 0, pixels: 4, threshold: 0.99, images: vec![image] };
    set.save(dir.path()).expect("it can be written");
    let error = SisSet::load(dir.path()).expect_err("pixel 4 of 4");
    assert_eq!(error.source().expect("it says why").to_string(), "it names pixel 4 of images of 4 pixels");
}

fn analysis() -> Analysis {
    let number = |metric, value, interval| Number { metric, value, interval, count: 40 };
    let names = ScaleRange::Names(vec!["cat".to_owned(), "dog".to_owned()]);
    Analysis {
        numbers: vec![
            number(Metric::SisSizeCorrect, Some(61.25), Some([58.5, 64.125])),
            number(Metric::SisSizeMisclassified, None, None),
        ],
        series: vec![Series {
            figure: "masked-confidence".to_owned(),
            name: "mean".to_owned(),
            x: Scale { label: "predicted class".to_owned(), range: names },
            y: Scale { label: "f of the fully masked image".to_owned(), range: ScaleRange::Share },
            points: vec![Point { x: 1.0, y: 0.25, interval: Some([0.125, 0.5]), count: 3 }],
        }],
        maps: vec![HeatMap {
            figure: "positions".to_owned(),
            name: "all".to_owned(),
            height: 1,
            width: 2,
            values: vec![0.5, 0.25],
            count: 8,
        }],
    }
}

#[test]
fn analyses_are_sound() {
    assert_sound(&analysis());
    assert_sound(&Analysis::default());
}

#[test]
fn analyses_with_two_numbers_of_one_metric_or_a_map_of_another_size_are_refused() {
    let refused = |analysis: &Analysis| {
        let dir = tempfile::tempdir().expect("a directory for the test");
        analysis.save(dir.path()).expect("it can be written");
        let error = Analysis::load(dir.path()).expect_err("it is not sound");
        error.source().expect("it says why").to_string()
    };
    let mut twice = analysis();
    twice.numbers[1].metric = Metric::SisSizeCorrect;
    assert_eq!(refused(&twice), "it has two numbers 'sis-size-correct'");
    let mut small = analysis();
    small.maps[0].height = 2;
    assert_eq!(refused(&small), "the map 'all' has not one value a pixel");
}

fn model() -> Model {
    let tensor = |shape: &[usize]| ParameterTensor {
        shape: shape.to_vec(),
        data: (0..shape.iter().product()).map(|i: usize| 1.0 / (i as f32 + 3.0)).collect(),
    };
    let network = Network {
        arch: Arch::Resnet20,
        normalise: Normalise { mean: vec![125.3, 123.0, 113.9], std: vec![63.0, 62.1, 66.7] },
        input_dropout: None,
        tensors: [("linear.weight", tensor(&[10, 4])), ("bn1.bias", tensor(&[4])), ("linear.bias", tensor(&[10]))]
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into(),
        log: vec![
            EpochLog { epoch: 1, learning_rate: 0.1, loss: 1.0 / 3.0, train_accuracy: 0.5, test_accuracy: 0.25 },
            EpochLog { epoch: 2, learning_rate: 0.1 * 0.2, loss: 1e-9, train_accuracy: 1.0, test_accuracy: 0.75 },
        ],
    };
    Model { shape: ImageShape { height: 32, width: 32, channels: 3 }, classes: 10, networks: vec![network] }
}

#[test]
fn models_are_sound() {
    assert_sound(&model());
}

#[test]
fn ensembles_and_what_their_members_never_see_are_sound() {
    let keep = Fraction::try_from(0.8).expect("a fraction");
    let mut blind = model();
    blind.networks[0].input_dropout = Some(SeededDropout { keep, samples: 3, seed: Seed(7) });
    assert_sound(&blind);
    let ensemble = Model::ensemble([model(), blind]).expect("they take the same images");
    assert_sound(&ensemble);
    let mut other = model();
    other.networks[0].normalise.mean[0] = 0.0;
    let ensemble = Model::ensemble([model(), other.clone(), model()]).expect("each normalises for itself");
    assert_eq!(ensemble.normalisations(), [&model().networks[0].normalise, &other.networks[0].normalise]);
    assert_sound(&ensemble);
}

#[test]
fn an_ensemble_of_one_is_that_one_but_for_its_log() {
    let mut expected = model();
    expected.networks[0].log.clear();
    assert_eq!(Model::ensemble([model()]).expect("one is enough"), expected);
    assert_eq!(Model::ensemble([]).expect_err("none is not").to_string(), "an ensemble needs at least one member");
}

#[test]
fn members_that_take_other_images_are_refused() {
    let mut other = model();
    other.shape.height = 28;
    let error = Model::ensemble([model(), model(), other]).expect_err("the third takes lower images");
    assert!(error.to_string().starts_with("member 3 of the ensemble takes other images than the first"), "{error}");
}
