//! The settings of an experiment as a list, for two to be held beside each other.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// A setting that differs: its path, and its value in each of both, where it is there.
pub(crate) type Difference = (String, Option<String>, Option<String>);

/// Which settings of two experiments' texts differ, in the alphabet's order. A text that is no TOML has none.
pub(crate) fn differences(first: &str, second: &str) -> Vec<Difference> {
    let (first, second) = (settings(first), settings(second));
    let mut paths: Vec<&String> = first.keys().chain(second.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let pairs = paths.into_iter().map(|path| (path.clone(), first.get(path).cloned(), second.get(path).cloned()));
    pairs.filter(|(_, first, second)| first != second).collect()
}

/// Each single value by its path, such as `stage.full.recipe.lr`; a list of plain values is one.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(table) = text.parse::<Table>() {
        collect("", &Value::Table(table), &mut found);
    }
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (name, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                collect(&format!("{path}{dot}{name}"), value, found);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_table() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{path}[{index}]"), item, found);
            }
        }
        leaf => {
            found.insert(path.to_owned(), leaf.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named_by_their_paths() {
        let first = "name = 'x'\n[stage.full]\nseed = 1\nrecipe = { lr = 0.1, milestones = [1, 2] }\n";
        let second = "name = 'x'\n[stage.full]\nrecipe = { lr = 0.05, milestones = [1, 2] }\n[sweep]\nseed = [0, 1]\n";
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            ("stage.full.recipe.lr".to_owned(), some("0.1"), some("0.05")),
            ("stage.full.seed".to_owned(), some("1"), None),
            ("sweep.seed".to_owned(), None, some("[0, 1]")),
        ];
        assert_eq!(differences(first, second), expected);
    }
}
