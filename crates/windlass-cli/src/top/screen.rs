//! The terminal, taken and given back: at the end, at a panic, at a signal.

use std::io::{Stdout, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// The terminal while it is ours.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
    told_to_end: Arc<AtomicBool>,
}

impl Screen {
    /// Takes it.
    pub(crate) fn take() -> Result<Screen> {
        let told_to_end = Arc::new(AtomicBool::new(false));
        for signal in signals() {
            signal_hook::flag::register(signal, told_to_end.clone())?;
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode().context("this terminal cannot be read key by key")?;
        let screen = execute!(stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())))
            .map(|terminal| Screen { terminal, told_to_end });
        screen.map_err(|error| {
            give_back();
            error.into()
        })
    }

    /// Waits for a key and its like, at most so long. `None`: there was none. An error: nobody is there.
    pub(crate) fn event(&self, longest: Duration) -> Result<Option<Event>> {
        // Those that came together are read together, and wait here.
        ensure_there(Duration::ZERO)?;
        if !event::poll(Duration::ZERO)? {
            #[cfg(unix)]
            let longest = {
                ensure_there(longest)?;
                Duration::ZERO
            };
            if !event::poll(longest)? {
                return Ok(None);
            }
        }
        Ok(Some(event::read()?))
    }

    /// Whether a signal has asked for the end.
    pub(crate) fn is_told_to_end(&self) -> bool {
        self.told_to_end.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Waits until there is something to read, at most so long. A terminal that has hung up reads as empty for
/// ever, and whoever looks for a key there never comes back.
#[cfg(unix)]
fn ensure_there(longest: Duration) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let wait =
        rustix::time::Timespec { tv_sec: longest.as_secs() as _, tv_nsec: longest.subsec_nanos() as _ };
    match poll(&mut fds, Some(&wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for a key"),
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    anyhow::ensure!(!fds[0].revents().intersects(gone), "the terminal is gone");
    Ok(())
}

#[cfg(not(unix))]
fn ensure_there(_: Duration) -> Result<()> {
    Ok(())
}

/// As it was before. A terminal that is gone wants nothing back.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = stdout().flush();
}

#[cfg(unix)]
fn signals() -> [i32; 3] {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    [SIGHUP, SIGINT, SIGTERM]
}

#[cfg(not(unix))]
fn signals() -> [i32; 2] {
    use signal_hook::consts::{SIGINT, SIGTERM};
    [SIGINT, SIGTERM]
}
