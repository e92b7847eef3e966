//! The crates and the program's rooms import along listed edges, only the command line prints, and `unsafe` stays in the kernels.
//!
//! The map of crates is in `docs/architecture.md`. Cargo refuses cycles among them; a new edge is a decision: it is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate of `crates/`, and each room of the program in `src/`, may import. `crate::module` allows that module alone.
const EDGES: [(&str, &[&str]); 26] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "artifacts",
            "exchange",
            "computed",
            "config",
            "data",
            "exports",
            "failure",
            "forecast",
            "gathering",
            "kernels",
            "nn",
            "pipeline",
            "printable",
            "records",
            "remote",
            "report",
            "slurm",
            "spec",
            "stages",
            "text",
            "workflow",
            "writing",
        ],
    ),
    (
        "exports",
        &[
            "artifacts",
            "exchange",
            "computed",
            "config",
            "data",
            "failure",
            "nn",
            "pipeline",
            "printable",
            "report",
            "spec",
            "stages",
            "text",
            "workflow",
            "writing",
        ],
    ),
    (
        "gathering",
        &[
            "artifacts",
            "computed",
            "config",
            "data",
            "failure",
            "nn",
            "pipeline",
            "report",
            "spec",
            "stages",
            "text",
            "workflow",
        ],
    ),
    (
        "forecast",
        &[
            "artifacts",
            "computed",
            "failure",
            "foreign",
            "kernels",
            "nn",
            "pipeline",
            "spec",
            "stages",
            "text",
            "workflow",
            "writing",
        ],
    ),
    (
        "computed",
        &[
            "artifacts",
            "exchange",
            "config",
            "data",
            "failure",
            "foreign",
            "pipeline",
            "spec",
            "stages",
            "text",
            "workflow",
        ],
    ),
    ("records", &["computed", "config", "data", "failure", "foreign", "spec", "workflow"]),
    ("writing", &["failure", "foreign"]),
    ("failure", &["artifacts", "data", "remote", "workflow"]),
    ("printable", &[]),
    ("text", &["spec"]),
    ("pipeline", &["artifacts", "config", "spec", "stages", "workflow"]),
    ("stages", &["artifacts", "exchange", "data", "foreign", "nn", "sis", "spec", "workflow"]),
    ("nn", &["artifacts", "foreign::bounded", "kernels", "sis", "spec"]),
    ("config", &["foreign::bounded", "spec"]),
    ("data", &["artifacts", "foreign", "spec"]),
    ("exchange", &["artifacts", "foreign"]),
    ("artifacts", &["foreign::bounded", "spec", "workflow::stage"]),
    ("report", &["spec"]),
    ("remote", &["workflow"]),
    ("workflow", &["foreign::bounded", "foreign::file_state"]),
    ("slurm", &["spec"]),
    ("sis", &["foreign::numpy"]),
    ("kernels", &[]),
    ("foreign", &[]),
    ("spec", &[]),
];
/// What writes to the terminal or ends the program.
const PRINTING: [&str; 6] = ["println!", "eprintln!", "print!", "eprint!", "dbg!", "process::exit"];

/// A source file, without its comments.
struct Source {
    path: PathBuf,
    room: String,
    /// Whether it lies in `src/`, and not in a crate of its own.
    is_of_program: bool,
    /// Lines of code by number, counted from 1.
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut folders = vec![root.join("src")];
    for house in fs::read_dir(root.join("crates")).unwrap() {
        folders.push(house.unwrap().path().join("src"));
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(root).unwrap();
                let (room, is_of_program) = (room(inside), inside.starts_with("src"));
                let text = fs::read_to_string(&path).unwrap();
                let code = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
                let lines = text.lines().enumerate().map(|(index, line)| (index + 1, code(line)));
                sources.push(Source {
                    path,
                    room,
                    is_of_program,
                    lines: lines.filter(|(_, line)| !line.is_empty()).collect(),
                });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.retain(|source| source.room != "lib");
    sources
}

/// `nn` of `crates/nn/src/graph.rs`, `cli` of `src/cli/verbs/run.rs`.
fn room(path: &Path) -> String {
    let stem = path.with_extension("");
    let names: Vec<&str> = stem.iter().map(|name| name.to_str().unwrap()).collect();
    names[1].to_owned()
}

impl Source {
    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Every path into a crate of the house, or into a room of the program, as `room::rest`, with the line where it begins.
    fn imports(&self) -> Vec<(usize, String)> {
        let program = match self.room.as_str() {
            "main" => Some("overinterp::"),
            _ if self.is_of_program => Some("crate::"),
            _ => None,
        };
        let mut imports = Vec::new();
        for (index, (number, line)) in self.lines.iter().enumerate() {
            for root in program.into_iter().chain(["overinterp_"]) {
                for (place, _) in line.match_indices(root) {
                    let rest: String =
                        self.lines[index..].iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join(" ");
                    let rest = &rest[place + root.len()..];
                    // Of a group behind the name of a crate, each member counts.
                    let paths = match rest.split_once("::{").filter(|(name, _)| name.chars().all(char::is_alphanumeric))
                    {
                        Some((name, group)) => {
                            expand(&format!("{{{group}")).iter().map(|path| format!("{name}::{path}")).collect()
                        }
                        None => expand(rest),
                    };
                    imports.extend(paths.into_iter().map(|path| (*number, path)));
                }
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
fn crates_and_rooms_import_only_along_the_listed_edges() {
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

/// A manifest lists no crate of the house but those on the edges, so that an edit rebuilds no more than it must.
#[test]
fn crates_depend_on_no_more_than_the_listed_edges() {
    let mut strays = Vec::new();
    for (room, allowed) in EDGES {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates").join(room).join("Cargo.toml");
        let Ok(text) = fs::read_to_string(manifest) else { continue };
        let named = text.lines().filter_map(|line| line.strip_prefix("overinterp-")?.split('.').next());
        let allowed: BTreeSet<&str> = allowed.iter().map(|edge| edge.split("::").next().unwrap()).collect();
        strays.extend(named.filter(|name| !allowed.contains(name)).map(|name| format!("{room} -> {name}")));
    }
    assert!(strays.is_empty(), "these dependencies are not among the listed edges: {strays:?}");
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
