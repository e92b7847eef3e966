//! Exact selection by a network that is sure: what it takes, and what is left of it when it is killed.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use safetensors::tensor::TensorView;

use crate::bench::Bench;

/// Exact selections of 40 images, in three parts, by the bench's network with logits ten thousand times as far apart.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.edit("test = 16", "test = 40");
    let events = bench.run("--stage full");
    let file = fs::read(bench.step_dir("cache", &events, "full").join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let scaled: Vec<(String, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let factor = if name.starts_with("linear.") { 1e4 } else { 1.0 };
            let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            (name.to_owned(), values.flat_map(|value| (value * factor).to_le_bytes()).collect())
        })
        .collect();
    let named = scaled.iter().map(|(name, bytes)| {
        let tensor = tensors.tensor(name).unwrap();
        (name.clone(), TensorView::new(tensor.dtype(), tensor.shape().to_vec(), bytes).unwrap())
    });
    fs::write(bench.path("sure"), safetensors::serialize(named, None).unwrap()).unwrap();
    let stages = r#"
[stage.sure]
kind = "import"
file = "sure"
arch = "cnn"
data = "fashion"

[stage.exact]
kind = "select"
model = "sure"
images = ["fashion.test"]
method = { kind = "backward" }
"#;
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    fs::write(bench.path("tiny.toml"), text + stages).unwrap();
    bench
}

/// The first file of that name somewhere in a folder.
fn find(folder: &Path, ends: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        if path.ends_with(ends) { Some(path) } else { find(&path, ends) }
    })
}

#[test]
fn a_killed_selection_goes_on_behind_the_images_that_it_had_finished() {
    let bench = bench();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overinterp"))
        .args(["run", "tiny.toml", "--stage", "exact"])
        .current_dir(bench.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (partial, whole) = (bench.path("cache/v1/partial/select"), Path::new("images-0-16/whole"));
    while find(&partial, whole).is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended without a part");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = bench.ok("run tiny.toml --stage exact").err;
    assert!(said.contains("images 0 to 15 are there from a run that was stopped"), "{said}");
    assert!(said.contains("x fewer), of which"), "{said}");

    let events = bench.run("--stage exact");
    assert_eq!(events.total("ran"), 0);
    let undisturbed = bench.run("--stage exact --cache undisturbed");
    for file in ["ranking.safetensors", "effort.csv"] {
        let went_on = fs::read(bench.step_dir("cache", &events, "exact").join(file)).unwrap();
        let whole = fs::read(bench.step_dir("undisturbed", &undisturbed, "exact").join(file)).unwrap();
        assert!(went_on == whole, "{file} differs");
    }
    assert!(find(&partial, Path::new("whole")).is_none(), "what is finished leaves no parts");
}
