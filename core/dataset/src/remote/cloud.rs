//! Buckets of Amazon S3 and what speaks its language, Google Cloud Storage and Azure.
//!
//! What the `object_store` crate does asynchronously is done on a thread of its own, so that
//! whoever calls may be anywhere.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{Certificate, ClientConfigKey, ClientOptions};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt,
    ObjectStoreScheme, PutMode, PutOptions, RetryConfig, UpdateVersion, WriteMultipart,
};
use url::Url;

use super::failure::{failure, text};
use super::objects::{Condition, Found, Objects, Tag};
use super::worker::Worker;
use crate::Error;

/// The most bytes of one request that writes; what is longer is written in parts. Small enough for
/// slow lines within the time limit of a request, and the least that S3 allows.
const PIECE: usize = 5 << 20;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;
/// Small files and copies under way at once.
const AT_ONCE: usize = 16;
/// The time limit of a request, whatever the environment says: what a lease has left when something
/// is changed relies on it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// With the time limit of a request the longest time that an operation takes is a minute.
const RETRIED_FOR: Duration = Duration::from_secs(30);
const MAX_RETRIES: usize = 5;
/// How the environment may say that requests are made.
const FROM_ENVIRONMENT: [ClientConfigKey; 6] = [
    ClientConfigKey::AllowHttp,
    ClientConfigKey::AllowInvalidCertificates,
    ClientConfigKey::ConnectTimeout,
    ClientConfigKey::ProxyUrl,
    ClientConfigKey::ProxyCaCertificate,
    ClientConfigKey::ProxyExcludes,
];

/// The objects below an address.
pub(super) struct Cloud {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    worker: Worker,
    /// Whether a copy that the store makes is whole when it has answered: Azure may say that it is
    /// under way.
    copies: bool,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store's own text may tell how it is configured.
        f.debug_struct("Cloud").finish_non_exhaustive()
    }
}

impl Cloud {
    /// The store at an address, with the credentials of the environment.
    pub(super) fn connect(out: &FilePath) -> Result<Self, Error> {
        let address = out.display().to_string();
        let unusable = |reason: String| {
            Error::configuration(format!("the address `{address}` cannot be used: {reason}"))
                .with_hint(
                    "the form is `s3://bucket/prefix`, `gs://bucket/prefix`, \
                     `az://container/prefix` or \
                     `abfss://container@account.dfs.core.windows.net/prefix`; credentials, region \
                     and endpoint are taken from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`)",
                )
        };
        let url = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
        let (scheme, prefix) =
            ObjectStoreScheme::parse(&url).map_err(|error| unusable(error.to_string()))?;
        let store = build(&scheme, &address, false)
            // A slim container has no certificate authorities: Mozilla's list takes their place.
            .or_else(|error| build(&scheme, &address, true).map_err(|_| error))
            .map_err(|error| unusable(text(&error)))?;
        let cloud = Self::new(store, prefix)
            .map_err(|source| Error::configuration("cannot start a thread").with_source(source))?;
        Ok(Self {
            copies: !matches!(scheme, ObjectStoreScheme::MicrosoftAzure),
            ..cloud
        })
    }

    fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> io::Result<Self> {
        Ok(Self {
            store,
            prefix,
            worker: Worker::start()?,
            copies: true,
        })
    }

    fn path(&self, key: &str) -> io::Result<Path> {
        let prefix = self.prefix.as_ref();
        let whole = match prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        };
        Path::parse(whole).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Writes an object of any length, in pieces until there is an empty one.
    fn send(
        &self,
        key: &str,
        length: u64,
        mut piece: impl FnMut() -> io::Result<Bytes>,
    ) -> io::Result<()> {
        let path = self.path(key)?;
        if length <= PIECE as u64 {
            let content = piece()?;
            let put = self.wait(|store| async move { store.put(&path, content.into()).await });
            return put.map(|_| ()).map_err(|error| failure(&error));
        }
        let upload = self.wait(|store| async move { store.put_multipart(&path).await });
        self.send_parts(upload.map_err(|error| failure(&error))?, piece)
    }

    fn send_parts(
        &self,
        upload: Box<dyn MultipartUpload>,
        mut piece: impl FnMut() -> io::Result<Bytes>,
    ) -> io::Result<()> {
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        loop {
            let content = match piece() {
                Ok(content) if content.is_empty() => break,
                Ok(content) => content,
                Err(error) => {
                    // What stays of it, the bucket's own rules delete.
                    let _ = self.worker.wait(upload.abort());
                    return Err(error);
                }
            };
            // `put` spawns onto the runtime that it is called on.
            upload = self
                .worker
                .wait(async move {
                    if let Err(error) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                        let _ = upload.abort().await;
                        return Err(error);
                    }
                    upload.put(content);
                    Ok(upload)
                })
                .map_err(|error| failure(&error))?;
        }
        let finished = self.worker.wait(upload.finish());
        finished.map(|_| ()).map_err(|error| failure(&error))
    }

    /// Reads an object and writes it anew.
    fn copy_in_pieces(&self, from: &str, to: &str) -> io::Result<()> {
        let length = self.length(from)?.ok_or(io::ErrorKind::NotFound)?;
        let mut start = 0;
        self.send(to, length, || {
            let end = length.min(start + PIECE as u64);
            let range = std::mem::replace(&mut start, end)..end;
            match range.is_empty() {
                true => Ok(Bytes::new()),
                false => self.get_range(from, range),
            }
        })
    }

    /// The first files, as many as are put at once; none when the first is written in parts.
    fn read_few(
        &self,
        files: &[(PathBuf, String)],
    ) -> Result<Vec<(Path, Bytes)>, (usize, io::Error)> {
        let mut few = Vec::new();
        let mut bytes = 0;
        for (index, (file, key)) in files.iter().enumerate().take(AT_ONCE) {
            let failed = |error| (index, error);
            let length = std::fs::metadata(file).map_err(failed)?.len();
            bytes += length;
            if length > PIECE as u64 || bytes > (PARTS_AT_ONCE * PIECE) as u64 {
                break;
            }
            let content = std::fs::read(file).map_err(failed)?;
            few.push((self.path(key).map_err(failed)?, content.into()));
        }
        Ok(few)
    }

    /// Waits for what is done with all of these, a few at a time; the results are in their order.
    fn wait_for_all<T, F>(
        &self,
        items: Vec<T>,
        work: impl Fn(Arc<dyn ObjectStore>, T) -> F + Send + 'static,
    ) -> Result<Vec<Result<(), StoreError>>, (usize, io::Error)>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let done = self.wait(|store| async move {
            let all = stream::iter(items).map(move |item| work(Arc::clone(&store), item));
            Ok(all.buffered(AT_ONCE).collect().await)
        });
        done.map_err(|error| (0, failure(&error)))
    }

    /// Waits for what is done with the store on the thread of its own.
    fn wait<T, F>(&self, work: impl FnOnce(Arc<dyn ObjectStore>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.worker.wait(work(Arc::clone(&self.store)))
    }
}

fn build(
    scheme: &ObjectStoreScheme,
    address: &str,
    own_roots: bool,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: MAX_RETRIES,
        retry_timeout: RETRIED_FOR,
    };
    let roots = |value: &dyn Fn(ClientConfigKey) -> Option<String>| {
        let options = ClientOptions::new().with_no_system_certificates(true);
        let options = FROM_ENVIRONMENT
            .iter()
            .fold(options, |options, key| match value(*key) {
                Some(value) => options.with_config(*key, value),
                None => options,
            });
        webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|root| Certificate::from_der(root).ok())
            .fold(options, ClientOptions::with_root_certificate)
    };
    macro_rules! built {
        ($builder:ty, $key:ident) => {{
            let mut builder = <$builder>::from_env().with_url(address);
            if own_roots {
                let value = |key| builder.get_config_value(&$key::Client(key));
                let options = roots(&value);
                builder = builder.with_client_options(options);
            }
            let timeout = format!("{} seconds", TIMEOUT.as_secs());
            builder = builder.with_config($key::Client(ClientConfigKey::Timeout), timeout);
            Arc::new(builder.with_retry(retry).build()?)
        }};
    }
    Ok(match scheme {
        ObjectStoreScheme::AmazonS3 => built!(AmazonS3Builder, AmazonS3ConfigKey),
        ObjectStoreScheme::GoogleCloudStorage => built!(GoogleCloudStorageBuilder, GoogleConfigKey),
        ObjectStoreScheme::MicrosoftAzure => built!(MicrosoftAzureBuilder, AzureConfigKey),
        _ => {
            return Err(StoreError::NotSupported {
                source: "no such kind of store".into(),
            });
        }
    })
}

impl Objects for Cloud {
    fn list(&self, prefix: &str) -> io::Result<Vec<Found>> {
        let path = self.path(prefix.trim_end_matches('/'))?;
        let own = self.prefix.as_ref().len();
        let start = if own == 0 { 0 } else { own + 1 };
        let listed = self.wait(|store| async move {
            let listed = store.list(Some(&path));
            listed.try_collect::<Vec<_>>().await
        });
        let found = |meta: object_store::ObjectMeta| {
            let key = meta.location.as_ref().get(start..)?.to_owned();
            Some(Found {
                key,
                bytes: meta.size,
            })
        };
        let listed = listed.map_err(|error| failure(&error))?;
        let mut found: Vec<Found> = listed.into_iter().filter_map(found).collect();
        found.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    fn length(&self, key: &str) -> io::Result<Option<u64>> {
        let path = self.path(key)?;
        match self.wait(|store| async move { store.head(&path).await }) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn get(&self, key: &str) -> io::Result<Option<(Bytes, Tag)>> {
        let path = self.path(key)?;
        let found = self.wait(|store| async move {
            let found = store.get(&path).await?;
            let tag = Tag {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            Ok((found.bytes().await?, tag))
        });
        match found {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        let path = self.path(key)?;
        self.wait(|store| async move { store.get_range(&path, range).await })
            .map_err(|error| failure(&error))
    }

    fn put(&self, key: &str, content: Bytes, condition: &Condition) -> io::Result<Option<Tag>> {
        let path = self.path(key)?;
        let mode = match condition {
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Matches(tag) => PutMode::Update(UpdateVersion {
                e_tag: tag.e_tag.clone(),
                version: tag.version.clone(),
            }),
        };
        let options = PutOptions::from(mode);
        let put =
            self.wait(|store| async move { store.put_opts(&path, content.into(), options).await });
        match put {
            Ok(put) => Ok(Some(Tag {
                e_tag: put.e_tag,
                version: put.version,
            })),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn upload(&self, file: &FilePath, key: &str) -> io::Result<()> {
        let mut file = std::fs::File::open(file)?;
        let length = file.metadata()?.len();
        self.send(key, length, || {
            let mut bytes = Vec::new();
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut bytes);
            read.map(|_| Bytes::from(bytes))
        })
    }

    fn upload_all(&self, files: &[(PathBuf, String)]) -> Result<(), (usize, io::Error)> {
        let mut done = 0;
        while let Some((file, key)) = files.get(done) {
            let first = done;
            let at = |(index, error)| (first + index, error);
            let group = self.read_few(files.get(first..).unwrap_or_default());
            let group = group.map_err(at)?;
            if group.is_empty() {
                self.upload(file, key).map_err(|error| at((0, error)))?;
                done += 1;
                continue;
            }
            done += group.len();
            let put = |store: Arc<dyn ObjectStore>, (path, content): (Path, Bytes)| async move {
                store.put(&path, content.into()).await.map(|_| ())
            };
            let puts = self.wait_for_all(group, put).map_err(at)?;
            for (index, put) in puts.into_iter().enumerate() {
                put.map_err(|error| at((index, failure(&error))))?;
            }
        }
        Ok(())
    }

    fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        let keys = (from.to_owned(), to.to_owned());
        self.copy_all(&[keys]).map_err(|(_, error)| error)
    }

    fn copy_all(&self, keys: &[(String, String)]) -> Result<(), (usize, io::Error)> {
        let each = || keys.iter().enumerate();
        if !self.copies {
            return each().try_for_each(|(index, (from, to))| {
                self.copy_in_pieces(from, to)
                    .map_err(|error| (index, error))
            });
        }
        let paths = each().map(|(index, (from, to))| {
            let paths = self.path(from).and_then(|from| Ok((from, self.path(to)?)));
            paths.map_err(|error| (index, error))
        });
        let copy = |store: Arc<dyn ObjectStore>, (from, to): (Path, Path)| async move {
            store.copy(&from, &to).await
        };
        let copied = self.wait_for_all(paths.collect::<Result<_, _>>()?, copy)?;
        for ((index, (from, to)), copied) in each().zip(copied) {
            let Err(error) = copied else { continue };
            let copied = match self.length(from) {
                // Stores copy so much by one request and no more, and a slow one has no more time
                // for it than for any other.
                Ok(Some(length)) if length > PIECE as u64 => self.copy_in_pieces(from, to),
                _ => Err(failure(&error)),
            };
            copied.map_err(|error| (index, error))?;
        }
        Ok(())
    }

    fn delete(&self, keys: &[String]) -> io::Result<()> {
        let paths = keys
            .iter()
            .map(|key| self.path(key))
            .collect::<io::Result<Vec<Path>>>()?;
        self.wait(|store| async move {
            let mut deleted = store.delete_stream(stream::iter(paths).map(Ok).boxed());
            while let Some(deleted) = deleted.next().await {
                match deleted {
                    Ok(_) | Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .map_err(|error| failure(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::BoxFuture;
    use futures_util::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, ObjectMeta, PutMultipartOptions,
        PutPayload, PutResult,
    };

    use super::*;

    fn cloud(prefix: &str) -> Cloud {
        Cloud::new(Arc::new(InMemory::new()), Path::parse(prefix).unwrap()).unwrap()
    }

    #[test]
    fn puts_keep_to_their_conditions() {
        let cloud = cloud("a/b");
        let put = |text: &'static str, condition| {
            let content = Bytes::from_static(text.as_bytes());
            cloud.put("key", content, &condition).unwrap()
        };
        assert_eq!(cloud.get("key").unwrap(), None);
        let first = put("1", Condition::Absent).unwrap();
        assert_eq!(put("2", Condition::Absent), None);
        let second = put("2", Condition::Matches(first.clone())).unwrap();
        assert_eq!(put("3", Condition::Matches(first)), None);
        assert_eq!(
            cloud.get("key").unwrap(),
            Some((Bytes::from_static(b"2"), second.clone()))
        );
        put("4", Condition::Always).unwrap();
        assert_eq!(put("5", Condition::Matches(second)), None);
    }

    #[test]
    fn objects_are_those_below_the_prefix() {
        for prefix in ["", "a/b"] {
            let cloud = cloud(prefix);
            let put = |key: &str| {
                let content = Bytes::from(key.to_owned());
                cloud.put(key, content, &Condition::Always).unwrap();
            };
            for key in ["x/2", "x/1", "x/r=a%2Fb/3", "xy/1", "y"] {
                put(key);
            }
            let found = cloud.list("x/").unwrap();
            let keys: Vec<&str> = found.iter().map(|found| found.key.as_str()).collect();
            assert_eq!(keys, ["x/1", "x/2", "x/r=a%2Fb/3"]);
            assert_eq!(cloud.length("x/r=a%2Fb/3").unwrap(), Some(11));
            assert_eq!(cloud.length("x").unwrap(), None);
            assert_eq!(cloud.get_range("xy/1", 1..3).unwrap(), "y/");
            cloud.copy("x/1", "z/1").unwrap();
            assert_eq!(cloud.get("z/1").unwrap().unwrap().0, "x/1");
            let missing = cloud.copy("none", "z/2").unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            let gone = ["x/1", "none", "x/2"].map(str::to_owned);
            cloud.delete(&gone).unwrap();
            assert_eq!(cloud.list("x/").unwrap().len(), 1);
        }
    }

    #[test]
    fn files_of_any_length_are_uploaded() {
        let cloud = cloud("p");
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let content: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            let path = folder.path().join("file");
            std::fs::write(&path, &content).unwrap();
            cloud.upload(&path, "key").unwrap();
            assert_eq!(cloud.length("key").unwrap(), Some(length as u64));
            assert!(cloud.get("key").unwrap().unwrap().0 == content, "{length}");
        }
    }

    #[test]
    fn copies_that_a_store_may_finish_later_are_written_anew() {
        let cloud = Cloud {
            copies: false,
            ..cloud("p")
        };
        for length in [0, 1, PIECE, 2 * PIECE + 1] {
            let content: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            let content = Bytes::from(content);
            let put = cloud.put("from", content.clone(), &Condition::Always);
            assert!(put.unwrap().is_some());
            cloud.copy("from", "to").unwrap();
            assert!(cloud.get("to").unwrap().unwrap().0 == content, "{length}");
        }
        let missing = cloud.copy("none", "to").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let azure = "abfss://container@account.dfs.core.windows.net/prefix";
        assert!(!Cloud::connect(FilePath::new(azure)).unwrap().copies);
        assert!(Cloud::connect(FilePath::new("s3://bucket")).unwrap().copies);
    }

    type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

    /// A store that counts the puts and copies that are under way at once, and may refuse to copy.
    #[derive(Debug, Default)]
    struct Watched {
        store: InMemory,
        refuses_copies: bool,
        under_way: AtomicUsize,
        most: AtomicUsize,
    }

    impl Watched {
        async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
            let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(under_way, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let done = work.await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            done
        }
    }

    impl fmt::Display for Watched {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Watched")
        }
    }

    impl ObjectStore for Watched {
        fn copy_opts<'a, 'b, 'c, 'd>(
            &'a self,
            from: &'b Path,
            to: &'c Path,
            options: CopyOptions,
        ) -> Answer<'d, ()>
        where
            'a: 'd,
            'b: 'd,
            'c: 'd,
            Self: 'd,
        {
            let copy = self.store.copy_opts(from, to, options);
            Box::pin(self.watch(async {
                if self.refuses_copies {
                    let source = "EntityTooLarge".into();
                    let store = "test";
                    return Err(StoreError::Generic { store, source });
                }
                copy.await
            }))
        }

        fn put_opts<'a, 'b, 'd>(
            &'a self,
            location: &'b Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> Answer<'d, PutResult>
        where
            'a: 'd,
            'b: 'd,
            Self: 'd,
        {
            Box::pin(self.watch(self.store.put_opts(location, payload, options)))
        }

        fn put_multipart_opts<'a, 'b, 'd>(
            &'a self,
            location: &'b Path,
            options: PutMultipartOptions,
        ) -> Answer<'d, Box<dyn MultipartUpload>>
        where
            'a: 'd,
            'b: 'd,
            Self: 'd,
        {
            self.store.put_multipart_opts(location, options)
        }

        fn get_opts<'a, 'b, 'd>(
            &'a self,
            location: &'b Path,
            options: GetOptions,
        ) -> Answer<'d, GetResult>
        where
            'a: 'd,
            'b: 'd,
            Self: 'd,
        {
            self.store.get_opts(location, options)
        }

        fn delete_stream(
            &self,
            locations: BoxStream<'static, Result<Path, StoreError>>,
        ) -> BoxStream<'static, Result<Path, StoreError>> {
            self.store.delete_stream(locations)
        }

        fn list(
            &self,
            prefix: Option<&Path>,
        ) -> BoxStream<'static, Result<ObjectMeta, StoreError>> {
            self.store.list(prefix)
        }

        fn list_with_delimiter<'a, 'b, 'd>(
            &'a self,
            prefix: Option<&'b Path>,
        ) -> Answer<'d, ListResult>
        where
            'a: 'd,
            'b: 'd,
            Self: 'd,
        {
            self.store.list_with_delimiter(prefix)
        }
    }

    #[test]
    fn what_a_store_does_not_copy_by_one_request_is_written_anew() {
        let store = Watched {
            refuses_copies: true,
            ..Watched::default()
        };
        let cloud = Cloud::new(Arc::new(store), Path::parse("p").unwrap()).unwrap();
        for (length, is_copied) in [(PIECE, false), (PIECE + 1, true)] {
            let content: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            let content = Bytes::from(content);
            let _ = cloud.put("from", content.clone(), &Condition::Always);
            // A small one has been tried often enough.
            assert_eq!(cloud.copy("from", "to").is_ok(), is_copied, "{length}");
            let found = cloud.get("to").unwrap().map(|(found, _)| found);
            assert!(found == is_copied.then_some(content), "{length}");
        }
        let missing = cloud.copy("none", "to").unwrap_err();
        assert!(missing.to_string().contains("EntityTooLarge"), "{missing}");
    }

    #[test]
    fn small_files_are_uploaded_and_copied_several_at_once() {
        let store = Arc::new(Watched::default());
        let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as Arc<_>;
        let cloud = Cloud::new(shared, Path::parse("p").unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let content =
            |number: usize| vec![number as u8; if number % 40 == 38 { PIECE + 1 } else { 7 }];
        let files = (0..80).map(|number| {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, content(number)).unwrap();
            (path, format!("from/{number}"))
        });
        let mut files: Vec<(PathBuf, String)> = files.collect();
        cloud.upload_all(&files).unwrap();
        assert_eq!(store.most.swap(0, Ordering::SeqCst), AT_ONCE);
        let key = |number: usize| (format!("from/{number}"), format!("to/{number}"));
        let mut keys: Vec<(String, String)> = (0..80).map(key).collect();
        cloud.copy_all(&keys).unwrap();
        assert_eq!(store.most.load(Ordering::SeqCst), AT_ONCE);
        for number in 0..80 {
            let (found, _) = cloud.get(&format!("to/{number}")).unwrap().unwrap();
            assert!(found == content(number), "{number}");
        }
        // What is missing is named.
        files[33].0 = folder.path().join("none");
        let (index, error) = cloud.upload_all(&files).unwrap_err();
        assert_eq!((index, error.kind()), (33, io::ErrorKind::NotFound));
        keys[77].0 = "none".to_owned();
        let (index, error) = cloud.copy_all(&keys).unwrap_err();
        assert_eq!((index, error.kind()), (77, io::ErrorKind::NotFound));
        cloud.upload_all(&[]).unwrap();
        cloud.copy_all(&[]).unwrap();
    }

    /// An upload of which no part arrives.
    #[derive(Debug)]
    struct Failing(mpsc::Sender<&'static str>);

    impl MultipartUpload for Failing {
        fn put_part(&mut self, _: PutPayload) -> object_store::UploadPart {
            let source = "no network".into();
            Box::pin(async {
                Err(StoreError::Generic {
                    store: "test",
                    source,
                })
            })
        }

        fn complete<'a, 'b>(&'a mut self) -> Answer<'b, PutResult>
        where
            'a: 'b,
            Self: 'b,
        {
            panic!("it has not been written")
        }

        fn abort<'a, 'b>(&'a mut self) -> Answer<'b, ()>
        where
            'a: 'b,
            Self: 'b,
        {
            self.0.send("aborted").unwrap();
            Box::pin(async { Ok(()) })
        }
    }

    #[test]
    fn an_upload_that_fails_leaves_no_parts() {
        #[track_caller]
        fn check(pieces: usize, then: fn() -> io::Result<Bytes>, expect: &str) {
            let (sender, receiver) = mpsc::channel();
            let mut left = pieces;
            let piece = || match left {
                0 => then(),
                _ => {
                    left -= 1;
                    Ok(Bytes::from(vec![0; PIECE]))
                }
            };
            let error = cloud("p").send_parts(Box::new(Failing(sender)), piece);
            let text = error.unwrap_err().to_string();
            assert!(text.contains(expect), "{text}");
            let told: Vec<&str> = receiver.iter().collect();
            assert_eq!(told, ["aborted"]);
        }
        // At the end, in between, and by the disk.
        check(2, || Ok(Bytes::new()), "no network");
        check(3 * PARTS_AT_ONCE, || Ok(Bytes::new()), "no network");
        check(1, || Err(io::Error::other("no disk")), "no disk");
    }

    #[test]
    fn it_may_be_called_from_a_task() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let cloud = cloud("p");
        runtime.block_on(async { assert_eq!(cloud.length("key").unwrap(), None) });
    }

    #[test]
    fn addresses_of_every_kind_are_taken() {
        for out in [
            "s3://bucket/prefix",
            "s3a://bucket",
            "gs://bucket/a/b",
            "abfss://container@account.dfs.core.windows.net/prefix",
        ] {
            Cloud::connect(FilePath::new(out)).unwrap();
            let (scheme, _) = ObjectStoreScheme::parse(&Url::parse(out).unwrap()).unwrap();
            build(&scheme, out, true).unwrap();
        }
        let error = Cloud::connect(FilePath::new("s3://")).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
    }
}
