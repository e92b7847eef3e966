//! Architectures that an experiment spells out, layer by layer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ImageShape, Rate};

/// An architecture of an experiment's own. Equal layers are equal architectures, whatever they are called.
///
/// A program meets few, and each of them again and again, so each is kept for as long as it runs.
#[derive(Clone, Copy)]
pub struct OwnArch(&'static Definition);

struct Definition {
    name: String,
    /// The layers as JSON, which tell it from others.
    text: String,
    layers: Vec<LayerSpec>,
}

/// A layer, or layers side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerSpec {
    /// A convolution.
    Conv {
        /// What its parameters are called by.
        name: String,
        /// Channels that it yields.
        outputs: usize,
        /// Height and width of the window.
        kernel: [usize; 2],
        /// Step in both directions.
        stride: usize,
        /// Zeros above and below, and left and right.
        padding: [usize; 2],
        /// Into how many parts its inputs and outputs are cut, each of which reads its own.
        groups: Groups,
        /// Pixels from one of the window to the next.
        dilation: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalisation.
    BatchNorm {
        /// What its parameters are called by.
        name: String,
        /// What is added to the variance.
        epsilon: f64,
    },
    /// max(x, 0).
    Relu,
    /// The largest value of each window; the border never wins.
    MaxPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Border on each side.
        padding: usize,
    },
    /// The mean of each window, in which the border counts as zeros.
    MeanPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Border on each side.
        padding: usize,
    },
    /// The mean over all pixels.
    GlobalMean,
    /// Dropout in training.
    Dropout {
        /// The share of values that become 0.
        rate: Rate,
    },
    /// A linear layer of a map of one pixel.
    Linear {
        /// What its parameters are called by.
        name: String,
        /// Values that it yields; none for as many as there are classes.
        outputs: Option<usize>,
    },
    /// The sum of what several lists of layers make of the same map; an empty list leaves it as it is.
    Add {
        /// At least two.
        branches: Vec<Vec<LayerSpec>>,
    },
    /// The same, side by side.
    Concat {
        /// At least two.
        branches: Vec<Vec<LayerSpec>>,
    },
}

/// The groups of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Groups {
    /// So many.
    Of(usize),
    /// As many as it reads channels.
    Each(Depthwise),
}

/// The word for as many groups as channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depthwise {
    /// Each channel by itself.
    Depthwise,
}

impl Groups {
    /// How many there are of so many channels.
    #[must_use]
    pub const fn of(self, channels: usize) -> usize {
        match self {
            Self::Of(groups) => groups,
            Self::Each(Depthwise::Depthwise) => channels,
        }
    }
}

/// A layer that does not fit what comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where it stands: its place in the list, then, in layers side by side, that of the list and its place in there.
    pub at: Vec<usize>,
    /// What is wrong, behind the name of the layer.
    pub why: String,
}

/// Nor larger windows.
const MOST: usize = 1 << 16;
/// Nor more weights, those between which zeros are spread included, or larger maps.
const MOST_VALUES: usize = 1 << 29;

/// How much of a network has been looked at.
#[derive(Default)]
struct Totals {
    layers: usize,
    weights: usize,
}

impl Totals {
    /// Adds the weights of a layer, the product of `sizes`.
    fn add(&mut self, sizes: &[usize]) -> Result<(), String> {
        let weights = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        match weights.and_then(|weights| self.weights.checked_add(weights)) {
            Some(weights) if weights <= MOST_VALUES => {
                self.weights = weights;
                Ok(())
            }
            _ => Err(format!("brings the network to more than the {MOST_VALUES} weights that it may have")),
        }
    }
}

impl OwnArch {
    /// A program meets no larger network.
    pub const MOST_LAYERS: usize = 20_000;

    /// The architecture of those layers.
    #[must_use]
    pub fn new(name: &str, layers: Vec<LayerSpec>) -> Self {
        static KNOWN: Mutex<BTreeMap<(String, String), OwnArch>> = Mutex::new(BTreeMap::new());
        let text = serde_json::to_string(&layers).unwrap_or_default();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry((name.to_owned(), text)).or_insert_with_key(|(name, text)| {
            Self(Box::leak(Box::new(Definition { name: name.clone(), text: text.clone(), layers })))
        })
    }

    /// What the experiment calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.0.name
    }

    /// Its layers, in their order.
    #[must_use]
    pub fn layers(self) -> &'static [LayerSpec] {
        &self.0.layers
    }

    /// Checks that the layers fit each other and that the last yields one value a class.
    ///
    /// # Errors
    /// With the first layer that does not.
    pub fn check(self, image: ImageShape, classes: usize) -> Result<(), Misfit> {
        let last = shape_after(self.layers(), image, classes, &mut Vec::new(), &mut Totals::default())?;
        let at = vec![self.layers().len().saturating_sub(1)];
        let ends = ImageShape { height: 1, width: 1, channels: classes };
        if last == ends && matches!(self.layers().last(), Some(LayerSpec::Linear { .. })) {
            return Ok(());
        }
        let why = format!("is the last layer, which must be `linear = \"classes\"`: it yields {last}");
        Err(Misfit { at, why })
    }
}

fn shape_after(
    layers: &[LayerSpec],
    mut shape: ImageShape,
    classes: usize,
    at: &mut Vec<usize>,
    totals: &mut Totals,
) -> Result<ImageShape, Misfit> {
    for (place, layer) in layers.iter().enumerate() {
        at.push(place);
        totals.layers += 1;
        let misfit = |why: String| Misfit { at: at.clone(), why };
        if totals.layers > OwnArch::MOST_LAYERS {
            let most = OwnArch::MOST_LAYERS;
            return Err(misfit(format!("is one more than the {most} layers that a network may have")));
        }
        shape = match layer {
            LayerSpec::Conv { outputs, kernel, stride, padding, groups, dilation, .. } => {
                let parts = groups.of(shape.channels);
                if parts == 0 || !shape.channels.is_multiple_of(parts) || !outputs.is_multiple_of(parts) {
                    let inputs = shape.channels;
                    return Err(misfit(format!(
                        "has {parts} groups, which must divide its {inputs} inputs and its {outputs} outputs"
                    )));
                }
                if *dilation == 0 || *dilation > MOST {
                    return Err(misfit(format!("has a dilation of {dilation}")));
                }
                let wide = kernel.map(|side| side.saturating_sub(1).saturating_mul(*dilation).saturating_add(1));
                let wide = if kernel.contains(&0) { *kernel } else { wide };
                totals.add(&[*outputs, shape.channels, wide[0], wide[1]]).map_err(misfit)?;
                let size = slid(shape, wide, *stride, *padding).map_err(misfit)?;
                ImageShape { channels: *outputs, ..size }
            }
            LayerSpec::MaxPool { kernel, stride, padding } | LayerSpec::MeanPool { kernel, stride, padding } => {
                if 2 * padding > *kernel {
                    return Err(misfit(format!("has a border of {padding}, more than half of its window of {kernel}")));
                }
                slid(shape, [*kernel; 2], *stride, [*padding; 2]).map_err(misfit)?
            }
            LayerSpec::BatchNorm { .. } | LayerSpec::Relu | LayerSpec::Dropout { .. } => shape,
            LayerSpec::GlobalMean => ImageShape { height: 1, width: 1, ..shape },
            LayerSpec::Linear { outputs, .. } => {
                if shape.pixels() != 1 {
                    return Err(misfit(format!("takes a map of one pixel, not {shape}: put `global-mean` before it")));
                }
                let outputs = outputs.unwrap_or(classes);
                totals.add(&[outputs, shape.channels]).map_err(misfit)?;
                ImageShape { channels: outputs, ..shape }
            }
            LayerSpec::Add { branches } | LayerSpec::Concat { branches } => {
                let mut made = Vec::new();
                for (branch, layers) in branches.iter().enumerate() {
                    at.push(branch);
                    made.push(shape_after(layers, shape, classes, at, totals)?);
                    at.pop();
                }
                let misfit = |why: String| Misfit { at: at.clone(), why };
                together(&made, matches!(layer, LayerSpec::Add { .. })).map_err(misfit)?
            }
        };
        let values = shape.pixels().checked_mul(shape.channels);
        if shape.channels == 0 || values.is_none_or(|values| values > MOST_VALUES) {
            return Err(Misfit { at: at.clone(), why: format!("yields a map of {shape}") });
        }
        at.pop();
    }
    Ok(shape)
}

/// What maps add up to, or have side by side.
fn together(made: &[ImageShape], is_sum: bool) -> Result<ImageShape, String> {
    let [first, others @ ..] = made else { return Err("has no lists of layers".to_owned()) };
    let mut channels = first.channels;
    for other in others {
        let fits = if is_sum { first == other } else { [first.height, first.width] == [other.height, other.width] };
        if !fits {
            let what = if is_sum { "adds" } else { "puts side by side" };
            return Err(format!("{what} maps that differ in size: {first} and {other}"));
        }
        channels += if is_sum { 0 } else { other.channels };
    }
    Ok(ImageShape { channels, ..*first })
}

fn slid(shape: ImageShape, kernel: [usize; 2], stride: usize, padding: [usize; 2]) -> Result<ImageShape, String> {
    if [kernel[0], kernel[1], stride, padding[0], padding[1]].iter().any(|&number| number > MOST) {
        return Err(format!("has a window, step or border of more than {MOST}"));
    }
    if kernel.contains(&0) || stride == 0 {
        return Err("has a window or step of 0".to_owned());
    }
    let extent = |size: usize, axis: usize| {
        let room = size + 2 * padding[axis];
        room.checked_sub(kernel[axis]).map(|left| left / stride + 1)
    };
    match (extent(shape.height, 0), extent(shape.width, 1)) {
        (Some(height), Some(width)) => Ok(ImageShape { height, width, ..shape }),
        _ => Err(format!(
            "has a window of {}x{}, which is larger than the map of {shape} with its border",
            kernel[0], kernel[1]
        )),
    }
}

impl PartialEq for OwnArch {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for OwnArch {}

impl PartialOrd for OwnArch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OwnArch {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.text.cmp(&other.0.text)
    }
}

impl Hash for OwnArch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl fmt::Debug for OwnArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnArch({})", self.0.text)
    }
}

/// What is written: the layers alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    layers: Vec<LayerSpec>,
}

impl Serialize for OwnArch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { layers: self.layers().to_vec() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnArch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new("own", Written::deserialize(deserializer)?.layers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    fn conv(outputs: usize, kernel: usize, padding: usize) -> LayerSpec {
        let (kernel, padding) = ([kernel; 2], [padding; 2]);
        let (groups, dilation) = (Groups::Of(1), 1);
        LayerSpec::Conv { name: "conv".to_owned(), outputs, kernel, stride: 1, padding, groups, dilation, bias: false }
    }

    fn linear(outputs: Option<usize>) -> LayerSpec {
        LayerSpec::Linear { name: "linear".to_owned(), outputs }
    }

    #[test]
    fn equal_layers_are_one_architecture_whatever_it_is_called_and_read_back() {
        let layers = || vec![conv(4, 3, 1), LayerSpec::GlobalMean, linear(None)];
        let (one, other) = (OwnArch::new("one", layers()), OwnArch::new("other", layers()));
        assert_eq!(one, other);
        assert_eq!((one.name(), other.name()), ("one", "other"));
        assert_ne!(one, OwnArch::new("one", vec![LayerSpec::GlobalMean, linear(None)]));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<OwnArch>(&text).unwrap(), one);
        assert!(!text.contains("one"));
    }

    #[test]
    fn layers_that_do_not_fit_are_told_with_their_place() {
        let misfit = |layers: Vec<LayerSpec>| OwnArch::new("x", layers).check(GREY, 10).unwrap_err();
        let told = |layers| {
            let Misfit { at, why } = misfit(layers);
            (at, why)
        };
        assert!(OwnArch::new("x", vec![conv(4, 3, 1), LayerSpec::GlobalMean, linear(None)]).check(GREY, 10).is_ok());
        assert_eq!(
            told(vec![conv(4, 3, 1), linear(None)]),
            (vec![1], "takes a map of one pixel, not 28x28x4: put `global-mean` before it".to_owned())
        );
        assert_eq!(
            told(vec![conv(4, 29, 0), LayerSpec::GlobalMean, linear(None)]),
            (vec![0], "has a window of 29x29, which is larger than the map of 28x28x1 with its border".to_owned())
        );
        let sum = LayerSpec::Add { branches: vec![vec![conv(4, 3, 1)], Vec::new()] };
        let (at, why) = told(vec![sum, LayerSpec::GlobalMean, linear(None)]);
        assert_eq!((at, why.as_str()), (vec![0], "adds maps that differ in size: 28x28x4 and 28x28x1"));
        let beside = LayerSpec::Concat { branches: vec![vec![conv(4, 3, 1)], vec![conv(4, 40, 0)]] };
        assert_eq!(told(vec![beside, LayerSpec::GlobalMean, linear(None)]).0, [0, 1, 0]);
        let (at, why) = told(vec![LayerSpec::GlobalMean, linear(Some(7))]);
        assert!(at == [1] && why.contains("must be `linear = \"classes\"`: it yields 1x1x7"), "{why}");
        assert!(told(Vec::new()).1.contains("must be `linear"));
        let grouped = |groups| {
            let mut layer = conv(4, 3, 1);
            if let LayerSpec::Conv { groups: own, dilation, .. } = &mut layer {
                (*own, *dilation) = (groups, 2);
            }
            vec![conv(6, 3, 1), layer, LayerSpec::GlobalMean, linear(None)]
        };
        assert_eq!(told(grouped(Groups::Of(3))).1, "has 3 groups, which must divide its 6 inputs and its 4 outputs");
        assert_eq!(told(grouped(Groups::Each(Depthwise::Depthwise))).0, [1]);
        assert!(OwnArch::new("x", grouped(Groups::Of(2))).check(GREY, 10).is_ok());
        let text = serde_json::to_string(&grouped(Groups::Each(Depthwise::Depthwise))).unwrap();
        assert!(text.contains(r#""groups":"depthwise","dilation":2"#), "{text}");
        assert!(told(vec![conv(0, 3, 1)]).1.contains("a map of 28x28x0"));
        let huge = told(vec![conv(1, usize::MAX, usize::MAX)]).1;
        assert!(huge.contains("more than the 536870912 weights"), "{huge}");
        assert!(told(vec![conv(1 << 20, 31, 15)]).1.contains("more than the 536870912 weights"));
        assert!(told(vec![conv(1 << 20, 1, 0)]).1.contains("a map of 28x28x1048576"));
        let wide = LayerSpec::MaxPool { kernel: usize::MAX / 4, stride: 1, padding: usize::MAX / 8 };
        assert!(told(vec![wide]).1.contains("more than 65536"));
    }
}
