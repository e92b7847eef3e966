//! A network's tensors between a model and a device.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::graph::{Graph, Parameter};
use overinterp_artifacts::ParameterTensor;

/// Why some tensors are not the weights of a graph.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// Tensors that the graph needs are not there, or have other shapes, or mean nothing to it.
    #[error("the weights do not fit the architecture: {}", .0.join("; "))]
    Mismatch(Vec<String>),
    /// The device failed.
    #[error("cannot move weights between the host and the device")]
    Device(#[from] candle_core::Error),
}

/// Checks that `tensors` are exactly those that `graph` asks for.
///
/// # Errors
/// When a tensor is missing, unknown or misshapen; the error names every one.
pub fn check(graph: &Graph, tensors: &BTreeMap<String, ParameterTensor>) -> Result<(), TensorsError> {
    let mut problems: Vec<String> = Vec::new();
    for Parameter { name, shape, .. } in graph.parameters() {
        match tensors.get(name) {
            None => problems.push(format!("{name} is missing")),
            Some(tensor) if tensor.shape != *shape || tensor.data.len() != shape.iter().product::<usize>() => {
                problems.push(format!("{name} has shape {:?}, not {shape:?}", tensor.shape));
            }
            Some(_) => {}
        }
    }
    let known: std::collections::BTreeSet<&str> = graph.parameters().iter().map(|p| p.name.as_str()).collect();
    problems.extend(tensors.keys().filter(|name| !known.contains(name.as_str())).map(|n| format!("{n} is unknown")));
    if problems.is_empty() { Ok(()) } else { Err(TensorsError::Mismatch(problems)) }
}

/// The sizes of a convolution's weights: outputs, inputs of each, height and width.
pub(super) fn conv_sizes(tensor: &ParameterTensor) -> candle_core::Result<[usize; 4]> {
    let sizes = tensor.shape.as_slice().try_into();
    sizes.or_else(|_| candle_core::bail!("weights of a convolution with sizes {:?}", tensor.shape))
}

/// Copies a tensor to a device.
pub(super) fn upload(tensor: &ParameterTensor, device: &Device) -> candle_core::Result<Tensor> {
    Tensor::from_slice(&tensor.data, tensor.shape.as_slice(), device)
}

/// Copies a tensor from its device.
pub(super) fn download(tensor: &Tensor) -> candle_core::Result<ParameterTensor> {
    Ok(ParameterTensor { shape: tensor.dims().to_vec(), data: tensor.flatten_all()?.to_vec1()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;
    use crate::init;
    use overinterp_spec::{Arch, ImageShape, Seed};

    #[test]
    fn every_tensor_that_does_not_fit_is_named() {
        let shape = ImageShape { height: 8, width: 8, channels: 1 };
        let graph = arch::build(Arch::Cnn, shape, 2).unwrap();
        let mut tensors = init::initial_tensors(&graph, Seed(0));
        assert!(check(&graph, &tensors).is_ok());
        let moved = tensors.remove("bn3.bias").unwrap();
        tensors.insert("bn7.bias".to_owned(), moved);
        tensors.get_mut("conv1.weight").unwrap().shape = vec![8, 9];
        assert_eq!(
            check(&graph, &tensors).unwrap_err().to_string(),
            "the weights do not fit the architecture: conv1.weight has shape [8, 9], not [8, 1, 3, 3]; \
             bn3.bias is missing; bn7.bias is unknown"
        );
    }
}
