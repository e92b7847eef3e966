//! Model files made elsewhere: `.safetensors`, and what PyTorch's `torch.save` writes, today's zip archives and the
//! legacy format of PyTorch 1.5 and earlier. Beside them, the authors' files of selections and predictions.
//!
//! Nothing in a file is executed: its pickle is interpreted by `pickle`, which knows the handful of names that a
//! state dict needs and refuses every other. Memory stays within a few times the file's size, whatever the file
//! claims. candle's own pickle reader is not used here: it opens only zip archives, skips tensors that it cannot
//! read, and trusts the counts that it meets.

mod error;
mod gradient_file;
mod legacy;
mod names;
mod npy;
mod npz;
mod packed_file;
mod predictions_file;
mod read;
mod safe_tensors;
mod selection_file;
mod selection_folder;
mod state_dict;
mod tensor;
mod torch;
mod zip_archive;

pub use error::{CheckpointError, Fault};
pub use gradient_file::GradientFile;
pub use names::{FitError, Misfit, fit_names, fit_names_without, under_input_dropout};
pub use packed_file::{PackedFile, PackedSelection, write_packed};
pub use predictions_file::{Prediction, read_predictions, write_predictions};
pub use read::read;
pub use selection_file::SelectionFile;
pub use selection_folder::{SelectionFolderError, SelectionNames};
