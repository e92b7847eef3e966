//! Paths at which no such file lies: devices that never end, pipes that wait for somebody to write, folders, and files
//! that are far too large. Each is refused by name, and at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Said};

/// Longer than any refusal takes on a machine that is busy; what opens a pipe or reads a device never ends.
const AT_ONCE: Duration = Duration::from_secs(5);

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A device and a pipe, with what a message calls them.
fn strangers(bench: &Bench) -> [(String, &'static str); 2] {
    let path = bench.path("pipe");
    if !path.exists() {
        pipe(&path);
    }
    [("/dev/zero".to_owned(), "a device"), (path.display().to_string(), "a pipe")]
}

/// Runs what must be refused at once, with these words.
fn refused(bench: &Bench, line: &str, words: &[&str]) -> Said {
    let start = Instant::now();
    let said = bench.say(line);
    let taken = start.elapsed();
    assert!(matches!(said.code, Some(2 | 3)), "{line}: {:?}\n{}\n{}", said.code, said.out, said.err);
    assert!(taken < AT_ONCE, "{line} took {taken:?}");
    for word in words {
        assert!(said.err.contains(word), "{line} does not say `{word}`:\n{}", said.err);
    }
    said
}

/// Puts a stage before that of the subsets.
fn with_stage(stage: &str) -> Bench {
    let bench = Bench::new();
    bench.edit("[stage.subset]", &format!("{stage}\n\n[stage.subset]"));
    bench
}

#[test]
fn no_verb_waits_for_an_experiment_that_is_no_file() {
    let bench = Bench::new();
    for (path, what) in strangers(&bench) {
        for line in [
            "run FILE",
            "plan FILE",
            "explain FILE full",
            "results FILE",
            "report FILE --out page",
            "export FILE subset --to out",
            "compare-selection FILE subset",
            "bench FILE",
            "cache gc FILE --dry-run",
        ] {
            refused(&bench, &line.replace("FILE", &path), &["cannot read the experiment file", &path, what]);
        }
    }
}

#[test]
fn weights_that_are_no_file_or_too_large_are_refused_before_they_are_read() {
    let large = tempfile::tempdir().unwrap();
    let (sparse, zeros) = (large.path().join("sparse.pth"), large.path().join("zeros.pth"));
    File::create(&sparse).unwrap().set_len((4 << 30) + 1).unwrap();
    File::create(&zeros).unwrap().set_len(1 << 30).unwrap();
    let stage = "[stage.found]\nkind = \"import\"\nfile = \"WEIGHTS\"\narch = \"cnn\"\ndata = \"fashion\"";
    let import = |path: &str| with_stage(&stage.replace("WEIGHTS", path));
    for turn in 0..2 {
        let bench = import("WEIGHTS");
        let (path, what) = strangers(&bench)[turn].clone();
        bench.edit("WEIGHTS", &path);
        let told =
            format!("cannot read the model file {path}: it is {what}, not a regular file; put it there or change");
        refused(&bench, "run tiny.toml --stage found", &[&told]);
        bench.ok("plan tiny.toml");
    }
    refused(
        &import(large.path().to_str().unwrap()),
        "run tiny.toml --stage found",
        &["is a folder, not a file of weights"],
    );
    let words = ["sparse.pth", "more than 4294967296 bytes (4 GiB), which is the limit"];
    refused(&import(sparse.to_str().unwrap()), "run tiny.toml --stage found", &words);
    // Of what is no checkpoint by its first bytes no more is held; an assumption about its network is of no interest.
    let bench = import(zeros.to_str().unwrap());
    let said = bench.say("run tiny.toml --stage found");
    assert!(said.code == Some(3) && said.err.contains("neither a safetensors file nor one"), "{}", said.err);
    assert!(!said.err.contains("normalises"), "{}", said.err);
}

#[test]
fn selections_and_predictions_that_are_no_files_are_refused() {
    let stage = "[stage.found]\nkind = \"import-selection\"\ndata = \"fashion\"\nfiles = { test = \"SIS\" }\n\
                 predictions = { test = \"PREDICTIONS\" }\nmethod = { kind = \"backward\" }";
    for turn in 0..2 {
        let bench = with_stage(stage);
        let (path, what) = strangers(&bench)[turn].clone();
        fs::create_dir(bench.path("sis")).unwrap();
        for image in 0..16 {
            fs::write(bench.path(&format!("sis/a_{image}.npz")), "no archive").unwrap();
        }
        bench.edit("SIS", &path);
        bench.edit("PREDICTIONS", "predictions.csv");
        fs::write(bench.path("predictions.csv"), "0,0,0.5\n").unwrap();
        let words = ["no packed file of selections at", &path, what];
        refused(&bench, "run tiny.toml --stage found", &words);
        bench.edit(&path, "sis");
        bench.edit("predictions.csv", &path);
        refused(&bench, "run tiny.toml --stage found", &["cannot read the predictions", &path, what]);
        bench.edit(&path, "predictions.csv");
        fs::remove_file(bench.path("sis/a_3.npz")).unwrap();
        std::os::unix::fs::symlink(&path, bench.path("sis/a_3.npz")).unwrap();
        refused(&bench, "run tiny.toml --stage found", &["cannot read the selection", "a_3.npz", what]);
    }
}

#[test]
fn answers_that_are_no_file_are_refused() {
    let stage =
        "[stage.people]\nkind = \"human\"\nimages = \"random-subset.test\"\nanswers = \"ANSWERS\"\nkey = \"KEY\"";
    for turn in 0..2 {
        let bench = Bench::new();
        bench.edit("[stage.retrained]", &format!("{stage}\n\n[stage.retrained]"));
        let (path, what) = strangers(&bench)[turn].clone();
        fs::write(bench.path("sheet.csv"), "file,answer\n").unwrap();
        bench.edit("ANSWERS", &path);
        bench.edit("KEY", "sheet.csv");
        refused(&bench, "run tiny.toml --stage people", &["cannot read the answer sheet", &path, what]);
        bench.edit(&path, "sheet.csv");
        bench.edit("key = \"sheet.csv\"", &format!("key = \"{path}\""));
        refused(&bench, "run tiny.toml --stage people", &["cannot read the key of the answer sheet", &path, what]);
    }
}

#[test]
fn data_that_are_no_folder_and_files_of_them_that_are_no_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    for (path, what) in strangers(&bench) {
        for kind in ["fashion-mnist", "mnist", "cifar10", "cifar100", "folder"] {
            let bench = Bench::on(Path::new(&path));
            bench.edit("\"fashion-mnist\"", &format!("\"{kind}\""));
            refused(&bench, "run tiny.toml --stage full", &[&format!("{path} is {what}, where a folder")]);
        }
    }
    let file = |name: &str| folder.path().join(name);
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz"] {
        pipe(&file(name));
    }
    fs::write(file("t10k-labels-idx1-ubyte"), "x").unwrap();
    let bench = Bench::on(folder.path());
    refused(&bench, "run tiny.toml --stage full", &["lacks train-images-idx3-ubyte"]);
    // The names of classes may be left out, so that they are looked for among what is there.
    let batches = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    for batch in batches {
        fs::write(file(&format!("{batch}.bin")), vec![0; 3073 * 64]).unwrap();
    }
    pipe(&file("batches.meta.txt"));
    let bench = Bench::on(folder.path());
    bench.edit("\"fashion-mnist\"", "\"cifar10\"");
    refused(&bench, "run tiny.toml --stage full", &["batches.meta.txt", "it is a pipe, not a regular file"]);
}

#[test]
fn a_cache_or_a_place_to_write_to_that_is_no_folder_is_refused() {
    let bench = Bench::new();
    bench.run("--stage subset");
    for (path, _) in strangers(&bench) {
        for line in [
            "run tiny.toml --cache PATH",
            "plan tiny.toml --cache PATH",
            "results tiny.toml --cache PATH",
            "show train-v1:0 --cache PATH",
            "cache stats --cache PATH",
            "cache verify --cache PATH",
            "cache gc tiny.toml --cache PATH",
        ] {
            refused(&bench, &line.replace("PATH", &path), &[&path, "is not a directory"]);
        }
        for line in [
            "report tiny.toml --out PATH",
            "export tiny.toml subset --to PATH",
            "export tiny.toml subset --to PATH --layout authors",
            "export tiny.toml subset --human-study PATH --images 2",
            "data fetch mnist --root PATH --base http://127.0.0.1:9",
        ] {
            refused(&bench, &line.replace("PATH", &path), &[]);
        }
    }
    // A pipe by the name of a file that is written.
    fs::create_dir(bench.path("page")).unwrap();
    pipe(&bench.path("page/tiny.html"));
    refused(&bench, "report tiny.toml --out page", &["cannot write", "tiny.html", "it is a pipe"]);
    fs::create_dir(bench.path("fetched")).unwrap();
    pipe(&bench.path("fetched/train-images-idx3-ubyte.gz"));
    let line = "data fetch mnist --root fetched --base http://127.0.0.1:9";
    refused(&bench, line, &["train-images-idx3-ubyte.gz", "it is a pipe"]);
}

/// What the cache remembers beside its steps is a help and no more.
#[test]
fn memos_of_the_cache_that_are_pipes_are_passed_over() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("cache/v1")).unwrap();
    let memos: [PathBuf; 3] =
        ["rates.json", "data-index.json", "first-images.json"].map(|name| bench.path("cache/v1").join(name));
    for memo in &memos {
        pipe(memo);
    }
    let start = Instant::now();
    let said = bench.ok("plan tiny.toml");
    assert!(start.elapsed() < AT_ONCE);
    for memo in ["rates.json are ignored: it is a pipe", "first-images.json is ignored: it is a pipe"] {
        assert!(said.err.contains(memo), "{}", said.err);
    }
    assert!(memos[1].is_file(), "the index was written anew");
}
