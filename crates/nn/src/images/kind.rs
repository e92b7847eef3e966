//! Whether images are of the kind that a model was made for.

use overinterp_artifacts::{ImageSet, Model};
use overinterp_spec::ImageShape;

/// Images are not what the model was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model takes images of {}x{}x{} in {model_classes} classes, these are of {}x{}x{} in {image_classes}: name images \
     of the kind that it was trained on",
    model.height, model.width, model.channels, images.height, images.width, images.channels
)]
pub struct OtherImages {
    /// What the model takes.
    pub model: ImageShape,
    /// The classes that it tells apart.
    pub model_classes: usize,
    /// What the images are.
    pub images: ImageShape,
    /// How many classes the images' set has.
    pub image_classes: usize,
}

/// Checks that images have the shape and the classes that `model` was made for.
pub(crate) fn check_kind(model: &Model, images: &ImageSet) -> Result<(), OtherImages> {
    let image_classes = images.classes.len();
    if (model.shape, model.classes) == (images.shape, image_classes) {
        return Ok(());
    }
    Err(OtherImages { model: model.shape, model_classes: model.classes, images: images.shape, image_classes })
}
