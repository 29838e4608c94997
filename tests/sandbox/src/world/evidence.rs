//! Every text that a run leaves anywhere, for the search that looks for secrets in it (DESIGN guarantee 6).

use super::*;

impl World {
    /// Every text with the place where it was found: logs, state inputs and outputs, the journal of every call with
    /// labels, tags and command parameters, command outputs, notices, events, files left on hosts, process arguments.
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        texts.extend(self.lambda.logs().into_iter().map(|line| (format!("log of {}", line.function), line.text)));
        for execution in &self.executions() {
            texts.push((execution.name.clone(), serde_json::to_string(&execution.events).unwrap_or_default()));
            texts.push((execution.name.clone(), format!("{execution:?}")));
        }
        texts
            .extend(self.cloud.journal().iter().map(|event| (format!("event {}", event.number), format!("{event:?}"))));
        texts.extend(self.cloud.notices().iter().map(|notice| ("notice".to_owned(), format!("{notice:?}"))));
        texts.extend(self.cloud.bus_events().iter().map(|event| ("event".to_owned(), format!("{event:?}"))));
        texts.extend(self.cloud.commands().iter().map(|command| ("command".to_owned(), format!("{command:?}"))));
        texts.extend(self.cloud.instances().iter().map(|instance| ("instance".to_owned(), format!("{instance:?}"))));
        texts.push(("secret".to_owned(), format!("{:?}", self.cloud.secret(&self.settings.secret.id))));
        for host in self.fleet.hosts() {
            let processes = host.processes().into_iter();
            texts.extend(
                processes.map(|process| (format!("process on {}", host.instance_id()), format!("{process:?}"))),
            );
            for file in host.files().unwrap_or_default() {
                let content = std::fs::read(&file).unwrap_or_default();
                texts.push((file.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
            }
        }
        texts
    }
}
