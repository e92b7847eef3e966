//! What a step's key is made of: a small canonical JSON text that people can read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::change::brief;
use super::key::{ContentHash, StepKey};
use super::stage::Stage;

/// The kind, the version and the settings of a step. The inputs are in the settings, by key.
///
/// Its canonical text has sorted keys and no spaces; a number that is whole is written without a point, any other
/// in the shortest form that reads back the same, so that `2` and `2.0` are one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    kind: String,
    version: u32,
    settings: Value,
    absent: Option<String>,
}

impl Manifest {
    /// The manifest of a stage.
    ///
    /// # Panics
    /// When the stage does not serialise to JSON, which is a mistake in the stage.
    #[must_use]
    pub fn of<E, S: Stage<E>>(stage: &S) -> Self {
        let settings =
            serde_json::to_value(stage).unwrap_or_else(|error| panic!("stage '{}' has no manifest: {error}", S::KIND));
        Self { kind: S::KIND.to_owned(), version: S::VERSION, settings, absent: None }
    }

    /// The same, of a step whose data are absent: its key is nobody else's, and means nothing outside its plan.
    #[must_use]
    pub(crate) fn without_data(mut self, why: &str) -> Self {
        self.absent = Some(why.to_owned());
        self
    }

    /// The manifest that [`Manifest::to_value`] gave; `None` when the value is of another form.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let kind = fields.get("kind")?.as_str()?.to_owned();
        let version = u32::try_from(fields.get("version")?.as_u64()?).ok()?;
        Some(Self { kind, version, settings: fields.get("settings")?.clone(), absent: None })
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
    pub const fn settings(&self) -> &Value {
        &self.settings
    }

    /// `{"kind": ..., "settings": ..., "version": ...}`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        if let Some(why) = &self.absent {
            fields.insert("data-absent".to_owned(), why.clone().into());
        }
        fields.insert("kind".to_owned(), self.kind.clone().into());
        fields.insert("settings".to_owned(), self.settings.clone());
        fields.insert("version".to_owned(), self.version.into());
        Value::Object(fields)
    }

    /// The text that is hashed.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&self.to_value())
    }

    /// The step's key.
    #[must_use]
    pub fn key(&self) -> StepKey {
        StepKey::of(&self.kind, self.version, &self.canonical())
    }

    /// The key of what the step computes from the bytes that its inputs hold, wherever these came from: the same
    /// manifest with each input's key replaced by its content hash. Equal content keys mean equal results.
    #[must_use]
    pub fn content_key(&self, contents: &BTreeMap<StepKey, ContentHash>) -> StepKey {
        let mut value = self.to_value();
        for_each_key(&mut value, &mut |text, key| {
            if let Some(content) = contents.get(&key) {
                *text = format!("content:{content}");
            }
        });
        StepKey::of(&self.kind, self.version, &canonical(&value))
    }

    /// The manifest with every input's key blanked. Steps with different shapes never have equal content keys.
    #[must_use]
    pub(crate) fn shape(&self) -> String {
        let mut value = self.to_value();
        for_each_key(&mut value, &mut |text, _| "input".clone_into(text));
        canonical(&value)
    }

    /// The keys of other steps in the settings, in order of their appearance, each once.
    #[must_use]
    pub fn inputs(&self) -> Vec<StepKey> {
        let mut keys = Vec::new();
        for_each_key(&mut self.settings.clone(), &mut |_, key| {
            if !keys.contains(&key) {
                keys.push(key);
            }
        });
        keys
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
        let value = serde_json::from_str(&self.canonical()).unwrap_or_else(|_| self.to_value());
        collect_leaves("", &value, &mut leaves);
        leaves
    }
}

/// Calls `visit` on every string of `value` that is a step key.
fn for_each_key(value: &mut Value, visit: &mut dyn FnMut(&mut String, StepKey)) {
    match value {
        Value::String(text) => {
            if let Ok(key) = text.parse() {
                visit(text, key);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_key(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| for_each_key(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
                write_canonical(&Value::from(name.as_str()), text);
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < LARGEST_EXACT => {
                let _ = write!(text, "{}", whole as i64);
            }
            // The standard library's form, so that another version of serde_json changes no key.
            Some(fractional) => {
                let _ = write!(text, "{fractional:?}");
            }
            None => {
                let _ = write!(text, "{number}");
            }
        },
        Value::Null | Value::Bool(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// 2^53: beyond it floats no longer hold every whole number.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

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
        let manifest = Manifest {
            kind: "train".into(),
            version: 3,
            settings: json!({"recipe": {"epochs": 2, "milestones": [1, 2]}, "pairs": [{"a": 1}], "none": {}}),
            absent: None,
        };
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
}
