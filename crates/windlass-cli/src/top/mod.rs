//! `windlass top`: a running server in the terminal.
//!
//! Read `app` for what is shown and what keys do, `views` for how it looks, `sample` for what is reckoned, and
//! `client` for how the server is asked.

mod app;
mod client;
mod draw;
mod ink;
mod sample;
mod screen;
mod table;
mod views;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use ratatui::crossterm::event::Event;

use self::app::{App, Order, View};
pub(crate) use self::client::Place;
use self::client::{Client, Trouble};
use self::ink::Look;
use self::sample::Sample;
use self::screen::Screen;
use self::views::Page;
use crate::args::TopArgs;
use crate::config;
use crate::console::stdout_width;
use crate::print;

/// How often the server is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How soon a signal is noticed.
const NAP: Duration = Duration::from_millis(200);
/// Lines of one view in a snapshot.
const MOST: usize = 45;
/// Where the admin listener is, when nobody says otherwise.
const USUAL: &str = "127.0.0.1:9900";

/// Watches a server until told to stop, or prints one snapshot.
pub(crate) fn run(args: &TopArgs) -> Result<()> {
    let (place, token) = whom(args)?;
    let mut client = Client::new(place, token);
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

/// Where the admin listener is, and what token it wants.
fn whom(args: &TopArgs) -> Result<(Place, Option<String>)> {
    let mut token = match &args.token_file {
        Some(path) => Some(first_line(path)?),
        None => std::env::var("WINDLASS_TOKEN").ok().filter(|token| !token.is_empty()),
    };
    if let Some(place) = &args.admin {
        return Ok((place.clone(), token));
    }
    let usual: Place = USUAL.parse().map_err(|why: String| anyhow!(why))?;
    // Without the usual file there is the usual address; one that was named must be there.
    let named = args.config != Path::new("windlass.toml");
    if !named && !args.config.exists() {
        return Ok((usual, token));
    }
    let loaded = config::load(&args.config, &|name| std::env::var(name).ok())
        .map_err(|_| anyhow!("{} is wrong: `windlass check -c` tells how", args.config.display()))?;
    let admin = loaded.file.admin;
    token = token.or_else(|| admin.token.map(|token| token.0));
    let Some(listen) = admin.listen.first() else {
        return if named {
            Err(anyhow!("{} has no admin listener: set `listen` in [admin]", args.config.display()))
        } else {
            Ok((usual, token))
        };
    };
    let place = listen.0.to_string().parse().map_err(|why: String| anyhow!(why))?;
    Ok((place, token))
}

fn first_line(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    anyhow::ensure!(!line.is_empty(), "the first line of {} is empty", path.display());
    Ok(line.to_owned())
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
        ] {
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
