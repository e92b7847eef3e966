//! Numbers and cells as people read them.

use overinterp_spec::Cell;

/// `0.04 s`, `12.3 s`, `4 min 05 s`, `3 h 20 min`.
pub(crate) fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_sign_loss, reason = "durations are not negative")]
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..100 => format!("{seconds:.1} s"),
        100..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// `512 B`, `3.1 kB`, `2.4 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{size:.1} {}", units[unit]) }
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// ` arch=resnet20 seed=0`, for after a stage's name.
pub(crate) fn cell(cell: &Cell) -> String {
    cell.iter().map(|(axis, value)| format!(" {axis}={value}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_fitting_units() {
        assert_eq!(duration(0.041), "0.04 s");
        assert_eq!(duration(59.96), "60.0 s");
        assert_eq!(duration(245.0), "4 min 05 s");
        assert_eq!(duration(12_000.0), "3 h 20 min");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3_100), "3.1 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
    }
}
