//! What `torch.save` wrote up to PyTorch 1.5, and still writes with `_use_new_zipfile_serialization=False`.
//!
//! Five pickles in a row (a magic number, the format's version, facts on the machine, the object, the storages'
//! keys), then each storage: its number of elements in 8 bytes, and the elements. Source: PyTorch's
//! `torch/serialization.py`, `_legacy_save`.

use std::collections::BTreeMap;

use super::error::{Fault, Located, quote};
use super::pickle::{self, Bytes, Pickle, Value};
use super::state_dict::{self, Storages};
use super::tensor::ByteOrder;
use crate::artifacts::ParameterTensor;

/// `MAGIC_NUMBER`.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Bytes of the magic number.
const MAGIC_BYTES: usize = 10;
/// `PROTOCOL_VERSION`.
const VERSION: i128 = 1001;
/// Where the magic number has begun at the latest, whatever the pickle's protocol.
const MAGIC_WITHIN: usize = 32;

/// Whether the file begins as one: a pickle that holds the magic number.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(MAGIC_WITHIN)];
    start.first() == Some(&0x80)
        && start.windows(MAGIC_BYTES).any(|window| window == &MAGIC.to_le_bytes()[..MAGIC_BYTES])
}

/// Reads every tensor.
pub(super) fn read(file: &[u8]) -> Result<BTreeMap<String, ParameterTensor>, Located> {
    let mut bytes = Bytes::new(file);
    expect(&load(&mut bytes, "the magic number")?, MAGIC).map_err(|fault| fault.at("the magic number"))?;
    expect(&load(&mut bytes, "the format's version")?, VERSION).map_err(|fault| fault.at("the format's version"))?;
    let machine = load(&mut bytes, "the facts on the machine")?;
    check_byte_order(&machine).map_err(|fault| fault.at("the facts on the machine"))?;
    let object = load(&mut bytes, "the object's pickle")?;
    let keys = load(&mut bytes, "the list of storages")?;
    let storages = Storages {
        order: ByteOrder::Little,
        bytes: read_storages(&mut bytes, &object, &keys)?,
        most_elements: file.len() as u64,
    };
    state_dict::tensors(&object, &storages)
}

/// Runs the next pickle.
fn load(bytes: &mut Bytes<'_>, part: &str) -> Result<Pickle, Located> {
    let start = bytes.position();
    pickle::load(bytes).map_err(|error| error.fault.at(format!("{part}, byte {} of the file", start + error.byte)))
}

fn expect(pickle: &Pickle, number: i128) -> Result<(), Fault> {
    match pickle.value(pickle.root()) {
        Value::Int(found) if *found == number => Ok(()),
        Value::Int(_) => Err(Fault::Unexpected { expected: "PyTorch's number", found: "another" }),
        other => Err(other.instead_of("an integer")),
    }
}

fn check_byte_order(machine: &Pickle) -> Result<(), Fault> {
    let Value::Dict(facts) = machine.value(machine.root()) else {
        return Err(machine.value(machine.root()).instead_of("a dict"));
    };
    let order = facts.iter().find(|&&(key, _)| machine.text(key).is_ok_and(|key| key == "little_endian"));
    match order.map(|&(_, order)| machine.value(order)) {
        Some(Value::Bool(true)) => Ok(()),
        Some(Value::Bool(false)) => Err(Fault::BigEndian),
        _ => Err(Fault::Unexpected { expected: "`little_endian`", found: "no such fact" }),
    }
}

/// Cuts the storages out of the file, in the order of their keys.
fn read_storages<'a>(
    bytes: &mut Bytes<'a>,
    object: &'a Pickle,
    keys: &Pickle,
) -> Result<BTreeMap<&'a str, &'a [u8]>, Located> {
    let announced = state_dict::announced(object)?;
    let mut storages = BTreeMap::new();
    for &key in keys.items(keys.root()).map_err(|fault| fault.at("the list of storages"))? {
        let key = keys.text(key).map_err(|fault| fault.at("the list of storages"))?;
        let place = || format!("storage {}, byte {} of the file", quote(key), bytes.position());
        let Some((&key, announced)) = announced.get_key_value(key) else {
            return Err(Fault::MissingStorage(quote(key)).at("the object's pickle"));
        };
        let place = place();
        let storage = (|| {
            let count = i64::from_le_bytes(bytes.array()?);
            if usize::try_from(count).ok() != Some(announced.elements()) {
                return Err(Fault::Extent(count.into()));
            }
            bytes.take(announced.bytes())
        })();
        storages.insert(key, storage.map_err(|fault| fault.at(place))?);
    }
    Ok(storages)
}
