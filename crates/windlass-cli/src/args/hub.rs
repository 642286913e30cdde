//! What can be typed behind `windlass hub`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use windlass::Address;

use super::{SERVING, ServingArgs, workers};
use crate::config::hub::{Durability, QueueFull};
use crate::quantity;

pub(super) const ABOUT: &str = concat!(
    "\
Serve MQTT 3.1.1 and 5.0: an IoT hub

Clients of both versions share one space of topics. QoS 0, 1 and 2, retained messages, wills, sessions that \
outlive their connections, shared subscriptions, and all that version 5 adds. \
A connection that begins with a request of HTTP becomes a WebSocket (subprotocol mqtt), on the same port.

Everything is in memory, and gone with the process: unless --data names a folder. Then sessions, their messages, \
what is retained and wills outlive it, and what was acknowledged is on the disk, through kill -9 and a loss of power. \
One worker serves all, unless --workers says that sessions are to be dealt out among several: there is one space of \
topics whatever their number. \
Who is on this machine needs no password, and nobody else is served: \
--password-file and --acl-file say who may come and what they may do; \
tokens, certificates and more are in `[hub.identity]` of a configuration file.

",
    as_echo!("Output, signals and systemd", "a packet that was received")
);

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --queue-max is WINDLASS_QUEUE_MAX, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass hub
      On 127.0.0.1:1883. Try `mosquitto_sub -t 'a/#' -v` and `mosquitto_pub -t a/b -m hello`.
  windlass hub --data /var/lib/windlass/hub
      What was acknowledged is there after a restart, whatever ended the process.
  windlass hub :8883 --tls-cert chain.pem --tls-key key.pem --password-file users
      Over TLS, for the users of this file.
  windlass hub --workers 4
      Sessions are dealt out among four threads.
  windlass hub --queue-max 10k --when-queue-full drop-oldest
      Up to 10,000 messages wait for each client that is away; then the oldest go.";

/// The flags of `windlass hub`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HubArgs {
    #[command(subcommand)]
    pub(crate) command: Option<HubCommand>,

    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:1883", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// Users and the hashes of their passwords: a file of `windlass hub passwd` or mosquitto_passwd. With it
    /// clients elsewhere are served too, and all have to say who they are
    #[arg(long, value_name = "FILE", help_heading = SERVING)]
    #[arg(env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub(crate) password_file: Option<PathBuf>,

    /// What they may read and write: a file as Mosquitto's acl_file
    #[arg(long, value_name = "FILE", help_heading = SERVING)]
    #[arg(env = "WINDLASS_ACL_FILE", hide_env = true)]
    pub(crate) acl_file: Option<PathBuf>,

    /// The longest packet that is taken
    #[arg(long, value_name = "SIZE", default_value = "2000000", help_heading = SERVING)]
    #[arg(env = "WINDLASS_PACKET_MAX", hide_env = true, value_parser = quantity::size)]
    pub(crate) packet_max: usize,

    /// Messages that wait for one session
    #[arg(long, value_name = "N", default_value = "1k", help_heading = SERVING)]
    #[arg(env = "WINDLASS_QUEUE_MAX", hide_env = true, value_parser = quantity::count::<usize>)]
    pub(crate) queue_max: usize,

    /// The folder in which sessions, messages and what is retained outlive the process; it is made if it is not there
    #[arg(long, value_name = "FOLDER", help_heading = SERVING)]
    #[arg(env = "WINDLASS_DATA", hide_env = true)]
    pub(crate) data: Option<PathBuf>,

    /// When what is kept there is acknowledged
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Durability::Commit, help_heading = SERVING)]
    #[arg(env = "WINDLASS_DURABILITY", hide_env = true)]
    pub(crate) durability: Durability,

    /// What becomes of one more
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = QueueFull::DropNewest, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WHEN_QUEUE_FULL", hide_env = true)]
    pub(crate) when_queue_full: QueueFull,

    /// Worker threads among which sessions are dealt out; 0 is one per core. More than one pays where one core is not
    /// enough: with TLS, or with many receivers of each message
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WORKERS", hide_env = true, value_parser = workers)]
    pub(crate) workers: usize,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// What else can be done.
#[derive(Subcommand)]
pub(crate) enum HubCommand {
    /// Set or remove a user's password in a password file
    #[command(long_about = PASSWD_ABOUT, after_long_help = PASSWD_EXAMPLES)]
    Passwd(PasswdArgs),
    /// Print what a mosquitto.conf is as a windlass.toml, and what could not be carried over
    #[command(long_about = IMPORT_ABOUT, after_long_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
}

const PASSWD_ABOUT: &str = "\
Set or remove a user's password in a password file

Asks for the password twice, or takes the first line of stdin where that is no terminal; it is never taken from the \
command line, which others can see. The file is made if there is none, for its owner to read alone, and is put in the \
place of the one before in one step. Files of mosquitto_passwd are read and changed as they are. \
A hub that serves takes the file in at its next reload (SIGHUP).";

const PASSWD_EXAMPLES: &str = "\
Examples:
  windlass hub passwd users.passwd roger
      Asks for the password of roger.
  windlass hub passwd users.passwd roger < secret
      From a file.
  windlass hub passwd users.passwd roger --hash pbkdf2
      For a file that Mosquitto 2.0 reads too.
  windlass hub passwd users.passwd --upgrade
      Hashes the passwords of a file that has them as they are.
  windlass hub passwd users.passwd roger --delete
      There is no roger any more.";

/// The flags of `windlass hub passwd`.
#[derive(Args)]
pub(crate) struct PasswdArgs {
    /// The password file
    #[arg(value_name = "FILE", env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub(crate) file: PathBuf,

    /// Whose password it is
    #[arg(value_name = "USER", env = "WINDLASS_USER", hide_env = true, required_unless_present = "upgrade")]
    #[arg(conflicts_with = "upgrade")]
    pub(crate) user: Option<String>,

    /// Remove the user
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_DELETE", hide_env = true, conflicts_with = "upgrade")]
    pub(crate) delete: bool,

    /// Hash all passwords of the file that are not
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_UPGRADE", hide_env = true)]
    pub(crate) upgrade: bool,

    /// How it is hashed
    #[arg(long, value_name = "HASH", value_enum, default_value_t = HashName::Argon2id)]
    #[arg(env = "WINDLASS_HASH", hide_env = true)]
    pub(crate) hash: HashName,
}

/// How a password is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum HashName {
    /// Argon2id: 19 MiB, two passes
    Argon2id,
    /// PBKDF2 with SHA-512, which Mosquitto 2.0 reads too
    Pbkdf2,
}

const IMPORT_ABOUT: &str = "\
Print what a mosquitto.conf is as a windlass.toml, and what could not be carried over

Reads the file and the folders that it includes. The configuration goes to stdout or to a file, and what is not the \
same in it to stderr, line by line: what means something else now, what there is nothing like here, and what is no \
line of such a file. Password and ACL files stay where they are and are read as they are.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  windlass hub import /etc/mosquitto/mosquitto.conf
      Prints both.
  windlass hub import /etc/mosquitto/mosquitto.conf -o windlass.toml && windlass check -c windlass.toml
      Writes it, and looks whether it can be served.";

/// The flags of `windlass hub import`.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The file
    #[arg(value_name = "MOSQUITTO.CONF", env = "WINDLASS_IMPORT", hide_env = true)]
    pub(crate) file: PathBuf,

    /// Where to write the configuration, never over what is there
    #[arg(long, short, value_name = "FILE", env = "WINDLASS_OUTPUT", hide_env = true)]
    pub(crate) output: Option<PathBuf>,
}
