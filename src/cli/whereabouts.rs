//! Where the cache is: what `--cache` says, else `OVERINTERP_CACHE`, else the nearest one above the experiment, else `cache`
//! in the working directory.

use std::path::{Path, PathBuf};

use crate::printable::printable;

/// What names the cache where `--cache` does not.
const VARIABLE: &str = "OVERINTERP_CACHE";
/// What a cache is called that nobody named.
const USUAL: &str = "cache";

/// A cache, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub cache: PathBuf,
    found: Found,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// By `--cache`, or in the usual place: nothing to tell.
    AsAsked,
    ByVariable,
    /// Above this file.
    Above(PathBuf),
}

impl Whereabouts {
    /// The cache for `files`, with what `--cache` names.
    pub fn of(named: Option<&Path>, files: &[PathBuf]) -> Self {
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self::find(named, variable, files)
    }

    fn find(named: Option<&Path>, variable: Option<PathBuf>, files: &[PathBuf]) -> Self {
        if let Some(named) = named {
            return Self { cache: named.to_owned(), found: Found::AsAsked };
        }
        if let Some(cache) = variable {
            return Self { cache, found: Found::ByVariable };
        }
        let usual = PathBuf::from(USUAL);
        for file in files {
            // A file that is not there is told of by whoever reads it.
            let Ok(whole) = std::path::absolute(file) else { continue };
            let above = whole.ancestors().skip(1).map(|folder| folder.join(USUAL));
            if let Some(cache) = above.into_iter().find(|cache| cache.join("v1").is_dir()) {
                let is_usual = std::path::absolute(&usual).is_ok_and(|usual| usual == cache);
                let found = if is_usual { Found::AsAsked } else { Found::Above(file.clone()) };
                return Self { cache: if is_usual { usual } else { cache }, found };
            }
        }
        Self { cache: usual, found: Found::AsAsked }
    }

    /// Which cache it is, where that is neither `cache` in the working directory nor what was asked for.
    pub fn told(&self) -> Option<String> {
        let how = match &self.found {
            Found::AsAsked => return None,
            Found::ByVariable => format!("by {VARIABLE}"),
            Found::Above(file) => format!("found from {}", file.display()),
        };
        Some(format!("cache {} ({how})", printable(&self.cache.display().to_string())))
    }

    /// Says so on standard error.
    pub fn say(&self) {
        if let Some(told) = self.told() {
            errln!("{told}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_found_from_the_experiment_and_what_is_named_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("experiments/deep/x.toml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let files = [file];
        let find = |named: Option<&Path>, variable: Option<&str>| {
            Whereabouts::find(named, variable.map(PathBuf::from), &files)
        };
        // A folder of that name is no cache yet.
        std::fs::create_dir_all(folder.path().join("experiments/cache")).unwrap();
        assert_eq!(find(None, None).cache, Path::new("cache"));
        assert_eq!(find(None, None).told(), None);
        std::fs::create_dir_all(folder.path().join("cache/v1")).unwrap();
        let found = find(None, None);
        assert_eq!(found.cache, folder.path().join("cache"));
        assert!(found.told().unwrap().ends_with("x.toml)"), "{found:?}");
        // The nearest.
        std::fs::create_dir_all(folder.path().join("experiments/cache/v1")).unwrap();
        assert_eq!(find(None, None).cache, folder.path().join("experiments/cache"));
        let by_variable = find(None, Some("/elsewhere"));
        assert_eq!(by_variable.told().unwrap(), "cache /elsewhere (by OVERINTERP_CACHE)");
        let named = find(Some(Path::new("here")), Some("/elsewhere"));
        assert_eq!((named.cache.as_path(), named.told()), (Path::new("here"), None));
    }
}
