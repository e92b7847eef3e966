//! Where results come from: the images, and what computed when.

use maud::{Markup, html};

/// A data set in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataOrigin {
    /// Its name in the file.
    pub name: String,
    /// The kind that the file gives it: `cifar10`.
    pub kind: String,
    /// The halves in use.
    pub splits: Vec<SplitOrigin>,
}

/// One half of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitOrigin {
    /// `train` or `test`.
    pub split: String,
    /// How many images are used.
    pub images: usize,
    /// Whether they are the published ones.
    pub origin: String,
    /// The hash of the decoded images.
    pub content: String,
}

/// Results made by one program on one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeBy {
    /// The program with its version.
    pub program: String,
    /// The name of the machine and, in brackets, its processor.
    pub host: String,
    /// The device that computed: `cpu` with its instruction set, or the name of a GPU.
    pub device: String,
    /// When the first and the last of them were made, in UTC.
    pub dates: (String, String),
    /// How many steps of the experiment have such a result.
    pub steps: usize,
    /// What they took in all, as people read it.
    pub took: String,
}

/// `on 2026-11-26`, `from 2026-11-24 to 2026-11-26`.
pub(super) fn dates(made: &[MadeBy]) -> Option<String> {
    let first = made.iter().map(|made| day(&made.dates.0)).min()?;
    let last = made.iter().map(|made| day(&made.dates.1)).max()?;
    Some(if first == last { format!("on {first}") } else { format!("from {first} to {last}") })
}

fn day(date: &str) -> &str {
    date.split('T').next().unwrap_or(date)
}

pub(super) fn section(data: &[DataOrigin], made: &[MadeBy], (there, all): (usize, usize)) -> Markup {
    html! {
        section id="origins" {
            h2 { "Where this comes from" }
            @if !data.is_empty() { (images(data)) }
            @if made.is_empty() { p { "No step of this experiment is computed yet." } }
            @else { (makers(made)) }
            @if there < all { p class="note" { (all - there) " of " (all) " steps are not computed." } }
        }
    }
}

fn images(data: &[DataOrigin]) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption { "Images" }
                thead {
                    tr {
                        th scope="col" { "Data set" }
                        th scope="col" { "Kind" }
                        th scope="col" { "Half" }
                        th scope="col" class="number" { "Images" }
                        th scope="col" { "Origin" }
                        th scope="col" { "Content (BLAKE3)" }
                    }
                }
                tbody {
                    @for set in data {
                        @if set.splits.is_empty() {
                            tr { th scope="row" { (set.name) } td { (set.kind) } td colspan="4" { "not there" } }
                        }
                        @for split in &set.splits {
                            tr {
                                th scope="row" { (set.name) }
                                td { (set.kind) }
                                td { (split.split) }
                                td class="number" { (split.images) }
                                td { (split.origin) }
                                td { code title=(split.content) { (split.content.get(..16).unwrap_or(&split.content)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn makers(made: &[MadeBy]) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption { "Computed by" }
                thead {
                    tr {
                        th scope="col" { "Program" }
                        th scope="col" { "Machine" }
                        th scope="col" { "Device" }
                        th scope="col" { "First" }
                        th scope="col" { "Last" }
                        th scope="col" class="number" { "Steps" }
                        th scope="col" class="number" { "Took" }
                    }
                }
                tbody {
                    @for made in made {
                        tr {
                            th scope="row" { (made.program) }
                            td { (made.host) }
                            td { (made.device) }
                            td { time datetime=(made.dates.0) { (minute(&made.dates.0)) } }
                            td { time datetime=(made.dates.1) { (minute(&made.dates.1)) } }
                            td class="number" { (made.steps) }
                            td class="number" { (made.took) }
                        }
                    }
                }
            }
        }
        p class="note" { "Dates are in UTC. \u{201c}Took\u{201d} is the sum over steps, some of which may have run at a time." }
    }
}

/// `2026-11-26 09:41` of `2026-11-26T09:41:07Z`.
fn minute(date: &str) -> String {
    date.get(..16).unwrap_or(date).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_and_minutes() {
        let made = |first: &str, last: &str| MadeBy {
            program: String::new(),
            host: String::new(),
            device: String::new(),
            dates: (first.into(), last.into()),
            steps: 1,
            took: String::new(),
        };
        let (early, late) = ("2026-11-24T09:41:07Z", "2026-11-26T10:00:00Z");
        assert_eq!(dates(&[made(late, late)]).unwrap(), "on 2026-11-26");
        assert_eq!(dates(&[made(late, late), made(early, early)]).unwrap(), "from 2026-11-24 to 2026-11-26");
        assert_eq!(dates(&[]), None);
        assert_eq!(minute(early), "2026-11-24 09:41");
    }
}
