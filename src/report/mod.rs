//! Tables, claims, figures.
