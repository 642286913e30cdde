//! `windlass echo`.

use std::io::Write;

use anyhow::{Context as _, Result};
use windlass::{Close, Config, Conn, Input, Service, serve};

use crate::args::EchoArgs;
use crate::signals;

/// Sends back what arrives.
struct Echo;

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

/// Serves until told to stop.
pub(crate) fn run(args: &EchoArgs) -> Result<()> {
    let config =
        Config { workers: args.workers, congestion: args.cubic.then(|| "cubic".into()), ..Config::default() };
    let echo = args.listen.iter().fold(serve(|| Echo), |echo, address| echo.listen(address));
    let bound = signals::stop_on_signals(echo.config(config).bind()?).context("cannot watch for signals")?;
    let mut stdout = std::io::stdout().lock();
    for address in bound.addresses() {
        // Nobody may be listening to us any more (`windlass echo | head -1`); we still serve.
        let _ = writeln!(stdout, "Listening on {address}");
    }
    let _ = stdout.flush();
    drop(stdout);
    bound.run()?;
    Ok(())
}
