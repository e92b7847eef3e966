//! What a run that had nothing to do has found and said, so that the next one like it, of the same files, data and results,
//! says it again without planning anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use overinterp_config::{Override, glance};
use overinterp_data::Library;
use overinterp_foreign::file_state::FileState;
use overinterp_spec::DataSource;
use overinterp_workflow::store::{Inventory, Store};

use crate::PROGRAM;
use crate::computed::files::are_as_found;
use crate::computed::findings::{Finding, Findings};

/// What a run is asked for, and what it reads before it looks at data and results.
pub(crate) struct Asked {
    name: blake3::Hash,
    data: Vec<DataSource>,
}

/// What a run found and said. What the cache held follows it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Receipt {
    /// What planning learned of the files that the experiments name.
    findings: Findings,
    /// What stood on standard output.
    said: String,
}

/// What can be said again.
pub(crate) struct SaidBefore {
    pub text: String,
    /// How many steps there are.
    pub steps: usize,
}

impl Asked {
    /// What is asked for by files, `--set` and `--stage`, with lines on standard output of at most `width` columns; `None`
    /// where an experiment cannot be read.
    pub fn of(files: &[PathBuf], set: &[Override], stages: &[String], width: Option<usize>) -> Option<Self> {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp receipt v2");
        let mut add = |text: &[u8]| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text);
        };
        // Another program of that version may plan and say otherwise.
        let program = std::env::current_exe().and_then(std::fs::metadata).ok()?;
        add(PROGRAM.as_bytes());
        add(&FileState::of(&program).to_bytes());
        add(std::env::current_dir().ok()?.as_os_str().as_encoded_bytes());
        add(format!("{width:?} {stages:?}").as_bytes());
        for text in set {
            add(text.text().as_bytes());
        }
        let mut data = Vec::new();
        for file in files {
            let read = glance(file, set)?;
            add(format!("{} {}", file.display(), read.texts.len()).as_bytes());
            for (name, text) in &read.texts {
                add(name.as_bytes());
                add(text.as_bytes());
            }
            data.extend(read.data);
        }
        Some(Self { name: hasher.finalize(), data })
    }

    /// What a run like this one has said, if files, data and results are as it found them.
    pub fn said_before(&self, store: &Store, library: &Library) -> Option<SaidBefore> {
        let bytes = store.receipt(self.name)?;
        let begins = bytes.iter().position(|byte| *byte == b'\n')? + 1;
        let receipt: Receipt = serde_json::from_slice(&bytes[..begins]).ok()?;
        let inventory = Inventory::from_bytes(bytes.get(begins..)?)?;
        let holds = are_as_found(&receipt.findings, &self.data, library) && store.still_holds(&inventory);
        if holds {
            tracing::debug!("files, data and results are as a run before found them: nothing is planned");
        }
        holds.then_some(SaidBefore { text: receipt.said, steps: inventory.len() })
    }

    /// Leaves a receipt of a run that had nothing to do.
    pub fn leave(&self, store: &Store, findings: &Findings, inventory: &Inventory, said: String) {
        // Whether such files have come is looked for by whoever plans, and so are the many files of selections.
        let is_known = |finding: &Finding| match finding {
            Finding::Split { .. } | Finding::File(_) | Finding::Normalise(_) => true,
            Finding::Packed(..) | Finding::Single(_) | Finding::Absent(_) => false,
        };
        let Some(packed) = inventory.to_bytes().filter(|_| findings.values().all(is_known)) else { return };
        let receipt = Receipt { findings: findings.clone(), said };
        if let Ok(mut bytes) = serde_json::to_vec(&receipt) {
            bytes.push(b'\n');
            bytes.extend(packed);
            store.leave_receipt(self.name, bytes);
        }
    }
}
