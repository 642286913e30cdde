//! What was to be reached, and whether it was.

use crate::text;

/// One figure.
pub(super) struct Bar {
    pub(super) what: String,
    /// What ours has.
    pub(super) ours: f64,
    /// What is the same without us: a control, or others' work.
    pub(super) control: Option<f64>,
    pub(super) is: Is,
}

/// What it must be.
#[derive(Clone, Copy)]
pub(super) enum Is {
    AtMost(f64),
    AtLeast(f64),
    /// It is told, and not judged.
    Told,
}

impl Is {
    fn holds(self, figure: f64) -> Option<bool> {
        match self {
            Is::AtMost(most) => Some(figure <= most),
            Is::AtLeast(least) => Some(figure >= least),
            Is::Told => None,
        }
    }
}

impl Bar {
    pub(super) fn new(what: impl Into<String>, ours: f64, is: Is) -> Bar {
        Bar { what: what.into(), ours, control: None, is }
    }

    pub(super) fn beside(mut self, control: f64) -> Bar {
        self.control = Some(control);
        self
    }

    fn row(&self) -> Vec<String> {
        let bar = match self.is {
            Is::AtMost(most) => format!("at most {}", text::number(most)),
            Is::AtLeast(least) => format!("at least {}", text::number(least)),
            Is::Told => "-".into(),
        };
        let reached = match self.is.holds(self.ours) {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        let control = self.control.map_or("-".into(), text::number);
        vec![self.what.clone(), text::number(self.ours), control, bar, reached.into()]
    }
}

pub(super) fn table(bars: &[Bar]) -> String {
    let rows: Vec<Vec<String>> = bars.iter().map(Bar::row).collect();
    text::table(&["figure", "it has", "the control", "bar", "reached"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_whether_it_is_reached() {
        let told = |bar: Bar| bar.row().pop().unwrap();
        assert_eq!(told(Bar::new("CPU", 0.35, Is::AtMost(0.35))), "yes");
        assert_eq!(told(Bar::new("CPU", 0.36, Is::AtMost(0.35))), "NO");
        assert_eq!(told(Bar::new("ratio", 1.03, Is::AtLeast(1.1))), "NO");
        assert_eq!(told(Bar::new("ratio", 1.13, Is::AtLeast(1.1))), "yes");
        assert_eq!(told(Bar::new("ratio", f64::NAN, Is::AtLeast(1.1))), "NO");
        assert_eq!(Bar::new("shown", 2.0, Is::Told).beside(1.0).row(), ["shown", "2.00", "1.00", "-", "-"]);
    }
}
