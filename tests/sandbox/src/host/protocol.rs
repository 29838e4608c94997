//! What a stand-in on a host and the sandbox say to each other over loopback: length-prefixed byte strings.
//!
//! This file is compiled twice, into the sandbox and into the stand-in (`tests/sandbox/standin`), so that both speak
//! the same language. It uses std only: the stand-in starts in a millisecond, and a script starts many.

use std::io::{self, Read, Write};

/// One program's start, as the sandbox needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The name under which the stand-in was started: `sqlcmd` or `aws`.
    pub program: String,
    /// The arguments after the name.
    pub arguments: Vec<String>,
    /// All of standard input, where the program reads it.
    pub stdin: Vec<u8>,
    /// The few variables that the programs obey, as name and value.
    pub environment: Vec<(String, String)>,
    /// The names of all variables that the process has.
    pub environment_names: Vec<String>,
}

/// What the stand-in prints and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The exit code.
    pub exit_code: u8,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// More than a whole script would send; a longer length is a broken peer.
const LONGEST: u32 = 16 * 1024 * 1024;

impl Call {
    /// Writes the call.
    ///
    /// # Errors
    /// When the other end is gone.
    #[allow(dead_code, reason = "the sandbox reads calls and the stand-in writes them")]
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write_bytes(to, self.program.as_bytes())?;
        write_list(to, self.arguments.iter().cloned())?;
        write_bytes(to, &self.stdin)?;
        write_list(to, self.environment.iter().flat_map(|(name, value)| [name.clone(), value.clone()]))?;
        write_list(to, self.environment_names.iter().cloned())
    }

    /// Reads a call.
    ///
    /// # Errors
    /// When the other end is gone or speaks another language.
    #[allow(dead_code, reason = "the sandbox reads calls and the stand-in writes them")]
    pub fn read(from: &mut impl Read) -> io::Result<Call> {
        let program = read_text(from)?;
        let arguments = read_list(from)?;
        let stdin = read_bytes(from)?;
        let environment = read_list(from)?.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Ok(Call { program, arguments, stdin, environment, environment_names: read_list(from)? })
    }

    /// The value of one of the variables that were sent.
    #[allow(dead_code, reason = "the sandbox reads calls and the stand-in writes them")]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Reply {
    /// Writes the reply.
    ///
    /// # Errors
    /// When the other end is gone.
    #[allow(dead_code, reason = "the sandbox writes replies and the stand-in reads them")]
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&[self.exit_code])?;
        write_bytes(to, &self.stdout)?;
        write_bytes(to, &self.stderr)
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// When the other end is gone or speaks another language.
    #[allow(dead_code, reason = "the sandbox writes replies and the stand-in reads them")]
    pub fn read(from: &mut impl Read) -> io::Result<Reply> {
        let mut exit_code = [0];
        from.read_exact(&mut exit_code)?;
        Ok(Reply { exit_code: exit_code[0], stdout: read_bytes(from)?, stderr: read_bytes(from)? })
    }
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("a string too long to send"))?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(bytes)
}

fn write_list(to: &mut impl Write, items: impl Iterator<Item = String>) -> io::Result<()> {
    let items: Vec<String> = items.collect();
    write_bytes(to, items.len().to_string().as_bytes())?;
    items.iter().try_for_each(|item| write_bytes(to, item.as_bytes()))
}

fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::other("a string too long to be one of ours"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(from: &mut impl Read) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(from)?).into_owned())
}

fn read_list(from: &mut impl Read) -> io::Result<Vec<String>> {
    let count: usize = read_text(from)?.parse().map_err(io::Error::other)?;
    (0..count).map(|_| read_text(from)).collect()
}
