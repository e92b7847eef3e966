//! Text that a terminal takes for text: control characters, which names of files and folders may hold, are written out.

use std::borrow::Cow;
use std::fmt::Write;

/// The text without control characters: each but line breaks and tabs is written as `\u001b` is, which JSON reads back.
/// So are those that change the direction of writing.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    filtered(text, Colours::None)
}

/// Whether sequences that choose a colour or weight of letters stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// No sequence stays.
    None,
    /// Those that choose a colour or weight stay.
    Kept,
}

/// The text as [`printable`] gives it, but for colours that stay.
pub(crate) fn filtered(text: &str, colours: Colours) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = match colours {
            Colours::Kept => colour(rest).unwrap_or(letter.len_utf8()),
            Colours::None => letter.len_utf8(),
        };
        let (now, later) = rest.split_at(taken);
        if taken == letter.len_utf8() && is_control(letter) {
            let _ = write!(clean, "\\u{:04x}", u32::from(letter));
        } else {
            clean.push_str(now);
        }
        rest = later;
    }
    Cow::Owned(clean)
}

fn is_control(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

/// The length of the sequence for a colour with which `text` begins.
fn colour(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    inside[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out_and_lines_stay() {
        assert_eq!(printable("two\nlines\tand é"), "two\nlines\tand é");
        assert_eq!(printable("\u{1b}[2Jhost\r\u{7}\u{7f}\u{9b}31m"), "\\u001b[2Jhost\\u000d\\u0007\\u007f\\u009b31m");
        assert_eq!(printable("a\u{202e}b"), "a\\u202eb");
    }

    #[test]
    fn what_is_written_out_in_json_reads_back() {
        let value = serde_json::json!({"host": "\u{1b}\u{9b}\u{7f}\u{202e}"});
        let printed = printable(&value.to_string()).into_owned();
        assert!(!printed.chars().any(is_control), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn colours_of_our_own_stay_and_nothing_else_does() {
        let text = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}";
        let kept = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m \\u001b[2J\\u001b]0;title\\u0007";
        assert_eq!(filtered(text, Colours::Kept), kept);
        assert_eq!(filtered("\u{1b}[1", Colours::Kept), "\\u001b[1");
    }
}
