//! The fused engine: a network compiled for inference, and the values it takes for images with masked pixels.
//!
//! A [`Program`] is immutable and shared between threads. A [`Workspace`] belongs to one thread and one image at a
//! time: it keeps the value of every map for the current image, and asks what the logits would be with one more
//! pixel masked by recomputing, layer by layer, only the region that the pixel reaches. Each value sums in the same
//! order as in a pass over the whole map, so both have the same bits. A masked pixel is 0 in every channel. [`Passes`]
//! takes several images through the whole network at once.

mod backward;
mod builder;
mod forward;
mod passes;
mod program;
mod slots;
mod spans;
#[cfg(test)]
mod tests;
mod workspace;

pub use builder::{ConvLayer, ProgramBuilder};
pub use passes::Passes;
pub use program::{MapId, MapShape, Program, Purpose};
pub use workspace::{SetAside, Workspace};
