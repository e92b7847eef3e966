//! What can only be seen with both ends of a reference in view.

use overinterp_spec::{Keep, Selection, Split};

use super::join::DraftStage;
use super::kinds::{Collection, ImportSelection, Mask, Select, Settings};
use super::problem::{Problem, Sink};
use super::questions::{Overlap, Question};
use super::reference::Draft;

/// Reports subsets of splits that were never ranked, and sufficient subsets and rounds asked of rankings that have none.
pub(super) fn check(stages: &[DraftStage], sink: &Sink) {
    for stage in stages {
        for draft in stage.drafts() {
            for reference in draft.settings.references() {
                if let Some(split) = reference.split
                    && let Some(ranking) = unranked(stages, &reference.stage, split)
                {
                    let fault = if ranking == reference.stage {
                        format!("`{ranking}` has no {split} images")
                    } else {
                        format!("`{}` has no {split} images: `{ranking}` does not rank them", reference.stage)
                    };
                    let key = if is_imported(stages, ranking) { "files" } else { "images" };
                    let help = format!("add the {split} images to `{key}` of `stage.{ranking}`");
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
                if let Settings::Analyse(analyse) = &draft.settings
                    && analyse.question.asked().needs_confidence
                    && foreign_method(stages, &reference.stage) == Some("random")
                {
                    let fault = format!("`{}` ranks by `random`, which records no confidence", reference.stage);
                    sink.report(Problem::at(reference.place, fault).help("name a stage that asks a model"));
                }
                if let Settings::Sis(_) = draft.settings
                    && let Some(method) = foreign_method(stages, &reference.stage)
                {
                    let fault = format!("`{}` ranks by `{method}`, which gives no sufficient subsets", reference.stage);
                    let help = "name a stage whose method asks a model: `backward` or `batched-gradient`";
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
                if let Settings::Mask(Mask { keep: Keep::Rounds(_), .. }) = draft.settings
                    && let Some(method) = foreign_method(stages, &reference.stage)
                {
                    let fault = format!("`{}` ranks by `{method}`, which has no rounds to keep", reference.stage);
                    let help = "keep a share of the pixels, such as `keep = 0.1`";
                    sink.report(Problem::at(reference.place, fault).help(help));
                }
            }
            if let Settings::Analyse(analyse) = &draft.settings
                && let Question::Overlap(Overlap { subset, with, .. }) = &analyse.question
                && let (first, second) = (&subset.stage, &with.stage)
                && let (Some(one), Some(other)) = (data_set(stages, &first.stage), data_set(stages, &second.stage))
                && one != other
            {
                let fault = format!("`{}` is of other images than `{}`", second.stage, first.stage);
                let help = format!("the first is of `{other}`, the second of `{one}`: compare subsets of one data set");
                sink.report(Problem::at(second.place, fault).help(help));
            }
        }
    }
}

/// The data set that a mask's ranking is of.
fn data_set<'a>(stages: &'a [DraftStage], mask: &str) -> Option<&'a str> {
    let mask = stages.iter().find(|stage| stage.name == mask)?;
    let rankings = mask.drafts().flat_map(|draft| draft.settings.references());
    rankings.flat_map(|ranking| selections(stages, &ranking.stage)).find_map(|settings| match settings {
        Settings::Select(Select { images, .. }) => images.first().map(|(source, _)| source.stage.as_str()),
        Settings::ImportSelection(ImportSelection { data, .. }) => Some(data.stage.as_str()),
        _ => None,
    })
}

fn selections<'a>(stages: &'a [DraftStage], name: &str) -> impl Iterator<Item = &'a Draft> {
    let stage = stages.iter().find(|stage| stage.name == name);
    stage.into_iter().flat_map(DraftStage::drafts).map(|draft| &draft.settings)
}

fn is_imported(stages: &[DraftStage], name: &str) -> bool {
    selections(stages, name).any(|settings| matches!(settings, Settings::ImportSelection(_)))
}

/// The stage that takes in images for `name`, itself or the ranking behind a mask, if it does not take in `split`.
fn unranked<'a>(stages: &'a [DraftStage], name: &'a str, split: Split) -> Option<&'a str> {
    let stage = stages.iter().find(|stage| stage.name == name)?;
    let behind = stage.drafts().flat_map(|draft| match draft.settings {
        Settings::Mask(_) => {
            draft.settings.references().into_iter().map(|reference| reference.stage.as_str()).collect()
        }
        _ => vec![name],
    });
    behind.into_iter().find(|ranking| {
        let mut known = selections(stages, ranking).peekable();
        known.peek().is_some()
            && !known.any(|settings| match settings {
                Settings::Select(Select { images, .. }) | Settings::Collection(Collection { images, .. }) => {
                    images.iter().any(|(_, ranked)| *ranked == split)
                }
                Settings::ImportSelection(ImportSelection { files, .. }) => {
                    files.iter().any(|(ranked, _)| *ranked == split)
                }
                _ => true,
            })
    })
}

fn foreign_method(stages: &[DraftStage], ranking: &str) -> Option<&'static str> {
    selections(stages, ranking).find_map(|settings| match settings {
        Settings::Select(Select { method: Selection::Random { .. }, .. }) => Some("random"),
        _ => None,
    })
}
