//! MD5, in which the data sets' authors publish their checksums. It guards against accidents, not against malice.

use std::fmt::Write;
use std::io::{self, Read};

use md5::{Digest, Md5};

/// The MD5 of `bytes`, in lower-case hexadecimal.
pub(super) fn md5(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes))
}

/// The MD5 of what a reader has left.
pub(super) fn md5_of(reader: &mut impl Read) -> io::Result<String> {
    let mut digest = Md5::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(hexadecimal(&digest.finalize()));
        }
        digest.update(&chunk[..count]);
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
