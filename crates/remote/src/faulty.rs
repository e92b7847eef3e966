//! An object store that misbehaves as told, over one in memory or in a folder.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Every so many requests one fails before anything is done; 0 for none.
    pub every: AtomicUsize,
    /// Every so many writes the answer is lost after it was done; 0 for none.
    pub lost_answers: AtomicUsize,
    /// A transfer breaks off behind so many bytes; 0 for none.
    pub breaks_after: AtomicUsize,
    /// Nothing answers.
    pub gone: AtomicBool,
    /// Nothing answers any more after so many further requests; 0 for never.
    pub gone_after: AtomicUsize,
    /// How long each request takes, in milliseconds.
    pub slow: AtomicUsize,
    /// Requests so far.
    pub requests: AtomicUsize,
    writes: AtomicUsize,
    /// Bytes that were read and written.
    pub read: Arc<AtomicUsize>,
    pub written: AtomicUsize,
}

/// The store with its faults.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub inner: Arc<dyn ObjectStore>,
    pub faults: Arc<Faults>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty store")
    }
}

fn failure(what: &str) -> Error {
    Error::Generic { store: "faulty", source: what.to_owned().into() }
}

impl Faults {
    async fn request(&self) -> Result<()> {
        let count = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(Duration::from_millis(self.slow.load(Ordering::SeqCst) as u64)).await;
        if self.gone_after.load(Ordering::SeqCst) > 0 && self.gone_after.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.gone.store(true, Ordering::SeqCst);
        }
        if self.gone.load(Ordering::SeqCst) {
            return Err(failure("no route to host"));
        }
        let every = self.every.load(Ordering::SeqCst);
        if every > 0 && count.is_multiple_of(every) { Err(failure("503")) } else { Ok(()) }
    }

    fn answer<T>(&self, done: T) -> Result<T> {
        let count = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let every = self.lost_answers.load(Ordering::SeqCst);
        if every > 0 && count.is_multiple_of(every) { Err(failure("connection reset")) } else { Ok(done) }
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.faults.request().await?;
        self.faults.written.fetch_add(payload.content_length(), Ordering::SeqCst);
        let done = self.inner.put_opts(location, payload, options).await?;
        self.faults.answer(done)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.faults.request().await?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner, faults: Arc::clone(&self.faults) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.request().await?;
        let found = self.inner.get_opts(location, options).await?;
        let (meta, range, attributes, extensions) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone(), found.extensions.clone());
        let after = self.faults.breaks_after.load(Ordering::SeqCst);
        let read = Arc::clone(&self.faults.read);
        let mut left = if after == 0 { usize::MAX } else { after };
        let bytes = found.into_stream().flat_map(|bytes| {
            // In pieces of a kilobyte, as from a network.
            let pieces: Vec<_> = match bytes {
                Ok(bytes) => {
                    let ranges = (0..bytes.len()).step_by(1024).map(|at| at..(at + 1024).min(bytes.len()));
                    ranges.map(|range: Range<usize>| Ok(bytes.slice(range))).collect()
                }
                Err(error) => vec![Err(error)],
            };
            futures_util::stream::iter(pieces)
        });
        let bytes = bytes.map(move |piece| {
            let piece = piece?;
            if piece.len() > left {
                return Err(failure("connection reset"));
            }
            left -= piece.len();
            read.fetch_add(piece.len(), Ordering::SeqCst);
            Ok(piece)
        });
        let payload = GetResultPayload::Stream(bytes.boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, faults, prefix) = (Arc::clone(&self.inner), Arc::clone(&self.faults), prefix.cloned());
        let first = async move {
            match faults.request().await {
                Ok(()) => inner.list(prefix.as_ref()),
                Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
            }
        };
        futures_util::stream::once(first).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.faults.request().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.request().await?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.faults.written.fetch_add(data.content_length(), Ordering::SeqCst);
        let (part, faults) = (self.inner.put_part(data), Arc::clone(&self.faults));
        Box::pin(async move {
            faults.request().await?;
            part.await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.request().await?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
