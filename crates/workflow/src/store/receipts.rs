//! What was found and said when a run ended that had nothing to do. Each receipt is one file, called by a hash of all that the
//! run depended on; what it says is the program's. A receipt without its seal is none.

use std::fs;
use std::time::SystemTime;

use super::{Store, files};
use overinterp_foreign::bounded;

/// The folder of receipts.
pub(super) const RECEIPTS: &str = "receipts";
/// That of a hundred thousand steps has 8 MB.
const LARGEST: u64 = 1 << 30;
/// So many are kept, those that were left last.
const MOST: usize = 32;

impl Store {
    /// The receipt of that name; `None` where there is none that can be believed.
    #[must_use]
    pub fn receipt(&self, name: blake3::Hash) -> Option<Vec<u8>> {
        let path = self.base.join(RECEIPTS).join(name.to_hex().as_str());
        let mut bytes = files::read_small(&path, LARGEST).ok()??;
        let body = bytes.len().checked_sub(blake3::OUT_LEN)?;
        let is_whole = blake3::hash(&bytes[..body]) == blake3::Hash::from_slice(&bytes[body..]).ok()?;
        bytes.truncate(body);
        is_whole.then_some(bytes)
    }

    /// Leaves a receipt, and lets the oldest go. Where nothing can be written, none is left.
    pub fn leave_receipt(&self, name: blake3::Hash, mut bytes: Vec<u8>) {
        let seal = blake3::hash(&bytes);
        bytes.extend(seal.as_bytes());
        let dir = self.base.join(RECEIPTS);
        if bytes.len() as u64 > LARGEST || bounded::replace(&dir.join(name.to_hex().as_str()), &bytes).is_err() {
            return;
        }
        let there = files::list(&dir).unwrap_or_default().into_iter().filter(|(name, _)| super::places::is_hash(name));
        let mut there: Vec<(SystemTime, String)> =
            there.map(|(name, metadata)| (metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), name)).collect();
        there.sort_unstable();
        let too_many = there.len().saturating_sub(MOST);
        for (_, name) in there.into_iter().take(too_many) {
            let _ = fs::remove_file(dir.join(name));
        }
    }
}
