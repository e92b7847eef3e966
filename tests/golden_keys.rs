//! Keys that must not change unawares: with a key changes what every cache already holds.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const ADVICE: &str = "the manifest of this stage has changed. If what it computes changed, raise its VERSION; if only \
                      its spelling did, undo that: old caches would be computed again for nothing. Then put the new \
                      key here";

/// Every kind of stage, with settings away from their defaults.
const EVERY_STAGE: &str = r#"name = "every-stage"
[data.fashion]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 40, test = 10 }
[stage.full]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 3
recipe = { epochs = 4, batch = 16, lr = 0.05, momentum = 0.8, nesterov = false, weight-decay = 1e-3, milestones = [2], gamma = 0.5, augment = "crop-flip" }
[stage.imported]
kind = "import"
file = "weights.pt"
arch = "cnn"
data = "fashion"
[stage.blind]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 3
recipe = { like = "full", augment = "none", input-dropout = { keep = 0.8, samples = 4 } }
[stage.imported-blind]
kind = "import"
file = "weights.pt"
arch = "cnn"
data = "fashion"
input-dropout = { keep = 0.8, samples = 4, seed = 5 }
[stage.together]
kind = "ensemble"
members = ["full", "imported", "blind"]
[stage.ranking]
kind = "select"
model = "full"
images = ["fashion.train", "fashion.test"]
method = { kind = "batched-gradient", per-round = 16, noise = 1e-12 }
[stage.random]
kind = "select"
images = ["fashion.test"]
method = { kind = "random", seeds = { train = 1234, test = 5678 } }
[stage.exact]
kind = "select"
model = "imported"
images = ["fashion.test"]
method = { kind = "backward" }
count = 4
[stage.elsewhere]
kind = "import-selection"
data = "fashion"
files = { test = "sis" }
model = "imported"
method = { kind = "backward" }
count = 2
[stage.elsewhere-predicted]
kind = "import-selection"
data = "fashion"
files = { test = "sis" }
predictions = { test = "weights.pt" }
method = { kind = "backward" }
count = 2
[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.05
[stage.noisy]
kind = "mask"
ranking = "ranking"
keep = 0.05
content = "mask-only"
fill = "noise"
seed = 7
[stage.by-gradient]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "gradient", per-step = 4 }
[stage.by-integrated-gradients]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "integrated-gradients", steps = 20 }
[stage.cool]
kind = "temperature"
model = "together"
images = "fashion.train"
last = 10
[stage.curve]
kind = "analyse"
question = "deletion-insertion"
ranking = "by-gradient.test"
model = "cool"
fractions = [0.5, 0.05]
bootstrap = { resamples = 20, seed = 1 }
[stage.reliability]
kind = "analyse"
question = "calibration"
model = "full"
images = "subset.test"
bins = 10
[stage.retrained]
kind = "train"
images = "subset.train"
arch = "cnn"
seed = 3
recipe = { like = "full", augment = "none" }
[stage.accuracy]
kind = "evaluate"
pairs = [{ model = "retrained", images = "subset.test" }]
[stage.sufficient]
kind = "sis"
ranking = "exact"
threshold = 0.99
[stage.all]
kind = "collection"
model = "full"
images = ["fashion.test"]
threshold = 0.9
count = 4
[stage.size]
kind = "analyse"
question = "sis-size"
ranking = "exact.test"
threshold = 0.95
thresholds = [0.5, 0.9]
bootstrap = { resamples = 200, seed = 6 }
[stage.fall]
kind = "analyse"
question = "confidence-curve"
ranking = "ranking.test"
[stage.blank]
kind = "analyse"
question = "masked-confidence"
ranking = "ranking.test"
[stage.places]
kind = "analyse"
question = "heat-map"
subset = "subset.train"
per-class = false
[stage.shared]
kind = "analyse"
question = "overlap"
subset = "subset.test"
with = "random-subset.test"
[stage.disjoint]
kind = "analyse"
question = "collections"
collection = "all.test"
[stage.random-subset]
kind = "mask"
ranking = "random"
keep = 0.05
[stage.people]
kind = "human"
images = "subset.test"
answers = "answers.csv"
key = "key.csv"
"#;

/// The first step of each stage. Those of `random` and of `shared`, which uses it, changed when a random ranking became
/// known by the seed of its own half alone: the orders are the same, and so are all others' keys.
const KEYS: [(&str, &str); 28] = [
    ("full", "train-v1:c0874337132a7c669495547b914c197d6be21129dbcabd58f99c661c1ae89ddd"),
    ("imported", "import-v1:5770dac9badb18a3b80505e6331eb70517a587398a86b7f7d2702f886183c4a8"),
    ("blind", "train-v1:d4026e84a088323b5f04a249c7fa5815bdb65c1ab6651713cc461e7bddc66226"),
    ("imported-blind", "import-v1:dbd931ae405f2beae7444a95f44ca786a431dab3669d80f4425ce49d53e1ce47"),
    ("together", "ensemble-v1:17df5788851754e8f56b11e1f9e1891a127fc71c65a72f7408c87ae5b50b43e6"),
    ("ranking", "select-v1:51cf4c4d47488bf85cce0f1c770247da29ede1de5a147235d1d04a397690a7b6"),
    ("random", "select-v1:c86a2acc1c677f1b6c5fc08444c6ad5ca5877d28cc70fe96d93c4246bac1a65c"),
    ("exact", "select-v1:6acabde0d3a665dd4e9796909997be9a61ac4a7da32b1121947f0552e42249c1"),
    ("elsewhere", "import-selection-v1:0309e335aa53eb1a935018249938ff31aa5281ff399124cfef225712f8723c07"),
    ("elsewhere-predicted", "import-selection-v1:acdd358d16bed262d5bc04ead39b61e70ef9bcca286ceee5c76eeb3e9e2ef818"),
    ("subset", "mask-v1:bc2fcf0e955175475e71b707082c23d059d69d366d9ed987d843d47880f4ac8a"),
    ("noisy", "mask-v1:76915daae716a179c1b7dd99d8604a34cb07eac39507e7b5cff256c222a88158"),
    ("by-gradient", "select-v1:20b142ebe91a88ca8ab54e4fc4eb90449b371208dc5d25c740e756d63b6eb2ff"),
    ("by-integrated-gradients", "select-v1:b4a211343210c938e59754f8f50017c76be8167e9640a43a76a7be46f2c595de"),
    ("cool", "fit-temperature-v1:c0d11df7b76b03b33291b6d4a130343bad15b82fd4e4859facc9b460535367fd"),
    ("curve", "analyse-deletion-insertion-v1:ae18f386a880b3584811136ea8276642bc435001eb4b6c849831f9b690796ac3"),
    ("reliability", "evaluate-v2:8df28faccd85b66106be3612928466a010ebb2eea2ef22f2ec2e06573ac6906f"),
    ("retrained", "train-v1:a92967a2f78fd034c615f17bf1ce672ab9f7d92972df2993f79d0c4cb10ab7dc"),
    ("accuracy", "evaluate-v2:601be3eda9fb442b210f4d74b75784ca39adbaf4ea630f817cad8f634dac5ccc"),
    ("sufficient", "sis-v1:1d8e95c6e3e10587c5307d4a94f6ee153875d52dce1776858d7f44348a0eeede"),
    ("people", "human-v1:5fbe30c411a5811334bc0b6c464cb05ac258e4e5eec9fa47a5604bfac7c71116"),
    ("all", "collection-v1:53d5025fe7a040897394471fbbd67084671ba42793edfaacc81e36061efa3289"),
    ("size", "analyse-sis-size-v1:3ab21ecf0b12ecca2dd74b2ca495b6533b95796716bda923fbea1564bfc967ec"),
    ("fall", "analyse-confidence-curve-v1:bbd1e6f897c4b244bdb23b8f7cf025fdede18175e19e9e3e282e977179db8de6"),
    ("blank", "analyse-masked-confidence-v1:04c3c5f63f82f5238b9e0d3f30a54a6b564c2d36db62ce415415bfcfba38996f"),
    ("places", "analyse-heat-map-v2:7d7fee10796939c456ef2effe755e149ac76edaeaf3fe8ecb25408e350b0be2b"),
    ("shared", "analyse-overlap-v1:a8448c62624c8354dde3c04c49f98ec235c40c34e64bdc016dfc0f0fd9fab62c"),
    ("disjoint", "analyse-collections-v1:038df8855f52cbba8329969e0f53428e3c4c20459ff4a5c04e098d0dc25a8b7c"),
];

/// Experiments that need draw nothing.
const WITHOUT_FIGURES: [&str; 2] = ["quickstart", "human-study"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The plan of a file, on an empty cache.
fn plan(file: &Path) -> Value {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["plan", "--format", "json", "--cache"])
        .args([cache.path(), file])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn steps(plan: &Value) -> &[Value] {
    plan["steps"].as_array().unwrap()
}

fn count(plan: &Value, stage: &str) -> usize {
    steps(plan).iter().filter(|step| step["stage"] == stage).count()
}

#[test]
fn the_key_of_every_stage_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = repository().join("data/fashion-mnist-small");
    std::fs::write(folder.path().join("weights.pt"), "content that is only hashed").unwrap();
    std::fs::create_dir(folder.path().join("sis")).unwrap();
    for image in 0..2 {
        std::fs::write(folder.path().join(format!("sis/fashion_{image}.npz")), format!("content {image}")).unwrap();
    }
    for name in ["answers.csv", "key.csv"] {
        std::fs::write(folder.path().join(name), "only hashed, too").unwrap();
    }
    let file = folder.path().join("every_stage.toml");
    std::fs::write(&file, EVERY_STAGE.replace("DATA", data.to_str().unwrap())).unwrap();
    let plan = plan(&file);
    let mut changed = Vec::new();
    for (stage, expected) in KEYS {
        let step = steps(&plan).iter().find(|step| step["stage"] == stage).unwrap();
        let key = step["key"].as_str().unwrap();
        if key != expected {
            changed.push(format!("{stage}: {key}"));
        }
    }
    assert!(changed.is_empty(), "{ADVICE}:\n{}", changed.join("\n"));
}

/// The keys of what rests on candidates of VGG16, whose scores are of the second version, and of what does not.
#[test]
fn the_keys_of_vgg16_are_what_they_were() {
    const VGG16: [(&str, &str); 4] = [
        ("full", "train-v1:319861563d94702a1b6aaf0d71b93716a330568eaeea19759455f72d12e13c3d"),
        ("exact", "select-v1:f065f2d4ed7f9f107c6fb6f98444772a308941d38c06631cc314725a1300d94c"),
        ("by-gradient", "select-v1:acff7f57f715171891995da87a55fa0b8e9209bcb9ada970c56afc17b4142044"),
        ("all", "collection-v1:532399a636b206780902dc21f1a27b931d5271ed696985247a9ddaf364c92f57"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let data = repository().join("tests/fixtures/cifar/cifar10-python3-protocol2.tar.gz");
    let file = folder.path().join("vgg16.toml");
    let text = r#"name = "vgg16"
[data.cifar]
kind = "cifar10"
root = "DATA"
[stage.full]
kind = "train"
images = "cifar.train"
arch = "vgg16"
seed = 3
recipe = { epochs = 1, batch = 16, lr = 0.05, momentum = 0.8, nesterov = false, weight-decay = 1e-3, augment = "none" }
[stage.exact]
kind = "select"
model = "full"
images = ["cifar.test"]
method = { kind = "backward" }
count = 1
[stage.by-gradient]
kind = "select"
model = "full"
images = ["cifar.test"]
method = { kind = "batched-gradient", per-round = 16 }
count = 1
[stage.all]
kind = "collection"
model = "full"
images = ["cifar.test"]
threshold = 0.9
count = 1
"#;
    std::fs::write(&file, text.replace("DATA", data.to_str().unwrap())).unwrap();
    let plan = plan(&file);
    let key = |stage: &str| steps(&plan).iter().find(|step| step["stage"] == stage).unwrap()["key"].as_str().unwrap();
    let found: Vec<(&str, &str)> = VGG16.into_iter().map(|(stage, _)| (stage, key(stage))).collect();
    assert_eq!(found, VGG16, "{ADVICE}");
}

#[test]
fn the_quickstart_is_planned_with_a_key_for_every_step() {
    let plan = plan(&repository().join("experiments/quickstart.toml"));
    assert!(steps(&plan).iter().all(|step| step["key"].is_string()), "{plan}");
    for stage in ["full", "ranking", "random-ranking", "subset", "random-subset", "retrained", "random-retrained"] {
        assert!(count(&plan, stage) > 0, "{stage}");
    }
}

#[test]
fn the_cifar_experiment_is_planned_without_its_data() {
    // A copy beside which there is no data folder, whether or not the repository has one.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("shared")).unwrap();
    for name in ["cifar_resnet.toml", "shared/cifar10.toml", "shared/networks.toml", "shared/pixel_subsets.toml"] {
        std::fs::copy(repository().join("experiments").join(name), folder.path().join(name)).unwrap();
    }
    let plan = plan(&folder.path().join("cifar_resnet.toml"));
    assert!(steps(&plan).iter().all(|step| step["key"].is_null() && step["status"] == "run"), "{plan}");
    // Two networks, five seeds; 50,000 and 10,000 images in shards of 256, ranked by one model of each network.
    assert_eq!((count(&plan, "full"), count(&plan, "ranking")), (2 * 5, 2 * (196 + 40)));
    // The control asks no model, so that one ranking of each split serves both networks.
    assert_eq!((count(&plan, "random-ranking"), count(&plan, "random-subset"), count(&plan, "subset")), (2, 2, 2 * 2));
    assert_eq!((count(&plan, "retrained"), count(&plan, "random-retrained")), (2 * 5, 2 * 5));
    // Five pairs for each network: four with every seed, one with the model that selected.
    assert_eq!(count(&plan, "accuracy"), 2 * (4 * 5 + 1));
}

#[test]
fn every_experiment_of_the_repository_is_planned_and_says_what_it_shows() {
    let mut planned = 0;
    for entry in std::fs::read_dir(repository().join("experiments")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let plan = plan(&path);
            let name = path.display();
            assert!(count(&plan, "full") > 0, "{name}: {plan}");
            let experiment = overinterp_config::load(&path, &[]).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(!experiment.description.trim().is_empty(), "{name} has no description");
            assert!(experiment.tables.iter().any(|table| !table.title.is_empty()), "{name} has no table with a title");
            assert!(!experiment.claims.is_empty(), "{name} has no claim");
            let drawn = !experiment.figures.is_empty() || WITHOUT_FIGURES.contains(&experiment.name.as_str());
            assert!(drawn, "{name} has no figure");
            planned += 1;
        }
    }
    assert!(planned >= 17, "{planned} files");
}

#[test]
fn an_ensemble_takes_all_seeds_of_an_architecture_together() {
    let plan = plan(&repository().join("experiments/cifar_ensemble.toml"));
    assert_eq!((count(&plan, "full"), count(&plan, "ensemble")), (2 * 5, 2));
    // Test images in shards of 256, ranked by one ensemble of each architecture.
    assert_eq!((count(&plan, "ensemble-ranking"), count(&plan, "ensemble-subset")), (2 * 40, 2));
    // The ensemble on four sets of images; single networks on its subsets.
    assert_eq!(count(&plan, "ensemble-accuracy"), 2 * (4 + 5));
}

#[test]
fn every_corruption_and_severity_is_evaluated_and_a_sample_of_all_is_selected_from() {
    let plan = plan(&repository().join("experiments/cifar_10c.toml"));
    assert_eq!((count(&plan, "full"), count(&plan, "dropout"), count(&plan, "ensemble")), (2 * 5, 2 * 5, 2));
    // On CIFAR-10 and at 19 x 5 places: five single networks, five with dropout and one ensemble of each architecture; those
    // with dropout are asked about CIFAR-10 by a stage of their own.
    assert_eq!(count(&plan, "accuracy"), 2 * ((5 + 1) * (1 + 19 * 5) + 5 * 19 * 5));
    assert_eq!(count(&plan, "accuracy-with-dropout"), 2 * 5);
    // 2,000 images in shards of 256.
    assert_eq!((count(&plan, "corrupted-ranking"), count(&plan, "corrupted-sufficient")), (2 * 8, 2));
}
