//! The pages in `docs/`: those that are made of declarations are up to date, every page is in the book, and every link
//! leads somewhere. `ACCEPT=1` writes what is made.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap_markdown::MarkdownOptions;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a page against what it is made of.
fn check_made(page: &str, made: &str) {
    let path = root().join("docs").join(page);
    if std::env::var_os("ACCEPT").is_some() {
        fs::write(&path, made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "docs/{page} is out of date: `ACCEPT=1 cargo test --release --test docs` writes it anew");
}

#[test]
fn every_key_of_an_experiment_file_is_in_the_reference() {
    check_made("keys.md", &overinterp_config::reference_page());
}

#[test]
fn every_command_is_in_the_reference() {
    let options = MarkdownOptions::new().title("Every command".to_owned()).show_footer(false);
    let made = clap_markdown::help_markdown_command_custom(&overinterp::cli::command(), &options);
    // The lines that it leaves empty at the ends of lists vary in number.
    let lines: Vec<&str> = made.lines().map(str::trim_end).collect();
    check_made("commands.md", &format!("{}\n", lines.join("\n").trim_end()));
}

/// The pages that people read: those of the book, and the READMEs.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let folders = [root().join("docs"), root().join("experiments/results")];
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.into_iter().chain(crates) {
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    pages.sort();
    pages
}

/// The text without blocks and spans of code.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    for (place, block) in text.split("```").enumerate() {
        if place % 2 == 0 {
            prose.extend(block.split('`').enumerate().map(|(place, span)| if place % 2 == 0 { span } else { "x" }));
        }
    }
    prose
}

/// Where the links of a page lead, but those to other sites.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The names under which the headings of a page can be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { folder.join(file) };
            let (here, exists) = (page.strip_prefix(root()).unwrap().display(), target.exists());
            assert!(exists, "{here} links to {link}, which is not there");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(anchors.contains(anchor), "{here} links to {link}, but there are {anchors:?}");
            }
        }
    }
}

#[test]
fn files_that_are_named_are_there() {
    let mut named = 0;
    for page in pages().into_iter().filter(|page| page.parent().is_some_and(|folder| folder.ends_with("docs"))) {
        let text = fs::read_to_string(&page).unwrap();
        let outside_blocks: String = text.split("```").step_by(2).collect();
        for span in outside_blocks.split('`').skip(1).step_by(2) {
            let starts = ["crates/", "src/", "tests/", "benches/", "scripts/", "experiments/", ".ci/"];
            if starts.iter().any(|start| span.starts_with(start)) && !span.contains([' ', '*', '<']) {
                assert!(root().join(span).exists(), "{}: {span} is not there", page.display());
                named += 1;
            }
        }
    }
    assert!(named > 40, "only {named} were found");
}

#[test]
fn the_book_has_every_page_and_leads_nowhere_else() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let is_page =
        |name: &String| Path::new(name).extension().is_some_and(|ending| ending == "md") && name != "SUMMARY.md";
    let names = fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(listed, names.filter(is_page).collect::<BTreeSet<String>>());
    for page in &listed {
        let links = links(&fs::read_to_string(docs.join(page)).unwrap());
        let outside: Vec<&String> = links.iter().filter(|link| link.starts_with("..")).collect();
        assert!(outside.is_empty(), "docs/{page}: {outside:?} are no pages of the book; write their paths as code");
    }
}

#[test]
fn the_readme_is_one_screen_long() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());
    assert!(lines <= 80 && words <= 700, "{lines} lines and {words} words");
}
