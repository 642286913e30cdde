//! What is shown, and what keys do to it. No terminal, no clock, no socket: time and answers are arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sample::{Rates, Sample};
use crate::admin::shape::{Connection, Connections};
use crate::client::Trouble;

/// Seconds that curves go back.
const HISTORY: usize = 240;
/// Connections on one page.
pub(crate) const PER_PAGE: usize = 50;
/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(6);

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    Overview,
    Connections,
    Closes,
    Stalls,
    Limits,
    /// Where the server has a proxy.
    Backends,
}

impl View {
    pub(crate) const ALL: [View; 6] =
        [View::Overview, View::Connections, View::Closes, View::Stalls, View::Limits, View::Backends];

    pub(crate) fn name(self) -> &'static str {
        match self {
            View::Overview => "Overview",
            View::Connections => "Connections",
            View::Closes => "Closes",
            View::Stalls => "Stalls",
            View::Limits => "Limits",
            View::Backends => "Backends",
        }
    }

    /// What its rows can be sorted by, as the server calls it where it sorts.
    pub(crate) fn sorts(self) -> &'static [&'static str] {
        match self {
            View::Overview | View::Stalls => &[],
            View::Connections => &["traffic", "received", "sent", "age", "idle", "queued"],
            View::Closes => &["count", "rate", "reason"],
            View::Limits => &["use", "name", "reached"],
            View::Backends => &["file", "state", "connections", "failed"],
        }
    }
}

/// What a key asks of whoever holds the terminal and the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Nothing,
    Quit,
    /// Ask the server again, now.
    Ask,
    /// Close this connection.
    Close(String),
}

/// The totals of the last minutes.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) messages: VecDeque<f64>,
    pub(crate) connections: VecDeque<f64>,
    pub(crate) received: VecDeque<f64>,
    pub(crate) sent: VecDeque<f64>,
}

/// All that is shown.
pub(crate) struct App {
    /// Where the server is, in words.
    pub(crate) place: String,
    pub(crate) view: View,
    /// Of each view, which of its orders.
    sort: [usize; 6],
    pub(crate) filter: String,
    /// The filter while it is typed.
    pub(crate) typing: Option<String>,
    pub(crate) page: usize,
    pub(crate) chosen: usize,
    pub(crate) scroll: usize,
    pub(crate) paused: bool,
    pub(crate) help: bool,
    /// The connection that would be closed, if that is meant.
    pub(crate) confirm: Option<Connection>,
    pub(crate) now: Option<Sample>,
    pub(crate) rates: Option<Rates>,
    pub(crate) history: History,
    pub(crate) connections: Option<Connections>,
    /// Since when there is no answer, and why.
    pub(crate) gone: Option<(Instant, Trouble)>,
    notice: Option<(Instant, String)>,
}

impl App {
    /// Those that this server has something for.
    pub(crate) fn views(&self) -> &'static [View] {
        let has_proxies = self.now.as_ref().is_some_and(|sample| !sample.state.proxies.is_empty());
        if has_proxies { &View::ALL } else { &View::ALL[..5] }
    }

    pub(crate) fn new(place: String) -> App {
        App {
            place,
            view: View::Overview,
            sort: [0; 6],
            filter: String::new(),
            typing: None,
            page: 1,
            chosen: 0,
            scroll: 0,
            paused: false,
            help: false,
            confirm: None,
            now: None,
            rates: None,
            history: History::default(),
            connections: None,
            gone: None,
            notice: None,
        }
    }

    /// The order of the rows, as the server or the column is called; empty where there is none.
    pub(crate) fn sort(&self) -> &'static str {
        self.view.sorts().get(self.sort[self.view as usize]).copied().unwrap_or("")
    }

    /// Which connections to ask for; `None`: none are shown.
    pub(crate) fn wanted(&self) -> Option<String> {
        match self.view {
            View::Overview => Some("/api/connections?sort=traffic&per_page=10".into()),
            View::Connections => {
                let (sort, filter, page) = (self.sort(), percent(&self.filter), self.page);
                Some(format!("/api/connections?sort={sort}&filter={filter}&page={page}&per_page={PER_PAGE}"))
            }
            _ => None,
        }
    }

    /// The server has answered.
    pub(crate) fn take(&mut self, sample: Sample, at: Instant) {
        let before = self.now.take();
        let same = before.as_ref().is_some_and(|before| before.state.pid == sample.state.pid);
        if before.is_some() && !same {
            self.say(at, format!("another server answers: process {}", sample.state.pid));
            self.history = History::default();
            self.connections = None;
        } else if let Some((since, _)) = &self.gone {
            let passed = at.saturating_duration_since(*since).as_secs();
            self.say(at, format!("it answers again, after {passed} s"));
        }
        self.gone = None;
        self.rates = before.and_then(|before| Rates::between(&before.state, &sample.state));
        if let Some(rates) = &self.rates {
            let history = &mut self.history;
            push(&mut history.messages, rates.messages);
            push(&mut history.received, rates.received);
            push(&mut history.sent, rates.sent);
            push(&mut history.connections, sample.state.connections as f64);
        }
        self.now = Some(sample);
    }

    /// The server has told its connections.
    pub(crate) fn take_connections(&mut self, connections: Connections) {
        self.chosen = self.chosen.min(connections.connections.len().saturating_sub(1));
        // The last page may have gone.
        let pages = (connections.matched as usize).div_ceil(PER_PAGE).max(1);
        self.page = if self.view == View::Connections { self.page.min(pages) } else { self.page };
        self.connections = Some(connections);
    }

    /// The server has not answered.
    pub(crate) fn lose(&mut self, trouble: Trouble, at: Instant) {
        let since = self.gone.as_ref().map_or(at, |(since, _)| *since);
        self.gone = Some((since, trouble));
        self.rates = None;
    }

    /// Shows a notice for a while.
    pub(crate) fn say(&mut self, at: Instant, text: String) {
        self.notice = Some((at, text));
    }

    pub(crate) fn notice(&self, at: Instant) -> Option<&str> {
        let (said, text) = self.notice.as_ref()?;
        (at.saturating_duration_since(*said) < NOTICE).then_some(text)
    }

    /// Does what a key says.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Order {
        if key.kind == KeyEventKind::Release {
            return Order::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Order::Quit;
        }
        if self.typing.is_some() {
            return self.typed(key.code);
        }
        if let Some(meant) = self.confirm.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => Order::Close(meant.id),
                _ => Order::Nothing,
            };
        }
        if self.help {
            self.help = false;
            return Order::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Order::Quit,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('p') => {
                self.paused = !self.paused;
                return if self.paused { Order::Nothing } else { Order::Ask };
            }
            KeyCode::Char(digit @ '1'..='6') if digit as usize - '1' as usize >= self.views().len() => {}
            KeyCode::Char(digit @ '1'..='6') => return self.show(digit as usize - '1' as usize),
            KeyCode::Tab => return self.show((self.view as usize + 1) % self.views().len()),
            KeyCode::BackTab => return self.show(self.before()),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX / 2),
            KeyCode::Right | KeyCode::Char('l') => return self.turn_page(true),
            KeyCode::Left | KeyCode::Char('h') => return self.turn_page(false),
            KeyCode::Char('s') if !self.view.sorts().is_empty() => {
                let place = &mut self.sort[self.view as usize];
                *place = (*place + 1) % self.view.sorts().len();
                (self.page, self.chosen) = (1, 0);
                return Order::Ask;
            }
            KeyCode::Char('/') => {
                self.typing = Some(self.filter.clone());
                if self.view != View::Connections {
                    return self.show(View::Connections as usize);
                }
            }
            KeyCode::Char('x') if self.view == View::Connections => {
                let shown = self.connections.as_ref().map(|found| &found.connections);
                self.confirm = shown.and_then(|shown| shown.get(self.chosen)).cloned();
            }
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                return Order::Ask;
            }
            _ => {}
        }
        Order::Nothing
    }

    fn typed(&mut self, code: KeyCode) -> Order {
        let Some(text) = &mut self.typing else { return Order::Nothing };
        match code {
            KeyCode::Char(letter) if text.chars().count() < FILTER_MAX => text.push(letter),
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Esc => self.typing = None,
            KeyCode::Enter => {
                self.filter = self.typing.take().unwrap_or_default();
                (self.page, self.chosen) = (1, 0);
                return Order::Ask;
            }
            _ => {}
        }
        Order::Nothing
    }

    fn show(&mut self, view: usize) -> Order {
        if self.view != View::ALL[view] {
            self.view = View::ALL[view];
            (self.scroll, self.chosen, self.connections) = (0, 0, None);
        }
        Order::Ask
    }

    /// The view in front of this one.
    fn before(&self) -> usize {
        (self.view as usize + self.views().len() - 1) % self.views().len()
    }

    fn step(&mut self, by: isize) {
        if self.view == View::Connections {
            let rows = self.connections.as_ref().map_or(0, |found| found.connections.len());
            self.chosen = self.chosen.saturating_add_signed(by).min(rows.saturating_sub(1));
        } else {
            // Whoever draws knows where it ends.
            self.scroll = self.scroll.saturating_add_signed(by);
        }
    }

    fn turn_page(&mut self, on: bool) -> Order {
        let matched = self.connections.as_ref().map_or(0, |found| found.matched as usize);
        if self.view != View::Connections {
            return self.show(if on { (self.view as usize + 1) % self.views().len() } else { self.before() });
        }
        let pages = matched.div_ceil(PER_PAGE).max(1);
        let page = if on { (self.page + 1).min(pages) } else { (self.page - 1).max(1) };
        if page == self.page {
            return Order::Nothing;
        }
        (self.page, self.chosen) = (page, 0);
        Order::Ask
    }
}

/// The longest filter that can be typed.
const FILTER_MAX: usize = 100;

fn push(values: &mut VecDeque<f64>, value: f64) {
    if values.len() == HISTORY {
        values.pop_front();
    }
    values.push_back(value);
}

/// A text as it stands in a query.
fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}
