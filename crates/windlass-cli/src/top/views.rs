//! The views, as lines of text.

use std::time::Duration;

use ratatui::text::Line;

use super::app::{App, PER_PAGE, View};
use super::ink::{Ink, Look};
use super::sample::{Rates, Sample, Traffic};
use super::table::{self, Cell, cut, figure, inked, plain, text};
use crate::admin::shape::{Connection, Limit, Max};
use crate::quantity::{rough_bytes, rough_time, thousands};

/// What is drawn, and on what.
pub(crate) struct Page<'a> {
    pub(crate) app: &'a App,
    pub(crate) width: usize,
    pub(crate) look: Look,
}

pub(super) fn number(value: f64) -> String {
    thousands(value.round().max(0.0) as u64)
}

fn per_second(bytes: f64) -> String {
    format!("{}/s", rough_bytes(bytes))
}

pub(super) fn seconds(value: f64) -> String {
    if value < 1e-9 {
        return "0 s".into();
    }
    rough_time(Duration::try_from_secs_f64(value).unwrap_or_default())
}

fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("-".into(), show)
}

impl Page<'_> {
    /// The view that is chosen.
    pub(crate) fn body(&self) -> Vec<Line<'static>> {
        let Some(sample) = &self.app.now else { return vec![self.line(plain("asking ..."))] };
        match self.app.view {
            View::Overview => self.overview(sample),
            View::Connections => self.connections(),
            View::Closes => self.closes(sample),
            View::Stalls => self.stalls(sample),
            View::Limits => self.limits(sample),
            View::Backends => self.backends(sample),
        }
    }

    pub(super) fn line(&self, cell: Cell) -> Line<'static> {
        cut(cell, self.width, self.look)
    }

    pub(super) fn table(&self, columns: &[table::Column], rows: &[Vec<Cell>]) -> Vec<Line<'static>> {
        table::lines(columns, rows, self.width, self.look)
    }

    /// What server that is: as much of it as fits.
    pub(crate) fn title(&self) -> Line<'static> {
        let mut parts: Vec<Cell> = Vec::new();
        match &self.app.now {
            None => parts.push(inked("windlass", Ink::Strong)),
            Some(Sample { state, .. }) => {
                parts.push(inked(format!("windlass {}", state.version), Ink::Strong));
                let calm = state.phase == "serving";
                parts.push(inked(state.phase.clone(), if calm { Ink::Plain } else { Ink::Warn }));
                parts.push(plain(format!("up {}", seconds(state.uptime_seconds))));
                parts.push(plain(format!("pid {}", state.pid)));
            }
        }
        parts.push(inked(self.app.place.clone(), Ink::Dim));
        if self.app.paused {
            parts.insert(1, inked("PAUSED", Ink::Warn));
        }
        let len = |parts: &[Cell]| {
            parts.iter().flatten().map(|(text, _)| text.chars().count() + 2).sum::<usize>().saturating_sub(2)
        };
        while parts.len() > 2 && len(&parts) > self.width {
            parts.pop();
        }
        self.line(parts.join(&("  ".to_owned(), Ink::Plain)))
    }

    /// The names of the views; the one that is shown stands in brackets.
    pub(crate) fn tabs(&self) -> Line<'static> {
        let state = self.app.now.as_ref().map(|sample| &sample.state);
        // Shorter where the terminal is narrow.
        let views = self.app.views();
        let letters = match (self.width, views.len()) {
            (72.., _) | (64.., 5) => 12,
            (54.., _) | (_, 5) => 4,
            _ => 2,
        };
        let mut cell: Cell = Vec::new();
        for (n, &view) in views.iter().enumerate() {
            let name: String = view.name().chars().take(letters).collect();
            let marks = match (view, state) {
                (View::Stalls, Some(state)) => state.stalls.len(),
                (View::Limits, Some(state)) => state.limits.iter().filter(|limit| is_near(limit)).count(),
                (View::Backends, Some(state)) => super::backends::unwell(state),
                _ => 0,
            };
            let mark = if marks > 0 { format!("!{marks}") } else { String::new() };
            let chosen = view == self.app.view;
            cell.push(if chosen {
                (format!("[{}{name}]", n + 1), Ink::Strong)
            } else {
                (format!(" {}{name} ", n + 1), Ink::Plain)
            });
            if !mark.is_empty() {
                cell.push((format!("{mark} "), Ink::Warn));
            }
        }
        self.line(cell)
    }

    /// Totals, workers, services, listeners, and the connections with the most traffic.
    pub(crate) fn overview(&self, sample: &Sample) -> Vec<Line<'static>> {
        let mut lines = self.totals(sample);
        lines.push(Line::default());
        lines.extend(self.workers(sample));
        lines.push(Line::default());
        lines.extend(self.services(sample));
        lines.push(Line::default());
        lines.extend(self.listeners(sample));
        if let Some(found) = self.app.connections.as_ref().filter(|found| !found.connections.is_empty()) {
            lines.push(Line::default());
            lines.push(self.line(inked("most traffic", Ink::Dim)));
            let rows: Vec<Vec<Cell>> =
                found.connections.iter().take(TALKERS).map(|conn| row_of(conn, false)).collect();
            lines.extend(self.table(&COLUMNS, &rows));
        }
        lines
    }

    fn totals(&self, sample: &Sample) -> Vec<Line<'static>> {
        let (rates, history, state) = (self.app.rates.as_ref(), &self.app.history, &sample.state);
        let of = |figure: fn(&Rates) -> f64| rates.map(figure);
        let opened = or_dash(of(|r| r.opened), |value| format!("+{}/s", number(value)));
        let closed = or_dash(of(|r| r.closed), |value| format!("-{}/s", number(value)));
        let connections = thousands(state.connections);
        let mut lines: Vec<Line<'static>> = [
            ("messages/s", or_dash(of(|r| r.messages), number), &history.messages),
            ("received", or_dash(of(|r| r.received), per_second), &history.received),
            ("sent", or_dash(of(|r| r.sent), per_second), &history.sent),
            ("connections", connections, &history.connections),
        ]
        .into_iter()
        .map(|(name, value, values)| {
            let more = if name == "connections" { format!("  {opened} {closed}") } else { String::new() };
            let taken = 13 + value.chars().count().max(12) + more.chars().count();
            let values: Vec<f64> = values.iter().copied().collect();
            let curve = self.look.curve(&values, self.width.saturating_sub(taken + 2).min(CURVE_MAX));
            self.line(vec![
                (format!("{name:<13}"), Ink::Dim),
                (format!("{value:>12}"), Ink::Strong),
                (more, Ink::Plain),
                ("  ".into(), Ink::Plain),
                (curve, Ink::Bar),
            ])
        })
        .collect();
        if let Some(reloads) = &sample.reloads {
            let mut cell = inked(format!("{:<13}", "reloads"), Ink::Dim);
            cell.push((format!("{:>12}", thousands(reloads.succeeded)), Ink::Plain));
            if reloads.failed > 0 {
                let why = reloads.last_error.as_deref().unwrap_or_default();
                cell.push((format!("  {} failed {why}", thousands(reloads.failed)), Ink::Warn));
            }
            lines.push(self.line(cell));
        }
        lines
    }

    fn workers(&self, sample: &Sample) -> Vec<Line<'static>> {
        let columns = [
            figure("worker", 0),
            text("busy", 0),
            figure("", 0),
            figure("conns", 1),
            figure("turns/s", 4),
            figure("turn p50", 5),
            figure("p99", 2),
            figure("p99.9", 6),
            figure("lag", 3),
            figure("queue", 7),
            figure("buffered", 8),
        ];
        let row = |n: usize| {
            let worker = &sample.state.workers[n];
            let rates = self.app.rates.as_ref().and_then(|rates| rates.workers.get(n));
            let busy = rates.map_or(0.0, |rates| rates.busy);
            let (on, off) = self.look.bar(busy, BAR);
            let lag = sample.lags.get(n).copied().flatten();
            let overloaded = sample.overloaded.get(n).copied().unwrap_or(false);
            let ink = if overloaded { Ink::Warn } else { Ink::Plain };
            let lag = format!("{}{}", or_dash(lag, seconds), if overloaded { "!" } else { "" });
            let time = |of: fn(&super::sample::WorkerRates) -> Option<f64>| {
                plain(or_dash(rates.and_then(of), seconds))
            };
            vec![
                plain(n.to_string()),
                vec![(on, Ink::Bar), (off, Ink::Dim)],
                plain(or_dash(rates.map(|rates| rates.busy), |busy| format!("{:.0}%", busy * 100.0))),
                plain(thousands(worker.connections)),
                plain(or_dash(rates.map(|rates| rates.turns), number)),
                time(|rates| rates.p50),
                time(|rates| rates.p99),
                time(|rates| rates.p999),
                inked(lag, ink),
                plain(thousands(worker.run_queue)),
                plain(rough_bytes(worker.buffered_bytes as f64)),
            ]
        };
        let rows: Vec<Vec<Cell>> = (0..sample.state.workers.len()).map(row).collect();
        self.table(&columns, &rows)
    }

    fn services(&self, sample: &Sample) -> Vec<Line<'static>> {
        let columns = [
            text("service", 0),
            text("kind", 4),
            figure("conns", 0),
            figure("messages/s", 0),
            figure("opened/s", 3),
            figure("in", 1),
            figure("out", 1),
        ];
        let row = |service: &crate::admin::shape::Service| {
            let traffic = self.app.rates.as_ref().and_then(|rates| rates.services.get(&service.name));
            let of = |figure: fn(&Traffic) -> f64| traffic.map(figure);
            vec![
                plain(service.name.clone()),
                inked(service.kind.clone(), Ink::Dim),
                plain(thousands(service.connections)),
                plain(or_dash(of(|t| t.messages), number)),
                plain(or_dash(of(|t| t.opened), number)),
                plain(or_dash(of(|t| t.received), per_second)),
                plain(or_dash(of(|t| t.sent), per_second)),
            ]
        };
        self.table(&columns, &sample.state.services.iter().map(row).collect::<Vec<_>>())
    }

    fn listeners(&self, sample: &Sample) -> Vec<Line<'static>> {
        let columns = [
            text("listener", 0),
            text("service", 2),
            text("", 3),
            figure("conns", 0),
            figure("opened/s", 4),
            figure("in", 1),
            figure("out", 1),
        ];
        let row = |listener: &crate::admin::shape::Listener| {
            let traffic = self.app.rates.as_ref().and_then(|rates| rates.listeners.get(&listener.address));
            let of = |figure: fn(&Traffic) -> f64| traffic.map(figure);
            vec![
                plain(listener.address.clone()),
                inked(listener.service.clone(), Ink::Dim),
                inked(if listener.tls { "tls" } else { "" }, Ink::Dim),
                plain(thousands(listener.connections)),
                plain(or_dash(of(|t| t.opened), number)),
                plain(or_dash(of(|t| t.received), per_second)),
                plain(or_dash(of(|t| t.sent), per_second)),
            ]
        };
        self.table(&columns, &sample.state.listeners.iter().map(row).collect::<Vec<_>>())
    }

    /// What stands above the connections, their head, and they.
    fn connections(&self) -> Vec<Line<'static>> {
        let Some(found) = &self.app.connections else { return vec![self.line(plain("asking ..."))] };
        let pages = (found.matched as usize).div_ceil(PER_PAGE).max(1);
        let mut above = plain(format!("by {}", self.app.sort()));
        if !self.app.filter.is_empty() {
            above.push((format!("  /{}", self.app.filter), Ink::Strong));
        }
        let matched = thousands(found.matched);
        above.push((format!("  {matched} of {}", thousands(found.total)), Ink::Plain));
        above.push((format!("  page {} of {pages}", found.page), Ink::Plain));
        let rows = found.connections.iter().enumerate();
        let rows: Vec<Vec<Cell>> = rows.map(|(n, conn)| row_of(conn, n == self.app.chosen)).collect();
        std::iter::once(self.line(above)).chain(self.table(&COLUMNS, &rows)).collect()
    }

    /// Why connections ended.
    pub(crate) fn closes(&self, sample: &Sample) -> Vec<Line<'static>> {
        let rate = |why: &str| {
            self.app.rates.as_ref().and_then(|rates| rates.closes.get(why)).copied().unwrap_or(0.0)
        };
        let mut all: Vec<(&String, u64)> = sample.state.closes.iter().map(|(why, n)| (why, *n)).collect();
        match self.app.sort() {
            "rate" => all.sort_by(|a, b| rate(b.0).total_cmp(&rate(a.0))),
            "reason" => {}
            _ => all.sort_by_key(|(_, n)| std::cmp::Reverse(*n)),
        }
        if all.is_empty() {
            return vec![self.line(plain("no connection has ended yet"))];
        }
        let sum = all.iter().map(|(_, n)| n).sum::<u64>().max(1);
        let columns = [
            text("reason", 0),
            figure("closes", 0),
            figure("per second", 1),
            figure("share", 0),
            text("", 2),
        ];
        let rows: Vec<Vec<Cell>> = all
            .into_iter()
            .map(|(why, n)| {
                let share = n as f64 / sum as f64;
                let (on, _) = self.look.bar(share, 20);
                vec![
                    plain(why.clone()),
                    plain(thousands(n)),
                    plain(number(rate(why))),
                    plain(format!("{:.1}%", share * 100.0)),
                    inked(on, Ink::Bar),
                ]
            })
            .collect();
        self.table(&columns, &rows)
    }

    /// Callbacks that held their worker.
    pub(crate) fn stalls(&self, sample: &Sample) -> Vec<Line<'static>> {
        if sample.state.stalls.is_empty() {
            return vec![self.line(plain("no callback has held its worker for too long"))];
        }
        let columns = [
            figure("ago", 0),
            figure("took", 0),
            figure("worker", 2),
            text("callback", 0),
            text("where", 1),
            text("connection", 3),
        ];
        let rows: Vec<Vec<Cell>> = sample
            .state
            .stalls
            .iter()
            .map(|stall| {
                vec![
                    plain(seconds(sample.state.uptime_seconds - stall.at_seconds)),
                    inked(seconds(stall.took_seconds), Ink::Warn),
                    plain(stall.worker.to_string()),
                    plain(stall.callback.clone()),
                    plain(stall.at.clone()),
                    plain(stall.conn.clone().unwrap_or_default()),
                ]
            })
            .collect();
        self.table(&columns, &rows)
    }

    /// Limits, and how near they are.
    pub(crate) fn limits(&self, sample: &Sample) -> Vec<Line<'static>> {
        let mut all: Vec<&Limit> = sample.state.limits.iter().collect();
        match self.app.sort() {
            "name" => all.sort_by(|a, b| a.name.cmp(&b.name)),
            "reached" => all.sort_by_key(|limit| std::cmp::Reverse(limit.reached)),
            _ => all.sort_by(|a, b| share(b).unwrap_or(-1.0).total_cmp(&share(a).unwrap_or(-1.0))),
        }
        if all.is_empty() {
            return vec![self.line(plain("this server tells no limits"))];
        }
        let columns = [
            text("limit", 0),
            figure("used", 0),
            figure("of", 0),
            text("", 2),
            figure("reached", 1),
            text("about", 3),
        ];
        let rows: Vec<Vec<Cell>> = all.into_iter().map(|limit| self.limit(limit)).collect();
        self.table(&columns, &rows)
    }

    fn limit(&self, limit: &Limit) -> Vec<Cell> {
        let show = |value: f64| match limit.unit.as_str() {
            "bytes" => rough_bytes(value),
            "seconds" => seconds(value),
            _ => number(value),
        };
        let max = match &limit.max {
            Max::Number(0.0) => "none".into(),
            Max::Number(value) => show(*value),
            Max::Text(text) => text.clone(),
        };
        let bar = share(limit).map_or(plain(""), |share| {
            let (on, off) = self.look.bar(share, BAR);
            vec![(on, Ink::Bar), (off, Ink::Dim)]
        });
        let ink = if is_near(limit) { Ink::Warn } else { Ink::Plain };
        let mark = if is_near(limit) { "!" } else { "" };
        vec![
            plain(limit.name.clone()),
            inked(format!("{mark}{}", or_dash(limit.used.map(|used| used as f64), show)), ink),
            plain(max),
            bar,
            inked(thousands(limit.reached), if limit.reached > 0 { Ink::Strong } else { Ink::Dim }),
            inked(limit.about.clone(), Ink::Dim),
        ]
    }
}

/// Cells of a bar.
const BAR: usize = 10;
/// Cells of a curve, at the most.
const CURVE_MAX: usize = 120;
/// Connections in the overview.
const TALKERS: usize = 5;
/// From this share of a limit on it is marked.
const NEAR: f64 = 0.8;

fn share(limit: &Limit) -> Option<f64> {
    match (limit.used, &limit.max) {
        (Some(used), Max::Number(max)) if *max > 0.0 => Some(used as f64 / max),
        _ => None,
    }
}

fn is_near(limit: &Limit) -> bool {
    share(limit).is_some_and(|share| share >= NEAR)
}

const COLUMNS: [table::Column; 12] = [
    text("", 0),
    text("peer", 0),
    text("service", 4),
    figure("in", 1),
    figure("out", 0),
    figure("received", 8),
    figure("sent", 7),
    figure("age", 3),
    figure("idle", 2),
    figure("queued", 5),
    text("state", 6),
    text("id", 9),
];

fn row_of(conn: &Connection, chosen: bool) -> Vec<Cell> {
    let ink = if chosen { Ink::Chosen } else { Ink::Plain };
    let cell = |text: String| inked(text, ink);
    let bytes = |n: usize| if n == 0 { "-".into() } else { rough_bytes(n as f64) };
    vec![
        cell(if chosen { ">" } else { " " }.into()),
        cell(conn.peer.clone()),
        cell(conn.service.clone()),
        cell(per_second(conn.received_rate)),
        cell(per_second(conn.sent_rate)),
        cell(rough_bytes(conn.received_bytes as f64)),
        cell(rough_bytes(conn.sent_bytes as f64)),
        cell(seconds(conn.age_seconds)),
        cell(seconds(conn.idle_seconds)),
        cell(bytes(conn.output_bytes + conn.input_bytes)),
        cell(conn.state.join(" ")),
        cell(conn.id.clone()),
    ]
}
