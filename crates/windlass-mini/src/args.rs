//! The command line: commands and flags of `windlass` that mean the same here.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, ValueExt};

use crate::config::Config;

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve what stands in a file.
    Run {
        config: PathBuf,
        quiet: bool,
    },
    /// Say whether a file is right.
    Check {
        config: PathBuf,
    },
    /// Serve what flags say.
    Serve(Box<Config>),
    Help,
    Version,
}

/// What `--help` says.
pub(crate) const HELP: &[&str] = &[
    "Network services for small machines, on one thread\n\n",
    "windlass-mini run [-c FILE] [-q]    serve what FILE says; windlass.toml by default\n",
    "windlass-mini check [-c FILE]       say what is wrong with it\n",
    #[cfg(feature = "echo")]
    "windlass-mini echo [-l ADDRESS]..   send back what arrives\n",
    #[cfg(feature = "relay")]
    "windlass-mini proxy [-l ADDRESS].. --to BACKEND   pass on connections\n",
    #[cfg(feature = "hub")]
    "windlass-mini hub [-l ADDRESS]..    MQTT\n",
    "\nADDRESS is HOST:PORT, :PORT, udp:HOST:PORT or unix:PATH. -q, --quiet: print nothing but errors and \
     `Listening on` lines\n",
    "\nSIGTERM or SIGINT lets connections finish, a second one does not. With a FILE SIGHUP changes nothing: it is read \
     at the start alone\n",
];

/// Commands that serve without a file, and where they listen if nothing is said.
const SERVICES: &[(&str, &str)] = &[
    #[cfg(feature = "echo")]
    ("echo", "127.0.0.1:9000"),
    #[cfg(feature = "relay")]
    ("proxy", "127.0.0.1:8080"),
    #[cfg(feature = "hub")]
    ("hub", "127.0.0.1:1883"),
];

/// Reads what follows the program's name; what is wrong with it otherwise.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = lexopt::Parser::from_args(args.into_iter().collect::<Vec<_>>());
    let mut command = None;
    let mut file = None;
    let (mut quiet, mut listen, mut to) = (false, Vec::new(), Vec::new());
    loop {
        let Ok(arg) = parser.next() else { return Err(wrong("a flag has a value that it does not take")) };
        match arg {
            None => break,
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
            Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Version),
            Some(Arg::Short('q') | Arg::Long("quiet")) => quiet = true,
            Some(Arg::Short('c') | Arg::Long("config")) => file = Some(PathBuf::from(value(&mut parser)?)),
            Some(Arg::Short('l') | Arg::Long("listen")) => listen.push(text(value(&mut parser)?)?),
            Some(Arg::Long("to")) => to.push(text(value(&mut parser)?)?),
            Some(Arg::Value(name)) if command.is_none() => command = Some(text(name)?),
            Some(Arg::Value(_)) => return Err(wrong("there is one command too many")),
            Some(Arg::Short(_) | Arg::Long(_)) => return Err(wrong("there is no such flag")),
        }
    }
    let Some(command) = command else { return Ok(Command::Help) };
    // A flag that a command has no use for is none that would be passed over.
    let refused = |flag: &str| Err(wrong(&crate::joined(&["`", &command, "` takes no ", flag])));
    if command == "run" || command == "check" {
        if !listen.is_empty() {
            return refused("--listen: it is said in the file");
        }
        if !to.is_empty() {
            return refused("--to: it is said in the file");
        }
        if quiet && command == "check" {
            return refused("--quiet: what it says is whether something is wrong");
        }
        let config = file.unwrap_or_else(|| PathBuf::from("windlass.toml"));
        return Ok(if command == "run" { Command::Run { config, quiet } } else { Command::Check { config } });
    }
    let Some((name, usual)) = SERVICES.iter().find(|(name, _)| *name == command) else {
        return Err(wrong(&crate::joined(&["there is no command `", &command, "`"])));
    };
    if file.is_some() {
        return refused("--config: `run` serves what a file says");
    }
    if !to.is_empty() && command != "proxy" {
        return refused("--to");
    }
    if listen.is_empty() {
        listen.push((*usual).to_owned());
    }
    Config::of_flags(name, listen, to, quiet)
        .map(|config| Command::Serve(Box::new(config)))
        .map_err(|it| it.what)
}

fn wrong(what: &str) -> String {
    crate::joined(&[what, "; see --help"])
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|_| wrong("a flag needs a value"))
}

fn text(value: OsString) -> Result<String, String> {
    value.string().map_err(|_| wrong("an argument is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_and_their_flags() {
        assert!(
            matches!(parsed("run -c a.toml -q"), Ok(Command::Run { config, quiet: true }) if config.as_os_str() == "a.toml")
        );
        assert!(
            matches!(parsed("check --config=b"), Ok(Command::Check { config }) if config.as_os_str() == "b")
        );
        assert!(
            matches!(parsed("run"), Ok(Command::Run { config, quiet: false }) if config.as_os_str() == "windlass.toml")
        );
        assert!(matches!((parsed(""), parsed("run -h")), (Ok(Command::Help), Ok(Command::Help))));
        assert!(matches!(parsed("--version"), Ok(Command::Version)));
        for (wrong, why) in [
            ("rum", "no command `rum`"),
            ("run --colour", "no such flag"),
            ("run -c", "needs a value"),
            ("run twice", "one command too many"),
            ("run --quiet=1", "does not take"),
            ("run -l :7", "`run` takes no --listen"),
            ("check --to :7", "`check` takes no --to"),
            ("check -q", "`check` takes no --quiet"),
            #[cfg(feature = "echo")]
            ("echo -c a.toml", "`echo` takes no --config"),
            #[cfg(feature = "echo")]
            ("echo --to 127.0.0.1:7", "`echo` takes no --to"),
        ] {
            assert!(parsed(wrong).expect_err(wrong).contains(why), "{wrong}");
        }
    }

    #[cfg(feature = "echo")]
    #[test]
    fn a_service_without_a_file() {
        let Ok(Command::Serve(config)) = parsed("echo -l :7 -l udp::7 -q") else { panic!("serves") };
        assert_eq!((config.echo[0].listen.len(), config.level), (2, 1));
        let Ok(Command::Serve(config)) = parsed("echo") else { panic!("serves") };
        assert_eq!(config.echo[0].listen, ["127.0.0.1:9000"]);
    }
}
