//! The rooms import one way, only the command line prints, and `unsafe` stays in the kernels.
//!
//! The map of rooms is in `src/lib.rs`. A new edge is a decision: it is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room may import. `room::module` allows that module alone.
const EDGES: [(&str, &[&str]); 20] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "artifacts",
            "bounded",
            "checkpoint",
            "config",
            "data",
            "engine",
            "kernels",
            "nn",
            "pipeline",
            "report",
            "spec",
            "stages",
        ],
    ),
    ("pipeline", &["artifacts", "config", "engine", "spec", "stages"]),
    ("stages", &["artifacts", "bounded", "checkpoint", "data", "engine", "nn", "report", "sis", "spec"]),
    ("nn", &["artifacts", "bounded", "kernels", "sis", "spec"]),
    ("bounded", &[]),
    ("config", &["bounded", "spec"]),
    ("data", &["artifacts", "bounded", "delimited", "file_state", "numpy", "pickle", "sniff", "spec"]),
    ("checkpoint", &["artifacts", "bounded", "delimited", "numpy", "pickle", "sniff", "spec"]),
    ("artifacts", &["bounded", "engine::stage", "spec"]),
    ("report", &["spec"]),
    ("engine", &["bounded", "file_state"]),
    ("kernels", &[]),
    ("numpy", &[]),
    ("delimited", &[]),
    ("file_state", &[]),
    ("pickle", &[]),
    ("sniff", &[]),
    ("sis", &["numpy"]),
    ("spec", &[]),
];
/// What writes to the terminal or ends the program.
const PRINTING: [&str; 6] = ["println!", "eprintln!", "print!", "eprint!", "dbg!", "process::exit"];

/// A source file, without its comments.
struct Source {
    path: PathBuf,
    room: String,
    /// Lines of code by number, counted from 1.
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap().with_extension("");
                let room = inside.iter().next().unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
                let lines = text.lines().enumerate().map(|(index, line)| (index + 1, code(line)));
                sources.push(Source { path, room, lines: lines.filter(|(_, line)| !line.is_empty()).collect() });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.retain(|source| source.room != "lib");
    sources
}

impl Source {
    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Every path that starts at the crate's root, as `room::rest`, with the line where it begins.
    fn imports(&self) -> Vec<(usize, String)> {
        let root = if self.room == "main" { "overinterp::" } else { "crate::" };
        let mut imports = Vec::new();
        for (index, (number, line)) in self.lines.iter().enumerate() {
            for (place, _) in line.match_indices(root) {
                let rest: String =
                    self.lines[index..].iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join(" ");
                let paths = expand(&rest[place + root.len()..]);
                imports.extend(paths.into_iter().map(|path| (*number, path)));
            }
        }
        imports
    }
}

/// The paths that `text` begins with: one, or those of a group in braces.
fn expand(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
        return vec![text[..end].to_owned()];
    };
    let mut depth = 0_usize;
    let mut paths = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => paths.push(String::new()),
            letter if depth == 0 && !letter.is_whitespace() => paths.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    paths.retain(|path| !path.is_empty());
    paths
}

#[test]
fn rooms_import_only_along_the_listed_edges() {
    let edges: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let rooms: BTreeSet<&str> = edges.keys().copied().collect();
    let mut strays = Vec::new();
    for source in sources() {
        let Some(allowed) = edges.get(source.room.as_str()) else {
            strays.push(format!("{}: {} is not a room of the map", source.path.display(), source.room));
            continue;
        };
        for (line, path) in source.imports() {
            let room = path.split("::").next().unwrap_or_default();
            let listed =
                |edge: &str| path.strip_prefix(edge).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            if rooms.contains(room) && room != source.room && !allowed.iter().any(|edge| listed(edge)) {
                strays.push(format!("{}: {} -> {path}", source.place(line), source.room));
            }
        }
    }
    assert!(strays.is_empty(), "these imports are not among the listed edges:\n{}", strays.join("\n"));
}

#[test]
fn the_listed_edges_have_no_cycle() {
    let edges: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let mut settled = BTreeSet::new();
    while settled.len() < edges.len() {
        let before = settled.len();
        for (room, allowed) in &edges {
            if allowed.iter().all(|edge| settled.contains(edge.split("::").next().unwrap())) {
                settled.insert(*room);
            }
        }
        let stuck: Vec<_> = edges.keys().filter(|room| !settled.contains(**room)).collect();
        assert!(settled.len() > before, "{stuck:?} import one another");
    }
}

#[test]
fn only_the_command_line_prints_or_exits() {
    let mut strays = Vec::new();
    for source in sources().iter().filter(|source| source.room != "cli" && source.room != "main") {
        for (number, line) in &source.lines {
            let word = |place: usize| !line[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if PRINTING.iter().any(|call| line.match_indices(call).any(|(place, _)| word(place))) {
                strays.push(format!("{}: {line}", source.place(*number)));
            }
        }
    }
    assert!(strays.is_empty(), "only `cli` prints:\n{}", strays.join("\n"));
}

#[test]
fn unsafe_stays_in_the_kernels() {
    let mut strays = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            let is_unsafe = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            if is_unsafe && source.room != "kernels" {
                strays.push(format!("{}: {line}", source.place(*number)));
            }
        }
    }
    assert!(strays.is_empty(), "`unsafe` is for `kernels` alone:\n{}", strays.join("\n"));
}

#[test]
fn a_group_of_imports_counts_as_each_of_them() {
    assert_eq!(expand("{spec::{Arch, Seed}, nn, engine::stage::Context};"), ["spec::", "nn", "engine::stage::Context"]);
    assert_eq!(expand("spec::Arch) -> {"), ["spec::Arch"]);
}
