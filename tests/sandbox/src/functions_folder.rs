//! Where the functions' binaries are: built by cargo beside whatever runs the sandbox.
//!
//! Cargo builds the binaries of other packages neither for `cargo run -p sandbox` nor for a test, so the sandbox asks
//! it to, once a process. When they are fresh that takes a fraction of a second.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use rotation::settings::Credential;

/// The functions: crate names, which are the binaries' names.
pub const FUNCTIONS: [&str; 9] = [
    "enumerate-instances",
    "plan-rotation",
    "rotate-iam-key",
    "rotate-login-password",
    "send-command",
    "poll-command",
    "promote-stage",
    "retire-iam-key",
    "retire-login-password",
];

/// The functions behind the state machine of a rotation of this kind.
pub fn functions_for(credential: &Credential) -> impl Iterator<Item = &'static str> {
    let others = match credential {
        Credential::AccessKey(_) => ["rotate-login-password", "retire-login-password"],
        Credential::Login(_) => ["rotate-iam-key", "retire-iam-key"],
    };
    FUNCTIONS.into_iter().filter(move |function| !others.contains(function))
}

/// The token of a function in the definition: `send-command` is `SendCommandFunctionArn`. Where each kind of credential
/// has a function of its own, the token is the state's.
pub fn token_of(function: &str) -> String {
    match function {
        "rotate-iam-key" | "rotate-login-password" => return "StageCredentialFunctionArn".to_owned(),
        "retire-iam-key" | "retire-login-password" => return "RetireCredentialFunctionArn".to_owned(),
        _ => {}
    }
    let capitalised = function.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    });
    format!("{}FunctionArn", capitalised.collect::<String>())
}

/// The folder that holds the binaries, after they were built.
///
/// # Errors
/// What cargo said, when it could not build them.
pub fn functions_folder() -> Result<PathBuf, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(build).clone()
}

#[allow(clippy::disallowed_methods, reason = "cargo is told apart from the sandbox by cargo's own variable")]
fn build() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut folder = program.parent().map(PathBuf::from).unwrap_or_default();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        // The whole workspace, as the tests build it: another selection would have other features, and the SDK's crates
        // would be compiled a second time, for minutes.
        .args(["build", "--quiet", "--workspace", "--bins"]);
    // What cargo tells a test about its own package would make it compile again every crate whose build script looks at
    // that, for half a minute, and once more when it is called from outside the test.
    let of_a_package =
        |name: &String| name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|its| name.starts_with(its));
    std::env::vars().map(|(name, _)| name).filter(of_a_package).for_each(|name| {
        command.env_remove(name);
    });
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("the functions could not be built:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_token_is_the_crates_name_in_capitals_or_the_states_where_each_kind_has_a_crate() {
        assert_eq!(super::token_of("send-command"), "SendCommandFunctionArn");
        for staging in ["rotate-iam-key", "rotate-login-password"] {
            assert_eq!(super::token_of(staging), "StageCredentialFunctionArn");
        }
    }
}
