//! What a Windows host knows of its SQL Server instances, and the engine that runs its script here.
//!
//! On Windows nothing lists the instances: the script finds them in the registry, asks the service manager whether they
//! run and the cluster who owns them. Here these three are one text file, written from the model of the host before
//! each command; `windows/replacements.ps1` answers from it in place of the script's own few functions that touch
//! Windows. Everything else of the script is what runs in production, under the PowerShell that PWSH names.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

mod probe;

use super::sql_server::SqlServer;

/// How Windows knows an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// The instance's name; without one MSSQLSERVER where it listens on 1433, else SQL and its port.
    pub name: Option<String>,
    /// Whether its port is one that Windows gave it at its last start.
    pub dynamic_port: bool,
    /// Whether it listens on one address only, not on all.
    pub one_address: bool,
    /// Whether TCP is switched off, so that only shared memory reaches it.
    pub without_tcp: bool,
    /// The cluster that it belongs to.
    pub cluster: Option<Cluster>,
}

/// The cluster of a SQL Server failover cluster instance. Whether this node runs it is whether its service runs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The virtual network name, at which clients find the instance on whichever node it runs.
    pub virtual_name: String,
    /// What the cluster service says of the instance's group; `None` where it does not answer.
    pub group: Option<Group>,
}

/// A cluster's group: the node that owns it, and Online, Offline or Failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The node.
    pub node: String,
    /// The state.
    pub state: String,
}

impl Installation {
    /// The instance's name in the registry and in the script's answer.
    pub fn name_at(&self, port: u16) -> String {
        let by_port = || if port == 1433 { "MSSQLSERVER".to_owned() } else { format!("SQL{port}") };
        self.name.clone().unwrap_or_else(by_port)
    }
}

/// The PowerShell that runs Windows scripts, and what stands in for Windows there.
#[derive(Clone, Debug)]
pub struct Engine {
    program: PathBuf,
    variables: Vec<(String, String)>,
    dotnet: Option<PathBuf>,
    replacements: String,
}

/// The beginnings of the variables' names by which .NET finds itself and its libraries.
const OF_THE_RUNTIME: [&str; 5] = ["DOTNET_", "COMPlus_", "POWERSHELL_", "LD_LIBRARY_PATH", "HOME"];

/// Why a host's Windows script cannot run here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoEngine {
    /// PWSH is not set.
    #[error(
        "no PowerShell runs a Windows host's script here: set PWSH to the path of pwsh, or take the host for Linux"
    )]
    NotNamed,
    /// PWSH names what cannot be started.
    #[error("PWSH names {program}, which cannot be started ({cause}): set it to the path of pwsh")]
    NotFound {
        /// The program.
        program: PathBuf,
        /// Why.
        cause: String,
    },
    /// PWSH names a program that runs no PowerShell script.
    #[error("PWSH names {program}, which runs no PowerShell script: set it to the path of pwsh")]
    NotPowerShell {
        /// The program.
        program: PathBuf,
    },
    /// The replacements are not there.
    #[error("{path} cannot be read: {cause}; it belongs to the checkout")]
    Replacements {
        /// Where they belong.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

impl Engine {
    /// The engine that the variable PWSH names. It is tried once, since every host of a fleet asks for it and a
    /// PowerShell takes a moment to start.
    ///
    /// # Errors
    /// When it names none.
    #[allow(clippy::disallowed_methods, reason = "a local AWS has no configuration of its own to put it in")]
    pub fn from_environment() -> Result<Engine, NoEngine> {
        static TRIED: OnceLock<Result<Engine, NoEngine>> = OnceLock::new();
        let named = || std::env::var_os("PWSH").filter(|program| !program.is_empty()).ok_or(NoEngine::NotNamed);
        TRIED.get_or_init(|| Engine::named(Path::new(&named()?))).clone()
    }

    #[allow(clippy::disallowed_methods, reason = "the runtime of .NET is found by variables of its own")]
    fn named(program: &Path) -> Result<Engine, NoEngine> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host/windows/replacements.ps1");
        let unread = |error: std::io::Error| NoEngine::Replacements { path: path.clone(), cause: error.to_string() };
        let replacements = fs::read_to_string(&path).map_err(unread)?;
        let variables = std::env::vars().filter(|(name, _)| OF_THE_RUNTIME.iter().any(|known| name.starts_with(known)));
        let dotnet = Some(found(Path::new("dotnet"))).filter(|dotnet| dotnet.is_file());
        let engine = Engine { program: found(program), variables: variables.collect(), dotnet, replacements };
        probe::runs_scripts(&engine)?;
        Ok(engine)
    }

    /// What stands between the program and a script's file, for the host's script and for the probe alike.
    pub const SWITCHES: [&str; 3] = ["-NoProfile", "-NonInteractive", "-File"];

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// .NET's own program where this machine has it: an engine may be a script that starts it by its name.
    pub fn dotnet(&self) -> Option<&Path> {
        self.dotnet.as_deref()
    }

    /// What the engine itself needs in its environment.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The script with the replacements between its definitions and its last line, the only one that does anything.
    pub fn with_replacements(&self, script: &str) -> String {
        let script = script.trim_end();
        let (definitions, last) = script.rsplit_once('\n').unwrap_or(("", script));
        format!("{definitions}\n{}\n{last}\n", self.replacements)
    }
}

/// A program's whole path, since a script runs in a folder and with a PATH of its own.
#[allow(clippy::disallowed_methods, reason = "a name without a folder is looked for as a shell would")]
fn found(program: &Path) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    let bare = program.components().count() == 1;
    let whole = bare.then(in_path).flatten().or_else(|| std::path::absolute(program).ok());
    whole.unwrap_or_else(|| program.to_owned())
}

/// The one cluster that all nodes here belong to, as its service writes it below HKLM\Cluster.
const CLUSTER: &str = "3f2c9b1e-5d47-4a0e-9c1b-7a6d5e4f3a21";
const INSTANCES: &str = r"SOFTWARE\Microsoft\Microsoft SQL Server";

/// The registry, the services and the cluster of a host, a line each: `path|name|value`, `service|name|state`,
/// `cluster|virtual name|node|state`.
pub fn fixture<'a>(servers: impl Iterator<Item = (&'a str, u16, &'a SqlServer)>) -> String {
    let mut lines = String::new();
    for (host, port, server) in servers {
        // Writing to a String does not fail.
        let _ = describe(&mut lines, host, port, server);
    }
    lines
}

fn describe(lines: &mut String, host: &str, port: u16, server: &SqlServer) -> std::fmt::Result {
    let installation = &server.installation;
    let name = installation.name_at(port);
    let id = format!("MSSQL{}.{name}", server.major_version);
    let edition = if server.engine_edition == 4 { "Express Edition (64-bit)" } else { "Standard Edition (64-bit)" };
    writeln!(lines, r"{INSTANCES}\Instance Names\SQL|{name}|{id}")?;
    writeln!(lines, r"{INSTANCES}\{id}\Setup|Version|{}", server.product_version())?;
    writeln!(lines, r"{INSTANCES}\{id}\Setup|Edition|{edition}")?;
    describe_tcp(lines, &format!(r"{INSTANCES}\{id}\MSSQLServer\SuperSocketNetLib\Tcp"), host, port, installation)?;
    let service = if name == "MSSQLSERVER" { name } else { format!("MSSQL${name}") };
    let state = if server.running { "Running" } else { "Stopped" };
    writeln!(lines, "service|{service}|{state}")?;
    if let Some(cluster) = &installation.cluster {
        writeln!(lines, r"{INSTANCES}\{id}\Cluster|ClusterName|{}", cluster.virtual_name)?;
        writeln!(lines, "Cluster|ClusterInstanceID|{CLUSTER}")?;
        if let Some(Group { node, state }) = &cluster.group {
            writeln!(lines, "cluster|{}|{node}|{state}", cluster.virtual_name)?;
        }
    }
    Ok(())
}

/// An address that is switched off keeps its port in the registry: a script that took it would ask in vain.
fn describe_tcp(
    lines: &mut String,
    path: &str,
    host: &str,
    port: u16,
    installation: &Installation,
) -> std::fmt::Result {
    writeln!(lines, "{path}|Enabled|{}", u8::from(!installation.without_tcp))?;
    writeln!(lines, "{path}|ListenOnAllIPs|{}", u8::from(!installation.one_address))?;
    let ports = |port: u16| {
        if installation.dynamic_port { (String::new(), port.to_string()) } else { (port.to_string(), String::new()) }
    };
    let addresses = [("IP1", "10.0.0.9", 0, 1), ("IP2", host, 1, port)];
    for (key, address, enabled, port) in addresses.into_iter().filter(|_| installation.one_address) {
        let (fixed, dynamic) = ports(port);
        writeln!(lines, r"{path}\{key}|Enabled|{enabled}")?;
        writeln!(lines, r"{path}\{key}|IpAddress|{address}")?;
        writeln!(lines, r"{path}\{key}|TcpPort|{fixed}")?;
        writeln!(lines, r"{path}\{key}|TcpDynamicPorts|{dynamic}")?;
    }
    let (fixed, dynamic) = ports(if installation.one_address { 1 } else { port });
    writeln!(lines, r"{path}\IPAll|TcpPort|{fixed}")?;
    writeln!(lines, r"{path}\IPAll|TcpDynamicPorts|{dynamic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(installation: Installation, running: bool) -> Vec<String> {
        let mut server = SqlServer::new(16, "rotator", "p");
        server.installation = installation;
        server.running = running;
        fixture([("sqlprod", 1501, &server)].into_iter()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_registry_names_each_instance_and_its_port() {
        let lines = lines(Installation { name: Some("PROD".to_owned()), ..Installation::default() }, true);
        for line in [
            r"SOFTWARE\Microsoft\Microsoft SQL Server\Instance Names\SQL|PROD|MSSQL16.PROD",
            r"SOFTWARE\Microsoft\Microsoft SQL Server\MSSQL16.PROD\Setup|Version|16.0.1000.6",
            r"SOFTWARE\Microsoft\Microsoft SQL Server\MSSQL16.PROD\MSSQLServer\SuperSocketNetLib\Tcp\IPAll|TcpPort|1501",
            "service|MSSQL$PROD|Running",
        ] {
            assert!(lines.iter().any(|known| known == line), "{line} in {lines:#?}");
        }
    }

    #[test]
    fn a_dynamic_port_stands_beside_an_empty_fixed_one() {
        let lines = lines(Installation { dynamic_port: true, ..Installation::default() }, true);
        assert!(lines.iter().any(|line| line.ends_with(r"\IPAll|TcpPort|")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with(r"\IPAll|TcpDynamicPorts|1501")), "{lines:#?}");
    }

    #[test]
    fn a_cluster_that_does_not_answer_has_no_line() {
        let cluster = |group| Some(Cluster { virtual_name: "SQLPROD".to_owned(), group });
        let silent = lines(Installation { cluster: cluster(None), ..Installation::default() }, false);
        assert!(silent.iter().all(|line| !line.starts_with("cluster|")), "{silent:#?}");
        let group = Group { node: "NODE2".to_owned(), state: "Online".to_owned() };
        let elsewhere = lines(Installation { cluster: cluster(Some(group)), ..Installation::default() }, false);
        assert!(elsewhere.contains(&"cluster|SQLPROD|NODE2|Online".to_owned()), "{elsewhere:#?}");
        assert!(elsewhere.contains(&"service|MSSQL$SQL1501|Stopped".to_owned()), "{elsewhere:#?}");
    }

    #[test]
    fn replacements_win_over_the_scripts_own_functions_and_the_last_line_stays_the_last() {
        let engine = Engine {
            program: PathBuf::new(),
            variables: Vec::new(),
            dotnet: None,
            replacements: "function Get-X { 2 }".to_owned(),
        };
        let script = engine.with_replacements("function Get-X { 1 }\nexit (Get-X)\n\n");
        assert_eq!(script, "function Get-X { 1 }\nfunction Get-X { 2 }\nexit (Get-X)\n");
    }
}
