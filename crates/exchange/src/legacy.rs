//! What `torch.save` wrote up to PyTorch 1.5, and still writes with `_use_new_zipfile_serialization=False`.
//!
//! Five pickles in a row (a magic number, the format's version, facts on the machine, the object, the storages'
//! keys), then each storage: its number of elements in 8 bytes, and the elements. Source: PyTorch's
//! `torch/serialization.py`, `_legacy_save`.

use std::collections::BTreeMap;

use super::error::{Fault, Located, quote};
use super::listing::Listing;
use super::pickled::{File, Storages, announced};
use super::tensor::ByteOrder;
use overinterp_foreign::pickle::{self, Bytes, Pickle, Value};

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

/// Whether the file begins as the tar archive that PyTorch 0.1 wrote.
pub(super) fn is_of_first_pytorch(bytes: &[u8]) -> bool {
    const MEMBERS: [&[u8]; 4] = [b"sys_info\0", b"pickle\0", b"storages\0", b"tensors\0"];
    bytes.get(257..262) == Some(b"ustar") && MEMBERS.iter().any(|member| bytes.starts_with(member))
}

/// Reads the pickles and finds the storages.
pub(super) fn open(file: &[u8]) -> Result<(Listing, File<'_>), Located> {
    let mut bytes = Bytes::new(file);
    expect(&load(&mut bytes, "the magic number")?, MAGIC).map_err(|fault| fault.at("the magic number"))?;
    expect(&load(&mut bytes, "the format's version")?, VERSION).map_err(|fault| fault.at("the format's version"))?;
    let machine = load(&mut bytes, "the facts on the machine")?;
    check_byte_order(&machine).map_err(|fault| fault.at("the facts on the machine"))?;
    let object = load(&mut bytes, "the object's pickle")?;
    let keys = load(&mut bytes, "the list of storages")?;
    let storages = read_storages(&mut bytes, &object, &keys)?;
    File::new(object, ByteOrder::Little, Storages::Read(storages), file.len())
}

/// Runs the next pickle.
fn load<'a>(bytes: &mut Bytes<'a>, part: &str) -> Result<Pickle<'a>, Located> {
    let start = bytes.position();
    pickle::load(bytes)
        .map_err(|error| Fault::from(error.fault).at(format!("{part}, byte {} of the file", start + error.byte)))
}

fn expect(pickle: &Pickle<'_>, number: i128) -> Result<(), Fault> {
    match pickle.value(pickle.root()) {
        Value::Int(found) if *found == number => Ok(()),
        Value::Int(_) => Err(Fault::Unexpected { expected: "PyTorch's number", found: "another" }),
        _ => Err(pickle.instead_of("an integer", pickle.root()).into()),
    }
}

fn check_byte_order(machine: &Pickle<'_>) -> Result<(), Fault> {
    match machine.get(machine.root(), "little_endian").map(|order| machine.value(order)) {
        Some(Value::Bool(true)) => Ok(()),
        Some(Value::Bool(false)) => Err(Fault::BigEndian),
        _ => Err(Fault::Unexpected { expected: "`little_endian`", found: "no such fact" }),
    }
}

/// Cuts the storages out of the file, in the order of their keys.
fn read_storages<'a>(
    bytes: &mut Bytes<'a>,
    object: &Pickle<'_>,
    keys: &Pickle<'_>,
) -> Result<BTreeMap<String, &'a [u8]>, Located> {
    let announced = announced(object)?;
    let mut storages = BTreeMap::new();
    for &key in keys.items(keys.root()).map_err(|fault| Fault::from(fault).at("the list of storages"))? {
        let key = keys.text(key).map_err(|fault| Fault::from(fault).at("the list of storages"))?;
        let place = || format!("storage {}, byte {} of the file", quote(key), bytes.position());
        let Some(announced) = announced.get(key) else {
            return Err(Fault::MissingStorage(quote(key)).at("the object's pickle"));
        };
        let place = place();
        let storage = (|| {
            let count = i64::from_le_bytes(bytes.array()?);
            let found = announced.resized(usize::try_from(count).map_err(|_| pickle::Fault::Extent(count.into()))?);
            if found != *announced {
                return Err(Fault::StorageLength { expected: announced.bytes(), found: found.bytes() });
            }
            Ok(bytes.take(announced.bytes())?)
        })();
        storages.insert(key.to_owned(), storage.map_err(|fault| fault.at(place))?);
    }
    Ok(storages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::ParameterTensor;

    /// A file of one tensor `w`, of float32 in a storage that is announced with `announced` elements, counted with
    /// `counted` and followed by `stored`.
    struct Example {
        announced: i32,
        counted: i64,
        stored: Vec<f32>,
        offset: i32,
        shape: Vec<i32>,
        strides: Vec<i32>,
    }

    impl Example {
        /// Four elements, all of them in the tensor.
        fn sound() -> Self {
            let stored = vec![0.5, 1.5, 2.5, 3.5];
            Self { announced: 4, counted: 4, stored, offset: 0, shape: vec![2, 2], strides: vec![2, 1] }
        }

        fn read(&self) -> Result<ParameterTensor, Located> {
            let mut file = b"\x80\x02\x8a\x0a".to_vec();
            file.extend(&MAGIC.to_le_bytes()[..MAGIC_BYTES]);
            file.extend(b".\x80\x02M\xe9\x03.\x80\x02}U\x0dlittle_endian\x88s.");
            file.extend(
                b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpu",
            );
            integer(&mut file, self.announced);
            file.extend(b"NtQ");
            integer(&mut file, self.offset);
            for extents in [&self.shape, &self.strides] {
                file.push(b'(');
                for &extent in extents {
                    integer(&mut file, extent);
                }
                file.push(b't');
            }
            file.extend(b"\x89NtRs.\x80\x02]U\x01ka.");
            file.extend(self.counted.to_le_bytes());
            self.stored.iter().for_each(|element| file.extend(element.to_le_bytes()));
            assert!(recognises(&file));
            let (listing, mut opened) = open(&file)?;
            let value = listing.named["w"].value.expect("it is in the pickle");
            opened.tensor(value).map_err(|found| found.at("tensor w".to_owned()))
        }
    }

    fn integer(file: &mut Vec<u8>, number: i32) {
        file.push(b'J');
        file.extend(number.to_le_bytes());
    }

    #[test]
    fn the_file_that_the_others_are_made_from_is_sound() {
        let tensor = Example::sound().read().unwrap();
        assert_eq!(tensor, ParameterTensor { shape: vec![2, 2], data: vec![0.5, 1.5, 2.5, 3.5] });
    }

    #[test]
    fn negative_offsets_sizes_and_strides_are_refused_at_the_tensor() {
        for file in [
            Example { offset: -1, ..Example::sound() },
            Example { shape: vec![-2, 2], ..Example::sound() },
            Example { strides: vec![2, -1], offset: 1, ..Example::sound() },
        ] {
            let Located { place, fault } = file.read().unwrap_err();
            assert_eq!(place, "tensor w");
            assert!(matches!(fault, Fault::Pickle(pickle::Fault::Extent(..0))), "{fault}");
        }
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        for file in [
            Example { offset: 1, ..Example::sound() },
            Example { strides: vec![3, 1], ..Example::sound() },
            Example { shape: vec![3, 2], ..Example::sound() },
        ] {
            assert!(matches!(file.read().unwrap_err().fault, Fault::BeyondStorage { elements: 4 }));
        }
    }

    #[test]
    fn a_tensor_that_repeats_one_element_a_billion_times_is_refused() {
        let file = Example { shape: vec![1 << 30], strides: vec![0], ..Example::sound() };
        assert!(matches!(file.read().unwrap_err().fault, Fault::TooLarge { .. }));
        let file = Example { shape: vec![i32::MAX; 64], strides: vec![0; 64], ..Example::sound() };
        assert!(matches!(file.read().unwrap_err().fault, Fault::TooLarge { .. }));
    }

    #[test]
    fn more_dimensions_than_pytorch_has_or_too_few_strides_are_refused() {
        let file = Example { shape: vec![1; 65], strides: vec![0; 65], ..Example::sound() };
        assert!(matches!(file.read().unwrap_err().fault, Fault::Rank(65)));
        let file = Example { strides: vec![1], ..Example::sound() };
        assert!(matches!(file.read().unwrap_err().fault, Fault::Strides { shape: 2, strides: 1 }));
    }

    #[test]
    fn storages_that_are_shorter_than_announced_are_refused_by_their_key() {
        for (file, expected, found) in [
            (Example { counted: 5, ..Example::sound() }, 16, 20),
            (Example { announced: 5, ..Example::sound() }, 20, 16),
        ] {
            let Located { place, fault } = file.read().unwrap_err();
            assert!(place.starts_with("storage k, byte "), "{place}");
            let lengths = (expected, found);
            assert!(
                matches!(fault, Fault::StorageLength { expected, found } if (expected, found) == lengths),
                "{fault}"
            );
        }
        let file = Example { counted: -1, ..Example::sound() };
        assert!(matches!(file.read().unwrap_err().fault, Fault::Pickle(pickle::Fault::Extent(-1))));
        let file = Example { announced: i32::MAX, counted: i32::MAX.into(), ..Example::sound() };
        assert!(matches!(
            file.read().unwrap_err().fault,
            Fault::Pickle(pickle::Fault::Truncated { wanted: 0x1_ffff_fffc, left: 16 })
        ));
    }
}
