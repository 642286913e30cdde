//! How things are told apart on a terminal. Nothing is said by colour alone: the two that are used differ for
//! everybody in brightness and hue (blue and yellow), and what they mark is marked in text too.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    Plain,
    /// Names of columns, and what is beside the point.
    Dim,
    /// What one looks for first.
    Strong,
    /// Bars and curves.
    Bar,
    /// What wants attention.
    Warn,
    /// What is chosen.
    Chosen,
}

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    pub(crate) color: bool,
    /// Blocks and dots, beside ASCII.
    pub(crate) unicode: bool,
}

impl Look {
    /// As the environment asks for it: `NO_COLOR`, and a locale of UTF-8.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Look {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Look {
            color: set("NO_COLOR").is_none(),
            unicode: cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    pub(crate) fn style(self, ink: Ink) -> Style {
        let style = Style::new();
        let colored = |color| if self.color { style.fg(color) } else { style };
        match ink {
            Ink::Plain => style,
            Ink::Dim => style.add_modifier(Modifier::DIM),
            Ink::Strong => style.add_modifier(Modifier::BOLD),
            Ink::Bar => colored(Color::Blue),
            Ink::Warn => colored(Color::Yellow).add_modifier(Modifier::BOLD),
            Ink::Chosen => style.add_modifier(Modifier::REVERSED),
        }
    }

    /// A bar of `width` cells of which a share from 0 to 1 is full: the full cells, and the others.
    pub(crate) fn bar(self, share: f64, width: usize) -> (String, String) {
        let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
        let (on, off) = if self.unicode { ("█", "░") } else { ("#", ".") };
        (on.repeat(full), off.repeat(width - full))
    }

    /// The last `width` values as a curve; the highest is the top.
    pub(crate) fn curve(self, values: &[f64], width: usize) -> String {
        let steps = if self.unicode { "▁▂▃▄▅▆▇█" } else { "_.:-=+*#" };
        let steps: Vec<char> = steps.chars().collect();
        let shown = &values[values.len().saturating_sub(width)..];
        let top = shown.iter().copied().fold(0.0, f64::max);
        let step = |value: f64| match value {
            _ if top <= 0.0 => steps[0],
            value => steps[((value / top * 7.0).round() as usize).min(7)],
        };
        shown.iter().map(|&value| step(value)).collect()
    }
}
