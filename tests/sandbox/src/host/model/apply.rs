//! Prove, alter, prove again: `apply.sh`, function by function.

use std::sync::LazyLock;

use regex_lite::Regex;
use rotation::host_answer::HostError;

use super::instances::sql_failure;
use super::{Halt, LOOKS_AGAIN, Run, Sql};

const ROUNDS: u32 = 3;

/// AWS's host names that say which region they are in.
static REGION: LazyLock<Regex> = LazyLock::new(|| {
    let service = "s3(-fips|-accesspoint|-accesspoint-fips)?[.-](dualstack\\.)?";
    let pattern = format!("^s3://([^/]*\\.)?{service}([a-z]{{2}}(-[a-z]+)+-[0-9]+)\\.(vpce\\.)?amazonaws\\.com");
    Regex::new(&pattern).expect("the pattern is the script's")
});

impl Run {
    pub(super) async fn apply(&mut self) -> Result<(), Halt> {
        self.read_marker();
        if !self.write_marker() {
            let why = format!("{} cannot be written", self.path("marker"));
            return Err(self.fail_host(HostError::StateNotWritable, &why));
        }
        self.await_hinted_target().await?;
        self.read_administrator().await?;
        for _ in 0..ROUNDS {
            self.apply_to_every_instance().await?;
            let before = self.version.clone();
            self.read_target().await?;
            if self.version == before {
                return Ok(());
            }
            self.log(&format!("the target moved from {before} to {}: starting over", self.version));
        }
        let why = format!("the target moved {ROUNDS} times, last to {}", self.version);
        Err(self.fail_host(HostError::TargetKeepsChanging, &why))
    }

    fn write_marker(&mut self) -> bool {
        let mut text = "# endpoint, version held, since when, modify dates of its credentials\n".to_owned();
        for (endpoint, line) in &self.marker {
            text += &format!("{endpoint} {line}\n");
        }
        let file = self.file("marker");
        self.host.lock().disk.replace(&file, text)
    }

    // ---- Every instance ----

    async fn apply_to_every_instance(&mut self) -> Result<(), Halt> {
        (self.proved, self.nothing_to_hold, self.failed) = (0, 0, 0);
        self.failures.clear();
        self.blocking.clear();
        self.signed_call.clear();
        self.read_target_key()?;
        self.touched = true;
        for endpoint in self.asked.endpoints.clone() {
            match self.apply_to_instance(&endpoint).await {
                Ok(()) | Err(Halt::Instance) => {}
                Err(end) => return Err(end),
            }
        }
        Ok(())
    }

    async fn apply_to_instance(&mut self, endpoint: &str) -> Result<(), Halt> {
        let instance = self.look_at_instance(endpoint).await?;
        self.require_right_to_alter(endpoint, &instance)?;
        self.list_credentials(endpoint).await?;
        let dates = |url: &String| (url.to_ascii_lowercase(), self.credentials.date_of(url));
        self.seen_dates = self.asked.credentials.iter().map(dates).collect();
        self.report_blocking(endpoint);
        self.drop_leftovers(endpoint).await?;
        self.refuse_unfit_credentials(endpoint)?;
        let mut held = self.believed_version(endpoint);
        if self.holds_target_already(endpoint, &held).await? {
            return self.record_proof(endpoint, "already held").await;
        }
        // The target is no version from before, to which this instance could be put back.
        if held == self.version {
            held.clear();
        }
        self.prove_before_altering(endpoint, &held).await?;
        self.replace_every_credential(endpoint, &held).await?;
        self.record_proof(endpoint, "altered").await
    }

    async fn record_proof(&mut self, endpoint: &str, how: &str) -> Result<(), Halt> {
        self.list_credentials(endpoint).await?;
        for url in self.asked.credentials.clone() {
            let seen = self.seen_dates.get(&url.to_ascii_lowercase()).map(String::as_str).unwrap_or_default();
            if self.credentials.date_of(&url) != seen {
                let why = format!("somebody altered {url} while it was being proved");
                return Err(self.fail_instance(endpoint, HostError::AlteredMeanwhile, &why));
            }
        }
        let line = format!("{} {} {}", self.version, self.time(), self.credentials.modify_dates);
        self.marker.insert(endpoint.to_owned(), line);
        if !self.write_marker() {
            let why = format!("{} cannot be written", self.path("marker"));
            return Err(self.fail_instance(endpoint, HostError::StateNotWritable, &why));
        }
        self.proved += 1;
        self.log(&format!("{endpoint}: proved, {how}"));
        Ok(())
    }

    async fn drop_leftovers(&mut self, endpoint: &str) -> Result<(), Halt> {
        for name in self.credentials.names.clone() {
            for url in self.asked.credentials.clone() {
                if !name.eq_ignore_ascii_case(&self.temporary(&url)) {
                    continue;
                }
                let dropped = self.run_sql(endpoint, &format!("DROP CREDENTIAL {};", quoted_name(&name))).await?;
                dropped.map_err(|said| self.fail_sql(endpoint, HostError::AlterFailed, &said))?;
            }
        }
        Ok(())
    }

    /// The temporary credential that is this host's own.
    fn temporary(&self, url: &str) -> String {
        format!("{url}/{}/{}", self.asked.proof_prefix, self.host.instance_id)
    }

    // ---- Prove, then alter, then prove again ----

    async fn holds_target_already(&mut self, endpoint: &str, held: &str) -> Result<bool, Halt> {
        if held != self.version {
            return Ok(false);
        }
        for url in self.asked.credentials.clone() {
            if self.prove_through_held(endpoint, &url).await?.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn prove_before_altering(&mut self, endpoint: &str, held: &str) -> Result<(), Halt> {
        for url in self.asked.credentials.clone() {
            self.prove_through_temporary(endpoint, &url).await?;
            // What cannot be put back is proved twice before it is replaced.
            if held.is_empty() {
                self.prove_through_temporary(endpoint, &url).await?;
            }
        }
        Ok(())
    }

    async fn prove_through_temporary(&mut self, endpoint: &str, url: &str) -> Result<(), Halt> {
        if self.asked.proof == "none" {
            let proved = self.prove_by_signed_call().await?;
            proved.map_err(|said| self.fail_instance(endpoint, HostError::ProofFailed, &said))?;
            return Ok(());
        }
        let name = self.temporary(url);
        let create = format!("CREATE CREDENTIAL {} {}", quoted_name(&name), self.with_access_key());
        let created = self.run_sql(endpoint, &create).await?;
        created.map_err(|said| self.fail_sql(endpoint, HostError::AlterFailed, &said))?;
        let backed_up = self.back_up(endpoint, &format!("{name}/proof.bak")).await?;
        let outcome = backed_up.map_err(|said| self.fail_sql(endpoint, HostError::ProofFailed, &said));
        let dropped = self.run_sql(endpoint, &format!("DROP CREDENTIAL {};", quoted_name(&name))).await?;
        if let Err(said) = dropped {
            // Gone already: the backup may have been signed with the key that is held, and proves nothing.
            if outcome.is_ok() && said.contains("Msg 15151,") {
                let why = format!("somebody dropped {name} while it was proving the key");
                return Err(self.fail_instance(endpoint, HostError::AlteredMeanwhile, &why));
            }
            self.log(&format!("{endpoint}: {name} stays: {said}"));
        }
        outcome.map(|_| ())
    }

    async fn prove_through_held(&mut self, endpoint: &str, url: &str) -> Result<Sql, Halt> {
        if self.asked.proof == "none" {
            return self.prove_by_signed_call().await;
        }
        let (prefix, host) = (&self.asked.proof_prefix, &self.host.instance_id);
        self.back_up(endpoint, &format!("{url}/{prefix}/held/{host}/proof.bak")).await
    }

    /// Two backups of model at a time refuse each other (Msg 3023).
    async fn back_up(&mut self, endpoint: &str, url: &str) -> Result<Sql, Halt> {
        let patience = self.patience();
        let region = region_of(url);
        let options = region.map(|region| format!(", BACKUP_OPTIONS = N'{{\"s3\": {{\"region\":\"{region}\"}}}}'"));
        let options = options.unwrap_or_default();
        let statement = format!("BACKUP DATABASE [model] TO URL = N'{url}' WITH COPY_ONLY, FORMAT{options};");
        loop {
            let said = self.run_sql(endpoint, &statement).await?;
            let is_busy = said.as_ref().is_err_and(|said| said.contains("Msg 3023,"));
            if !is_busy || self.host.clock.now() >= patience {
                return Ok(said);
            }
            self.sleep(LOOKS_AGAIN).await?;
        }
    }

    async fn replace_every_credential(&mut self, endpoint: &str, held: &str) -> Result<(), Halt> {
        for url in self.asked.credentials.clone() {
            let verb = if self.credentials.has(&url) { "ALTER" } else { "CREATE" };
            let name = quoted_name(&self.credentials.as_spelled(&url));
            let replace = format!("{verb} CREDENTIAL {name} {}", self.with_access_key());
            let replaced = self.run_sql(endpoint, &replace).await?;
            replaced.map_err(|said| self.fail_sql(endpoint, HostError::AlterFailed, &said))?;
            self.changed.insert(endpoint.to_owned());
            let proved = match self.note_date(endpoint, &url).await? {
                Ok(_) => self.prove_through_held(endpoint, &url).await?,
                Err(said) => Err(said),
            };
            if let Err(cause) = proved {
                return Err(self.put_back(endpoint, &url, verb, held, &cause).await?);
            }
        }
        Ok(())
    }

    /// Whoever alters the credential from here on is noticed.
    async fn note_date(&mut self, endpoint: &str, url: &str) -> Result<Sql, Halt> {
        let said = self.read_credentials(endpoint).await?;
        if said.is_ok() {
            self.seen_dates.insert(url.to_ascii_lowercase(), self.credentials.date_of(url));
        }
        Ok(said)
    }

    async fn put_back(&mut self, endpoint: &str, url: &str, verb: &str, held: &str, cause: &str) -> Result<Halt, Halt> {
        let name = quoted_name(&self.credentials.as_spelled(url));
        let mut restored = false;
        if verb == "CREATE" {
            restored = self.run_sql(endpoint, &format!("DROP CREDENTIAL {name};")).await?.is_ok();
        } else if !held.is_empty() && self.read_key_of(held).await? {
            let alter = format!("ALTER CREDENTIAL {name} {}", self.with_access_key());
            restored = self.run_sql(endpoint, &alter).await?.is_ok();
        }
        self.take_target_key_again();
        let outcome = if restored { HostError::ProofFailedRestored } else { HostError::ProofFailedNotRestored };
        Ok(self.fail_instance(endpoint, outcome, cause))
    }

    fn fail_sql(&mut self, endpoint: &str, name: HostError, said: &str) -> Halt {
        self.fail_instance(endpoint, sql_failure(said, name), said)
    }

    fn with_access_key(&self) -> String {
        let (id, secret) = (&self.key.id, self.key.secret.replace('\'', "''"));
        format!("WITH IDENTITY = 'S3 Access Key', SECRET = N'{id}:{secret}';")
    }
}

/// SQL Server assumes us-east-1 unless told (FACTS B). A host name that is not AWS's needs no region.
fn region_of(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    REGION.captures(&url).and_then(|found| found.get(4)).map(|region| region.as_str().to_owned())
}

fn quoted_name(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}
