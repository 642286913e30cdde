//! Tables that give up columns where the terminal is narrow.

use ratatui::text::{Line, Span};

use super::ink::{Ink, Look};

/// One column.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers stand to the right.
    pub(crate) right: bool,
    /// Those with the highest go first; those with 0 stay.
    pub(crate) rank: u8,
}

/// A column of text.
pub(crate) const fn text(title: &'static str, rank: u8) -> Column {
    Column { title, right: false, rank }
}

/// A column of figures.
pub(crate) const fn figure(title: &'static str, rank: u8) -> Column {
    Column { title, right: true, rank }
}

/// One cell: pieces of text, each in its ink.
pub(crate) type Cell = Vec<(String, Ink)>;

/// A cell of plain text.
pub(crate) fn plain(text: impl Into<String>) -> Cell {
    vec![(text.into(), Ink::Plain)]
}

/// A cell in one ink.
pub(crate) fn inked(text: impl Into<String>, ink: Ink) -> Cell {
    vec![(text.into(), ink)]
}

fn len(cell: &Cell) -> usize {
    cell.iter().map(|(text, _)| text.chars().count()).sum()
}

/// The columns that fit into `width`, with two spaces between them. Those with the highest rank go first, the
/// rightmost of equal ones first.
pub(crate) fn fitting(columns: &[Column], widths: &[usize], width: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let total = |kept: &[usize]| kept.iter().map(|&n| widths[n] + 2).sum::<usize>().saturating_sub(2);
    while total(&kept) > width {
        let Some(at) =
            (0..kept.len()).filter(|&at| columns[kept[at]].rank > 0).max_by_key(|&at| columns[kept[at]].rank)
        else {
            break;
        };
        kept.remove(at);
    }
    kept
}

/// The head and the rows, each `width` columns at the most.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<Cell>], width: usize, look: Look) -> Vec<Line<'static>> {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(n, column)| rows.iter().map(|row| len(&row[n])).chain([column.title.len()]).max().unwrap_or(0))
        .collect();
    let kept = fitting(columns, &widths, width);
    let head: Vec<Cell> = columns.iter().map(|column| inked(column.title, Ink::Dim)).collect();
    std::iter::once(&head).chain(rows).map(|row| line(columns, &widths, &kept, row, width, look)).collect()
}

fn line(
    columns: &[Column],
    widths: &[usize],
    kept: &[usize],
    row: &[Cell],
    width: usize,
    look: Look,
) -> Line<'static> {
    let mut pieces: Cell = Vec::new();
    for (at, &n) in kept.iter().enumerate() {
        let gap = " ".repeat(widths[n] - len(&row[n]));
        if at > 0 {
            pieces.push(("  ".into(), Ink::Plain));
        }
        if columns[n].right {
            pieces.push((gap.clone(), Ink::Plain));
        }
        pieces.extend(row[n].iter().cloned());
        if !columns[n].right && at + 1 < kept.len() {
            pieces.push((gap, Ink::Plain));
        }
    }
    cut(pieces, width, look)
}

/// A line that ends where the terminal does.
pub(crate) fn cut(pieces: Cell, width: usize, look: Look) -> Line<'static> {
    let mut left = width;
    let mut spans = Vec::new();
    for (text, ink) in pieces {
        let text: String = text.chars().take(left).collect();
        left -= text.chars().count();
        if !text.is_empty() {
            spans.push(Span::styled(text, look.style(ink)));
        }
    }
    Line::from(spans)
}
