//! `windlass top`: a running server in the terminal.
//!
//! Read `app` for what is shown and what keys do, `views` for how it looks, `sample` for what is reckoned, and
//! `client` beside it for how the server is asked.

mod app;
mod backends;
mod draw;
mod ink;
mod sample;
mod screen;
mod table;
mod views;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ratatui::crossterm::event::Event;

use self::app::{App, Order, View};
use self::ink::Look;
use self::sample::Sample;
use self::screen::Screen;
use self::views::Page;
use crate::args::TopArgs;
use crate::client::{self, Client, Trouble};
use crate::console::stdout_width;
use crate::print;

/// How often the server is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How soon a signal is noticed.
const NAP: Duration = Duration::from_millis(200);
/// Lines of one view in a snapshot.
const MOST: usize = 45;

/// Watches a server until told to stop, or prints one snapshot.
pub(crate) fn run(args: &TopArgs) -> Result<()> {
    let mut client = client::of(args.admin.as_ref(), &args.access)?;
    let look = Look::of(|name| std::env::var(name).ok());
    // Fails early and clearly: a server that was there and goes away is another matter.
    let first = ask(&mut client)
        .map_err(|trouble| anyhow!("cannot ask the admin listener at {}: {trouble}", client.place))?;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    // One that only prints, line by line, as in an editor or on some serial lines.
    let dumb = cfg!(unix) && std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = terminal && !dumb;
    if args.once || !terminal { once(&mut client, first, look) } else { watch(client, first, look) }
}

fn ask(client: &mut Client) -> Result<Sample, Trouble> {
    let body = client.get("/api/state")?;
    Sample::read(&body).map_err(|error| Trouble::Odd(format!("its state cannot be read: {error}")))
}

/// Asks for all that is shown.
fn look_again(client: &mut Client, app: &mut App) {
    let asked = ask(client).map(|sample| app.take(sample, Instant::now()));
    let found = asked.and_then(|()| {
        let Some(target) = app.wanted() else { return Ok(()) };
        match client.get(&target) {
            Ok(body) => {
                let found = sample::connections(&body).map_err(|error| Trouble::Odd(error.to_string()))?;
                app.take_connections(found);
                Ok(())
            }
            // An older server tells none, and a busy one later.
            Err(Trouble::Odd(_)) => Ok(()),
            Err(other) => Err(other),
        }
    });
    if let Err(trouble) = found {
        app.lose(trouble, Instant::now());
    }
}

/// Shows the server until a key or a signal ends it.
fn watch(mut client: Client, first: Sample, look: Look) -> Result<()> {
    let mut app = App::new(client.place.to_string());
    app.take(first, Instant::now());
    let mut screen = Screen::take()?;
    let mut due = Instant::now() + PERIOD;
    while !screen.is_told_to_end() {
        let now = Instant::now();
        screen.terminal.draw(|frame| draw::draw(frame, &mut app, look, now))?;
        let order = match screen.event(due.saturating_duration_since(now).min(NAP))? {
            Some(Event::Key(key)) => app.key(key),
            _ => Order::Nothing,
        };
        match order {
            Order::Quit => return Ok(()),
            Order::Nothing => {}
            Order::Ask => due = Instant::now(),
            Order::Close(id) => {
                let body = serde_json::json!({ "conn": id }).to_string();
                let said = match client.order("/api/close", body.as_bytes()) {
                    Ok(true) => format!("connection {id} is closed"),
                    Ok(false) => format!("connection {id} has ended already"),
                    Err(trouble) => format!("connection {id} is not closed: {trouble}"),
                };
                app.say(Instant::now(), said);
                due = Instant::now();
            }
        }
        if Instant::now() >= due && !app.paused {
            look_again(&mut client, &mut app);
            due = Instant::now() + PERIOD;
        }
    }
    Ok(())
}

/// Prints what happened in one second, and what has happened since the start.
fn once(client: &mut Client, first: Sample, look: Look) -> Result<()> {
    let mut app = App::new(client.place.to_string());
    app.take(first, Instant::now());
    // Traffic of connections is counted from when somebody looks.
    look_again(client, &mut app);
    std::thread::sleep(PERIOD);
    look_again(client, &mut app);
    if let Some((_, trouble)) = &app.gone {
        return Err(anyhow!("cannot ask the admin listener at {}: {trouble}", client.place));
    }
    print(text(&mut app, stdout_width(), look).as_bytes());
    Ok(())
}

/// All views as text.
fn text(app: &mut App, width: usize, look: Look) -> String {
    // One second makes no curve.
    app.history = app::History::default();
    let page = Page { app, width, look };
    let mut lines = vec![page.title()];
    if let Some(sample) = &app.now {
        let named = |view: View| [ratatui::text::Line::default(), ratatui::text::Line::from(view.name())];
        lines.push(ratatui::text::Line::default());
        lines.extend(page.overview(sample));
        for (view, more) in [
            (View::Closes, page.closes(sample)),
            (View::Stalls, page.stalls(sample)),
            (View::Limits, page.limits(sample)),
            (View::Backends, page.backends(sample)),
        ] {
            if !app.views().contains(&view) {
                continue;
            }
            lines.extend(named(view));
            let left_out = more.len().saturating_sub(MOST);
            lines.extend(more.into_iter().take(MOST));
            if left_out > 0 {
                lines.push(ratatui::text::Line::from(format!("and {left_out} more")));
            }
        }
    }
    let lines = lines.iter().map(|line| line.to_string().trim_end().to_owned() + "\n");
    lines.collect()
}
