//! Reads `[resources.*]`, in an experiment or in a profile of the user's own.

use std::collections::BTreeMap;
use std::path::Path;

use overinterp_foreign::bounded;
use overinterp_spec::Resources;

use super::document::{self, Value};
use super::extends::MOST_BYTES;
use super::kinds::StageKind;
use super::nearest::suggestion;
use super::problem::{Problem, Problems, Sink, Source};
use super::read::Item;
use super::schema::{PROFILE, RESOURCES};

/// What goes for every kind of stage that says nothing itself.
const ALL: &str = "all";

/// What a user has said of the cluster, in a file of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The most workers that wait or run at a time.
    pub max_workers: Option<usize>,
    /// `[resources.*]`, by the kind of stage, or for `all`.
    pub resources: BTreeMap<String, Resources>,
}

/// Reads a profile.
///
/// # Errors
/// With every problem found, each with its place, when it cannot be read or holds what no profile does.
pub fn profile(path: &Path) -> Result<Profile, Problems> {
    let text = bounded::read_text(path, MOST_BYTES).map_err(|error| {
        let problem = Problem::of_file(format!("cannot read the profile {}: {error}", path.display()));
        Problems::unreadable(problem.help("write one there, or name another with --profile"))
    })?;
    let sink = Sink::default();
    let root = document::parse(&text, 0, &sink);
    let table = root.as_ref().and_then(|root| Item::new(root, "", &sink).table(PROFILE));
    let profile = table.map(|table| {
        let max_workers = table.or("max-workers", None, |item| item.whole(1).map(Some)).flatten();
        let resources = table.optional("resources").map(|item| read(&item)).unwrap_or_default();
        Profile { max_workers, resources }
    });
    match profile {
        Some(profile) if sink.is_empty() => Ok(profile),
        _ => Err(sink.into_problems(vec![Source { name: path.display().to_string(), text }])),
    }
}

/// The tables below `item`; what is wrong with them is reported.
pub(super) fn read(item: &Item<'_>) -> BTreeMap<String, Resources> {
    let mut resources = BTreeMap::new();
    if !matches!(item.node.value, Value::Table(_)) {
        item.fault::<()>(format!("must hold tables `[{}.KIND]`", item.path));
    }
    for entry in item.node.entries() {
        let known = || StageKind::ALL.iter().map(|&(name, _)| name).chain([ALL]);
        if !known().any(|name| name == entry.key) {
            let problem = Problem::at(entry.place, format!("`{}` is no kind of stage", entry.key.escape_debug()));
            item.sink().report(problem.help(suggestion(&entry.key, "what may stand here", known())));
            continue;
        }
        let path = format!("{}.{}", item.path, entry.key);
        resources.extend(of_kind(&Item::new(&entry.node, path, item.sink())).map(|read| (entry.key.clone(), read)));
    }
    resources
}

fn of_kind(item: &Item<'_>) -> Option<Resources> {
    let table = item.table(RESOURCES)?;
    let word = |item: Item<'_>| {
        let text = item.text()?;
        // It becomes part of a line of a script.
        let plain = !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if plain { Some(text.to_owned()) } else { item.fault("must be one word") }
    };
    let parsed = |item: &Item<'_>, error: &dyn std::fmt::Display| {
        let text = item.text().unwrap_or_default().escape_debug().to_string();
        item.fault::<()>(format!("cannot be `{text}`: {error}"));
    };
    let cpus = table.or("cpus", None, |item| item.whole(1).map(Some));
    let gpus = table.or("gpus", None, |item| item.whole(0).map(Some));
    let mem = table.or("mem", None, |item| item.text()?.parse().map_err(|error| parsed(&item, &error)).ok().map(Some));
    let time =
        table.or("time", None, |item| item.text()?.parse().map_err(|error| parsed(&item, &error)).ok().map(Some));
    let partition = table.or("partition", None, |item| word(item).map(Some));
    let constraint = table.or("constraint", None, |item| word(item).map(Some));
    let flags = table.or("flags", Vec::new(), |item| {
        let flags: Vec<String> = item.list()?.iter().filter_map(flag).collect();
        (flags.len() == item.list()?.len()).then_some(flags)
    });
    Some(Resources {
        cpus: cpus?,
        mem: mem?,
        gpus: gpus?,
        time: time?,
        partition: partition?,
        constraint: constraint?,
        flags: flags?,
    })
}

fn flag(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    if text.contains(['\n', '\r', '\0']) || !text.starts_with('-') {
        return item.fault("must be one flag that begins with `-`, such as `--account=vision`");
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_profile(text: &str) -> Result<Profile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        profile(&path).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_profile_says_what_jobs_are_given() {
        let text = "max-workers = 8\n[resources.all]\ncpus = 2\nflags = [\"--account=a b\"]\n[resources.train]\ngpus = 1\nmem = \"8G\"\ntime = \"3h50m\"\n";
        let profile = read_profile(text).unwrap();
        assert_eq!(profile.max_workers, Some(8));
        let train = profile.resources["train"].over(&profile.resources["all"]);
        assert_eq!((train.cpus, train.gpus), (Some(2), Some(1)));
        assert_eq!((train.mem.unwrap().0, train.time.unwrap().seconds()), (8192, 13_800));
        assert_eq!(train.flags, ["--account=a b"]);
    }

    #[test]
    fn what_a_profile_may_not_hold_is_told_with_what_was_meant() {
        let told = |text: &str| read_profile(text).unwrap_err();
        assert!(told("[resources.trian]\ncpus = 1\n").contains("did you mean `train`?"));
        assert!(told("[resources.train]\ncpu = 1\n").contains("did you mean `cpus`?"));
        assert!(told("[resources.train]\nmem = \"8\"\n").contains("such as `8G`"));
        assert!(told("[resources.train]\ntime = \"8\"\n").contains("such as `3h50m`"));
        assert!(told("[resources.train]\nflags = [\"account\"]\n").contains("begins with `-`"));
        assert!(told("[resources.train]\npartition = \"a b\"\n").contains("one word"));
        assert!(told("maxworkers = 1\n").contains("max-workers"));
    }
}
