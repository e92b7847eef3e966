//! CIFAR in each of the forms in which it is published.

use std::fs;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::bench::Bench;

const EXPERIMENT: &str = r#"name = "forms"

[data.cifar]
kind = "cifar10"
root = "binary"

[stage.full]
kind = "train"
images = "cifar.train"
arch = "resnet20"
seed = 0
recipe = { epochs = 1, batch = 8, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.accuracy]
kind = "evaluate"
pairs = [{ model = "full", images = "cifar.test" }]
"#;

/// The image of that number in `tests/fixtures/cifar`, by its formula.
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
fn record(n: usize) -> Vec<u8> {
    let pixels = (0..3072).map(|place| (n * 7 + place / 1024 * 80 + place / 32 % 32 * 3 + place % 32) as u8);
    [n as u8].into_iter().chain(pixels).collect()
}

#[test]
fn the_same_images_have_the_same_keys_in_every_form_and_what_is_damaged_is_named() {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), EXPERIMENT).unwrap();
    let binary = bench.path("binary");
    fs::create_dir(&binary).unwrap();
    for batch in 0..5 {
        let records = [record(2 * batch), record(2 * batch + 1)].concat();
        fs::write(binary.join(format!("data_batch_{}.bin", batch + 1)), records).unwrap();
    }
    fs::write(binary.join("test_batch.bin"), [record(4), record(5)].concat()).unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cifar/cifar10-python2-protocol2.tar.gz");
    let folder = bench.path("cifar-10-batches-py");
    tar::Archive::new(GzDecoder::new(fs::File::open(&archive).unwrap())).unpack(bench.path(".")).unwrap();
    fs::copy(&archive, bench.path("cifar-10-python.tar.gz")).unwrap();
    let keys = |root: &str| -> Vec<String> {
        fs::write(bench.path("tiny.toml"), EXPERIMENT.replace("root = \"binary\"", &format!("root = \"{root}\"")))
            .unwrap();
        let plan = bench.ok("plan tiny.toml --format json").json();
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().map(|step| step["key"].as_str().expect("a key needs the images").to_owned()).collect()
    };
    let expected = keys("binary");
    assert_eq!(expected.len(), 2);
    for root in ["cifar-10-batches-py", ".", "cifar-10-python.tar.gz"] {
        assert_eq!(keys(root), expected, "{root}");
    }
    let ran = bench.run("");
    assert_eq!((ran.total("ran"), ran.total("failed")), (2, 0));
    keys("cifar-10-batches-py");
    assert_eq!(bench.run("").total("ran"), 0);

    fs::write(folder.join("data_batch_3"), "<html>Please log in</html>").unwrap();
    let damaged = bench.say("plan tiny.toml");
    assert_eq!(damaged.code, Some(3), "{}", damaged.err);
    assert!(
        damaged.err.contains("data_batch_3 is damaged or is not what it should be: this is an HTML page"),
        "{}",
        damaged.err
    );
    fs::remove_file(folder.join("data_batch_3")).unwrap();
    let lacking = bench.say("run tiny.toml");
    assert_eq!(lacking.code, Some(2), "{}", lacking.err);
    assert!(lacking.err.contains("cifar-10-batches-py lacks data_batch_3; get it with"), "{}", lacking.err);
}
