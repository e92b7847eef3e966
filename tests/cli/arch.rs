//! Networks that an experiment chooses from families or spells out itself.

use std::fs;

use serde_json::{Value, json};

use crate::bench::Bench;

/// The ResNet-18 that comes with the program, spelled out, with the names of its parameters.
const RESNET18: &str = r#"
[arch.spelled]
layers = [
  { conv = 64, name = "conv1" }, { batch-norm = true, name = "bn1" }, "relu",
  { block = "plain", with = { channels = 64 }, repeat = 2, name = "layer1" },
  { block = "down", with = { channels = 128 }, name = "layer2.0" }, { block = "plain", with = { channels = 128 }, name = "layer2.1" },
  { block = "down", with = { channels = 256 }, name = "layer3.0" }, { block = "plain", with = { channels = 256 }, name = "layer3.1" },
  { block = "down", with = { channels = 512 }, name = "layer4.0" }, { block = "plain", with = { channels = 512 }, name = "layer4.1" },
  "global-mean", { linear = "classes", name = "linear" },
]
[arch.spelled.blocks.plain]
layers = [
  { add = [[
    { conv = "channels", name = "conv1" }, { batch-norm = true, name = "bn1" }, "relu",
    { conv = "channels", name = "conv2" }, { batch-norm = true, name = "bn2" },
  ], []] },
  "relu",
]
[arch.spelled.blocks.down]
layers = [
  { add = [[
    { conv = "channels", stride = 2, name = "conv1" }, { batch-norm = true, name = "bn1" }, "relu",
    { conv = "channels", name = "conv2" }, { batch-norm = true, name = "bn2" },
  ], [
    { conv = "channels", kernel = 1, stride = 2, name = "shortcut.0" }, { batch-norm = true, name = "shortcut.1" },
  ]] },
  "relu",
]
"#;

/// A small network with all kinds of layers.
const MINE: &str = r#"
[arch.mine]
layers = [
  { conv = 8, bias = true }, "batch-norm", "relu", { max-pool = 2 },
  { concat = [[{ conv = 8, kernel = [1, 3] }, "relu"], [{ mean-pool = 3, stride = 1, padding = 1 }, { conv = 4, kernel = 1 }]] },
  { block = "unit", with = { channels = 12, stride = 1 }, first = { stride = 2 }, repeat = 2 },
  { conv = 12, groups = "depthwise", dilation = 2 }, "relu", { dropout = 0.1 }, "global-mean", { linear = "classes" },
]
blocks = { unit = { layers = [{ conv = "channels", stride = "stride" }, { batch-norm = true, epsilon = 1e-3 }, "relu"] } }
"#;

fn with_networks(bench: &Bench, more: &str) {
    let path = bench.path("tiny.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text + more).unwrap();
}

fn summaries(bench: &Bench, line: &str) -> Vec<Value> {
    let said = bench.ok(&format!("arch tiny.toml {line} --format json"));
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_network_spelled_out_is_the_one_that_comes_with_the_program() {
    let bench = Bench::new();
    with_networks(&bench, RESNET18);
    let own = summaries(&bench, "full --set stage.full.arch=\"spelled\"");
    let theirs = summaries(&bench, "full --set stage.full.arch=\"resnet18\"");
    assert_eq!((own.len(), theirs.len()), (1, 1));
    assert_eq!((own[0]["arch"].as_str(), theirs[0]["arch"].as_str()), (Some("spelled"), Some("resnet18")));
    for key in ["layers", "trained_values", "multiplications", "times_fewer_a_candidate", "images"] {
        assert_eq!(own[0][key], theirs[0][key], "{key}");
    }
    assert!(own[0]["times_fewer_a_candidate"].as_f64().unwrap() > 1.5);
    // Its weights are those of the other, by their names.
    bench.ok("run tiny.toml --stage full --set stage.full.arch=\"resnet18\" --cache theirs");
    bench.ok("export tiny.toml full --set stage.full.arch=\"resnet18\" --cache theirs --to out");
    let file = walk(&bench.path("out")).into_iter().find(|path| path.ends_with("model.safetensors")).unwrap();
    let import = format!(
        "[stage.taken]\nkind = \"import\"\nfile = {file:?}\narch = \"spelled\"\ndata = \"fashion\"\n\
         [stage.asked]\nkind = \"evaluate\"\npairs = [{{ model = \"taken\", images = \"fashion.test\" }}]\n"
    );
    with_networks(&bench, &import);
    bench.ok("run tiny.toml --stage asked");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.to_string_lossy().into_owned()) }
    }
    found
}

#[test]
fn networks_of_ones_own_and_members_of_families_go_through_every_stage() {
    let bench = Bench::new();
    with_networks(&bench, MINE);
    with_networks(
        &bench,
        "[stage.exact]\nkind = \"select\"\nmodel = \"full\"\nimages = [\"fashion.test\"]\n\
         method = { kind = \"backward\" }\ncount = 2\n\
         [stage.both]\nkind = \"ensemble\"\nmembers = [\"full\", \"other\"]\n\
         [stage.other]\nkind = \"train\"\nimages = \"fashion.train\"\narch = { family = \"vgg\", depth = 11, width = 2 }\n\
         seed = 1\nrecipe = { like = \"full\" }\n\
         [stage.scaled]\nkind = \"temperature\"\nmodel = \"full\"\nimages = \"fashion.train\"\n\
         [stage.voted]\nkind = \"evaluate\"\npairs = [{ model = \"both\", images = \"fashion.test\" }]\n",
    );
    // VGG takes images of 32x32 at least.
    bench.edit(
        "{ family = \"vgg\", depth = 11, width = 2 }",
        "{ family = \"wide-resnet\", depth = 10, width = 1, dropout = 0 }",
    );
    let long = "--set stage.full.recipe={epochs=6,batch=8,lr=0.05,momentum=0.9,nesterov=true,weight-decay=5e-4,augment=\"none\"}";
    for arch in ["\"mine\"", "{family=\"resnet-cifar\",depth=8,width=2}"] {
        let options = format!("--set stage.full.arch={arch} --set stage.retrained.arch={arch} {long}");
        let first = bench.run(&options);
        assert_eq!((first.total("failed"), first.total("skipped")), (0, 0), "{arch}");
        assert!(first.count("exact", "ran") == 1 && first.count("voted", "ran") == 1);
        let again = bench.run(&options);
        assert_eq!(
            (again.total("ran"), again.total("cached")),
            (0, first.total("ran") + first.total("cached")),
            "{arch}"
        );
    }
    // What messages call it is no part of its key.
    with_networks(&bench, &MINE.replace("arch.mine", "arch.yours"));
    let other = bench.run(&format!("--set stage.full.arch=\"yours\" --set stage.retrained.arch=\"mine\" {long}"));
    assert_eq!(other.total("ran"), 0);
    // An axis that a network mentions is one of every stage that trains it, also where an axis names the network.
    bench.edit("seed = [0]", "seed = [0]\ntimes = [1, 2]\nnet = [\"cnn\", \"longer\"]");
    with_networks(&bench, &MINE.replace("arch.mine", "arch.longer").replace("repeat = 2", "repeat = \"${times}\""));
    let plan = |arch: &str| {
        let set = format!("--set stage.full.arch=\"{arch}\" --set stage.retrained.arch=\"cnn\"");
        let plan = bench.ok(&format!("plan tiny.toml --stage full --format json {set}")).json();
        let cells = plan["steps"].as_array().unwrap().iter().map(|step| step["cell"].clone());
        cells.collect::<Vec<Value>>()
    };
    assert_eq!(plan("longer"), [json!({ "seed": 0, "times": 1 }), json!({ "seed": 0, "times": 2 })]);
    assert_eq!(plan("${net}").len(), 3, "{:?}", plan("${net}"));
}

#[test]
fn a_sweep_over_depth_has_a_network_for_each_and_todays_names_keep_their_keys() {
    let bench = Bench::new();
    bench.edit("seed = [0]", "seed = [0]\ndepth = [8, 14, 20]");
    let sweep = "--set stage.full.arch={family=\"resnet-cifar\",depth=\"${depth}\",width=16}";
    let found = summaries(&bench, &format!("full {sweep}"));
    let names: Vec<&str> = found.iter().map(|line| line["arch"].as_str().unwrap()).collect();
    assert_eq!(names, ["resnet-cifar depth=8 width=16", "resnet-cifar depth=14 width=16", "resnet20"]);
    let key = |options: &str| {
        let plan = bench.ok(&format!("plan tiny.toml --stage full --format json {options}")).json();
        plan["steps"].as_array().unwrap().last().unwrap()["key"].clone()
    };
    let (short, long) =
        ("--set stage.full.arch=\"resnet20\"", "--set stage.full.arch={family=\"resnet-cifar\",depth=20,width=16}");
    assert_eq!(key(short), key(long));
    assert_ne!(key(short), key("--set stage.full.arch={family=\"resnet-cifar\",depth=14,width=16}"));
    let said = bench.ok("arch tiny.toml full").out;
    assert!(
        said.starts_with("cnn, for images of 28x28x1 in 10 classes") && said.contains("18,482 trained values"),
        "{said}"
    );
    assert!(said.contains("times fewer for a candidate"), "{said}");
    let said = bench.say("arch tiny.toml fulll");
    assert!(said.code == Some(2) && said.err.contains("did you mean `full`"), "{}", said.err);
    let said = bench.say("arch tiny.toml full --images 2x2x1");
    assert!(said.code == Some(2) && said.err.contains("at least 4x4 pixels"), "{}", said.err);
}
