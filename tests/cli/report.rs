//! The page of an experiment's results.

use std::fs;

use image::{GrayImage, Luma};

use crate::bench::Bench;

/// What suffices of two images and a figure of it and of two masks; figures of two analyses.
const FIGURE: &str = r#"
[stage.exact]
kind = "select"
model = "full"
model-where = { seed = 0 }
images = ["fashion.test"]
method = { kind = "backward" }
count = 2

[stage.sufficient]
kind = "sis"
ranking = "exact"
threshold = 0.45

[figure.subsets]
title = "Subsets & images"
kind = "images"
count = 3
shows = [
  { label = "Sufficient at .45", stage = "sufficient" },
  { stage = "random-subset", model = "full", where = { fraction = 0.1 } },
  { stage = "subset" },
]

[stage.fall]
kind = "analyse"
question = "confidence-curve"
ranking = "ranking.test"

[stage.places]
kind = "analyse"
question = "heat-map"
subset = "subset.test"

[figure.fall]
title = "Confidence against pixels masked"
kind = "curves"
shows = [{ label = "cnn", stage = "fall" }]

[figure.places]
title = "Where subsets lie"
kind = "heat-maps"
shows = [{ stage = "places", where = { fraction = 0.1 }, names = ["all"] }]

[figure.unknown]
title = "A curve that there is not"
kind = "curves"
shows = [{ stage = "fall", names = ["maen"] }]

[table.accuracy]"#;

/// The experiment with figures, on images of 8x8 pixels: exact selections are quick.
fn bench() -> Bench {
    let bench = Bench::new();
    let root = bench.path("tiny.toml").with_file_name("images");
    for (split, number) in [("train", 8_u8), ("test", 3)] {
        for (class, ground) in [("cat", 40_u8), ("dog", 200)] {
            let folder = root.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..number {
                let colour = |x: u32, y: u32| Luma([ground ^ (x as u8 * 3 + y as u8 * 5 + index * 7)]);
                let image = GrayImage::from_fn(8, 8, colour);
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
    }
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let (before, rest) = text.split_once("kind = \"fashion-mnist\"").unwrap();
    let (_, after) = rest.split_once("[stage.full]").unwrap();
    let text = format!("{before}kind = \"folder\"\nroot = \"images\"\n\n[stage.full]{after}");
    fs::write(bench.path("tiny.toml"), text.replace("\n[table.accuracy]", FIGURE)).unwrap();
    bench
}

#[test]
fn a_report_is_one_page_with_every_table_claim_and_figure() {
    let bench = bench();
    bench.run("");
    let said = bench.ok("report tiny.toml --out out");
    let written = ["", "-subsets", "-fall", "-places"].map(|figure| match figure {
        "" => vec!["out/tiny.html".to_owned()],
        figure => ["svg", "csv"].map(|kind| format!("out/tiny{figure}.{kind}")).to_vec(),
    });
    assert_eq!(said.out.lines().collect::<Vec<_>>(), written.concat());
    let page = fs::read_to_string(bench.path("out/tiny.html")).unwrap();
    for text in [
        "<h1>tiny</h1>",
        "Accuracy: trained on / tested on",
        "selected / selected",
        "of 2 claims hold",
        "A model of one epoch is right about everything.",
        "own images",
        "All 25 steps are computed",
        "Springer's critique",
        "Subsets &amp; images",
        "[stage.sufficient]",
        "random-subset",
        "subset fraction=0.05 seed=0",
        "No analysis has \u{201c}maen\u{201d}: there are",
    ] {
        assert!(page.contains(text), "{text} is not in the page");
    }
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "the page asks for nothing else");
    let svg = fs::read_to_string(bench.path("out/tiny-subsets.svg")).unwrap();
    // Three originals; what suffices of them, as far as something does; one mask by chance, two by the model.
    let pictures = svg.matches("data:image/png;base64,").count();
    assert!((3 + 9..=3 + 11).contains(&pictures), "{pictures}");
    let csv = fs::read_to_string(bench.path("out/tiny-subsets.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 11, "{csv}");
    assert!(csv.contains(",random-subset,") && csv.lines().last().unwrap().ends_with(",7"), "{csv}");
    let [curve, map] = ["fall", "places"].map(|name| {
        let path = bench.path(&format!("out/tiny-{name}.svg"));
        fs::read_to_string(path).unwrap()
    });
    assert!(curve.contains("<polyline") && curve.contains(">cnn"), "{curve}");
    assert!(map.contains("<image") && map.contains(">all<"), "{map}");
    let pixels = fs::read_to_string(bench.path("out/tiny-places.csv")).unwrap();
    assert_eq!(pixels.lines().count(), 1 + 8 * 8, "{pixels}");
    let again = bench.ok("report tiny.toml --out again");
    assert_eq!(again.err, "");
    assert_eq!(fs::read_to_string(bench.path("again/tiny.html")).unwrap(), page);
}

#[test]
fn what_is_not_computed_is_empty_and_said_to_be_so() {
    let bench = bench();
    let said = bench.ok("report tiny.toml");
    assert_eq!(said.out, "report/tiny.html\n");
    assert!(said.err.contains("25 of 25 steps are not in the cache"), "{}", said.err);
    let page = fs::read_to_string(bench.path("report/tiny.html")).unwrap();
    for text in [
        "0 of 25 steps are computed",
        "0 of 2 claims hold, 2 are not evaluated",
        "3 of the 3 numbers behind this table are not computed",
        "There is nothing to draw.",
        "No step of this experiment is computed yet.",
    ] {
        assert!(page.contains(text), "{text} is not in the page");
    }
}

#[test]
fn sufficient_subsets_are_exported_as_pictures_of_their_own() {
    let bench = bench();
    bench.run("--stage sufficient");
    let said = bench.ok("export tiny.toml sufficient --to out").out;
    assert!(said.lines().any(|line| line == "out/sufficient-fashion-test.png"), "{said}");
    let pictures = fs::read_dir(bench.path("out/sufficient-fashion-test")).unwrap();
    let mut names: Vec<String> =
        pictures.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let csv = {
        bench.ok("report tiny.toml --out out");
        fs::read_to_string(bench.path("out/tiny-subsets.csv")).unwrap()
    };
    let sizes = csv.lines().skip(1).filter(|line| line.contains(",Sufficient at .45,"));
    let there = sizes.filter(|line| !line.ends_with(',')).count();
    assert_eq!(names.len(), there, "{names:?}\n{csv}");
    for name in names {
        let bytes = fs::read(bench.path("out/sufficient-fashion-test").join(name)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}

#[test]
fn names_of_classes_move_no_terminal_on_which_a_report_or_a_table_is_read() {
    let bench = bench();
    for split in ["train", "test"] {
        let folder = bench.path("images").join(split);
        fs::rename(folder.join("cat"), folder.join("c\u{1b}[31mat")).unwrap();
    }
    bench.run("");
    let mut said = bench.ok("report tiny.toml --out out").out;
    said += &bench.ok("export tiny.toml accuracy --to acc --probabilities csv").out;
    let mut shown = 0;
    for path in said.lines().map(|line| bench.path(line)).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains('\u{1b}'), "{}", path.display());
        shown += usize::from(text.contains("c\\u001b[31mat"));
    }
    assert!(shown >= 5 + 2, "every table of probabilities, the page and the figure's numbers: {shown}");
}
