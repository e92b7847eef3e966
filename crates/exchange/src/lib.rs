//! What this program exchanges with others. Model files made elsewhere: `.safetensors`, and what PyTorch's `torch.save` writes, today's zip archives and the
//! legacy format of PyTorch 1.5 and earlier. Beside them, the authors' files of selections and
//! predictions, and arrays for numpy.
//!
//! Nothing in a file is executed: its pickle is read by [`overinterp_foreign::pickle`], to which a name is a name and no function. What
//! lies beside the weights is passed over, whatever it is; only a tensor that is wanted must be one that can be read.
//! Memory stays within a few times the file's size, whatever the file claims. candle's own pickle reader is not used here:
//! it opens only zip archives, skips tensors that it cannot read, and trusts the counts that it meets.

mod array_archive;
mod error;
mod gradient_file;
mod legacy;
mod listing;
mod misfit;
mod model_file;
mod names;
mod npz;
mod packed_file;
mod packed_rows;
mod pickled;
mod predictions_file;
mod probabilities_file;
mod safe_tensors;
mod selection_file;
mod selection_folder;
mod tensor;
mod torch;
mod zip_archive;

pub use array_archive::ArrayArchive;
pub use error::{ExchangeError, Fault};
pub use gradient_file::GradientFile;
pub use misfit::{FitError, Misfit, listed};
pub use model_file::ModelFile;
pub use names::{Architecture, Fitting};
pub use packed_file::{PackedFile, PackedSelection, write_packed};
pub use predictions_file::{Prediction, Predictions, read_predictions, write_predictions};
pub use probabilities_file::Probabilities;
pub use selection_file::SelectionFile;
pub use selection_folder::{SelectionFolderError, SelectionNames};
