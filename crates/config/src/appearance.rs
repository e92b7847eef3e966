//! Reads what the subsets of a `mask` stage look like.

use overinterp_spec::{Appearance, Content, Fill, Seed, Split};

use super::read::Reader;

/// What masked pixels show, by name; the noise is still to be seeded.
const FILLS: [(&str, Fill); 4] = [
    ("mean", Fill::Mean),
    ("black", Fill::Black),
    ("blur", Fill::Blur),
    ("noise", Fill::Noise { seed: Seed(0), split: Split::Train }),
];

/// The names of [`FILLS`].
pub(super) fn fills() -> Vec<&'static str> {
    FILLS.map(|(name, _)| name).to_vec()
}

/// Reads `content`, `fill` and the noise's `seed`; without them, pixels before the mean colour. The noise is that of
/// training images; [`Appearance::of`] gives that of others.
pub(super) fn appearance(table: &Reader<'_>) -> Option<Appearance> {
    let content = table.or("content", Content::Pixels, |item| item.choice("kinds of content", &Content::ALL));
    let fill = table.or("fill", Fill::Mean, |item| item.choice("fills", &FILLS));
    let seed = table.or("seed", None, |item| item.whole(0).map(|seed| Some(Seed(seed))));
    let (content, mut fill, seed) = (content?, fill?, seed?);
    match (&mut fill, seed, table.optional("seed")) {
        (Fill::Noise { seed, .. }, Some(given), _) => *seed = given,
        (_, Some(_), Some(item)) => return item.fault("has no place here: only `fill = \"noise\"` draws anything"),
        _ => {}
    }
    match (content, fill, table.optional("fill")) {
        (Content::MaskOnly, Fill::Blur, Some(item)) => {
            let problem = item.problem("cannot be `blur` where `content` is `mask-only`: the image would show through");
            item.sink().report(problem.help("take `mean`, `black` or `noise`"));
            None
        }
        _ => Some(Appearance { content, fill }),
    }
}
