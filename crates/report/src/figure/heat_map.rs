//! Heat maps as SVG: maps of one drawing share their colours, which a scale below explains.

use std::num::NonZeroU32;

use maud::{Markup, html};

use super::super::drawing::{DrawingError, png};
use super::Picture;
use super::gallery::picture_scale;
use super::palette::heat;
use super::samples::{HeatMap, MapGroup};
use super::scale::Scale;
use super::svg::{LETTER, line, pixels, short_text, text};

/// Width of a map; its height follows from its shape.
const SIDE: f64 = 132.0;
/// Space between maps that stand side by side. Half of it lies between rows.
const GAP: f64 = 16.0;
/// Maps in a row.
const COLUMNS: usize = 6;
/// What a map's name takes below it.
const CAPTION: f64 = 22.0;
/// What a heading takes.
const HEADING: f64 = 26.0;
/// The scale of colours: its width, its height, and what it takes with its labels.
const BAR: (f64, f64, f64) = (260.0, 12.0, 52.0);

/// Draws groups of maps, one below the other.
///
/// # Errors
/// When a map cannot be encoded.
pub(super) fn draw(groups: &[MapGroup]) -> Result<Picture, DrawingError> {
    let heading = if groups.len() > 1 { HEADING } else { 0.0 };
    let mut content = Vec::new();
    let mut top = 2.0;
    for group in groups {
        if groups.len() > 1 {
            content.push(text(2.0, top + 14.0, "f-strong", &group.drawing));
        }
        top += heading;
        let scale = colours(&group.maps);
        for row in group.maps.chunks(COLUMNS) {
            let height = row.iter().map(height).fold(0.0, f64::max);
            for (column, map) in row.iter().enumerate() {
                let left = (column as f64).mul_add(SIDE + GAP, 2.0);
                content.push(draw_map(map, &scale, left, top)?);
            }
            top += height + CAPTION + GAP / 2.0;
        }
        content.push(bar(&scale, top)?);
        top += BAR.2;
    }
    let columns = groups.iter().map(|group| group.maps.len().min(COLUMNS)).max().unwrap_or(1);
    let width = ((SIDE + GAP) * columns as f64 + 4.0).max(BAR.0 + 60.0);
    Ok(Picture { width, height: top, content: html! { @for part in content { (part) } } })
}

/// Where each map is highest, for those who do not see it.
pub(super) fn described(groups: &[MapGroup]) -> String {
    let maps = groups.iter().flat_map(|group| &group.maps);
    let sentences = maps.filter_map(|map| {
        let (pixel, highest) = map.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        let (row, column) = (pixel / map.width, pixel % map.width);
        let mean = map.values.iter().sum::<f64>() / map.values.len() as f64;
        Some(format!("{}: {mean:.3} on average, at most {highest:.3} in row {row}, column {column}.", map.label))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn height(map: &HeatMap) -> f64 {
    SIDE * map.height as f64 / map.width.max(1) as f64
}

/// From 0 to the greatest value of all maps.
fn colours(maps: &[HeatMap]) -> Scale {
    let values = maps.iter().flat_map(|map| &map.values);
    let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
    Scale::covering(low, high, 4)
}

fn draw_map(map: &HeatMap, scale: &Scale, left: f64, top: f64) -> Result<Markup, DrawingError> {
    let colours: Vec<[u8; 3]> = map.values.iter().map(|value| heat(scale.share(*value))).collect();
    let png = png(&colours, map.width, picture_scale(map.width))?;
    #[expect(clippy::cast_sign_loss, reason = "a width is positive")]
    let letters = (SIDE / LETTER) as usize;
    let count = format!("{} images", map.count);
    Ok(html! {
        (pixels(&png, left, top, SIDE, height(map), &format!("{}: {count}", map.label)))
        (short_text(left, top + height(map) + 15.0, "", &map.label, letters))
    })
}

fn bar(scale: &Scale, top: f64) -> Result<Markup, DrawingError> {
    let colours: Vec<[u8; 3]> = (0..128).map(|step| heat(f64::from(step) / 127.0)).collect();
    let png = png(&colours, colours.len(), NonZeroU32::MIN)?;
    let (left, width, height) = (20.0, BAR.0, BAR.1);
    Ok(html! {
        (pixels(&png, left, top + 6.0, width, height, "the scale of colours"))
        @for tick in scale.ticks() {
            @let x = scale.share(tick).mul_add(width, left);
            (line((x, top + 6.0 + height), (x, top + 10.0 + height), "f-axis"))
            (text(x, top + 23.0 + height, "f-muted f-middle", &scale.label(tick)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(label: &str, values: &[f64]) -> HeatMap {
        HeatMap { label: label.into(), height: 1, width: 2, values: values.to_vec(), replicates: 1, count: 7 }
    }

    #[test]
    fn maps_of_one_drawing_share_their_scale_and_are_named() {
        let group = |maps| MapGroup { drawing: "kept".into(), maps };
        let picture =
            draw(&[group(vec![map("all", &[0.0, 0.5]), map("shirt", &[0.1, 0.9])])]).expect("it can be drawn");
        let content = picture.content.into_string();
        assert_eq!(content.matches("<image").count(), 3, "{content}");
        assert!(content.contains(">shirt<") && content.contains("shirt: 7 images"), "{content}");
        assert!(content.contains(">0.0<") && content.contains(">1.0<"), "{content}");
    }

    #[test]
    fn a_map_is_described_by_its_highest_pixel() {
        let group = MapGroup { drawing: "kept".into(), maps: vec![map("shirt", &[0.1, 0.9])] };
        assert_eq!(described(&[group]), "shirt: 0.500 on average, at most 0.900 in row 0, column 1.");
    }

    #[test]
    fn a_map_of_zeros_has_a_scale() {
        let picture = draw(&[MapGroup { drawing: "kept".into(), maps: vec![map("all", &[0.0, 0.0])] }]);
        assert!(!picture.expect("it can be drawn").content.into_string().contains("NaN"));
    }
}
