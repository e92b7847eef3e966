//! CIFAR-10-C: each corruption and severity is a data set of its own.

use std::collections::BTreeMap;
use std::fs;

use overinterp_foreign::numpy::ArrayHeader;

use crate::bench::Bench;

const EXPERIMENT: &str = r#"name = "corruptions"

[sweep]
corruption = ["fog", "snow", "zoom_blur"]
severity = { from = 1, to = 5 }
seed = [0, 1]

[data.clean]
kind = "cifar10"
root = "clean"

[data.corrupted]
kind = "cifar10-c"
root = "corrupted"
corruption = "${corruption}"
severity = "${severity}"

[stage.full]
kind = "train"
images = "clean.train"
arch = "resnet20"
seed = "${seed}"
recipe = { epochs = 1, batch = 8, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "full", images = "clean.test" },
  { model = "full", images = "corrupted.test" },
]

[table.each]
title = "Each"
columns = "severity"
rows = [{ label = "full", model = "full", images = "corrupted.test" }]

[table.mean]
title = "Mean"
over = ["corruption", "severity", "seed"]
rows = [
  { label = "clean", model = "full", images = "clean.test" },
  { label = "corrupted", model = "full", images = "corrupted.test" },
]

[claim.within-one]
says = "Corruption changes accuracy by no more than 1."
over = ["corruption", "severity", "seed"]
check = [
  { model = "full", images = "corrupted.test", within = 1.0, of = { model = "full", images = "clean.test" } },
]
"#;

/// Images of each severity.
const OF_SEVERITY: usize = 4;

/// An image of one colour, told apart by three numbers.
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
fn bytes(a: usize, b: usize, c: usize) -> Vec<u8> {
    (0..3072).map(|place| (a * 40 + b * 17 + c * 5 + place / 7) as u8).collect()
}

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), EXPERIMENT).unwrap();
    fs::create_dir(bench.path("clean")).unwrap();
    fs::create_dir(bench.path("corrupted")).unwrap();
    let files = (1..=5).map(|n| format!("data_batch_{n}.bin")).chain(["test_batch.bin".to_owned()]);
    for (n, file) in files.enumerate() {
        let records = (0..4_u8).map(|label| [vec![label], bytes(n, label.into(), 1)].concat());
        fs::write(bench.path("clean").join(file), records.collect::<Vec<_>>().concat()).unwrap();
    }
    let images = 5 * OF_SEVERITY;
    for (n, corruption) in ["fog", "snow", "zoom_blur"].into_iter().enumerate() {
        let pixels: Vec<u8> =
            (0..images).flat_map(|image| bytes(n, image % OF_SEVERITY, image / OF_SEVERITY)).collect();
        let header = ArrayHeader::new("|u1", &[images, 32, 32, 3]).to_bytes();
        fs::write(bench.path("corrupted").join(format!("{corruption}.npy")), [header, pixels].concat()).unwrap();
    }
    let labels: Vec<u8> = (0..5).flat_map(|_| 0..OF_SEVERITY as u8).collect();
    let header = ArrayHeader::new("|u1", &[images]).to_bytes();
    fs::write(bench.path("corrupted/labels.npy"), [header, labels].concat()).unwrap();
    bench
}

#[test]
fn accuracy_comes_by_corruption_and_severity_and_as_a_mean_of_all() {
    let bench = bench();
    let events = bench.run("");
    assert_eq!((events.total("failed"), events.steps("accuracy").count()), (0, 2 + 2 * 3 * 5));
    let csv = bench.ok("results tiny.toml --format csv").out;
    assert!(csv.starts_with("stage,model,images,corruption,severity,seed,metric,value,n,key\n"), "{csv}");
    let mut of_place: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for row in csv.lines().map(|line| line.split(',').collect::<Vec<_>>()) {
        if row[2] == "corrupted.test" && row[6] == "accuracy" {
            assert_eq!(row[8], OF_SEVERITY.to_string());
            of_place.entry((row[3].to_owned(), row[4].to_owned())).or_default().push(row[7].parse().unwrap());
        }
    }
    assert_eq!(of_place.len(), 15, "{csv}");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let json = bench.ok("results tiny.toml --format json").json();
    let each = &json["tables"][0];
    assert_eq!(each["columns"], serde_json::json!(["1", "2", "3", "4", "5"]));
    assert_eq!(each["rows"].as_array().unwrap().len(), 3);
    for row in each["rows"].as_array().unwrap() {
        let corruption = row["cell"]["corruption"].as_str().unwrap();
        for (column, cell) in row["cells"].as_array().unwrap().iter().enumerate() {
            let values = &of_place[&(corruption.to_owned(), (column + 1).to_string())];
            assert_eq!(values.len(), 2, "one a seed");
            assert!((cell["mean"].as_f64().unwrap() - mean(values)).abs() < 1e-9, "{row}");
        }
    }
    let all: Vec<f64> = of_place.into_values().flatten().collect();
    let rows = json["tables"][1]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), rows[1]["cells"][0]["n"].as_u64()), (2, Some(30)));
    assert!((rows[1]["cells"][0]["mean"].as_f64().unwrap() - mean(&all)).abs() < 1e-9);
    assert_eq!(json["claims"][0]["verdict"], "holds");
    assert_eq!(json["origins"].as_array().unwrap().len(), 2, "each data set is named once: {json}");
    let human = bench.ok("results tiny.toml").out;
    assert!(human.contains("Images of corrupted: not the published files"), "{human}");
    bench.ok("report tiny.toml --out out");
    let page = fs::read_to_string(bench.path("out/corruptions.html")).unwrap();
    let of_set = |severity: usize| {
        let name = format!("corrupted corruption=fog severity={severity}");
        let (_, row) = page.split_once(&name).unwrap_or_else(|| panic!("{name} is not on the page"));
        row.split_once("<code title=\"").unwrap().1[..64].to_owned()
    };
    assert_ne!(of_set(1), of_set(2), "each is known by its own content");
    assert_eq!(bench.run("").total("ran"), 0);
}

#[test]
fn corrupted_images_have_the_key_of_their_content_and_are_planned_without_it() {
    let bench = bench();
    let keys = || -> Vec<(String, Option<String>)> {
        let plan = bench.ok("plan tiny.toml --format json").json();
        let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["stage"] == "accuracy");
        steps.map(|step| (step["cell"].to_string(), step["key"].as_str().map(str::to_owned))).collect()
    };
    let before = keys();
    fs::rename(bench.path("corrupted"), bench.path("elsewhere")).unwrap();
    let absent = keys();
    assert_eq!(absent.len(), before.len());
    assert_eq!(absent.iter().filter(|(_, key)| key.is_none()).count(), 30);
    let refused = bench.say("run tiny.toml");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("overinterp data fetch cifar10-c --root"), "{}", refused.err);
    bench.edit("root = \"corrupted\"", "root = \"elsewhere\"");
    assert_eq!(keys(), before, "where the images lie is in no key");
    // One byte of one image of one severity changes the key of that severity, with either seed, and no other.
    let path = bench.path("elsewhere/snow.npy");
    let mut file = fs::read(&path).unwrap();
    file[128 + 3072 * OF_SEVERITY] ^= 1;
    fs::write(&path, file).unwrap();
    let changed: Vec<String> =
        keys().into_iter().zip(before).filter(|(now, then)| now != then).map(|((cell, _), _)| cell).collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(changed.iter().all(|cell| cell.contains("\"snow\"") && cell.contains("\"severity\":2")), "{changed:?}");
    fs::write(&path, "no array").unwrap();
    let refused = bench.say("run tiny.toml");
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("snow.npy is damaged or is not what it should be"), "{}", refused.err);
}
