//! `import`: a model from a file made elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use overinterp_artifacts::{Damage, Model, Network, ParameterTensor, Recorded, recorded};
use overinterp_exchange::{Architecture, FitError, Fitting, ModelFile, listed};
use overinterp_nn::arch;
use overinterp_spec::{Arch, ImageShape, Normalise, SeededDropout};
use overinterp_workflow::key::StepKey;
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::named_files::{FileKind, read_unchanged};
use super::{DataSplit, Env};

/// The manifest of an `import` step.
#[derive(Debug, Serialize)]
pub struct Import {
    /// The BLAKE3 of the file; a placeholder while it is absent.
    pub content: String,
    /// Where it lies.
    #[serde(skip)]
    pub file: PathBuf,
    /// The network that its tensors must fit.
    pub arch: Arch,
    /// Images of the kind that the network takes: their shape and classes become the model's, and their normalisation if
    /// there is no other.
    pub like: DataSplit,
    /// How the network is shown images, where it is known not to be as `like` is normalised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
    /// The same, if the experiment says it, be it what `like` has.
    #[serde(skip)]
    pub stated_normalise: Option<Normalise>,
    /// What the network was trained not to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_dropout: Option<SeededDropout>,
    /// The same, if the experiment says anything of it, be it that every pixel is kept.
    #[serde(skip)]
    pub stated: Option<SeededDropout>,
    /// For Inception v3: whether the weights expect torchvision's `transform_input` before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform_input: Option<bool>,
    /// Which of several sets of weights in the file, if the experiment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

impl Stage<Env> for Import {
    const KIND: &'static str = "import";
    const VERSION: u32 = 1;
    type Output = Model;

    fn inputs(&self) -> Vec<StepKey> {
        Vec::new()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Model, StageError> {
        let images = self.like.load(context)?;
        ModelFile::look_at(&self.file)?;
        let bytes = read_unchanged(&self.file, &self.content, FileKind::Model)?;
        let recorded =
            recorded(&bytes).map_err(|source| StageError::failed(DamagedHeader { file: self.file.clone(), source }))?;
        let normalise = self.normalise.as_ref().unwrap_or(&images.normalise);
        if !normalise.is_of(images.shape.channels) {
            let channels = images.shape.channels;
            return Err(StageError::failed(format!(
                "cannot normalise the images of `{}` by {normalise}: write one mean and one deviation above 0 for each of \
                 their channels, of which there are {channels}",
                self.like.source.name
            )));
        }
        let other_dropout = recorded.as_ref().map(|recorded| self.compare_with(recorded)).transpose()?.flatten();
        let classes = images.classes.len();
        let graph = arch::build(self.arch, images.shape, classes)?;
        let expected: Vec<(String, Vec<usize>)> =
            graph.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
        let architecture = Architecture { expected: &expected, left_out: arch::left_out(self.arch) };
        let mut file = ModelFile::parse(&self.file, &bytes)?;
        let fitting = file.fit(&architecture, self.weights.as_deref()).map_err(|source| match source {
            FitError::NoSuchWeights { .. } => StageError::failed(OtherWeights { file: self.file.clone(), source }),
            FitError::Misfits { .. } => {
                let fits = self.fitting(&file, images.shape, classes);
                StageError::failed(OtherArchitecture { file: self.file.clone(), arch: self.arch, fits, source })
            }
        })?;
        let mut tensors = file.gather(&fitting)?;
        // Of a file that is refused there is no more to say than why.
        self.say_how(normalise, recorded.as_ref(), context);
        if let Some(line) = other_dropout {
            context.log(&line);
        }
        self.say(&fitting, context);
        if self.transform_input == Some(true) {
            expect_normalised_input(&mut tensors);
        }
        let (normalise, input_dropout) = (normalise.clone(), self.input_dropout);
        let network = Network { arch: self.arch, normalise, input_dropout, tensors, log: Vec::new() };
        Ok(Model { shape: images.shape, classes, networks: vec![network] })
    }
}

/// The first layer of Inception v3.
const STEM: [&str; 2] = ["Conv2d_1a_3x3.conv.weight", "Conv2d_1a_3x3.bn.running_mean"];
/// ImageNet's usual mean and deviation of each channel, which torchvision's `transform_input` takes back.
const USUAL: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// Lets weights that were trained on inputs in -1..1 take inputs of ImageNet's usual normalisation.
///
/// torchvision's pretrained Inception v3 begins with `transform_input`: x d / .5 + (m - .5) / .5 for each channel of
/// mean m and deviation d. The first convolution has no border, so that its weights can take the factor, and the batch
/// norm behind it the constant: its mean is that much lower. A masked pixel is 0 before this, the mean colour.
fn expect_normalised_input(tensors: &mut BTreeMap<String, ParameterTensor>) {
    let Some(weight) = tensors.get_mut(STEM[0]) else { return };
    let [inputs, taps] = [weight.shape[1], weight.shape[2] * weight.shape[3]];
    let constants: Vec<f32> = weight
        .data
        .chunks_exact_mut(inputs * taps)
        .map(|output| {
            let mut constant = 0.0;
            for (weights, (mean, deviation)) in output.chunks_exact_mut(taps).zip(USUAL) {
                for weight in weights {
                    constant += f64::from(*weight) * f64::from((mean - 0.5) / 0.5);
                    *weight *= deviation / 0.5;
                }
            }
            constant as f32
        })
        .collect();
    if let Some(mean) = tensors.get_mut(STEM[1]) {
        mean.data.iter_mut().zip(constants).for_each(|(mean, constant)| *mean -= constant);
    }
}

impl Import {
    /// Says how the network is taken to be shown images, where that is an assumption, or not what the file records.
    fn say_how(&self, normalise: &Normalise, recorded: Option<&Recorded>, context: &Context<'_, Env>) {
        let (file, data) = (self.file.display(), &self.like.source.name);
        match (&self.stated_normalise, recorded.and_then(|recorded| recorded.normalise.as_ref())) {
            (_, Some(recorded)) if recorded == normalise => {}
            (_, Some(recorded)) => {
                context.log(&format!("{file} records `normalise = {recorded}`; here the network has {normalise}"));
            }
            (Some(_), None) => {}
            (None, None) => context.log(&format!(
                "nothing in {file} tells how its network normalises images: {normalise} is assumed, as of `{data}`. If it was \
                 trained otherwise, add `normalise = {{ mean = [...], deviation = [...] }}`, of pixels from 0 to 1"
            )),
        }
    }

    /// Compares what the experiment says of the network with what a file by this program records; what it says otherwise
    /// is the result.
    fn compare_with(&self, recorded: &Recorded) -> Result<Option<String>, StageError> {
        let file = self.file.display();
        if self.transform_input == Some(true) {
            return Err(StageError::failed(format!(
                "{file} was written by this program, whose weights take normalised images as they are: \
                 a transform before them would be done twice; write `transform-input = false`"
            )));
        }
        let Some(recorded) = recorded.input_dropout.filter(|recorded| Some(*recorded) != self.stated) else {
            return Ok(None);
        };
        let in_words = |SeededDropout { keep, samples, seed }: SeededDropout| {
            format!("`input-dropout = {{ keep = {:?}, samples = {samples}, seed = {} }}`", keep.get(), seed.0)
        };
        let Some(stated) = self.stated else {
            return Err(StageError::failed(format!(
                "{file} records a network with input dropout, of which this stage says nothing: add {}, or \
                 `input-dropout = {{ keep = 1.0 }}` to have it see every pixel",
                in_words(recorded)
            )));
        };
        Ok(Some(format!("{file} records {}; here the network has {}", in_words(recorded), in_words(stated))))
    }

    /// Says which tensors were taken, where the file leaves a choice.
    fn say(&self, fitting: &Fitting, context: &Context<'_, Env>) {
        let file = self.file.display();
        let name = |prefix: &str| match prefix.trim_end_matches('.') {
            "" => "those without a prefix".to_owned(),
            prefix => listed(&[prefix.to_owned()]),
        };
        if !fitting.others.is_empty() {
            let others: Vec<String> = fitting.others.iter().take(MOST_TOLD).map(|other| name(other)).collect();
            let more = fitting.others.len() - others.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let example = fitting.others.iter().find(|other| !other.is_empty());
            let example = example.map_or_else(String::new, |other| {
                let other = other.trim_end_matches('.').escape_debug();
                format!("; write `weights = \"{other}\"` for others")
            });
            context.log(&format!(
                "{file} has several sets of weights that fit `{}`: {} are taken, and not {}{more}{example}",
                self.arch,
                name(&fitting.prefix),
                others.join(", ")
            ));
        } else if fitting.is_unusual() && self.weights.is_none() {
            context.log(&format!("of {file}, the weights are those under {}", name(&fitting.prefix)));
        }
        if !fitting.passed_over.is_empty() {
            let passed_over = listed(&fitting.passed_over);
            context.log(&format!(
                "{file} also holds what is no weight of `{}` and is passed over: {passed_over}",
                self.arch
            ));
        }
        if self.stated.is_none() && fitting.under_input_dropout() {
            context.log(&format!(
                "the names in {file} begin with `model.`, as they do under input dropout, of which this stage says nothing: \
                 the network is taken for one that sees every pixel. Write `input-dropout = {{ keep = 1.0 }}` if it is, \
                 or else the share of the pixels that it keeps"
            ));
        }
    }

    /// The architecture that the file's tensors fit, if it is one that there is.
    fn fitting(&self, file: &ModelFile<'_>, input: ImageShape, classes: usize) -> Option<Arch> {
        Arch::published().filter(|&other| other != self.arch).find(|&other| {
            let Ok(graph) = arch::build(other, input, classes) else { return false };
            let expected: Vec<(String, Vec<usize>)> =
                graph.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
            let architecture = Architecture { expected: &expected, left_out: arch::left_out(other) };
            file.fits(&architecture, self.weights.as_deref())
        })
    }
}

/// Sets of weights that a message names at most.
const MOST_TOLD: usize = 10;

/// A file without the weights that `weights` names.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the weights of {} that are asked for", .file.display())]
struct OtherWeights {
    file: PathBuf,
    source: FitError,
}

/// A file by this program whose header is not what was written there.
#[derive(Debug, thiserror::Error)]
#[error("the header of {} is not what this program writes: copy or export the model again", .file.display())]
struct DamagedHeader {
    file: PathBuf,
    source: Damage,
}

/// A file whose tensors are not those of the architecture that was named.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is no model file of `{arch}`{}",
    .file.display(),
    .fits.map_or_else(String::new, |fits| format!("; its tensors are those of `{fits}`: write `arch = {}`", fits.toml()))
)]
struct OtherArchitecture {
    file: PathBuf,
    arch: Arch,
    fits: Option<Arch>,
    source: FitError,
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use overinterp_nn::gpu::evaluation::EvaluationNetwork;
    use overinterp_nn::init::initial_tensors;
    use overinterp_spec::Seed;

    #[test]
    fn transforming_the_weights_is_transforming_the_input() {
        let shape = ImageShape { height: 75, width: 75, channels: 3 };
        let graph = arch::build(Arch::ImagenetInceptionV3, shape, 4).unwrap();
        let mut tensors = initial_tensors(&graph, Seed(1));
        for tensor in tensors.values_mut() {
            // A deviation of .1 whatever the inputs lets values grow without bounds over so many layers.
            if let [_, inputs, height, width] = tensor.shape[..] {
                let scale = 10.0 * (2.0 / (inputs * height * width) as f32).sqrt();
                tensor.data.iter_mut().for_each(|weight| *weight *= scale);
            }
        }
        let normalised: Vec<f32> = (0..shape.bytes()).map(|place| (place * 7919 % 1009) as f32 / 252.0 - 2.0).collect();
        let transformed = normalised.iter().enumerate().map(|(place, value)| {
            let (mean, deviation) = USUAL[place % 3];
            value * (deviation / 0.5) + (mean - 0.5) / 0.5
        });
        let logits = |tensors: &BTreeMap<String, ParameterTensor>, input: Vec<f32>| {
            let network = EvaluationNetwork::new(&graph, tensors, &Device::Cpu).unwrap();
            let x = Tensor::from_vec(input, (1, 75, 75, 3), &Device::Cpu).unwrap();
            network.logits(&x).unwrap().get(0).unwrap().to_vec1::<f32>().unwrap()
        };
        let expected = logits(&tensors, transformed.collect());
        let untouched = logits(&tensors, normalised.clone());
        expect_normalised_input(&mut tensors);
        let found = logits(&tensors, normalised);
        let off = |other: &[f32]| expected.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        assert!(off(&found) <= 1e-4 * largest.max(1.0), "{found:?}, not {expected:?}");
        assert!(off(&untouched) > 1e-2 * largest, "the transform changes nothing: {expected:?}");
    }
}
