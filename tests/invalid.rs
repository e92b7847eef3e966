//! Files with faults, each named after its own, beside what is said about them.
//!
//! `tests/invalid/NAME.toml` must give `tests/invalid/NAME.stderr`; so must `tests/invalid/NAME/main.toml`, with what it
//! extends beside it. To accept a change, run with
//! `ACCEPT_STDERR=1` and read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use overinterp_config::{self, Override};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid")
}

/// What is said about `text` as the file `NAME.toml`.
fn said(name: &str, text: &str, sets: &[&str]) -> String {
    let sets: Vec<Override> = sets.iter().map(|set| Override::new(*set)).collect();
    match overinterp_config::parse(text, Path::new(name), &sets) {
        Ok(_) => panic!("{name} is accepted"),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_invalid_file_is_refused_in_the_expected_words() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 40, "{} files", files.len());
    let mut different = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let said = if path.is_dir() {
            // Relative to the package, where tests run: what is said names these files.
            format!(
                "{}\n",
                overinterp_config::load(&Path::new("tests/invalid").join(&name).join("main.toml"), &[]).unwrap_err()
            )
        } else {
            said(&name, &fs::read_to_string(&path).unwrap(), &[])
        };
        let expectation = path.with_extension("stderr");
        if std::env::var_os("ACCEPT_STDERR").is_some() {
            fs::write(&expectation, said).unwrap();
        } else if said != fs::read_to_string(&expectation).unwrap_or_default() {
            different.push(format!("{name}:\n{said}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

const SMALL: &str = "name = 'small'
[sweep]
fraction = [0.05]
[data.set]
kind = 'mnist'
[stage.full]
kind = 'train'
images = 'set.train'
arch = 'cnn'
seed = 0
recipe = { epochs = 1, batch = 2, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 0 }
";

#[test]
fn an_override_of_an_unknown_path_names_the_nearest_right_one() {
    let cases = [
        ("sweep.fractoin=[0.1]", "sweep.fraction"),
        ("fraction=[0.1]", "sweep.fraction"),
        ("stage.ful.recipe.epochs=3", "stage.full.recipe.epochs"),
        ("stage.full.recipe.epoch=3", "stage.full.recipe.epochs"),
        ("data.sett.root=x", "data.set.root"),
        ("nmae=x", "name"),
        ("stage.full.images.0=x", "stage.full.images"),
        ("extend=x", "extends"),
    ];
    for (set, meant) in cases {
        let said = said("small.toml", SMALL, &[set]);
        let (path, _) = set.split_once('=').unwrap();
        assert!(said.contains(&format!("there is no `{path}` to set")), "{said}");
        assert!(said.contains(&format!("did you mean `{meant}`?")), "{said}");
        assert!(said.contains("--> --set:1:1"), "{said}");
    }
}

#[test]
fn problems_of_overrides_point_into_the_override_and_come_with_those_of_the_file() {
    let sets = ["stage.full.seed=-1", "stage.full.recipe.batch=[", "no path", "a b=1", "stage.full.arch=vgg19", "=3"];
    let text = SMALL.replace("'mnist'", "'mnits'");
    let said = said("small.toml", &text, &sets);
    let expected = fs::read_to_string(folder().join("overrides.stderr")).unwrap_or_default();
    if std::env::var_os("ACCEPT_STDERR").is_some() {
        fs::write(folder().join("overrides.stderr"), said).unwrap();
    } else {
        assert_eq!(said, expected);
    }
}

#[test]
fn a_regular_file_in_a_folders_place_and_a_folder_in_a_files_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("images"), "no folder").unwrap();
    fs::create_dir(folder.path().join("weights.pt")).unwrap();
    let text = "name = 'x'
[data.a]
kind = 'cifar10'
root = 'images'
[data.b]
kind = 'folder'
root = 'images'
[data.absent]
kind = 'mnist'
root = 'absent'
[stage.imported]
kind = 'import'
file = 'weights.pt'
arch = 'cnn'
data = 'absent'
";
    let problems = overinterp_config::parse(text, &folder.path().join("x.toml"), &[]).unwrap_err();
    let messages: Vec<String> = problems.iter().map(overinterp_config::Problem::message).collect();
    let expected = [
        "`data.a.root` is a regular file, but must be a folder or the official `.tar.gz`",
        "`data.b.root` is a regular file, but must be a folder",
        "`stage.imported.file` is a folder, not a file of weights",
    ];
    assert_eq!(messages, expected);
    let lines: Vec<usize> = problems.iter().filter_map(|problem| Some(problems.location(problem)?.1)).collect();
    assert_eq!(lines, [4, 7, 13]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = overinterp_config::load(&folder.path().join("missing.toml"), &[]).unwrap_err().to_string();
    assert!(missing.contains("missing.toml"), "{missing}");
    let directory = overinterp_config::load(folder.path(), &[]).unwrap_err().to_string();
    assert!(directory.contains("it is a folder"), "{directory}");
}

/// Numbers that look random, from a fixed start.
fn scramble(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

#[test]
fn a_damaged_file_is_read_or_refused_but_never_breaks_the_reader() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
    let whole: Vec<char> = fs::read_to_string(path).unwrap().chars().collect();
    let pieces = [
        "[", "]", "{", "}", "\"", "=", ".", ",", "\n", "${", "-1", "\u{e9}", "[sweep]", "seed", "like", "''", "0x",
        "full",
    ];
    let mut state = 1;
    let mut refused = 0;
    for _ in 0..400 {
        let mut text = whole.clone();
        for _ in 0..=scramble(&mut state) % 3 {
            let start = scramble(&mut state) % text.len();
            let end = (start + scramble(&mut state) % 9).min(text.len());
            let piece = pieces[scramble(&mut state) % pieces.len()];
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = overinterp_config::parse(&text, Path::new("damaged.toml"), &[]) {
            refused += 1;
            let said = problems.to_string();
            assert!(said.contains("error: ") && said.contains("--> damaged.toml:"), "{said}");
        }
    }
    assert!(refused > 200, "{refused} of 400 were refused");
}

#[test]
fn a_sweep_of_a_thousand_seeds_is_read_at_once() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
    let start = std::time::Instant::now();
    let experiment = overinterp_config::load(&path, &[Override::new("sweep.seed={ from = 1, to = 1000 }")]).unwrap();
    let evaluations = experiment.stages.iter().find(|stage| stage.name == "accuracy").unwrap();
    assert_eq!(evaluations.instances.len(), 13_000);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn what_a_claim_names_may_have_gone_by_an_override() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
    for set in ["sweep.fraction=[0.15]", "sweep.seed=[3]", "sweep.fraction={ from = 0.2, to = 0.3, step = 0.1 }"] {
        overinterp_config::load(&path, &[Override::new(set)]).unwrap_or_else(|problems| panic!("{problems}"));
    }
    let set = "claim.random-is-chance.check.0.where.fraction=0.3";
    let said = overinterp_config::load(&path, &[Override::new(set)]).unwrap_err().to_string();
    assert!(said.contains("cannot be 0.3") && said.contains("values of `fraction`: 0.05, 0.1, 0.2"), "{said}");
}

#[test]
fn a_file_that_never_ends_or_is_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.toml");
    let large = folder.path().join("large.toml");
    fs::File::create(&large).unwrap().set_len(2 << 30).unwrap();
    let cases =
        [(large.display().to_string(), "1048576 bytes"), (folder.path().display().to_string(), "it is a folder")];
    let device = cfg!(unix).then(|| ("/dev/zero".to_owned(), "it is a device"));
    for (base, words) in cases.into_iter().chain(device) {
        fs::write(&path, format!("extends = '{base}'\n")).unwrap();
        for said in [overinterp_config::load(&path, &[]), overinterp_config::load(Path::new(&base), &[])] {
            let said = said.unwrap_err().to_string();
            assert!(said.contains(words), "{base}: {said}");
        }
    }
}

#[test]
fn of_many_problems_the_first_are_shown_and_the_others_counted() {
    let keys = (0..300).map(|index| format!("key{index} = 1\n")).collect::<Vec<_>>().concat();
    let said = said("many.toml", &format!("{keys}{SMALL}"), &[]);
    assert_eq!(said.matches("error: ").count(), 20, "{said}");
    assert!(said.contains("300 problems, of which these are the first 20, and 280 more"), "{said}");
}
