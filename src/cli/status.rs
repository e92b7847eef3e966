//! With what the program ends.

use crate::failure::Kind;

/// The exit codes of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// A fault of this program.
    Internal = 1,
    /// The command, the configuration, or missing data.
    Usage = 2,
    /// A stage failed, or something is damaged: data, or an entry of the cache.
    Stage = 3,
    /// `--frozen`, and something would run.
    Frozen = 4,
    /// Ctrl-C or another signal stopped it; 130 is what shells give for Ctrl-C.
    Cancelled = 130,
}

impl From<Kind> for Status {
    /// The status that a command ends with.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::Stage => Self::Stage,
            Kind::Frozen => Self::Frozen,
            Kind::Internal => Self::Internal,
            Kind::Cancelled => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_failure_decides_the_exit_code() {
        let kinds = [Kind::Internal, Kind::Usage, Kind::Stage, Kind::Frozen, Kind::Cancelled];
        assert_eq!(kinds.map(|kind| Status::from(kind) as i32), [1, 2, 3, 4, 130]);
    }
}
