//! Tables, claims, figures.

pub mod drawing;
