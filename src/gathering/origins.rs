//! Where an experiment's results come from, and what they must be read with.

use std::collections::BTreeMap;

use overinterp_config::Experiment;
use overinterp_config::experiment::ImagesRef;
use overinterp_config::kinds::{Select, Settings, Train};
use overinterp_data::Provenance;
use overinterp_report::page::{Caveat, DataOrigin, MadeBy, SplitOrigin};
use overinterp_spec::{Selection, Split};
use overinterp_workflow::store::{Lookup, Maker};
use overinterp_workflow::view::View;

use crate::computed::Computed;
use crate::computed::files::full_name;
use crate::text;

/// What made the results that are there, and how many there are.
pub(crate) fn made(computed: &Computed, view: &View) -> (Vec<MadeBy>, usize) {
    let mut makers: BTreeMap<(&str, &str, &str), (MadeBy, f64)> = BTreeMap::new();
    let mut there = 0;
    for (_, step) in computed.planned.plan.steps() {
        let Lookup::Intact(record) = view.entry(step.identity()) else { continue };
        there += 1;
        let Maker { program, host, device } = &*record.by;
        let date = &record.date();
        let (made, seconds) = makers.entry((program, host, device)).or_insert_with(|| {
            let (program, host, device) = (program.clone(), host.clone(), device.clone());
            let dates = (date.clone(), date.clone());
            (MadeBy { program, host, device, dates, steps: 0, took: String::new() }, 0.0)
        });
        made.steps += 1;
        // Dates are written so that their order as text is that of time.
        if *date < made.dates.0 {
            made.dates.0.clone_from(date);
        }
        if *date > made.dates.1 {
            made.dates.1.clone_from(date);
        }
        if !record.is_shared {
            *seconds += record.seconds;
        }
    }
    let made = makers.into_values().map(|(made, seconds)| MadeBy { took: text::duration(seconds), ..made });
    (made.collect(), there)
}

/// Where the images of each data set come from.
pub(crate) fn data(computed: &Computed, experiment: &Experiment) -> Vec<DataOrigin> {
    let origin = |split: Split, name: &str| {
        let content = computed.contents.get(&(name.to_owned(), split))?;
        Some(SplitOrigin {
            split: split.name().to_owned(),
            images: content.images,
            origin: [(content.skipped, "left out"), (content.passed, "passed over")].into_iter().fold(
                content.provenance.describe().to_owned(),
                |origin, (count, what)| match count {
                    0 => origin,
                    count => format!("{origin}; {} {what}", text::count(count, "file")),
                },
            ),
            content: content.hash.to_string(),
        })
    };
    let sets = experiment.data.iter().map(|source| {
        let name = full_name(source);
        let splits = Split::ALL.into_iter().filter_map(|split| origin(split, &name)).collect();
        DataOrigin { name, kind: source.kind.name().to_owned(), splits }
    });
    sets.collect()
}

/// What the results must be read with, by what the experiment does.
pub(crate) fn caveats(computed: &Computed, experiment: &Experiment) -> Vec<Caveat> {
    let settings = || experiment.stages.iter().flat_map(|stage| &stage.instances).map(|instance| &instance.settings);
    let by_model = |settings: &Settings| match settings {
        Settings::Select(Select { method, .. }) => !matches!(method, Selection::Random { .. }),
        other => matches!(other, Settings::Collection(_)),
    };
    let masks =
        |settings: &Settings| matches!(settings, Settings::Mask(_) | Settings::Sis(_) | Settings::Collection(_));
    let retrains =
        |settings: &Settings| matches!(settings, Settings::Train(Train { images: ImagesRef::Subset { .. }, .. }));
    let partial = experiment.data.iter().any(|source| {
        source.limit.train.is_some()
            || source.limit.test.is_some()
            || computed.origins.get(&source.name).is_some_and(|origin| origin.provenance == Provenance::Excerpt)
    });
    let candidates = [
        (Caveat::Ties, settings().any(by_model)),
        (Caveat::Edges, settings().any(masks)),
        (Caveat::Positions, settings().any(retrains)),
        (Caveat::Scale, partial),
    ];
    candidates.into_iter().filter(|(_, holds)| *holds).map(|(caveat, _)| caveat).collect()
}
