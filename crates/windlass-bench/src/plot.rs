//! Latency plots: percentiles over a logarithmic axis, as SVG or as a page of HTML.
//!
//! The horizontal axis is stretched towards the slow end: 90 %, 99 %, 99.9 % lie at equal
//! distances, because the rare slow messages are what one looks for. Both formats stand alone,
//! with no script and nothing to load.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::latency::{Latency, SHOWN};
use crate::text;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 62.0;
/// Points of the curve. More than one for two pixels shows nothing more.
const POINTS: usize = 360;

/// Refuses a file name whose format is not known, before the run and not after it.
pub(crate) fn check_name(path: &Path) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "html") => Ok(()),
        _ => bail!("`{}` ends neither in .svg nor in .html", path.display()),
    }
}

/// Writes the plot in the format that the file's name asks for.
pub(crate) fn write(path: &Path, title: &str, latency: &Latency) -> Result<()> {
    check_name(path)?;
    let drawing = svg(title, latency);
    let content = if path.extension().is_some_and(|extension| extension == "html") {
        html(title, &drawing, latency)
    } else {
        drawing
    };
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// The two axes: where a percentile and a latency lie on the drawing.
struct Axes {
    /// Decades of the horizontal axis: 3 ends at 99.9 %. It ends where only the slowest is left.
    decades: f64,
    low: f64,
    high: f64,
}

impl Axes {
    fn fit(latency: &Latency) -> Axes {
        let decades = (latency.len() as f64).max(100.0).log10().min(8.0);
        let low = latency.min().max(0.1);
        let high = latency.max().max(low * 1.5);
        Axes { decades, low: step_below(low), high: step_above(high) }
    }

    fn x(&self, percent: f64) -> f64 {
        let slowness = 1.0 / (1.0 - percent / 100.0).max(10f64.powf(-self.decades));
        LEFT + slowness.log10() / self.decades * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, micros: f64) -> f64 {
        let share = (micros.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    /// The percentile at `share` of the horizontal axis.
    fn percent_at(&self, share: f64) -> f64 {
        100.0 * (1.0 - 10f64.powf(-share * self.decades))
    }
}

/// The largest of 1, 2, 5, 10, 20, ... that is not above `value`.
fn step_below(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [5.0, 2.0].into_iter().map(|step| step * decade).find(|&step| step <= value).unwrap_or(decade)
}

/// The smallest of 1, 2, 5, 10, 20, ... that is not below `value`.
fn step_above(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * decade).find(|&step| step >= value).unwrap_or(10.0 * decade)
}

fn svg(title: &str, latency: &Latency) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut out, title, latency);
    out
}

fn draw(out: &mut String, title: &str, latency: &Latency) -> std::fmt::Result {
    let axes = Axes::fit(latency);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#333">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="26" font-size="15" font-weight="600">{}</text>
<text x="{LEFT}" y="44" fill="#666">latency of {} messages</text>"##,
        escape(title),
        text::thousands(latency.len() as i64)
    )?;
    draw_grid(out, &axes)?;

    let points: Vec<String> = (0..=POINTS)
        .map(|step| {
            let percent = axes.percent_at(step as f64 / POINTS as f64);
            format!("{:.1},{:.1}", axes.x(percent), axes.y(latency.percentile(percent)))
        })
        .collect();
    writeln!(
        out,
        r##"<polyline fill="none" stroke="#0b6e99" stroke-width="2" stroke-linejoin="round" points="{}"/>"##,
        points.join(" ")
    )?;
    for (name, percent) in SHOWN {
        let micros = latency.percentile(percent);
        let (x, y) = (axes.x(percent), axes.y(micros));
        writeln!(out, r##"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="#0b6e99"/>"##)?;
        // A rising curve leaves room above it to the left; the first point is too near the edge.
        let (dx, dy, anchor) = if percent < 75.0 { (6.0, 18.0, "start") } else { (-6.0, -9.0, "end") };
        writeln!(
            out,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" font-weight="600">{name} {}</text>"##,
            x + dx,
            y + dy,
            text::micros(micros)
        )?;
    }
    writeln!(
        out,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="end" font-weight="600">max {}</text>"##,
        WIDTH - RIGHT,
        axes.y(latency.max()) - 9.0,
        text::micros(latency.max())
    )?;
    writeln!(out, "</svg>")
}

fn draw_grid(out: &mut String, axes: &Axes) -> std::fmt::Result {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    // 1, 2, 5, 10, ... but over many decades only the powers of ten, or the labels would collide.
    let wide = (axes.high / axes.low).log10() > 3.5;
    let mut tick = axes.low;
    while tick <= axes.high * 1.001 {
        let y = axes.y(tick);
        let lead = tick / 10f64.powf((tick * 1.001).log10().floor());
        if !wide || lead < 1.5 {
            writeln!(
                out,
                r##"<line x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}" stroke="#e3e3e3"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
                LEFT - 8.0,
                y + 4.0,
                short_micros(tick)
            )?;
        }
        tick *= if (1.9..2.1).contains(&lead) { 2.5 } else { 2.0 };
    }
    let mut marks = vec![0.0, 50.0, 75.0];
    marks.extend((1..=axes.decades as i32).map(|nines| 100.0 * (1.0 - 10f64.powi(-nines))));
    for percent in marks {
        let x = axes.x(percent);
        // As many decimals as there are nines behind the point.
        let text = format!("{percent:.6}").trim_end_matches('0').trim_end_matches('.').to_owned();
        writeln!(
            out,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}" stroke="#e3e3e3"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{text} %</text>"##,
            bottom + 18.0
        )?;
    }
    writeln!(
        out,
        r##"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#333"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#666">share of messages that were at least this fast (log scale towards 100 %)</text>
<text transform="translate(20 {:.1}) rotate(-90)" text-anchor="middle" fill="#666">latency (log scale)</text>"##,
        f64::midpoint(LEFT, right),
        HEIGHT - 16.0,
        f64::midpoint(TOP, bottom)
    )
}

/// A tick's label: ticks are round numbers and need no decimals.
fn short_micros(micros: f64) -> String {
    let (value, unit) = match micros {
        m if m < 999.0 => (m, "µs"),
        m if m < 999e3 => (m / 1e3, "ms"),
        m => (m / 1e6, "s"),
    };
    format!("{} {unit}", (value * 10.0).round() / 10.0)
}

fn html(title: &str, drawing: &str, latency: &Latency) -> String {
    let shown = SHOWN.map(|(name, percent)| (name, latency.percentile(percent)));
    let (mut head, mut line) = (String::new(), String::new());
    for (name, micros) in shown.into_iter().chain([("max", latency.max())]) {
        let _ = write!(head, "<th>{name}</th>");
        let _ = write!(line, "<td>{}</td>", text::micros(micros));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n<style>body{{\
         margin:2rem;font-family:system-ui,sans-serif}}svg{{max-width:100%;height:auto}}th,td{{\
         padding:.3rem 1rem;text-align:right}}</style>\n{drawing}<table>\n<tr>{head}</tr>\n\
         <tr>{line}</tr>\n</table>\n</html>\n",
        escape(title)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(check_name(Path::new("a.svg")).is_ok());
        assert!(check_name(Path::new("a.html")).is_ok());
        assert!(check_name(Path::new("a.png")).is_err());
        assert!(check_name(Path::new("svg")).is_err());
    }

    #[test]
    fn steps() {
        for (value, below, above) in [(1.0, 1.0, 1.0), (3.0, 2.0, 5.0), (70.0, 50.0, 100.0), (0.3, 0.2, 0.5)]
        {
            assert!((step_below(value) / below - 1.0).abs() < 1e-9, "{value}");
            assert!((step_above(value) / above - 1.0).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn the_curve_stays_inside_and_rises() {
        let mut latency = Latency::new();
        (1..=10_000_u64).for_each(|n| latency.record(n * n));
        let axes = Axes::fit(&latency);
        let mut last = f64::INFINITY;
        for step in 0..=POINTS {
            let percent = axes.percent_at(step as f64 / POINTS as f64);
            let (x, y) = (axes.x(percent), axes.y(latency.percentile(percent)));
            assert!((LEFT - 0.1..=WIDTH - RIGHT + 0.1).contains(&x), "{x}");
            assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y), "{y}");
            assert!(y <= last + 1e-9);
            last = y;
        }
    }

    #[test]
    fn nothing_measured_draws_nothing_wrong() {
        assert!(!svg("<empty>", &Latency::new()).contains("NaN"));
        assert!(svg("<empty>", &Latency::new()).contains("&lt;empty&gt;"));
    }
}
