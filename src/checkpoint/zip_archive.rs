//! What `torch.save` writes today: a zip archive of uncompressed entries under one folder.
//!
//! `data.pkl` is the pickle, `data/KEY` one storage each, `byteorder` the order of bytes (absent: little).

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use zip::{CompressionMethod, ZipArchive};

use super::error::{Fault, Located, quote};
use super::state_dict::{self, Storages};
use super::tensor::ByteOrder;
use crate::artifacts::ParameterTensor;
use crate::pickle;

/// Whether the file begins as one.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads every tensor.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, ParameterTensor>, Located> {
    let mut entries = Entries::open(bytes)?;
    let name = format!("{}data.pkl", entries.folder);
    let program = entries.get(&name)?;
    let pickle = pickle::read(program)
        .map_err(|error| Fault::from(error.fault).at(format!("{}, byte {}", quote(&name), error.byte)))?;
    let order = entries.byte_order()?;
    let mut storages = BTreeMap::new();
    for (key, announced) in state_dict::announced(&pickle)? {
        let name = format!("{}data/{key}", entries.folder);
        let storage = entries.get(&name)?;
        let (expected, found) = (announced.bytes(), storage.len() as u64);
        if expected != found {
            return Err(Fault::StorageLength { expected, found }.at(quote(&name)));
        }
        storages.insert(key, storage);
    }
    state_dict::tensors(&pickle, &Storages { order, bytes: storages, most_elements: bytes.len() as u64 })
}

/// The archive, read in place.
struct Entries<'a> {
    bytes: &'a [u8],
    archive: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that entries may still have: entries that overlap could otherwise be read without end.
    left: u64,
}

impl<'a> Entries<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Located> {
        let archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| Fault::from(error).at("the archive's directory"))?;
        let folders = archive.file_names().filter_map(Result::ok);
        let folders = folders.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned));
        let folder = folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(String::len);
        let folder = folder.ok_or_else(|| Fault::NoPickle.at("the archive's directory"))?;
        Ok(Self { bytes, archive, folder, left: bytes.len() as u64 })
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
