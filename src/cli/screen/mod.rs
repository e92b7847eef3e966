//! The terminal: lines, bars, colours, JSON, and what happens at Ctrl-C.

#[macro_use]
pub(crate) mod output;
pub(crate) mod contents;
pub(crate) mod interrupt;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod terminal;
