//! From a URL to an object store. Credentials, endpoints and regions come from the environment.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use std::time::Duration;
use url::Url;

use crate::error::{RemoteError, told};
use crate::scrub::scrubbed;

/// What may be written as a URL.
const FORMS: &str = "write s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER or file:///FOLDER";

/// A connection that is not there after so long is none.
const CONNECT: &str = "3 seconds";
/// A server that says nothing for so long is gone.
const SILENCE: &str = "30 seconds";
/// A request that is not through after so long is begun anew; parts of files are cut so that slow lines manage.
const REQUEST: &str = "120 seconds";

/// An object store and the folder in it.
pub(crate) struct Location {
    pub objects: Arc<dyn ObjectStore>,
    pub root: Path,
    /// The URL as people wrote it, which has no secrets.
    pub name: String,
}

/// How requests that fail for the moment are repeated within one attempt.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(60) }
}

impl Location {
    /// Finds the object store of a URL.
    ///
    /// # Errors
    /// When there is none of that form, or the environment's settings for it cannot be used.
    pub fn of(text: &str) -> Result<Self, RemoteError> {
        let refused = |why: String| RemoteError::Location { url: scrubbed(text), why };
        let url = Url::parse(text).map_err(|error| refused(format!("{error}; {FORMS}")))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            let why = "a URL may not hold credentials, which everybody sees in the list of processes: set them in the \
                       environment, as docs/remote.md says";
            return Err(refused(why.to_owned()));
        }
        // TLS needs a provider of ciphers. Where another was chosen already, it stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bucket = url.host_str().filter(|host| !host.is_empty());
        let root = Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
        let name = text.trim_end_matches('/').to_owned();
        let objects: Result<Arc<dyn ObjectStore>, object_store::Error> = match (url.scheme(), bucket) {
            ("file", None) => {
                let folder = url.to_file_path().map_err(|()| refused(FORMS.to_owned()))?;
                // Only the last folder: a mistyped path is rather told.
                if !folder.is_dir() {
                    std::fs::create_dir(&folder)
                        .map_err(|error| refused(format!("cannot create {}: {error}", folder.display())))?;
                }
                let store = LocalFileSystem::new_with_prefix(&folder).map(|store| store.with_fsync(true));
                return store
                    .map(|store| Self { objects: Arc::new(store), root: Path::default(), name })
                    .map_err(|error| refused(told(&error)));
            }
            ("s3", Some(bucket)) => s3(bucket).map(|store| Arc::new(store) as _),
            ("gs", Some(bucket)) => gcs(bucket).map(|store| Arc::new(store) as _),
            ("az", Some(container)) => azure(container).map(|store| Arc::new(store) as _),
            _ => return Err(refused(FORMS.to_owned())),
        };
        let objects = objects.map_err(|error| refused(format!("{}; {}", told(&error), settings(url.scheme()))))?;
        Ok(Self { objects, root, name })
    }
}

/// The folder that a `file` URL names, where it is not there.
#[must_use]
pub fn absent_folder(text: &str) -> Option<PathBuf> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok().filter(|folder| !folder.is_dir())
}

/// The environment's variables by which a kind of remote is reached.
fn settings(scheme: &str) -> &'static str {
    match scheme {
        "s3" => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT for another server than Amazon's"
        }
        "gs" => "set GOOGLE_SERVICE_ACCOUNT to the file of a service account's key",
        "az" => "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        _ => FORMS,
    }
}

fn s3(bucket: &str) -> object_store::Result<object_store::aws::AmazonS3> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
    for (key, value) in patience() {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|endpoint| is_on_this_machine(&endpoint)) {
        builder = builder.with_allow_http(true);
    }
    builder.build()
}

fn gcs(bucket: &str) -> object_store::Result<object_store::gcp::GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retries());
    for (key, value) in patience() {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    builder.build()
}

fn azure(container: &str) -> object_store::Result<object_store::azure::MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container).with_retry(retries());
    for (key, value) in patience() {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    builder.build()
}

/// How long a server is waited for.
const fn patience() -> [(ClientConfigKey, &'static str); 3] {
    [
        (ClientConfigKey::ConnectTimeout, CONNECT),
        (ClientConfigKey::ReadTimeout, SILENCE),
        (ClientConfigKey::Timeout, REQUEST),
    ]
}

/// Whether an endpoint is one to which nothing can listen on the way.
fn is_on_this_machine(endpoint: &str) -> bool {
    let host = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Location::of(url).map(|location| location.name).unwrap_err().to_string()
    }

    #[test]
    fn a_url_with_credentials_is_refused_without_telling_them() {
        for url in ["s3://AKIA:tops3cret@bucket/x", "az://container/x?sv=1&sig=tops3cret", "s3://bucket/x#tops3cret"] {
            let said = refused(url);
            assert!(said.contains("set them in the environment"), "{said}");
            assert!(!said.contains("tops3cret"), "{said}");
        }
    }

    #[test]
    fn a_url_of_no_known_form_is_refused_with_those_that_are() {
        for url in ["bucket/x", "ftp://host/x", "s3:///x", "file://host/x", "https://host/x"] {
            assert!(refused(url).contains("s3://BUCKET/FOLDER"), "{url}");
        }
    }

    #[test]
    fn a_folder_is_made_where_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a b");
        let url = Url::from_file_path(&folder).unwrap();
        assert_eq!(absent_folder(url.as_str()), Some(folder.clone()));
        let location = Location::of(&format!("{}/", Url::from_file_path(&folder).unwrap())).unwrap();
        assert!(folder.is_dir());
        assert_eq!((absent_folder(url.as_str()), absent_folder("s3://bucket/x")), (None, None));
        assert!(location.name.ends_with("/a%20b"), "{}", location.name);
        let mistyped = Url::from_file_path(dir.path().join("c/d")).unwrap();
        assert!(refused(mistyped.as_str()).contains("cannot create"));
    }
}
