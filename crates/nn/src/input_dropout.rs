//! Which pixels input dropout keeps: a pure function of the seed, the use, the image and the sample.
//!
//! The authors draw anew whenever a network is asked. Here what is kept of an image is drawn once for the whole of
//! its evaluation, and once for the whole of its selection: f is then one function of the image's mask, so a
//! candidate's score depends neither on its batch nor on its step, and every value of a selection can be found again.
//! The two draws differ, so that a subset is not evaluated through the very holes that it was selected through.

use rand_chacha::rand_core::Rng;

use overinterp_spec::{Fraction, SeededDropout};

/// What an image is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A training step, by its number.
    Training(u64),
    /// A prediction of its class, in an evaluation or in the test after an epoch.
    Evaluation,
    /// A selection or a collection.
    Selection,
}

/// Draws what is kept of image number `image`, one entry a pixel. An image in training is drawn once a step.
pub fn draw(dropout: SeededDropout, purpose: Use, sample: usize, image: usize, kept: &mut [bool]) {
    let (name, index) = match purpose {
        Use::Training(step) => ("input dropout in training", step),
        Use::Evaluation => ("input dropout in evaluation", sample as u64),
        Use::Selection => ("input dropout in selection", sample as u64),
    };
    let mut stream = dropout.seed.stream(name, index);
    // Each image has a sequence of its own, so that images can be drawn in any order.
    stream.set_stream(image as u64);
    let below = threshold(dropout.keep);
    kept.fill_with(|| u64::from(stream.next_u32()) < below);
}

/// Whether nothing is dropped.
#[must_use]
pub fn keeps_all(keep: Fraction) -> bool {
    threshold(keep) > u64::from(u32::MAX)
}

#[expect(clippy::cast_sign_loss, reason = "a probability is positive")]
fn threshold(keep: Fraction) -> u64 {
    (keep.get() * 2.0_f64.powi(32)).round() as u64
}

/// Sets the pixels of an image `[pixels, channels]` that are not kept to 0.
pub fn drop_pixels(kept: &[bool], image: &mut [f32]) {
    if kept.is_empty() {
        return;
    }
    let channels = image.len() / kept.len();
    for (pixel, _) in image.chunks_exact_mut(channels).zip(kept).filter(|(_, kept)| !**kept) {
        pixel.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_spec::Seed;

    fn dropout(keep: f64, seed: u64) -> SeededDropout {
        SeededDropout { keep: Fraction::try_from(keep).unwrap(), samples: 2, seed: Seed(seed) }
    }

    fn drawn(dropout: SeededDropout, purpose: Use, sample: usize, image: usize) -> Vec<bool> {
        let mut kept = vec![false; 1024];
        draw(dropout, purpose, sample, image, &mut kept);
        kept
    }

    #[test]
    fn as_many_pixels_are_kept_as_the_probability_says() {
        for purpose in [Use::Training(3), Use::Evaluation, Use::Selection] {
            let images = 50;
            let kept: usize = (0..images)
                .map(|image| drawn(dropout(0.8, 1), purpose, 0, image).iter().filter(|kept| **kept).count())
                .sum();
            let draws = (1024 * images) as f64;
            // Four standard errors of a binomial.
            assert!((kept as f64 - 0.8 * draws).abs() < 4.0 * (draws * 0.8 * 0.2).sqrt(), "{purpose:?}: {kept}");
        }
    }

    #[test]
    fn pixels_are_kept_independently_of_each_other_and_of_other_images() {
        // Two independent draws agree on .8^2 + .2^2 of the pixels.
        let agree = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a == b).count() as f64;
        let (mut neighbours, mut images, count) = (0.0, 0.0, 50);
        for image in 0..count {
            let kept = drawn(dropout(0.8, 2), Use::Selection, 0, image);
            neighbours += agree(&kept[1..], &kept[..1023]);
            images += agree(&kept, &drawn(dropout(0.8, 2), Use::Selection, 0, image + 1));
        }
        for (agreeing, draws) in [(neighbours, 1023 * count), (images, 1024 * count)] {
            let draws = draws as f64;
            // Overlapping pairs are correlated: five standard errors of independent ones.
            assert!((agreeing - 0.68 * draws).abs() < 5.0 * (draws * 0.68 * 0.32).sqrt(), "{agreeing} of {draws}");
        }
    }

    #[test]
    fn a_draw_depends_on_seed_use_sample_and_image_alone() {
        let first = drawn(dropout(0.8, 1), Use::Evaluation, 0, 5);
        assert_eq!(first, drawn(dropout(0.8, 1), Use::Evaluation, 0, 5));
        for other in [
            drawn(dropout(0.8, 2), Use::Evaluation, 0, 5),
            drawn(dropout(0.8, 1), Use::Selection, 0, 5),
            drawn(dropout(0.8, 1), Use::Training(0), 0, 5),
            drawn(dropout(0.8, 1), Use::Evaluation, 1, 5),
            drawn(dropout(0.8, 1), Use::Evaluation, 0, 6),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(drawn(dropout(0.8, 1), Use::Training(0), 0, 5), drawn(dropout(0.8, 1), Use::Training(1), 0, 5));
    }

    #[test]
    fn keeping_with_probability_one_drops_nothing() {
        assert!(keeps_all(dropout(1.0, 0).keep) && !keeps_all(dropout(0.8, 0).keep));
        assert!(drawn(dropout(1.0, 3), Use::Evaluation, 0, 0).iter().all(|kept| *kept));
    }

    #[test]
    fn a_dropped_pixel_is_zero_in_all_channels_and_the_others_are_not_rescaled() {
        let mut image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for kept in [&[true, false, true][..], &[]] {
            drop_pixels(kept, &mut image);
            assert_eq!(image.map(f32::to_bits), [1.0_f32, 2.0, 0.0, 0.0, 5.0, 6.0].map(f32::to_bits));
        }
    }
}
