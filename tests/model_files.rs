//! model files that PyTorch wrote (`fixtures/checkpoints/make.py`) are read to the values of its formula.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use overinterp_artifacts::ParameterTensor;
use overinterp_exchange::{Architecture, ExchangeError, Fault, FitError, Fitting, ModelFile};
use overinterp_foreign::pickle;
use overinterp_foreign::sniff::Foreign;
use overinterp_nn::arch::build;
use overinterp_spec::{Arch, ImageShape};

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
fn message(error: &ExchangeError) -> String {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

/// Names and shapes of some tensors.
fn shapes(tensors: &Tensors) -> Vec<(String, Vec<usize>)> {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
}

/// Reads the tensors of a file that have the names and shapes of the `expected`.
fn read_as(path: &Path, expected: &Tensors, weights: Option<&str>) -> Result<(Tensors, Fitting), ExchangeError> {
    let bytes = fs::read(path).unwrap();
    let mut file = ModelFile::parse(path, &bytes)?;
    let fitting = fit(&file, expected, weights).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.gather(&fitting).map(|tensors| (tensors, fitting))
}

fn fit(file: &ModelFile<'_>, expected: &Tensors, weights: Option<&str>) -> Result<Fitting, FitError> {
    file.fit(&Architecture { expected: &shapes(expected), left_out: &[] }, weights)
}

/// Checks that a file has the tiny network's tensors, and returns where.
fn is_tiny(path: &Path) -> Fitting {
    let (tensors, fitting) = read_as(path, &tiny(), None).unwrap_or_else(|error| panic!("{}", message(&error)));
    assert_eq!(tensors, tiny(), "{}", path.display());
    fitting
}

/// What is wrong with a file of the tiny network.
fn fault(path: &Path) -> (String, Fault) {
    let error = read_as(path, &tiny(), None).map(|_| ()).expect_err("the file is refused");
    let message = message(&error);
    assert!(message.contains(&*path.to_string_lossy()), "{message}");
    match error {
        ExchangeError::Malformed { source, .. } => (message, source),
        ExchangeError::Unreadable { .. } => panic!("{message}"),
    }
}

/// The same of a file with this content.
fn fault_of(content: &[u8]) -> (String, Fault) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    fs::write(&path, content).unwrap();
    fault(&path)
}

#[test]
fn a_modules_state_dict_is_read_without_its_batch_counter() {
    for path in both("module") {
        assert!(is_tiny(&path).passed_over.is_empty(), "{}", path.display());
    }
}

#[test]
fn half_bfloat16_and_double_become_float32() {
    for name in ["float16", "bfloat16", "float64"] {
        for path in both(name) {
            is_tiny(&path);
        }
    }
    for name in ["f32", "f16", "bf16", "f64"] {
        is_tiny(&fixture(&format!("{name}.safetensors")));
    }
}

#[test]
fn integers_and_bools_become_float32() {
    let tensor = |(k, name): (usize, &str)| {
        let data = (0..6).map(|i| if name == "bool" { f32::from(whole(k, i) != 0.0) } else { whole(k, i) }).collect();
        (name.to_owned(), ParameterTensor { shape: vec![2, 3], data })
    };
    let expected: Tensors =
        ["int64", "int32", "int16", "int8", "uint8", "bool"].into_iter().enumerate().map(tensor).collect();
    for path in both("integers") {
        assert_eq!(read_as(&path, &expected, None).unwrap().0, expected);
    }
}

#[test]
fn views_of_one_storage_are_read_in_row_major_order() {
    let base = values(1, &[4, 6]);
    let at = |row: usize, column: usize| base.data[row * 6 + column];
    let grid = |rows: std::ops::Range<usize>, columns: &[usize]| {
        rows.flat_map(|row| columns.iter().map(move |&column| (row, column))).map(|(r, c)| at(r, c)).collect()
    };
    let expected: [(&str, &[usize], Vec<f32>); 9] = [
        ("base", &[4, 6], base.data.clone()),
        ("transposed", &[6, 4], (0..6).flat_map(|column| (0..4).map(move |row| at(row, column))).collect()),
        ("row", &[6], grid(2..3, &[0, 1, 2, 3, 4, 5])),
        ("rows", &[2, 6], grid(1..3, &[0, 1, 2, 3, 4, 5])),
        ("columns", &[4, 3], grid(0..4, &[1, 3, 5])),
        ("element", &[], vec![at(3, 5)]),
        ("expanded", &[3, 6], (0..3).flat_map(|_| (0..6).map(|column| at(0, column))).collect()),
        ("scalar", &[], vec![1.25]),
        ("empty", &[0, 3], Vec::new()),
    ];
    let tensor = |(name, shape, data): (&str, &[usize], Vec<f32>)| {
        (name.to_owned(), ParameterTensor { shape: shape.to_vec(), data })
    };
    let mut expected: Tensors = expected.into_iter().map(tensor).collect();
    expected.insert("channels_last".to_owned(), values(2, &[2, 3, 2, 2]));
    expected.insert("parameter".to_owned(), values(3, &[5]));
    for path in both("views") {
        let (tensors, fitting) = read_as(&path, &expected, None).unwrap();
        assert_eq!(tensors, expected, "{}", path.display());
        assert!(fitting.passed_over.is_empty());
    }
}

#[test]
fn a_state_dict_is_found_beside_epochs_optimisers_and_schedulers() {
    for path in both("wrapped") {
        let fitting = is_tiny(&path);
        assert_eq!((fitting.prefix.as_str(), fitting.passed_over.len()), ("state_dict.", 0), "{}", path.display());
    }
}

#[test]
fn numpy_values_random_states_and_objects_of_any_class_beside_the_weights_are_passed_over() {
    for path in both("beside") {
        assert_eq!(is_tiny(&path).prefix, "net.", "{}", path.display());
    }
}

#[test]
fn files_are_told_by_their_content_whatever_their_ending() {
    for (name, prefix, passed_over) in [
        ("compiled.bin", "module._orig_mod.", &[][..]),
        ("lightning.CKPT", "state_dict.model.", &["state_dict.criterion.pos_weight"]),
        ("swa.pth.tar", "module.", &["n_averaged"]),
    ] {
        let fitting = is_tiny(&fixture(name));
        assert_eq!(
            (fitting.prefix.as_str(), fitting.passed_over.as_slice()),
            (prefix, &passed_over.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..]),
            "{name}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("module.zip.pt", "weights"),
        ("module.zip.pt", "w.safetensors"),
        ("module.legacy.pt", "w.TH"),
        ("f32.safetensors", "w.pt"),
        ("f32.safetensors", "W.SAFETENSORS"),
    ] {
        fs::copy(fixture(from), folder.path().join(to)).unwrap();
        is_tiny(&folder.path().join(to));
    }
}

#[test]
fn a_whole_module_and_dicts_of_numpy_arrays_are_read_without_running_anything() {
    is_tiny(&fixture("whole.zip.pt"));
    is_tiny(&fixture("arrays.protocol2.pkl"));
    is_tiny(&fixture("arrays.protocol5.pkl"));
}

/// The tiny network's weights, halved.
fn averaged() -> Tensors {
    let mut tensors = tiny();
    tensors.values_mut().flat_map(|tensor| &mut tensor.data).for_each(|value| *value /= 2.0);
    tensors
}

#[test]
fn one_of_several_state_dicts_is_chosen_by_its_name() {
    let path = fixture("ema.pth");
    let fitting = is_tiny(&path);
    assert_eq!(fitting.prefix, "params.");
    assert_eq!(fitting.others, ["params_ema.", "deep.ema.state_dict.module."]);
    for weights in ["params_ema", "deep", "deep.ema", "deep.ema.state_dict", "deep.ema.state_dict.module"] {
        assert_eq!(read_as(&path, &tiny(), Some(weights)).unwrap().0, averaged(), "{weights}");
    }
    assert_eq!(read_as(&path, &tiny(), Some("params")).unwrap().0, tiny());
    let bytes = fs::read(&path).unwrap();
    let error = fit(&ModelFile::parse(&path, &bytes).unwrap(), &tiny(), Some("ema")).unwrap_err().to_string();
    assert_eq!(
        error,
        "there are no tensors under `ema`; there are `deep.ema.state_dict.module`, `params`, `params_ema`"
    );
}

#[test]
fn of_two_networks_in_one_dict_the_first_is_taken_and_the_other_is_named() {
    let path = fixture("student-and-teacher");
    let (tensors, fitting) = read_as(&path, &tiny(), None).unwrap();
    assert_eq!((fitting.prefix.as_str(), fitting.others.as_slice()), ("teacher.", &["student.".to_owned()][..]));
    assert!(fitting.passed_over.is_empty() && tensors == averaged());
    assert_eq!(read_as(&path, &tiny(), Some("student")).unwrap().0, tiny());
    for path in both("several") {
        let fitting = is_tiny(&path);
        assert_eq!((fitting.prefix.as_str(), fitting.others.as_slice()), ("model.", &["net.".to_owned()][..]));
    }
}

#[test]
fn a_network_of_one_more_layer_is_another_network() {
    let bytes = fs::read(fixture("deeper.pt")).unwrap();
    let file = ModelFile::parse(Path::new("deeper.pt"), &bytes).unwrap();
    let error = fit(&file, &tiny(), None).unwrap_err().to_string();
    assert!(error.contains("unknown: conv2.weight [2, 2, 3, 3]"), "{error}");
}

#[test]
fn what_cannot_be_read_as_a_tensor_matters_only_if_it_is_wanted() {
    for path in both("quantised") {
        let (message, fault) = fault(&path);
        assert!(matches!(fault, Fault::Pickle(pickle::Fault::Unexpected { .. })), "{message}");
        assert!(message.contains("fault in tensor linear.bias: expected a tensor"), "{message}");
        assert!(message.contains("`torch._utils._rebuild_qtensor`"), "{message}");
    }
    for path in both("quantised-beside") {
        is_tiny(&path);
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
            let mut header = serde_json::Map::new();
            let mut elements = 0;
            for (name, shape) in &tensors {
                let end = elements + 4 * shape.iter().product::<usize>();
                let tensor = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [elements, end] });
                header.insert(format!("{prefix}{name}"), tensor);
                elements = end;
            }
            let header = serde_json::to_vec(&header).unwrap();
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header);
            bytes.resize(bytes.len() + elements, 0);
            let file = ModelFile::parse(Path::new("file"), &bytes).unwrap();
            let fitting = file.fit(&Architecture { expected: &expected, left_out: &[] }, None);
            let fitting = fitting.unwrap_or_else(|error| panic!("{arch} {prefix}: {error}"));
            assert_eq!((fitting.prefix.as_str(), fitting.passed_over.len()), (prefix, 0), "{arch}");
            assert_eq!(fitting.under_input_dropout(), prefix.contains("model."), "{arch} {prefix}");
        }
    }
}

#[test]
fn tensors_under_input_dropout_and_of_a_parallel_model_are_read_without_their_prefix() {
    for path in both("dropout") {
        assert!(is_tiny(&path).under_input_dropout());
    }
    for path in both("parallel") {
        assert_eq!(is_tiny(&path).prefix, "net.module.");
    }
}

#[test]
fn a_newer_pickle_protocol_is_understood() {
    for path in both("protocol4") {
        is_tiny(&path);
    }
}

#[test]
fn a_big_endian_archive_is_understood() {
    is_tiny(&fixture("big.zip.pt"));
}

#[test]
fn a_compressed_archive_is_refused() {
    let (message, fault) = fault(&fixture("compressed.zip.pt"));
    assert!(matches!(fault, Fault::Compressed), "{message}");
    assert!(message.contains("data.pkl"), "{message}");
}

#[test]
fn a_pickle_that_would_run_a_command_runs_nothing() {
    let bias: Tensors = [("linear.bias".to_owned(), values(7, &[3]))].into();
    for path in both("malicious") {
        assert_eq!(read_as(&path, &bias, None).unwrap().0, bias);
        let epoch: Tensors = [("epoch".to_owned(), values(1, &[1]))].into();
        let error = read_as(&path, &epoch, None).map(|_| ()).unwrap_err();
        assert!(
            message(&error).contains("expected a tensor, found an object of `posix.system`"),
            "{}",
            message(&error)
        );
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
fn other_files_are_named_for_what_they_are() {
    type Case<'c> = (&'c [u8], fn(&Fault) -> bool, &'c str);
    let mut tar = vec![0; 1024];
    tar[..8].copy_from_slice(b"storages");
    tar[257..262].copy_from_slice(b"ustar");
    let cases: [Case<'_>; 8] = [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            |fault| matches!(fault, Fault::Foreign(Foreign::LfsPointer)),
            "Git LFS pointer",
        ),
        (b"<!DOCTYPE html><html>", |fault| matches!(fault, Fault::Foreign(Foreign::WebPage)), "HTML page"),
        (b"", |fault| matches!(fault, Fault::Foreign(Foreign::Empty)), "empty"),
        (b"\x1f\x8b\x08\0", |fault| matches!(fault, Fault::Foreign(Foreign::Gzip)), "gzip"),
        (b"{\"weight_map\": {}}", |fault| matches!(fault, Fault::Foreign(Foreign::Json)), "JSON"),
        (b"\x89HDF\r\n\x1a\n", |fault| matches!(fault, Fault::Foreign(Foreign::Hdf5)), "HDF5"),
        (&tar, |fault| matches!(fault, Fault::FirstPyTorch), "PyTorch 0.1"),
        (b"\0\x01\x02", |fault| matches!(fault, Fault::UnknownFormat), "torch.save"),
    ];
    for (content, is_right, words) in cases {
        let (message, fault) = fault_of(content);
        assert!(is_right(&fault) && message.contains(words), "{message}");
    }
    let (message, other) = fault(&fixture("script.pt"));
    assert!(matches!(other, Fault::TorchScript) && message.contains("torch.jit.load"), "{message}");
    let (message, other) = fault(&fixture("../selections/cifar10_0.npz"));
    assert!(matches!(other, Fault::NumpyArchive), "{message}");
    let (message, other) = fault(&fixture("plain.pickle"));
    assert!(matches!(other, Fault::NoStateDict(_)), "{message}");
}
