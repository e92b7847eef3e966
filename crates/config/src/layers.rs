//! Reads an architecture that an experiment spells out: `[arch.NAME]` with its `layers` and `blocks`.

use std::collections::BTreeMap;

use overinterp_spec::{Depthwise, Groups, ImageShape, LayerSpec, Misfit, OwnArch, Rate};

use super::document::{Entry, Node, Value};
use super::field::{Below, Field, flag, list, number, section, table, text, whole};
use super::nearest::suggestion;
use super::problem::Problem;
use super::read::{Item, Reader};

/// `[arch.NAME]`.
pub(super) const OWN: &[Field] = &[NAME, LAYERS, BLOCKS];

const NAME: Field = text("name", "What messages call it", "\"mine\"").or("the table's name");
const LAYERS: Field = list(
    "layers",
    "Its layers in their order: `\"relu\"`, `\"batch-norm\"`, `\"global-mean\"`, or a table with one of `conv`, `max-pool`, \
     `mean-pool`, `batch-norm`, `dropout`, `linear`, `add`, `concat` and `block`",
    "[{ conv = 16 }, \"batch-norm\", \"relu\", \"global-mean\", { linear = \"classes\" }]",
    "layers",
);
const BLOCKS: Field = section(
    "blocks",
    "Layers that are used more than once, by name; a text in the place of a number is a parameter, which `with` gives",
    "{ unit = { layers = [{ conv = \"channels\" }, \"batch-norm\", \"relu\"] } }",
    Below::Named(BLOCK),
);

/// `[arch.NAME.blocks.BLOCK]`.
pub(super) const BLOCK: &[Field] = &[LAYERS];

const CALLED: Field = text("name", "What its parameters are called by, as in a file of weights", "\"conv1\"")
    .or("its places in the lists: `3`, `4.0.1`");
const KERNEL: Field =
    list("kernel", "Height and width of the window, or one number for both", "[3, 3]", "two numbers").or("3");
const STRIDE: Field = whole("stride", "Step in both directions", "2").or("1");
const PADDING: Field =
    list("padding", "Zeros above and below, and left and right, or one number for both", "[1, 1]", "two numbers")
        .or("half of the window, so that stride 1 keeps the size");
const CONV: &[Field] = &[
    whole("conv", "A convolution: the channels that it yields", "16"),
    KERNEL,
    STRIDE,
    PADDING,
    whole(
        "groups",
        "Into how many parts inputs and outputs are cut, each of which reads its own, or `\"depthwise\"`",
        "4",
    )
    .or("1"),
    whole("dilation", "Pixels from one of the window to the next", "2").or("1"),
    flag("bias", "Whether it adds one", "true").or("`false`"),
    CALLED,
];
const BATCH_NORM: &[Field] = &[
    flag("batch-norm", "Batch normalisation", "true"),
    number("epsilon", "What is added to the variance", "1e-5").or("1e-5"),
    CALLED,
];
const POOL_STRIDE: Field = whole("stride", "Step in both directions", "2").or("the window's side");
const POOL_PADDING: Field = whole("padding", "Border on each side", "1").or("0");
const MAX_POOL: &[Field] =
    &[whole("max-pool", "The largest value of each window: its side", "2"), POOL_STRIDE, POOL_PADDING];
const MEAN_POOL: &[Field] = &[whole("mean-pool", "The mean of each window: its side", "2"), POOL_STRIDE, POOL_PADDING];
const DROPOUT: &[Field] = &[number("dropout", "Dropout in training: the share that becomes 0", "0.3")];
const LINEAR: &[Field] =
    &[whole("linear", "A linear layer: the values that it yields, or `\"classes\"`", "\"classes\""), CALLED];
const ADD: &[Field] =
    &[list("add", "The sum of what lists of layers make of the same map", "[[\"relu\"], []]", "lists of layers")];
const CONCAT: &[Field] =
    &[list("concat", "What lists of layers make of the same map, side by side", "[[\"relu\"], []]", "lists of layers")];
const USE: &[Field] = &[
    text("block", "One of `blocks`", "\"unit\""),
    WITH,
    whole("repeat", "How many times, one behind the other", "3").or("1"),
    table("first", "Parameters that are others the first time", "{ stride = 2 }", &[]).or("none"),
    CALLED,
];
const WITH: Field = table("with", "Its parameters", "{ channels = 32 }", &[]).or("none");

/// What a layer may be, by the key that says so.
const KINDS: [(&str, &[Field]); 9] = [
    ("conv", CONV),
    ("batch-norm", BATCH_NORM),
    ("max-pool", MAX_POOL),
    ("mean-pool", MEAN_POOL),
    ("dropout", DROPOUT),
    ("linear", LINEAR),
    ("add", ADD),
    ("concat", CONCAT),
    ("block", USE),
];
/// Layers that are a word; `batch-norm` is one, too.
const WORDS: [&str; 2] = ["relu", "global-mean"];

/// More layers are a slip of the pen, such as two zeros too many behind `repeat`.
const MOST_LAYERS: usize = OwnArch::MOST_LAYERS;
/// Blocks in blocks.
const DEEPEST: usize = 16;

/// A layer with what stands for it in the file.
struct Placed<'a> {
    spec: LayerSpec,
    item: Item<'a>,
    branches: Vec<Vec<Placed<'a>>>,
}

/// What numbers may be called, and where layers stand.
#[derive(Clone)]
struct Surroundings<'a> {
    parameters: BTreeMap<String, usize>,
    /// In front of the names of layers that have one.
    scope: String,
    /// In front of the places of others.
    path: String,
    /// The blocks around, the innermost last.
    within: Vec<&'a str>,
}

struct Layers<'a> {
    blocks: Vec<(&'a str, Item<'a>)>,
    count: usize,
    /// Names of parameters, each with its layer.
    names: BTreeMap<String, Item<'a>>,
}

/// Reads an architecture; `image` is what it is shown, if that is known.
pub(super) fn own_arch(item: &Item<'_>, image: Option<ImageShape>) -> Option<OwnArch> {
    /// Shapes do not depend on how many classes there are.
    const CLASSES: usize = 10;
    let table = item.table(OWN)?;
    let name = table.or("name", "own".to_owned(), |item| item.words())?;
    let list = table.required("layers")?;
    let blocks = match table.optional("blocks") {
        Some(blocks) => blocks_of(&blocks)?,
        None => Vec::new(),
    };
    let mut layers = Layers { blocks, count: 0, names: BTreeMap::new() };
    let outside =
        Surroundings { parameters: BTreeMap::new(), scope: String::new(), path: String::new(), within: Vec::new() };
    let placed = layers.list(&list, &outside)?;
    let arch = OwnArch::new(&name, placed.iter().map(|placed| placed.spec.clone()).collect());
    let Some(image) = image else { return Some(arch) };
    match arch.check(image, CLASSES) {
        Ok(()) => Some(arch),
        Err(Misfit { at, why }) => {
            let place = at_place(&placed, &at).unwrap_or(&list);
            let problem = place.problem(why);
            item.sink().report(problem.help(format!("the images are of {image}")));
            None
        }
    }
}

/// Blocks by name, each with its layers.
fn blocks_of<'a>(item: &Item<'a>) -> Option<Vec<(&'a str, Item<'a>)>> {
    let Value::Table(entries) = &item.node.value else {
        return item.fault("must hold tables: `blocks.NAME = { layers = [...] }`");
    };
    let mut blocks = Vec::new();
    for entry in entries {
        let block = Item::new(&entry.node, format!("{}.{}", item.path, entry.key), item.sink());
        blocks.push((entry.key.as_str(), block.table(BLOCK)?.required("layers")?));
    }
    Some(blocks)
}

fn at_place<'p, 'a>(placed: &'p [Placed<'a>], at: &[usize]) -> Option<&'p Item<'a>> {
    let (first, rest) = at.split_first()?;
    let found = placed.get(*first)?;
    match rest {
        [branch, rest @ ..] if !rest.is_empty() => at_place(found.branches.get(*branch)?, rest),
        _ => Some(&found.item),
    }
}

/// `4.0` behind `layer1`.
fn join(before: &str, name: &str) -> String {
    if before.is_empty() { name.to_owned() } else { format!("{before}.{name}") }
}

impl<'a> Layers<'a> {
    fn list(&mut self, item: &Item<'a>, around: &Surroundings<'a>) -> Option<Vec<Placed<'a>>> {
        let items = item.list()?;
        let mut placed = Vec::new();
        let mut sound = true;
        for (place, item) in items.into_iter().enumerate() {
            match self.layer(&item, around, place) {
                Some(layers) => placed.extend(layers),
                None => sound = false,
            }
            if self.count > MOST_LAYERS {
                return None;
            }
        }
        sound.then_some(placed)
    }

    /// What a value of a list stands for: a layer, or all those of a block.
    fn layer(&mut self, item: &Item<'a>, around: &Surroundings<'a>, place: usize) -> Option<Vec<Placed<'a>>> {
        self.count += 1;
        if self.count > MOST_LAYERS {
            return item.fault(format!("is one more than the {MOST_LAYERS} layers that a network may have"));
        }
        let path = join(&around.path, &place.to_string());
        let alone = |spec| Some(vec![Placed { spec, item: item.clone(), branches: Vec::new() }]);
        if let Value::Text(word) = &item.node.value {
            return match word.as_str() {
                "relu" => alone(LayerSpec::Relu),
                "global-mean" => alone(LayerSpec::GlobalMean),
                "batch-norm" => {
                    let name = self.called(item, path)?;
                    alone(LayerSpec::BatchNorm { name, epsilon: EPSILON })
                }
                _ => {
                    let known = WORDS.iter().copied().chain(KINDS.map(|(name, _)| name));
                    let help = suggestion(word, "layers", known);
                    item.sink().report(item.problem(format!("cannot be `{word}`")).help(help));
                    None
                }
            };
        }
        let (kind, fields) = kind_of(item)?;
        let table = item.table(fields)?;
        let value = table.required(kind)?;
        let mut name = || {
            let name = match table.optional("name") {
                Some(item) => join(&around.scope, &item.words()?),
                None => path.clone(),
            };
            self.called(item, name)
        };
        let spec = match kind {
            "conv" => {
                let outputs = around.number(&value, 1);
                let kernel = table.or("kernel", [3; 2], |item| around.pair(&item, 1));
                let stride = table.or("stride", 1, |item| around.number(&item, 1));
                let dilation = table.or("dilation", 1, |item| around.number(&item, 1));
                let (kernel, dilation) = (kernel?, dilation?);
                // An even window has no middle: its border is half of it.
                let half =
                    kernel.map(|side| if dilation == 1 { side / 2 } else { (side - 1).saturating_mul(dilation) / 2 });
                let padding = table.or("padding", half, |item| around.pair(&item, 0));
                let groups = table.or("groups", Groups::Of(1), |item| match &item.node.value {
                    Value::Text(word) if word == "depthwise" => Some(Groups::Each(Depthwise::Depthwise)),
                    _ => around.number(&item, 1).map(Groups::Of),
                });
                let bias = table.or("bias", false, |item| item.boolean());
                let (outputs, stride, padding, groups, bias) = (outputs?, stride?, padding?, groups?, bias?);
                LayerSpec::Conv { name: name()?, outputs, kernel, stride, padding, groups, dilation, bias }
            }
            "batch-norm" => {
                if !value.boolean()? {
                    return value.fault("is `false`: leave the layer out");
                }
                let epsilon = table.or("epsilon", EPSILON, |item| item.number_where("above 0", |value| value > 0.0))?;
                LayerSpec::BatchNorm { name: name()?, epsilon }
            }
            "max-pool" | "mean-pool" => {
                let kernel = around.number(&value, 1)?;
                let stride = table.or("stride", kernel, |item| around.number(&item, 1));
                let padding = table.or("padding", 0, |item| around.number(&item, 0));
                let (stride, padding) = (stride?, padding?);
                if kind == "max-pool" {
                    LayerSpec::MaxPool { kernel, stride, padding }
                } else {
                    LayerSpec::MeanPool { kernel, stride, padding }
                }
            }
            "dropout" => {
                let rate = value.number()?;
                LayerSpec::Dropout { rate: Rate::try_from(rate).map_or_else(|fault| value.fault(fault), Some)? }
            }
            "linear" => {
                let classes = matches!(&value.node.value, Value::Text(text) if text == "classes");
                let outputs = if classes { None } else { Some(around.number(&value, 1)?) };
                LayerSpec::Linear { name: name()?, outputs }
            }
            "block" => return self.block(&value, &table, around, &path),
            _ => return self.branches(kind, item, &value, around, &path),
        };
        alone(spec)
    }

    /// Layers side by side.
    fn branches(
        &mut self,
        kind: &str,
        item: &Item<'a>,
        value: &Item<'a>,
        around: &Surroundings<'a>,
        path: &str,
    ) -> Option<Vec<Placed<'a>>> {
        let lists = value.list()?;
        if lists.len() < 2 {
            return value.fault("needs at least two lists of layers; an empty one leaves the map as it is");
        }
        let mut branches = Vec::new();
        for (branch, list) in lists.iter().enumerate() {
            let inside = Surroundings { path: join(path, &branch.to_string()), ..around.clone() };
            branches.push(self.list(list, &inside));
        }
        let branches: Vec<Vec<Placed<'a>>> = branches.into_iter().collect::<Option<_>>()?;
        let specs: Vec<Vec<LayerSpec>> =
            branches.iter().map(|layers| layers.iter().map(|placed| placed.spec.clone()).collect()).collect();
        let spec =
            if kind == "add" { LayerSpec::Add { branches: specs } } else { LayerSpec::Concat { branches: specs } };
        Some(vec![Placed { spec, item: item.clone(), branches }])
    }

    /// All layers of a block, as many times as it is repeated.
    fn block(
        &mut self,
        value: &Item<'a>,
        table: &Reader<'a>,
        around: &Surroundings<'a>,
        path: &str,
    ) -> Option<Vec<Placed<'a>>> {
        let name = value.text()?;
        let Some((own, list)) = self.blocks.iter().find(|(own, _)| *own == name).cloned() else {
            let help = suggestion(name, "blocks", self.blocks.iter().map(|(own, _)| *own));
            value.sink().report(value.problem(format!("names `{name}`, which is no block of this network")).help(help));
            return None;
        };
        if around.within.contains(&own) || around.within.len() >= DEEPEST {
            return value.fault(format!("uses `{own}` within itself, or too many blocks within each other"));
        }
        let with = table.or("with", BTreeMap::new(), |item| around.arguments(&item));
        let first = table.or("first", BTreeMap::new(), |item| around.arguments(&item));
        let repeat = table.or("repeat", 1, |item| around.number(&item, 0));
        let begins = match table.optional("name") {
            Some(item) => join(&around.scope, &item.words()?),
            None => path.to_owned(),
        };
        let (with, first, repeat) = (with?, first?, repeat?);
        let is_repeated = table.optional("repeat").is_some();
        let within: Vec<&str> = around.within.iter().copied().chain([own]).collect();
        let mut placed = Vec::new();
        // Nothing is nothing however often, and none of its layers would be counted.
        let repeat = if list.list()?.is_empty() { 0 } else { repeat };
        for time in 0..repeat {
            let begins = if is_repeated { join(&begins, &time.to_string()) } else { begins.clone() };
            let mut parameters = with.clone();
            if time == 0 {
                parameters.extend(first.clone());
            }
            let inside = Surroundings { parameters, scope: begins.clone(), path: begins, within: within.clone() };
            placed.extend(self.list(&list, &inside)?);
        }
        Some(placed)
    }

    /// A name for a layer's parameters, which no other has.
    fn called(&mut self, item: &Item<'a>, name: String) -> Option<String> {
        if let Some(other) = self.names.get(&name) {
            let problem = item.problem(format!("is called `{name}`, as another layer is"));
            item.sink().report(problem.note(other.node.place, "the other").help("give one of them another `name`"));
            return None;
        }
        self.names.insert(name.clone(), item.clone());
        Some(name)
    }
}

/// PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Which layer a table is.
fn kind_of(item: &Item<'_>) -> Option<(&'static str, &'static [Field])> {
    let Value::Table(entries) = &item.node.value else {
        return item.fault(format!("must be a word or a table, not {}", item.node.type_name()));
    };
    let mut kinds = KINDS.into_iter().filter(|(name, _)| entries.iter().any(|entry| entry.key == *name));
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => Some(kind),
        (Some((one, _)), Some((other, _))) => {
            item.fault(format!("is both `{one}` and `{other}`: write one layer for each"))
        }
        (None, _) => {
            let names = KINDS.map(|(name, _)| format!("`{name}`")).join(", ");
            item.sink().report(item.problem("says of no layer what it is").help(format!("it needs one of {names}")));
            None
        }
    }
}

impl Surroundings<'_> {
    /// A number, or what a parameter says.
    fn number(&self, item: &Item<'_>, least: i64) -> Option<usize> {
        let Value::Text(name) = &item.node.value else { return item.whole(least) };
        let Some(&number) = self.parameters.get(name) else {
            let problem =
                item.problem(format!("must be a whole number, or one of the block's parameters, not `{name}`"));
            let help = suggestion(name, "parameters", self.parameters.keys().map(String::as_str));
            item.sink().report(problem.help(help));
            return None;
        };
        if i64::try_from(number).is_ok_and(|number| number < least) {
            return item.fault(format!("must be at least {least}, and `{name}` is {number}"));
        }
        Some(number)
    }

    /// Two numbers, or one for both.
    fn pair(&self, item: &Item<'_>, least: i64) -> Option<[usize; 2]> {
        if !matches!(item.node.value, Value::List(_)) {
            return self.number(item, least).map(|number| [number; 2]);
        }
        let items = item.list()?;
        match &items[..] {
            [height, width] => Some([self.number(height, least)?, self.number(width, least)?]),
            _ => item.fault(format!("must be one number or two, not {}", items.len())),
        }
    }

    /// Parameters by name.
    fn arguments(&self, item: &Item<'_>) -> Option<BTreeMap<String, usize>> {
        let Node { value: Value::Table(entries), .. } = item.node else {
            return item.fault(format!("must be a table such as `{{ channels = 32 }}`, not {}", item.node.type_name()));
        };
        let argument = |entry: &Entry| {
            if entry.key == "classes" {
                let fault = "`classes` is what the data have, and no parameter";
                item.sink().report(Problem::at(entry.place, fault).help("call it otherwise"));
                return None;
            }
            let path = format!("{}.{}", item.path, entry.key);
            Some((entry.key.clone(), self.number(&Item::new(&entry.node, path, item.sink()), 0)?))
        };
        entries.iter().map(argument).collect()
    }
}
