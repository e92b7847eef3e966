//! What people read on: how wide it is, what it understands, and text that fits it.

use std::io::IsTerminal;

use console::{Term, is_dumb, measure_text_width};

/// Columns of a terminal that does not tell.
const USUAL: usize = 80;
/// What stands for what was left out.
const GAP: &str = "...";

/// Whether standard error is a terminal on which lines can be drawn anew. Anything else gets plain lines.
pub(crate) fn draws() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Whether messages on standard error may have colours.
pub(crate) fn colours() -> bool {
    draws() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The columns that a line on standard error may take; `None` where it is no terminal.
pub(crate) fn width_of_errors() -> Option<usize> {
    std::io::stderr().is_terminal().then(|| width(&Term::stderr()))
}

/// The columns that a line on standard output may take; `None` where it is no terminal.
pub(crate) fn width_of_output() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| width(&Term::stdout()))
}

/// Some terminals begin a new line as soon as the last column is taken, so it stays free.
fn width(terminal: &Term) -> usize {
    let columns = terminal.size_checked().map_or(USUAL, |(_, columns)| usize::from(columns));
    columns.max(2) - 1
}

/// `text` in at most `width` columns: its middle is left out, as names begin with what they are and end with which one.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let Some(left) = width.checked_sub(GAP.len()) else { return GAP[..width].to_owned() };
    let front: String = fitting(text.chars(), left.div_ceil(2)).collect();
    let back: Vec<char> = fitting(text.chars().rev(), left / 2).collect();
    format!("{front}{GAP}{}", back.into_iter().rev().collect::<String>())
}

/// The first of `characters` that take at most `width` columns together.
fn fitting(characters: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    let mut taken = 0;
    characters.take_while(move |character| {
        taken += measure_text_width(character.encode_utf8(&mut [0; 4]));
        taken <= width
    })
}

/// `text` with lines broken between words where they are longer than `width`, and what follows a break set in by
/// `indent`. A word is never broken: a path must stay one that can be copied.
pub(crate) fn folded(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.split('\n').map(|line| folded_line(line, width, indent)).collect::<Vec<_>>().join("\n")
}

fn folded_line(line: &str, width: usize, indent: usize) -> String {
    let mut folded = String::new();
    let (mut column, mut begun) = (0, false);
    // A word has the spaces before it, so that what is aligned by several stays so.
    for word in words(line) {
        let columns = measure_text_width(word);
        if begun && column + columns > width && column > indent {
            let word = word.trim_start();
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            folded.push_str(word);
            column = indent + measure_text_width(word);
        } else {
            folded.push_str(word);
            column += columns;
        }
        begun |= !word.trim_start().is_empty();
    }
    folded
}

/// The words of a line, each with the spaces before it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begins = rest.len() - rest.trim_start_matches(' ').len();
        let ends = rest[begins..].find(' ').map_or(rest.len(), |place| begins + place);
        let (word, after) = rest.split_at(ends);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_loses_its_middle() {
        let name = "ranking arch=imagenet-inception-v3 seed=0 test shard 12/750";
        assert_eq!(shortened(name, 30), "ranking arch=i... shard 12/750");
        assert_eq!(shortened(name, name.len()), name);
        // A character of two columns counts as two.
        assert_eq!(shortened("画像画像画像画像", 9), "画...像");
        assert_eq!([0, 2, 3, 4].map(|width| shortened("abcdef", width)), ["", "..", "...", "a..."]);
    }

    #[test]
    fn a_long_line_is_broken_between_words() {
        let text = "failed  full seed=0: cannot read /a/path/that/is/longer/than/a/line of the file";
        let expected = "failed  full seed=0:\n        cannot read\n        /a/path/that/is/longer/than/a/line\n        of the file";
        assert_eq!(folded(text, Some(24), 8), expected);
        assert_eq!(folded(text, None, 8), text);
        assert_eq!(
            folded("  holds          it is so\n\n  fails", Some(20), 17),
            "  holds          it\n                 is\n                 so\n\n  fails"
        );
    }
}
