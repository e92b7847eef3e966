//! Where in an experiment file, or in one that it extends, a section stands.

use std::path::{Path, PathBuf};

use overinterp_foreign::bounded;

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub file: PathBuf,
    pub number: usize,
}

/// Larger files are no experiments.
const LARGEST: u64 = 1 << 24;
/// So many files may build on one another.
const DEEPEST: usize = 16;

/// The line with the heading of a section, such as `stage.full`: of the file itself, else of those that it extends.
pub(crate) fn line_of(file: &Path, section: &str) -> Option<Line> {
    line_below(file, section, DEEPEST)
}

fn line_below(file: &Path, section: &str, depth: usize) -> Option<Line> {
    let text = bounded::read_text(file, LARGEST).ok()?;
    let is_heading = |line: &str| {
        let inner = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next());
        inner.is_some_and(|name| name.replace(['"', '\'', ' '], "") == section)
    };
    if let Some(index) = text.lines().position(is_heading) {
        return Some(Line { file: file.to_owned(), number: index + 1 });
    }
    let table: toml::Table = text.parse().ok()?;
    let bases = match table.get("extends")? {
        toml::Value::String(base) => vec![base.clone()],
        toml::Value::Array(bases) => bases.iter().filter_map(|base| base.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let depth = depth.checked_sub(1)?;
    // The last one wins where several have it.
    bases.iter().rev().find_map(|base| line_below(&folder.join(base), section, depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_in_the_file_or_in_what_it_extends() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let base = write("base.toml", "name = 'b'\n\n[stage.full]\nkind = 'train'\n");
        let file = write("x.toml", "extends = 'base.toml'\n[table.one]\n");
        assert_eq!(line_of(&file, "table.one"), Some(Line { file: file.clone(), number: 2 }));
        assert_eq!(line_of(&file, "stage.full"), Some(Line { file: base, number: 3 }));
        assert_eq!(line_of(&file, "stage.fuller"), None);
    }
}
