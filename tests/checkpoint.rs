//! Checkpoints that PyTorch wrote (`fixtures/checkpoints/make.py`) are read to the values of its formula.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use overinterp::artifacts::ParameterTensor;
use overinterp::checkpoint::{CheckpointError, Fault, fit_names, read};
use overinterp::nn::arch::build;
use overinterp::spec::{Arch, ImageShape};

type Tensors = BTreeMap<String, ParameterTensor>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(name)
}

/// The same content in both of PyTorch's formats.
fn both(name: &str) -> [PathBuf; 2] {
    [fixture(&format!("{name}.zip.pt")), fixture(&format!("{name}.legacy.pt"))]
}

/// Element `i` of the integer tensor with number `k`.
fn whole(k: usize, i: usize) -> f32 {
    ((37 * i + 11 * k) % 64) as f32
}

fn values(k: usize, shape: &[usize]) -> ParameterTensor {
    let data = (0..shape.iter().product()).map(|i| (whole(k, i) - 32.0) / 16.0).collect();
    ParameterTensor { shape: shape.to_vec(), data }
}

fn tiny() -> Tensors {
    [
        ("conv1.weight", 1, &[2, 1, 3, 3][..]),
        ("bn1.weight", 2, &[2]),
        ("bn1.bias", 3, &[2]),
        ("bn1.running_mean", 4, &[2]),
        ("bn1.running_var", 5, &[2]),
        ("linear.weight", 6, &[3, 2]),
        ("linear.bias", 7, &[3]),
    ]
    .into_iter()
    .map(|(name, k, shape)| (name.to_owned(), values(k, shape)))
    .collect()
}

/// What went wrong, with its place, as the command line prints it.
fn message(error: &CheckpointError) -> String {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

fn fault(path: &Path) -> (String, Fault) {
    let error = read(path).expect_err("the file is refused");
    let message = message(&error);
    assert!(message.contains(&*path.to_string_lossy()), "{message}");
    match error {
        CheckpointError::Malformed { source, .. } => (message, source),
        CheckpointError::Unreadable { .. } => panic!("{message}"),
    }
}

#[test]
fn a_modules_state_dict_is_read_without_its_batch_counter() {
    for path in both("module") {
        assert_eq!(read(&path).unwrap(), tiny(), "{}", path.display());
    }
}

#[test]
fn half_bfloat16_and_double_become_float32() {
    for name in ["float16", "bfloat16", "float64"] {
        for path in both(name) {
            assert_eq!(read(&path).unwrap(), tiny(), "{}", path.display());
        }
    }
    for name in ["f32", "f16", "bf16", "f64"] {
        assert_eq!(read(&fixture(&format!("{name}.safetensors"))).unwrap(), tiny(), "{name}");
    }
}

#[test]
fn integers_and_bools_become_float32() {
    for path in both("integers") {
        let tensors = read(&path).unwrap();
        for (k, name) in ["int64", "int32", "int16", "int8", "uint8"].into_iter().enumerate() {
            assert_eq!(tensors[name].data, (0..6).map(|i| whole(k, i)).collect::<Vec<_>>(), "{name}");
        }
        assert_eq!(tensors["bool"].data, (0..6).map(|i| f32::from(u8::from(whole(5, i) != 0.0))).collect::<Vec<_>>());
    }
}

#[test]
fn views_of_one_storage_are_read_in_row_major_order() {
    for path in both("views") {
        let tensors = read(&path).unwrap();
        let base = values(1, &[4, 6]);
        let at = |row: usize, column: usize| base.data[row * 6 + column];
        let check = |name: &str, shape: &[usize], data: Vec<f32>| {
            assert_eq!(tensors[name], ParameterTensor { shape: shape.to_vec(), data }, "{name} of {}", path.display());
        };
        let grid = |rows: std::ops::Range<usize>, columns: &[usize]| {
            rows.flat_map(|row| columns.iter().map(move |&column| (row, column))).map(|(r, c)| at(r, c)).collect()
        };
        check("base", &[4, 6], base.data.clone());
        check("transposed", &[6, 4], (0..6).flat_map(|column| (0..4).map(move |row| at(row, column))).collect());
        check("row", &[6], grid(2..3, &[0, 1, 2, 3, 4, 5]));
        check("rows", &[2, 6], grid(1..3, &[0, 1, 2, 3, 4, 5]));
        check("columns", &[4, 3], grid(0..4, &[1, 3, 5]));
        check("element", &[], vec![at(3, 5)]);
        check("expanded", &[3, 6], (0..3).flat_map(|_| (0..6).map(|column| at(0, column))).collect());
        check("scalar", &[], vec![1.25]);
        check("empty", &[0, 3], Vec::new());
        assert_eq!(tensors["channels_last"], values(2, &[2, 3, 2, 2]));
        assert_eq!(tensors["parameter"], values(3, &[5]));
        assert_eq!(tensors.len(), 11);
    }
}

#[test]
fn a_state_dict_is_found_beside_epochs_optimisers_and_schedulers() {
    for path in both("wrapped") {
        assert_eq!(read(&path).unwrap(), tiny(), "{}", path.display());
    }
}

/// The names and shapes of a published architecture's state dict.
#[derive(serde::Deserialize)]
struct StateDict {
    arch: Arch,
    tensors: Vec<(String, Vec<usize>)>,
}

#[test]
fn every_published_architecture_takes_the_authors_names_bare_parallel_and_under_input_dropout() {
    let names = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/names.json");
    let dicts: Vec<StateDict> = serde_json::from_slice(&fs::read(names).unwrap()).unwrap();
    assert_eq!(dicts.len(), 4);
    for StateDict { arch, tensors } in dicts {
        let graph = build(arch, ImageShape { height: 32, width: 32, channels: 3 }, 10).unwrap();
        let expected: Vec<(String, Vec<usize>)> =
            graph.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
        for prefix in ["", "module.", "model.", "module.model."] {
            let empty = |shape: &[usize]| ParameterTensor { shape: shape.to_vec(), data: Vec::new() };
            let named = tensors.iter().map(|(name, shape)| (format!("{prefix}{name}"), empty(shape))).collect();
            let fitting = fit_names(named, &expected).unwrap_or_else(|error| panic!("{arch} {prefix}: {error}"));
            assert_eq!(fitting.len(), expected.len(), "{arch} {prefix}");
        }
    }
}

#[test]
fn tensors_under_input_dropout_fit_the_names_without_its_prefix() {
    let expected: Vec<_> = tiny().into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
    for path in both("dropout") {
        let tensors = read(&path).unwrap();
        assert!(tensors.keys().all(|name| name.starts_with("model.")));
        assert_eq!(fit_names(tensors, &expected).unwrap(), tiny());
    }
}

#[test]
fn a_parallel_models_tensors_fit_the_names_without_their_prefix() {
    let expected: Vec<_> = tiny().into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
    for path in both("parallel") {
        let tensors = read(&path).unwrap();
        assert!(tensors.keys().all(|name| name.starts_with("module.")));
        assert_eq!(fit_names(tensors, &expected).unwrap(), tiny());
    }
}

#[test]
fn two_state_dicts_in_one_file_are_refused_by_name() {
    for path in both("several") {
        let (message, fault) = fault(&path);
        assert!(matches!(&fault, Fault::SeveralStateDicts(names) if names == &["model", "net"]), "{message}");
    }
}

#[test]
fn a_newer_pickle_protocol_is_understood() {
    for path in both("protocol4") {
        assert_eq!(read(&path).unwrap(), tiny(), "{}", path.display());
    }
}

#[test]
fn a_big_endian_archive_is_understood() {
    assert_eq!(read(&fixture("big.zip.pt")).unwrap(), tiny());
}

#[test]
fn a_compressed_archive_is_refused() {
    let (message, fault) = fault(&fixture("compressed.zip.pt"));
    assert!(matches!(fault, Fault::Compressed), "{message}");
    assert!(message.contains("data.pkl"), "{message}");
}

#[test]
fn a_pickle_that_would_run_a_command_is_refused_and_runs_nothing() {
    for path in both("malicious") {
        let (message, fault) = fault(&path);
        assert!(matches!(&fault, Fault::Pickle(_)), "{message}");
        assert!(message.contains("found an object of `posix.system`"), "{message}");
        assert!(!Path::new("overinterp-ran-a-pickle").exists());
    }
}

#[test]
fn a_damaged_weight_in_an_archive_fails_its_checksum() {
    let mut bytes = fs::read(fixture("module.zip.pt")).unwrap();
    let weights: Vec<u8> = values(1, &[2]).data.iter().flat_map(|value| value.to_le_bytes()).collect();
    let place = bytes.windows(weights.len()).position(|window| window == weights).unwrap();
    bytes[place] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pt");
    fs::write(&path, bytes).unwrap();
    let (message, fault) = fault(&path);
    assert!(matches!(fault, Fault::Entry(_)), "{message}");
    assert!(message.contains("data/0"), "{message}");
}

#[test]
fn other_files_folders_and_absent_files_are_refused_with_their_path() {
    let (message, other) = fault(&fixture("make.py"));
    assert!(matches!(other, Fault::UnknownFormat), "{message}");
    let (message, other) = fault(&fixture("plain.pickle"));
    assert!(matches!(other, Fault::UnknownFormat), "{message}");
    let (message, folder) = fault(&fixture(""));
    assert!(matches!(folder, Fault::NotAFile), "{message}");
    let absent = read(&fixture("absent.pt")).unwrap_err();
    assert!(matches!(&absent, CheckpointError::Unreadable { path, .. } if path.ends_with("absent.pt")), "{absent}");
}
