//! Pictures against Pillow's. `tests/fixtures/pictures/*.py` made the files and what Pillow makes of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::*;

/// The files of an archive by name.
fn fixtures(archive: &str) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/pictures").join(archive);
    let mut tar = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let files = tar.entries().unwrap().map(|entry| {
        let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    files.collect()
}

fn ends_in(name: &str, ending: &str) -> bool {
    name.rsplit('.').next() == Some(ending)
}

/// The picture in a PPM file as Pillow writes it: three words and lines of bytes.
fn ppm(bytes: &[u8]) -> RgbImage {
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end).collect();
    let size = std::str::from_utf8(&bytes[ends[0]..ends[1]]).unwrap();
    let size: Vec<u32> = size.split_whitespace().map(|word| word.parse().unwrap()).collect();
    RgbImage::from_raw(size[0], size[1], bytes[ends[2] + 1..].to_vec()).unwrap()
}

fn off(found: &RgbImage, expected: &RgbImage) -> u8 {
    assert_eq!(found.dimensions(), expected.dimensions());
    found.as_raw().iter().zip(expected.as_raw()).map(|(found, expected)| found.abs_diff(*expected)).max().unwrap()
}

fn message(bytes: &[u8]) -> String {
    decode(Path::new("x"), bytes, MostBytes::PHOTOGRAPH).unwrap_err().to_string()
}

/// Every file of both archives that is to be decoded.
fn sound() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fixtures("jpeg.tar.gz").into_iter().chain(fixtures("formats.tar.gz")).collect();
    let unsupported = ["other/twelve-bit.jpg", "other/lossless.jpg", "other/arithmetic.jpg"];
    files.retain(|(name, _)| !ends_in(name, "ppm") && !unsupported.contains(&name.as_str()));
    files
}

#[test]
fn jpeg_files_of_every_process_sampling_colour_and_scan_have_pillows_pixels() {
    for (archive, count) in [("jpeg.tar.gz", 162), ("jpeg_rare.tar.gz", 353)] {
        let files = fixtures(archive);
        let mut compared = 0;
        for (name, bytes) in files.iter().filter(|(name, _)| ends_in(name, "jpg")) {
            let stem = name.trim_end_matches(".jpg");
            let ends = ["-baseline", "-progressive"].map(|process| stem.find(process).unwrap_or(stem.len()));
            let Some(expected) = files.get(&format!("{}.ppm", &stem[..ends[0].min(ends[1])])) else { continue };
            let picture = decode(Path::new(name), bytes, MostBytes::PHOTOGRAPH).unwrap();
            assert_eq!(picture.channels(), if name.starts_with("grey") { 1 } else { 3 }, "{name}");
            let off = off(&picture.into_colour(), &ppm(expected));
            assert!(off == 0, "{name} is off by {off}");
            compared += 1;
        }
        assert_eq!(compared, count);
    }
}

#[test]
fn jpeg_files_that_are_not_decoded_say_what_they_are() {
    let files: BTreeMap<_, _> = fixtures("jpeg.tar.gz").into_iter().chain(fixtures("jpeg_rare.tar.gz")).collect();
    let scans = "whose scans leave some of the picture out, or tell it twice";
    for (name, kind) in [
        ("other/twelve-bit", "of 12 bits a channel"),
        ("other/lossless", "that is coded without loss"),
        ("other/arithmetic", "that is coded arithmetically"),
        ("refused/two-components", "of 2 components"),
        ("refused/broken-factors", "with a component whose sampling factor does not divide the largest"),
        ("refused/without-a-component", scans),
        ("refused/component-told-twice", scans),
        ("refused/imprecise", scans),
        ("refused/first-coefficients-alone", scans),
    ] {
        let message = message(&files[&format!("{name}.jpg")]);
        assert!(message.starts_with("x is damaged"), "{message}");
        assert!(message.contains(&format!("it is a JPEG file {kind}, which is not supported")), "{message}");
    }
}

#[test]
fn a_damaged_jpeg_file_is_refused_or_decoded_to_its_size() {
    let files = fixtures("jpeg_rare.tar.gz");
    for name in
        ["factors-11_11_22-baseline-several-restarts", "factors-22_21_12-progressive", "narrow-2x2-1x1-baseline-one"]
    {
        let bytes = &files[&format!("{name}.jpg")];
        let whole = decode(Path::new(name), bytes, MostBytes::PHOTOGRAPH).unwrap();
        let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let mut refused = 0;
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] = damaged[place].wrapping_mul(151).wrapping_add(place as u8);
            match decode(Path::new(name), &damaged, MostBytes::PHOTOGRAPH) {
                Ok(picture) => assert!(place < scan || picture.dimensions() == whole.dimensions(), "{name}: {place}"),
                Err(error) => {
                    assert!(error.to_string().starts_with(&format!("{name} is damaged")), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 20, "{name}: {refused}");
    }
}

#[test]
fn a_jpeg_file_of_nothing_but_scan_headers_is_refused_before_they_take_memory() {
    let bytes = &fixtures("jpeg_rare.tar.gz")["factors-11_11_22-baseline-several.jpg"];
    let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let header = &bytes[scan..scan + 10];
    let many = [&bytes[..scan], &header.repeat(4000), &[0xff, 0xd9]].concat();
    let message = message(&many);
    assert!(message.ends_with("it does not decode (there are more scans than anything to tell)"), "{message}");
}

#[test]
fn files_of_other_formats_have_pillows_pixels() {
    let files = fixtures("formats.tar.gz");
    let mut compared = 0;
    for (name, bytes) in files.iter().filter(|(name, _)| !ends_in(name, "ppm")) {
        let picture = decode(Path::new(name), bytes, MostBytes::PHOTOGRAPH).unwrap();
        let grey = (name.starts_with("grey") || name.starts_with("palette-grey")) && !ends_in(name, "webp");
        assert_eq!(picture.channels(), if grey { 1 } else { 3 }, "{name}");
        let off = off(&picture.into_colour(), &ppm(&files[&format!("{name}.ppm")]));
        // Pillow rounds five bits to eight otherwise.
        let most = u8::from(name == "555.bmp" || name == "565.bmp");
        assert!(off <= most, "{name} is off by {off}");
        compared += 1;
    }
    assert_eq!(compared, 54);
}

#[test]
fn a_file_cut_at_any_tenth_is_refused() {
    for (name, bytes) in sound() {
        let whole = decode(Path::new(&name), &bytes, MostBytes::PHOTOGRAPH).unwrap();
        for tenth in 0..10 {
            let cut = decode(Path::new(&name), &bytes[..bytes.len() * tenth / 10], MostBytes::PHOTOGRAPH);
            // Behind the first frame of an animation come only others.
            let is_all_there = name == "animated.gif" && cut.as_ref().is_ok_and(|picture| *picture == whole);
            assert!(cut.is_err() || is_all_there, "{tenth} tenths of {name}");
        }
    }
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, named) in [
        (&b"II*\0 and more"[..], "it is of format TIFF, expected PNG, JPEG, GIF, BMP or WebP; convert it"),
        (b"<!DOCTYPE html><html>", "it is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "`git lfs pull`"),
        (b"", "it is empty"),
        (b"\xd0\xcf\x11\xe0", "it is no picture"),
    ] {
        let message = message(bytes);
        assert!(message.starts_with("x is damaged") && message.contains(named), "{message}");
    }
}

/// The header of a PNG file of that size, and nothing else.
fn png_header(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([side.to_be_bytes(), side.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(chunk);
    bytes.extend(crc.sum().to_be_bytes());
    bytes.extend(b"\0\0\0\x00IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn a_picture_that_would_take_too_much_memory_is_refused_by_its_header() {
    let says =
        "its 20000x20000 (width x height) pixels take 1145 MiB to decode, and the limit is 192 MiB; scale it down";
    let found = message(&png_header(20_000));
    assert!(found.ends_with(says), "{found}");
    let files: BTreeMap<String, Vec<u8>> = sound().into_iter().collect();
    let large = 20_000_u16;
    let mut bmp = files["rgb.bmp"].clone();
    for place in [18, 22] {
        bmp[place..place + 4].copy_from_slice(&u32::from(large).to_le_bytes());
    }
    let mut gif = files["palette.gif"].clone();
    let mut jpegs = ["ycbcr-2x2-baseline-one.jpg", "ycbcr-2x2-baseline-several.jpg", "ycbcr-2x2-progressive-one.jpg"]
        .map(|name| files[name].clone());
    for place in [6, 8] {
        gif[place..place + 2].copy_from_slice(&large.to_le_bytes());
    }
    for jpeg in &mut jpegs {
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0] || pair == [0xff, 0xc2]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[large.to_be_bytes(), large.to_be_bytes()].concat());
    }
    for bytes in jpegs.into_iter().chain([bmp, gif]) {
        let found = message(&bytes);
        assert!(found.contains("its 20000x20000 (width x height) pixels take"), "{found}");
        assert!(found.contains("the limit is 192 MiB"), "{found}");
    }
}

#[test]
fn a_webp_picture_that_would_take_too_much_memory_is_refused_by_its_header() {
    // Lossless, of 14 bits for each side less one; behind them come whether there is alpha, and the version.
    let side = 16_000_u32;
    let sides = (side - 1) | (side - 1) << 14;
    let chunk = [&[0x2f], &sides.to_le_bytes()[..], &[0; 3]].concat();
    let inner = [b"WEBPVP8L", &(chunk.len() as u32).to_le_bytes()[..], &chunk].concat();
    let found = message(&[b"RIFF", &(inner.len() as u32).to_le_bytes()[..], &inner].concat());
    // Three bytes a pixel, and four of the values that they are made of.
    let says =
        "its 16000x16000 (width x height) pixels take 1709 MiB to decode, and the limit is 192 MiB; scale it down";
    assert!(found.ends_with(says), "{found}");
}

#[test]
fn only_files_whose_pixels_were_others_before_are_of_a_later_version() {
    for (name, bytes) in sound() {
        let is_wide = name.starts_with("rgb-16") || ["rgba-16.png", "grey-alpha-16.png"].contains(&name.as_str());
        let expected = if ends_in(&name, "jpg") {
            3
        } else if is_wide {
            2
        } else {
            1
        };
        assert_eq!(version(&bytes), expected, "{name}");
    }
}
