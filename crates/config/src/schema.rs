//! Every key that an experiment file may hold, each with an example that messages show.

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its name.
    pub name: &'static str,
    /// A value as one would write it.
    pub example: &'static str,
    /// What may stand below it.
    pub below: Below,
}

/// What may stand below a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below {
    /// Nothing: it holds a value or a list of values.
    Nothing,
    /// Nothing: it holds a path, or several, relative to the file in which it is written.
    Path,
    /// A table with these keys.
    Keys(&'static [Field]),
    /// A list of tables with these keys.
    Rows(&'static [Field]),
    /// A table from axes to values.
    Axes,
    /// A table from names that the user chooses to tables with these keys.
    Named(&'static [Field]),
    /// Stages by name; their keys depend on their kind.
    Stages,
}

const fn value(name: &'static str, example: &'static str) -> Field {
    Field { name, example, below: Below::Nothing }
}

const fn path(name: &'static str, example: &'static str) -> Field {
    Field { name, example, below: Below::Path }
}

const fn keys(name: &'static str, example: &'static str, fields: &'static [Field]) -> Field {
    Field { name, example, below: Below::Keys(fields) }
}

const fn rows(name: &'static str, example: &'static str, fields: &'static [Field]) -> Field {
    Field { name, example, below: Below::Rows(fields) }
}

const fn pins(name: &'static str) -> Field {
    Field { name, example: "{ seed = 0 }", below: Below::Axes }
}

/// Top level.
pub(super) const EXPERIMENT: &[Field] = &[
    path("extends", "\"shared/cifar10.toml\""),
    value("name", "\"cifar-resnet\""),
    value("description", "\"5 % pixel-subsets suffice.\""),
    Field { name: "sweep", example: "{ seed = [0, 1] }", below: Below::Axes },
    Field { name: "data", example: "{ cifar10 = { kind = \"cifar10\" } }", below: Below::Named(DATA) },
    Field { name: "stage", example: "{ full = { kind = \"train\" } }", below: Below::Stages },
    Field { name: "table", example: "{ one = { title = \"Accuracy\", rows = [] } }", below: Below::Named(TABLE) },
    Field { name: "figure", example: "{ sis = { kind = \"images\", shows = [] } }", below: Below::Named(FIGURE) },
    Field { name: "claim", example: "{ chance = { says = \"...\", check = [] } }", below: Below::Named(CLAIM) },
];

/// `[data.NAME]`.
pub(super) const DATA: &[Field] = &[
    value("kind", "\"cifar10\""),
    path("root", "\"../data/images\""),
    keys("limit", "{ train = 2000, test = 500 }", LIMIT),
    value("resize", "256"),
    value("crop", "224"),
    value("skip-unreadable", "true"),
    value("corruption", "\"${corruption}\""),
    value("severity", "\"${severity}\""),
    keys("sample", "{ count = 2000, seed = 1234 }", SAMPLE),
];

/// Keys of `[data.NAME]` that only photographs have.
pub(super) const PHOTOGRAPHS: [&str; 3] = ["resize", "crop", "skip-unreadable"];

/// `limit` of a data set.
pub(super) const LIMIT: &[Field] = &[value("train", "2000"), value("test", "500")];

/// `sample` of a data set.
pub(super) const SAMPLE: &[Field] = &[value("count", "2000"), value("seed", "1234")];

/// Names of [`Below::Axes`] under `[sweep]` that are no axes.
pub(super) const SWEEP_RULES: [&str; 3] = ["zip", "exclude", "include"];

/// A range of an axis.
pub(super) const RANGE: &[Field] = &[value("from", "0"), value("to", "4"), value("step", "1")];

/// The key that decides which others a stage takes.
pub(super) const KIND: Field = value("kind", "\"train\"");

/// `kind = "train"`.
pub(super) const TRAIN: &[Field] = &[
    KIND,
    value("images", "\"cifar10.train\""),
    pins("images-where"),
    value("arch", "\"resnet18\""),
    value("seed", "0"),
    keys(
        "recipe",
        "{ epochs = 10, batch = 128, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4 }",
        RECIPE,
    ),
    value("init", "\"imported\""),
    pins("init-where"),
    NORMALISATION,
];

/// `normalise` of a model.
const NORMALISATION: Field =
    keys("normalise", "{ mean = [0.485, 0.456, 0.406], deviation = [0.229, 0.224, 0.225] }", NORMALISE);

/// What `normalise` of a model holds.
pub(super) const NORMALISE: &[Field] =
    &[value("mean", "[0.485, 0.456, 0.406]"), value("deviation", "[0.229, 0.224, 0.225]")];

/// `recipe` of a training.
pub(super) const RECIPE: &[Field] = &[
    value("like", "\"full\""),
    value("epochs", "200"),
    value("batch", "128"),
    value("lr", "0.1"),
    value("momentum", "0.9"),
    value("nesterov", "true"),
    value("weight-decay", "5e-4"),
    value("milestones", "[60, 120, 160]"),
    value("gamma", "0.2"),
    keys("one-cycle", "{ warm-up = 0.3 }", ONE_CYCLE),
    value("augment", "\"none\""),
    keys("input-dropout", "{ keep = 0.8, samples = 10 }", INPUT_DROPOUT),
];

/// `one-cycle` of a recipe.
pub(super) const ONE_CYCLE: &[Field] = &[value("warm-up", "0.3"), value("start", "0.04"), value("end", "4e-6")];

/// `input-dropout` of a recipe.
pub(super) const INPUT_DROPOUT: &[Field] = &[value("keep", "0.8"), value("samples", "10")];

/// `kind = "import"`.
pub(super) const IMPORT: &[Field] = &[
    KIND,
    path("file", "\"checkpoint.pt\""),
    value("arch", "\"resnet18\""),
    value("data", "\"cifar10\""),
    keys("input-dropout", "{ keep = 0.8, samples = 10, seed = 0 }", SEEDED_DROPOUT),
    value("seed", "0"),
    value("transform-input", "true"),
    NORMALISATION,
    value("weights", "\"params_ema\""),
];

/// `input-dropout` of an import.
pub(super) const SEEDED_DROPOUT: &[Field] = &[INPUT_DROPOUT[0], INPUT_DROPOUT[1], value("seed", "0")];

/// `kind = "ensemble"`.
pub(super) const ENSEMBLE: &[Field] =
    &[KIND, value("members", "[\"full\"]"), pins("members-where"), value("over", "[\"seed\"]")];

/// `kind = "temperature"`.
pub(super) const TEMPERATURE: &[Field] = &[
    KIND,
    value("model", "\"full\""),
    pins("model-where"),
    value("images", "\"cifar10.train\""),
    value("last", "5000"),
];

/// `kind = "select"`.
pub(super) const SELECT: &[Field] = &[
    KIND,
    value("model", "\"full\""),
    pins("model-where"),
    value("images", "[\"cifar10.train\", \"cifar10.test\"]"),
    pins("images-where"),
    keys("method", "{ kind = \"backward\" }", METHOD),
    value("count", "100"),
];

/// `kind = "import-selection"`.
pub(super) const IMPORT_SELECTION: &[Field] = &[
    KIND,
    value("data", "\"cifar10\""),
    keys("files", "{ test = \"sis/cifar10_test\" }", SELECTION_FILES),
    keys("predictions", "{ test = \"preds/cifar10_test.csv\" }", PREDICTION_FILES),
    value("model", "\"imported\""),
    pins("model-where"),
    keys("method", "{ kind = \"backward\" }", METHOD),
    value("count", "100"),
];

/// `files` of an import of selections.
pub(super) const SELECTION_FILES: &[Field] =
    &[path("train", "\"sis/cifar10_train\""), path("test", "\"sis/cifar10_test\"")];

/// `predictions` of an import of selections.
pub(super) const PREDICTION_FILES: &[Field] =
    &[path("train", "\"preds/cifar10_train.csv\""), path("test", "\"preds/cifar10_test.csv\"")];

/// `method` of a selection, whatever its kind.
pub(super) const METHOD: &[Field] = &[
    value("kind", "\"backward\""),
    value("per-round", "16"),
    value("noise", "0.0"),
    value("steps", "50"),
    value("per-step", "8"),
    keys("seeds", "{ train = 1234, test = 5678 }", SEEDS),
];

/// `method` of kind `backward`.
pub(super) const BACKWARD: &[Field] = &[METHOD[0]];

/// `method` of kind `batched-gradient`.
pub(super) const BATCHED_GRADIENT: &[Field] = &[METHOD[0], METHOD[1], METHOD[2]];

/// `method` of kind `gradient`.
pub(super) const GRADIENT: &[Field] = &[METHOD[0], METHOD[4]];

/// `method` of kind `integrated-gradients`.
pub(super) const INTEGRATED_GRADIENTS: &[Field] = &[METHOD[0], METHOD[3], METHOD[4]];

/// `method` of kind `random`.
pub(super) const RANDOM: &[Field] = &[METHOD[0], METHOD[5]];

/// `seeds` of a random selection.
pub(super) const SEEDS: &[Field] = &[value("train", "1234"), value("test", "5678")];

/// `kind = "mask"`.
pub(super) const MASK: &[Field] = &[
    KIND,
    value("ranking", "\"ranking\""),
    pins("ranking-where"),
    keys("keep", "0.05", KEEP),
    value("content", "\"mask-only\""),
    value("fill", "\"black\""),
    value("seed", "0"),
];

/// `keep` of a mask, where it is no number.
pub(super) const KEEP: &[Field] = &[value("rounds", "0.1")];

/// `kind = "evaluate"`.
pub(super) const EVALUATE: &[Field] = &[KIND, rows("pairs", "[{ model = \"full\", images = \"cifar10.test\" }]", PAIR)];

/// One of the `pairs` of an evaluation.
pub(super) const PAIR: &[Field] =
    &[value("model", "\"full\""), pins("model-where"), value("images", "\"cifar10.test\""), pins("images-where")];

/// `kind = "sis"`.
pub(super) const SIS: &[Field] =
    &[KIND, value("ranking", "\"ranking\""), pins("ranking-where"), value("threshold", "0.99")];

/// `kind = "collection"`.
pub(super) const COLLECTION: &[Field] = &[
    KIND,
    value("model", "\"full\""),
    pins("model-where"),
    value("images", "[\"cifar10.test\"]"),
    pins("images-where"),
    value("threshold", "0.99"),
    value("count", "100"),
];

/// `kind = "analyse"`, whatever the question.
pub(super) const ANALYSE: &[Field] = &[
    KIND,
    value("question", "\"sis-size\""),
    value("ranking", "\"ranking.test\""),
    pins("ranking-where"),
    value("threshold", "0.99"),
    value("thresholds", "[0.5, 0.7, 0.9, 0.99]"),
    keys("bootstrap", "{ resamples = 1000, seed = 0 }", BOOTSTRAP),
    value("subset", "\"subset.test\""),
    pins("subset-where"),
    value("per-class", "true"),
    value("with", "\"other-subset.test\""),
    pins("with-where"),
    value("collection", "\"collection.test\""),
    pins("collection-where"),
    value("model", "\"full\""),
    pins("model-where"),
    value("fractions", "[0.05, 0.1, 0.5]"),
    value("images", "\"cifar10.test\""),
    pins("images-where"),
    value("bins", "15"),
];

/// `bootstrap` of an analysis.
pub(super) const BOOTSTRAP: &[Field] = &[value("resamples", "1000"), value("seed", "0")];

const SIS_SIZE: &[Field] = &[KIND, ANALYSE[1], ANALYSE[2], ANALYSE[3], ANALYSE[4], ANALYSE[5], ANALYSE[6]];
const CONFIDENCE_CURVE: &[Field] = &[KIND, ANALYSE[1], ANALYSE[2], ANALYSE[3], ANALYSE[6]];
const MASKED_CONFIDENCE: &[Field] = &[KIND, ANALYSE[1], ANALYSE[2], ANALYSE[3]];
const HEAT_MAP: &[Field] = &[KIND, ANALYSE[1], ANALYSE[7], ANALYSE[8], ANALYSE[9]];
const OVERLAP: &[Field] = &[KIND, ANALYSE[1], ANALYSE[7], ANALYSE[8], ANALYSE[10], ANALYSE[11], ANALYSE[6]];
const COLLECTIONS: &[Field] = &[KIND, ANALYSE[1], ANALYSE[12], ANALYSE[13], ANALYSE[6]];
const DELETION_INSERTION: &[Field] =
    &[KIND, ANALYSE[1], ANALYSE[2], ANALYSE[3], ANALYSE[14], ANALYSE[15], ANALYSE[16], ANALYSE[6]];
const CALIBRATION: &[Field] = &[KIND, ANALYSE[1], ANALYSE[14], ANALYSE[15], ANALYSE[17], ANALYSE[18], ANALYSE[19]];

/// What an analysis may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuestionKind {
    /// How large sufficient input subsets are.
    SisSize,
    /// How f falls.
    ConfidenceCurve,
    /// f with everything masked.
    MaskedConfidence,
    /// Where subsets lie.
    HeatMap,
    /// How far subsets agree.
    Overlap,
    /// How many disjoint sufficient input subsets there are.
    Collections,
    /// Confidence as the pixels ranked highest go or come first.
    DeletionInsertion,
    /// How far confidence is accuracy.
    Calibration,
}

/// Every question with its name in TOML.
pub(super) const QUESTIONS: [(&str, QuestionKind); 8] = [
    ("sis-size", QuestionKind::SisSize),
    ("confidence-curve", QuestionKind::ConfidenceCurve),
    ("masked-confidence", QuestionKind::MaskedConfidence),
    ("heat-map", QuestionKind::HeatMap),
    ("overlap", QuestionKind::Overlap),
    ("collections", QuestionKind::Collections),
    ("deletion-insertion", QuestionKind::DeletionInsertion),
    ("calibration", QuestionKind::Calibration),
];

impl QuestionKind {
    /// The keys that go with it.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::SisSize => SIS_SIZE,
            Self::ConfidenceCurve => CONFIDENCE_CURVE,
            Self::MaskedConfidence => MASKED_CONFIDENCE,
            Self::HeatMap => HEAT_MAP,
            Self::Overlap => OVERLAP,
            Self::Collections => COLLECTIONS,
            Self::DeletionInsertion => DELETION_INSERTION,
            Self::Calibration => CALIBRATION,
        }
    }
}

/// `kind = "human"`.
pub(super) const HUMAN: &[Field] = &[
    KIND,
    value("images", "\"subset.test\""),
    pins("images-where"),
    path("answers", "\"human_study/answers.csv\""),
    path("key", "\"human_study.key.csv\""),
];

/// `[table.NAME]`.
pub(super) const TABLE: &[Field] = &[
    value("title", "\"Accuracy on full images and on subsets\""),
    rows("rows", "[{ label = \"full / full\", model = \"full\", images = \"cifar10.test\" }]", ROW),
    value("columns", "\"fraction\""),
    value("over", "[\"seed\"]"),
];

/// One of the `rows` of a table.
pub(super) const ROW: &[Field] = &[
    value("label", "\"full / full\""),
    MEASURE[0],
    MEASURE[1],
    MEASURE[2],
    MEASURE[3],
    MEASURE[4],
    value("published", "0.9539"),
];

/// What names numbers: those of evaluations, by model and images, or those of an analysis.
pub(super) const MEASURE: &[Field] = &[
    value("model", "\"full\""),
    value("images", "\"cifar10.test\""),
    pins("where"),
    value("metric", "\"accuracy\""),
    value("analysis", "\"size\""),
];

/// `[figure.NAME]`, whatever its kind.
pub(super) const FIGURE: &[Field] = &[
    value("kind", "\"images\""),
    value("title", "\"SIS at threshold .99\""),
    rows("shows", "[{ stage = \"sufficient\" }]", SHOWS),
    value("drawing", "\"confidence\""),
    value("over", "[\"seed\"]"),
    value("count", "6"),
];

/// `kind = "curves"` and `kind = "heat-maps"` of a figure.
pub(super) const DRAWINGS: &[Field] =
    &[FIGURE[0], FIGURE[1], rows("shows", "[{ stage = \"sizes\" }]", SHOWN), FIGURE[3], FIGURE[4]];

/// `kind = "images"` of a figure.
pub(super) const IMAGES: &[Field] =
    &[FIGURE[0], FIGURE[1], rows("shows", "[{ stage = \"sufficient\" }]", PICTURED), FIGURE[5]];

/// One of the stages that a figure shows, whatever the figure's kind.
const SHOWS: &[Field] = &[
    value("stage", "\"sufficient\""),
    value("label", "\"ResNet20\""),
    pins("where"),
    value("names", "[\"correct\"]"),
    value("split", "\"test\""),
    value("model", "\"full\""),
];

/// An analysis that a figure shows.
pub(super) const SHOWN: &[Field] = &[value("stage", "\"sizes\""), SHOWS[1], SHOWS[2], SHOWS[3]];

/// Subsets that a figure shows.
pub(super) const PICTURED: &[Field] = &[SHOWS[0], SHOWS[1], SHOWS[2], SHOWS[4], SHOWS[5]];

/// `[claim.NAME]`.
pub(super) const CLAIM: &[Field] = &[
    value("says", "\"full-image models score at chance on random subsets\""),
    value("paper", "\"section 4.1\""),
    value("over", "[\"seed\"]"),
    rows("check", "[{ model = \"full\", images = \"random-subset.test\", within = 0.03, of = \"chance\" }]", CHECK),
];

/// One comparison of a claim.
pub(super) const CHECK: &[Field] = &[
    MEASURE[0],
    MEASURE[1],
    MEASURE[2],
    MEASURE[3],
    MEASURE[4],
    value("within", "0.05"),
    keys("of", OPERAND, OPERAND_KEYS),
    value("at-least", "0.1"),
    keys("above", "\"chance\"", OPERAND_KEYS),
    keys("below", OPERAND, OPERAND_KEYS),
];

const OPERAND: &str = "{ model = \"full\", images = \"cifar10.test\" }";

/// What a comparison's other side may hold.
pub(super) const OPERAND_KEYS: &[Field] = MEASURE;

/// Kinds of stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StageKind {
    /// Weights by training.
    Train,
    /// Weights from a file.
    Import,
    /// Several models as one.
    Ensemble,
    /// A model at another temperature.
    Temperature,
    /// Rankings of pixels.
    Select,
    /// Rankings of pixels from files.
    ImportSelection,
    /// Subsets of pixels.
    Mask,
    /// Accuracies.
    Evaluate,
    /// Sufficient input subsets.
    Sis,
    /// All disjoint sufficient input subsets.
    Collection,
    /// Questions to what others left.
    Analyse,
    /// What people answered.
    Human,
}

impl StageKind {
    /// Every kind with its name in TOML.
    pub const ALL: [(&'static str, Self); 12] = [
        ("train", Self::Train),
        ("import", Self::Import),
        ("ensemble", Self::Ensemble),
        ("temperature", Self::Temperature),
        ("select", Self::Select),
        ("import-selection", Self::ImportSelection),
        ("mask", Self::Mask),
        ("evaluate", Self::Evaluate),
        ("sis", Self::Sis),
        ("collection", Self::Collection),
        ("analyse", Self::Analyse),
        ("human", Self::Human),
    ];

    /// Its name in TOML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Import => "import",
            Self::Ensemble => "ensemble",
            Self::Temperature => "temperature",
            Self::Select => "select",
            Self::ImportSelection => "import-selection",
            Self::Mask => "mask",
            Self::Evaluate => "evaluate",
            Self::Sis => "sis",
            Self::Collection => "collection",
            Self::Analyse => "analyse",
            Self::Human => "human",
        }
    }

    /// The keys that such a stage takes.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Train => TRAIN,
            Self::Import => IMPORT,
            Self::Ensemble => ENSEMBLE,
            Self::Temperature => TEMPERATURE,
            Self::Select => SELECT,
            Self::ImportSelection => IMPORT_SELECTION,
            Self::Mask => MASK,
            Self::Evaluate => EVALUATE,
            Self::Sis => SIS,
            Self::Collection => COLLECTION,
            Self::Analyse => ANALYSE,
            Self::Human => HUMAN,
        }
    }
}
