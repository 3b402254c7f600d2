//! `laminar completions` and `laminar man`: what shells and readers want to know of the command, from the command itself.
//!
//! Place in the flow: two subcommands that look at the definition of all of them.
//! Invariant: nothing here names a flag, so nothing here can be out of date.

use crate::ending::Ended;
use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;
use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

/// `laminar completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `laminar man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write a page for each subcommand into this folder, instead of the first page to stdout.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes the completions of a shell to stdout.
///
/// # Errors
/// Nobody reads them.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "laminar", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Ended::Success)
}

/// Writes the manual.
///
/// # Errors
/// It cannot be written there.
pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<Ended> {
    match &args.out {
        Some(folder) => {
            fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .with_context(|| format!("writing to {}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            io::stdout().write_all(&page)?;
        }
    }
    Ok(Ended::Success)
}
