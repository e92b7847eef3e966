//! `extends`: a file builds on others, whose tables it changes key by key.

use std::path::{Path, PathBuf};

use overinterp_foreign::bounded;

use super::document::{self, Many, Node, Value};
use super::problem::{Place, Problem, Sink, Source};
use super::read::Item;

/// The key at the top of a file that names what it builds on.
pub(super) const EXTENDS: &str = "extends";

/// What an experiment file may have; the longest that come with the program have a hundredth of it.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// An experiment file and all that it builds on, read once each.
pub(super) struct Files<'a> {
    files: Vec<File>,
    sink: &'a Sink,
}

struct File {
    /// Tells two spellings of one path to be one file.
    identity: PathBuf,
    path: PathBuf,
    /// Its folder as the first file would name it.
    folder: PathBuf,
    text: String,
    /// The axes as the file itself writes them.
    sweep: Option<Node>,
    /// With its bases below it, once that is known.
    merged: Option<Node>,
}

/// One file extends another.
struct Link {
    from: usize,
    place: Place,
}

impl<'a> Files<'a> {
    /// Starts with the experiment itself, whose text is known.
    pub fn new(path: &Path, text: &str, sink: &'a Sink) -> Self {
        Self { files: vec![File::new(path.to_owned(), PathBuf::new(), text.to_owned())], sink }
    }

    /// The experiment laid over what it extends. `None` if something of that cannot be read, which is reported.
    pub fn merge(&mut self) -> Option<Node> {
        self.merged(0, &mut Vec::new())
    }

    /// The texts, in the order of the sources' numbers.
    pub fn sources(&self) -> Vec<Source> {
        let source = |file: &File| Source { name: file.path.display().to_string(), text: file.text.clone() };
        self.files.iter().map(source).collect()
    }

    /// The folder of each source as the first file would name it: empty for its own.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.folder.clone()).collect()
    }

    /// The axes as each file writes them, whatever others lay over it.
    pub fn sweeps(&self) -> Vec<Node> {
        self.files.iter().filter_map(|file| file.sweep.clone()).collect()
    }

    fn merged(&mut self, index: usize, trail: &mut Vec<Link>) -> Option<Node> {
        if let Some(merged) = &self.files[index].merged {
            return Some(merged.clone());
        }
        let mut own = document::parse(&self.files[index].text, index, self.sink)?;
        self.files[index].sweep = own.get("sweep").cloned();
        let under = self.bases(index, &mut own, trail)?;
        let merged = lay(own, under);
        self.files[index].merged = Some(merged.clone());
        Some(merged)
    }

    /// What a file extends, later ones over earlier ones, or an empty table; takes the key that says so out of it.
    fn bases(&mut self, index: usize, own: &mut Node, trail: &mut Vec<Link>) -> Option<Node> {
        let mut under = Node::new(own.place, Value::Table(Many::default()));
        let Value::Table(entries) = &mut own.value else { return Some(under) };
        let Some(at) = entries.iter().position(|entry| entry.key == EXTENDS) else { return Some(under) };
        let node = entries.remove(at).node;
        let item = Item::new(&node, EXTENDS, self.sink);
        let items = match &node.value {
            Value::List(_) => item.full_list()?,
            _ => vec![item],
        };
        let mut seen = Vec::new();
        let mut sound = true;
        for item in items {
            let Some(base) = item.words().and_then(|name| self.find(index, &name, &item)) else {
                sound = false;
                continue;
            };
            if seen.contains(&base) {
                sound = false;
                item.fault::<()>("is there twice");
                continue;
            }
            seen.push(base);
            trail.push(Link { from: index, place: item.node.place });
            let merged = if trail.iter().any(|link| link.from == base) {
                self.circle(base, trail);
                None
            } else {
                self.merged(base, trail)
            };
            trail.pop();
            match merged {
                Some(merged) => under = lay(merged, under),
                None => sound = false,
            }
        }
        sound.then_some(under)
    }

    /// The file that `name` means in file `from`, read if it was not before.
    fn find(&mut self, from: usize, name: &str, item: &Item<'_>) -> Option<usize> {
        let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        let path = parent(&self.files[from].path).join(name);
        let folder = parent(&self.files[from].folder.join(name));
        let identity = identity(&path);
        if let Some(known) = self.files.iter().position(|file| file.identity == identity) {
            return Some(known);
        }
        match bounded::read_text(&path, MOST_BYTES) {
            Ok(text) => {
                self.files.push(File::new(path, folder, text));
                Some(self.files.len() - 1)
            }
            Err(error) => {
                let problem = item.problem(format!("names {}, which cannot be read: {error}", path.display()));
                self.sink.report(problem.help("write the file's path, relative to the file in which this stands"));
                None
            }
        }
    }

    fn circle(&self, base: usize, trail: &[Link]) {
        let start = trail.iter().position(|link| link.from == base).unwrap_or(0);
        let name = |index: usize| format!("`{}`", self.files[index].path.display());
        let mut names: Vec<String> = trail[start..].iter().map(|link| name(link.from)).collect();
        names.push(name(base));
        let Some((last, others)) = trail[start..].split_last() else { return };
        let fault = format!("files extend each other in a circle: {}", names.join(" -> "));
        let mut problem = Problem::at(last.place, fault);
        for link in others {
            problem = problem.note(link.place, format!("{} extends this", name(link.from)));
        }
        self.sink.report(problem.help("remove one of these"));
    }
}

impl File {
    fn new(path: PathBuf, folder: PathBuf, text: String) -> Self {
        Self { identity: identity(&path), path, folder, text, sweep: None, merged: None }
    }
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Lays `over` over `under`: tables key by key, everything else whole. A table whose `kind` is another takes no keys
/// from below, for these belong to that other kind.
fn lay(mut over: Node, under: Node) -> Node {
    let other_kind = match (over.get("kind").and_then(Node::text), under.get("kind").and_then(Node::text)) {
        (Some(own), Some(below)) => own != below,
        _ => false,
    };
    let Value::Table(below) = under.value else { return over };
    let Value::Table(own) = &mut over.value else { return over };
    if other_kind {
        return over;
    }
    let mut merged = below;
    for entry in own.drain(..) {
        match merged.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => {
                known.place = entry.place;
                let faulty = Node::new(entry.place, Value::Faulty);
                known.node = lay(entry.node, std::mem::replace(&mut known.node, faulty));
            }
            None => merged.push(entry),
        }
    }
    *own = merged;
    over
}
