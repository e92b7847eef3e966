//! `export --layout authors`: a stage's results as the authors' code has them, to be read by it or imported again.
//!
//! For every cell a folder as their `saved_models/NAME`: `sis/DATA_SPLIT/DATA_SPLIT_I.npz` for rankings and sufficient
//! subsets (`sis/DATA_SPLIT/PHOTOGRAPH.npz` where images are files of their own; or `sis/DATA_SPLIT.npz`, packed), `preds/DATA_SPLIT.csv`, `checkpoints/checkpoint.safetensors`.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::pipeline::{Absent, Outcome};
use overinterp_artifacts::{Evaluation, Model, Ranking, SisSet, exported};
use overinterp_exchange::{GradientFile, Prediction, SelectionFile, SelectionNames, write_packed, write_predictions};
use overinterp_spec::{Cell, Selection};
use overinterp_stages::DataSplit;
use overinterp_workflow::key::StepKey;

use super::Export;
use super::leftovers::{nothing_else, nothing_of, with_folders};
use super::names::file_name;
use crate::computed::Computed;
use crate::computed::files::selection_names;
use crate::failure::{Failure, Kind};
use crate::text;
use crate::writing::{self, WriteError, create};

/// The rankings of one split at one cell, and the sufficient subsets found in them.
struct RankedSplit<'a> {
    cell: &'a Cell,
    data: &'a DataSplit,
    shards: Vec<StepKey>,
    sis: Option<SisSet>,
}

/// What the cache has of a split, and how it is written.
struct Surveyed {
    names: SelectionNames,
    /// The images' numbers, each with how many pixels suffice; `None` where nothing does.
    images: Vec<(usize, Option<usize>)>,
    /// Whether every shard is there.
    whole: bool,
}

impl RankedSplit<'_> {
    /// `fashion_test`.
    fn name(&self) -> String {
        format!("{}_{}", self.data.source.name, self.data.split)
    }

    /// The folder of its selections, or their packed file.
    fn place(&self, into: &Path, packed: bool) -> PathBuf {
        let name = if packed { format!("{}.npz", self.name()) } else { self.name() };
        folder(into, self.cell).join("sis").join(name)
    }
}

/// What was written, and what was not.
#[derive(Default)]
struct Written {
    paths: Vec<PathBuf>,
    /// Steps that are not in the cache.
    absent: usize,
    /// Images of which nothing suffices: the authors write no file for them.
    insufficient: usize,
}

pub(crate) fn write(export: &Export<'_>, into: &Path, packed: bool) -> Result<(), Failure> {
    let computed = export.computed;
    let results = &computed.planned.results[0];
    let name = export.name;
    let mut written = Written::default();
    let mut known = false;
    let splits = splits(computed, name, &mut written)?;
    let surveyed = splits.iter().map(|split| survey(computed, split, packed)).collect::<Result<Vec<_>, _>>();
    let surveyed = surveyed?;
    check_selections(&splits, &surveyed, into, packed)?;
    check_models(computed, name, into)?;
    check_predictions(computed, name, into)?;
    for (split, surveyed) in splits.iter().zip(&surveyed) {
        known = true;
        write_split(export, packed, into, split, surveyed, &mut written)?;
    }
    known |= written.absent > 0;
    for outcome in results.models.iter().filter(|outcome| outcome.stage == *name) {
        known = true;
        match computed.load(&outcome.key)? {
            Some(model) => {
                write_model(&folder(into, &outcome.cell), &model, outcome.key.step(), &mut written)?;
            }
            None => written.absent += 1,
        }
    }
    let evaluations = results.evaluations.iter().map(|evaluated| &evaluated.outcome);
    for outcome in evaluations.filter(|outcome| outcome.stage == *name) {
        known = true;
        match computed.load(&outcome.key)? {
            Some(evaluation) => {
                let said = evaluation.predictions.predicted.iter().zip(&evaluation.predictions.confidence);
                let said =
                    said.enumerate().map(|(image, (&class, &confidence))| Prediction { image, class, confidence });
                let path = predictions_file(into, outcome);
                writing::write(&path, write_predictions(&said.collect::<Vec<_>>()).as_bytes())?;
                written.paths.push(path);
            }
            None => written.absent += 1,
        }
    }
    if !known {
        let failure = Failure::usage(format!("`{name}` has no form in the authors' layout"));
        let hint = "it is for models, rankings, sufficient subsets and evaluations; leave `--layout` out";
        return Err(failure.hint(hint));
    }
    if written.paths.is_empty() {
        let failure = Failure::not_computed(&format!("no step of `{name}` is"), export.file, name);
        return Err(computed.worsened(failure));
    }
    tell(&written, export);
    Ok(())
}

fn tell(written: &Written, export: &Export<'_>) {
    for path in &written.paths {
        export.wrote(path);
    }
    if written.insufficient > 0 {
        let images = text::count(written.insufficient, "image");
        let there = if written.insufficient == 1 { "it" } else { "them" };
        export.note(&format!("{images} without a file: nothing in {there} reaches the threshold"));
    }
    if written.absent > 0 {
        export.note(&format!("{} of `{}` not in the cache yet", text::count(written.absent, "step"), export.name));
    }
}

/// What a stage ranked, or found sufficient.
fn splits<'a>(computed: &'a Computed, name: &str, written: &mut Written) -> Result<Vec<RankedSplit<'a>>, Failure> {
    let results = &computed.planned.results[0];
    let mut splits: Vec<RankedSplit<'a>> = Vec::new();
    for outcome in results.rankings.iter().filter(|outcome| outcome.stage == name) {
        let Some(data) = &outcome.data else { continue };
        let shard = outcome.key.step().clone();
        match splits.iter_mut().find(|split| *split.cell == outcome.cell && split.data == data) {
            Some(split) => split.shards.push(shard),
            None => splits.push(RankedSplit { cell: &outcome.cell, data, shards: vec![shard], sis: None }),
        }
    }
    let plan = &computed.planned.plan;
    for outcome in results.sufficient.iter().filter(|outcome| outcome.stage == name) {
        let (Some(data), Some(step)) = (&outcome.data, plan.find(outcome.key.step())) else { continue };
        let Some(sis) = computed.load(&outcome.key)? else {
            written.absent += 1;
            continue;
        };
        let rankings = plan.inputs(step).filter_map(|input| plan.step(input).key().cloned());
        splits.push(RankedSplit { cell: &outcome.cell, data, shards: rankings.collect(), sis: Some(sis) });
    }
    Ok(splits)
}

/// Refuses selections that have no such form, before anything is written, and says of which images there are some. All
/// shards of a split are of one method.
fn survey(computed: &Computed, split: &RankedSplit<'_>, packed: bool) -> Result<Surveyed, Failure> {
    let (mut images, mut whole, mut method) = (Vec::new(), true, None);
    for shard in &split.shards {
        let Some(ranking) = computed.load_step::<Ranking>(shard)? else {
            whole = false;
            continue;
        };
        for image in ranking.first()..ranking.first() + ranking.len() {
            images.push((image, split.sis.as_ref().map_or(Some(0), |set| Some(subset(set, image)?.len()))));
        }
        method.get_or_insert_with(|| ranking.method().clone());
    }
    let names = match method {
        Some(Selection::BatchedGradient { .. }) if packed => {
            return Err(Failure::usage("only backward selections can be packed").hint("leave `--packed` out"));
        }
        Some(Selection::Gradient { .. } | Selection::IntegratedGradients { .. } | Selection::Random { .. }) => {
            let failure =
                Failure::usage("the authors' files hold selections by `backward` and `batched-gradient` alone");
            return Err(failure.hint("leave `--layout` out to have others as the cache has them"));
        }
        Some(Selection::Backward | Selection::BatchedGradient { .. }) if !packed => {
            selection_names(&computed.env.library, &split.data.source, split.data.split)
                .map_err(|Absent(why)| Failure::usage(why))?
        }
        // The rows of a packed file go by numbers; of what is not in the cache nothing is written.
        Some(Selection::Backward | Selection::BatchedGradient { .. }) | None => SelectionNames::Numbers,
    };
    Ok(Surveyed { names, images, whole })
}

/// Refuses selections of an earlier export: they would be read with these.
fn check_selections(
    splits: &[RankedSplit<'_>],
    surveyed: &[Surveyed],
    into: &Path,
    packed: bool,
) -> Result<(), Failure> {
    let mut own = BTreeSet::new();
    for (split, Surveyed { names, images, whole }) in splits.iter().zip(surveyed) {
        let (name, place) = (split.name(), split.place(into, packed));
        if !packed {
            let sufficient = images.iter().filter(|(_, size)| size.is_some());
            nothing_else(&place, &sufficient.map(|&(image, _)| names.file(&name, image)).collect())?;
        }
        if !images.is_empty() && (*whole || !packed) {
            own.insert(place);
        }
    }
    let places = with_folders(into).into_iter().flat_map(|cell| {
        let both = |split: &RankedSplit<'_>| [split.name(), format!("{}.npz", split.name())];
        splits.iter().flat_map(both).map(move |name| cell.join("sis").join(name)).collect::<Vec<_>>()
    });
    nothing_of(places.filter(|place| !own.contains(place)))
}

/// Refuses models of an earlier export.
fn check_models(computed: &Computed, name: &str, into: &Path) -> Result<(), Failure> {
    let outcomes = computed.planned.results[0].models.iter().filter(|outcome| outcome.stage == *name);
    let (mut own, mut any) = (BTreeSet::new(), false);
    for outcome in outcomes {
        any = true;
        if let Some(model) = computed.load(&outcome.key)? {
            own.extend(model_folders(&folder(into, &outcome.cell), &model));
        }
    }
    // The members of an ensemble lie in folders of their own.
    let there = with_folders(into).into_iter().flat_map(|cell| with_folders(&cell)).filter(|_| any);
    nothing_of(there.filter(|folder| !own.contains(folder)).map(|folder| checkpoint_file(&folder)))
}

/// Refuses predictions of an earlier export on the same images.
fn check_predictions(computed: &Computed, name: &str, into: &Path) -> Result<(), Failure> {
    let evaluations = computed.planned.results[0].evaluations.iter().map(|evaluated| &evaluated.outcome);
    let (mut own, mut places) = (BTreeSet::new(), BTreeSet::new());
    for outcome in evaluations.filter(|outcome| outcome.stage == *name) {
        if computed.verified(outcome.key.step())?.is_some() {
            own.insert(predictions_file(into, outcome));
        }
        let cells = with_folders(&into.join(&outcome.model)).into_iter();
        places.extend(cells.map(|cell| predictions_of(&cell, &outcome.images)));
    }
    nothing_of(places.into_iter().filter(|place| !own.contains(place)))
}

fn predictions_file(into: &Path, outcome: &Outcome<Evaluation>) -> PathBuf {
    predictions_of(&folder(&into.join(&outcome.model), &outcome.cell), &outcome.images)
}

fn predictions_of(cell: &Path, images: &str) -> PathBuf {
    cell.join("preds").join(format!("{}.csv", images.replace('.', "_")))
}

fn write_split(
    export: &Export<'_>,
    packed: bool,
    into: &Path,
    split: &RankedSplit<'_>,
    surveyed: &Surveyed,
    written: &mut Written,
) -> Result<(), Failure> {
    let computed = export.computed;
    let (Surveyed { names, images, whole }, name) = (surveyed, split.name());
    let place = split.place(into, packed);
    let shape = match split.data.source.kind.image_shape() {
        Some(shape) => shape,
        None => computed.env.library.content(&split.data.source, split.data.split)?.shape,
    };
    let size = [shape.height, shape.width];
    let mut predictions = Vec::new();
    written.insufficient += images.iter().filter(|(_, size)| size.is_none()).count();
    for shard in &split.shards {
        let Some(ranking) = computed.load_step::<Ranking>(shard)? else {
            written.absent += 1;
            continue;
        };
        for index in 0..ranking.len() {
            let image = ranking.first() + index;
            if let Some(curve) = ranking.curve(index) {
                predictions.push(Prediction { image, class: curve.class, confidence: curve.full });
            }
        }
        if !packed {
            create(&place)?;
            (0..ranking.len()).into_par_iter().try_for_each(|index| {
                let file = names.file(&name, ranking.first() + index);
                write_selection(&place.join(file), &ranking, index, size, split.sis.as_ref())
            })?;
        }
    }
    if predictions.is_empty() {
        return Ok(());
    }
    if packed && *whole {
        place.parent().map_or(Ok(()), create)?;
        write_packed::<Unwritten>(&place, size, images, |visit| {
            for shard in &split.shards {
                let ranking = computed.load_step::<Ranking>(shard)?.ok_or(Unwritten::Gone)?;
                for index in 0..ranking.len() {
                    visit(ranking.order(index), ranking.curve(index).map_or(&[][..], |curve| curve.values))?;
                }
            }
            Ok(())
        })
        .map_err(|error| match error {
            Unwritten::File(error) => WriteError::at(&place)(error).into(),
            Unwritten::Failed(failure) => failure,
            Unwritten::Gone => Failure::not_computed("a shard is no longer", export.file, export.name),
        })?;
    }
    if *whole || !packed {
        written.paths.push(place);
    }
    let path = folder(into, split.cell).join("preds").join(format!("{name}.csv"));
    writing::write(&path, write_predictions(&predictions).as_bytes())?;
    written.paths.push(path);
    Ok(())
}

/// The sufficient subset of an image; `None` where there is none.
fn subset(set: &SisSet, image: usize) -> Option<&[u32]> {
    set.images.get(image.checked_sub(set.first)?)?.subset.as_deref()
}

/// Writes one image's file; none where nothing suffices.
fn write_selection(
    path: &Path,
    ranking: &Ranking,
    index: usize,
    [height, width]: [usize; 2],
    sis: Option<&SisSet>,
) -> Result<(), Failure> {
    let sufficient: &[u32] = match sis {
        None => &[],
        Some(set) => match subset(set, ranking.first() + index) {
            Some(subset) => subset,
            None => return Ok(()),
        },
    };
    let (order, curve) =
        (ranking.order(index), ranking.curve(index).ok_or_else(|| Failure::usage("a random order has no values"))?);
    if *ranking.method() == Selection::Backward {
        let values = curve.values.iter().copied().map(f64::from).collect();
        SelectionFile::new(height, width, order.to_vec(), values, sufficient.to_vec())
            .map_err(unfit)?
            .write(path)
            .map_err(WriteError::at(path))?;
        return Ok(());
    }
    let per_round = ranking.per_step().get();
    let mut rounds = vec![0; order.len()];
    for (place, &pixel) in order.iter().enumerate() {
        rounds[pixel as usize] = (place / per_round) as u32;
    }
    // Before each round: f of the fully masked image has no place in the file.
    let before = [curve.full].into_iter().chain(curve.values.iter().copied()).take(curve.values.len());
    let before = before.map(f64::from).collect();
    GradientFile::new([height, width], curve.class, curve.full.into(), before, &rounds)
        .map_err(unfit)?
        .write(path)
        .map_err(WriteError::at(path))?;
    Ok(())
}

/// Writes the weights of a model, each network of an ensemble in a folder of its own.
fn write_model(folder: &Path, model: &Model, key: &StepKey, written: &mut Written) -> Result<(), Failure> {
    for (folder, network) in model_folders(folder, model).iter().zip(&model.networks) {
        let path = checkpoint_file(folder);
        writing::write(&path, &exported(model, network, &key.to_string()).map_err(unfit)?)?;
        written.paths.push(path);
    }
    Ok(())
}

/// The folder of each network of a model.
fn model_folders(folder: &Path, model: &Model) -> Vec<PathBuf> {
    match model.networks.len() {
        1 => vec![folder.to_owned()],
        count => (1..=count).map(|member| folder.join(format!("member-{member}"))).collect(),
    }
}

fn checkpoint_file(folder: &Path) -> PathBuf {
    folder.join("checkpoints").join("checkpoint.safetensors")
}

/// The folder of a cell: that of the stage where it has no axes.
fn folder(to: &Path, cell: &Cell) -> PathBuf {
    if cell.is_empty() {
        return to.to_owned();
    }
    let cell: Vec<String> = cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    to.join(file_name(&cell.join(","), ""))
}

/// What has no form in the authors' files.
fn unfit(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::because(Kind::Usage, error)
}

/// Why a packed file is not there.
enum Unwritten {
    /// It cannot be written.
    File(io::Error),
    /// What goes into it cannot be read.
    Failed(Failure),
    /// A shard has left the cache since it was looked at.
    Gone,
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_spec::AxisValue;

    #[test]
    fn a_cell_has_a_folder_of_its_own_unless_there_is_but_one() {
        let to = Path::new("out");
        assert_eq!(folder(to, &Cell::new()), to);
        let cell = Cell::from([("seed".to_owned(), AxisValue::Int(0))]);
        assert_eq!(folder(to, &cell), Path::new("out/seed=0"));
        assert_eq!(predictions_of(&folder(to, &cell), "cifar.test"), Path::new("out/seed=0/preds/cifar_test.csv"));
    }

    #[test]
    fn what_suffices_is_found_by_the_number_of_the_image_in_its_split() {
        let image =
            |subset: Option<Vec<u32>>| overinterp_artifacts::ImageSis { class: 0, full: 1.0, alone: None, subset };
        let images = vec![image(Some(vec![3, 1])), image(None)];
        let set = SisSet { first: 10, threshold: 0.9, pixels: 4, images };
        let sizes: Vec<_> = (9..13).map(|image| subset(&set, image).map(<[u32]>::len)).collect();
        assert_eq!(sizes, [None, Some(2), None, None]);
    }
}
