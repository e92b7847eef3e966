//! Times what selections are made of: `cargo bench --bench selection [-- ARCH...]`.
//!
//! For each architecture, with fresh weights, the best of several runs on one thread: images evaluated, rounds of
//! batched gradient (the time an image has in one), and candidates of backward selection a second, masking included; then candidates with an image on
//! each of two threads.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use overinterp_kernels::engine::{Program, Purpose};
use overinterp_kernels::isa::Isa;
use overinterp_nn::arch;
use overinterp_nn::cpu::compile::compile;
use overinterp_nn::cpu::compiled_model::{CompiledModel, ModelWorkspace, for_candidates};
use overinterp_nn::cpu::group_scorer::GroupScorer;
use overinterp_nn::cpu::model_passes::{Group, ModelPasses};
use overinterp_nn::cpu::scorer::NetworkScorer;
use overinterp_nn::init::initial_tensors;
use overinterp_nn::input_dropout::Use;
use overinterp_sis::{CurveScorer, GradientScorer, Scorer};
use overinterp_spec::{Arch, ImageShape, Seed};

/// Timings of which the best counts.
const RUNS: usize = 7;
/// Multiplications, by the definition, that one timing should at least take.
const WORK: u64 = 2_000_000_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let archs = Arch::SMALL.into_iter().filter(|arch| {
        let name = arch.to_string();
        if wanted.is_empty() { *arch != Arch::Wideresnet } else { wanted.contains(&name) }
    });
    for arch in archs {
        measure(arch);
    }
}

fn measure(arch: Arch) {
    let (side, channels) = if arch == Arch::Cnn { (28, 1) } else { (32, 3) };
    let shape = ImageShape { height: side, width: side, channels };
    let graph = arch::build(arch, shape, 10).expect("the architecture takes such images");
    let tensors = initial_tensors(&graph, Seed(0));
    let program =
        |purpose| Arc::new(compile(&graph, &tensors, Isa::detect(), purpose).expect("the tensors are the graph's"));
    let image: Vec<f32> = (0..shape.bytes()).map(|place| (place * 7919 % 1009) as f32 / 504.5 - 1.0).collect();

    let scores = program(for_candidates(arch));
    let images = (WORK / scores.multiplications()).max(1) as usize;
    let model: CompiledModel = program(Purpose::WholeImages).into();
    let together = ModelPasses::together(&model);
    let mut passes = ModelPasses::new(&model, together);
    let numbers: Vec<u32> = (0..together as u32).collect();
    let several = image.repeat(together);
    let group = Group { purpose: Use::Evaluation, numbers: &numbers };
    let groups = images.div_ceil(together);
    let evaluation = best(|| {
        for _ in 0..groups {
            black_box(passes.pass(group, &several));
        }
    }) / (groups * together) as f64;

    let model: CompiledModel = program(Purpose::Gradients).into();
    let together = ModelPasses::together(&model);
    let mut passes = ModelPasses::new(&model, together);
    let numbers: Vec<u32> = (0..together as u32).collect();
    let (mut values, mut slopes) = (vec![0.0; together], vec![0.0; together * shape.bytes()]);
    let rounds = images.div_ceil(3 * together);
    let round = best(|| {
        let group = Group { purpose: Use::Selection, numbers: &numbers };
        let mut scorer = GroupScorer::new(&mut passes, group, image.repeat(together)).expect("its logits are finite");
        for round in 0..rounds {
            (0..together).for_each(|image| scorer.mask(image, &[(round % shape.pixels()) as u32]));
            scorer.gradients(&mut values, &mut slopes).expect("its logits are finite");
        }
    }) / (rounds * together) as f64;

    let one = candidates_per_second(&scores, &image, 1);
    let two = candidates_per_second(&scores, &image, 2);
    println!(
        "{arch} on {}: {:.0} images/s, {:.3} ms a gradient round, {one:.0} candidates/s; two threads {two:.0} ({:.2}x)",
        scores.isa(),
        1.0 / evaluation,
        1e3 * round,
        two / one,
    );
}

/// Candidates of a selection's first steps, each thread with an image of its own.
fn candidates_per_second(program: &Arc<Program>, image: &[f32], threads: usize) -> f64 {
    let pixels = program.input().height * program.input().width;
    let steps = (2 * WORK / program.multiplications() / pixels as u64).max(1) as usize;
    let candidates: usize = (0..steps).map(|step| pixels - step).sum();
    let workspace = |_| ModelWorkspace::new(&Arc::clone(program).into());
    let mut workspaces: Vec<ModelWorkspace> = (0..threads).map(workspace).collect();
    let seconds = best(|| {
        std::thread::scope(|scope| {
            for workspace in &mut workspaces {
                scope.spawn(move || {
                    let mut scorer = NetworkScorer::new(workspace, 0, image).expect("its logits are finite");
                    let mut scores = vec![0.0; pixels];
                    let mut left: Vec<u32> = (0..pixels as u32).collect();
                    for step in 0..steps {
                        scorer.candidates(&left, &mut scores[..left.len()]).expect("its logits are finite");
                        let masked = left.swap_remove(step * 389 % left.len());
                        scorer.mask(masked).expect("a network on the CPU masks without fail");
                    }
                });
            }
        });
    });
    (threads * candidates) as f64 / seconds
}

/// The shortest time of several, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let time = |()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    std::iter::repeat_n((), RUNS).map(time).fold(f64::INFINITY, f64::min)
}
