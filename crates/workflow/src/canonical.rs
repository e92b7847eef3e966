//! Writes a value as canonical JSON in one go, without a tree of it in between.
//!
//! What is written is, to the byte, what [`super::manifest::canonical`] makes of `serde_json::to_value`: keys depend on it.

use std::fmt::{Display, Write as _};

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Value};

/// 2^53: beyond it floats no longer hold every whole number.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends the canonical text of `value`.
///
/// # Errors
/// When it has no form in JSON, as a map whose keys are no texts.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, text: &mut String) -> Result<(), Error> {
    value.serialize(Writer(text))
}

/// Appends a number that is no whole one by its type.
pub(crate) fn append_float(number: f64, text: &mut String) {
    let _ = if !number.is_finite() {
        write!(text, "null")
    } else if number.fract() == 0.0 && number.abs() < LARGEST_EXACT {
        write!(text, "{}", number as i64)
    } else {
        // The standard library's form, so that another version of serde_json changes no key.
        write!(text, "{number:?}")
    };
}

/// Appends a text in quotes.
pub(crate) fn append_text(content: &str, text: &mut String) {
    if content.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let _ = write!(text, "{}", Value::from(content));
    } else {
        text.push('"');
        text.push_str(content);
        text.push('"');
    }
}

/// Writes one value to the end of a text.
struct Writer<'a>(&'a mut String);

impl<'a> Writer<'a> {
    fn number(self, number: impl Display) {
        let _ = write!(self.0, "{number}");
    }

    /// `{"VARIANT":`, which somebody must close.
    fn variant(self, variant: &str) -> &'a mut String {
        self.0.push('{');
        append_text(variant, self.0);
        self.0.push(':');
        self.0
    }
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.number(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.number(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        append_float(value, self.0);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        append_text(value.encode_utf8(&mut [0; 4]), self.0);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        append_text(value, self.0);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        let mut items = self.serialize_seq(None)?;
        value.iter().try_for_each(|byte| SerializeSeq::serialize_element(&mut items, byte))?;
        SerializeSeq::end(items)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let text = self.variant(variant);
        append(value, text)?;
        text.push('}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        self.0.push('[');
        Ok(Items { text: self.0, first: true, closing: "]" })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        let text = self.variant(variant);
        text.push('[');
        Ok(Items { text, first: true, closing: "]}" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Error> {
        Ok(Fields { start: self.0.len(), text: self.0, written: Vec::new(), closing: "}" })
    }

    fn serialize_struct(self, _: &'static str, fields: usize) -> Result<Fields<'a>, Error> {
        Ok(Fields { start: self.0.len(), text: self.0, written: Vec::with_capacity(fields), closing: "}" })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Error> {
        let text = self.variant(variant);
        Ok(Fields { start: text.len(), text, written: Vec::new(), closing: "}}" })
    }
}

/// A list of which some items are written.
struct Items<'a> {
    text: &'a mut String,
    first: bool,
    closing: &'static str,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
        append(value, self.text)
    }

    fn close(self) {
        self.text.push_str(self.closing);
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTupleStruct for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTupleVariant for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// A table of which some fields are written one after the other, in the order in which they came.
struct Fields<'a> {
    text: &'a mut String,
    /// Where the first is written.
    start: usize,
    /// The name of each, and where it ends.
    written: Vec<(String, usize)>,
    closing: &'static str,
}

impl Fields<'_> {
    fn name(&mut self, name: String) {
        append_text(&name, self.text);
        self.text.push(':');
        self.written.push((name, 0));
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        append(value, self.text)?;
        if let Some((_, end)) = self.written.last_mut() {
            *end = self.text.len();
        }
        Ok(())
    }

    /// Puts the fields into the order of their names. Of two of one name the later counts, as in a map.
    fn close(self) {
        let Self { text, start, written, closing } = self;
        let tail = text.split_off(start);
        text.push('{');
        let mut begin = start;
        let mut pieces: Vec<(String, &str)> = Vec::with_capacity(written.len());
        for (name, end) in written {
            pieces.push((name, &tail[begin - start..end - start]));
            begin = end;
        }
        pieces.sort_by(|a, b| a.0.cmp(&b.0));
        let mut first = true;
        for (place, (name, piece)) in pieces.iter().enumerate() {
            if pieces.get(place + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            if !std::mem::take(&mut first) {
                text.push(',');
            }
            text.push_str(piece);
        }
        text.push_str(closing);
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        match serde_json::to_value(key)? {
            Value::String(name) => self.name(name),
            Value::Number(number) if !number.is_f64() => self.name(number.to_string()),
            Value::Bool(value) => self.name(value.to_string()),
            _ => return Err(Error::custom("key must be a string")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.name(name.to_owned());
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.name(name.to_owned());
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::canonical;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        Unit,
        Newtype(f32),
        Tuple(u8, &'static str),
        Struct { zeta: i64, alpha: Option<bool> },
    }

    #[derive(Serialize)]
    struct Marker;

    #[derive(Serialize)]
    struct Wrapped(u64);

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct All {
        zoo: Vec<f64>,
        kinds: Vec<Kind>,
        alpha_beta: (i8, char, String),
        none: Option<u8>,
        unit: (),
        marker: Marker,
        wrapped: Wrapped,
        by_name: BTreeMap<String, u16>,
        by_number: BTreeMap<i32, Vec<()>>,
        empty: BTreeMap<String, u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        value: Value,
    }

    #[test]
    fn what_is_written_in_one_go_is_the_canonical_text_of_the_value() {
        let floats = [0.0, -0.0, 2.0, 0.1, 5e-4, 1.0 / 3.0, 1e300, 1e15, 9e15, 9.1e15, f64::NAN, f64::INFINITY, -1e-7];
        let all = All {
            zoo: floats.into(),
            kinds: vec![
                Kind::Unit,
                Kind::Newtype(0.1),
                Kind::Tuple(7, "x"),
                Kind::Struct { zeta: i64::MIN, alpha: Some(true) },
            ],
            alpha_beta: (-1, 'ä', "a \"quoted\" \\ line\n\u{1}\u{7f} é".to_owned()),
            none: None,
            unit: (),
            marker: Marker,
            wrapped: Wrapped(u64::MAX),
            by_name: [("b".to_owned(), 1), ("a\"".to_owned(), 2), ("Z".to_owned(), 3)].into(),
            by_number: [(10, vec![]), (9, vec![(), ()])].into(),
            empty: BTreeMap::new(),
            absent: None,
            value: serde_json::json!({"b": [1, {"z": null, "a": 1.5}], "a": {}}),
        };
        let mut text = "before".to_owned();
        append(&all, &mut text).unwrap();
        assert_eq!(text, format!("before{}", canonical(&serde_json::to_value(&all).unwrap())));
    }

    #[test]
    fn a_map_whose_keys_are_no_texts_has_no_form() {
        let odd: BTreeMap<(u8, u8), u8> = [((1, 2), 3)].into();
        assert!(append(&odd, &mut String::new()).is_err());
    }
}
