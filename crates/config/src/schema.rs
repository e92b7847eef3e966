//! The sections of an experiment file and their keys, but those of stages, which are declared with their kinds.

use overinterp_spec::{Corruption, DataKind, Metric};

use super::field::{
    Below, Field, flag, images, list, number, one_of, path, pins, rows, section, stage, table, table_or, text, whole,
};
use super::figure;
use super::kinds::Makes;
use super::layers::OWN;

/// The keys and sections at the top of an experiment file.
pub(super) const EXPERIMENT: &[Field] = &[
    path("extends", "Another experiment file that this one builds on, or a list of them", "\"shared/cifar10.toml\"")
        .or("none"),
    text("name", "What reports are called by", "\"cifar-resnet\""),
    text("description", "What it is about; reports begin with it", "\"5 % pixel-subsets suffice.\"").or("empty"),
    section("sweep", "Axes: each a list of values or a range", "{ seed = [0, 1] }", Below::Axes),
    section("data", "Data sets by name", "{ cifar10 = { kind = \"cifar10\" } }", Below::Named(DATA)),
    section(
        "arch",
        "Networks of one's own by name, layer by layer",
        "{ mine = { layers = [{ conv = 16 }, \"relu\", \"global-mean\", { linear = \"classes\" }] } }",
        Below::Named(OWN),
    ),
    section("stage", "Stages by name: what is computed", "{ full = { kind = \"train\" } }", Below::Stages),
    section("table", "Tables by name", "{ one = { title = \"Accuracy\", rows = [] } }", Below::Named(TABLE)),
    section("figure", "Figures by name", "{ sis = { kind = \"images\", shows = [] } }", Below::Named(FIGURE)),
    section("claim", "Claims by name", "{ chance = { says = \"...\", check = [] } }", Below::Named(CLAIM)),
    section(
        "resources",
        "What jobs of a cluster are given, by the kind of stage, or for `all`; no part of any key",
        "{ all = { cpus = 4, mem = \"8G\" } }",
        Below::Named(RESOURCES),
    ),
];

/// `[resources.KIND]`.
pub(super) const RESOURCES: &[Field] = &[
    whole("cpus", "Processors, which are a worker's threads", "4").or("what `all` has, or 1"),
    text("mem", "Memory of the whole job: a whole number with M, G or T", "\"8G\"")
        .or("what `all` has, or the cluster's own"),
    whole("gpus", "GPUs", "1").or("what `all` has, or 0"),
    text("time", "How long a job may last; a worker stops at a checkpoint before", "\"3h50m\"")
        .or("what `all` has, or `1h`"),
    text("partition", "The queue", "\"gpu\"").or("what `all` has, or the cluster's own"),
    text("constraint", "Features that a node must have", "\"a100|h100\"").or("what `all` has, or none"),
    list("flags", "Further flags as `sbatch` takes them", "[\"--account=vision\"]", "strings")
        .or("those of `all`, which they are added to"),
];

/// A profile: resources in a file of the user's own.
pub(super) const PROFILE: &[Field] = &[
    whole("max-workers", "The most workers that wait or run at a time", "64").or("16"),
    EXPERIMENT[EXPERIMENT.len() - 1],
];

/// `[data.NAME]`.
pub(super) const DATA: &[Field] = &[
    one_of("kind", "What data set it is", "\"cifar10\"", || DataKind::ALL.map(|(name, _)| name).to_vec()),
    path("root", "The folder or archive that it is in", "\"../data/images\"")
        .depends("its usual place in `data`; `folder` and `image-folder` need it"),
    table("limit", "Only so many of the first images of each half", "{ train = 2000, test = 500 }", LIMIT).or("all"),
    whole("resize", "For `image-folder`: what the shorter side is made, in pixels", "256").or("256"),
    whole("crop", "For `image-folder`: the side of the square that is cut from the centre", "224")
        .or("224, or `resize` if that is less"),
    flag("skip-unreadable", "For `image-folder`: leaves out files that do not decode, instead of an error", "true")
        .or("`false`"),
    one_of("corruption", "For `cifar10-c`: which corruption", "\"${corruption}\"", || {
        Corruption::ALL.map(|(name, _)| name).to_vec()
    })
    .depends("`cifar10-c` needs it, or `sample`"),
    whole("severity", "For `cifar10-c`: how severe, from 1 to 5", "\"${severity}\"")
        .depends("`cifar10-c` needs it, or `sample`"),
    table(
        "sample",
        "For `cifar10-c`: images drawn from all corruptions and severities",
        "{ count = 2000, seed = 1234 }",
        SAMPLE,
    )
    .depends("`cifar10-c` needs it, or `corruption` and `severity`"),
];

/// Keys of `[data.NAME]` that only photographs have.
pub(super) const PHOTOGRAPHS: [&str; 3] = ["resize", "crop", "skip-unreadable"];

/// `limit` of a data set.
pub(super) const LIMIT: &[Field] = &[
    whole("train", "Images of the training half", "2000").or("all"),
    whole("test", "Images of the test half", "500").or("all"),
];

/// `sample` of a data set.
pub(super) const SAMPLE: &[Field] =
    &[whole("count", "How many images", "2000"), whole("seed", "Which draw; 1234 is the authors'", "1234")];

/// Names of [`Below::Axes`] under `[sweep]` that are no axes.
pub(super) const SWEEP_RULES: [&str; 3] = ["zip", "exclude", "include"];

/// A range of an axis.
pub(super) const RANGE: &[Field] = &[
    number("from", "The first value", "0"),
    number("to", "The last value, if a step ends there", "4"),
    number("step", "How far apart", "1").or("1"),
];

/// The key that decides which others a stage takes.
pub(super) const KIND: Field = text("kind", "What the stage does", "\"train\"");

/// `[table.NAME]`.
pub(super) const TABLE: &[Field] = &[
    text("title", "What stands above it", "\"Accuracy on full images and on subsets\""),
    rows(
        "rows",
        "Its rows, each of which names numbers",
        "[{ label = \"full / full\", model = \"full\", images = \"cifar10.test\" }]",
        ROW,
    ),
    text("columns", "The axis with a column for each value", "\"fraction\"").or("one column"),
    OVER,
];

/// Axes to average over.
const OVER: Field =
    list("over", "Axes whose values are averaged", "[\"seed\"]", "axes").or("`[\"seed\"]`, if there is such an axis");

/// One of the `rows` of a table.
pub(super) const ROW: &[Field] = &[
    text("label", "What stands before it", "\"full / full\""),
    MEASURE[0],
    MEASURE[1],
    MEASURE[2],
    MEASURE[3],
    MEASURE[4],
    number("published", "The paper's number", "0.9539").or("none"),
];

/// What names numbers: those of evaluations, by model and images, or those of an analysis.
pub(super) const MEASURE: &[Field] = &[
    stage(
        "model",
        "A model that is evaluated, or a `human` stage",
        "\"full\"",
        &[Makes::Network, Makes::Model, Makes::Answers],
    )
    .depends("needed without `analysis`"),
    images("images", "The images on which it is", "\"cifar10.test\"").depends("needed without `analysis`"),
    pins("where").here("Fixes axes", "{ seed = 0 }"),
    one_of("metric", "Which number", "\"accuracy\"", || Metric::ALL.map(|(name, _)| name).to_vec())
        .depends("`\"accuracy\"` of evaluations; needed with `analysis`"),
    text(
        "analysis",
        "An `analyse` or `temperature` stage whose number it is, instead of `model` and `images`",
        "\"size\"",
    )
    .depends("needed without `model`"),
];

/// `[figure.NAME]`, whatever its kind.
pub(super) const FIGURE: &[Field] = &[
    one_of("kind", "What it draws", "\"images\"", figure::kinds),
    text("title", "What stands above it", "\"SIS at threshold .99\""),
    rows("shows", "The stages that it shows", "[{ stage = \"sufficient\" }]", SHOWS),
    text("drawing", "For `curves` and `heat-maps`: which drawing of several", "\"confidence\"").or("the first one"),
    OVER.here("For `curves` and `heat-maps`: axes whose values are averaged", "[\"seed\"]"),
    whole("count", "For `images`: how many of the first images, at most 60", "6").or("6"),
];

/// `kind = "curves"` and `kind = "heat-maps"` of a figure.
pub(super) const DRAWINGS: &[Field] = &[
    FIGURE[0],
    FIGURE[1],
    rows("shows", "The stages that it shows", "[{ stage = \"sizes\" }]", SHOWN),
    FIGURE[3],
    FIGURE[4],
];

/// `kind = "images"` of a figure.
pub(super) const IMAGES: &[Field] = &[
    FIGURE[0],
    FIGURE[1],
    rows("shows", "The stages that it shows", "[{ stage = \"sufficient\" }]", PICTURED),
    FIGURE[5],
];

/// One of the stages that a figure shows, whatever the figure's kind.
const SHOWS: &[Field] = &[
    stage("stage", "Which stage", "\"sufficient\"", &[Makes::Sufficient, Makes::Subsets, Makes::Analysis]),
    text("label", "What it is called", "\"ResNet20\"").or("the stage's name"),
    pins("where").here("Fixes axes", "{ seed = 0 }"),
    list("names", "For `curves` and `heat-maps`: some of its curves or maps alone", "[\"correct\"]", "names").or("all"),
    one_of("split", "For `images`: which half", "\"test\"", || vec!["train", "test"]).or("`\"test\"`"),
    stage(
        "model",
        "For `images` of a mask: whose prediction stands below",
        "\"full\"",
        &[Makes::Network, Makes::Model],
    )
    .or("nothing stands below"),
];

/// An analysis that a figure shows.
pub(super) const SHOWN: &[Field] =
    &[stage("stage", "Which analysis", "\"sizes\"", &[Makes::Analysis]), SHOWS[1], SHOWS[2], SHOWS[3]];

/// Subsets that a figure shows.
pub(super) const PICTURED: &[Field] = &[SHOWS[0], SHOWS[1], SHOWS[2], SHOWS[4], SHOWS[5]];

/// `[claim.NAME]`.
pub(super) const CLAIM: &[Field] = &[
    text("says", "The sentence that is checked", "\"full-image models score at chance on random subsets\""),
    text("paper", "Where the paper says so", "\"section 4.1\"").or("nothing is said"),
    OVER,
    rows(
        "check",
        "Comparisons, all of which must hold",
        "[{ model = \"full\", images = \"random-subset.test\", within = 0.03, of = \"chance\" }]",
        CHECK,
    ),
];

/// One comparison of a claim.
pub(super) const CHECK: &[Field] = &[
    MEASURE[0],
    MEASURE[1],
    MEASURE[2],
    MEASURE[3],
    MEASURE[4],
    number("within", "How far from `of` it may lie", "0.05").depends("needs `of`; one of it and `at-least`"),
    operand("of", "What it lies within that distance of"),
    number("at-least", "How far `above` or `below` it must lie", "0.1")
        .depends("needs `above` or `below`; one of it and `within`"),
    Field { example: "\"chance\"", ..operand("above", "What it lies above") },
    operand("below", "What it lies below"),
];

/// The other side of a comparison.
const fn operand(name: &'static str, about: &'static str) -> Field {
    table_or(
        name,
        about,
        "{ model = \"full\", images = \"cifar10.test\" }",
        "`\"chance\"`, a number, or a table",
        OPERAND_KEYS,
    )
    .depends("see `within` and `at-least`")
}

/// What a comparison's other side may hold.
pub(super) const OPERAND_KEYS: &[Field] = MEASURE;
