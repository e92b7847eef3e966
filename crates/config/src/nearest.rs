//! Which known name someone may have meant.

/// The name nearest to `wrong` among `names`, if one is near enough to be a slip.
pub(super) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let names: Vec<&str> = names.into_iter().collect();
    let own = normal(wrong);
    if let Some(name) = names.iter().find(|name| normal(name) == own) {
        return Some(name);
    }
    let parts =
        names.iter().filter(|name| own.len() > 2 && normal(name).split_once('-').is_some_and(|(_, end)| end == own));
    let mut parts = parts.copied();
    match (parts.next(), parts.next()) {
        // `resnet50` for `imagenet-resnet50`.
        (Some(name), None) => Some(name),
        _ => most_similar(wrong, names.iter().copied()).filter(|name| is_slip(&own, &normal(name))),
    }
}

/// Whether one may be typed for the other: a shared letter here and there (`grad-cam` and `random`) makes no slip.
fn is_slip(wrong: &str, name: &str) -> bool {
    similarity(wrong, name) > 0.7 && strsim::normalized_damerau_levenshtein(wrong, name) >= 0.6
}

/// Names in one message; a file may have more, no closed set has.
const MOST_LISTED: usize = 32;

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

/// All there is to choose from, and before it "did you mean `x`?" where one is near.
pub(super) fn suggestion<'a>(wrong: &str, what: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return format!("there are no {what}");
    }
    let guess = nearest(wrong, names.iter().copied()).map(|name| format!("did you mean `{name}`? "));
    let more = names.len().checked_sub(MOST_LISTED).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
    format!("{}{what}: {}{more}", guess.unwrap_or_default(), listing(names.into_iter().take(MOST_LISTED)))
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
        assert_eq!(nearest("ResNet18", ["imagenet-resnet18", "resnet18"]), Some("resnet18"));
        assert_eq!(nearest("weight_decay", ["weight-decay", "momentum"]), Some("weight-decay"));
    }

    #[test]
    fn does_not_guess_at_something_else() {
        assert_eq!(nearest("transformer", ["cnn", "resnet20", "vgg16"]), None);
        assert_eq!(nearest("grad-cam", ["backward", "batched-gradient", "gradient", "random"]), None);
    }

    #[test]
    fn a_name_without_its_beginning_is_found_and_all_are_listed_beside_the_guess() {
        let names = ["resnet20", "resnet18", "imagenet-resnet18", "imagenet-resnet50"];
        assert_eq!(nearest("resnet50", names), Some("imagenet-resnet50"));
        let help = suggestion("resnet50", "architectures", names);
        assert!(help.starts_with("did you mean `imagenet-resnet50`? architectures: `resnet20`, `resnet18`,"), "{help}");
        let many: Vec<String> = (0..40).map(|index| format!("stage-{index}")).collect();
        let help = suggestion("x", "stages", many.iter().map(String::as_str));
        assert!(help.ends_with("`stage-31` and 8 more"), "{help}");
    }
}
