//! Photographs of any size through the whole of the ImageNet path: weights from a file, selection in rounds of 100 pixels,
//! subsets by rounds, training that goes on from the file's weights, evaluation.

use std::fs;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use overinterp::artifacts::Subsets;
use overinterp::engine::stage::Artifact;
use overinterp::nn::arch;
use overinterp::nn::init::initial_tensors;
use overinterp::spec::{Arch, ImageShape, Seed};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};

use crate::bench::Bench;

const EXPERIMENT: &str = r#"name = "photographs"

[data.photographs]
kind = "image-folder"
root = "images"
resize = 36
crop = 32
skip-unreadable = true

[stage.full]
kind = "import"
file = "weights.safetensors"
arch = "imagenet-resnet18"
data = "photographs"

[stage.ranking]
kind = "select"
model = "full"
images = ["photographs.train", "photographs.test"]
method = { kind = "batched-gradient", per-round = 100 }

[stage.sufficient]
kind = "sis"
ranking = "ranking"
threshold = 0.2

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = { rounds = 0.1 }

[stage.retrained]
kind = "train"
images = "subset.train"
arch = "imagenet-resnet18"
seed = 0
init = "full"
recipe = { epochs = 1, batch = 3, lr = 0.001, momentum = 0.9, nesterov = true, weight-decay = 1e-4 }

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "full", images = "photographs.test" },
  { model = "full", images = "subset.test" },
  { model = "retrained", images = "subset.test" },
]
"#;

/// A photograph with some structure, its format told by `name`.
fn photograph(root: &Path, name: &str, width: u32, height: u32) {
    let path = root.join("images").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let salt = name.bytes().map(u32::from).sum::<u32>();
    let value = |x: u32, y: u32, c: u32| ((x * (c + 1) + y * 3 + salt * (x / 16 + y / 24)) % 256) as u8;
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| value(x, y, c))));
    let format = if name.ends_with("png") { ImageFormat::Png } else { ImageFormat::Jpeg };
    image.save_with_format(path, format).unwrap();
}

/// Weights of a network for three classes that has learned nothing.
fn weights(path: &Path) {
    let shape = ImageShape { height: 32, width: 32, channels: 3 };
    let graph = arch::build(Arch::ImagenetResnet18, shape, 3).unwrap();
    let tensors = initial_tensors(&graph, Seed(3));
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| (name, &tensor.shape, tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, (*shape).clone(), bytes.as_slice()).unwrap())
    });
    serialize_to_file(views, None, path).unwrap();
}

/// Six photographs of three classes, one of them cut short, and weights.
fn bench() -> Bench {
    let bench = Bench::new();
    let root = bench.path("");
    for (name, width, height) in [
        ("train/owl/1.png", 64, 120),
        ("train/cat/a.JPEG", 75, 75),
        ("train/cat/cut.jpg", 80, 80),
        ("train/fox/9.jpg", 130, 66),
        ("val/owl/1.jpg", 71, 99),
        ("val/fox/1.png", 72, 72),
    ] {
        photograph(&root, name, width, height);
    }
    let cut = root.join("images/train/cat/cut.jpg");
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    weights(&bench.path("weights.safetensors"));
    fs::write(bench.path("tiny.toml"), EXPERIMENT).unwrap();
    bench
}

#[test]
fn photographs_are_selected_masked_by_rounds_and_trained_on_from_given_weights() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!((events.total("failed"), events.total("skipped"), events.total("ran")), (0, 0, 1 + 2 + 2 + 2 + 1 + 3));
    let images: Vec<usize> = events
        .steps("subset")
        .map(|step| {
            let (kind, hash) = step["key"].as_str().unwrap().split_once(':').unwrap();
            let dir = bench.path("cache/v1/steps").join(kind.rsplit_once("-v").unwrap().0).join(hash);
            let subsets = Subsets::load(&dir).unwrap();
            // 32 x 32 pixels are 11 rounds; those from round int(.9 x 10) = 9 on are kept.
            for image in 0..subsets.len() {
                let kept = (0..1024).filter(|&pixel| subsets.keeps(image, pixel)).count();
                assert_eq!(kept, 1024 - 9 * 100);
            }
            subsets.len()
        })
        .collect();
    assert_eq!(images, [3, 2], "one of four files is left out");
    let said = bench.ok("results tiny.toml").out;
    let note = "Images of photographs: own images; 1 file of photographs.train left out, because they do not decode";
    assert!(said.contains(note) && said.contains("accuracy of retrained on subset.test"), "{said}");
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn a_file_that_does_not_decode_fails_the_stages_that_read_it_and_is_named() {
    let bench = bench();
    let pairs = r#"stage.accuracy.pairs=[{model="full",images="photographs.train"}]"#;
    let options = format!("--stage full --stage accuracy --set data.photographs.skip-unreadable=false --set {pairs}");
    let said = bench.say(&format!("run tiny.toml {options}"));
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("train/cat/cut.jpg is damaged"), "{}", said.err);
    assert!(said.err.contains("it is truncated") && said.err.contains("skip-unreadable = true"), "{}", said.err);
}
