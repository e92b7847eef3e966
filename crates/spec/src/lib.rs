//! Plain values that configuration and stages share. Each is valid by construction and serialises to what a
//! step's manifest shows, so a change of spelling here is a change of keys.

mod appearance;
mod arch;
mod bootstrap;
mod cell;
mod corruption;
mod dataset;
mod dropout;
mod family;
mod figure;
mod fraction;
mod images;
mod keep;
mod metric;
mod named;
mod normalise;
mod own_arch;
mod question;
mod recipe;
mod resources;
mod selection;
mod stream;
mod work;

pub use appearance::{Appearance, Content, Fill};
pub use arch::{Arch, Scoring};
pub use bootstrap::Bootstrap;
pub use cell::{AxisValue, Cell};
pub use corruption::{Corrupted, Corruption, Severity};
pub use dataset::{DataKind, DataSource, Limit, Photographs, Unreadable};
pub use dropout::{InputDropout, SeededDropout};
pub use family::{Family, Rate};
pub use figure::{Drawings, Figure, FigureKind, PicturedStage, ShownStage};
pub use fraction::{Fraction, FractionError};
pub use images::{ImageShape, Split};
pub use keep::Keep;
pub use metric::{Metric, Unit};
pub use normalise::Normalise;
pub use own_arch::{Depthwise, Groups, LayerSpec, Misfit, OwnArch};
pub use question::{Bound, Check, Claim, Measure, Operand, Row, Subject, Table};
pub use recipe::{Augment, Cosine, OneCycle, Recipe};
pub use resources::{JobTime, Memory, NoJobTime, NoMemory, Resources};
pub use selection::{RandomSeeds, Selection};
pub use stream::Seed;
pub use work::{Activity, Rates, Work};
