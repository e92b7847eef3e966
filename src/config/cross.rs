//! What can only be seen with both ends of a reference in view.

use crate::spec::{Keep, Selection, Split};

use super::experiment::Settings;
use super::join::DraftStage;
use super::problem::{Problem, Sink};

/// Reports subsets of splits that were never ranked, and sufficient subsets and rounds asked of rankings that have none.
pub(super) fn check(stages: &[DraftStage], sink: &Sink) {
    for stage in stages {
        for draft in stage.drafts() {
            for reference in &draft.references {
                if let Some(split) = reference.split
                    && let Some(ranking) = unranked(stages, &reference.stage, split)
                {
                    let fault = format!("`{}` has no {split} images: `{ranking}` does not rank them", reference.stage);
                    let key = if is_imported(stages, ranking) { "files" } else { "images" };
                    let help = format!("add the {split} images to `{key}` of `stage.{ranking}`");
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
                if let Settings::Sis { .. } = draft.settings
                    && let Some(method) = foreign_method(stages, &reference.stage)
                {
                    let fault = format!("`{}` ranks by `{method}`, which gives no sufficient subsets", reference.stage);
                    let help = "name a stage whose method asks a model: `backward` or `batched-gradient`";
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
                if let Settings::Mask { keep: Keep::Rounds(_), .. } = draft.settings
                    && let Some(method) = foreign_method(stages, &reference.stage)
                {
                    let fault = format!("`{}` ranks by `{method}`, which has no rounds to keep", reference.stage);
                    let help = "keep a share of the pixels, such as `keep = 0.1`";
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
            }
        }
    }
}

fn selections<'a>(stages: &'a [DraftStage], name: &str) -> impl Iterator<Item = &'a Settings> {
    let stage = stages.iter().find(|stage| stage.name == name);
    stage.into_iter().flat_map(DraftStage::drafts).map(|draft| &draft.settings)
}

fn is_imported(stages: &[DraftStage], name: &str) -> bool {
    selections(stages, name).any(|settings| matches!(settings, Settings::ImportSelection { .. }))
}

/// The ranking behind a mask, if it does not rank `split`.
fn unranked<'a>(stages: &'a [DraftStage], mask: &str, split: Split) -> Option<&'a str> {
    let mask = stages.iter().find(|stage| stage.name == mask)?;
    let rankings = mask.drafts().flat_map(|draft| &draft.references).map(|reference| reference.stage.as_str());
    rankings.into_iter().find(|ranking| {
        let mut known = selections(stages, ranking).peekable();
        known.peek().is_some()
            && !known.any(|settings| match settings {
                Settings::Select { images, .. } => images.iter().any(|(_, ranked)| *ranked == split),
                Settings::ImportSelection { files, .. } => files.iter().any(|(ranked, _)| *ranked == split),
                _ => true,
            })
    })
}

fn foreign_method(stages: &[DraftStage], ranking: &str) -> Option<&'static str> {
    selections(stages, ranking).find_map(|settings| match settings {
        Settings::Select { method: Selection::Random { .. }, .. } => Some("random"),
        _ => None,
    })
}
