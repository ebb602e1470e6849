//! A store in a bucket of S3, or of what speaks like it. Credentials, region and endpoint come from the environment
//! (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`), never from a file.
//!
//! Create-only: an object is put with `If-None-Match: *` and never changed or removed; what is damaged there is for the
//! owner of the bucket. The only module that knows a future: `object_store` is async, and a private current-thread
//! runtime waits for each answer.

use std::time::Duration;

use carnet_core::{Digest, Timestamp};
use futures_util::TryStreamExt as _;
use object_store::{
    ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutMode, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut},
    path::Path,
};
use tokio::runtime::{Builder, Runtime};

use super::{ObjectKey, ObjectKind, ObjectStore, StoreError, StoredObject, dir::OBJECT_BYTES_MAX};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take: 4 MiB over a thin line.
const REQUEST: Duration = Duration::from_secs(120);
/// How often, and how long in all, a request that failed is tried again.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);

/// A store in a bucket.
pub struct S3Store {
    address: String,
    prefix: String,
    client: AmazonS3,
    runtime: Runtime,
}

impl S3Store {
    /// Takes `BUCKET` or `BUCKET/PREFIX`, and the rest from the environment. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`].
    pub fn at(bucket: &str) -> Result<S3Store, StoreError> {
        let address = format!("s3://{bucket}");
        let wrong = |detail: String| StoreError::Address { address: address.clone(), detail };
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        if bucket.is_empty() {
            return Err(wrong("it names no bucket".to_owned()));
        }
        // Another part of the process may have chosen already; both are sound.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST);
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_FOR,
            ..RetryConfig::default()
        };
        let allows_http = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true");
        let client = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(options.with_allow_http(allows_http))
            .with_retry(retry)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| wrong(error.to_string()))?;
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(S3Store { address, prefix, client, runtime })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    fn failed(&self, deed: &str, error: Error) -> StoreError {
        let (place, deed) = (self.address.clone(), deed.to_owned());
        StoreError::Remote { place, deed, source: Box::new(error) }
    }
}

impl ObjectStore for S3Store {
    fn place(&self) -> String {
        self.address.clone()
    }

    fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, StoreError> {
        let got = self.runtime.block_on(async {
            let got = self.client.get(&self.path(&key.to_string())).await?;
            if got.meta.size > OBJECT_BYTES_MAX {
                // No object of ours: what it says is not worth its memory.
                return Ok(vec![]);
            }
            Ok(got.bytes().await?.to_vec())
        });
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("give `{key}`"), error)),
        }
    }

    fn put_new(&self, key: &ObjectKey, sealed: &[u8]) -> Result<bool, StoreError> {
        let (path, payload) = (self.path(&key.to_string()), sealed.to_vec().into());
        let put = self.client.put_opts(&path, payload, PutMode::Create.into());
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(&format!("take `{key}`"), error)),
        }
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<StoredObject>, StoreError> {
        let prefix = self.path(kind.prefix());
        let listed = self.client.list(Some(&prefix)).try_collect::<Vec<_>>();
        let listed = self.runtime.block_on(listed);
        let listed = listed.map_err(|error| self.failed("list its objects", error))?;
        let mut found = vec![];
        for meta in listed {
            let name = meta.location.filename().unwrap_or_default();
            let Ok(digest) = Digest::from_hex(name) else { continue };
            let key = ObjectKey { kind, digest };
            let touched_at = Timestamp::from_millis(meta.last_modified.timestamp_millis());
            found.push(StoredObject { key, stored_bytes: meta.size, touched_at });
        }
        found.sort_by_key(|object| object.key);
        Ok(found)
    }
}
