//! Exports into folders that were used before, on a disk without room, and under names that come from others.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, Said};

/// What must be refused, saying these words.
fn refused(bench: &Bench, line: &str, words: &[&str]) {
    let said = bench.say(line);
    assert_eq!(said.code, Some(2), "{line}: {}{}", said.out, said.err);
    assert_eq!(said.out, "", "{line}");
    for word in words {
        assert!(said.err.contains(word), "{word}: {}", said.err);
    }
}

/// Runs the binary where no file may have more than `blocks` of 512 bytes.
fn say_within(bench: &Bench, blocks: u32, line: &str) -> Said {
    let limit = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    bench.say_by(&["sh", "-c", &limit, env!("CARGO_BIN_EXE_overinterp")], line)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn nothing_of_an_earlier_export_is_left_among_the_files_of_another() {
    let bench = Bench::new();
    bench.run("");
    for _ in 0..2 {
        bench.ok("export tiny.toml accuracy --to st --probabilities npz");
    }
    // Other files of the user's own, and of other stages, may lie there.
    fs::write(bench.path("st/accuracy-notes.txt"), "").unwrap();
    bench.ok("export tiny.toml full --to st");
    let lacks = ["holds probabilities.npz", "not of this export"];
    refused(&bench, "export tiny.toml accuracy --to st", &lacks);
    refused(&bench, "export tiny.toml accuracy --to st --probabilities csv", &lacks);
    bench.ok("export tiny.toml accuracy --to st --probabilities npz,csv");
    refused(&bench, "export tiny.toml accuracy --to st --probabilities csv", &lacks);

    bench.ok("export tiny.toml subset --to out");
    let copied = bench.path("out/subset_fraction=0.05_seed=0_test");
    fs::remove_dir_all(&copied).unwrap();
    bench.edit("fraction = [0.05, 0.1]", "fraction = [0.05]");
    refused(&bench, "export tiny.toml subset --to out", &["out/subset-subset-test-fraction=0.1-seed=0", "remove it"]);
    assert!(!copied.exists(), "nothing is written before the refusal");
    bench.ok("export tiny.toml subset --to new");

    bench.ok("export tiny.toml fashion --to data --images 2");
    bench.ok("export tiny.toml fashion --to data --images 1");
    fs::rename(bench.path("data/fashion-test.npz"), bench.path("data/fashion-level=1-test.npz")).unwrap();
    refused(&bench, "export tiny.toml fashion --to data", &["data/fashion-level=1-test.npz is there already"]);
}

#[test]
fn nothing_of_a_cell_that_is_gone_is_left_in_the_authors_layout() {
    let bench = Bench::new();
    bench.edit("seed = [0]", "seed = [0, 1]");
    bench.run("");
    for stage in ["ranking", "full", "accuracy"] {
        let line = format!("export tiny.toml {stage} --to {stage} --layout authors");
        bench.ok(&line);
        bench.ok(&line);
    }
    bench.edit("seed = [0, 1]", "seed = [0]");
    for (stage, left) in [
        ("ranking", "ranking/seed=1/sis/fashion_train"),
        ("full", "full/seed=1/checkpoints/checkpoint.safetensors"),
        ("accuracy", "accuracy/full/"),
    ] {
        let line = format!("export tiny.toml {stage} --to {stage} --layout authors");
        refused(&bench, &line, &[left, "is there already, and not of this export"]);
    }
}

#[test]
fn a_file_that_is_not_finished_leaves_what_was_there_and_says_what_it_needs() {
    let bench = Bench::new();
    let failed = say_within(&bench, 16, "run tiny.toml");
    assert_eq!(failed.code, Some(3), "{}", failed.err);
    assert!(failed.err.contains("`ulimit -f`") && !failed.err.contains("is full"), "{}", failed.err);
    assert!(
        failed.err.contains("no file may be as large as is needed, so that nothing more is begun"),
        "{}",
        failed.err
    );
    bench.run("");
    bench.ok("report tiny.toml --out out");
    let page = fs::read(bench.path("out/tiny.html")).unwrap();
    bench.edit("Accuracy: trained on / tested on", "Other");
    for (line, needed) in [
        ("report tiny.toml --out out", "tiny.html: no file may be so large"),
        ("export tiny.toml fashion --to data", "fashion-train.npz: no file may be so large"),
        ("export tiny.toml full --to full", "model.safetensors: no file may be so large"),
        ("export tiny.toml full --to full --layout authors", "checkpoint.safetensors: no file may be so large"),
    ] {
        let said = say_within(&bench, 16, line);
        assert_eq!(said.code, Some(2), "{line}: {}", said.err);
        for part in [needed, "it needs ", " bytes", "--cache"] {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
        assert!(said.err.starts_with("error: cannot write ") && said.err.lines().count() == 1, "{}", said.err);
    }
    assert!(fs::read(bench.path("out/tiny.html")).unwrap() == page, "the old page stays");
    assert_eq!(names(&bench.path("out")), ["tiny.html"]);
    for folder in ["data", "full/full_seed=0", "full/seed=0/checkpoints"] {
        let left = names(&bench.path(folder));
        let is_cut = |name: &String| [".npz", ".safetensors", ".unfinished"].iter().any(|end| name.ends_with(end));
        assert!(!left.iter().any(is_cut), "{folder}: {left:?}");
    }
}

#[test]
fn long_names_are_refused_or_cut_before_a_file_is_called_by_them() {
    let bench = Bench::new();
    let long = "n".repeat(300);
    refused(&bench, &format!("plan tiny.toml --set name={long}"), &["has 300 bytes, more than the 255", "shorten it"]);
    bench.edit(
        "[table.accuracy]",
        &format!(
            "[figure.{}]\ntitle = \"Subsets\"\nkind = \"images\"\nshows = [{{ stage = \"subset\", split = \"test\" }}]\n\n[table.accuracy]",
            "f".repeat(90)
        ),
    );
    bench.run("");
    let name = "n".repeat(255);
    let said = bench.ok(&format!("report tiny.toml --out out --set name={name}")).out;
    assert_eq!(said.lines().count(), 3, "{said}");
    for line in said.lines() {
        assert!(bench.path(line).exists() && line.len() < 255, "{line}");
    }
    let folder = "s".repeat(250);
    refused(
        &bench,
        &format!("export tiny.toml subset --human-study {folder} --images 2"),
        &["a name of 258 bytes", "choose a shorter folder"],
    );
    assert!(!bench.path(&folder).exists());
}
