//! `laminar record`: makes witness blocks from an Ethereum node.
use crate::ending::Ended;
/// Record.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) fn run(_args: &Args) -> anyhow::Result<Ended> { anyhow::bail!("not yet") }
