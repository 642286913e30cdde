//! What can be typed behind `windlass memcached`: as far as they mean the same, memcached's own letters.

use clap::Args;
use windlass::Address;

use super::{Eviction, STORE, ServingArgs, StoreArgs, value_max};
use crate::quantity;

pub(super) const ABOUT: &str = "\
Serve an in-memory cache to memcached clients

Text commands and binary requests on the same port: the first byte of a connection tells which. \
Clients, drivers and tools of memcached work as they are. \
When memory is full, what was not used for longest goes. \
Everything is lost when the server stops. One worker serves all: there is one keyspace.

Stdout gets one `Listening on` line for each address, and a summary at the end, in which a message is a \
command. Ctrl-C (or SIGTERM) drains, a second one stops at once.";

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --memory-max is WINDLASS_MEMORY_MAX, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass memcached
      On 127.0.0.1:11211. Try `printf 'version\\r\\nquit\\r\\n' | nc 127.0.0.1 11211`.
  windlass memcached -m 1024 -I 2m
      A gibibyte of memory, values of up to 2 MiB.
  windlass memcached --eviction noeviction
      When memory is full, what is new is refused.
  windlass memcached unix:/run/cache.sock -q
      On a Unix socket, printing nothing but where it listens.";

/// The flags of `windlass memcached`.
#[derive(Args)]
pub(crate) struct MemcachedArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:11211", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// Memory that keys and values may take, their tables included; a number without a unit is in MiB
    #[arg(short = 'm', long, value_name = "SIZE", default_value = "64MiB", help_heading = STORE)]
    #[arg(env = "WINDLASS_MEMORY_MAX", hide_env = true, value_parser = memory)]
    pub(crate) memory_max: usize,

    /// The longest value
    #[arg(short = 'I', long, value_name = "SIZE", default_value = "1MiB", help_heading = STORE)]
    #[arg(env = "WINDLASS_VALUE_MAX", hide_env = true, value_parser = value_max)]
    pub(crate) value_max: usize,

    /// What goes when memory is full
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Eviction::AllkeysLru, help_heading = STORE)]
    #[arg(env = "WINDLASS_EVICTION", hide_env = true)]
    pub(crate) eviction: Eviction,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

impl MemcachedArgs {
    pub(crate) fn store(&self) -> StoreArgs {
        StoreArgs { memory_max: self.memory_max, value_max: self.value_max, eviction: self.eviction }
    }
}

/// `64` is 64 MiB, as with memcached; with a unit it is what it says.
fn memory(text: &str) -> Result<usize, String> {
    match text.trim().parse::<usize>() {
        Ok(mebibytes) => mebibytes.checked_mul(1 << 20).ok_or_else(|| "too much".into()),
        Err(_) => quantity::size(text),
    }
}
