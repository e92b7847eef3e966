//! What to keep in mind when reading the results.

use maud::{Markup, html};

/// Something that results must be read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caveat {
    /// Pixels are ranked by a model: where it is saturated, the tie rule ranks them.
    Ties,
    /// Pixels are masked, so that there are edges between kept and masked ones.
    Edges,
    /// Models are trained on subsets that were found with a model's prediction.
    Positions,
    /// Fewer images than were published are used.
    Scale,
}

impl Caveat {
    const fn title(self) -> &'static str {
        match self {
            Self::Ties => "Ties",
            Self::Edges => "Edges",
            Self::Positions => "Positions",
            Self::Scale => "Scale",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Ties => {
                "Where a softmax saturates, many pixels make exactly no difference, and by the published rule the one \
                 with the lowest index is masked first. So the top rows go first, and the shape of a subset partly \
                 shows the rule."
            }
            Self::Edges => {
                "The border between kept and masked pixels may itself act as an adversarial pattern (Springer's \
                 critique). High accuracy on subsets does not prove that their pixels mattered in the full image."
            }
            Self::Positions => {
                "Subsets are found with a model's prediction, so that which pixels are kept may leak the label to a \
                 model trained on subsets, whatever their values. A model trained on the mask alone tells how much."
            }
            Self::Scale => {
                "This experiment uses part of the published images. It shows the method, and its numbers are not \
                 those of the paper's experiment."
            }
        }
    }
}

pub(super) fn section(caveats: &[Caveat]) -> Markup {
    html! {
        section id="caveats" class="caveats" {
            h2 { "What to keep in mind" }
            dl {
                @for caveat in caveats {
                    div { dt { (caveat.title()) } dd { (caveat.text()) } }
                }
            }
        }
    }
}
