//! Object stores: S3 and those with its API, or a local directory.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use tokio::runtime::Runtime;

use crate::model::error::{Error, Result};

/// Requests that wait for answers at the same time.
const TOGETHER: usize = 16;
/// The file that a program locks while it writes into a local directory.
const LOCK: &str = "archive.lock";

/// The address of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveUrl {
    /// `s3://BUCKET/PREFIX`
    S3 { bucket: String, prefix: String },
    /// `file:///DIRECTORY`
    Directory(PathBuf),
}

impl FromStr for ArchiveUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::invalid(format!(
                "`{text}` is no address of an archive: give s3://BUCKET/PREFIX or file:///DIRECTORY"
            ))
        };
        if let Some(directory) = text.strip_prefix("file://") {
            return if directory.starts_with('/') { Ok(Self::Directory(directory.into())) } else { Err(unknown()) };
        }
        let place = text.strip_prefix("s3://").ok_or_else(unknown)?;
        if place.contains(['@', '?', '#']) {
            let why =
                "credentials and settings of S3 come from the environment (AWS_ACCESS_KEY_ID …), not from the address";
            return Err(Error::invalid(why.to_owned()));
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || prefix.split('/').any(|part| part == "." || part == "..") {
            return Err(unknown());
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for ArchiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Directory(path) => write!(f, "file://{}", path.display()),
        }
    }
}

/// The files of an archive.
pub(crate) struct ObjectArchive {
    url: ArchiveUrl,
    store: Box<dyn ObjectStore>,
    runtime: Runtime,
    /// Held while this program writes into a local directory, which has no conditional writes.
    lock: Option<File>,
}

impl ObjectArchive {
    /// Opens an archive to read. Nothing is requested yet, so a missing bucket is noticed later.
    ///
    /// # Errors
    /// [`Error::Store`] for settings that the store refuses.
    pub fn open(url: ArchiveUrl) -> Result<Self> {
        let refused = |error: &dyn fmt::Display| failed(&url, "opening", error.to_string());
        let store: Box<dyn ObjectStore> = match &url {
            ArchiveUrl::S3 { bucket, prefix } => {
                choose_provider();
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                let bucket = builder.build().map_err(|error| refused(&error))?;
                if prefix.is_empty() {
                    Box::new(bucket)
                } else {
                    let prefix = ObjectPath::parse(prefix).map_err(|error| refused(&error))?;
                    Box::new(PrefixStore::new(bucket, prefix))
                }
            }
            ArchiveUrl::Directory(path) => {
                let directory = LocalFileSystem::new_with_prefix(path).map_err(|error| refused(&error))?;
                Box::new(directory.with_fsync(true))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| refused(&error))?;
        Ok(Self { store, runtime, lock: None, url })
    }

    /// Opens an archive to write. A local directory is created, and locked until the value is dropped.
    ///
    /// # Errors
    /// [`Error::Store`] if another program writes into the directory, and those of [`open`](Self::open).
    pub fn open_to_write(url: ArchiveUrl) -> Result<Self> {
        let mut lock = None;
        if let ArchiveUrl::Directory(path) = &url {
            let path = path.clone();
            let trouble = |error: std::io::Error| failed(&url, "locking", error.to_string());
            std::fs::create_dir_all(&path).map_err(trouble)?;
            refuse_irregular(&path.join(LOCK)).map_err(trouble)?;
            let file = File::options().create(true).append(true).open(path.join(LOCK)).map_err(trouble)?;
            file.try_lock().map_err(|error| match error {
                std::fs::TryLockError::WouldBlock => {
                    failed(&url, "locking", "another program writes into it now".to_owned())
                }
                std::fs::TryLockError::Error(error) => trouble(error),
            })?;
            lock = Some(file);
        }
        Ok(Self { lock, ..Self::open(url)? })
    }

    /// Its address, without credentials.
    pub const fn url(&self) -> &ArchiveUrl {
        &self.url
    }

    /// Reads a file; `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn get(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_version(path)?.map(|(bytes, _)| bytes))
    }

    /// Reads a file with its version, so that it can be replaced later.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn get_version(&self, path: &str) -> Result<Option<(Vec<u8>, UpdateVersion)>> {
        self.runtime.block_on(self.get_one(path))
    }

    /// Reads files, several at a time. A missing file is `None`.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let reads = paths.iter().map(|path| async { Ok(self.get_one(path).await?.map(|(bytes, _)| bytes)) });
        self.runtime.block_on(stream::iter(reads).buffered(TOGETHER).try_collect())
    }

    async fn get_one(&self, path: &str) -> Result<Option<(Vec<u8>, UpdateVersion)>> {
        if let ArchiveUrl::Directory(folder) = &self.url {
            self.refuse_irregular(&folder.join(path))?;
        }
        let done = async {
            let found = self.store.get(&ObjectPath::from(path)).await?;
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            Ok((found.bytes().await?.to_vec(), version))
        };
        match done.await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&self.url, &format!("reading {path} of"), plain(&error))),
        }
    }

    /// Writes new files, several at a time. Returns those that exist already; they are not changed.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails. Some of the files may be written then.
    pub fn create_all(&self, files: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, Vec<u8>)>> {
        let writes = files.into_iter().map(|(path, bytes)| async {
            let created = self.put_one(&path, bytes.clone(), PutMode::Create).await?;
            Ok::<_, Error>((!created).then_some((path, bytes)))
        });
        let existing: Vec<Option<_>> = self.runtime.block_on(stream::iter(writes).buffered(TOGETHER).try_collect())?;
        Ok(existing.into_iter().flatten().collect())
    }

    /// Replaces a file if it still has this version, or creates it without one. Returns false if it has changed.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn replace(&self, path: &str, bytes: Vec<u8>, version: Option<UpdateVersion>) -> Result<bool> {
        let mode = match version {
            None => PutMode::Create,
            // The lock of a local directory excludes other writers.
            Some(_) if self.lock.is_some() => PutMode::Overwrite,
            Some(version) => PutMode::Update(version),
        };
        self.runtime.block_on(self.put_one(path, bytes, mode))
    }

    /// Refuses what is no regular file in a local directory. Opening a named pipe would block.
    fn refuse_irregular(&self, file: &Path) -> Result<()> {
        refuse_irregular(file)
            .map_err(|error| failed(&self.url, &format!("reading {} of", file.display()), error.to_string()))
    }

    async fn put_one(&self, path: &str, bytes: Vec<u8>, mode: PutMode) -> Result<bool> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&ObjectPath::from(path), bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(failed(&self.url, &format!("writing {path} of"), plain(&error))),
        }
    }

    /// Deletes a file. A missing file is no error.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn delete(&self, path: &str) -> Result<()> {
        match self.runtime.block_on(self.store.delete(&ObjectPath::from(path))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&self.url, &format!("deleting {path} of"), plain(&error))),
        }
    }

    /// The paths of the files in a folder.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub fn list(&self, folder: &str) -> Result<Vec<String>> {
        let folder = ObjectPath::from(folder);
        let listed = self.store.list(Some(&folder)).map_ok(|meta| meta.location.to_string()).try_collect();
        let listed: std::result::Result<Vec<String>, _> = self.runtime.block_on(listed);
        listed.map_err(|error| failed(&self.url, &format!("listing {folder} of"), plain(&error)))
    }
}

/// An error for what is there and is no regular file.
fn refuse_irregular(file: &Path) -> std::io::Result<()> {
    match std::fs::metadata(file) {
        Ok(found) if !found.is_file() => Err(std::io::Error::other("it is no regular file")),
        _ => Ok(()),
    }
}

/// TLS uses ring, as the connections to PostgreSQL do.
fn choose_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // An error means that the program chose one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The message of an error, with its causes and without the headers of requests.
fn plain(error: &object_store::Error) -> String {
    match error {
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => {
            "the store refuses the credentials: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION".to_owned()
        }
        other => other.to_string(),
    }
}

fn failed(url: &ArchiveUrl, doing: &str, why: String) -> Error {
    Error::Store { what: format!("{doing} the archive {url}"), source: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for text in ["s3://bucket", "s3://bucket/a/b", "file:///srv/archive"] {
            assert_eq!(text.parse::<ArchiveUrl>().unwrap().to_string(), text);
        }
        assert_eq!("s3://bucket/a/".parse::<ArchiveUrl>().unwrap().to_string(), "s3://bucket/a");
        for text in [
            "",
            "bucket",
            "s3://",
            "s3:///a",
            "file://host/a",
            "https://x",
            "s3://b/../c",
            "s3://k:s@b/c",
            "s3://b?x=1",
        ] {
            assert!(text.parse::<ArchiveUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn files_of_a_directory_are_created_replaced_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let url = ArchiveUrl::Directory(folder.path().join("archive"));
        let archive = ObjectArchive::open_to_write(url.clone()).unwrap();
        let new = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        assert_eq!(archive.create_all(vec![new("a/x001/1", "one"), new("b", "two")]).unwrap(), []);
        assert_eq!(archive.create_all(vec![new("b", "other"), new("c", "three")]).unwrap(), [new("b", "other")]);
        assert_eq!(archive.get("b").unwrap().unwrap(), b"two");
        let (_, version) = archive.get_version("b").unwrap().unwrap();
        assert!(archive.replace("b", b"four".to_vec(), Some(version)).unwrap());
        assert!(!archive.replace("b", b"five".to_vec(), None).unwrap(), "it is there");
        let paths = ["b", "none", "a/x001/1"].map(str::to_owned);
        assert_eq!(archive.get_all(&paths).unwrap(), [Some(b"four".to_vec()), None, Some(b"one".to_vec())]);
        assert_eq!(archive.list("a").unwrap(), ["a/x001/1"]);
        archive.delete("b").unwrap();
        archive.delete("b").unwrap();
        assert_eq!(archive.get("b").unwrap(), None);
        assert!(ObjectArchive::open_to_write(url).is_err(), "it is locked");
    }
}
