//! S3: buckets that a host's backup writes to, with the key that its credential holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::Effect;
use super::pages::page;
use super::random::Identifiers;
use super::request::Turn;
use super::state::State;
use super::{Caller, Cloud, Service, ServiceError, signature};

/// The buckets of every account: a name is taken once for all.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    pub(super) regions: BTreeMap<String, String>,
    /// `bucket/key` and the access key that wrote it.
    pub(super) objects: BTreeMap<String, String>,
    /// When each was written, and how many bytes it has.
    written: BTreeMap<String, (Timestamp, usize)>,
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "PutObject" => put_object(state, turn),
        "ListObjectsV2" => list_objects(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn put_object(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let bucket = turn.text("Bucket")?;
    let key = turn.text("Key")?;
    check_bucket(state, turn, &bucket)?;
    let access_key_id = match turn.caller {
        Caller::AccessKey { access_key_id } => access_key_id.clone(),
        Caller::Function { .. } | Caller::InstanceRole { .. } | Caller::Person | Caller::Aws => String::new(),
    };
    let size = turn.number("ContentLength", 0, 0, usize::MAX)?;
    state.buckets.written.insert(format!("{bucket}/{key}"), (turn.now, size));
    state.buckets.objects.insert(format!("{bucket}/{key}"), access_key_id.clone());
    turn.effect(Effect::ObjectStored { bucket, key, access_key_id });
    Ok(json!({}))
}

fn check_bucket(state: &State, turn: &Turn<'_>, bucket: &str) -> Result<(), ServiceError> {
    let Some(region) = state.buckets.regions.get(bucket) else {
        return Err(ServiceError::new(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    if region != turn.region {
        let message = format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            turn.region
        );
        return Err(ServiceError::new(400, "AuthorizationHeaderMalformed", message));
    }
    Ok(())
}

/// What is in a bucket. Nobody keeps what the objects hold, so their tags are of their names.
fn list_objects(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let bucket = turn.text("Bucket")?;
    check_bucket(state, turn, &bucket)?;
    let prefix = turn.optional_text("prefix").unwrap_or_default();
    let size = turn.number("max-keys", 1000, 0, usize::MAX)?.min(1000);
    let delimiter = turn.optional_text("delimiter").unwrap_or_default();
    let objects = state.buckets.written.iter().filter_map(|(path, written)| {
        let key = path.strip_prefix(&bucket)?.strip_prefix('/')?;
        Some((folder(key.strip_prefix(&prefix)?, &delimiter).map(|folder| format!("{prefix}{folder}")), key, written))
    });
    // What lies in one folder is listed as one, by the folder's name.
    let mut listed: Vec<(Option<String>, &str, &(Timestamp, usize))> = objects.collect();
    listed.dedup_by(|(one, ..), (other, ..)| one.is_some() && one == other);
    let token = turn.optional_text("continuation-token");
    let invalid = || turn.invalid("The continuation token provided is incorrect");
    let page = page(listed, |(_, key, _)| (*key).to_owned(), size, token.as_deref(), invalid)?;
    let folders =
        page.items.iter().filter_map(|(folder, ..)| folder.as_ref().map(|folder| json!({ "Prefix": folder })));
    let keys = page.items.iter().filter(|(folder, ..)| folder.is_none());
    let contents = keys.map(|(_, key, (time, size))| {
        json!({
            "Key": key,
            "LastModified": time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
            "ETag": format!("\"{}\"", Identifiers::named(key).hexadecimal(32)),
            "Size": size,
            "StorageClass": "STANDARD",
        })
    });
    let mut answer = json!({
        "Name": bucket,
        "Prefix": prefix,
        "MaxKeys": size,
        "KeyCount": page.items.len(),
        "IsTruncated": page.next_token.is_some(),
        "Contents": contents.collect::<Vec<_>>(),
        "CommonPrefixes": folders.collect::<Vec<_>>(),
    });
    if let Some(token) = page.next_token {
        answer["NextContinuationToken"] = Value::from(token);
    }
    Ok(answer)
}

/// The part of a key up to the first delimiter, if there is one.
fn folder<'a>(key: &'a str, delimiter: &str) -> Option<&'a str> {
    let end = key.find(delimiter).filter(|_| !delimiter.is_empty())? + delimiter.len();
    key.get(..end)
}

impl Cloud {
    /// Writes one object as SQL Server's backup does: the request is really signed with this key and secret, and the
    /// signature really checked.
    ///
    /// # Errors
    /// InvalidAccessKeyId, SignatureDoesNotMatch, AccessDenied, NoSuchBucket or AuthorizationHeaderMalformed.
    pub fn s3_put(
        &self,
        region: &str,
        bucket: &str,
        key: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Result<(), ServiceError> {
        let uri = format!("https://{bucket}.s3.{region}.amazonaws.com/{}", key.trim_start_matches('/'));
        let request = http::Request::builder().method("PUT").uri(uri).body(b"a backup".to_vec());
        let request = request.map_err(|error| ServiceError::new(400, "InvalidURI", error.to_string()))?;
        let now = self.clock().now();
        let signed = signature::sign(request, (region, Service::S3), (access_key_id, secret_access_key), now)?;
        self.handle_parsed(&signed).map(|_| ())
    }

    /// GetCallerIdentity, really signed with a user's key: the proof that stands for a backup where none is made.
    ///
    /// # Errors
    /// InvalidClientTokenId or SignatureDoesNotMatch.
    pub fn get_caller_identity(
        &self,
        region: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Result<Value, ServiceError> {
        let request = http::Request::builder()
            .method("POST")
            .uri(format!("https://sts.{region}.amazonaws.com/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(b"Action=GetCallerIdentity&Version=2011-06-15".to_vec());
        let request = request.map_err(|error| ServiceError::new(400, "InvalidURI", error.to_string()))?;
        let now = self.clock().now();
        let signed = signature::sign(request, (region, Service::Sts), (access_key_id, secret_access_key), now)?;
        self.handle_parsed(&signed)
    }
}
