//! Which server is asked: the same flags for all commands that ask one.

use std::path::PathBuf;

use clap::Args;

/// What says where the admin listener is, if it was not named, and who may ask.
#[derive(Args)]
pub(crate) struct AccessArgs {
    /// The configuration that says where the admin listener is, and its token
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml", global = true)]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// Show the token in the first line of this file
    #[arg(long, value_name = "FILE", env = "WINDLASS_TOKEN_FILE", hide_env = true, global = true)]
    pub(crate) token_file: Option<PathBuf>,
}
