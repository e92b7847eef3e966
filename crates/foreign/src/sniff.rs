//! Files that stand where another was meant, told by their content: each with what it is and what to do.
//!
//! Downloads leave such files behind: the pointer of a repository that keeps large files elsewhere, the page of a web
//! site that wanted a login first, an archive that is still packed.

use std::fmt;

/// What a file is, other than what was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It has no bytes.
    Empty,
    /// The pointer that Git LFS keeps in place of a large file.
    LfsPointer,
    /// A web page.
    WebPage,
    /// Text that begins with `{` or `[`, as JSON does.
    Json,
    /// XML, such as the error message of a file server.
    Xml,
    /// Some other text.
    Text,
    /// Packed by gzip.
    Gzip,
    /// Packed by bzip2.
    Bzip2,
    /// Packed by xz.
    Xz,
    /// Packed by zstd.
    Zstd,
    /// A 7-Zip archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
    /// An array that numpy saved.
    NumpyArray,
    /// An HDF5 file.
    Hdf5,
    /// An ONNX model.
    Onnx,
    /// A GGUF model.
    Gguf,
    /// A PDF document.
    Pdf,
    /// A picture in the format PNG or JPEG.
    Picture,
}

/// Bytes of a file that [`Foreign::of`] looks at.
pub const LOOKED_AT: usize = 1024;

impl Foreign {
    /// What a file is by its first bytes (at least [`LOOKED_AT`] of them, if it has so many); `None` if they are none of
    /// these.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Foreign); 15] = [
            (b"version https://git-lfs.github.com/spec/", Foreign::LfsPointer),
            (b"version https://hawser.github.com/spec/", Foreign::LfsPointer),
            (b"\x1f\x8b", Foreign::Gzip),
            (b"BZh", Foreign::Bzip2),
            (b"\xfd7zXZ\0", Foreign::Xz),
            (b"\x28\xb5\x2f\xfd", Foreign::Zstd),
            (b"7z\xbc\xaf\x27\x1c", Foreign::SevenZip),
            (b"Rar!\x1a\x07", Foreign::Rar),
            (b"PK\x03\x04", Foreign::Zip),
            (b"\x93NUMPY", Foreign::NumpyArray),
            (b"\x89HDF\r\n\x1a\n", Foreign::Hdf5),
            (b"GGUF", Foreign::Gguf),
            (b"%PDF-", Foreign::Pdf),
            (b"\x89PNG\r\n\x1a\n", Foreign::Picture),
            (b"\xff\xd8\xff", Foreign::Picture),
        ];
        let start = &bytes[..bytes.len().min(LOOKED_AT)];
        if start.is_empty() {
            return Some(Self::Empty);
        }
        if let Some((_, foreign)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Some(*foreign);
        }
        if start.get(257..262) == Some(b"ustar") {
            return Some(Self::Tar);
        }
        if is_onnx(start) {
            return Some(Self::Onnx);
        }
        Self::of_text(start, bytes.len() > start.len())
    }

    /// What stands in place of a file whose form is known and was not found: a pointer or a server's answer. Texts without
    /// a form and other kinds of file are none of these.
    #[must_use]
    pub fn in_place(bytes: &[u8]) -> Option<Self> {
        Self::of(bytes).filter(|foreign| matches!(foreign, Self::LfsPointer | Self::WebPage | Self::Xml | Self::Json))
    }

    fn of_text(start: &[u8], goes_on: bool) -> Option<Self> {
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        let text = match std::str::from_utf8(start) {
            Ok(text) => text,
            // The last character may be cut.
            Err(error) if goes_on && error.error_len().is_none() => {
                std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return None,
        };
        if text.chars().any(|letter| letter.is_control() && !letter.is_whitespace()) {
            return None;
        }
        let lower = text.trim_start().to_ascii_lowercase();
        Some(match lower.as_bytes() {
            _ if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.contains("<html") => {
                Self::WebPage
            }
            _ if lower.starts_with("<!--") || lower.starts_with("<head") || lower.starts_with("<body") => Self::WebPage,
            [b'<', ..] => Self::Xml,
            [b'{' | b'[', ..] => Self::Json,
            _ => Self::Text,
        })
    }
}

/// ONNX has no magic number: field 1, the version of its representation, then field 2, the producer's name, or field 7,
/// the graph.
fn is_onnx(start: &[u8]) -> bool {
    match start {
        [0x08, 1..=20, 0x12, length @ 1..=64, rest @ ..] => {
            rest.get(..usize::from(*length)).is_some_and(|name| name.iter().all(u8::is_ascii_graphic))
        }
        [0x08, 1..=20, 0x3a, ..] => true,
        _ => false,
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty; copy or download it again",
            Self::LfsPointer => {
                "this is a Git LFS pointer, which stands for the file and is not the file; fetch the file itself with \
                 `git lfs pull`, or from the web page's download button"
            }
            Self::WebPage => {
                "this is an HTML page, not the file; the download was probably answered by a page for people (a login, \
                 a warning, an error): download the file itself"
            }
            Self::Xml => "this is XML text, probably an answer of the server in place of the file; download it again",
            Self::Json => "this is JSON text, not the file itself; an index or an answer of a server looks so",
            Self::Text => "this is plain text, not the file itself",
            Self::Gzip => {
                "this is packed by gzip; unpack it first (`gunzip`, or `tar xf` if there is a tar archive in it)"
            }
            Self::Bzip2 => "this is packed by bzip2; unpack it first (`bunzip2`, or `tar xf`)",
            Self::Xz => "this is packed by xz; unpack it first (`unxz`, or `tar xf`)",
            Self::Zstd => "this is packed by zstd; unpack it first (`unzstd`, or `tar xf`)",
            Self::SevenZip => "this is a 7-Zip archive; unpack it first",
            Self::Rar => "this is a RAR archive; unpack it first",
            Self::Tar => "this is a tar archive; unpack it first (`tar xf`)",
            Self::Zip => "this is a zip archive; unpack it first",
            Self::NumpyArray => "this is a single array that numpy saved",
            Self::Hdf5 => "this is an HDF5 file, as Keras and MATLAB write",
            Self::Onnx => "this is an ONNX model",
            Self::Gguf => "this is a GGUF model",
            Self::Pdf => "this is a PDF document",
            Self::Picture => "this is a picture",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[..5].copy_from_slice(b"a.txt");
        tar[257..262].copy_from_slice(b"ustar");
        let long_page = format!("\n <!DOCTYPE HTML><p>{}", "\u{e9}".repeat(LOOKED_AT));
        for (bytes, foreign) in [
            (&b""[..], Foreign::Empty),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", Foreign::LfsPointer),
            (b"<html lang=\"en\">", Foreign::WebPage),
            (long_page.as_bytes(), Foreign::WebPage),
            (b"<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"\"><html>", Foreign::WebPage),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", Foreign::Xml),
            (b"\xef\xbb\xbf{\"weight_map\": {}}", Foreign::Json),
            (b"Not Found\n", Foreign::Text),
            (b"\x1f\x8b\x08\0", Foreign::Gzip),
            (&tar, Foreign::Tar),
            (b"\x08\x08\x12\x07pytorch\x1a\x05", Foreign::Onnx),
            (b"\x89HDF\r\n\x1a\n\0", Foreign::Hdf5),
        ] {
            assert_eq!(Foreign::of(bytes), Some(foreign), "{:?}", String::from_utf8_lossy(bytes));
        }
        for bytes in [&b"\x80\x02}."[..], b"\0\0\x08\x03\0\0", b"a\0b", b"\xff\xfe\xfd"] {
            assert_eq!(Foreign::of(bytes), None, "{bytes:?}");
        }
    }
}
