//! The colours of figures, on light and on dark paper.
//!
//! Series differ in lightness, dash and mark as well as in hue, so that they can be told apart without colour.

use std::fmt::Write;

/// How many series look different; further ones begin again.
pub(super) const STYLES: usize = 6;

/// The colours on one kind of paper.
struct Theme {
    ink: &'static str,
    muted: &'static str,
    grid: &'static str,
    series: [&'static str; STYLES],
}

/// Every series has at least 3:1 contrast to white.
const LIGHT: Theme = Theme {
    ink: "#1c2024",
    muted: "#5b636b",
    grid: "#dfe3e6",
    series: ["#0b48b5", "#ea5a14", "#389f73", "#a976bd", "#633200", "#10152e"],
};

/// Every series has at least 3:1 contrast to the page's dark paper.
const DARK: Theme = Theme {
    ink: "#e9ecef",
    muted: "#a3acb5",
    grid: "#343b42",
    series: ["#3f7dff", "#e0692e", "#86f5ac", "#b45496", "#f7e33a", "#cfe2fb"],
};

/// Dashes by series.
const DASHES: [&str; STYLES] = ["none", "7 3", "2 3", "9 3 2 3", "4 2", "12 4"];

/// The style sheet of figures on white paper.
pub(super) fn light_rules() -> String {
    rules(&LIGHT)
}

/// The style sheet of figures in a page that follows the reader's choice of paper.
pub(crate) fn page_rules() -> String {
    format!("{}@media screen and (prefers-color-scheme:dark){{{}}}", rules(&LIGHT), rules(&DARK))
}

fn rules(theme: &Theme) -> String {
    let Theme { ink, muted, grid, series } = theme;
    let mut rules = format!(
        ".f-text{{fill:{ink};font-family:system-ui,\"Helvetica Neue\",Arial,sans-serif;font-size:12px}}\
         .f-strong{{font-weight:600}}\
         .f-muted{{fill:{muted}}}\
         .f-end{{text-anchor:end}}.f-middle{{text-anchor:middle}}\
         .f-axis{{stroke:{muted};fill:none}}\
         .f-grid{{stroke:{grid};fill:none}}\
         .f-empty{{stroke:{muted};fill:none;stroke-dasharray:3 3}}\
         .f-pixels{{image-rendering:pixelated}}"
    );
    for (index, (colour, dash)) in series.iter().zip(DASHES).enumerate() {
        let _ = write!(
            rules,
            ".f-line{index}{{stroke:{colour};fill:none;stroke-width:2;stroke-dasharray:{dash};stroke-linejoin:round}}\
             .f-lead{index}{{stroke:{colour};fill:none;stroke-width:1;opacity:.6}}\
             .f-band{index}{{fill:{colour};opacity:.16}}\
             .f-mark{index}{{fill:{colour}}}"
        );
    }
    rules
}

/// The colour of `share` (0 to 1) of a heat map's scale: viridis, whose lightness rises evenly, so that it reads the
/// same without colour.
pub(super) fn heat(share: f64) -> [u8; 3] {
    /// Nine equidistant colours of matplotlib's viridis.
    const VIRIDIS: [[u8; 3]; 9] = [
        [0x44, 0x01, 0x54],
        [0x47, 0x2d, 0x7b],
        [0x3b, 0x52, 0x8b],
        [0x2c, 0x72, 0x8e],
        [0x21, 0x91, 0x8c],
        [0x28, 0xae, 0x80],
        [0x5e, 0xc9, 0x62],
        [0xad, 0xdc, 0x30],
        [0xfd, 0xe7, 0x25],
    ];
    let place = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    #[expect(clippy::cast_sign_loss, reason = "the place is not negative")]
    let below = (place.floor() as usize).min(VIRIDIS.len() - 2);
    let way = place - below as f64;
    let mix = |channel: usize| {
        let [from, to] = [below, below + 1].map(|stop| f64::from(VIRIDIS[stop][channel]));
        #[expect(clippy::cast_sign_loss, reason = "the value lies between two bytes")]
        let byte = (to - from).mul_add(way, from).round() as u8;
        byte
    };
    [mix(0), mix(1), mix(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear red, green and blue of `#rrggbb`.
    fn linear(colour: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn product(rows: [[f64; 3]; 3], colour: [f64; 3]) -> [f64; 3] {
        rows.map(|row| row.iter().zip(colour).map(|(weight, value)| weight * value).sum())
    }

    /// Relative luminance (WCAG 2.1).
    fn luminance(colour: &str) -> f64 {
        product([[0.2126, 0.7152, 0.0722]; 3], linear(colour))[0]
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn lines_and_text_stand_out_from_their_paper() {
        for (theme, paper) in [(&LIGHT, "#ffffff"), (&DARK, "#15191d")] {
            for colour in theme.series {
                assert!(contrast(colour, paper) >= 3.0, "{colour} on {paper}: {}", contrast(colour, paper));
            }
            for text in [theme.ink, theme.muted] {
                assert!(contrast(text, paper) >= 4.5, "{text} on {paper}: {}", contrast(text, paper));
            }
        }
    }

    /// CIELAB of linear sRGB at D65.
    fn lab(colour: [f64; 3]) -> [f64; 3] {
        let clamped = colour.map(|value| value.clamp(0.0, 1.0));
        let xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let [x, y, z] = product(xyz, clamped);
        let [x, y, z] =
            [x / 0.95047, y, z / 1.08883].map(|t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn readers_who_see_fewer_colours_can_tell_series_apart() {
        // Machado, Oliveira, Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia.
        let eyes = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ];
        for theme in [&LIGHT, &DARK] {
            for eye in eyes {
                let seen = theme.series.map(|colour| lab(product(eye, linear(colour))));
                for (index, one) in seen.iter().enumerate() {
                    for other in &seen[..index] {
                        let distance: f64 = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(distance > 25.0, "{distance} between {one:?} and {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn heat_rises_in_lightness() {
        assert_eq!((heat(0.0), heat(1.0)), ([0x44, 0x01, 0x54], [0xfd, 0xe7, 0x25]));
        let lightness = |share: f64| {
            let [red, green, blue] = heat(share);
            luminance(&format!("#{red:02x}{green:02x}{blue:02x}"))
        };
        assert!((0..100).all(|step| lightness(f64::from(step) / 100.0) < lightness(f64::from(step + 1) / 100.0)));
    }
}
