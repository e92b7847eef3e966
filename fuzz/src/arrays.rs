//! numpy's array files, and archives of them.

use std::path::Path;

use overinterp_exchange::{GradientFile, PackedFile, SelectionFile};
use overinterp_foreign::numpy::{Array, ArrayHeader, Exact};

use super::folder::Folder;
use super::seen;

/// Elements that an array may have here, so that an input is soon done with.
const MOST: usize = 1 << 20;

/// Reads an array as each type that is asked for, or an archive as each file that may be one.
pub fn npy(bytes: &[u8]) {
    if bytes.starts_with(b"PK") {
        archive(bytes);
        return;
    }
    if let Some(header) = seen(ArrayHeader::read(&mut &bytes[..])) {
        std::hint::black_box((header.elements(), seen(header.element_type()), header.to_bytes()));
    }
    array::<bool>(bytes);
    array::<i64>(bytes);
    array::<f64>(bytes);
}

fn array<T: Exact>(mut bytes: &[u8]) {
    let Some(array) = seen(Array::<T>::read(&mut bytes, MOST)) else { return };
    assert_eq!(
        array.shape.iter().product::<usize>(),
        array.elements.len(),
        "an array has other elements than its shape"
    );
}

fn archive(bytes: &[u8]) {
    let path = Path::new("selection.npz");
    if let Some(selection) = seen(SelectionFile::of_bytes(bytes, path)) {
        let all = selection.mask().len();
        assert!(
            selection.order().iter().chain(selection.sis()).all(|&pixel| (pixel as usize) < all),
            "a pixel is outside"
        );
        std::hint::black_box((selection.values().len(), selection.candidates().map(<[f64]>::len)));
    }
    if let Some(selection) = seen(GradientFile::of_bytes(bytes, path)) {
        std::hint::black_box((selection.confidences().len(), selection.order().len()));
    }
    let folder = Folder::new();
    let path = folder.write("packed.npz", bytes);
    if let Some(packed) = seen(PackedFile::open(&path)) {
        let pixels = packed.height().saturating_mul(packed.width());
        seen(packed.for_each(
            |_| true,
            |row| {
                assert!(row.order.iter().all(|&pixel| (pixel as usize) < pixels), "a pixel is outside");
                assert!(row.sis_size.is_none_or(|size| size <= row.order.len()), "a subset is longer than its order");
                true
            },
        ));
    }
}
