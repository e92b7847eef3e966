//! How two manifests differ, as a list of single settings.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::key::StepKey;

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where in the manifest: `settings.recipe.epochs`.
    pub path: String,
    /// The value before; `None` when it was not there.
    pub from: Option<Value>,
    /// The value now; `None` when it is gone.
    pub to: Option<Value>,
}

/// What differs between two manifests' leaves.
#[must_use]
pub fn changes(from: &BTreeMap<String, Value>, to: &BTreeMap<String, Value>) -> Vec<Change> {
    let gone = from.iter().filter(|(path, _)| !to.contains_key(*path)).map(|(path, value)| Change {
        path: path.clone(),
        from: Some(value.clone()),
        to: None,
    });
    let other = to.iter().filter(|(path, value)| from.get(*path) != Some(value)).map(|(path, value)| Change {
        path: path.clone(),
        from: from.get(path).cloned(),
        to: Some(value.clone()),
    });
    gone.chain(other).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), &self.from, &self.to) {
            ("version", Some(from), Some(to)) => write!(f, "stage version {from} -> {to}"),
            (path, Some(from), Some(to)) => write!(f, "{path} changed: {} -> {}", brief(from), brief(to)),
            (path, None, Some(to)) => write!(f, "{path} added: {}", brief(to)),
            (path, Some(from), None) => write!(f, "{path} removed: it was {}", brief(from)),
            (path, None, None) => f.write_str(path),
        }
    }
}

/// A value in at most `WIDTH` characters, keys in their short form.
pub(super) fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.parse().map_or_else(|_| text.clone(), |key: StepKey| key.short()),
        Value::Array(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    };
    if text.chars().count() <= WIDTH {
        return text;
    }
    text.chars().take(WIDTH - 3).chain("...".chars()).collect()
}

const WIDTH: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leaves(value: &Value) -> BTreeMap<String, Value> {
        value.as_object().unwrap().iter().map(|(path, value)| (path.clone(), value.clone())).collect()
    }

    #[test]
    fn names_what_changed_came_and_went() {
        let before = leaves(&json!({"settings.epochs": 10, "settings.old": "x", "version": 1, "same": 0}));
        let after = leaves(&json!({"settings.epochs": 12, "settings.new": [1, 2], "version": 2, "same": 0}));
        let texts: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        let expected = [
            "settings.old removed: it was x",
            "settings.epochs changed: 10 -> 12",
            "settings.new added: [1, 2]",
            "stage version 1 -> 2",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn long_values_and_keys_are_shortened() {
        let key = format!("train-v1:{}", "0123456789abcdef".repeat(4));
        assert_eq!(brief(&json!(key)), "train-v1:01234567");
        assert_eq!(brief(&json!("x".repeat(100))).len(), WIDTH);
    }
}
