//! Convolution and its companions as candle custom ops; the fused masked-scoring engine.
//!
#![doc = include_str!("../README.md")]

pub mod checkup;
pub mod conv;
pub mod engine;
pub mod gpu;
pub mod isa;
pub mod ops;
pub mod tape;
mod vectorised;
