//! Caches that belong to somebody else, lie on several file systems, or hold steps of experiments whose data are absent.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::bench::{Bench, Events, STEPS, Said, copy_data};

fn shell(command: &str, folder: &Path) -> bool {
    Command::new("sh").args(["-c", command]).current_dir(folder).status().unwrap().success()
}

/// A finished experiment that another user looks at, who may write to nothing but `out`.
struct Guest {
    bench: Bench,
    /// What runs the binary as that user.
    program: Vec<String>,
}

impl Guest {
    /// `None` where this test can become no other user, and permissions do not hold for this one.
    fn new() -> Option<Self> {
        let data = tempfile::tempdir().unwrap();
        let bench = Bench::on(data.path());
        // Nobody may look into the folders of whoever runs this test.
        let (binary, images) = (bench.path("overinterp"), bench.path("images"));
        copy_data(&images);
        bench.edit(data.path().to_str().unwrap(), images.to_str().unwrap());
        fs::copy(env!("CARGO_BIN_EXE_overinterp"), &binary).unwrap();
        bench.run("");
        fs::create_dir(bench.path("out")).unwrap();
        assert!(shell("chmod -R a+rX,a-w . && chmod a+rwx out && chmod u+w .", bench.folder()));
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let become_another: &[&str] =
            if is_root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] };
        let program: Vec<String> = become_another.iter().map(|word| (*word).to_owned()).collect();
        let probe =
            [&program[..], &["sh", "-c", "test -r tiny.toml && ! test -w cache/v1"].map(str::to_owned)].concat();
        let can = Command::new(&probe[0]).args(&probe[1..]).current_dir(bench.folder()).status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no other user to become, and permissions do not hold for this one");
            return None;
        }
        let program = [program, vec![binary.display().to_string()]].concat();
        Some(Self { bench, program })
    }

    fn say(&self, line: &str) -> Said {
        let program: Vec<&str> = self.program.iter().map(String::as_str).collect();
        self.bench.say_by(&program, line)
    }

    fn may_write(&self, what: &str) {
        assert!(shell(&format!("chmod -R a+rwX {what}"), self.bench.folder()));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        shell("chmod -R u+rwX .", self.bench.folder());
    }
}

#[test]
fn who_may_only_read_a_cache_sees_all_that_is_in_it() {
    let Some(guest) = Guest::new() else { return };
    let key = fs::read_dir(guest.bench.path("cache/v1/steps/train")).unwrap().next().unwrap().unwrap().file_name();
    for line in [
        "results tiny.toml",
        "results tiny.toml --format csv",
        "report tiny.toml --out out/page",
        "plan tiny.toml",
        "explain tiny.toml full",
        "export tiny.toml subset --to out/subset",
        "export tiny.toml full --to out/full --layout authors",
        &format!("show {}", key.to_str().unwrap()),
        "cache stats",
        "cache verify",
        "cache gc tiny.toml --dry-run",
        // Nothing is to do.
        "run tiny.toml",
        "run tiny.toml --frozen",
    ] {
        let said = guest.say(line);
        assert_eq!(said.code, Some(0), "{line}\n{}\n{}", said.out, said.err);
        assert!(!said.err.to_lowercase().contains("warn"), "{line}: {}", said.err);
    }
    let said = guest.say("results tiny.toml --format csv").out;
    assert_eq!(said, guest.bench.ok("results tiny.toml --format csv").out);
}

#[test]
fn who_may_not_write_to_a_cache_is_told_before_anything_is_computed() {
    let Some(guest) = Guest::new() else { return };
    for (line, place) in [("--set stage.full.recipe.momentum=0.8", "cache/v1"), ("--cache absent", "absent/v1")] {
        let said = guest.say(&format!("run tiny.toml --format json {line}"));
        assert_eq!(said.code, Some(2), "{}\n{}", said.out, said.err);
        assert_eq!(Events::of(&said).steps("").count(), 0, "{}", said.out);
        let told = format!("cannot write to the cache at {place}");
        assert!(said.err.contains(&told) && said.err.contains("name another with --cache"), "{}", said.err);
    }
    let said = guest.say("cache gc tiny.toml");
    assert!(said.code == Some(2) && said.err.contains("cannot write to the cache at"), "{}", said.err);
    // Of a cache that several write to, a folder may be somebody else's.
    guest.may_write("cache");
    assert!(shell("chmod -R a-w cache/v1/steps/train", guest.bench.folder()));
    let said = guest.say("run tiny.toml --format json --set stage.full.recipe.momentum=0.8");
    assert_eq!(said.code, Some(2), "{}\n{}", said.out, said.err);
    assert_eq!(Events::of(&said).steps("").count(), 0, "{}", said.out);
    assert!(said.err.contains("cannot write to the cache at cache/v1/steps/train"), "{}", said.err);
    // Other steps may be computed.
    let said = guest.say("run tiny.toml --set stage.ranking.method.per-round=98 --stage ranking");
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
}

#[test]
fn damage_is_listed_for_who_may_not_set_it_aside() {
    let Some(guest) = Guest::new() else { return };
    let steps = guest.bench.path("cache/v1/steps/train");
    let entry = fs::read_dir(&steps).unwrap().next().unwrap().unwrap();
    let hash = entry.file_name().into_string().unwrap();
    assert!(shell(&format!("chmod u+w {hash}/model.safetensors && echo >> {hash}/model.safetensors"), &steps));
    let said = guest.say("cache verify");
    assert_eq!(said.code, Some(3), "{}\n{}", said.out, said.err);
    let told = format!("damaged train/{hash}: file model.safetensors has");
    assert!(said.err.contains(&told) && said.err.contains("left in its place"), "{}", said.err);
    let found = guest.say("cache verify --format json").json();
    assert_eq!(found["intact"].as_u64(), Some(STEPS - 1), "{found}");
    assert_eq!((found["damaged"].as_array().map(Vec::len), &found["damaged"][0]["aside"]), (Some(1), &json!(null)));
    assert!(entry.path().is_dir(), "it stays");
    let run = guest.say("run tiny.toml");
    assert_eq!(run.code, Some(2), "{}\n{}", run.out, run.err);
    assert!(run.err.contains("cannot write to the cache at"), "{}", run.err);
}

#[test]
fn what_may_not_be_read_is_listed_and_the_rest_verified() {
    let Some(guest) = Guest::new() else { return };
    let first = |kind: &str| {
        let kind = guest.bench.path("cache/v1/steps").join(kind);
        fs::read_dir(kind).unwrap().next().unwrap().unwrap().path()
    };
    let (model, ranking, masks) = (first("train"), first("select"), first("mask"));
    let named = |dir: &Path| {
        let parts: Vec<&str> = dir.iter().rev().take(2).map(|part| part.to_str().unwrap()).collect();
        format!("unread {}/{}: cannot read", parts[1], parts[0])
    };
    assert!(shell("chmod a-r model.safetensors", &model));
    assert!(shell("chmod a-r step.json", &ranking));
    assert!(shell("chmod a-rx .", &masks));
    let left = STEPS - 3;
    // The times of change are others now, so that counting reads the files, too.
    for (line, sums) in [("cache verify", format!("{left} entries intact")), ("cache stats", format!("{left} steps"))] {
        let said = guest.say(line);
        assert_eq!(said.code, Some(3), "{line}: {}\n{}", said.out, said.err);
        assert!(said.out.contains(&sums), "{line}: {}", said.out);
        for dir in [&model, &ranking, &masks] {
            assert!(said.err.contains(&named(dir)) && said.err.contains("Permission denied"), "{line}: {}", said.err);
        }
    }
}

#[test]
fn who_only_looks_makes_no_cache() {
    let bench = Bench::new();
    for line in ["plan tiny.toml", "explain tiny.toml full", "results tiny.toml", "report tiny.toml --out page"] {
        bench.ok(&format!("{line} --cache typo"));
    }
    let frozen = bench.say("run tiny.toml --frozen --cache typo");
    assert_eq!(frozen.code, Some(4), "{}", frozen.err);
    for line in [
        "export tiny.toml subset --to out",
        "cache stats",
        "cache verify",
        "cache gc tiny.toml",
        "cache gc tiny.toml --dry-run",
        "show train-v1:0",
    ] {
        let said = bench.say(&format!("{line} --cache typo"));
        assert_eq!(said.code, Some(2), "{line}: {}\n{}", said.out, said.err);
        if !line.starts_with("export") {
            assert!(said.err.contains("there is no cache in typo") && said.err.contains("--cache"), "{}", said.err);
        }
    }
    assert!(!bench.path("typo").exists());
    // A run makes it, with what it remembers of the data.
    bench.run("--stage full --cache typo");
    assert!(bench.path("typo/v1/data-index.json").is_file());
    bench.ok("cache stats --cache typo");
}

#[test]
fn a_part_of_the_cache_on_another_file_system_is_told_once_at_the_start() {
    for part in ["steps", "steps/train", "contents", "partial"] {
        let bench = Bench::new();
        let dir = bench.path("cache/v1").join(part);
        fs::create_dir_all(&dir).unwrap();
        // A mount that nobody else sees, and that is gone when the program ends.
        let script = "mount -t tmpfs none \"$1\" && shift && exec \"$@\"";
        let words = |options| ["unshare", options, "sh", "-c", script, "sh", dir.to_str().unwrap()].map(str::to_owned);
        let may = |options| {
            let words = words(options);
            let done = Command::new(&words[0]).args(&words[1..]).arg("true").output();
            done.is_ok_and(|output| output.status.success())
        };
        let Some(options) = ["-m", "-rm"].into_iter().find(|options| may(options)) else {
            eprintln!("skipped: this user may mount nothing");
            return;
        };
        let program = [&words(options)[..], &[env!("CARGO_BIN_EXE_overinterp").to_owned()]].concat();
        let program: Vec<&str> = program.iter().map(String::as_str).collect();
        let said = bench.say_by(&program, "run tiny.toml --format json");
        assert_eq!(said.code, Some(2), "{part}\n{}\n{}", said.out, said.err);
        assert_eq!(Events::of(&said).steps("").count(), 0, "{part}: {}", said.out);
        let told = format!("{part} is on another file system than the rest of the cache");
        assert_eq!(said.err.matches(&told).count(), 1, "{part}: {}", said.err);
        assert_eq!(said.err.trim().lines().count(), 1, "{part}: {}", said.err);
        assert!(said.err.contains("keep the whole cache on one, or name another with --cache"), "{}", said.err);
    }
}

/// How many steps the cache holds, if there is one.
fn steps(bench: &Bench) -> u64 {
    if !bench.path("cache").exists() {
        return 0;
    }
    let stats = bench.ok("cache stats --format json").json();
    stats["kinds"].as_object().unwrap().values().map(|kind| kind["steps"].as_u64().unwrap()).sum()
}

/// Two experiments that share what asks no model, and a third that is no file any more.
#[test]
fn gc_keeps_the_steps_of_an_experiment_whose_data_are_absent() {
    let bench = Bench::new();
    let images = bench.path("images");
    copy_data(&images);
    // Its first pixel makes of it other data.
    let first = images.join("train-images-idx3-ubyte");
    let mut bytes = fs::read(&first).unwrap();
    bytes[16] ^= 0xff;
    fs::write(&first, bytes).unwrap();
    fs::create_dir(bench.path("experiments")).unwrap();
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small");
    assert!(text.contains(carried.to_str().unwrap()));
    let other = text.replace(carried.to_str().unwrap(), images.to_str().unwrap()).replace("lr = 0.1", "lr = 0.05");
    fs::write(bench.path("experiments/present.toml"), &text).unwrap();
    fs::write(bench.path("experiments/other.toml"), other).unwrap();
    let run = |line: &str| Events::of(&bench.ok(&format!("run --format json {line}"))).total("ran");
    let added = |line: &str| {
        let before = steps(&bench);
        run(line);
        steps(&bench) - before
    };
    assert_eq!(added("experiments/present.toml"), STEPS);
    let of_other = added("experiments/other.toml");
    let of_none = added("experiments/present.toml --set stage.full.recipe.momentum=0.7");
    // All but what asks no model and has the same test images.
    assert_eq!((of_other, of_none), (STEPS - 3, STEPS - 6));
    let checkpoint = |kind: &str| bench.path("cache/v1/partial").join(kind).join("0".repeat(64));
    for kind in ["train", "collection"] {
        fs::create_dir_all(checkpoint(kind)).unwrap();
    }
    let away = bench.path("away");
    fs::rename(&images, &away).unwrap();

    let would = bench.ok("cache gc --dry-run --format json").json();
    let kept = would["kept"]["count"].as_u64().unwrap();
    assert_eq!(kept, STEPS + of_other, "{would}");
    assert_eq!(would["perhaps"]["count"].as_u64(), Some(of_other), "{would}");
    assert_eq!(would["absent"][0]["file"], "experiments/other.toml", "{would}");
    assert!(would["absent"][0]["data"][0].as_str().unwrap().contains("cannot find Fashion-MNIST"), "{would}");
    let removed = bench.ok("cache gc");
    assert!(removed.err.contains("experiments/other.toml cannot be told by their keys"), "{}", removed.err);
    assert!(removed.out.contains(&format!("of them {of_other} steps")), "{}", removed.out);
    let steps = removed.out.lines().filter(|line| line.starts_with("removed step")).count() as u64;
    assert_eq!(steps, of_none, "{}", removed.out);
    // A training that has not finished may be that experiment's; it has no collections.
    assert!(checkpoint("train").exists() && !checkpoint("collection").exists());

    fs::rename(&away, &images).unwrap();
    assert_eq!((run("experiments/present.toml"), run("experiments/other.toml")), (0, 0));
    assert_eq!(added("experiments/present.toml --set stage.full.recipe.momentum=0.7"), of_none);
}
