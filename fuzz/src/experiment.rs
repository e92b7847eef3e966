//! Experiment files, and `--set`.

use std::path::Path;

use overinterp_config::{Look, Override, parse};

/// Reads an experiment. What follows a line `--set` are overrides, a line each.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, sets) = text.split_once("\n--set\n").unwrap_or((text, ""));
    let sets: Vec<Override> = sets.lines().map(Override::new).collect();
    // A folder that is not there, so that nothing but the text is read.
    match parse(text, Path::new("/no/such/folder/experiment.toml"), &sets) {
        Ok(experiment) => drop(std::hint::black_box(format!("{experiment:?}"))),
        Err(problems) => {
            for problem in problems.iter() {
                std::hint::black_box((problem.message(), problem.advice(), problems.location(problem)));
            }
            std::hint::black_box(problems.render(Look::Plain));
        }
    }
}
