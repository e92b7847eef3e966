//! Pickles that Python wrote (`tests/fixtures/pickles/make.py`) in each of its protocols.

use std::fs;
use std::path::Path;

use super::{Array, Handle, Pickle, Value, read};

/// Calls `check` with the dict of every protocol.
fn each(check: impl Fn(u8, &Pickle<'_>)) {
    for protocol in 0..=5 {
        let file = format!("tests/fixtures/pickles/protocol{protocol}.pickle");
        let bytes = fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file)).unwrap();
        check(protocol, &read(&bytes).unwrap_or_else(|error| panic!("protocol {protocol}: {error}")));
    }
}

fn at(pickle: &Pickle<'_>, key: &str) -> Handle {
    pickle.get(pickle.root(), key).unwrap_or_else(|| panic!("there is no {key}"))
}

#[test]
fn arrays_of_numpy_are_read_with_their_type_shape_and_order() {
    let floats = |values: [f64; 6]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let expected = [
        ("u1", "|u1", vec![2, 3], false, (250..=255).collect()),
        ("again", "|u1", vec![2, 3], false, (250..=255).collect()),
        ("fortran", "<f8", vec![2, 3], true, floats([0.0, 3.0, 1.0, 4.0, 2.0, 5.0])),
        ("big", ">i4", vec![6], false, (0..6).flat_map(i32::to_be_bytes).collect()),
        ("half", "<f2", vec![6], false, [0_u16, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500].map(u16::to_le_bytes).concat()),
        ("bool", "|b1", vec![6], false, vec![1, 0, 1, 0, 1, 0]),
        ("empty", "<f4", vec![0, 3], false, Vec::new()),
        ("scalar", "<f8", Vec::new(), false, 0.5_f64.to_le_bytes().to_vec()),
    ];
    each(|protocol, pickle| {
        for (key, descr, shape, column_major, bytes) in &expected {
            let (descr, shape) = ((*descr).to_owned(), shape.clone());
            let expected = Array { descr, shape, column_major: *column_major, bytes: bytes.into() };
            assert_eq!(pickle.array(at(pickle, key)).unwrap(), expected, "{key} of protocol {protocol}");
        }
        assert_eq!(at(pickle, "u1"), at(pickle, "again"));
        for key in ["text", "objects", "date", "last"] {
            assert!(pickle.array(at(pickle, key)).is_err(), "{key} of protocol {protocol}");
        }
    });
}

#[test]
fn values_of_any_class_stand_for_themselves_and_what_follows_them_is_read() {
    each(|protocol, pickle| {
        let value = |key| pickle.value(at(pickle, key));
        assert_eq!(value("last"), &Value::Int(12), "protocol {protocol}");
        assert_eq!(value("huge"), &Value::Huge, "protocol {protocol}");
        assert_eq!(pickle.bytes(at(pickle, "bytes")).unwrap(), &b"\x00\xff"[..], "protocol {protocol}");
        assert_eq!(pickle.text(at(pickle, "line\n'\\")).unwrap(), "\u{e9}\u{4e2d}\u{1f600}\n", "protocol {protocol}");
        for key in ["arguments", "date", "decimal", "complex", "generator", "deque"] {
            assert!(matches!(value(key), Value::Object(_)), "{key} of protocol {protocol}: {:?}", value(key));
        }
        assert_eq!(pickle.describe(at(pickle, "class")), "`argparse.Namespace`");
        let itself = at(pickle, "itself");
        assert_eq!(pickle.items(itself).unwrap(), [itself], "protocol {protocol}");
    });
}

#[test]
fn whatever_behaves_like_a_dict_has_its_entries() {
    each(|protocol, pickle| {
        let number = |key, inner| pickle.get(at(pickle, key), inner).map(|handle| pickle.value(handle).clone());
        assert_eq!(number("ordered", "b"), Some(Value::Int(2)), "protocol {protocol}");
        assert_eq!(number("counter", "a"), Some(Value::Int(2)), "protocol {protocol}");
        assert_eq!(number("dotted", "inside"), Some(Value::Int(7)), "protocol {protocol}");
        assert!(number("default", "a").is_some(), "protocol {protocol}");
        assert!(pickle.entries(at(pickle, "date")).is_none());
    });
}

#[test]
fn damage_anywhere_never_panics_and_a_cut_is_refused() {
    for protocol in 0..=5 {
        let file = format!("tests/fixtures/pickles/protocol{protocol}.pickle");
        let mut bytes = fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file)).unwrap();
        // Most of the file are random states.
        for place in (0..bytes.len()).filter(|place| *place < 3000 || place % 61 == 0) {
            assert!(read(&bytes[..place]).is_err(), "protocol {protocol} cut to {place} bytes");
            let right = bytes[place];
            bytes[place] = [right ^ 1, right ^ 0x80, 0, 0xff][place % 4];
            if let Ok(pickle) = read(&bytes) {
                for key in ["u1", "fortran", "big", "scalar", "ordered"] {
                    let found = pickle.get(pickle.root(), key);
                    let _ = found.map(|found| (pickle.array(found).is_ok(), pickle.entries(found).is_some()));
                }
            }
            bytes[place] = right;
        }
    }
}
