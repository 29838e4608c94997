//! The log, the failures and the one JSON object, byte for byte as `host/linux.sh` prints them.

use rotation::host_answer::HostError;

use super::{Document, End, HOST_FAILED, Halt, INSTANCE_FAILED, NOT_VISIBLE_YET, Run, SUCCEEDED};

const ANSWER_LIMIT_BYTES: usize = 1950;
const MESSAGE_LIMIT_BYTES: usize = 240;

impl Run {
    /// What the agent gets of the script.
    pub(super) fn end(&mut self, exit_code: i32) -> End {
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        End { exit_code: Some(exit_code), stdout: stdout.into_bytes(), stderr: stderr.into_bytes() }
    }

    pub(super) fn time(&self) -> String {
        self.host.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Whether the line is on the disk, which stops nobody who does not ask.
    pub(super) fn log(&mut self, text: &str) -> bool {
        let version = if self.version.is_empty() { "?" } else { &self.version };
        let line = format!("{} {} {version} {}", self.time(), self.asked.rotation, self.without_secrets(text));
        let is_kept = !self.log_is_open || {
            let log = self.file("log");
            self.host.lock().disk.append(&log, &line)
        };
        self.stderr.push_str(&line);
        self.stderr.push('\n');
        is_kept
    }

    /// Records it; whoever gets the answer goes on to the next instance.
    pub(super) fn fail_instance(&mut self, endpoint: &str, error: HostError, message: &str) -> Halt {
        self.failed += 1;
        let (error, instance, text) = (error.name(), self.json_text(endpoint), self.json_text(message));
        self.failures.push(format!("{{\"instance\":\"{instance}\",\"error\":\"{error}\",\"message\":\"{text}\"}}"));
        self.log(&format!("{endpoint}: {error}: {message}"));
        Halt::Instance
    }

    pub(super) fn fail_host(&mut self, error: HostError, message: &str) -> Halt {
        self.fail_instance("", error, message);
        self.print_answer();
        Halt::Exited(if error == HostError::VersionNotVisibleYet {
            NOT_VISIBLE_YET
        } else if self.touched {
            INSTANCE_FAILED
        } else {
            HOST_FAILED
        })
    }

    pub(super) fn answer_and_exit(&mut self) -> Halt {
        self.print_answer();
        Halt::Exited(if self.failed > 0 { INSTANCE_FAILED } else { SUCCEEDED })
    }

    fn print_answer(&mut self) {
        let inspected = match self.document {
            Document::Apply => None,
            Document::Inspect => Some(format!(",\"inspected\":{{\"instances\":{},\"seen\":[", self.instances)),
        };
        let reserved = inspected.as_ref().map_or(0, |inspected| inspected.len() + 3);
        let mut answer = self.counts();
        let mut room = (ANSWER_LIMIT_BYTES as isize) - (answer.len() + 32 + reserved) as isize;
        answer += ",\"failures\":[";
        add_what_fits(&mut answer, &mut room, &self.failures);
        answer += "],\"blocking\":[";
        add_what_fits(&mut answer, &mut room, &self.blocking);
        answer += "]";
        if let Some(inspected) = inspected {
            answer += &inspected;
            add_what_fits(&mut answer, &mut room, &self.seen);
            answer += "]}";
        }
        answer += "}\n";
        self.stdout += &answer;
    }

    fn counts(&self) -> String {
        let member = |name: &str, text: &str| match text {
            "" => String::new(),
            text => format!(",\"{name}\":\"{text}\""),
        };
        let (version, found) = (member("version", &self.version), member("found", &self.found));
        let (proved, changed, failed) = (self.proved, self.changed.len(), self.failed);
        format!(
            "{{\"rotation\":\"{}\"{version}{found},\"proved\":{proved},\"changed\":{changed},\"nothingToHold\":{},\
             \"failed\":{failed}",
            self.asked.rotation, self.nothing_to_hold
        )
    }

    /// No message of a tool is passed on before the secret values were taken out of it.
    fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let doubled = self.key.secret.replace('\'', "''");
        for value in [&self.key.secret, &doubled, &self.administrator_password] {
            if !value.is_empty() {
                text = text.replace(value.as_str(), "***");
            }
        }
        // Byte by byte, as under the script's locale.
        text.bytes().map(|byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { ' ' }).collect()
    }

    /// A text shortened, inside the quotes of JSON.
    pub(super) fn json_text(&self, text: &str) -> String {
        let mut text = self.without_secrets(text);
        text.truncate(MESSAGE_LIMIT_BYTES);
        text.replace('\\', "\\\\").replace('"', "\\\"")
    }
}

/// SSM keeps 2,500 characters of an output in lists (FACTS C): names as many as fit.
fn add_what_fits(answer: &mut String, room: &mut isize, items: &[String]) {
    let mut comma = "";
    for item in items {
        *room -= item.len() as isize + 1;
        if *room < 0 {
            break;
        }
        *answer += comma;
        *answer += item;
        comma = ",";
    }
}
