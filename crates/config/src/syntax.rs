//! Errors of syntax: the first of each statement, so that what follows from one is not reported again.

use toml::de::DeTable;

use super::problem::{Place, Problem, Sink};

/// More than so many statements at fault are no slips.
const MOST: usize = 50;

/// Parses `text`, which is source number `source`, and hands the table to `read`; reports what is no TOML.
///
/// A bracket or a quote that is not closed makes the parser stumble over all that follows. So the statement of the first
/// error is taken out, the rest is read again, and what is still wrong is an error of its own.
pub(super) fn parse<T>(text: &str, source: usize, sink: &Sink, read: impl FnOnce(&DeTable<'_>) -> T) -> Option<T> {
    if let Some((start, depth)) = too_deep(text) {
        let place = Place { source, start, end: start + 1 };
        let fault = format!("lists and tables stand in each other {depth} deep here, which no experiment needs");
        sink.report(Problem::at(place, fault).help("at most 64 brackets may be open at a time"));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(read(table.get_ref()));
    }
    let mut rest = text.to_owned();
    let starts = statements(text);
    for _ in 0..MOST {
        let (_, errors) = DeTable::parse_recoverable(&rest);
        let spans = errors.iter().map(|error| (error.span().unwrap_or(rest.len()..rest.len()), error.message()));
        let Some((span, message)) = spans.min_by_key(|(span, _)| span.start) else { break };
        let open = unclosed(&rest, &starts).filter(|open| open.start <= span.start);
        let at = open.as_ref().map_or(span.start, |open| open.start);
        if let Some(open) = &open {
            report_open(text, open, source, sink);
        } else {
            let place = Place { source, start: span.start, end: span.end };
            let problem = Problem::at(place, format!("not TOML: {message}"));
            sink.report(match advice(line_at(text, span.start)) {
                Some(help) => problem.help(help),
                None => problem,
            });
        }
        if !take_out(&mut rest, &starts, at, open.map_or(at, |open| open.next)) {
            break;
        }
    }
    None
}

/// Replaces the statement around `at`, and all up to `until`, by spaces, so that all others keep their places. A header that is at fault takes
/// what stands below it along, which would else belong to another table.
fn take_out(rest: &mut String, starts: &[usize], at: usize, until: usize) -> bool {
    let first = starts.partition_point(|&start| start <= at).saturating_sub(1);
    let Some(&start) = starts.get(first) else { return false };
    let is_header = rest[start..].starts_with('[');
    let mut later = starts[first + 1..].iter().copied();
    let end = later.find(|&next| !is_header || rest[next..].starts_with('[')).unwrap_or(rest.len()).max(until);
    if rest[start..end].trim().is_empty() {
        return false;
    }
    // Byte by byte: a place is a number of bytes.
    let blank: String = rest[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    rest.replace_range(start..end, &blank);
    true
}

/// Where statements begin: at lines that are not indented and look like a key or a header.
fn statements(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let first = line.chars().next().unwrap_or(' ');
        if at > 0 && (first.is_alphanumeric() || matches!(first, '[' | '_' | '"' | '\'')) {
            starts.push(at);
        }
        at += line.len();
    }
    starts
}

/// Something that is opened and not closed.
struct Open {
    start: usize,
    sign: &'static str,
    /// Where the next statement begins; the end of the text if there is none.
    next: usize,
}

fn report_open(text: &str, open: &Open, source: usize, sink: &Sink) {
    let closing = match open.sign {
        "[" => "]",
        "{" => "}",
        quotes => quotes,
    };
    let place = Place { source, start: open.start, end: open.start + open.sign.len() };
    let problem = Problem::at(place, format!("not TOML: this `{}` is not closed", open.sign));
    let line_end = text[open.next..].find('\n').map_or(text.len(), |end| open.next + end);
    let next = Place { source, start: open.next, end: line_end };
    let problem = if open.next < text.len() { problem.note(next, "what comes next") } else { problem };
    sink.report(problem.help(format!("write `{closing}` where it ends")));
}

/// The first bracket or multi-line string that is still open where a line looks like the next statement, or at the end.
fn unclosed(text: &str, starts: &[usize]) -> Option<Open> {
    let bytes = text.as_bytes();
    let mut stack: Vec<(usize, &'static str)> = Vec::new();
    let mut quote: Option<(usize, &'static str)> = None;
    let mut suspect = None;
    let mut at = 0;
    while at < bytes.len() {
        let line_starts = at == 0 || bytes[at - 1] == b'\n';
        if line_starts && starts.binary_search(&at).is_ok() && looks_like_a_statement(line_at(text, at)) {
            match (stack.first(), quote) {
                (Some(&(start, sign)), None) => return Some(Open { start, sign, next: at }),
                // A text may well have such lines; it is at fault only if nothing closes it.
                (_, Some((start, sign))) if suspect.is_none() => suspect = Some(Open { start, sign, next: at }),
                _ => {}
            }
        }
        let rest = &text.as_bytes()[at..];
        match quote {
            Some((_, sign)) => {
                if sign.starts_with('"') && rest[0] == b'\\' {
                    at += 2;
                    continue;
                }
                if rest.starts_with(sign.as_bytes()) {
                    quote = None;
                    at += sign.len();
                    continue;
                }
                // A plain string ends with its line; that it is not closed is the parser's to say.
                if rest[0] == b'\n' && sign.len() == 1 {
                    quote = None;
                }
            }
            None => match rest[0] {
                b'#' => {
                    at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                    continue;
                }
                b'"' | b'\'' => {
                    let signs = ["\"\"\"", "'''", "\"", "'"];
                    let sign = signs.into_iter().find(|sign| rest.starts_with(sign.as_bytes()));
                    quote = sign.map(|sign| (at, sign));
                    at += sign.map_or(1, str::len);
                    continue;
                }
                b'[' => stack.push((at, "[")),
                b'{' => stack.push((at, "{")),
                b']' | b'}' => {
                    stack.pop();
                }
                _ => {}
            },
        }
        at += 1;
    }
    let end = |(start, sign)| Open { start, sign, next: text.len() };
    match quote.filter(|(_, sign)| sign.len() == 3) {
        Some(quote) => suspect.or_else(|| Some(end(stack.first().copied().unwrap_or(quote)))),
        None => stack.first().copied().map(end),
    }
}

/// Whether a line can only be `key = value` or `[header]`.
fn looks_like_a_statement(line: &str) -> bool {
    let name = |text: &str| {
        !text.trim().is_empty()
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '"' | '\'' | ' '))
    };
    if let Some(header) = line.strip_prefix('[') {
        let inner = header.strip_prefix('[').unwrap_or(header);
        return inner.split_once(']').is_some_and(|(inner, _)| {
            name(inner) && inner.starts_with(char::is_alphabetic) && !["true", "false", "inf", "nan"].contains(&inner)
        });
    }
    line.split_once('=').is_some_and(|(key, _)| name(key))
}

/// What may be meant by a line that is no TOML.
fn advice(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or(line).trim();
    if let Some((key, value)) = line.split_once('=') {
        let value = value.trim();
        let is_word = value.starts_with(char::is_alphabetic) && value.chars().all(|c| c.is_alphanumeric() || c == '-');
        return match value {
            "" => Some(format!("write a value after `{} =`", key.trim())),
            "True" | "False" => Some(format!("write `{}`", value.to_lowercase())),
            _ if is_word => Some(format!("names stand in quotes: `{} = \"{value}\"`", key.trim())),
            _ => None,
        };
    }
    if line.starts_with('[') {
        return None;
    }
    let by_colon = line.split_once(':');
    let (key, value) = by_colon.or_else(|| line.split_once(char::is_whitespace))?;
    Some(format!("write `{} = {}`", key.trim(), value.trim()))
}

fn line_at(text: &str, at: usize) -> &str {
    let at = at.min(text.len());
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    &text[start..end]
}

/// The place at which more brackets are open than the parser and all that reads after it should recurse into.
fn too_deep(text: &str) -> Option<(usize, usize)> {
    const DEEPEST: usize = 64;
    let mut depth = 0_usize;
    let mut found = None;
    let mut quoted: Option<u8> = None;
    let mut escaped = false;
    let mut dots = 0;
    for (at, byte) in text.bytes().enumerate() {
        match (quoted, byte) {
            // A line of its own, so that one stray quote hides no more than that.
            (_, b'\n') => (quoted, escaped, dots) = (None, false, 0),
            (Some(b'"'), b'\\') => escaped = !escaped,
            (Some(quote), byte) if byte == quote && !escaped && quote != b'#' => quoted = None,
            (Some(_), _) => escaped = false,
            (None, b'"' | b'\'') => quoted = Some(byte),
            (None, b'#') => quoted = Some(b'#'),
            // `a.a.a` makes tables in tables as brackets do.
            (None, b'.') => {
                dots += 1;
                if dots > DEEPEST {
                    found = found.or(Some((at, dots)));
                }
            }
            (None, b'[' | b'{') => {
                (depth, dots) = (depth + 1, 0);
                if depth > DEEPEST && found.is_none_or(|(_, most)| depth > most) {
                    found = Some((found.map_or(at, |(first, _)| first), depth));
                }
            }
            (None, b']' | b'}') => (depth, dots) = (depth.saturating_sub(1), 0),
            (None, b'=' | b',') => dots = 0,
            (None, _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let sink = Sink::default();
        document::parse(text, 0, &sink);
        let problems = sink.into_problems(Vec::new());
        problems.iter().map(Problem::message).collect()
    }

    /// A file of many statements, of which each kind could be mistaken for what an open one before it holds.
    const FILE: &str = "name = \"x\"\n[sweep]\nseed = [0, 1]\nfraction = [0.1,\n  0.2]\n[stage.a]\nkind = \"train\"\n\
        recipe = { epochs = 1, lr = 0.1 }\ntext = \"\"\"\ntwo\nlines\"\"\"\n[stage.b]\nkind = \"mask\"\nkeep = 0.5\n";

    #[test]
    fn what_follows_from_one_slip_is_not_reported() {
        assert_eq!(said(FILE), [""; 0]);
        let slips = [
            ("seed = [0, 1]", "seed = [0, 1", "`[` is not closed"),
            ("  0.2]", "  0.2", "`[` is not closed"),
            ("[sweep]", "[sweep", "`[` is not closed"),
            ("lr = 0.1 }", "lr = 0.1", "`{` is not closed"),
            ("\"train\"", "\"train", "string"),
            ("name = \"x\"", "name = x\"", ""),
            ("lines\"\"\"", "lines", "`\"\"\"` is not closed"),
            ("keep = 0.5", "keep 0.5", ""),
            ("keep = 0.5", "keep =", ""),
        ];
        for (right, wrong, words) in slips {
            let text = FILE.replacen(right, wrong, 1);
            assert_ne!(text, FILE);
            let said = said(&text);
            assert_eq!(said.len(), 1, "{wrong}: {said:#?}");
            assert!(said[0].contains(words) && said[0].contains("not TOML"), "{wrong}: {said:?}");
        }
    }

    #[test]
    fn slips_that_have_nothing_to_do_with_each_other_are_all_reported() {
        let text = FILE.replacen("[0, 1]", "[0, 1", 1).replacen("keep = 0.5", "keep =", 1);
        assert_eq!(said(&text).len(), 2, "{:#?}", said(&text));
    }

    #[test]
    fn brackets_in_brackets_are_refused_before_anything_recurses() {
        for text in [
            format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000)),
            format!("a = {}1{}", "{ a = ".repeat(10_000), " }".repeat(10_000)),
            format!("a{} = 1", ".a".repeat(10_000)),
            format!("[a{}]", ".a".repeat(10_000)),
        ] {
            let said = said(&text);
            assert!(said.len() == 1 && said[0].contains("deep here"), "{said:?}");
        }
        assert_eq!(said("a = \"[[[[\" # [[[[\nb = [[[1]]]"), [""; 0]);
    }
}
