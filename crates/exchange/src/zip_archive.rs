//! What `torch.save` writes today: a zip archive of uncompressed entries under one folder.
//!
//! `data.pkl` is the pickle, `data/KEY` one storage each, `byteorder` the order of bytes (absent: little).

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use zip::{CompressionMethod, ZipArchive};

use super::error::{Fault, Located, quote};
use super::listing::Listing;
use super::pickled::{File, Storages};
use super::tensor::ByteOrder;
use overinterp_foreign::pickle;
use overinterp_foreign::sniff::Foreign;

/// Whether the file begins as one.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads the pickle.
pub(super) fn open(bytes: &[u8]) -> Result<(Listing, File<'_>), Located> {
    let mut entries = Entries::open(bytes)?;
    let name = format!("{}data.pkl", entries.folder);
    let program = entries.get(&name)?;
    let pickle = pickle::read(program)
        .map_err(|error| Fault::from(error.fault).at(format!("{}, byte {}", quote(&name), error.byte)))?;
    let order = entries.byte_order()?;
    File::new(pickle, order, Storages::Archive(entries), bytes.len())
}

/// The archive, read in place.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    archive: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that entries may still have: entries that overlap could otherwise be read without end.
    left: u64,
    /// Storages that were read, by their keys.
    storages: BTreeMap<String, &'a [u8]>,
}

impl<'a> Entries<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Located> {
        let archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| Fault::from(error).at("the archive's directory"))?;
        let names: Vec<_> = archive.file_names().filter_map(Result::ok).collect();
        let folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned));
        let folder = folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(String::len);
        let has = |ending: &str| names.iter().any(|name| name.ends_with(ending));
        let fault = match &folder {
            // What `torch.jit.save` writes has the code of the model beside the pickle.
            Some(folder) if names.iter().any(|name| name.starts_with(&format!("{folder}code/"))) => Fault::TorchScript,
            Some(_) => {
                drop(names);
                let folder = folder.unwrap_or_default();
                return Ok(Self { bytes, archive, folder, left: bytes.len() as u64, storages: BTreeMap::new() });
            }
            None if has(".npy") => Fault::NumpyArchive,
            None if has("model.weights.h5") => Fault::Foreign(Foreign::Hdf5),
            None => Fault::NoPickle,
        };
        Err(fault.at("the archive's directory"))
    }

    /// The bytes of a storage.
    pub fn storage(&mut self, key: &str, expected: u64) -> Result<&'a [u8], Located> {
        if let Some(storage) = self.storages.get(key) {
            return Ok(storage);
        }
        let name = format!("{}data/{key}", self.folder);
        let storage = self.get(&name)?;
        let found = storage.len() as u64;
        if expected != found {
            return Err(Fault::StorageLength { expected, found }.at(quote(&name)));
        }
        self.storages.insert(key.to_owned(), storage);
        Ok(storage)
    }

    fn byte_order(&mut self) -> Result<ByteOrder, Located> {
        let name = format!("{}byteorder", self.folder);
        if self.archive.index_for_name(&name).is_none() {
            return Ok(ByteOrder::Little);
        }
        match self.get(&name)? {
            b"little" => Ok(ByteOrder::Little),
            b"big" => Ok(ByteOrder::Big),
            _ => Err(Fault::Unexpected { expected: "`little` or `big`", found: "another order" }.at(quote(&name))),
        }
    }

    /// The bytes of an entry, checked against its checksum.
    fn get(&mut self, name: &str) -> Result<&'a [u8], Located> {
        self.find(name).map_err(|fault| fault.at(quote(name)))
    }

    fn find(&mut self, name: &str) -> Result<&'a [u8], Fault> {
        let mut entry = self.archive.by_name(name)?;
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(Fault::Compressed);
        }
        let wanted = entry.size();
        let truncated = Fault::Truncated { wanted, left: self.left };
        let Some(left) = self.left.checked_sub(wanted) else { return Err(truncated) };
        io::copy(&mut entry, &mut io::sink())?;
        self.left = left;
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let found = start.and_then(|start| self.bytes.get(start..)?.get(..usize::try_from(wanted).ok()?));
        found.ok_or(truncated)
    }
}
