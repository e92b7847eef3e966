//! What a step's key is made of: a small canonical JSON text that people can read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;

use super::canonical;
use super::change::brief;
use super::key::{ContentHash, StepKey};
use super::stage::Stage;

/// The kind, the version and the settings of a step. The inputs are in the settings, by key.
///
/// Its canonical text has sorted keys and no spaces; a number that is whole is written without a point, any other
/// in the shortest form that reads back the same, so that `2` and `2.0` are one value. The text is all that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    kind: Cow<'static, str>,
    version: u32,
    text: Box<str>,
}

impl Manifest {
    /// The manifest of a stage.
    ///
    /// # Panics
    /// When the stage does not serialise to JSON, which is a mistake in the stage.
    #[must_use]
    pub fn of<E, S: Stage<E>>(stage: &S) -> Self {
        let mut settings = String::with_capacity(USUAL);
        canonical::append(stage, &mut settings)
            .unwrap_or_else(|error| panic!("stage '{}' has no manifest: {error}", S::KIND));
        Self::from_parts(Cow::Borrowed(S::KIND), S::VERSION, &settings)
    }

    fn from_parts(kind: Cow<'static, str>, version: u32, settings: &str) -> Self {
        let mut text = String::with_capacity(settings.len() + kind.len() + 48);
        text.push_str("{\"kind\":");
        canonical::append_text(&kind, &mut text);
        text.push_str(",\"settings\":");
        text.push_str(settings);
        let _ = write!(text, ",\"version\":{version}}}");
        Self { kind, version, text: text.into() }
    }

    /// The same, of a step whose data are absent: its key is nobody else's, and means nothing outside its plan.
    #[must_use]
    pub(crate) fn without_data(self, why: &str) -> Self {
        let mut text = "{\"data-absent\":".to_owned();
        canonical::append_text(why, &mut text);
        text.push(',');
        text.push_str(&self.text[1..]);
        Self { text: text.into(), ..self }
    }

    /// The manifest that [`Manifest::to_value`] gave; `None` when the value is of another form.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let (kind, version) = kind_and_version(value)?;
        Some(Self::from_parts(kind.to_owned().into(), version, &canonical(value.get("settings")?)))
    }

    /// The manifest whose canonical text this is; `None` when it is of another form.
    #[must_use]
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let (kind, version) = kind_and_version(&value)?;
        value.get("settings")?;
        Some(Self { kind: kind.to_owned().into(), version, text: text.into() })
    }

    /// The stage kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The stage version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The stage's settings, inputs by key.
    #[must_use]
    pub fn settings(&self) -> Value {
        self.to_value().get_mut("settings").map_or(Value::Null, Value::take)
    }

    /// `{"kind": ..., "settings": ..., "version": ...}`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default() // It was made of a value.
    }

    /// The text that is hashed.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.text
    }

    /// The step's key.
    #[must_use]
    pub fn key(&self) -> StepKey {
        StepKey::new(self.kind.clone(), self.version, blake3::hash(self.text.as_bytes()))
    }

    /// The key of what the step computes from the bytes that its inputs hold, wherever these came from: the same
    /// manifest with each input's key replaced by its content hash. Equal content keys mean equal results.
    #[must_use]
    pub fn content_key(&self, contents: &BTreeMap<StepKey, ContentHash>) -> StepKey {
        let text = self.with_keys(|key, text| match contents.get(key) {
            Some(content) => {
                let _ = write!(text, "content:{content}");
            }
            None => {
                let _ = write!(text, "{key}");
            }
        });
        StepKey::new(self.kind.clone(), self.version, blake3::hash(text.as_bytes()))
    }

    /// The manifest with every input's key blanked. Steps with different shapes never have equal content keys.
    #[must_use]
    pub(crate) fn shape(&self) -> String {
        self.with_keys(|_, text| text.push_str("input"))
    }

    /// The keys of other steps in the settings, in order of their appearance, each once.
    #[must_use]
    pub fn inputs(&self) -> Vec<StepKey> {
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for (_, key) in keys_in(&self.text) {
            if seen.insert(key.clone()) {
                keys.push(key);
            }
        }
        keys
    }

    /// The text with something else in the place of each key of another step.
    fn with_keys(&self, mut write: impl FnMut(&StepKey, &mut String)) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (place, key) in keys_in(&self.text) {
            text.push_str(&self.text[done..place.start]);
            write(&key, &mut text);
            done = place.end;
        }
        text.push_str(&self.text[done..]);
        text
    }

    /// The settings in one line for people: `arch=resnet20 recipe.epochs=200 images=train-v1:9f2c1ab0`.
    #[must_use]
    pub fn brief(&self) -> String {
        let parts: Vec<String> = self
            .leaves()
            .into_iter()
            .filter_map(|(path, value)| Some(format!("{}={}", path.strip_prefix("settings.")?, brief(&value))))
            .collect();
        parts.join(" ")
    }

    /// Each single value of the manifest with its path, such as `settings.recipe.epochs`, in sorted order.
    #[must_use]
    pub fn leaves(&self) -> BTreeMap<String, Value> {
        let mut leaves = BTreeMap::new();
        // Read back from the text, as records are, so that equal texts give equal numbers.
        collect_leaves("", &self.to_value(), &mut leaves);
        leaves
    }
}

/// Room for the settings of most stages, in bytes.
const USUAL: usize = 1_000;

fn kind_and_version(value: &Value) -> Option<(&str, u32)> {
    Some((value.get("kind")?.as_str()?, u32::try_from(value.get("version")?.as_u64()?).ok()?))
}

/// The step keys among the strings of a canonical text that are no names of fields, in order, with their places.
fn keys_in(text: &str) -> impl Iterator<Item = (Range<usize>, StepKey)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + bytes[at..].iter().position(|&byte| byte == b'"')? + 1;
            let mut end = start;
            while *bytes.get(end)? != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            at = end + 1;
            let is_name = bytes.get(at) == Some(&b':');
            if !is_name
                && StepKey::is_like(&bytes[start..end])
                && let Ok(key) = text[start..end].parse()
            {
                return Some((start..end, key));
            }
        }
    })
}

/// Lists of plain values are leaves as a whole: `milestones` is one setting.
fn collect_leaves(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                collect_leaves(&format!("{path}{dot}{name}"), field, leaves);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                collect_leaves(&format!("{path}[{index}]"), item, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), leaf.clone());
        }
    }
}

/// The canonical JSON text of a value: sorted keys, no spaces, whole numbers without a point.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Sorted here, because a dependency may switch serde_json's maps to insertion order.
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (index, (name, field)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                canonical::append_text(name, text);
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) => canonical::append_float(number, text),
            None => {
                let _ = write!(text, "{number}");
            }
        },
        Value::String(content) => canonical::append_text(content, text),
        Value::Null | Value::Bool(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sorts_keys_and_leaves_no_spaces() {
        assert_eq!(
            canonical(&json!({"b": [1, {"z": null, "a": true}], "a": "x \"y\""})),
            r#"{"a":"x \"y\"","b":[1,{"a":true,"z":null}]}"#
        );
    }

    #[test]
    fn a_whole_number_is_written_in_one_way() {
        assert_eq!(canonical(&json!([2, 2.0, -3.0, -0.0])), "[2,2,-3,0]");
    }

    #[test]
    fn other_numbers_are_written_in_their_shortest_form() {
        assert_eq!(canonical(&json!([0.1, 5e-4, 1.0 / 3.0, 1e300])), "[0.1,0.0005,0.3333333333333333,1e300]");
    }

    #[test]
    fn leaves_carry_their_paths() {
        let settings = json!({"recipe": {"epochs": 2, "milestones": [1, 2]}, "pairs": [{"a": 1}], "none": {}});
        let value = json!({"kind": "train", "version": 3, "settings": settings});
        let manifest = Manifest::from_value(&value).unwrap();
        let paths: Vec<String> = manifest.leaves().into_keys().collect();
        let expected = [
            "kind",
            "settings.none",
            "settings.pairs[0].a",
            "settings.recipe.epochs",
            "settings.recipe.milestones",
            "version",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn keys_are_found_among_values_and_nowhere_else() {
        let key = |digit: &str| format!("train-v1:{}", digit.repeat(64));
        let settings = json!({
            "b": [key("b"), "short", key("a")],
            "a": {"of": key("c"), key("d"): "a name"},
            "said": format!("a \\\" quoted: \"{}\"", key("e")),
            "twice": key("a"),
            "other": format!("Train-v1:{}", "f".repeat(64)),
        });
        let value = json!({"kind": "train", "version": 3, "settings": settings});
        let manifest = Manifest::from_value(&value).unwrap();
        let inputs: Vec<String> = manifest.inputs().iter().map(ToString::to_string).collect();
        assert_eq!(inputs, ["c", "b", "a"].map(key));
        let shape = canonical(&value)
            .replace(&format!("\"of\":\"{}\"", key("c")), "\"of\":\"input\"")
            .replace(&format!("\"{}\",", key("b")), "\"input\",")
            .replace(&format!("\"{}\"]", key("a")), "\"input\"]")
            .replace(&format!("\"twice\":\"{}\"", key("a")), "\"twice\":\"input\"");
        assert_eq!(manifest.shape(), shape);
        assert_eq!(Manifest::from_text(manifest.canonical()), Some(manifest));
    }
}
