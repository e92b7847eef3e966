//! Small sound files of every format, as seeds: of our own bytes, or from `tests/fixtures`, where scripts made them.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use image::{DynamicImage, ImageFormat};
use overinterp_foreign::numpy::{Array, Stored};

use super::readers;

/// A name and what the file has.
type Seed = (String, Vec<u8>);

/// The seeds of a format.
pub fn of(format: &str) -> Vec<Seed> {
    match format {
        "answers" => texts(&[
            ("sheet.csv", "file,answer\n1.png,cat\n2.png,\n\"3.png\",\"a, b\"\n"),
            ("sheet-of-a-spreadsheet.csv", "\u{feff}File;Answer;\r\n1.png;Hund;\r\n"),
            ("key.csv", "file,image,fraction,label,shown\n1.png,7,0.05,cat,0123456789abcdef\n"),
            ("predictions.csv", "0,3,0.99\n1,9,1e-3\n"),
            ("predictions-of-pandas.csv", ",index,class,confidence\n0,0,3.0,0.5\n1,1,2.0,0.25\n"),
            ("answers.json", ANSWERS),
        ]),
        "config" => texts(&[
            ("small.toml", SMALL),
            (
                "with-sets.toml",
                &format!("{SMALL}\n--set\nsweep.seed=[1]\nstage.full.recipe.epochs=2\ndata.d.limit.train=9\n"),
            ),
            (
                "faulty.toml",
                "name = \"é\"\n[sweep]\nseed = []\n[stage.a]\nkind = \"trian\"\nmodel = \"${b}\"\n[figure.ü]\n",
            ),
            ("analyses.toml", &invalid("analyses_that_cannot_be.toml")),
            ("extends.toml", "extends = [\"other.toml\"]\nname = \"x\"\n"),
        ]),
        "index" => texts(&[
            ("known", &format!("overinterp data index 3\nFILES {} own 7 8 8 3 0,2\n", "0123456789abcdef".repeat(4))),
            ("others", &format!("overinterp data index 3\n{0} {0} official 9 28 28 1\n", "fedcba9876543210".repeat(4))),
            ("older", "overinterp data index 2\n\n"),
        ]),
        "manifest" => texts(&[
            ("step.json", readers::RECORD),
            ("manifest.json", MANIFEST),
            ("values.json", "[1.5,{\"b\":[],\"a\":null}]"),
        ]),
        "cache-index" => vec![("of-one-step".to_owned(), readers::index_of_a_cache())],
        "idx" => idx(),
        "cifar" => cifar(),
        "jpeg" => jpeg(),
        "picture" => pictures(),
        "npy" => npy(),
        "pickle" => [
            fixtures("checkpoints", &["plain.pickle", "arrays.protocol2.pkl", "arrays.protocol5.pkl"]),
            texts(&[("protocol-0", "(dp0\nS'a'\np1\n(lp2\nI1\naF2.5\naNasS'b'\nL3L\ns.")]),
        ]
        .concat(),
        "safetensors" => {
            fixtures("checkpoints", &["f16.safetensors", "bf16.safetensors", "f32.safetensors", "f64.safetensors"])
        }
        "torch" => fixtures(
            "checkpoints",
            &[
                "module.legacy.pt",
                "float16.legacy.pt",
                "integers.legacy.pt",
                "views.legacy.pt",
                "wrapped.legacy.pt",
                "malicious.zip.pt",
                "compressed.zip.pt",
                "views.zip.pt",
                "parallel.zip.pt",
                "script.pt",
            ],
        ),
        other => panic!("{other} has no seeds"),
    }
}

const SMALL: &str = r#"name = "small"
description = "A seed."

[sweep]
seed = [0, 1]

[data.d]
kind = "mnist"
limit = { train = 64, test = 16 }

[stage.full]
kind = "train"
images = "d.train"
arch = "cnn"
seed = "${seed}"
recipe = { epochs = 1, batch = 64, lr = 0.1, milestones = [1], gamma = 0.2, augment = "none" }

[stage.ranking]
kind = "select"
model = "full"
images = ["d.test"]
method = { kind = "batched-gradient", per-round = 28, noise = 0.0 }

[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.05

[stage.accuracy]
kind = "evaluate"
pairs = [{ model = "full", images = "subset.test" }]

[table.accuracy]
title = "A table"
columns = "seed"
rows = [{ label = "full", model = "full", images = "subset.test" }]

[claim.high]
says = "It is high."
check = [{ model = "full", images = "subset.test", at-least = 0.5 }]
"#;

const ANSWERS: &str = r#"{"keep": 0.05, "classes": 3, "pictures": [{"image": 0, "label": 1, "answer": 2}, {"image": 4, "label": 0, "answer": null}]}"#;

const MANIFEST: &str = r#"{"kind":"mask","settings":{"keep":0.05,"ranking":["select-v1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]},"version":1}"#;

fn texts(named: &[(&str, &str)]) -> Vec<Seed> {
    named.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn invalid(name: &str) -> String {
    fs::read_to_string(folder("invalid").join(name)).unwrap()
}

fn fixtures(of: &str, names: &[&str]) -> Vec<Seed> {
    names.iter().map(|name| ((*name).to_owned(), fs::read(folder("fixtures").join(of).join(name)).unwrap())).collect()
}

/// Those members of a `.tar.gz` among the fixtures whose file names are asked for.
fn members(archive: &str, names: &[&str]) -> Vec<Seed> {
    let file = fs::File::open(folder("fixtures").join(archive)).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let members = archive.entries().unwrap().filter_map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        names.contains(&&*name).then(|| entry.read_to_end(&mut bytes).unwrap())?;
        Some((name, bytes))
    });
    let members: Vec<Seed> = members.collect();
    assert_eq!(members.len(), names.len(), "{names:?}");
    members
}

fn idx() -> Vec<Seed> {
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[9; 12]].concat();
    let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 1, 2];
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&images).unwrap();
    let packed = packed.finish().unwrap();
    vec![("images".to_owned(), images), ("labels".to_owned(), labels), ("images.gz".to_owned(), packed)]
}

fn cifar() -> Vec<Seed> {
    let record = [&[3][..], &[100; 3072]].concat();
    let mut seeds = vec![("record.bin".to_owned(), record), ("names.txt".to_owned(), b"cat\ndog\n".to_vec())];
    seeds.extend(members("cifar/cifar10-python2-protocol2.tar.gz", &["test_batch", "batches.meta"]));
    let archives = ["cifar10-python3-protocol4.tar.gz", "cifar100-numpy.tar.gz", "cifar10-bytes.tar.gz"];
    seeds.extend(fixtures("cifar", &archives));
    seeds
}

fn jpeg() -> Vec<Seed> {
    let mut seeds = fixtures("photographs", &["cmyk.jpg", "grey.jpg", "ycck.jpg"]);
    seeds.extend(members(
        "pictures/jpeg.tar.gz",
        &[
            "grey-1x1-progressive-several.jpg",
            "grey-2x1-baseline-one-restarts.jpg",
            "ycbcr-2x1-progressive-one-restarts.jpg",
            "ycbcr-2x1-baseline-chroma-first.jpg",
        ],
    ));
    let rare = ["factors-11_21_11-baseline-turned.jpg", "factors-11_42_11-progressive.jpg"];
    seeds.extend(members("pictures/jpeg_rare.tar.gz", &rare));
    seeds
}

fn pictures() -> Vec<Seed> {
    let names =
        ["grey-1.png", "rgba-16.png", "palette-4-transparent.png", "grey-interlaced.png", "palette-interlaced.gif"];
    let mut seeds = members("pictures/formats.tar.gz", &names);
    let picture =
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(9, 8, |x, y| image::Rgb([x as u8 * 9, y as u8 * 9, 7])));
    for (name, format) in [("rgb.bmp", ImageFormat::Bmp), ("rgb.webp", ImageFormat::WebP)] {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        seeds.push((name.to_owned(), bytes));
    }
    seeds
}

fn npy() -> Vec<Seed> {
    fn array<T: Stored>(name: &str, shape: &[usize], elements: Vec<T>) -> Seed {
        (name.to_owned(), Array { shape: shape.to_vec(), elements }.to_bytes())
    }
    let archives = ["packed-c.npz", "fortran.npz", "half-mask-big-endian-fortran.npz", "version-3.npz", "narrow.npz"];
    let mut seeds = fixtures("selections/variants", &archives);
    seeds.push(array("bools.npy", &[3], vec![true, false, true]));
    seeds.push(array("integers.npy", &[2, 2], vec![1_i64, -2, 3, 4]));
    seeds.push(array("floats.npy", &[1, 2, 1], vec![1.5_f64, f64::NAN]));
    seeds.push(array("bytes.npy", &[4], vec![0_u8, 1, 0, 1]));
    seeds
}
