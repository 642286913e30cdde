//! Numbers and tables for people.

/// A number with three significant digits, or with separators from 1,000 on.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        thousands(value.round() as i64)
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A whole number with a comma between each three digits.
pub(crate) fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    if value < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What stands behind the name of so many things.
pub(crate) fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Microseconds as a time with a fitting unit.
pub(crate) fn micros(value: f64) -> String {
    if value < 1000.0 {
        format!("{} µs", number(value))
    } else if value < 1e6 {
        format!("{} ms", number(value / 1e3))
    } else {
        format!("{} s", number(value / 1e6))
    }
}

/// Bytes with a binary unit.
pub(crate) fn bytes(value: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // A whole number needs no decimals: "64 B", "16 KiB".
    if value.fract() == 0.0 {
        format!("{} {}", thousands(value as i64), UNITS[unit])
    } else {
        format!("{} {}", number(value), UNITS[unit])
    }
}

/// A markdown table whose source lines up, too: the first column to the left, the others right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let columns = head.len();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = (usize, String)>| {
        for (column, cell) in cells {
            let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            text += &if column == 0 { format!("| {cell}{gap} ") } else { format!("| {gap}{cell} ") };
        }
        text += "|\n";
    };
    line(&mut head.iter().map(|cell| (*cell).to_owned()).enumerate());
    let mut rule = (0..columns).map(|column| {
        let dashes = "-".repeat(widths_at(head, rows, column).saturating_sub(1));
        (column, if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") })
    });
    line(&mut rule);
    for row in rows {
        line(&mut row.iter().cloned().enumerate());
    }
    text
}

fn widths_at(head: &[&str], rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
    cells.chain([head[column].chars().count()]).max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,235"),
            (-1e6, "-1,000,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn units() {
        assert_eq!(micros(12.0), "12.0 µs");
        assert_eq!(micros(2500.0), "2.50 ms");
        assert_eq!(bytes(64.0), "64 B");
        assert_eq!(bytes(16384.0), "16 KiB");
        assert_eq!(bytes(1.5 * 1048576.0), "1.50 MiB");
    }

    #[test]
    fn tables_line_up() {
        let rows = [vec!["epoll".into(), "1".into()], vec!["é".into(), "12,345".into()]];
        let expected = "\
| peer  |   msgs |
| ----- | -----: |
| epoll |      1 |
| é     | 12,345 |
";
        assert_eq!(table(&["peer", "msgs"], &rows), expected);
    }
}
