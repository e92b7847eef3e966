//! Backward selection allocates nothing once it has begun.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use overinterp::kernels::engine::{Purpose, Workspace};
use overinterp::kernels::isa::Isa;
use overinterp::nn::arch;
use overinterp::nn::compile::compile;
use overinterp::nn::init::initial_tensors;
use overinterp::nn::scorer::NetworkScorer;
use overinterp::sis::back_select;
use overinterp::spec::{Arch, ImageShape, Seed};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

#[test]
fn the_selection_loop_allocates_nothing() {
    for (arch, side, channels) in [(Arch::Cnn, 10, 1), (Arch::Resnet20, 8, 3), (Arch::Resnet18, 8, 3)] {
        let shape = ImageShape { height: side, width: side, channels };
        let graph = arch::build(arch, shape, 10).unwrap();
        let tensors = initial_tensors(&graph, Seed(0));
        let program = Arc::new(compile(&graph, &tensors, Isa::detect(), Purpose::Scores).unwrap());
        let mut workspace = Workspace::new(&program);
        let image: Vec<f32> = (0..shape.bytes()).map(|place| (place % 7) as f32 - 3.0).collect();
        let mut scorer = NetworkScorer::new(&mut workspace, &image);
        // The first step may still enlarge what convolutions work in.
        let mut after_first = None;
        let selection = back_select(&mut scorer, |step| {
            if step.masked == 1 {
                after_first = Some(ALLOCATIONS.load(Ordering::Relaxed));
            }
            ControlFlow::Continue(())
        });
        let at_end = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(selection.unwrap().order.len(), side * side);
        assert_eq!(at_end - after_first.unwrap(), 0, "{arch}");
    }
}
