//! What an experiment came to: measurements, the tables that they fill and the claims that they bear out or not.

mod claim;
pub mod drawing;
pub mod figure;
mod measurement;
pub mod page;
mod render;
mod statistic;
mod table;

pub use claim::{CheckedClaim, Comparison, Verdict, check};
pub use measurement::{Axes, Measurement};
pub use render::{
    claims_human, claims_markdown, in_a_line, interval_text, measurements_csv, table_human, table_latex,
    table_markdown, value_text,
};
pub use statistic::Statistic;
pub use table::{FilledRow, FilledTable, fill};
