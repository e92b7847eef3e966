//! Backward selection allocates nothing once it has begun.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use overinterp_artifacts::{Model, Network};
use overinterp_kernels::engine::Purpose;
use overinterp_nn::arch;
use overinterp_nn::cpu::compiled_model::{CompiledModel, ModelWorkspace};
use overinterp_nn::cpu::scorer::NetworkScorer;
use overinterp_nn::init::initial_tensors;
use overinterp_nn::input_dropout::Use;
use overinterp_sis::back_select_among;
use overinterp_spec::{Arch, Fraction, ImageShape, Normalise, Seed, SeededDropout};

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Those of this thread: the one that runs the tests allocates when it likes.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Networks of these architectures with their first weights, as one model.
fn model(archs: &[Arch], shape: ImageShape, input_dropout: Option<SeededDropout>) -> Model {
    let network = |&arch| {
        let tensors = initial_tensors(&arch::build(arch, shape, 10).unwrap(), Seed(0));
        let normalise = Normalise { mean: vec![0.0; shape.channels], std: vec![1.0; shape.channels] };
        Network { arch, normalise, input_dropout, tensors, log: Vec::new() }
    };
    Model { shape, classes: 10, networks: archs.iter().map(network).collect() }
}

#[test]
fn the_selection_loop_allocates_nothing() {
    let dropout = SeededDropout { keep: Fraction::try_from(0.8).unwrap(), samples: 3, seed: Seed(0) };
    let cases: [(&[Arch], usize, usize, Option<SeededDropout>); 6] = [
        (&[Arch::Cnn], 10, 1, None),
        (&[Arch::Resnet20], 8, 3, None),
        (&[Arch::Resnet18], 8, 3, None),
        (&[Arch::Vgg16], 32, 3, None),
        (&[Arch::Cnn, Arch::Resnet20], 8, 3, None),
        (&[Arch::Cnn, Arch::Cnn], 10, 1, Some(dropout)),
    ];
    for (archs, side, channels, dropout) in cases {
        let shape = ImageShape { height: side, width: side, channels };
        let compiled = CompiledModel::new(&model(archs, shape, dropout), Purpose::Candidates).unwrap();
        let mut workspace = ModelWorkspace::new(&compiled);
        workspace.draw(Use::Selection, 0);
        let image: Vec<f32> = (0..shape.bytes()).map(|place| (place % 7) as f32 - 3.0).collect();
        let mut scorer = NetworkScorer::new(&mut workspace, 0, &image).unwrap();
        // The first step may still enlarge what convolutions work in.
        let mut after_first = None;
        // All pixels of a large image would take minutes.
        let pixels: Vec<u32> = (0..(side * side).min(100) as u32).collect();
        let selection = back_select_among(&mut scorer, pixels.clone(), |step| {
            if step.masked == 1 {
                // It is asked again within the step.
                after_first.get_or_insert_with(|| ALLOCATIONS.get());
            }
            ControlFlow::Continue(())
        });
        let at_end = ALLOCATIONS.get();
        assert_eq!(selection.unwrap().order.len(), pixels.len());
        assert_eq!(at_end - after_first.unwrap(), 0, "{archs:?}");
    }
}
