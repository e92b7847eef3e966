//! Reading what the cache holds: results, show, export, stats, garbage collection.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use overinterp_artifacts::{Evaluation, Ranking, SisSet};
use overinterp_workflow::stage::Artifact;
use serde_json::json;
use zip::ZipArchive;

use crate::bench::{Bench, STEPS};

const HEADER: &str = "stage,model,images,fraction,seed,metric,value,n,key";

#[test]
fn csv_has_a_row_for_each_cell_and_metric_with_empty_values_for_what_is_missing() {
    let bench = Bench::new();
    let before = bench.ok("results tiny.toml --format csv").out;
    assert_eq!(before.lines().next(), Some(HEADER));
    assert_eq!(before.lines().count(), 1 + 5 * 2, "{before}");
    bench.run("");
    let after = bench.ok("results tiny.toml --format csv").out;
    let rows: Vec<Vec<&str>> = after.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5 * 2, "{after}");
    for (row, missing) in rows.iter().zip(before.lines().skip(1)) {
        let missing: Vec<&str> = missing.split(',').collect();
        assert_eq!((row.len(), missing.len()), (9, 9), "{row:?}");
        assert_eq!((&row[..6], row[8]), (&missing[..6], missing[8]));
        assert_eq!((missing[6], missing[7]), ("", ""), "{missing:?}");
        let value: f64 = row[6].parse().unwrap();
        assert!((0.0..=1.0).contains(&value) && row[7] == "16", "{row:?}");
        assert!(row[8].starts_with("evaluate-v"), "{row:?}");
    }
    let accuracies = rows.iter().filter(|row| row[5] == "accuracy").count();
    assert_eq!(accuracies, 5, "{after}");
}

#[test]
fn tables_come_in_every_format() {
    let bench = Bench::new();
    bench.run("");
    let human = bench.ok("results tiny.toml").out;
    assert!(human.contains("selected / selected") && human.contains("chance is 0.100"), "{human}");
    assert!(human.contains("A model of one epoch is right about everything."), "{human}");
    let markdown = bench.ok("results tiny.toml --format markdown").out;
    assert!(markdown.contains("| selected / selected |"), "{markdown}");
    let claims = markdown.split("**Claims**\n\n").nth(1).unwrap();
    assert!(
        claims.contains("- **DOES NOT HOLD**: A model of one epoch is right about everything.\n  - "),
        "{markdown}"
    );
    let latex = bench.ok("results tiny.toml --format latex").out;
    assert!(latex.contains("\\begin{tabular}") && latex.contains("selected / selected &"), "{latex}");
    let json = bench.ok("results tiny.toml --format json").json();
    assert_eq!(json["tables"][0]["columns"], json!(["0.05", "0.1"]));
    assert_eq!(json["measurements"].as_array().unwrap().len(), 10);
    assert_eq!(json["claims"].as_array().unwrap().len(), 2);
}

#[test]
fn claims_are_not_evaluated_while_their_numbers_are_missing() {
    let bench = Bench::new();
    let json = bench.ok("results tiny.toml --format json").json();
    for claim in json["claims"].as_array().unwrap() {
        assert_eq!(claim["verdict"], "not-evaluated", "{claim}");
    }
    let human = bench.ok("results tiny.toml");
    assert!(human.err.contains("overinterp run tiny.toml"), "{}", human.err);
}

#[test]
fn images_that_are_not_the_published_ones_are_named_and_results_need_no_table() {
    let bench = Bench::new();
    bench.run("");
    let text = bench.ok("results tiny.toml").out;
    assert!(text.contains("Images of fashion: the excerpt that comes with overinterp"), "{text}");
    bench.edit("[table.accuracy]", "[table.shown]");
    let file = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let bare = file.split("[table.").next().unwrap();
    fs::write(bench.path("tiny.toml"), bare).unwrap();
    let text = bench.ok("results tiny.toml").out;
    assert!(text.contains("accuracy seed=0: accuracy of full on fashion.test: 0."), "{text}");
}

#[test]
fn show_finds_a_step_by_the_first_digits_of_its_key() {
    let bench = Bench::new();
    let events = bench.run("");
    let key = events.steps("full").next().unwrap()["key"].as_str().unwrap();
    let short = &key[.."train-v1:".len() + 12];
    let said = bench.ok(&format!("show {short}")).out;
    assert!(said.contains(key) && said.contains("model.safetensors") && said.contains("full seed=0"), "{said}");
    let json = bench.ok(&format!("show {short} --format json")).json();
    assert_eq!(json["key"].as_str(), Some(key));
}

#[test]
fn show_tells_of_each_image_what_a_person_wants_to_know() {
    let bench = Bench::new();
    bench.edit(
        "[table.accuracy]",
        r#"[stage.found]
kind = "sis"
ranking = "ranking"
threshold = 0.05

[stage.all-found]
kind = "collection"
model = "full"
images = ["fashion.test"]
threshold = 0.05
count = 1

[table.accuracy]"#,
    );
    let events = bench.run("");
    let show = |stage: &str, options: &str| {
        let key = events.steps(stage).last().unwrap()["key"].as_str().unwrap();
        bench.ok(&format!("show {key} {options}")).out
    };
    let line = |said: &str, image: usize| {
        let is_of = |line: &&str| line.split_whitespace().next() == Some(&image.to_string());
        said.lines().find(is_of).unwrap_or_else(|| panic!("{said}")).split_whitespace().map(str::to_owned).collect()
    };
    // The pixels that are masked last stand in front.
    let ranking = Ranking::load(&bench.step_dir("cache", &events, "ranking")).unwrap();
    let key = events.steps("ranking").next().unwrap()["key"].as_str().unwrap();
    let said = bench.ok(&format!("show {key}")).out;
    let third: Vec<String> = line(&said, ranking.first() + 2);
    let curve = ranking.curve(2).unwrap();
    assert_eq!(third[1..3], [curve.class.to_string(), format!("{:.4}", curve.full)]);
    let last = |count: usize| ranking.order(2).iter().rev().take(count).map(u32::to_string).collect::<Vec<_>>();
    assert_eq!((&third[4..12], &third[12..]), (&last(8)[..], &["...".to_owned()][..]), "{said}");
    let more = format!("... and {} more: `--all` shows all", ranking.len() - 10);
    assert!(said.contains(&more), "{said}");
    let all = bench.ok(&format!("show {key} --all")).out;
    assert_eq!(line(&all, ranking.first() + 2)[4..], last(784)[..]);
    assert!(!all.contains("more:"), "{all}");

    let set = SisSet::load(&bench.step_dir("cache", &events, "found")).unwrap();
    let key = events.steps("found").next().unwrap()["key"].as_str().unwrap();
    let said = bench.ok(&format!("show {key}")).out;
    let first: Vec<String> = line(&said, 0);
    assert_eq!(first[1], set.images[0].class.to_string());
    let size = set.images[0].subset.as_ref().map_or("none".to_owned(), |subset| subset.len().to_string());
    assert!(first.contains(&size) && said.contains("threshold of 0.05"), "{said}");

    let said = show("all-found", "");
    assert!(said.contains("in 1 image of 784 pixels") && said.contains("no more: "), "{said}");
    let said = show("subset", "");
    assert!(said.contains("pixels kept") && line(&said, 9).len() == 11, "{said}");
    let said = show("accuracy", "");
    assert!(said.contains("Accuracy 0.") && line(&said, 0).len() == 5 && said.contains("and 6 more"), "{said}");
    let said = show("random-ranking", "");
    assert!(said.contains(r#"ranked by { kind = "random", seeds = { "#), "{said}");
    let said = show("full", "");
    assert!(said.contains("images of 28x28x1, tells 10 classes apart") && said.contains("train-accuracy"), "{said}");
}

#[test]
fn every_class_s_probability_can_be_exported() {
    let bench = Bench::new();
    let wrong = bench.say("export tiny.toml full --to out --probabilities csv");
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert!(wrong.err.contains("`evaluate` stage, and `full` is none"), "{}", wrong.err);
    let events = bench.run("");
    let said = bench.ok("export tiny.toml accuracy --to out --probabilities npz,csv,npz");
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        said.out.lines().map(|line| bench.path(line)).partition(|path| path.is_dir());
    assert_eq!((folders.len(), files.len(), said.err.contains("differ")), (5, 10, false), "{}{}", said.out, said.err);
    for path in files {
        if path.extension() == Some("npz".as_ref()) {
            assert!(fs::read(&path).unwrap().starts_with(b"PK"));
            continue;
        }
        let evaluation = Evaluation::load(path.parent().unwrap()).unwrap().predictions;
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let head = lines.next().unwrap();
        assert!(head.starts_with("index,label,T-shirt/top,Trouser,") && head.ends_with(",Ankle boot"), "{head}");
        for (image, line) in lines.enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            let shares: Vec<f32> = fields[2..].iter().map(|share| share.parse().unwrap()).collect();
            let class = usize::from(evaluation.predicted[image]);
            assert_eq!(fields[..2], [image.to_string(), evaluation.labels[image].to_string()]);
            assert_eq!(shares[class].to_bits(), evaluation.confidence[image].to_bits());
            assert!(shares.len() == 10 && (shares.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{line}");
        }
        assert_eq!(text.lines().count(), 17);
    }
    assert_eq!(events.total("ran"), STEPS);
    // Nothing was computed into the cache.
    assert_eq!(bench.run("").total("cached"), STEPS);
}

#[test]
fn images_can_be_exported_as_they_are_read() {
    let bench = Bench::new();
    let said = bench.ok("export tiny.toml fashion --to out --images 5");
    assert_eq!(said.out.lines().collect::<Vec<_>>(), ["out/fashion-train.npz", "out/fashion-test.npz"]);
    assert!(said.err.contains("5 images of 28x28x1"), "{}", said.err);
    let mut archive = ZipArchive::new(File::open(bench.path("out/fashion-test.npz")).unwrap()).unwrap();
    let mut array = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        (String::from_utf8_lossy(&bytes[10..start]).into_owned(), bytes[start..].to_vec())
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small");
    let raw = |name: &str, header: usize| fs::read(data.join(name)).unwrap().split_off(header);
    let (head, images) = array("images.npy");
    assert!(head.contains("'|u1'") && head.contains("(5, 28, 28, 1)"), "{head}");
    assert_eq!(images, raw("t10k-images-idx3-ubyte", 16)[..5 * 784]);
    let labels = raw("t10k-labels-idx1-ubyte", 8);
    let expected: Vec<u8> = labels[..5].iter().flat_map(|&label| i64::from(label).to_le_bytes()).collect();
    assert_eq!(array("labels.npy").1, expected);
    assert!(array("classes.npy").0.contains("'<U11', 'fortran_order': False, 'shape': (10,)"));
    for (options, named) in [
        ("--to out --layout authors", "is a data set"),
        ("--to out --probabilities csv", "is a data set"),
        ("--human-study out", "is a data set"),
    ] {
        let refused = bench.say(&format!("export tiny.toml fashion {options}"));
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains(named), "{}", refused.err);
    }
}

#[test]
fn export_copies_subsets_and_draws_them() {
    let bench = Bench::new();
    let early = bench.say("export tiny.toml subset --to out");
    assert_eq!(early.code, Some(2), "{}", early.err);
    assert!(early.err.contains("overinterp run tiny.toml --stage subset"), "{}", early.err);
    bench.run("");
    for (options, of_64, of_16) in
        [("--to few --images 3", 3, 3), ("--to out", 24, 16), ("--to all --images 99", 64, 16)]
    {
        let said = bench.ok(&format!("export tiny.toml subset {options}")).out;
        let (copied, drawn): (Vec<&str>, Vec<&str>) =
            said.lines().partition(|line| bench.path(line).join("subsets.safetensors").exists());
        let (sheets, folders): (Vec<&str>, Vec<&str>) =
            drawn.into_iter().partition(|line| Path::new(line).extension() == Some("png".as_ref()));
        assert_eq!((copied.len(), sheets.len(), folders.len()), (4, 4, 4), "{said}");
        let mut pictures = Vec::new();
        for folder in folders {
            let here: Vec<PathBuf> =
                fs::read_dir(bench.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert_eq!(here.len(), if folder.contains("-train-") { of_64 } else { of_16 }, "{folder}");
            assert!(here.iter().any(|path| path.ends_with("00002.png")), "{here:?}");
            pictures.extend(here);
        }
        for path in sheets.into_iter().map(|sheet| bench.path(sheet)).chain(pictures) {
            assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"), "{}", path.display());
        }
    }
    // Beside the folders of pictures lie those of the steps' own files.
    let folders = fs::read_dir(bench.path("out")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 8);
    // Fewer pictures than lie there would leave the others among them.
    let refused = bench.say("export tiny.toml subset --to all --images 3");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("holds 00003.png") && refused.err.contains("remove that folder"), "{}", refused.err);
}

#[test]
fn stats_count_steps_by_kind() {
    let bench = Bench::new();
    bench.run("");
    let stats = bench.ok("cache stats --format json").json();
    let steps = |kind: &str| stats["kinds"][kind]["steps"].as_u64().unwrap();
    assert_eq!((steps("train"), steps("select"), steps("mask"), steps("evaluate")), (3, 4, 8, 5));
    assert!(bench.ok("cache stats").out.contains(&format!("{STEPS} steps")));
}

#[test]
fn gc_keeps_what_the_experiment_needs_and_a_dry_run_removes_nothing() {
    let bench = Bench::new();
    bench.run("");
    let kept = bench.ok("cache gc tiny.toml --dry-run --format json").json();
    assert_eq!((&kept["kept"]["count"], &kept["removed"]), (&json!(STEPS), &json!([])));
    bench.edit("fraction = [0.05, 0.1]", "fraction = [0.05]");
    let would = bench.ok("cache gc tiny.toml --dry-run").out;
    assert!(would.contains("would remove step subset fraction=0.1 seed=0 train"), "{would}");
    let removed = bench.ok("cache gc tiny.toml --format json").json();
    // Two masks of either ranking, a retraining, two evaluations.
    assert_eq!(removed["removed"].as_array().unwrap().len(), 7, "{removed}");
    assert_eq!(removed["kept"]["count"].as_u64(), Some(STEPS - 7));
    assert_eq!(bench.run("").total("ran"), 0);
}
