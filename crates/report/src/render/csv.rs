//! For other programs: one row a cell and metric, never aggregated.

use std::fmt::Write;

use super::super::measurement::{Axes, Measurement};

/// `stage,model,images,<axes...>,metric,value,n,key`, missing values empty, shares in 0..=1. Where any number has an
/// interval, `low,high` follow.
#[must_use]
pub fn measurements_csv(axes: &Axes, measurements: &[Measurement]) -> String {
    let mut text = String::from("stage,model,images");
    for (axis, _) in axes {
        let _ = write!(text, ",{}", quoted(axis));
    }
    text += ",metric,value,n,key";
    let intervals = measurements.iter().any(|measurement| measurement.interval.is_some());
    text += if intervals { ",low,high\n" } else { "\n" };
    for measurement in measurements {
        let _ = write!(
            text,
            "{},{},{}",
            quoted(&measurement.stage),
            quoted(&measurement.model),
            quoted(&measurement.images)
        );
        for (axis, _) in axes {
            let value = measurement.cell.get(axis).map_or_else(String::new, ToString::to_string);
            let _ = write!(text, ",{}", quoted(&value));
        }
        let _ = write!(
            text,
            ",{},{},{},{}",
            measurement.metric.name(),
            measurement.value.map_or_else(String::new, |value| value.to_string()),
            measurement.n.map_or_else(String::new, |n| n.to_string()),
            measurement.key.as_deref().unwrap_or_default()
        );
        let interval = measurement.interval.map_or_else(|| ",,".to_owned(), |[low, high]| format!(",{low},{high}"));
        text += if intervals { &interval } else { "" };
        text.push('\n');
    }
    text
}

/// A field, quoted where RFC 4180 demands it; a line of text may be in it.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::{axes, measurement};

    #[test]
    fn one_row_a_measurement_with_empty_fields_for_what_is_missing() {
        let mut unfinished = measurement("retrained", "subset.test", &[("fraction", 0.05)], 0.0);
        unfinished.value = None;
        unfinished.n = None;
        let measurements = [measurement("full", "test", &[("seed", 1.0)], 0.8125), unfinished];
        assert_eq!(
            measurements_csv(&axes(), &measurements),
            "stage,model,images,fraction,seed,metric,value,n,key\n\
             accuracy,full,test,,1,accuracy,0.8125,500,\n\
             accuracy,retrained,subset.test,0.05,,accuracy,,,\n"
        );
    }

    #[test]
    fn intervals_follow_where_there_are_any() {
        let mut size = measurement("full", "test", &[], 61.5);
        size.interval = Some([60.0, 63.25]);
        assert_eq!(
            measurements_csv(&[], &[size, measurement("full", "test", &[], 0.5)]),
            "stage,model,images,metric,value,n,key,low,high\n\
             accuracy,full,test,accuracy,61.5,500,,60,63.25\n\
             accuracy,full,test,accuracy,0.5,500,,,\n"
        );
    }

    #[test]
    fn commas_and_quotes_are_quoted() {
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("a\nb"), "\"a\nb\"");
        assert_eq!(quoted("a | b; c"), "a | b; c");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
    }
}
