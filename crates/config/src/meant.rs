//! What a file was meant to say where a section's name is misspelt: so one slip is one problem, and not one more for every
//! mention of what stands in it.

use super::document::{Entry, Node, Value};
use super::nearest::nearest;
use super::schema::EXPERIMENT;

/// The file with every misspelt section under the name that it is likely to mean; none where there is no such section.
pub(super) fn as_meant(root: &Node) -> Option<Node> {
    let names = || EXPERIMENT.iter().map(|field| field.name);
    let meant = |entry: &Entry| match entry.node.value {
        Value::Table(_) if !names().any(|name| name == entry.key) => nearest(&entry.key, names()),
        _ => None,
    };
    let Value::Table(entries) = &root.value else { return None };
    let misspelt: Vec<(&str, &Entry)> = entries.iter().filter_map(|entry| Some((meant(entry)?, entry))).collect();
    if misspelt.is_empty() {
        return None;
    }
    let is_sound = |entry: &&Entry| misspelt.iter().all(|(_, wrong)| wrong.key != entry.key);
    let mut corrected: Vec<Entry> = entries.iter().filter(is_sound).cloned().collect();
    for (name, entry) in misspelt {
        match corrected.iter_mut().find(|other| other.key == name).map(|other| &mut other.node.value) {
            Some(Value::Table(there)) => {
                let new = entry.node.entries().iter().filter(|new| there.iter().all(|other| other.key != new.key));
                let new: Vec<Entry> = new.cloned().collect();
                there.extend(new);
            }
            Some(_) => {}
            None => corrected.push(Entry { key: name.to_owned(), ..entry.clone() }),
        }
    }
    Some(Node { value: Value::Table(corrected.into()), ..root.clone() })
}
