//! A folder with a small experiment, and the binary to run on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any test needs, so that a hang ends as a failure.
const PATIENCE: Duration = Duration::from_secs(240);

/// Every step of [`EXPERIMENT`]: 1 training, 2 + 2 shards of rankings, 4 + 4 sets of subsets, 2 retrainings and
/// 1 + 2 + 2 evaluations.
pub const STEPS: u64 = 20;

/// The quickstart's shape on 64 + 16 images, with selections of four rounds: half a second.
const EXPERIMENT: &str = r#"name = "tiny"
description = "The quickstart's shape on few images."

[sweep]
fraction = [0.05, 0.1]
seed = [0]

[data.fashion]
kind = "fashion-mnist"
root = "DATA"
limit = { train = 64, test = 16 }

[stage.full]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = "${seed}"
recipe = { epochs = 1, batch = 64, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4, augment = "none" }

[stage.ranking]
kind = "select"
model = "full"
images = ["fashion.train", "fashion.test"]
method = { kind = "batched-gradient", per-round = 196, noise = 0.0 }

[stage.random-ranking]
kind = "select"
images = ["fashion.train", "fashion.test"]
method = { kind = "random", seeds = { train = 1234, test = 5678 } }

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = "${fraction}"

[stage.random-subset]
kind = "mask"
ranking = "random-ranking"
keep = "${fraction}"

[stage.retrained]
kind = "train"
images = "subset.train"
arch = "cnn"
seed = "${seed}"
recipe = { like = "full" }

[stage.accuracy]
kind = "evaluate"
pairs = [
  { model = "full", images = "fashion.test" },
  { model = "full", images = "random-subset.test" },
  { model = "retrained", images = "subset.test" },
]

[table.accuracy]
title = "Accuracy: trained on / tested on"
columns = "fraction"
rows = [
  { label = "full / full", model = "full", images = "fashion.test" },
  { label = "selected / selected", model = "retrained", images = "subset.test" },
]

[claim.never-above-one]
says = "No accuracy is more than 1."
check = [
  { model = "full", images = "fashion.test", at-least = 0.0, below = 1.0 },
]

[claim.impossible]
says = "A model of one epoch is right about everything."
check = [
  { model = "full", images = "fashion.test", within = 0.0, of = 1.0 },
]
"#;

/// A folder of one test's own.
pub struct Bench {
    folder: TempDir,
}

/// What a command left behind.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bench {
    /// The experiment on the images that the repository carries.
    pub fn new() -> Self {
        Self::on(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small"))
    }

    /// The experiment on the images in `data`.
    pub fn on(data: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = EXPERIMENT.replace("DATA", data.to_str().unwrap());
        std::fs::write(folder.path().join("tiny.toml"), text).unwrap();
        Self { folder }
    }

    /// The folder of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces `from`, which must be there, in the experiment.
    pub fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("tiny.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(self.path("tiny.toml"), text.replace(from, to)).unwrap();
    }

    /// Runs the binary in the folder, with the words of `line` as arguments.
    pub fn say(&self, line: &str) -> Said {
        self.say_by(&[env!("CARGO_BIN_EXE_overinterp")], line)
    }

    /// As [`Bench::say`], where `program` runs the binary: the words of another command, and the binary last.
    pub fn say_by(&self, program: &[&str], line: &str) -> Said {
        let output = Command::new(program[0])
            .args(&program[1..])
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("OVERINTERP_REMOTE")
            .timeout(PATIENCE)
            .output()
            .unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// As [`Bench::say`], for what must succeed.
    pub fn ok(&self, line: &str) -> Said {
        let said = self.say(line);
        assert_eq!(said.code, Some(0), "{line}\n{}\n{}", said.out, said.err);
        said
    }

    /// The events of a run that must succeed.
    pub fn run(&self, options: &str) -> Events {
        Events::of(&self.ok(&format!("run tiny.toml --format json {options}")))
    }

    /// The directory of a step of that stage, in the folder's own cache.
    pub fn step_dir(&self, cache: &str, events: &Events, stage: &str) -> PathBuf {
        let step = events.steps(stage).next().unwrap();
        let (kind, hash) = step["key"].as_str().unwrap().split_once(':').unwrap();
        let (kind, _) = kind.rsplit_once("-v").unwrap();
        self.path(cache).join("v1/steps").join(kind).join(hash)
    }
}

impl Said {
    /// The only line, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The lines of `run --format json`.
pub struct Events(pub Vec<Value>);

impl Events {
    pub fn of(said: &Said) -> Self {
        Self(said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// The step events of a stage, or of all for `""`.
    pub fn steps<'a>(&'a self, stage: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.0.iter().filter(move |event| event["event"] == "step" && (stage.is_empty() || event["stage"] == stage))
    }

    /// How many steps of a stage, or of all for `""`, ended so.
    pub fn count(&self, stage: &str, status: &str) -> usize {
        self.steps(stage).filter(|event| event["status"] == status).count()
    }

    /// The closing line.
    pub fn summary(&self) -> &Value {
        let last = self.0.last().unwrap();
        assert_eq!(last["event"], "run", "{last}");
        last
    }

    /// One of the closing line's counts.
    pub fn total(&self, status: &str) -> u64 {
        self.summary()[status].as_u64().unwrap()
    }
}

/// A copy of the images that the repository carries, of which nothing else knows.
pub fn copy_data(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-small");
    for entry in std::fs::read_dir(carried).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("ubyte") {
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
}
