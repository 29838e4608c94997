//! Microsoft's `sqlcmd` 18 for Linux, as far as the scripts use it: options, batches, output and exit codes.
//!
//! FACTS B: `-b` makes an exit code of 1 from an error above severity 10, and without it SQL errors leave 0; `-x`
//! disables `$(variable)` substitution; the password comes from SQLCMDPASSWORD; the ODBC 18 driver encrypts and
//! validates the server's certificate unless `-C` trusts it.

use jiff::Timestamp;

use super::protocol::{Call, Reply};
use super::sql_server::{BackupObject, Connection, S3Answer, SqlMessage, SqlServer};

/// The Windows account of the SSM agent. It has no password of its own: Windows vouches for it.
pub const LOCAL_SYSTEM: &str = r"NT AUTHORITY\SYSTEM";

const DRIVER: &str = "Sqlcmd: Error: Microsoft ODBC Driver 18 for SQL Server :";

/// The command line, read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    server: String,
    login: Option<String>,
    database: Option<String>,
    input_file: Option<String>,
    query: Option<String>,
    stop_on_error: bool,
    no_variables: bool,
    errors_to_stderr: bool,
    encrypt: bool,
    integrated: bool,
    trust_server_certificate: bool,
}

/// What is done on an instance once it was found.
pub type Session<'a> = dyn FnMut(&mut SqlServer) -> Reply + 'a;

/// Runs one call of sqlcmd. `servers` finds the instance that listens at a host and port.
pub fn run(
    call: &Call,
    now: Timestamp,
    servers: &mut dyn FnMut(&str, u16, &mut Session<'_>) -> Option<Reply>,
    store: &dyn Fn(BackupObject<'_>) -> S3Answer,
) -> Reply {
    let options = match Options::parse(&call.arguments) {
        Ok(options) => options,
        Err(complaint) => return failure(&format!("Sqlcmd: {complaint}")),
    };
    let text = match options.text(&call.stdin) {
        Ok(text) => text,
        Err(complaint) => return failure(&format!("Sqlcmd: {complaint}")),
    };
    let Some((host, port)) = endpoint(&options.server) else {
        return failure(&format!("{DRIVER} Login timeout expired."));
    };
    let password = call.variable("SQLCMDPASSWORD").unwrap_or_default();
    let mut work = |server: &mut SqlServer| session(server, &options, password, &text, now, store);
    servers(&host, port, &mut work).unwrap_or_else(|| {
        failure(&format!(
            "{DRIVER} TCP Provider: Error code 0x2749.\n{DRIVER} Login timeout expired.\n{DRIVER} A network-related or \
             instance-specific error has occurred while establishing a connection to {host}. Server is not found or \
             not accessible."
        ))
    })
}

fn session(
    server: &mut SqlServer,
    options: &Options,
    password: &str,
    text: &str,
    now: Timestamp,
    store: &dyn Fn(BackupObject<'_>) -> S3Answer,
) -> Reply {
    if !options.trust_server_certificate && !server.certificate_trusted {
        return failure(&format!(
            "{DRIVER} SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed certificate].\n\
             {DRIVER} Client unable to establish connection."
        ));
    }
    let connection = match options.log_in(server, password) {
        Ok(connection) => connection,
        Err(refusal) => return failure(&complaint_of(&refusal, options)),
    };
    let mut reply = Reply::default();
    for batch in batches(text) {
        if !options.no_variables && batch.contains("$(") {
            return failure("'variable' scripting variable not defined.");
        }
        match server.execute(&connection, &batch, now, store) {
            Ok(rows) => print_rows(&mut reply.stdout, &rows),
            Err(messages) => {
                let stream = if options.errors_to_stderr { &mut reply.stderr } else { &mut reply.stdout };
                messages.iter().for_each(|message| print_message(stream, message));
                if options.stop_on_error {
                    reply.exit_code = 1;
                    return reply;
                }
            }
        }
    }
    reply
}

/// The driver says what the server said without its number, and after a database that cannot be opened that the login
/// failed.
fn complaint_of(refusal: &SqlMessage, options: &Options) -> String {
    let said = format!("{DRIVER} {}.", refusal.text);
    match refusal.number {
        4060 => format!("{said}\n{DRIVER} Login failed for user '{}'..", options.login.as_deref().unwrap_or_default()),
        _ => said,
    }
}

/// With -h -1 and -W: rows without heading or padding, then a count.
fn print_rows(stdout: &mut Vec<u8>, rows: &[String]) {
    for row in rows {
        stdout.extend_from_slice(row.as_bytes());
        stdout.push(b'\n');
    }
    let count = rows.len();
    stdout.extend_from_slice(format!("\n({count} rows affected)\n").as_bytes());
}

fn print_message(stream: &mut Vec<u8>, message: &SqlMessage) {
    let SqlMessage { number, severity, text } = message;
    let line = format!("Msg {number}, Level {severity}, State 1, Server SQLHOST, Line 1\n{text}\n");
    stream.extend_from_slice(line.as_bytes());
}

fn failure(complaint: &str) -> Reply {
    Reply { exit_code: 1, stdout: Vec::new(), stderr: format!("{complaint}\n").into_bytes() }
}

/// Lines up to a line that says GO are a batch; what follows the last GO is one too.
pub fn batches(text: &str) -> Vec<String> {
    let mut batches = vec![String::new()];
    for line in text.lines() {
        if line.trim().eq_ignore_ascii_case("go") {
            batches.push(String::new());
        } else if let Some(batch) = batches.last_mut() {
            batch.push_str(line);
            batch.push('\n');
        }
    }
    batches.retain(|batch| !batch.trim().is_empty());
    batches
}

/// `tcp:host` or `tcp:host,port`; 1433 is the default instance's port. Shared memory, `lpc:.\NAME`, has none.
fn endpoint(server: &str) -> Option<(String, u16)> {
    if server.starts_with("lpc:") {
        return Some((server.to_ascii_lowercase(), 0));
    }
    let server = server.strip_prefix("tcp:").unwrap_or(server);
    match server.split_once(',') {
        Some((host, port)) => Some((host.to_ascii_lowercase(), port.parse().ok()?)),
        None => Some((server.to_ascii_lowercase(), 1433)),
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value =
                || rest.next().cloned().ok_or_else(|| format!("'{argument}': Missing argument. Enter '-?' for help."));
            match argument.as_str() {
                "-S" => options.server = value()?,
                "-U" => options.login = Some(value()?),
                "-d" => options.database = Some(value()?),
                "-i" => options.input_file = Some(value()?),
                "-Q" => options.query = Some(value()?),
                "-b" => options.stop_on_error = true,
                "-x" => options.no_variables = true,
                "-r" => options.errors_to_stderr = ["0", "1"].contains(&value()?.as_str()),
                "-N" => options.encrypt = true,
                "-E" => options.integrated = true,
                "-C" => options.trust_server_certificate = true,
                "-W" => {}
                "-h" => within(argument, &value()?, -1..=i64::from(i32::MAX))?,
                "-w" => within(argument, &value()?, 9..=65_535)?,
                "-l" | "-t" => within(argument, &value()?, 0..=65_534)?,
                unknown => return Err(format!("'{unknown}': Unknown Option. Enter '-?' for help.")),
            }
        }
        if options.input_file.is_some() && options.query.is_some() {
            return Err("The -i and the -Q options are mutually exclusive.".to_owned());
        }
        if options.integrated && options.login.is_some() {
            return Err("The -E and the -U/-P options are mutually exclusive.".to_owned());
        }
        Ok(options)
    }

    /// With integrated authentication as the account that the agent runs as.
    fn log_in(&self, server: &mut SqlServer, password: &str) -> Result<Connection, SqlMessage> {
        if self.integrated {
            return server.log_in_with_windows(LOCAL_SYSTEM);
        }
        server.log_in(self.login.as_deref().unwrap_or_default(), password, self.database.as_deref())
    }

    /// What is to be executed. The stand-in sends its standard input, which is all of /dev/stdin.
    fn text(&self, stdin: &[u8]) -> Result<String, String> {
        match (&self.query, self.input_file.as_deref()) {
            (Some(query), _) => Ok(query.clone()),
            (None, None | Some("/dev/stdin")) => Ok(String::from_utf8_lossy(stdin).into_owned()),
            (None, Some(file)) => Err(format!("'{file}': Invalid filename.")),
        }
    }
}

fn within(option: &str, value: &str, range: std::ops::RangeInclusive<i64>) -> Result<(), String> {
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(()),
        Ok(_) | Err(_) => Err(format!("'{option} {value}': Unexpected argument. Enter '-?' for help.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlcmd(arguments: &[&str], stdin: &str, password: &str) -> Reply {
        let call = Call {
            program: "sqlcmd".to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            stdin: stdin.as_bytes().to_vec(),
            environment: vec![("SQLCMDPASSWORD".to_owned(), password.to_owned())],
            ..Call::default()
        };
        let mut server = SqlServer::new(16, "rotator", "p");
        run(
            &call,
            Timestamp::UNIX_EPOCH,
            &mut |host, port, work| ((host, port) == ("localhost", 1433)).then(|| work(&mut server)),
            &|_| Ok(()),
        )
    }

    #[test]
    fn an_sql_error_is_an_exit_code_only_with_b() {
        let arguments = ["-S", "tcp:localhost", "-U", "rotator", "-x"];
        assert_eq!(sqlcmd(&arguments, "SELECT 1\nGO\n", "p").exit_code, 0);
        let with_b = [arguments.as_slice(), &["-b"]].concat();
        let reply = sqlcmd(&with_b, "SELECT 1\nGO\n", "p");
        assert_eq!(reply.exit_code, 1);
        assert!(String::from_utf8_lossy(&reply.stdout).starts_with("Msg 102, Level 15"), "{reply:?}");
    }

    #[test]
    fn a_wrong_password_and_a_silent_port_are_told_apart() {
        let refused = sqlcmd(&["-S", "tcp:localhost", "-U", "rotator"], "", "wrong");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Login failed for user 'rotator'"));
        let silent = sqlcmd(&["-S", "tcp:localhost,1434", "-U", "rotator"], "", "p");
        assert!(String::from_utf8_lossy(&silent.stderr).contains("Login timeout expired"));
        assert_eq!((refused.exit_code, silent.exit_code), (1, 1));
    }

    #[test]
    fn without_x_a_dollar_parenthesis_is_a_variable() {
        let reply = sqlcmd(&["-S", "localhost", "-U", "rotator"], "DROP CREDENTIAL [s3://$(x)]\nGO\n", "p");
        assert!(String::from_utf8_lossy(&reply.stderr).contains("scripting variable not defined"));
    }

    #[test]
    fn an_option_that_sqlcmd_does_not_know_is_refused() {
        let reply = sqlcmd(&["-S", "localhost", "--secret"], "", "p");
        assert_eq!(reply.exit_code, 1);
        assert!(String::from_utf8_lossy(&reply.stderr).contains("'--secret': Unknown Option"));
    }
}
