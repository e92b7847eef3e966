//! Model files, and pickles of whatever kind.

use std::path::Path;

use overinterp_artifacts::{Evaluation, Model, Ranking, Subsets};
use overinterp_exchange::{Architecture, ModelFile};
use overinterp_foreign::pickle::{self, Handle, Pickle};
use overinterp_workflow::stage::Artifact;

use super::folder::Folder;
use super::seen;

/// Bytes that the values of a pickle may take here.
const MOST: usize = 64 << 20;
/// Values of a pickle that are looked at.
const MOST_VALUES: usize = 1000;

/// Runs a pickle, and asks of what it built all that can be asked.
pub fn pickle(bytes: &[u8]) {
    if let Some(pickle) = seen(pickle::read_within(bytes, MOST)) {
        let mut next = vec![pickle.root()];
        next.extend(pickle.persistent());
        let mut left = MOST_VALUES;
        while let Some(handle) = next.pop().filter(|_| left > 0) {
            left -= 1;
            look_at(&pickle, handle, &mut next);
        }
    }
    seen(pickle::read(bytes));
    model(bytes, Path::new("model.pkl"));
}

fn look_at(pickle: &Pickle<'_>, handle: Handle, next: &mut Vec<Handle>) {
    std::hint::black_box((pickle.describe(handle), pickle.name(handle), pickle.get(handle, "data")));
    seen(pickle.text(handle));
    seen(pickle.extent(handle));
    seen(pickle.bytes(handle));
    seen(pickle.array_shape(handle));
    if let Some(array) = seen(pickle.array(handle)) {
        std::hint::black_box((array.elements(), array.size(), array.is_whole(), pickle.is_array(handle)));
    }
    if let Some(items) = seen(pickle.items(handle)) {
        next.extend(items);
    }
    if let Some(entries) = pickle.entries(handle) {
        next.extend(entries.iter().flat_map(|&(key, value)| [key, value]));
    }
    if let Some(call) = pickle.call(handle) {
        next.extend(call.arguments);
    }
    next.extend(pickle.state(handle));
}

/// Reads a file of `torch.save`, today's or the legacy one.
pub fn torch(bytes: &[u8]) {
    model(bytes, Path::new("model.pt"));
}

/// Reads safetensors as a model file, and as results that a cache holds.
pub fn safetensors(bytes: &[u8]) {
    model(bytes, Path::new("model.safetensors"));
    let folder = Folder::new();
    for name in ["model", "ranking", "subsets", "predictions"] {
        folder.write(&format!("{name}.safetensors"), bytes);
    }
    folder.write("metrics.json", b"{}");
    let dir = folder.path();
    let errors = [
        Model::load(dir).map(drop).err(),
        Ranking::load(dir).map(|ranking| (0..ranking.len()).for_each(|at| drop(ranking.order(at).to_vec()))).err(),
        Subsets::load(dir).map(drop).err(),
        Evaluation::load(dir).map(drop).err(),
    ];
    for error in errors.into_iter().flatten() {
        seen::<(), _>(Err(error));
    }
}

/// Finds and reads the weights of the small network that the fixtures of model files are of.
fn model(bytes: &[u8], path: &Path) {
    let Some(mut file) = seen(ModelFile::parse(path, bytes)) else { return };
    let shapes: [(&str, &[usize]); 7] = [
        ("conv1.weight", &[2, 1, 3, 3]),
        ("bn1.weight", &[2]),
        ("bn1.bias", &[2]),
        ("bn1.running_mean", &[2]),
        ("bn1.running_var", &[2]),
        ("linear.weight", &[3, 2]),
        ("linear.bias", &[3]),
    ];
    let whole = shapes.map(|(name, shape)| (name.to_owned(), shape.to_vec()));
    // Of files with views, integers or arrays alone.
    let one = |name: &str, shape: &[usize]| vec![(name.to_owned(), shape.to_vec())];
    let others = [one("base", &[4, 6]), one("int64", &[2, 3]), one("weight", &[2, 3]), one("transposed", &[6, 4])];
    for expected in std::iter::once(whole.to_vec()).chain(others) {
        let architecture = Architecture { expected: &expected, left_out: &["aux."] };
        std::hint::black_box(file.fits(&architecture, None));
        seen(file.fit(&architecture, Some("state_dict")));
        let Some(fitting) = seen(file.fit(&architecture, None)) else { continue };
        std::hint::black_box((fitting.under_input_dropout(), fitting.is_unusual()));
        let Some(tensors) = seen(file.gather(&fitting)) else { continue };
        for tensor in tensors.values() {
            assert_eq!(
                tensor.shape.iter().product::<usize>(),
                tensor.data.len(),
                "a tensor has other elements than its shape"
            );
        }
    }
}
