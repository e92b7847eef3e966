//! Names that a user types, and those that there are.

use overinterp_config::experiment::Experiment;

use crate::failure::Failure;

/// Checks that every stage of `wanted` is one of `experiments`.
pub(crate) fn check_stages(experiments: &[Experiment], wanted: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> =
        experiments.iter().flat_map(|experiment| &experiment.stages).map(|stage| stage.name.as_str()).collect();
    match wanted.iter().find(|stage| !known.contains(&stage.as_str())) {
        None => Ok(()),
        Some(stage) => {
            let data = || experiments.iter().flat_map(|experiment| &experiment.data);
            let is_data = data().any(|source| stage.split('.').next() == Some(&source.name));
            let which = if is_data { ", it is the name of a data set" } else { "" };
            Err(Failure::usage(format!("there is no stage `{stage}`{which}")).hint(suggestion(stage, &known)))
        }
    }
}

/// The names that there are, the nearest first if one is near.
pub(crate) fn suggestion(typed: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::jaro_winkler(typed, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.8 => format!("did you mean `{name}`? there are {}", known.join(", ")),
        _ => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_first_where_one_is_near() {
        let known = ["full", "ranking", "subset"];
        assert_eq!(suggestion("rankng", &known), "did you mean `ranking`? there are full, ranking, subset");
        assert_eq!(suggestion("zzz", &known), "there are full, ranking, subset");
    }
}
