//! Which known name someone may have meant.

/// The name nearest to `wrong` among `names`, if one is near enough to be a slip.
pub(super) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    most_similar(wrong, names).filter(|name| similarity(&normal(wrong), &normal(name)) > 0.7)
}

/// The name nearest to `wrong`, however far; the first of equals.
pub(super) fn most_similar<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = normal(wrong);
    let mut best: Option<(f64, &str)> = None;
    for name in names {
        let similarity = similarity(&wrong, &normal(name));
        if best.is_none_or(|(most, _)| similarity > most) {
            best = Some((similarity, name));
        }
    }
    best.map(|(_, name)| name)
}

/// "did you mean `x`?", or else all there is to choose from.
pub(super) fn suggestion<'a>(wrong: &str, what: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(wrong, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", listing(names)),
    }
}

/// Names as messages list them.
pub(super) fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// 1 for equal names; a transposition counts as one slip, and a shared beginning helps.
fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b).min(0.5 + strsim::normalized_damerau_levenshtein(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_every_common_kind() {
        let names = ["cnn", "resnet20", "resnet18", "vgg16", "wideresnet"];
        for (wrong, meant) in
            [("resnet02", "resnet20"), ("vgg-16", "vgg16"), ("WideResNet", "wideresnet"), ("cn", "cnn")]
        {
            assert_eq!(nearest(wrong, names), Some(meant), "{wrong}");
        }
        assert_eq!(nearest("weight_decay", ["weight-decay", "momentum"]), Some("weight-decay"));
    }

    #[test]
    fn does_not_guess_at_something_else() {
        assert_eq!(nearest("transformer", ["cnn", "resnet20", "vgg16"]), None);
    }
}
