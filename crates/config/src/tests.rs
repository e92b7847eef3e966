//! What valid files become.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use overinterp_spec::{
    Arch, Augment, AxisValue, Bootstrap, Bound, Cell, Cosine, Metric, OneCycle, Operand, Recipe, Seed, Selection,
    Split, Subject,
};

use super::experiment::{Half, ImagesRef, Instance};
use super::field::{Absent, Below, Field};
use super::kinds::{Analyse, Ensemble, Evaluate, Import, Select, Settings, StageKind, Train};
use super::problem::Place;
use super::questions::{Overlap, Question, SisSize};
use super::reference::{Draft, Reference};
use super::schema::EXPERIMENT;
use super::{Experiment, Override, Problems, load, merged, parse};

/// Reads a file with a data set and a recipe put in front of `rest`, which may start with `[sweep]`.
fn experiment(rest: &str) -> Experiment {
    let text = format!("name = 'test'\ndata.set.kind = 'cifar10'\n{rest}");
    parse(&text, Path::new("test.toml"), &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

const RECIPE: &str = "recipe = { epochs = 1, batch = 2, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 0 }";

fn instances<'a>(experiment: &'a Experiment, stage: &str) -> &'a [Instance] {
    &experiment.stages.iter().find(|spec| spec.name == stage).expect("the stage is there").instances
}

fn show(cell: &Cell) -> String {
    let shown: Vec<String> = cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    shown.join(",")
}

fn cells(experiment: &Experiment, stage: &str) -> Vec<String> {
    instances(experiment, stage).iter().map(|instance| show(&instance.cell)).collect()
}

fn shipped(name: &str, sets: &[&str]) -> Experiment {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("experiments").join(name);
    let sets: Vec<Override> = sets.iter().map(|set| Override::new(*set)).collect();
    load(&path, &sets).unwrap_or_else(|problems| panic!("{problems}"))
}

fn counts(experiment: &Experiment) -> Vec<(&str, usize)> {
    experiment.stages.iter().map(|spec| (spec.name.as_str(), spec.instances.len())).collect()
}

#[test]
fn the_quickstart_expands_each_stage_over_the_axes_it_depends_on() {
    let experiment = shipped("quickstart.toml", &[]);
    let expected = [
        ("full", 2),
        ("ranking", 2),
        ("random-ranking", 1),
        ("subset", 6),
        ("random-subset", 3),
        ("retrained", 6),
        ("random-retrained", 6),
        ("accuracy", 2 + 6 + 6 + 6 + 6),
        ("exact", 1),
        ("sufficient", 1),
    ];
    assert_eq!(counts(&experiment), expected);
    assert_eq!(cells(&experiment, "exact"), [""]);
    assert_eq!(cells(&experiment, "ranking"), ["seed=0", "seed=1"]);
    assert_eq!(experiment.tables[0].over, ["seed"]);
    assert_eq!(experiment.claims.len(), 4);
}

#[test]
fn an_override_of_the_fraction_leaves_trainings_on_full_images_and_selections_as_they_are() {
    let before = shipped("quickstart.toml", &[]);
    let after = shipped("quickstart.toml", &["sweep.fraction=[0.15]"]);
    for stage in ["full", "ranking", "random-ranking", "exact", "sufficient"] {
        assert_eq!(instances(&before, stage), instances(&after, stage), "{stage}");
    }
    assert_eq!(cells(&after, "subset"), ["fraction=0.15,seed=0", "fraction=0.15,seed=1"]);
}

#[test]
fn references_join_on_equal_axis_names() {
    let experiment = shipped("quickstart.toml", &[]);
    for instance in instances(&experiment, "accuracy") {
        let Settings::Evaluate(Evaluate { model, images }) = &instance.settings else { panic!("not an evaluation") };
        let ImagesRef::Subset { mask, .. } = images else { continue };
        for (axis, value) in &model.cell {
            assert_eq!(instance.cell.get(axis), Some(value));
            assert!(mask.cell.get(axis).is_none_or(|other| other == value), "{model:?} on {mask:?}");
        }
    }
}

#[test]
fn a_range_is_inclusive_and_may_have_a_step() {
    let experiment = experiment(&format!(
        "[sweep]\nseed = {{ from = 0, to = 6, step = 3 }}\nlr = {{ from = 0.1, to = 0.5, step = 0.2 }}\n\
         [stage.full]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = '${{seed}}'\n\
         recipe = {{ like = 'base', lr = '${{lr}}' }}\n\
         [stage.base]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 7\n{RECIPE}\n"
    ));
    let values = |axis: usize| experiment.axes[axis].values.clone();
    assert_eq!(values(0), [0, 3, 6].map(AxisValue::Int));
    assert_eq!(values(1), [0.1, 0.3, 0.5].map(AxisValue::Float));
    assert_eq!(instances(&experiment, "full").len(), 9);
    assert_eq!(cells(&experiment, "full")[..3], ["lr=0.1,seed=0", "lr=0.3,seed=0", "lr=0.5,seed=0"]);
    assert_eq!(cells(&experiment, "base"), [""]);
}

/// A sweep over small stages: `full` over arch and seed, `ranking` of seed 0, `subset` at fractions.
fn swept(sweep: &str, rest: &str) -> Experiment {
    swept_with(sweep, rest, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn swept_with(sweep: &str, rest: &str, sets: &[&str]) -> Result<Experiment, Problems> {
    let text = format!(
        "name = 'test'\ndata.set.kind = 'cifar10'\n[sweep]\n{sweep}\n\
         [stage.full]\nkind = 'train'\nimages = 'set.train'\narch = '${{arch}}'\nseed = '${{seed}}'\n{RECIPE}\n\
         [stage.ranking]\nkind = 'select'\nmodel = 'full'\nmodel-where = {{ seed = 0 }}\n\
         images = ['set.train', 'set.test']\nmethod = {{ kind = 'backward' }}\n\
         [stage.subset]\nkind = 'mask'\nranking = 'ranking'\nkeep = 0.05\n{rest}"
    );
    let sets: Vec<Override> = sets.iter().map(|set| Override::new(*set)).collect();
    parse(&text, Path::new("test.toml"), &sets)
}

fn evaluation(pair: &str) -> String {
    format!("[stage.accuracy]\nkind = 'evaluate'\npairs = [{{ {pair} }}]\n")
}

#[test]
fn the_cifar_experiment_plans_one_ranking_an_architecture() {
    let experiment = shipped("cifar_resnet.toml", &[]);
    let expected = [
        ("full", 10),
        ("ranking", 2),
        ("random-ranking", 1),
        ("subset", 2),
        ("random-subset", 1),
        ("sufficient", 2),
        ("retrained", 10),
        ("random-retrained", 10),
        ("accuracy", 10 + 2 + 10 + 10 + 10),
    ];
    assert_eq!(counts(&experiment), expected);
    assert_eq!(cells(&experiment, "ranking"), ["arch=resnet20", "arch=resnet18"]);
    let Settings::Train(Train { recipe, .. }) = &instances(&experiment, "retrained")[0].settings else { panic!() };
    assert_eq!(
        (recipe.epochs, recipe.milestones.as_slice(), recipe.augment),
        (200, &[60, 120, 160][..], Augment::None)
    );
}

#[test]
fn a_block_without_layers_is_none_however_often_it_is_repeated() {
    let stages = "[arch.empty]\nlayers = [{ block = 'none', repeat = 1000000000000000 }, 'global-mean', \
                  { linear = 'classes' }]\nblocks = { none = { layers = [] } }\n\
                  [stage.full]\nkind = 'train'\nimages = 'set.train'\narch = 'empty'\nseed = 0\n\
                  recipe = { epochs = 1 }\n";
    let experiment = experiment(stages);
    let Settings::Train(Train { arch: Arch::Own(own), .. }) = &instances(&experiment, "full")[0].settings else {
        panic!("it is spelled out")
    };
    assert_eq!((own.name(), own.layers().len()), ("empty", 2));
}

#[test]
fn a_recipe_of_epochs_alone_trains_as_is_usual_and_a_schedule_has_a_name_or_a_table() {
    let train = |name: &str, recipe: &str| {
        format!("[stage.{name}]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\nrecipe = {recipe}\n")
    };
    let stages = [
        train("plain", "{ epochs = 5 }"),
        train("still", "{ epochs = 5, momentum = 0 }"),
        train("cycle", "{ epochs = 5, schedule = 'one-cycle' }"),
        train("old-cycle", "{ epochs = 5, one-cycle = {} }"),
        train("cosine", "{ epochs = 5, schedule = 'cosine' }"),
        train("warm", "{ epochs = 5, schedule = { kind = 'cosine', warm-up = 0.1, end = 0.01 } }"),
        train("smooth", "{ epochs = 5, label-smoothing = 0.1 }"),
        train("like-cosine", "{ like = 'cosine', milestones = [2], gamma = 0.5 }"),
        train("like-falls", "{ like = 'like-cosine', schedule = 'one-cycle' }"),
    ];
    let experiment = experiment(&stages.concat());
    let recipe = |stage: &str| match &instances(&experiment, stage)[0].settings {
        Settings::Train(Train { recipe, .. }) => recipe.clone(),
        _ => panic!("{stage} trains"),
    };
    let plain = Recipe {
        epochs: 5,
        batch: 128,
        lr: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        milestones: Vec::new(),
        gamma: 1.0,
        one_cycle: None,
        cosine: None,
        label_smoothing: 0.0,
        augment: Augment::None,
        input_dropout: None,
    };
    assert_eq!(recipe("plain"), plain);
    assert_eq!(recipe("still"), Recipe { momentum: 0.0, nesterov: false, ..plain.clone() });
    let cycle = Recipe { one_cycle: Some(OneCycle::default()), ..plain.clone() };
    assert_eq!((recipe("cycle"), recipe("old-cycle"), recipe("like-falls")), (cycle.clone(), cycle.clone(), cycle));
    assert_eq!(recipe("smooth"), Recipe { label_smoothing: 0.1, ..plain.clone() });
    assert_eq!(recipe("cosine"), Recipe { cosine: Some(Cosine::default()), ..plain.clone() });
    let warm = Cosine { warm_up: 0.1, start: 0.01, end: 0.01 };
    assert_eq!(recipe("warm"), Recipe { cosine: Some(warm), ..plain.clone() });
    assert_eq!(recipe("like-cosine"), Recipe { milestones: vec![2], gamma: 0.5, ..plain });
}

#[test]
fn a_cycle_of_the_learning_rate_takes_the_place_of_milestones() {
    let trained = shipped("cifar_trained.toml", &[]);
    let Settings::Train(Train { recipe, .. }) = &instances(&trained, "full")[0].settings else { panic!() };
    assert_eq!((recipe.one_cycle, recipe.milestones.len()), (Some(OneCycle::default()), 0));
    // Of a recipe like another, too, in both directions.
    let stages = "[stage.falls]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n\
                  recipe = { epochs = 9, batch = 8, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 0, \
                  milestones = [3], gamma = 0.5 }\n\
                  [stage.cycles]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n\
                  recipe = { like = 'falls', one-cycle = { warm-up = 0.5 } }\n\
                  [stage.falls-again]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n\
                  recipe = { like = 'cycles', milestones = [4], gamma = 0.1 }\n";
    let experiment = experiment(stages);
    let recipe = |stage: &str| match &instances(&experiment, stage)[0].settings {
        Settings::Train(Train { recipe, .. }) => recipe.clone(),
        _ => panic!("{stage} trains"),
    };
    let (cycles, falls) = (recipe("cycles"), recipe("falls-again"));
    assert_eq!((cycles.milestones.len(), cycles.one_cycle.map(|cycle| cycle.warm_up)), (0, Some(0.5)));
    assert_eq!((falls.milestones, falls.gamma, falls.one_cycle), (vec![4], 0.1, None));
}

#[test]
fn a_where_pins_an_axis_and_removes_it_from_the_join() {
    let pair = "model = 'full', images = 'subset.test', model-where = { seed = 0 }";
    let experiment = swept("arch = ['cnn', 'vgg16']\nseed = [0, 1]", &evaluation(pair));
    assert_eq!(cells(&experiment, "accuracy"), ["arch=cnn", "arch=vgg16"]);
    let Settings::Evaluate(Evaluate { model, .. }) = &instances(&experiment, "accuracy")[1].settings else { panic!() };
    assert_eq!(show(&model.cell), "arch=vgg16,seed=0");
}

#[test]
fn a_where_that_reads_another_axis_makes_a_cross_matrix() {
    let pair = "model = 'full', images = 'subset.test', images-where = { arch = '${source}' }";
    let sweep = "arch = ['cnn', 'vgg16']\nsource = ['cnn', 'vgg16']\nseed = [0]";
    let experiment = swept(sweep, &evaluation(pair));
    let expected = [
        "arch=cnn,seed=0,source=cnn",
        "arch=cnn,seed=0,source=vgg16",
        "arch=vgg16,seed=0,source=cnn",
        "arch=vgg16,seed=0,source=vgg16",
    ];
    assert_eq!(cells(&experiment, "accuracy"), expected);
    for instance in instances(&experiment, "accuracy") {
        let Settings::Evaluate(Evaluate { model, images: ImagesRef::Subset { mask, .. } }) = &instance.settings else {
            panic!()
        };
        assert_eq!(model.cell["arch"], instance.cell["arch"]);
        assert_eq!(mask.cell["arch"], instance.cell["source"]);
    }
}

#[test]
fn a_where_that_matches_no_value_gives_no_cells() {
    let sweep = "arch = ['cnn']\nseed = [0, 1]";
    let experiment = swept_with(sweep, "", &["sweep.seed=[1, 2]"]).unwrap();
    assert_eq!(cells(&experiment, "full").len(), 2);
    assert_eq!(counts(&experiment)[1..], [("ranking", 0), ("subset", 0)]);
    let said = swept_with("arch = ['cnn']\nseed = [1, 2]", "", &[]).unwrap_err().to_string();
    assert!(said.contains("cannot be 0, which the axis `seed` does not have"), "{said}");
    assert!(said.contains("values of `seed`: 1, 2"), "{said}");
}

#[test]
fn a_where_on_an_axis_that_the_input_does_not_vary_over_only_asks_for_a_value_of_it() {
    let pair = |seed: u32| format!("model = 'full', images = 'subset.test', images-where = {{ seed = {seed} }}");
    let sweep = "arch = ['cnn']\nseed = [0, 1]";
    assert_eq!(cells(&swept(sweep, &evaluation(&pair(1))), "accuracy").len(), 2);
    let shortened = swept_with(sweep, &evaluation(&pair(1)), &["sweep.seed=[0]"]).unwrap();
    assert_eq!(cells(&shortened, "accuracy").len(), 0);
    assert!(swept_with(sweep, &evaluation(&pair(7)), &[]).is_err());
}

#[test]
fn zipped_axes_advance_together() {
    let sweep = "arch = ['cnn', 'vgg16']\nseed = [0, 1]\nzip = [['arch', 'seed']]";
    assert_eq!(cells(&swept(sweep, ""), "full"), ["arch=cnn,seed=0", "arch=vgg16,seed=1"]);
    assert_eq!(cells(&swept(sweep, ""), "ranking"), ["arch=cnn"]);
}

#[test]
fn a_zip_may_choose_the_recipe() {
    let experiment = experiment(&format!(
        "[sweep]\nmodel = ['quick', 'slow']\narch = ['cnn', 'vgg16']\nzip = [['arch', 'model']]\n\
         [stage.quick]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n{RECIPE}\n\
         [stage.slow]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n\
         recipe = {{ like = 'quick', epochs = 9 }}\n\
         [stage.again]\nkind = 'train'\nimages = 'set.train'\narch = '${{arch}}'\nseed = 0\n\
         recipe = {{ like = '${{model}}', batch = 5 }}\n\
         [stage.accuracy]\nkind = 'evaluate'\npairs = [{{ model = '${{model}}', images = 'set.test' }}]\n"
    ));
    let recipes = instances(&experiment, "again").iter().map(|instance| match &instance.settings {
        Settings::Train(Train { arch, recipe, .. }) => (*arch, recipe.epochs, recipe.batch),
        other => panic!("{other:?}"),
    });
    assert_eq!(recipes.collect::<Vec<_>>(), [(Arch::Cnn, 1, 5), (Arch::Vgg16, 9, 5)]);
    let models = instances(&experiment, "accuracy").iter().map(|instance| match &instance.settings {
        Settings::Evaluate(Evaluate { model, .. }) => model.stage.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(models.collect::<Vec<_>>(), ["quick", "slow"]);
}

#[test]
fn excluded_combinations_are_left_out_and_nothing_else() {
    let sweep = "arch = ['cnn', 'vgg16']\nseed = [0, 3]\nexclude = [{ arch = 'vgg16', seed = 3 }]";
    let experiment = swept(sweep, "");
    assert_eq!(cells(&experiment, "full"), ["arch=cnn,seed=0", "arch=cnn,seed=3", "arch=vgg16,seed=0"]);
    assert_eq!(cells(&experiment, "ranking"), ["arch=cnn", "arch=vgg16"]);
}

#[test]
fn an_architecture_whose_every_seed_is_excluded_is_gone_from_stages_without_seeds() {
    let sweep =
        "arch = ['cnn', 'vgg16']\nseed = [0, 1]\nexclude = [{ arch = 'cnn', seed = 0 }, { arch = 'cnn', seed = 1 }]";
    let experiment = swept(sweep, "[stage.once]\nkind = 'import'\nfile = 'a.pt'\narch = '${arch}'\ndata = 'set'\n");
    assert_eq!(cells(&experiment, "once"), ["arch=vgg16"]);
}

#[test]
fn included_points_come_after_the_listed_ones_and_may_have_values_of_their_own() {
    let sweep = "arch = ['cnn']\nseed = [0, 1]\ninclude = [{ arch = 'vgg16', seed = 7 }, { arch = 'resnet18' }]";
    let experiment = swept(sweep, "");
    let expected =
        ["arch=cnn,seed=0", "arch=cnn,seed=1", "arch=vgg16,seed=7", "arch=resnet18,seed=0", "arch=resnet18,seed=1"];
    assert_eq!(cells(&experiment, "full"), expected);
    assert_eq!(cells(&experiment, "ranking"), ["arch=cnn", "arch=resnet18"]);
    assert_eq!(experiment.axes[0].values.len(), 3);
}

#[test]
fn stages_come_after_those_they_refer_to_and_otherwise_in_file_order() {
    let text = format!(
        "name = 'test'\ndata.set.kind = 'mnist'\n\
         [stage.subset]\nkind = 'mask'\nranking = 'ranking'\nkeep = 0.5\n\
         [stage.ranking]\nkind = 'select'\nmodel = 'z'\nimages = ['set.test']\nmethod = {{ kind = 'batched-gradient', per-round = 3 }}\n\
         [stage.z]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n{RECIPE}\n\
         [stage.a]\nkind = 'import'\nfile = 'w/a.safetensors'\narch = 'cnn'\ndata = 'set'\n"
    );
    let experiment = parse(&text, Path::new("some/folder/test.toml"), &[]).unwrap();
    let names: Vec<&str> = experiment.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["z", "ranking", "subset", "a"]);
    let Settings::Select(Select { model: Some(model), images, method, count }) =
        &experiment.stages[1].instances[0].settings
    else {
        panic!()
    };
    let [(source, Split::Test)] = &images[..] else { panic!("{images:?}") };
    assert_eq!((model.stage.as_str(), source.stage.as_str(), *count), ("z", "set", None));
    assert_eq!(*method, Selection::BatchedGradient { per_round: 3, noise: 0.0 });
    let Settings::Import(Import { file, .. }) = &experiment.stages[3].instances[0].settings else { panic!() };
    assert_eq!(*file, PathBuf::from("some/folder/w/a.safetensors"));
}

#[test]
fn an_axis_may_stand_inside_a_longer_string() {
    let experiment = swept(
        "arch = ['cnn', 'vgg16']\nseed = [0]",
        "[stage.once]\nkind = 'import'\nfile = 'of-${arch}/${seed}.pt'\narch = '${arch}'\ndata = 'set'\n",
    );
    let Settings::Import(Import { file, .. }) = &instances(&experiment, "once")[1].settings else { panic!() };
    assert_eq!(*file, PathBuf::from("of-vgg16/0.pt"));
}

#[test]
fn claims_are_read_with_their_bounds() {
    let experiment = shipped("quickstart.toml", &[]);
    let checks = &experiment.claims[3].checks;
    assert_eq!((checks[0].bound, &checks[0].of), (Bound::Above(0.1), &Operand::Chance));
    assert_eq!(checks[1].bound, Bound::Below(0.05));
    let Operand::Measure(of) = &checks[1].of else { panic!() };
    let subject = Subject::Evaluation { model: "retrained".into(), images: "subset.test".into() };
    assert_eq!((&of.subject, show(&of.pins).as_str()), (&subject, "fraction=0.05"));
}

#[test]
fn analyses_join_what_they_are_asked_about_and_claims_name_their_numbers() {
    let experiment = shipped("sis_size.toml", &["sweep.fraction=[0.05, 0.1]"]);
    assert_eq!(cells(&experiment, "size"), ["arch=resnet20", "arch=resnet18"]);
    let Settings::Analyse(Analyse {
        question: Question::SisSize(SisSize { ranking, threshold, thresholds, bootstrap }),
    }) = &instances(&experiment, "size")[0].settings
    else {
        panic!()
    };
    assert_eq!((ranking.stage.stage.as_str(), show(&ranking.stage.cell).as_str()), ("ranking", "arch=resnet20"));
    assert_eq!((ranking.split, *bootstrap), (Split::Test, Bootstrap::default()));
    assert_eq!((*threshold, thresholds.first(), thresholds.last()), (0.99, Some(&0.5), Some(&0.99)));
    // An axis that is fixed on both sides is none of the overlap's own.
    assert_eq!(cells(&experiment, "overlap-of-architectures"), ["fraction=0.05", "fraction=0.1"]);
    let Settings::Analyse(Analyse { question: Question::Overlap(Overlap { subset, with, .. }) }) =
        &instances(&experiment, "overlap-of-architectures")[0].settings
    else {
        panic!()
    };
    let of = |half: &Half| show(&half.stage.cell);
    assert_eq!((of(subset), of(with)), ("arch=resnet20,fraction=0.05".into(), "arch=resnet18,fraction=0.05".into()));
    let claim = experiment.claims.iter().find(|claim| claim.name == "correct-need-more-pixels").unwrap();
    assert_eq!((claim.checks[0].bound, claim.checks[0].value.metric), (Bound::Above(1.0), Metric::SisSizeCorrect));
    let Operand::Measure(of) = &claim.checks[0].of else { panic!() };
    assert_eq!(of.subject, Subject::Analysis { stage: "size".into() });
    assert_eq!(of.metric, Metric::SisSizeMisclassified);
}

#[test]
fn thresholds_are_put_in_ascending_order() {
    let experiment = experiment(&format!(
        "[stage.full]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\n{RECIPE}\n
        [stage.ranking]\nkind = 'select'\nmodel = 'full'\nimages = ['set.test']\nmethod = {{ kind = 'backward' }}\n
        [stage.size]\nkind = 'analyse'\nquestion = 'sis-size'\nranking = 'ranking.test'\nthreshold = 1\n
        thresholds = [0.9, 0.5]\nbootstrap = {{ seed = 7 }}"
    ));
    let Settings::Analyse(Analyse { question: Question::SisSize(SisSize { thresholds, bootstrap, .. }) }) =
        &instances(&experiment, "size")[0].settings
    else {
        panic!()
    };
    assert_eq!((thresholds.as_slice(), *bootstrap), (&[0.5, 0.9][..], Bootstrap { resamples: 1000, seed: Seed(7) }));
}

#[test]
fn an_override_may_set_what_the_file_lacks_and_what_stands_in_lists() {
    let sets = [
        "stage.full.recipe.epochs=3",
        "stage.retrained.recipe.batch = 32",
        "data.fashion.root=/elsewhere",
        "data.fashion.limit.test=7",
        "stage.exact.count=2",
        "stage.random-ranking.count=9",
        "table.accuracy.rows.0.label=first",
        "stage.random-retrained.seed=${seed}",
        "sweep.seed={ from = 5, to = 7 }",
    ];
    let experiment = shipped("quickstart.toml", &sets);
    let Settings::Train(Train { recipe, .. }) = &instances(&experiment, "retrained")[0].settings else { panic!() };
    assert_eq!((recipe.epochs, recipe.batch), (3, 32));
    assert_eq!(experiment.data[0].root.as_deref(), Some(Path::new("/elsewhere")));
    assert_eq!((experiment.data[0].limit.train, experiment.data[0].limit.test), (Some(2000), Some(7)));
    assert_eq!(cells(&experiment, "full"), ["seed=5", "seed=6", "seed=7"]);
    assert_eq!(experiment.tables[0].rows[0].label, "first");
}

#[test]
fn a_later_override_wins() {
    let experiment = shipped("quickstart.toml", &["sweep.seed=[1]", "sweep.seed=[2]"]);
    assert_eq!(cells(&experiment, "full"), ["seed=2"]);
}

/// A folder with these files.
fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const BASE: &str = "name = 'base'\n[sweep]\nseed = [0, 1]\n[data.set]\nkind = 'mnist'\nroot = '../images'\n\
     [stage.full]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = '${seed}'\n\
     [stage.full.recipe]\nepochs = 1\nbatch = 2\nlr = 0.1\nmomentum = 0.9\nnesterov = true\nweight-decay = 0\n\
     [stage.ranking]\nkind = 'select'\nmodel = 'full'\nimages = ['set.test']\n\
     method = { kind = 'batched-gradient', per-round = 16 }\n";

#[test]
fn a_file_changes_what_it_extends_key_by_key_and_replaces_lists() {
    let own = "extends = 'bases/base.toml'\nname = 'own'\n[sweep]\nseed = [7]\nfraction = [0.1]\n\
        [stage.full.recipe]\nbatch = 9\n[stage.subset]\nkind = 'mask'\nranking = 'ranking'\nkeep = '${fraction}'\n";
    let folder = folder_of(&[("own.toml", own), ("bases/base.toml", BASE)]);
    let experiment = load(&folder.path().join("own.toml"), &[Override::new("stage.full.recipe.epochs=3")]).unwrap();
    assert_eq!(experiment.name, "own");
    assert_eq!(cells(&experiment, "full"), ["seed=7"]);
    assert_eq!(cells(&experiment, "subset"), ["fraction=0.1,seed=7"]);
    let Settings::Train(Train { recipe, .. }) = &instances(&experiment, "full")[0].settings else { panic!() };
    assert_eq!((recipe.epochs, recipe.batch), (3, 9));
}

#[test]
fn paths_are_relative_to_the_file_in_which_they_are_written() {
    let own = "extends = 'bases/base.toml'\n[stage.imported]\nkind = 'import'\nfile = 'own.pt'\narch = 'cnn'\n";
    let more = "[stage.imported]\nfile = 'more.pt'\ndata = 'set'\n[stage.other]\nkind = 'import'\nfile = 'other.pt'\n\
        arch = 'cnn'\ndata = 'set'\n";
    let base = format!("{BASE}{more}");
    let folder = folder_of(&[("own.toml", own), ("bases/base.toml", &base)]);
    let path = folder.path().join("own.toml");
    let read = |sets: &[Override]| load(&path, sets).unwrap();
    let file = |experiment: &Experiment, stage: &str| match &instances(experiment, stage)[0].settings {
        Settings::Import(Import { file, .. }) => file.clone(),
        other => panic!("{other:?}"),
    };
    let experiment = read(&[]);
    assert_eq!(experiment.data[0].root, Some(folder.path().join("images")), "bases/../images is shown short");
    assert_eq!(file(&experiment, "imported"), folder.path().join("own.pt"));
    assert_eq!(file(&experiment, "other"), folder.path().join("bases/other.pt"));
    let experiment = read(&[Override::new("data.set.root=elsewhere")]);
    assert_eq!(experiment.data[0].root, Some(folder.path().join("elsewhere")));
}

#[test]
fn a_table_of_another_kind_takes_no_keys_from_the_one_below() {
    let own = "extends = 'base.toml'\n[stage.ranking]\nmethod = { kind = 'backward' }\n";
    let folder = folder_of(&[("own.toml", own), ("base.toml", BASE)]);
    let experiment = load(&folder.path().join("own.toml"), &[]).unwrap();
    let Settings::Select(Select { method, .. }) = &instances(&experiment, "ranking")[0].settings else { panic!() };
    assert_eq!(*method, Selection::Backward);
}

#[test]
fn later_bases_lie_over_earlier_ones_and_one_may_be_reached_twice() {
    let own = "extends = ['left.toml', 'right.toml']\n";
    let left = "extends = 'base.toml'\nname = 'left'\ndescription = 'of the left'\n[sweep]\nseed = [1]\n";
    let right = "name = 'right'\n[stage.full]\nseed = 5\n";
    let folder = folder_of(&[("own.toml", own), ("left.toml", left), ("right.toml", right), ("base.toml", BASE)]);
    let experiment = load(&folder.path().join("own.toml"), &[]).unwrap();
    assert_eq!((experiment.name.as_str(), experiment.description.as_str()), ("right", "of the left"));
    assert_eq!(cells(&experiment, "full"), [""]);
    let twice = format!("extends = './base.toml'\n{right}");
    std::fs::write(folder.path().join("right.toml"), twice).unwrap();
    assert_eq!(cells(&load(&folder.path().join("own.toml"), &[]).unwrap(), "full"), [""]);
}

#[test]
fn an_experiment_written_out_is_the_same_experiment() {
    for name in ["quickstart.toml", "cifar_resnet.toml"] {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("experiments").join(name);
        let set = [Override::new("stage.full.recipe.lr=1e-9")];
        let text = merged(&path, &set).unwrap();
        assert!(!text.contains("extends"), "{text}");
        let again = parse(&text, &path, &[]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(again, load(&path, &set).unwrap(), "{text}");
    }
    let own = "extends = 'bases/base.toml'\nname = 'a \"quoted\" name'\n";
    let folder = folder_of(&[("own.toml", own), ("bases/base.toml", BASE)]);
    let path = folder.path().join("own.toml");
    let again = parse(&merged(&path, &[]).unwrap(), &path, &[]).unwrap();
    assert_eq!(again, load(&path, &[]).unwrap());
}

/// A base with every path that there is: as it stands, within a longer one, as an axis' value, upwards and absolute.
const PATHS: &str = "[sweep]\nsheet = ['sheets/a.csv', '../b.csv']\nperson = ['a', 'b']\nat = ['/data/x', '/data/y']\n\
    [data.far]\nkind = 'mnist'\nroot = '${at}'\n\
    [data.near]\nkind = 'mnist'\nroot = '${at}/near'\n\
    [stage.imported]\nkind = 'import'\nfile = '/weights/own.pt'\narch = 'cnn'\ndata = 'set'\n\
    [stage.theirs]\nkind = 'import-selection'\ndata = 'set'\nfiles = { train = 'sis/train', test = '../sis/test' }\n\
    predictions = { train = 'train.csv', test = './test.csv' }\nmethod = { kind = 'backward' }\n\
    [stage.subset]\nkind = 'mask'\nranking = 'theirs'\nkeep = 0.1\n\
    [stage.people]\nkind = 'human'\nimages = 'subset.test'\nanswers = '${sheet}'\nkey = 'key.csv'\n\
    [stage.persons]\nkind = 'human'\nimages = 'subset.test'\nanswers = 'study/${person}.csv'\nkey = '${person}.key.csv'\n";

/// Every key that the schema declares a path, as `SECTION.KEY` or `KIND.KEY`, with those below it.
fn path_keys() -> Vec<String> {
    fn below(prefix: &str, fields: &'static [Field], found: &mut Vec<String>) {
        for field in fields {
            let name = format!("{prefix}.{}", field.name);
            match field.below {
                Below::Path => found.push(name),
                Below::Keys(fields) | Below::Rows(fields) | Below::Named(fields) => below(&name, fields, found),
                Below::Nothing | Below::Axes | Below::Stages => {}
            }
        }
    }
    let mut found = Vec::new();
    below("", EXPERIMENT, &mut found);
    for (name, kind) in StageKind::ALL.iter().copied() {
        below(name, kind.fields(), &mut found);
    }
    found
}

#[test]
fn every_path_of_a_base_elsewhere_is_written_out_as_the_same_path() {
    let expected = [
        ".extends",
        ".data.root",
        "import.file",
        "import-selection.files.train",
        "import-selection.files.test",
        "import-selection.predictions.train",
        "import-selection.predictions.test",
        "human.answers",
        "human.key",
    ];
    assert_eq!(path_keys(), expected, "a path that is new here belongs into the base of this test, too");
    let base = format!("{}{PATHS}", BASE.replace("[sweep]\nseed = [0, 1]\n", "")).replace("'${seed}'", "0");
    let own = "extends = 'bases/deep/base.toml'\n";
    let folder = folder_of(&[("own.toml", own), ("bases/deep/base.toml", &base)]);
    let path = folder.path().join("own.toml");
    for set in [&[][..], &["stage.people.key=set.csv"], &["data.set.root=/elsewhere"], &["sweep.sheet=['c.csv']"]] {
        let set: Vec<Override> = set.iter().map(|set| Override::new(*set)).collect();
        let text = merged(&path, &set).unwrap_or_else(|problems| panic!("{problems}"));
        let again = parse(&text, &path, &[]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(again, load(&path, &set).unwrap(), "{text}");
    }
    let text = merged(&path, &[]).unwrap();
    for line in [
        "root = \"${at}\"",
        "root = \"${at}/near\"",
        "file = \"/weights/own.pt\"",
        "files = { train = \"bases/deep/sis/train\", test = \"bases/deep/../sis/test\" }",
        "answers = \"bases/deep/${sheet}\"",
        "key = \"bases/deep/key.csv\"",
        "answers = \"bases/deep/study/${person}.csv\"",
        "key = \"bases/deep/${person}.key.csv\"",
        "sheet = [\"sheets/a.csv\", \"../b.csv\"]",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn paths_of_one_axis_in_several_folders_cannot_be_written_out_as_one_file() {
    let base = format!("{BASE}{PATHS}").replace("seed = [0, 1]\n[data.set]", "[data.set]").replace("'${seed}'", "0");
    let base = base.replacen("[sweep]\n", "", 1).replace("'../b.csv'", "'/b.csv'");
    let folder = folder_of(&[("own.toml", "extends = 'bases/base.toml'\n"), ("bases/base.toml", &base)]);
    let path = folder.path().join("own.toml");
    load(&path, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let said = merged(&path, &[]).unwrap_err().to_string();
    assert!(said.contains("all of them relative or all absolute"), "{said}");
}

#[test]
fn what_is_chosen_for_a_reference_stands_in_its_own_place_or_nothing_does() {
    let reference = |name: &str| Reference {
        stage: name.to_owned(),
        place: Place { source: 0, start: 0, end: 0 },
        split: None,
        pins: Cell::new(),
        over: Vec::new(),
    };
    let (with, subset) = (reference("with"), reference("subset"));
    let (with, subset) = (Half { stage: with, split: Split::Test }, Half { stage: subset, split: Split::Test });
    let question = Question::Overlap(Overlap { subset, with, bootstrap: Bootstrap::default() });
    let draft: Draft = Settings::Analyse(Analyse { question });
    let names: Vec<&str> = draft.references().iter().map(|reference| reference.stage.as_str()).collect();
    assert_eq!(names, ["subset", "with"]);
    let chosen = draft.map(&mut |reference| vec![reference.stage.len()]).unwrap();
    let Settings::Analyse(Analyse { question: Question::Overlap(Overlap { subset, with, .. }) }) = chosen else {
        panic!()
    };
    assert_eq!((subset.stage, with.stage), (6, 4));
    for count in [0, 2] {
        let mismatched = draft.map(&mut |reference| if reference.stage == "with" { vec![0; count] } else { vec![0] });
        assert_eq!(mismatched, None, "{count} in one place");
    }
    let ensemble: Draft = Settings::Ensemble(Ensemble { members: vec![reference("a"), reference("b")] });
    let members = ensemble.map(&mut |reference| vec![reference.stage.clone(); 2]).unwrap();
    assert_eq!(members, Settings::Ensemble(Ensemble { members: ["a", "a", "b", "b"].map(str::to_owned).to_vec() }));
}

/// Every stage's instances by name and cell.
fn all_instances(experiment: &Experiment) -> Vec<(String, Instance)> {
    let stages = experiment.stages.iter();
    stages.flat_map(|stage| stage.instances.iter().map(|instance| (stage.name.clone(), instance.clone()))).collect()
}

/// The members of an ensemble: stage and cell.
fn members(instance: &Instance) -> Vec<String> {
    let Settings::Ensemble(Ensemble { members }) = &instance.settings else { panic!("not an ensemble") };
    members.iter().map(|member| format!("{} {}", member.stage, show(&member.cell)).trim().to_owned()).collect()
}

#[test]
fn an_ensemble_joins_its_members_as_any_stage_does() {
    let experiment =
        swept("arch = ['cnn', 'vgg16']\nseed = [0, 1]", "[stage.e]\nkind = 'ensemble'\nmembers = ['full']\n");
    assert_eq!(cells(&experiment, "e"), cells(&experiment, "full"));
    assert_eq!(members(&instances(&experiment, "e")[1]), ["full arch=cnn,seed=1"]);
}

#[test]
fn an_ensemble_over_an_axis_takes_its_values_together_in_their_order() {
    let stages = "[stage.other]\nkind = 'import'\nfile = '${arch}.pt'\narch = '${arch}'\ndata = 'set'\n\
                  [stage.e]\nkind = 'ensemble'\nmembers = ['full', 'other']\nover = ['seed']\n\
                  [stage.all]\nkind = 'ensemble'\nmembers = ['full']\nover = ['seed', 'arch']\n\
                  [stage.one]\nkind = 'ensemble'\nmembers = ['full']\nmembers-where = { arch = 'vgg16' }\nover = ['seed']\n\
                  [stage.own]\nkind = 'select'\nmodel = 'e'\nimages = ['set.test']\nmethod = { kind = 'backward' }\n";
    let experiment = swept("arch = ['vgg16', 'cnn']\nseed = [7, 0]\nexclude = [{ arch = 'cnn', seed = 7 }]", stages);
    assert_eq!(cells(&experiment, "e"), ["arch=vgg16", "arch=cnn"]);
    let together = instances(&experiment, "e");
    assert_eq!(members(&together[0]), ["full arch=vgg16,seed=7", "full arch=vgg16,seed=0", "other arch=vgg16"]);
    assert_eq!(members(&together[1]), ["full arch=cnn,seed=0", "other arch=cnn"]);
    assert_eq!(cells(&experiment, "all"), [""]);
    assert_eq!(
        members(&instances(&experiment, "all")[0]),
        ["full arch=vgg16,seed=7", "full arch=vgg16,seed=0", "full arch=cnn,seed=0"]
    );
    assert_eq!(cells(&experiment, "one"), [""]);
    assert_eq!(members(&instances(&experiment, "one")[0]), ["full arch=vgg16,seed=7", "full arch=vgg16,seed=0"]);
    assert_eq!(cells(&experiment, "own"), ["arch=vgg16", "arch=cnn"]);
}

#[test]
fn input_dropout_is_read_with_the_authors_single_sample_unless_another_is_given() {
    let dropout = |text: &str| {
        let stage = format!(
            "[stage.b]\nkind = 'train'\nimages = 'set.train'\narch = 'cnn'\nseed = 0\nrecipe = {{ like = 'full', input-dropout = {text} }}\n"
        );
        let experiment = swept("arch = ['cnn']\nseed = [0]", &stage);
        let Settings::Train(Train { recipe, .. }) = &instances(&experiment, "b")[0].settings else { panic!() };
        recipe.input_dropout.map(|dropout| (dropout.keep.get(), dropout.samples))
    };
    assert_eq!(dropout("{ keep = 0.8 }"), Some((0.8, 1)));
    assert_eq!(dropout("{ keep = 0.5, samples = 10 }"), Some((0.5, 10)));
    assert_eq!(dropout("{ keep = 1.0, samples = 10 }"), None, "what keeps every pixel is no dropout");
}

#[test]
fn the_seed_of_an_import_stands_beside_its_input_dropout_or_in_it() {
    let import = |keys: &str| {
        let stage = format!("[stage.b]\nkind = 'import'\nfile = 'b.pth.tar'\narch = 'cnn'\ndata = 'set'\n{keys}\n");
        let experiment = swept("arch = ['cnn']\nseed = [0]", &stage);
        let Settings::Import(Import { input_dropout, weights, .. }) = &instances(&experiment, "b")[0].settings else {
            panic!()
        };
        (input_dropout.map(|dropout| dropout.seed.0), weights.clone())
    };
    assert_eq!(import("input-dropout = { keep = 0.8 }"), (Some(0), None));
    assert_eq!(import("input-dropout = { keep = 0.8, seed = 3 }"), (Some(3), None));
    assert_eq!(import("input-dropout = { keep = 0.8 }\nseed = 3"), (Some(3), None));
    assert_eq!(import("weights = 'ema.state_dict'"), (None, Some("ema.state_dict".to_owned())));
}

proptest! {
    #[test]
    fn adding_a_value_to_an_axis_leaves_all_other_instances_as_they_are(
        fractions in prop::collection::btree_set(1_u32..100, 1..4),
        seeds in prop::collection::btree_set(0_u32..50, 1..4),
        new in 100_u32..200,
        extend_seeds: bool,
    ) {
        let sets = |fractions: &[f64], seeds: &[u32]| [format!("sweep.fraction={fractions:?}"), format!("sweep.seed={seeds:?}")];
        let read = |sets: [String; 2]| shipped("quickstart.toml", &[&sets[0], &sets[1]]);
        let mut fractions: Vec<f64> = fractions.into_iter().map(|percent| f64::from(percent) / 200.0).collect();
        let mut seeds: Vec<u32> = seeds.into_iter().collect();
        let before = read(sets(&fractions, &seeds));
        if extend_seeds { seeds.push(new) } else { fractions.push(f64::from(new) / 200.0) }
        let after = all_instances(&read(sets(&fractions, &seeds)));
        for instance in all_instances(&before) {
            prop_assert!(after.contains(&instance), "{instance:?}");
        }
        let fresh = after.len() - all_instances(&before).len();
        prop_assert!(fresh > 0);
    }
}

const CORRUPTED: &str = "data.bad = { kind = 'cifar10-c', corruption = '${corruption}', severity = '${severity}' }
data.drawn = { kind = 'cifar10-c', sample = { count = 2000, seed = 1234 } }
[sweep]
corruption = ['snow', 'fog']
severity = { from = 1, to = 5 }
seed = [0, 1]
[stage.full]
kind = 'train'
images = 'set.train'
arch = 'resnet20'
seed = '${seed}'
";

#[test]
fn a_data_set_has_the_axes_that_it_mentions_and_hands_them_to_what_uses_its_images() {
    let rest = "
[stage.accuracy]
kind = 'evaluate'
pairs = [
  { model = 'full', images = 'bad.test' },
  { model = 'full', images = 'bad.test', images-where = { severity = 3 } },
  { model = 'full', images = 'drawn.test' },
]
[stage.ranking]
kind = 'select'
model = 'full'
model-where = { seed = 0 }
images = ['bad.test']
images-where = { severity = 5 }
method = { kind = 'backward' }
[stage.subset]
kind = 'mask'
ranking = 'ranking'
keep = 0.05
[stage.own]
kind = 'evaluate'
pairs = [{ model = 'full', images = 'subset.test' }]
[table.mean]
title = 'mean'
columns = 'severity'
over = ['corruption', 'seed']
rows = [{ label = 'full', model = 'full', images = 'bad.test' }]
";
    let experiment = experiment(&format!("{CORRUPTED}{RECIPE}\n{rest}"));
    let sources: Vec<String> =
        experiment.data.iter().map(|source| format!("{} {}", source.name, show(&source.cell))).collect();
    assert_eq!((sources.len(), sources[0].as_str()), (12, "set "));
    assert_eq!(sources[1], "bad corruption=snow,severity=1");
    assert_eq!((sources[10].as_str(), sources[11].as_str()), ("bad corruption=fog,severity=5", "drawn "));
    // Two seeds at ten places, then two seeds with one severity, then two with the sample.
    let accuracy = cells(&experiment, "accuracy");
    assert_eq!(accuracy.len(), 20 + 4 + 2);
    assert_eq!(accuracy[0], "corruption=snow,seed=0,severity=1");
    assert_eq!((accuracy[20].as_str(), accuracy[25].as_str()), ("corruption=snow,seed=0", "seed=1"));
    for instance in instances(&experiment, "accuracy") {
        let Settings::Evaluate(Evaluate { model, images: ImagesRef::Data { source, .. } }) = &instance.settings else {
            panic!()
        };
        assert_eq!(model.cell["seed"], instance.cell["seed"]);
        assert_eq!(source.cell.get("corruption"), instance.cell.get("corruption"));
        let severity = instance.cell.get("severity").cloned();
        let pinned = (source.stage == "bad").then_some(AxisValue::Int(3));
        assert_eq!(source.cell.get("severity"), severity.or(pinned).as_ref());
    }
    assert_eq!(cells(&experiment, "ranking"), ["corruption=snow", "corruption=fog"]);
    assert_eq!(cells(&experiment, "subset"), ["corruption=snow", "corruption=fog"]);
    assert_eq!(cells(&experiment, "own").len(), 4);
}

/// A table that has the example of every key that must be there, and of those in `also`.
fn smallest(name: &str, fields: &[Field], also: &[&str]) -> String {
    let mut text = format!("[stage.{name}]\n");
    for field in fields {
        if matches!(field.absent, Absent::Fault) || also.contains(&field.name) {
            let _ = writeln!(text, "{} = {}", field.name, field.example);
        }
    }
    text
}

#[test]
fn examples_of_the_keys_that_are_declared_as_needed_make_a_file() {
    let mut text = "name = 'test'\ndata.cifar10.kind = 'cifar10'\n".to_owned();
    // What the examples of others name; another kind may be called anything.
    let names = [
        ("train", "full"),
        ("import", "imported"),
        ("select", "ranking"),
        ("mask", "subset"),
        ("collection", "collection"),
        ("sis", "sufficient"),
    ];
    text += &smallest("other-subset", StageKind::Mask.fields(), &[]).replace("kind = \"train\"", "kind = 'mask'");
    for (kind, declared) in StageKind::ALL {
        let name = names.iter().find(|(known, _)| known == kind).map_or(*kind, |(_, name)| name);
        let also: &[&str] = match *kind {
            "analyse" => continue,
            "select" => &["model"],
            "import-selection" => &["predictions"],
            _ => &[],
        };
        text += &smallest(name, declared.fields(), also).replace("kind = \"train\"", &format!("kind = '{kind}'"));
    }
    for asked in super::questions::ALL {
        text += &smallest(asked.name, asked.keys, &[]);
        let _ = writeln!(text, "kind = 'analyse'\nquestion = '{}'", asked.name);
    }
    let experiment = parse(&text, Path::new("test.toml"), &[]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let kinds: Vec<&str> = experiment.stages.iter().map(|stage| stage.instances[0].settings.kind()).collect();
    for (name, _) in StageKind::ALL {
        assert!(kinds.contains(name), "no example of {name}");
    }
}

#[test]
fn every_key_that_may_be_left_out_can_be_written_as_in_its_example() {
    fn check(fields: &[Field]) {
        for field in fields {
            let text = format!("{} = {}", field.name, field.example);
            let parsed: Result<toml::Table, _> = text.parse();
            assert!(parsed.is_ok(), "{text}");
            assert!(!field.about.is_empty() && !field.about.ends_with('.'), "{text}: {}", field.about);
            match field.below {
                Below::Keys(fields) | Below::Rows(fields) | Below::Named(fields) => check(fields),
                Below::Nothing | Below::Path | Below::Axes | Below::Stages => {}
            }
        }
    }
    check(EXPERIMENT);
    for (_, kind) in StageKind::ALL {
        check(kind.fields());
    }
}
