//! What all pictures share: the element around them, numbers, text and pixels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};

use super::super::render::in_a_line;
use super::palette::light_rules;
use super::{DrawnFigure, Picture};

/// Mean width of a letter of the 12 px type that figures are labelled with.
pub(super) const LETTER: f64 = 7.0;
/// The same of its bold letters.
pub(super) const BOLD_LETTER: f64 = 7.5;

/// The picture in a page.
pub(super) fn inline(figure: &DrawnFigure, picture: &Picture) -> Markup {
    around(figure, picture, &html! {})
}

/// The picture as a file: white paper below, its style sheet inside.
pub(super) fn file(figure: &DrawnFigure, picture: &Picture) -> Markup {
    let paper = html! {
        style { (PreEscaped(light_rules())) }
        rect width="100%" height="100%" fill="#ffffff" {}
    };
    html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        (around(figure, picture, &paper))
        (PreEscaped("\n"))
    }
}

fn around(figure: &DrawnFigure, picture: &Picture, before: &Markup) -> Markup {
    let (width, height) = (number(picture.width), number(picture.height));
    let (title, description) = (format!("title-{}", figure.name), format!("about-{}", figure.name));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height)
            role="img" aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (in_a_line(&figure.title)) }
            desc id=(description) { (in_a_line(&figure.description)) }
            (before)
            (picture.content)
        }
    }
}

/// A coordinate, to the hundredth.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A line of text at `(x, y)`, the baseline, with those classes.
pub(super) fn text(x: f64, y: f64, class: &str, content: &str) -> Markup {
    html! { text x=(number(x)) y=(number(y)) class=(format!("f-text {class}")) { (in_a_line(content)) } }
}

/// A line of text of at most `letters` letters; what is longer is cut, and shown whole where the pointer rests.
pub(super) fn short_text(x: f64, y: f64, class: &str, content: &str, letters: usize) -> Markup {
    if content.chars().count() <= letters {
        return text(x, y, class, content);
    }
    html! {
        text x=(number(x)) y=(number(y)) class=(format!("f-text {class}")) {
            title { (in_a_line(content)) }
            (shortened(content, letters))
        }
    }
}

/// The first `letters` letters, the last of them an ellipsis where something is cut.
pub(super) fn shortened(content: &str, letters: usize) -> String {
    if content.chars().count() <= letters {
        return content.to_owned();
    }
    let kept: String = in_a_line(content).chars().take(letters.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// A straight line.
pub(super) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Markup {
    html! {
        line x1=(number(from.0)) y1=(number(from.1)) x2=(number(to.0)) y2=(number(to.1)) class=(class) {}
    }
}

/// A PNG file as a picture in the picture, its pixels with hard edges.
pub(super) fn pixels(png: &[u8], x: f64, y: f64, width: f64, height: f64, alt: &str) -> Markup {
    let source = format!("data:image/png;base64,{}", STANDARD.encode(png));
    html! {
        image x=(number(x)) y=(number(y)) width=(number(width)) height=(number(height)) class="f-pixels"
            image-rendering="optimizeSpeed" preserveAspectRatio="none" href=(source) {
            title { (in_a_line(alt)) }
        }
    }
}

/// `text` in lines of at most `letters` letters, broken at spaces and after slashes where there are some.
pub(super) fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in in_a_line(text).split_inclusive([' ', '/']).filter(|word| *word != " ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.trim_end().chars().count() <= letters => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, 0.126, -0.001, 1_234.5].map(number), ["1", "0.13", "0", "1234.5"].map(str::to_owned));
    }

    #[test]
    fn text_is_escaped_wrapped_and_cut() {
        // XML knows no other control characters, and a file with one cannot be opened.
        assert!(text(0.0, 0.0, "", "a\u{7}b\nc").into_string().contains(">a b c<"));
        assert!(text(0.0, 0.0, "", "a < b & c").into_string().contains("a &lt; b &amp; c"));
        assert_eq!(wrapped("one two three fourteenletters", 8), ["one two", "three", "fourteenletters"]);
        assert_eq!(wrapped("T-shirt/top", 8), ["T-shirt/", "top"]);
        assert_eq!((shortened("airplane", 8), shortened("automobile", 6)), ("airplane".into(), "autom\u{2026}".into()));
        let cut = short_text(0.0, 0.0, "", "automobile", 6).into_string();
        assert!(cut.contains("<title>automobile</title>autom\u{2026}"), "{cut}");
    }
}
