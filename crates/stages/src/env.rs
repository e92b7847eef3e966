//! What all stages of a run share. Nothing of it reaches a manifest.

use candle_core::Device;

use overinterp_data::Library;

/// Where a run computes and where it finds images.
#[derive(Debug)]
pub struct Env {
    /// Where networks run.
    pub device: Device,
    /// The data sets.
    pub library: Library,
}

/// The kinds of steps that compute on [`Env::device`]: on a GPU, where there is one. All others want a processor alone.
pub const ON_DEVICE: [&str; 7] =
    ["analyse-deletion-insertion", "collection", "evaluate", "fit-temperature", "import-selection", "select", "train"];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn the_kinds_that_compute_on_the_device_are_those_whose_sources_ask_for_it() {
        let mut found = Vec::new();
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            let kinds = text.lines().filter_map(|line| line.trim().strip_prefix("const KIND: &'static str = \""));
            let kinds: Vec<String> = kinds.map(|rest| rest.trim_end_matches("\";").to_owned()).collect();
            // `scale-model` only puts a fitted temperature into a model.
            let asks = text.contains("env().device") || text.contains("inference::") && text.contains("open(");
            found.extend(kinds.into_iter().filter(|kind| asks && kind != "scale-model"));
        }
        found.sort();
        assert_eq!(found, ON_DEVICE);
    }
}
