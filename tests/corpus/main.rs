//! The corpus of the fuzz targets, read by the same functions on any toolchain: what fuzzing once found stays found.
//!
//! `ACCEPT=1` writes the seeds anew (`seeds.rs`). Files whose names begin with `found-` are inputs that once did harm; nothing
//! writes them but the person who found them.

// What the targets call.
#[path = "../../fuzz/src/lib.rs"]
mod readers;
mod seeds;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of a target's corpus.
fn corpus(format: &str) -> Vec<PathBuf> {
    let folder = root().join("fuzz/corpus").join(format);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_of_the_corpus_is_read_or_refused() {
    for (format, read) in readers::FORMATS {
        if std::env::var_os("ACCEPT").is_some() {
            let folder = root().join("fuzz/corpus").join(format);
            fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in seeds::of(format) {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
        let files = corpus(format);
        assert!(!files.is_empty(), "{format} has no corpus");
        for path in files {
            let bytes = fs::read(&path).unwrap();
            assert!(catch_unwind(|| read(&bytes)).is_ok(), "{} does harm to its reader", path.display());
        }
    }
}

/// Fuzzing goes far in little time only from small files.
#[test]
fn the_corpus_is_small_and_every_format_has_its_target() {
    let targets = fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap().count();
    assert_eq!(targets, readers::FORMATS.len());
    for (format, _) in readers::FORMATS {
        assert!(root().join("fuzz/fuzz_targets").join(format).with_extension("rs").is_file(), "{format} has no target");
        let bytes: u64 = corpus(format).iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(bytes <= 64 << 10, "the corpus of {format} has {bytes} bytes");
    }
}

/// A byte changed, lost or doubled anywhere in a small seed: what a fuzzer tries first.
#[test]
fn no_single_change_of_a_seed_does_harm() {
    for (format, read) in readers::FORMATS {
        for path in corpus(format) {
            let bytes = fs::read(&path).unwrap();
            // Of those whose readers take longer fewer.
            let most = if matches!(format, "jpeg" | "picture" | "cifar" | "torch") { 40 } else { 200 };
            for place in (0..bytes.len()).step_by(1 + bytes.len() / most) {
                let flipped = [&bytes[..place], &[bytes[place] ^ (1 << (place % 8))], &bytes[place + 1..]].concat();
                let doubled = [&bytes[..=place], &bytes[place..]].concat();
                for changed in [flipped, doubled, bytes[..place].to_vec()] {
                    let harm = catch_unwind(|| read(&changed)).is_err();
                    assert!(!harm, "{} changed at byte {place} does harm to its reader", path.display());
                }
            }
        }
    }
}
