//! `laminar node --config FILE.toml`: flags from a file.
//!
//! Place in the flow: before the arguments are parsed for good; each key of the file becomes the flag of that name.
//! Invariant: what stands on the command line wins over the file, flag by flag; a file can say nothing that the command line
//! cannot, and a key that is no flag is an error, never ignored.
//!
//! ```toml
//! dev = true
//! block-time = 2
//! "http.port" = 8600
//! "http.api" = ["eth", "net"]
//!
//! [rpc]
//! gascap = 30000000
//! ```

use clap::{ArgAction, ArgMatches, Command, parser::ValueSource};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// The subcommand that takes a file.
const NODE: &str = "node";
/// The flag that names it.
const CONFIG: &str = "config";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: {}", path.display(), source.message())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{}: {key}: {what}", path.display())]
    Key { path: PathBuf, key: String, what: String },
}

/// The arguments with the flags of the file that they name, if they name one.
///
/// # Errors
/// See [`ConfigError`].
pub(crate) fn with_file(command: &Command, args: Vec<OsString>) -> Result<Vec<OsString>, ConfigError> {
    // What is wrong with the arguments is said when they are parsed for good.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&args) else { return Ok(args) };
    let (Some(given), Some(node)) = (matches.subcommand_matches(NODE), command.find_subcommand(NODE)) else {
        return Ok(args);
    };
    let Ok(Some(path)) = given.try_get_one::<PathBuf>(CONFIG) else { return Ok(args) };
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    let table: Table =
        toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.clone(), source: Box::new(source) })?;
    let mut flags = Vec::new();
    File { path, node, given }.add(&mut flags, "", table)?;
    Ok(args.into_iter().chain(flags).collect())
}

/// A file while it is read.
struct File<'a> {
    path: &'a Path,
    node: &'a Command,
    /// What stands on the command line.
    given: &'a ArgMatches,
}

impl File<'_> {
    fn add(&self, flags: &mut Vec<OsString>, prefix: &str, table: Table) -> Result<(), ConfigError> {
        for (key, value) in table {
            let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(table) => self.add(flags, &key, table)?,
                value => flags.extend(self.flag(&key, &value)?),
            }
        }
        Ok(())
    }

    /// The flag that a key stands for; none if the command line has it, or if it is a switch that is off.
    fn flag(&self, key: &str, value: &Value) -> Result<Option<OsString>, ConfigError> {
        let wrong = |what: String| ConfigError::Key { path: self.path.to_owned(), key: key.to_owned(), what };
        let is_named = |arg: &&clap::Arg| {
            arg.get_long() == Some(key) || arg.get_all_aliases().is_some_and(|names| names.contains(&key))
        };
        let mut args = self.node.get_arguments().filter(|arg| arg.get_id() != CONFIG && arg.get_id() != "help");
        let arg = args.find(is_named).ok_or_else(|| wrong(format!("`laminar {NODE}` has no such flag")))?;
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let text = match value {
            Value::Boolean(on) if is_switch => {
                return Ok((*on && !self.is_given(arg)).then(|| format!("--{key}").into()));
            }
            _ if is_switch => return Err(wrong("expected true or false".to_owned())),
            Value::Array(values) => {
                let texts: Option<Vec<_>> = values.iter().map(scalar).collect();
                texts.ok_or_else(|| wrong("expected a list of strings or numbers".to_owned()))?.join(",")
            }
            value => scalar(value).ok_or_else(|| wrong("expected a string or a number".to_owned()))?,
        };
        Ok((!self.is_given(arg)).then(|| format!("--{key}={text}").into()))
    }

    fn is_given(&self, arg: &clap::Arg) -> bool {
        self.given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    /// The flags that a file adds to a command line.
    fn flags(file: &str, line: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        fs::write(&path, file).unwrap();
        let line = format!("laminar node --config {} {line}", path.display());
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let all = with_file(&Cli::command(), args.clone()).map_err(|error| error.to_string())?;
        let added: Vec<_> = all[args.len()..].iter().map(|flag| flag.to_str().unwrap().to_owned()).collect();
        assert!(Cli::command().try_get_matches_from(all).is_ok(), "{added:?}");
        Ok(added.join(" "))
    }

    #[track_caller]
    fn check(file: &str, line: &str, want: &str) {
        assert_eq!(flags(file, line), Ok(want.to_owned()), "{file:?} {line:?}");
    }

    #[track_caller]
    fn check_error(file: &str, part: &str) {
        let error = flags(file, "--dev").unwrap_err();
        assert!(error.contains(part) && error.contains("node.toml") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn each_key_is_a_flag_and_the_command_line_wins() {
        check("", "--dev", "");
        check("dev = true\nblock-time = 2", "", "--block-time=2 --dev");
        check("dev = true\nblock-time = 0.5\nhttp = false", "", "--block-time=0.5 --dev");
        check("dev = true\n\"http.port\" = 1\nport = 2", "--port 3", "--dev");
        check("dev = true", "--dev", "");
        check("[http]\napi = [\"eth\", \"net\"]\naddr = \"::1\"", "--dev", "--http.addr=::1 --http.api=eth,net");
        check("[http]\napi = [\"eth\"]", "--dev --http.api web3", "");
        check("[dev]\nblock-time = \"1s\"", "--dev", "--dev.block-time=1s");
    }

    #[test]
    fn what_is_no_flag_is_said() {
        check_error("nonsense = 1", "nonsense");
        check_error("[http]\nnonsense = 1", "http.nonsense");
        check_error("config = \"x\"", "no such flag");
        check_error("dev = 1", "expected true or false");
        check_error("\"http.port\" = true", "expected a string or a number");
        check_error("\"http.api\" = [[1]]", "expected a list");
        check_error("= 1", "node.toml");
    }
}
