//! The name of a step in the experiment that it belongs to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What people call a step. Nothing of it reaches the key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The stage's name in the experiment file.
    pub stage: String,
    /// The stage's cell: a value for each of its axes.
    pub cell: BTreeMap<String, serde_json::Value>,
    /// Which part of the stage this is, where one stage takes several unlike steps.
    pub part: Option<String>,
    /// Which shard of how many, counted from 0, where one stage takes several like steps.
    pub shard: Option<(usize, usize)>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stage)?;
        for (axis, value) in &self.cell {
            match value {
                serde_json::Value::String(text) => write!(f, " {axis}={text}")?,
                other => write!(f, " {axis}={other}")?,
            }
        }
        if let Some(part) = &self.part {
            write!(f, " {part}")?;
        }
        if let Some((index, count)) = self.shard {
            write!(f, " shard {}/{count}", index + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_as_stage_cell_part_and_shard() {
        let cell = [("seed".to_owned(), 0.into()), ("arch".to_owned(), "cnn".into())].into();
        let label = Label { stage: "ranking".into(), cell, part: Some("test".into()), shard: Some((2, 10)) };
        assert_eq!(label.to_string(), "ranking arch=cnn seed=0 test shard 3/10");
        assert_eq!(Label { stage: "full".into(), ..Label::default() }.to_string(), "full");
    }
}
