//! Photographs of any size through the whole of the ImageNet path: weights from a file, selection in rounds of 100 pixels,
//! subsets by rounds, training that goes on from the file's weights, evaluation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use overinterp_artifacts::{Curve, Model, Ranking, Subsets};
use overinterp_nn::arch;
use overinterp_nn::init::initial_tensors;
use overinterp_spec::{Arch, ImageShape, Seed};
use overinterp_workflow::stage::Artifact;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};

use crate::bench::{Bench, Events};
use crate::blind_models::artifacts;
use crate::runs::files;

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

/// Inception v3 and photographs of the smallest size that it takes.
const INCEPTION: &str = r#"name = "inception"

[data.photographs]
kind = "image-folder"
root = "images"
resize = 75
crop = 75

[stage.full]
kind = "import"
file = "weights.safetensors"
arch = "imagenet-inception-v3"
data = "photographs"
transform-input = true
"#;

/// What `experiments/imagenet.toml` does with it, in six rounds of selection and one step of training.
const ITS_STAGES: &str = r#"
[stage.ranking]
kind = "select"
model = "full"
images = ["photographs.train", "photographs.test"]
method = { kind = "batched-gradient", per-round = 1000 }

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = { rounds = 0.1 }

[stage.retrained]
kind = "train"
images = "subset.train"
arch = "imagenet-inception-v3"
seed = 0
init = "full"
recipe = { epochs = 1, batch = 4, lr = 0.001, momentum = 0.9, nesterov = true, weight-decay = 1e-4 }

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "full", images = "photographs.test" },
  { model = "retrained", images = "subset.test" },
]
"#;

/// Weights of a network that has learned nothing.
fn weights(arch: Arch, side: usize, classes: usize, path: &Path) {
    let shape = ImageShape { height: side, width: side, channels: 3 };
    let graph = arch::build(arch, shape, classes).unwrap();
    let mut tensors = initial_tensors(&graph, Seed(3));
    if arch == Arch::ImagenetInceptionV3 {
        // Its deviation of .1 whatever the inputs lets values grow without bounds over so many layers.
        for tensor in tensors.values_mut() {
            if let [_, inputs, height, width] = tensor.shape[..] {
                let scale = 10.0 * (2.0 / (inputs * height * width) as f32).sqrt();
                tensor.data.iter_mut().for_each(|weight| *weight *= scale);
            }
        }
    }
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
    weights(Arch::ImagenetResnet18, 32, 3, &bench.path("weights.safetensors"));
    fs::write(bench.path("tiny.toml"), EXPERIMENT).unwrap();
    bench
}

/// Two photographs of each of two classes and one to test on, and the weights of an Inception v3.
fn inception() -> Bench {
    let bench = Bench::new();
    let root = bench.path("");
    for name in
        ["train/owl/1.png", "train/owl/2.png", "train/fox/3.jpg", "train/fox/4.jpg", "val/owl/5.png", "val/fox/6.png"]
    {
        photograph(&root, name, 80, 90);
    }
    weights(Arch::ImagenetInceptionV3, 75, 2, &bench.path("weights.safetensors"));
    fs::write(bench.path("tiny.toml"), INCEPTION).unwrap();
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
                let subset = subsets.subset(image).unwrap();
                let kept = (0..1024).filter(|&pixel| subset.keeps(pixel)).count();
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
    // To say of another network that nothing is transformed is to say nothing.
    bench.edit("arch = \"imagenet-resnet18\"\ndata", "arch = \"imagenet-resnet18\"\ntransform-input = false\ndata");
    assert_eq!(bench.run("").total("ran"), 0);
}

/// The rankings that the authors' files hold, read again.
const AUTHORS: &str = r#"[stage.authors]
kind = "import-selection"
data = "photographs"
files = { train = "out/sis/photographs_train", test = "out/sis/photographs_test" }
model = "full"
method = { kind = "batched-gradient", per-round = 100 }

[stage.sufficient]"#;

#[test]
fn selections_of_photographs_go_by_the_photographs_names() {
    let bench = bench();
    bench.run("--stage ranking");
    let refused = bench.say("export tiny.toml ranking --to out --layout authors");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    for words in ["val/owl/1.jpg", "val/fox/1.png", "would both have their selection in `1.npz`"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    assert!(!bench.path("out").exists());

    fs::rename(bench.path("images/val/fox/1.png"), bench.path("images/val/fox/ILSVRC2012_val_00000001.png")).unwrap();
    assert_eq!(bench.run("--stage ranking").total("ran"), 0);
    bench.ok("export tiny.toml ranking --to out --layout authors");
    let written: Vec<String> = files(&bench.path("out/sis")).into_keys().collect();
    // The file that is cut short is left out.
    let names = ["test/1", "test/ILSVRC2012_val_00000001", "train/1", "train/9", "train/a"];
    assert_eq!(written, names.map(|name| format!("photographs_{name}.npz")));

    bench.edit("[stage.sufficient]", AUTHORS);
    let events = bench.run("--stage ranking --stage authors");
    let [own, again] = ["ranking", "authors"].map(|stage| artifacts::<Ranking>(&bench, &events, stage));
    assert_eq!((own.len(), again.len()), (2, 2));
    for (own, again) in own.iter().zip(&again) {
        assert_eq!(own.len(), again.len());
        for image in 0..own.len() {
            let rounds = |ranking: &Ranking| -> Vec<BTreeSet<u32>> {
                ranking.order(image).chunks(100).map(|round| round.iter().copied().collect()).collect()
            };
            assert_eq!(rounds(own), rounds(again), "{image}");
            let (own, again) = (own.curve(image).unwrap(), again.curve(image).unwrap());
            assert_eq!((own.class, own.full, &own.values[..10]), (again.class, again.full, &again.values[..10]));
        }
    }

    // Neither the names nor the folders of photographs and selections are in a key.
    fs::rename(bench.path("images/train/fox/9.jpg"), bench.path("images/train/fox/b.jpg")).unwrap();
    fs::rename(bench.path("out/sis/photographs_train/9.npz"), bench.path("out/sis/photographs_train/b.npz")).unwrap();
    fs::rename(bench.path("out"), bench.path("elsewhere")).unwrap();
    bench.edit("out/sis", "elsewhere/sis");
    assert_eq!(bench.run("--stage authors").total("ran"), 0);
    fs::remove_file(bench.path("elsewhere/sis/photographs_train/b.npz")).unwrap();
    let missing = bench.say("run tiny.toml --stage authors");
    assert_eq!(missing.code, Some(2), "{}", missing.err);
    for words in ["elsewhere/sis/photographs_train/b.npz", "1 of 3 are missing"] {
        assert!(missing.err.contains(words), "{words}: {}", missing.err);
    }
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

#[test]
fn inception_selects_is_trained_on_subsets_and_evaluated() {
    let bench = inception();
    fs::write(bench.path("tiny.toml"), format!("{INCEPTION}{ITS_STAGES}")).unwrap();
    let events = bench.run("");
    assert_eq!((events.total("failed"), events.total("skipped"), events.total("ran")), (0, 0, 1 + 2 + 2 + 1 + 2));
    for ranking in artifacts::<Ranking>(&bench, &events, "ranking") {
        for image in 0..ranking.len() {
            let Curve { full, values, .. } = ranking.curve(image).unwrap();
            assert_eq!((ranking.order(image).len(), values.len()), (75 * 75, 6));
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "{values:?}");
            // A network that says the same whatever it is shown would have nothing to select by.
            assert!(values.iter().any(|value| (value - full).abs() > 1e-6), "{full} {values:?}");
        }
    }
    for subsets in artifacts::<Subsets>(&bench, &events, "subset") {
        for image in 0..subsets.len() {
            // Those masked from round int(.9 x 5) = 4 on.
            let subset = subsets.subset(image).unwrap();
            assert_eq!((0..75 * 75).filter(|&pixel| subset.keeps(pixel)).count(), 75 * 75 - 4 * 1000);
        }
    }
    let network = |stage| Model::load(&bench.step_dir("cache", &events, stage)).unwrap().networks.remove(0);
    let [full, retrained] = ["full", "retrained"].map(network);
    assert_eq!(retrained.log.len(), 1);
    assert!(retrained.log[0].loss.is_finite(), "{:?}", retrained.log);
    for name in ["Conv2d_1a_3x3.conv.weight", "Mixed_6c.branch7x7dbl_4.bn.running_var", "fc.bias"] {
        let [before, after] = [&full, &retrained].map(|network| &network.tensors[name]);
        assert!(before != after && after.data.iter().all(|value| value.is_finite()), "{name} is as it was");
    }
    let said = bench.ok("results tiny.toml").out;
    assert!(said.contains("accuracy of retrained on subset.test"), "{said}");
}

#[test]
fn the_input_of_inception_is_not_transformed_twice() {
    let bench = inception();
    let events = bench.run("");
    let network =
        |events: &Events| Model::load(&bench.step_dir("cache", events, "full")).unwrap().networks.remove(0).tensors;
    let transformed = network(&events);
    let cached = bench.step_dir("cache", &events, "full").join("model.safetensors");
    fs::copy(cached, bench.path("cached.safetensors")).unwrap();
    bench.ok("export tiny.toml full --to out --layout authors");
    for file in ["cached.safetensors", "out/checkpoints/checkpoint.safetensors"] {
        fs::write(bench.path("tiny.toml"), INCEPTION.replace("weights.safetensors", file)).unwrap();
        let refused = bench.say("run tiny.toml");
        assert_eq!(refused.code, Some(3), "{}", refused.err);
        for words in [file, "was written by this program", "write `transform-input = false`"] {
            assert!(refused.err.contains(words), "{words}: {}", refused.err);
        }
        bench.edit("transform-input = true", "transform-input = false");
        assert!(network(&bench.run("")) == transformed, "{file}");
    }
}
