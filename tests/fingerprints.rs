//! What each stage computes with is recorded in `crates/stages/fingerprints.toml`: sources that changed without the stage's
//! version being raised fail here, until it is raised or `scripts/fingerprints --equivalent` has shown that the results are
//! the same.
//!
//! A fingerprint is a hash of tokens: comments, formatting and tests do not count. It covers the stage's own file, the files of
//! `crates/stages` that it uses, the crates behind them, and the versions of dependencies that decide numbers. What reads data
//! sets is not in it, as the hash of the decoded images is in every key; neither is the workflow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Where fingerprints are recorded.
const RECORD: &str = "crates/stages/fingerprints.toml";
/// Crates behind stages that decide no result: keys have the content of data, and the workflow has never heard of numbers.
const NO_RESULT: [&str; 2] = ["data", "workflow"];
/// Files of crates behind stages of which nothing reaches a step: lists of modules, the cells of sweeps, what jobs of a cluster
/// are given, and what estimates go by.
const NO_RESULT_FILES: [&str; 4] = ["spec/cell.rs", "spec/lib.rs", "spec/resources.rs", "spec/work.rs"];
/// Dependencies whose versions may change numbers, or the bytes that hold them.
const NUMERIC: [&str; 8] =
    ["candle-core", "candle-nn", "gemm", "gemm-common", "gemm-f32", "half", "rand_chacha", "safetensors"];

/// A stage kind as it is now.
struct Stage {
    version: u32,
    fingerprint: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder, in the alphabet's order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Whether a file is tests alone.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The tokens of a source text without doc comments and what is compiled for tests alone, one a line.
fn tokens(text: &str) -> String {
    let mut out = String::new();
    write_tokens(text.parse().unwrap(), &mut out);
    out
}

fn write_tokens(stream: TokenStream, out: &mut String) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        if let TokenTree::Punct(punct) = &tree
            && punct.as_char() == '#'
        {
            // `#![...]` is an attribute of what it stands in.
            let is_inner = matches!(trees.peek(), Some(TokenTree::Punct(bang)) if bang.as_char() == '!');
            if is_inner {
                trees.next();
            }
            if let Some(TokenTree::Group(group)) = trees.peek()
                && group.delimiter() == Delimiter::Bracket
            {
                let attribute: String = group.stream().to_string().chars().filter(|c| !c.is_whitespace()).collect();
                if attribute.starts_with("doc=") {
                    trees.next();
                    continue;
                }
                if attribute == "cfg(test)" && !is_inner {
                    trees.next();
                    // The item ends with its body or a semicolon.
                    for tree in trees.by_ref() {
                        let is_end = match &tree {
                            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                            TokenTree::Punct(punct) => punct.as_char() == ';',
                            _ => false,
                        };
                        if is_end {
                            break;
                        }
                    }
                    continue;
                }
            }
        }
        match tree {
            TokenTree::Group(group) => {
                let _ = writeln!(out, "{:?}", group.delimiter());
                write_tokens(group.stream(), out);
                out.push_str("end\n");
            }
            // A comma before a bracket is formatting.
            TokenTree::Punct(punct) if punct.as_char() == ',' && trees.peek().is_none() => {}
            other => {
                let _ = writeln!(out, "{other}");
            }
        }
    }
}

/// The crates of the program that a crate imports, directly or not, itself included.
fn closure(crates: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = crates.iter().cloned().collect();
    while let Some(name) = open.pop() {
        if NO_RESULT.contains(&name.as_str()) || !found.insert(name.clone()) {
            continue;
        }
        let manifest = fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        let names = dependencies.lines().filter_map(|line| line.strip_prefix("overinterp-")?.split(['.', ' ']).next());
        open.extend(names.map(str::to_owned));
    }
    found
}

/// A hash of all sources of a crate.
fn crate_fingerprint(name: &str) -> String {
    let folder = root().join("crates").join(name).join("src");
    let mut hasher = blake3::Hasher::new();
    for path in files(&folder).into_iter().filter(|path| !is_test(path)) {
        let text = fs::read(&path).unwrap();
        let relative = path.strip_prefix(&folder).unwrap().display().to_string();
        if NO_RESULT_FILES.contains(&format!("{name}/{relative}").as_str()) {
            continue;
        }
        hasher.update(format!("{relative}\n").as_bytes());
        if path.extension().is_some_and(|ending| ending == "rs") {
            hasher.update(tokens(&String::from_utf8(text).unwrap()).as_bytes());
        } else {
            // Kernels for GPUs.
            hasher.update(&text);
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// The versions of numeric dependencies, as `Cargo.lock` has them.
fn dependencies() -> BTreeMap<String, String> {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        if NUMERIC.contains(&name) {
            let versions = found.entry(name.to_owned()).or_default();
            let comma = if versions.is_empty() { "" } else { ", " };
            let _ = write!(versions, "{comma}{version}");
        }
    }
    found
}

/// The kinds and versions that a file of `crates/stages` declares.
fn kinds(text: &str) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut kind = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("const KIND: &'static str = \"") {
            kind = rest.split('"').next().map(str::to_owned);
        }
        if let Some(rest) = line.strip_prefix("const VERSION: u32 = ")
            && let Some(kind) = kind.take()
        {
            found.push((kind, rest.trim_end_matches(';').parse().unwrap()));
        }
    }
    found
}

/// Every stage kind as it is now.
fn stages() -> BTreeMap<String, Stage> {
    let folder = root().join("crates/stages/src");
    let sources: Vec<(PathBuf, String)> =
        files(&folder).into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let shared: Vec<&(PathBuf, String)> = sources.iter().filter(|(_, text)| kinds(text).is_empty()).collect();
    let versions = dependencies();
    let mut crates: BTreeMap<String, String> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (path, text) in &sources {
        let declared = kinds(text);
        if declared.is_empty() {
            continue;
        }
        let own = tokens(text);
        // Files of several stages, by the names of their modules; images and data are of nearly all.
        let mut used: BTreeMap<&Path, String> = [(path.as_path(), own)].into();
        loop {
            let words: BTreeSet<&str> = used.values().flat_map(|text| text.lines()).collect();
            let in_analyse = used.keys().any(|path| path.parent().unwrap().ends_with("analyse"));
            let is_used = |path: &Path| match path.file_stem().unwrap().to_str().unwrap() {
                "lib" | "env" => false,
                "mod" => in_analyse,
                "images" => words.contains("Images") || words.contains("DataSplit"),
                stem => words.contains(stem),
            };
            let more: Vec<(&Path, String)> = shared
                .iter()
                .filter(|(path, _)| !used.contains_key(path.as_path()) && is_used(path))
                .map(|(path, text)| (path.as_path(), tokens(text)))
                .collect();
            if more.is_empty() {
                break;
            }
            used.extend(more);
        }
        let imported = |text: &String| {
            text.lines().filter_map(|word| word.strip_prefix("overinterp_")).map(str::to_owned).collect::<Vec<_>>()
        };
        let behind = closure(&used.values().flat_map(imported).collect());
        let mut hasher = blake3::Hasher::new();
        for (path, text) in &used {
            hasher.update(format!("{}\n{text}", path.strip_prefix(&folder).unwrap().display()).as_bytes());
        }
        for name in &behind {
            let hash = crates.entry(name.clone()).or_insert_with(|| crate_fingerprint(name));
            hasher.update(format!("crate {name} {hash}\n").as_bytes());
        }
        for (name, version) in &versions {
            hasher.update(format!("dependency {name} {version}\n").as_bytes());
        }
        let fingerprint = hasher.finalize().to_hex()[..16].to_owned();
        for (kind, version) in declared {
            found.insert(kind, Stage { version, fingerprint: fingerprint.clone() });
        }
    }
    found
}

/// What is recorded of a kind: its version, its fingerprint, and how it was shown that a change made no difference.
#[derive(Clone, Default)]
struct Recorded {
    version: u32,
    fingerprint: String,
    equivalent: Vec<String>,
}

fn recorded() -> BTreeMap<String, Recorded> {
    let table: toml::Table = fs::read_to_string(root().join(RECORD)).unwrap().parse().unwrap();
    let stages = table.get("stage").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let read = |(kind, stage): (String, toml::Value)| {
        let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
        let equivalent = stage.get("equivalent").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let recorded = Recorded {
            version: u32::try_from(stage["version"].as_integer().unwrap()).unwrap(),
            fingerprint: text(&stage["fingerprint"]),
            equivalent: equivalent.iter().map(text).collect(),
        };
        (kind, recorded)
    };
    stages.into_iter().map(read).collect()
}

fn write(recorded: &BTreeMap<String, Recorded>) {
    let mut text =
        "# What each stage computes with; tests/fingerprints.rs compares it and scripts/fingerprints writes it.\n"
            .to_owned();
    for (kind, Recorded { version, fingerprint, equivalent }) in recorded {
        let _ = write!(text, "\n[stage.{kind}]\nversion = {version}\nfingerprint = \"{fingerprint}\"\n");
        if !equivalent.is_empty() {
            text.push_str("# Changes that changed no byte of the steps that were computed again.\nequivalent = [\n");
            for line in equivalent {
                let _ = writeln!(text, "  {},", toml::Value::String(line.clone()));
            }
            text.push_str("]\n");
        }
    }
    fs::write(root().join(RECORD), text).unwrap();
}

const ADVICE: &str = "If what these stages compute changed, raise their VERSION and record that by `scripts/fingerprints --raised`; \
                      if no byte of a result did, `scripts/fingerprints --equivalent` computes steps again and records it";

#[test]
fn sources_change_with_a_stage_version_or_with_a_proof_that_results_are_the_same() {
    let (now, mut known) = (stages(), recorded());
    // Set by scripts/fingerprints alone: `raised`, or the kinds that it computed again, and the proof.
    let raised = std::env::var("FINGERPRINTS_RAISED").is_ok();
    let proven = std::env::var("FINGERPRINTS_PROVEN").unwrap_or_default();
    let proof = std::env::var("FINGERPRINTS_PROOF").unwrap_or_default();
    let proven: BTreeSet<&str> = proven.split_whitespace().collect();
    let mut wrong = Vec::new();
    for (kind, stage) in &now {
        let before = known.get(kind).cloned().unwrap_or_default();
        if before.version == stage.version && before.fingerprint == stage.fingerprint {
            continue;
        }
        let mut after =
            Recorded { version: stage.version, fingerprint: stage.fingerprint.clone(), equivalent: Vec::new() };
        if before.version != stage.version {
            if !raised {
                wrong.push(format!("{kind}: version {} is not recorded", stage.version));
                continue;
            }
        } else if proven.contains(kind.as_str()) && !proof.is_empty() {
            after.equivalent = before.equivalent;
            after.equivalent.push(format!("{} to {}: {proof}", before.fingerprint, stage.fingerprint));
        } else {
            wrong.push(format!(
                "{kind}: its sources or numeric dependencies changed, and its version {} did not",
                stage.version
            ));
            continue;
        }
        known.insert(kind.clone(), after);
    }
    let gone: Vec<String> = known.keys().filter(|kind| !now.contains_key(*kind)).cloned().collect();
    for kind in gone {
        if raised {
            known.remove(&kind);
        } else {
            wrong.push(format!("{kind}: it is recorded, and there is no such stage"));
        }
    }
    if raised || !proof.is_empty() {
        write(&known);
    }
    assert!(wrong.is_empty(), "{}\n{ADVICE}", wrong.join("\n"));
}

#[test]
fn comments_formatting_and_tests_are_no_change_and_a_number_is() {
    let plain = tokens("fn f(x: f32) -> f32 { g(x, 0.1) }");
    let other = "//! About.\n/// Says.\nfn f(\n    x: f32,\n) -> f32 {\n    // Why.\n    g(x, 0.1)\n}\n#[cfg(test)]\nmod tests { fn t() {} }\n#[cfg(test)]\nmod more;\n";
    assert_eq!(tokens(other), plain);
    assert_ne!(tokens("fn f(x: f32) -> f32 { g(x, 0.2) }"), plain);
    assert_ne!(tokens("#[inline] fn f(x: f32) -> f32 { g(x, 0.1) }"), plain);
}

#[test]
fn what_computes_with_networks_has_the_crates_of_networks_behind_it() {
    let networks = closure(&["nn".to_owned()].into());
    for name in ["artifacts", "kernels", "nn", "sis", "spec"] {
        assert!(networks.contains(name), "{name}");
    }
    assert!(!networks.contains("workflow") && !networks.contains("data"));
    assert!(stages().len() >= 20, "{} kinds of stages", stages().len());
}
