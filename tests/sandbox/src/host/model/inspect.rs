//! The look that changes nothing: `inspect.sh`, function by function.

use rotation::host_answer::HostError;

use super::instances::{Instance, sql_failure};
use super::{Halt, Run};

const SELECT_RIGHT_TO_BACK_UP: &str = "SELECT N'~backup~' +
CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE'), 0));";

impl Run {
    pub(super) async fn inspect(&mut self) -> Result<(), Halt> {
        if !self.log("looking, and changing nothing") {
            let why = format!("{} cannot be written", self.path("log"));
            return Err(self.fail_host(HostError::StateNotWritable, &why));
        }
        self.read_marker();
        self.await_hinted_target().await?;
        self.read_target_key()?;
        self.read_administrator().await?;
        for endpoint in self.asked.endpoints.clone() {
            match self.inspect_instance(&endpoint).await {
                Ok(()) | Err(Halt::Instance) => {}
                Err(end) => return Err(end),
            }
        }
        Ok(())
    }

    /// Everything that an instance lacks is told at once, so that a person mends it once.
    async fn inspect_instance(&mut self, endpoint: &str) -> Result<(), Halt> {
        let instance = self.look_at_instance(endpoint).await?;
        let held = match self.look_at_credentials(endpoint, &instance).await {
            Ok(held) => held,
            Err(Halt::Instance) => String::new(),
            Err(end) => return Err(end),
        };
        self.require_right_to_back_up(endpoint).await?;
        self.record_seen(endpoint, &instance, &held);
        Ok(())
    }

    async fn look_at_credentials(&mut self, endpoint: &str, instance: &Instance) -> Result<String, Halt> {
        self.require_right_to_alter(endpoint, instance)?;
        self.list_credentials(endpoint).await?;
        self.report_blocking(endpoint);
        // What is unfit is recorded; what the marker says of the instance is told all the same.
        let _ = self.refuse_unfit_credentials(endpoint);
        Ok(self.believed_version(endpoint))
    }

    async fn require_right_to_back_up(&mut self, endpoint: &str) -> Result<(), Halt> {
        match self.run_sql(endpoint, SELECT_RIGHT_TO_BACK_UP).await? {
            Err(said) => {
                self.fail_instance(endpoint, sql_failure(&said, HostError::ConnectFailed), &said);
            }
            Ok(said) if !said.contains("~backup~1") => {
                let why = format!("{} may not back up model", self.administrator);
                self.fail_instance(endpoint, HostError::BackupNotPermitted, &why);
            }
            Ok(_) => {}
        }
        Ok(())
    }

    fn record_seen(&mut self, endpoint: &str, instance: &Instance, held: &str) {
        self.instances += 1;
        let holds = if held.is_empty() { String::new() } else { format!(",\"holds\":\"{held}\"") };
        let (name, product) = (self.json_text(endpoint), &instance.product);
        self.seen.push(format!("{{\"instance\":\"{name}\",\"product\":\"{product}\"{holds}}}"));
        let held = if held.is_empty() { "a version that no marker vouches for" } else { held };
        self.log(&format!("{endpoint}: version {product}, holds {held}"));
    }
}
