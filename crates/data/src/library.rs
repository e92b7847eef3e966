//! The data sets of a run, each split decoded at most once where it can be kept.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use overinterp_artifacts::ImageSet;
use overinterp_spec::{Corrupted, DataKind, DataSource, Limit, Split};

use super::content::Content;
use super::index::{Entry, Index};
use super::{DataError, Dataset, Loaded};

/// Hands out the splits of data sets, and what they are known by. Shared by all threads of a run.
#[derive(Debug, Default)]
pub struct Library {
    index: Option<Index>,
    shelves: Mutex<Vec<Arc<Shelf>>>,
}

/// One split of one data set, whatever an experiment calls it.
#[derive(Debug)]
struct Shelf {
    kind: DataKind,
    root: Option<PathBuf>,
    limit: Limit,
    corrupted: Option<Corrupted>,
    split: Split,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    known: Option<Entry>,
    images: Option<Kept>,
}

/// Images that were read.
#[derive(Debug)]
enum Kept {
    /// For as long as the library lives.
    Always(Arc<ImageSet>),
    /// For as long as a step uses them: those of every corruption and severity together are too many to be held.
    InUse(Weak<ImageSet>),
}

impl Kept {
    fn new(source: &DataSource, images: &Arc<ImageSet>) -> Self {
        match source.corrupted {
            Some(Corrupted::One { .. }) => Self::InUse(Arc::downgrade(images)),
            Some(Corrupted::Sample { .. }) | None => Self::Always(Arc::clone(images)),
        }
    }

    fn get(&self) -> Option<Arc<ImageSet>> {
        match self {
            Self::Always(images) => Some(Arc::clone(images)),
            Self::InUse(images) => images.upgrade(),
        }
    }
}

impl Library {
    /// A library that remembers contents in the file `index` from one run to the next, or not at all.
    #[must_use]
    pub fn new(index: Option<PathBuf>) -> Self {
        Self { index: index.map(Index::new), shelves: Mutex::default() }
    }

    /// What a split is known by: from the index where its files have not changed since they were read, otherwise
    /// from reading them.
    ///
    /// # Errors
    /// When the files are missing ([`DataError::is_missing`]) or cannot be used.
    pub fn content(&self, source: &DataSource, split: Split) -> Result<Content, DataError> {
        let shelf = self.shelf(source, split);
        let mut held = lock(&shelf.held);
        self.known(source, split, &mut held).map(|known| known.content)
    }

    /// The file of each image of a split, in the images' order, where every image has a file of its own; `None` where
    /// many share one.
    ///
    /// # Errors
    /// As [`Library::content`].
    pub fn image_files(&self, source: &DataSource, split: Split) -> Result<Option<Vec<PathBuf>>, DataError> {
        if source.kind.is_published() {
            return Ok(None);
        }
        let shelf = self.shelf(source, split);
        let mut held = lock(&shelf.held);
        let known = self.known(source, split, &mut held)?;
        Dataset::locate(source)?.image_files(split, &known.skipped)
    }

    /// What a split is known by and which of its files are left out; also noted in `held`, which is the split's.
    fn known(&self, source: &DataSource, split: Split, held: &mut Held) -> Result<Entry, DataError> {
        if let Some(known) = &held.known {
            return Ok(known.clone());
        }
        let dataset = Dataset::locate(source)?;
        match self.remembered(&dataset, split)? {
            Some(known) => {
                held.known = Some(known.clone());
                Ok(known)
            }
            None => self.load(source, split, &dataset, held).map(|(_, known)| known),
        }
    }

    /// The images of a split, decoded when first asked for and then kept; those of one corruption and severity while
    /// they are in use.
    ///
    /// # Errors
    /// As [`Library::content`]; also when the files are no longer what `content` said they are.
    pub fn images(&self, source: &DataSource, split: Split) -> Result<Arc<ImageSet>, DataError> {
        let shelf = self.shelf(source, split);
        let mut held = lock(&shelf.held);
        if let Some(images) = held.images.as_ref().and_then(Kept::get) {
            return Ok(images);
        }
        let dataset = Dataset::locate(source)?;
        if dataset.is_read_on_demand()
            && let Some(known) = self.remembered(&dataset, split)?
            && held.known.as_ref().is_none_or(|planned| planned.content == known.content)
            && let Some(images) = dataset.open(split, &known)?
        {
            let images = Arc::new(images);
            *held = Held { known: Some(known), images: Some(Kept::new(source, &images)) };
            return Ok(images);
        }
        self.load(source, split, &dataset, &mut held).map(|(images, _)| images)
    }

    /// What the index knows of a split whose files have not changed since they were read.
    fn remembered(&self, dataset: &Dataset, split: Split) -> Result<Option<Entry>, DataError> {
        let known = match (&self.index, dataset.fingerprint(split)?) {
            (Some(index), Some(fingerprint)) => index.get(&fingerprint),
            _ => None,
        };
        // Files that are passed over have no part in the fingerprint.
        Ok(known.map(|known| Entry { content: Content { passed: dataset.passed(split), ..known.content }, ..known }))
    }

    fn load(
        &self,
        source: &DataSource,
        split: Split,
        dataset: &Dataset,
        held: &mut Held,
    ) -> Result<(Arc<ImageSet>, Entry), DataError> {
        let before = dataset.fingerprint(split)?;
        // Only a test split asks for its training split, so this takes no lock twice.
        let loaded = dataset.load_given(split, || self.images(source, Split::Train))?;
        let Loaded { images, content, skipped } = loaded;
        let known = Entry { content, skipped };
        // A fingerprint that changed while the files were read says nothing about what was read.
        if let (Some(index), Some(fingerprint)) = (&self.index, before)
            && dataset.fingerprint(split)? == before
            && let Err(error) = index.put(&fingerprint, &known)
        {
            let name = &source.name;
            match error.kind() {
                // Who may only read a cache can do nothing about it.
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    tracing::debug!("cannot remember what {name} contains: {error}");
                }
                _ => tracing::warn!("cannot remember what {name} contains: {error}"),
            }
        }
        if held.known.as_ref().is_some_and(|planned| planned.content.hash != known.content.hash) {
            return Err(DataError::Changed { name: source.name.clone(), split });
        }
        let images = Arc::new(images);
        *held = Held { known: Some(known.clone()), images: Some(Kept::new(source, &images)) };
        Ok((images, known))
    }

    fn shelf(&self, source: &DataSource, split: Split) -> Arc<Shelf> {
        let mut shelves = lock(&self.shelves);
        let same = |shelf: &&Arc<Shelf>| {
            shelf.kind == source.kind
                && shelf.root == source.root
                && shelf.limit == source.limit
                && shelf.corrupted == source.corrupted
                && shelf.split == split
        };
        if let Some(shelf) = shelves.iter().find(same) {
            return Arc::clone(shelf);
        }
        let (kind, root, limit, corrupted) = (source.kind, source.root.clone(), source.limit, source.corrupted);
        let shelf = Arc::new(Shelf { kind, root, limit, corrupted, split, held: Mutex::default() });
        shelves.push(Arc::clone(&shelf));
        shelf
    }
}

/// A lock whose holder panicked still guards whole values: they are replaced in one assignment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
