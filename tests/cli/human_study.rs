//! A study with people, there and back: export, answers, accuracy in the table.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::bench::{Bench, Said};

const STAGE: &str = r#"
[stage.people]
kind = "human"
images = "subset.test"
answers = "study/answers.csv"
key = "study.key.csv"

[table.people]
title = "People"
columns = "fraction"
rows = [{ label = "people", model = "people", images = "subset.test" }]

[claim.people-see-something]
says = "People are right about some of a tenth of the pixels."
check = [{ model = "people", images = "subset.test", where = { fraction = 0.1 }, at-least = 0.1, above = "chance" }]

"#;

/// The experiment with people in it, its subsets computed and a study of six images exported.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.edit("[table.accuracy]", &format!("{}[table.accuracy]", STAGE.trim_start()));
    bench.ok("run tiny.toml --stage subset");
    bench.ok("export tiny.toml subset --human-study study --images 6 --seed 3");
    bench
}

/// A row of the key: file, image, fraction, label.
fn key(bench: &Bench) -> Vec<[String; 4]> {
    let text = fs::read_to_string(bench.path("study.key.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("file,image,fraction,label,shown"));
    let rows = lines.map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), 5, "{line}");
        [fields[0], fields[1], fields[2], fields[3]].map(str::to_owned)
    });
    rows.collect()
}

/// Fills in the sheet.
fn answer(bench: &Bench, answers: impl Fn(usize, &[String; 4]) -> String) {
    let rows: Vec<String> =
        key(bench).iter().enumerate().map(|(n, row)| format!("{},{}\n", row[0], answers(n, row))).collect();
    fs::write(bench.path("study/answers.csv"), format!("file,answer\n{}", rows.concat())).unwrap();
}

fn refused(bench: &Bench, words: &[&str]) -> Said {
    let said = bench.say("run tiny.toml --stage people");
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    for word in words {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
    said
}

#[test]
fn a_study_shows_the_same_images_in_every_size_under_names_that_tell_nothing() {
    let bench = bench();
    let rows = key(&bench);
    assert_eq!(rows.len(), 12);
    let mut images: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for [file, image, fraction, _] in &rows {
        images.entry(image).or_default().push(fraction);
        let picture = image::open(bench.path("study").join(file)).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (280, 280), "28 x 28 pixels, ten times as large");
        // Masked pixels show the mean; a square is of one colour.
        let covered = (0..784).filter(|n| picture.get_pixel(n % 28 * 10 + 5, n / 28 * 10 + 5).0 == [73; 3]).count();
        let kept = if fraction == "0.05" { 40 } else { 79 };
        assert!((784 - kept..784 - kept + 5).contains(&covered), "{file}: {covered}");
    }
    assert!(
        images.len() == 6
            && images.values_mut().all(|sizes| {
                sizes.sort_unstable();
                *sizes == ["0.05", "0.1"]
            }),
        "{images:?}"
    );
    let sizes: Vec<&str> = rows.iter().map(|row| row[2].as_str()).collect();
    assert!(!sizes.is_sorted(), "{sizes:?}");
    let sheet = fs::read_to_string(bench.path("study/answers.csv")).unwrap();
    let empty: Vec<String> = rows.iter().map(|row| format!("{},\n", row[0])).collect();
    assert_eq!(sheet, format!("file,answer\n{}", empty.concat()));
    let instructions = fs::read_to_string(bench.path("study/instructions.txt")).unwrap();
    assert!(instructions.contains("\nAnkle boot\n") && instructions.contains("answers.csv"), "{instructions}");
    let handed_out = fs::read_dir(bench.path("study")).unwrap().count();
    assert_eq!(handed_out, 12 + 2, "the key is not among what is handed out");
}

#[test]
fn answers_come_back_as_accuracy_in_the_table() {
    let bench = bench();
    // At 5 % all right but one blank, and one in other letters; at 10 % all wrong but the first.
    let mut numbers = 0;
    let rows = key(&bench);
    let first = rows.iter().position(|row| row[2] == "0.1").unwrap();
    let blank = rows.iter().position(|row| row[2] == "0.05").unwrap();
    answer(&bench, |n, [_, _, fraction, label]| match fraction.as_str() {
        "0.05" if n == blank => String::new(),
        "0.05" => format!(" {} ", label.to_uppercase()),
        _ if n == first => label.clone(),
        _ if label == "Bag" => "Coat".to_owned(),
        _ => "Bag".to_owned(),
    });
    let events = bench.run("");
    assert_eq!((events.count("people", "ran"), events.total("failed")), (2, 0));
    let json = bench.ok("results tiny.toml --format json").json();
    let people = &json["tables"].as_array().unwrap().iter().find(|table| table["name"] == "people").unwrap()["rows"][0];
    let means: Vec<f64> =
        people["cells"].as_array().unwrap().iter().map(|cell| cell["mean"].as_f64().unwrap()).collect();
    assert!((means[0] - 1.0).abs() < 1e-9 && (means[1] - 1.0 / 6.0).abs() < 1e-9, "{means:?}");
    let csv = bench.ok("results tiny.toml --format csv").out;
    for line in csv.lines().filter(|line| line.starts_with("people,people,subset.test,")) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!((fields[5], fields[7]), ("accuracy", if fields[3] == "0.05" { "5" } else { "6" }), "{line}");
        numbers += 1;
    }
    assert_eq!(numbers, 2, "{csv}");
    let claim =
        json["claims"].as_array().unwrap().iter().find(|claim| claim["name"] == "people-see-something").unwrap();
    assert_eq!(claim["verdict"], "fails", "{claim}");
    let human = bench.ok("results tiny.toml").out;
    assert!(human.contains("people fraction=0.05 seed=0 on subset.test: 5 of 6 pictures answered"), "{human}");
    assert_eq!(bench.run("").total("ran"), 0);
    // Other answers are another step; the subsets stay.
    answer(&bench, |_, [_, _, _, label]| label.clone());
    let events = bench.run("");
    assert_eq!((events.total("ran"), events.count("people", "ran")), (2, 2));
}

#[test]
fn a_sheet_or_key_that_does_not_fit_is_refused_with_its_line() {
    let bench = bench();
    let label = |_: usize, row: &[String; 4]| row[3].clone();
    let good = key(&bench)[3][0].clone();
    answer(&bench, label);
    let sheet = fs::read_to_string(bench.path("study/answers.csv")).unwrap();
    let write = |text: &str| fs::write(bench.path("study/answers.csv"), text).unwrap();
    write(&sheet.replace(&format!("{good},"), "99.png,"));
    refused(&bench, &["line 5 of ", "study/answers.csv", "there is no picture `99.png` in ", "study.key.csv"]);
    write(&format!("{sheet}{good},Bag\n"));
    refused(&bench, &["line 14 of ", &format!("{good} was answered on line 5 already")]);
    answer(&bench, |n, row| if n == 7 { "Bga".to_owned() } else { label(n, row) });
    refused(&bench, &["line 9 of ", "there is no class `Bga`; there are T-shirt/top, Trouser"]);
    write(&sheet);
    // Fewer rows are fewer answers.
    write(&sheet.lines().take(6).collect::<Vec<_>>().join("\n"));
    bench.ok("run tiny.toml --stage people");
    write(&sheet);
    // Pixels that another model selected are not those that were shown.
    bench.edit("lr = 0.1", "lr = 0.2");
    refused(&bench, &["study.key.csv", "another picture of image", "the study was made of other subsets than these"]);
    bench.edit("lr = 0.2", "lr = 0.1");
    bench.edit("where = { fraction = 0.1 }", "where = { fraction = 0.05 }");
    bench.edit("fraction = [0.05, 0.1]", "fraction = [0.05, 0.2]");
    refused(&bench, &["has no picture of 0.2 of the pixels"]);
}

#[test]
fn without_answers_the_stage_is_planned_and_nothing_runs() {
    let bench = bench();
    fs::rename(bench.path("study"), bench.path("away")).unwrap();
    let plan = bench.ok("plan tiny.toml --format json").json();
    let people: Vec<_> = plan["steps"].as_array().unwrap().iter().filter(|step| step["stage"] == "people").collect();
    assert_eq!(people.len(), 2);
    assert!(people.iter().all(|step| step["key"] == json!(null)), "{people:?}");
    let said = bench.say("run tiny.toml");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("answers.csv") && said.err.contains("export FILE subset --human-study DIR"),
        "{}",
        said.err
    );
}

#[test]
fn an_export_that_cannot_be_made_says_why() {
    let bench = bench();
    let refused = |line: &str, words: &[&str]| {
        let said = bench.say(line);
        assert_eq!(said.code, Some(2), "{line}: {}", said.err);
        for word in words {
            assert!(said.err.contains(word), "{line} does not say {word}: {}", said.err);
        }
    };
    refused("export tiny.toml subset --human-study study --images 6", &["study or study.key.csv is there already"]);
    refused("export tiny.toml full --human-study new --images 3", &["`full` is no `mask` stage"]);
    refused("export tiny.toml subset --human-study new --images 17", &["cannot show 17 images: there are 16"]);
    refused("export tiny.toml subset --human-study new --images 0", &["it is not a number of at least 1"]);
    refused(
        "export tiny.toml random-subset --human-study new --images 3",
        &["overinterp run tiny.toml --stage random-subset"],
    );
    refused(
        "export tiny.toml subset --human-study new --images 3 --cell seed=9",
        &["stage `subset` has no cell seed=9"],
    );
    refused("export tiny.toml subset", &["--to <DIR>"]);
    refused("export tiny.toml subset --to new --seed 3", &["--human-study"]);
    refused("export tiny.toml full --to new --images 3", &["`--images` counts pictures", "`mask`"]);
    refused("export tiny.toml subset --to new --layout authors --images 3", &["`--images` counts pictures"]);
    bench.edit("seed = [0]", "seed = [0, 1]");
    bench.ok("run tiny.toml --stage subset");
    refused(
        "export tiny.toml subset --human-study new --images 3",
        &["several subsets keep 0.05 of the pixels", "--cell"],
    );
    bench.ok("export tiny.toml subset --human-study new --images 3 --cell seed=1");
    assert_eq!(fs::read_dir(bench.path("new")).unwrap().count(), 6 + 2);
}
