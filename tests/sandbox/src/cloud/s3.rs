//! S3: buckets that a host's backup writes to, with the key that its credential holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::event::Effect;
use super::request::Turn;
use super::state::State;
use super::{Caller, Cloud, Service, ServiceError, signature};

/// The buckets of every account: a name is taken once for all.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    pub(super) regions: BTreeMap<String, String>,
    /// `bucket/key` and the access key that wrote it.
    pub(super) objects: BTreeMap<String, String>,
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "PutObject" => put_object(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn put_object(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let bucket = turn.text("Bucket")?;
    let key = turn.text("Key")?;
    let Some(region) = state.buckets.regions.get(&bucket) else {
        return Err(ServiceError::new(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    if region != turn.region {
        let message = format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            turn.region
        );
        return Err(ServiceError::new(400, "AuthorizationHeaderMalformed", message));
    }
    let access_key_id = match turn.caller {
        Caller::AccessKey { access_key_id } => access_key_id.clone(),
        Caller::Function { .. } | Caller::InstanceRole { .. } | Caller::Person | Caller::Aws => String::new(),
    };
    state.buckets.objects.insert(format!("{bucket}/{key}"), access_key_id.clone());
    turn.effect(Effect::ObjectStored { bucket, key, access_key_id });
    Ok(json!({}))
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
