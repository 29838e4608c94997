//! What an `s3://` URL of SQL Server names: a bucket, a key, and the region whose endpoint answers.
//!
//! AWS's two forms (FACTS B): `s3://<bucket>.s3.<region>.amazonaws.com/<key>` and
//! `s3://s3.<region>.amazonaws.com/<bucket>/<key>`. Any other host name is another store; there the bucket is the first
//! folder, as in the second form.

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    /// The region in the host name, where it names one.
    pub region: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The rest of the path, without its first slash.
    pub key: String,
}

impl S3Url {
    /// Takes a URL apart; `None` where it is none or names no bucket.
    pub fn parse(url: &str) -> Option<S3Url> {
        let (host, path) = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
        let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let aws = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
        let (bucket_in_host, region) = match aws {
            Some("s3") | None => (None, None),
            Some(aws) => match aws.split_once(".s3.") {
                // PrivateLink: <bucket>.bucket.vpce-<id>.s3.<region>.vpce.amazonaws.com
                Some((bucket, region)) => {
                    (bucket.split(".bucket.vpce-").next(), Some(region.trim_end_matches(".vpce")))
                }
                None => (aws.strip_suffix(".s3"), aws.strip_prefix("s3.")),
            },
        };
        let (bucket, key) = match bucket_in_host {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        (!bucket.is_empty()).then(|| S3Url {
            region: region.map(str::to_owned),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Option<String>, String, String) {
        let url = S3Url::parse(url).unwrap();
        (url.region, url.bucket, url.key)
    }

    #[test]
    fn both_forms_of_aws_name_bucket_and_region() {
        let expected = (Some("eu-west-1".to_owned()), "backups".to_owned(), "sql/proof.bak".to_owned());
        assert_eq!(parts("s3://backups.S3.eu-west-1.amazonaws.com/sql/proof.bak"), expected);
        assert_eq!(parts("s3://s3.eu-west-1.amazonaws.com:443/backups/sql/proof.bak"), expected);
        let by_private_link = "s3://backups.bucket.vpce-0abc-1de.s3.eu-west-1.vpce.amazonaws.com/sql/proof.bak";
        assert_eq!(parts(by_private_link), expected);
    }

    #[test]
    fn another_store_has_its_bucket_in_the_path() {
        assert_eq!(parts("s3://minio.example:9000/backups/x"), (None, "backups".to_owned(), "x".to_owned()));
        assert_eq!(S3Url::parse("https://backups/x"), None);
    }
}
