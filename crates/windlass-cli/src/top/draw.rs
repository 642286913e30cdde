//! A frame: what server it is, the names of the views, the view, and what keys there are.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::app::{App, View};
use super::ink::{Ink, Look};
use super::table::{cut, inked};
use super::views::Page;

/// The keys, for `?`.
const HELP: [(&str, &str); 12] = [
    ("1-6 Tab", "what is shown"),
    ("j k arrows", "move, scroll"),
    ("g G", "to the first, to the last"),
    ("h l", "page, or view"),
    ("s", "sort otherwise"),
    ("/", "filter connections"),
    ("Esc", "no filter"),
    ("x", "close a connection"),
    ("p", "pause, go on"),
    ("?", "this"),
    ("q Ctrl-C", "end"),
    ("NO_COLOR", "no colours"),
];

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App, look: Look, at: Instant) {
    let area = frame.area();
    let (width, height) = (area.width as usize, area.height as usize);
    let page = Page { app, width, look };
    let mut lines = vec![page.title(), page.tabs()];
    let notice = notice(app, at).map(|text| cut(inked(text, Ink::Warn), width, look));
    let footer = cut(inked(keys(app, width), Ink::Dim), width, look);
    let taken = lines.len() + usize::from(notice.is_some()) + 1;
    let room = height.saturating_sub(taken);

    let body = page.body();
    let (body, scroll) = shown(app, body, room);
    app.scroll = scroll;
    lines.extend(notice);
    lines.extend(body);
    lines.truncate(height.saturating_sub(1));
    lines.resize(height.saturating_sub(1), Line::default());
    lines.push(footer);
    frame.render_widget(Paragraph::new(lines), area);
    if app.help {
        help(frame, area, look);
    }
}

/// The part of the body that is shown, and how far it is scrolled.
fn shown(app: &App, body: Vec<Line<'static>>, room: usize) -> (Vec<Line<'static>>, usize) {
    // What stands above the connections stays.
    let above = if app.view == View::Connections { body.len().min(2) } else { 0 };
    let rows = body.len() - above;
    let room = room.saturating_sub(above);
    let last = rows.saturating_sub(room);
    let scroll = if app.view == View::Connections {
        let from = app.scroll.min(app.chosen).min(last);
        if app.chosen >= from + room { (app.chosen + 1).saturating_sub(room) } else { from }
    } else {
        app.scroll.min(last)
    };
    let mut lines: Vec<Line<'static>> = body;
    let kept: Vec<Line<'static>> = lines.drain(above..).skip(scroll).take(room).collect();
    lines.extend(kept);
    (lines, scroll)
}

/// What has to be said above all.
fn notice(app: &App, at: Instant) -> Option<String> {
    if let Some(conn) = &app.confirm {
        return Some(format!("close the connection of {}? y closes it, any other key does not", conn.peer));
    }
    if let Some((since, why)) = &app.gone {
        let passed = at.saturating_duration_since(*since).as_secs();
        return Some(format!("NO ANSWER for {passed} s: {why}; it is asked again every second"));
    }
    app.notice(at).map(String::from)
}

fn keys(app: &App, width: usize) -> String {
    if let Some(text) = &app.typing {
        return format!("filter: {text}_   Enter uses it, Esc does not");
    }
    let sort = if app.view.sorts().is_empty() { String::new() } else { format!("s sort:{}  ", app.sort()) };
    let close = if app.view == View::Connections { "x close  " } else { "" };
    let forms = [
        format!("q quit  Tab view  jk move  {sort}/ filter  {close}p pause  ? keys"),
        format!("q quit  Tab view  {sort}{close}? keys"),
        "q quit  Tab view  ? keys".into(),
    ];
    forms.iter().find(|form| form.len() <= width).unwrap_or(&forms[2]).clone()
}

fn help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    let lines: Vec<Line<'static>> = HELP
        .iter()
        .map(|(key, what)| {
            cut(vec![(format!("{key:<11}"), Ink::Strong), ((*what).into(), Ink::Plain)], 36, look)
        })
        .collect();
    let (width, height) = (area.width.min(40), area.height.min(HELP.len() as u16 + 2));
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}

#[cfg(test)]
#[path = "../tests/top/draw.rs"]
mod tests;
