//! What a person wrote, brought into one line for a table, a list or a graph.

/// `text` in one line: a break of the line, a tab or another control character becomes a space, several of them one.
#[must_use]
pub fn in_a_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim().chars() {
        if !character.is_control() {
            line.push(character);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn breaks_and_control_characters_become_a_space() {
        assert_eq!(super::in_a_line("one\r\n\ttwo \u{1b}[31m three\n"), "one two [31m three");
        assert_eq!(super::in_a_line("5 % kept  twice"), "5 % kept  twice");
    }
}
