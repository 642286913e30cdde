//! The smallest of them: the echo alone, at addresses from the command line. `windlass-echo ADDRESS..` takes TCP and
//! Unix addresses, drains with the first SIGTERM or SIGINT, and has every limit of the engine at its default.
//!
//! There is no file, so nothing can be set: whoever wants that, datagrams, TLS or a budget of memory takes `windlass-mini`.

use std::io::Write;
use std::process::ExitCode;

use windlass::{Config, Error, Serve, Server};

/// That of `windlass-mini`.
#[path = "../echo.rs"]
mod echo;

use echo::Echo;

/// The exit code where the command line is wrong, as of `windlass`.
const EXIT_USAGE: u8 = 2;
/// What is read into, as of `windlass-mini`.
const SCRATCH: usize = 16 * 1024;

fn main() -> ExitCode {
    let mut service = windlass::serve(|| Echo).name("echo");
    let mut is_asked = false;
    for address in std::env::args_os().skip(1) {
        if address.as_encoded_bytes().starts_with(b"-") {
            // There are no flags, `--help` neither.
            is_asked = false;
            break;
        }
        // What is no text is no address either, and `bind` says so.
        service = service.listen(address.to_string_lossy());
        is_asked = true;
    }
    if !is_asked {
        complain("usage: windlass-echo ADDRESS..\nADDRESS is HOST:PORT, :PORT or unix:PATH\n");
        return ExitCode::from(EXIT_USAGE);
    }
    match served(service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&["error: ", &error.to_string(), "\n"].concat());
            ExitCode::FAILURE
        }
    }
}

/// Serves until told to stop: the first signal drains, the second stops at once.
fn served(service: Serve<Echo>) -> Result<(), Error> {
    let config = Config { workers: 1, scratch_bytes: SCRATCH, ..Config::default() };
    let bound = Server::new(config).add(service).bind()?.stop_on_signals()?;
    for address in bound.addresses() {
        let line = ["Listening on ", &address.to_string(), "\n"].concat();
        // A reader that has gone is no reason to fail.
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
    bound.serve()
}

fn complain(what: &str) {
    let _ = std::io::stderr().write_all(what.as_bytes());
}
