//! What is wrong with an experiment file, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A stretch of bytes of one of the [`Source`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// 0 for the file, then one for each file that it extends, then one for each `--set`.
    pub source: usize,
    /// The first byte, counted from 0.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A text that configuration comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// How messages call it: a path, or `--set`.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// One thing that is wrong with an experiment file or an override, and what to do about it.
#[derive(Clone, Debug)]
pub struct Problem {
    subject: Option<String>,
    fault: String,
    place: Option<Place>,
    notes: Vec<(Place, String)>,
    help: Option<String>,
    /// Keys that a table lacks, each with a value as one would write it.
    lacks: Vec<(String, String)>,
}

impl Problem {
    /// A fault of the text at `place`.
    pub(super) fn at(place: Place, fault: impl Into<String>) -> Self {
        Self {
            subject: None,
            fault: fault.into(),
            place: Some(place),
            notes: Vec::new(),
            help: None,
            lacks: Vec::new(),
        }
    }

    /// A fault of the value at `subject`, such as `stage.full.recipe.lr`.
    ///
    /// What two subjects share (a value of an axis, a recipe copied by `like`) is reported once.
    pub(super) fn of(subject: impl Into<String>, place: Place, fault: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..Self::at(place, fault) }
    }

    /// A fault of a file as a whole.
    pub(super) fn of_file(fault: impl Into<String>) -> Self {
        Self { subject: None, fault: fault.into(), place: None, notes: Vec::new(), help: None, lacks: Vec::new() }
    }

    /// A key that the table at `subject` lacks, with a value as one would write it. What one table lacks is one problem.
    pub(super) fn lack(subject: impl Into<String>, place: Place, key: &str, example: &str) -> Self {
        let mut problem = Self { lacks: vec![(key.to_owned(), example.to_owned())], ..Self::of(subject, place, "") };
        problem.say_lacks();
        problem
    }

    /// Adds what `other` lacks, if both are of one table.
    fn join_lacks(&mut self, other: &Self) -> bool {
        let joins = !self.lacks.is_empty()
            && !other.lacks.is_empty()
            && (self.place, &self.subject) == (other.place, &other.subject);
        if joins {
            let new = other.lacks.iter().filter(|lack| !self.lacks.contains(lack)).cloned().collect::<Vec<_>>();
            self.lacks.extend(new);
            self.say_lacks();
        }
        joins
    }

    fn say_lacks(&mut self) {
        let keys: Vec<String> = self.lacks.iter().map(|(key, _)| format!("`{key}`")).collect();
        let examples: Vec<String> = self.lacks.iter().map(|(key, example)| format!("{key} = {example}")).collect();
        let whole = self.subject.as_deref() == Some("");
        self.fault = format!("{}lacks {}", if whole { "the file " } else { "" }, keys.join(", "));
        self.help = Some(match &self.subject {
            // A table in braces takes commas, one with a header lines.
            Some(subject) if subject.matches('.').count() > 1 => format!("add, for example, `{}`", examples.join(", ")),
            _ => format!("add, for example, `{}`", examples.join("`, `")),
        });
    }

    /// Points at another place that has to do with it.
    pub(super) fn note(mut self, place: Place, label: impl Into<String>) -> Self {
        self.notes.push((place, label.into()));
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn same_as(&self, other: &Self) -> bool {
        self.place == other.place && self.fault == other.fault
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.subject {
            Some(subject) if !subject.is_empty() => format!("`{subject}` {}", self.fault),
            _ => self.fault.clone(),
        }
    }

    /// What to do about it, where something can be said.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Collects problems while passes go on.
#[derive(Debug, Default)]
pub(super) struct Sink {
    problems: RefCell<Vec<Problem>>,
}

impl Sink {
    /// Adds a problem, unless it is known already.
    pub fn report(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.iter_mut().any(|known| known.join_lacks(&problem)) {
            return;
        }
        // Each is held against all others: a file of nothing but faults must not take minutes.
        if problems.len() < MOST_KEPT && !problems.iter().any(|known| known.same_as(&problem)) {
            problems.push(problem);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All of them in the order of the text.
    pub fn into_problems(self, sources: Vec<Source>) -> Problems {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.place);
        Problems { sources, problems }
    }
}

/// Everything that is wrong with an experiment file and its overrides; at least one problem.
#[derive(Clone, Debug)]
pub struct Problems {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

/// Whether a rendering carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Characters alone, for files and pipes.
    Plain,
    /// With ANSI escape codes, for terminals that show colours.
    Coloured,
}

/// Problems that are kept at all.
const MOST_KEPT: usize = 1000;
/// Problems that are shown; more are counted.
const MOST_SHOWN: usize = 20;

impl Problems {
    /// A fault of a file that could not be read at all.
    pub(super) fn unreadable(problem: Problem) -> Self {
        Self { sources: Vec::new(), problems: vec![problem] }
    }

    /// The problems in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// How many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(&self) -> usize {
        self.problems.len()
    }

    /// The name of the text a problem is in (the file's path, or `--set`) and its line there, counted from 1.
    #[must_use]
    pub fn location(&self, problem: &Problem) -> Option<(&str, usize)> {
        let place = problem.place?;
        let source = self.sources.get(place.source)?;
        let before = source.text.get(..place.start).unwrap_or(&source.text);
        Some((&source.name, before.matches('\n').count() + 1))
    }

    /// Each problem with its line, the offending text underlined, and what to do; then how many there are.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Coloured => Renderer::styled(),
        };
        let mut out = String::new();
        for problem in self.problems.iter().take(MOST_SHOWN) {
            out.push_str(&renderer.render(&self.groups(problem)));
            out.push_str("\n\n");
        }
        let count = match self.problems.len() {
            1 => "1 problem".to_owned(),
            count if count > MOST_SHOWN => {
                format!("{count} problems, of which these are the first {MOST_SHOWN}, and {} more", count - MOST_SHOWN)
            }
            count => format!("{count} problems"),
        };
        out + &count + "; nothing was run"
    }

    fn groups<'a>(&'a self, problem: &'a Problem) -> Vec<Group<'a>> {
        let mut group = Group::with_title(Level::ERROR.primary_title(problem.message()));
        if let Some(place) = problem.place {
            let mut snippet = self.snippet(place, AnnotationKind::Primary, None);
            let mut elsewhere = Vec::new();
            for (note, label) in &problem.notes {
                if note.source == place.source {
                    snippet = snippet.annotation(AnnotationKind::Context.span(self.span(*note)).label(label.as_str()));
                } else {
                    elsewhere.push(self.snippet(*note, AnnotationKind::Context, Some(label)));
                }
            }
            group = group.element(snippet).elements(elsewhere);
        }
        let mut groups = vec![group];
        if let Some(help) = &problem.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        groups
    }

    fn snippet<'a>(
        &'a self,
        place: Place,
        kind: AnnotationKind,
        label: Option<&'a String>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let source = &self.sources[place.source];
        let annotation = kind.span(self.span(place)).label(label.map(String::as_str));
        Snippet::source(source.text.as_str()).path(source.name.as_str()).annotation(annotation)
    }

    fn span(&self, place: Place) -> std::ops::Range<usize> {
        let length = self.sources[place.source].text.len();
        place.start.min(length)..place.end.min(length)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

impl std::error::Error for Problems {}
