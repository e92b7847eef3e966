//! Weights as a file for others: the authors' names, and what the network needs to be used as metadata, which
//! [`recorded`](super::recorded()) reads again.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};

use super::recorded::{INPUT_DROPOUT, NORMALISE, PROGRAM};
use super::{Model, Network};

/// Why weights cannot be written as a file for others.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A tensor's shape does not fit its values.
    #[error("a tensor of the model has other values than its shape says")]
    Tensors(#[from] SafeTensorError),
    /// The metadata cannot be written as JSON.
    #[error("the model's metadata cannot be written")]
    Metadata(#[from] serde_json::Error),
}

/// A network of `model`, made by the step of this key, as a safetensors file; equal networks give equal bytes.
///
/// # Errors
/// When a tensor's shape does not fit its values.
pub fn exported(model: &Model, network: &Network, key: &str) -> Result<Vec<u8>, ExportError> {
    // The authors' wrapper of input dropout holds the network as `model`.
    let prefix = if network.input_dropout.is_some() { "model." } else { "" };
    let mut views = Vec::new();
    for (name, tensor) in &network.tensors {
        let bytes = bytemuck::cast_slice(&tensor.data);
        views.push((format!("{prefix}{name}"), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?));
    }
    let mut metadata = BTreeMap::from([
        ("format", "pt".to_owned()),
        ("arch", network.arch.to_string()),
        ("classes", model.classes.to_string()),
        ("input", serde_json::to_string(&model.shape)?),
        (NORMALISE, serde_json::to_string(&network.normalise)?),
        ("key", key.to_owned()),
        (PROGRAM, concat!("overinterp ", env!("CARGO_PKG_VERSION")).to_owned()),
    ]);
    if let Some(dropout) = &network.input_dropout {
        metadata.insert(INPUT_DROPOUT, serde_json::to_string(dropout)?);
    }
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    with_sorted_header(&safetensors::serialize(views, Some(metadata))?)
}

/// Bytes of a header's length, in front of it.
const LENGTH: usize = size_of::<u64>();

/// The same file with the entries of its header in alphabetical order: the crate writes them in hash order.
fn with_sorted_header(file: &[u8]) -> Result<Vec<u8>, ExportError> {
    let (length, _) = safetensors::SafeTensors::read_metadata(file)?;
    let (header, tensors) = file[LENGTH..].split_at(length);
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), &header[..], tensors].concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use overinterp_spec::{Arch, ImageShape, Normalise, SeededDropout};

    use super::*;
    use crate::{ParameterTensor, Recorded, recorded};

    #[test]
    fn an_exported_network_is_recorded_and_has_the_same_bytes_each_time() {
        let tensor = |value: f32| ParameterTensor { shape: vec![2, 2], data: vec![value; 4] };
        let tensors = BTreeMap::from([("b".to_owned(), tensor(2.0)), ("a".to_owned(), tensor(1.0))]);
        let normalise = Normalise { mean: vec![1.0], std: vec![2.0] };
        let dropout: SeededDropout = serde_json::from_str(r#"{"keep":0.7,"samples":2,"seed":5}"#).unwrap();
        let network = Network {
            arch: Arch::Cnn,
            normalise: normalise.clone(),
            input_dropout: Some(dropout),
            tensors,
            log: Vec::new(),
        };
        let shape = ImageShape { height: 8, width: 8, channels: 1 };
        let model = Model { shape, classes: 3, networks: vec![network.clone()] };
        let key = "train-v1:0123";
        let file = exported(&model, &network, key).unwrap();
        assert!((0..20).all(|_| exported(&model, &network, key).unwrap() == file));
        let expected = Recorded { normalise: Some(normalise), input_dropout: Some(dropout) };
        assert_eq!(recorded(&file).unwrap(), Some(expected));
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.tensor("model.a").unwrap().data(), bytemuck::cast_slice::<f32, u8>(&[1.0; 4]));
        assert_eq!(read.len(), 2);
    }
}
