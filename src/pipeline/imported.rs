//! Selections that were made elsewhere.

use overinterp_config::experiment::StageRef;
use overinterp_config::kinds;
use overinterp_spec::{Scoring, Selection};
use overinterp_stages::{FileKind, HashedFile, ImportSelection, Range, SelectionFiles};
use overinterp_workflow::plan::Label;

use super::select::RankedSplit;
use super::{Absent, Planner, part};

/// Images of a shard: each costs no more than reading its file.
const SHARD: usize = 4096;

impl<'a> Planner<'a> {
    pub(super) fn import_selection(&mut self, at: &StageRef, import: &'a kinds::ImportSelection) {
        let kinds::ImportSelection { data, files, predictions, model, method, count } = import;
        self.asked.extend(model.as_ref().map(|model| (at.clone(), model.stage.clone())));
        let model = model.as_ref().map(|model| self.models[model].clone());
        // Selections by batched gradient ask for logits, not for candidates.
        let asked = model.as_ref().filter(|_| *method == Selection::Backward);
        let scoring = asked.map_or(Scoring::FIRST, |model| self.workload.scoring(model.step()));
        let mut shards = Vec::new();
        for (half, path) in files {
            let split = self.split(data, *half);
            let images = count.map_or(split.images, |count| count.min(split.images));
            let (files, absent) = match self.files.selections(path, &split.data, images) {
                Ok(files) => (files, None),
                Err(Absent(why)) => (SelectionFiles::Packed(HashedFile::absent(path)), Some(why)),
            };
            let mut absent = split.absent.clone().or(absent);
            let said = predictions.iter().find(|(known, _)| known == half).map(|(_, path)| {
                self.files.file(FileKind::Predictions, path).map_or_else(
                    |Absent(why)| {
                        absent.get_or_insert(why);
                        HashedFile::absent(path)
                    },
                    |hash| HashedFile { path: path.clone(), hash },
                )
            });
            shards.push((split, images, files, said, absent));
        }
        let total: usize = shards.iter().map(|(_, images, ..)| images.div_ceil(SHARD)).sum();
        let mut place = 0;
        let mut ranked = Vec::new();
        for (split, count, files, said, absent) in shards {
            let mut keys = Vec::new();
            for range in Range::shards(count, SHARD) {
                let files = files.of(range);
                let import = ImportSelection {
                    // Who has predictions need not ask.
                    scoring: if said.is_some() { Scoring::FIRST } else { scoring },
                    content: files.content(),
                    files,
                    images: split.data.clone(),
                    range,
                    method: method.clone(),
                    predictions: said.as_ref().map(|said| said.hash.clone()),
                    predictions_file: said.clone(),
                    model: if said.is_some() { None } else { model.clone() },
                };
                let label = Label { shard: (total > 1).then_some((place, total)), ..part(at, split.data.split) };
                keys.push(self.step(import, label, absent.clone()));
                place += 1;
            }
            ranked.push(RankedSplit { shards: keys, split, count });
        }
        self.ranking(at, ranked);
    }
}
