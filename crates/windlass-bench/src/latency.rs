//! Latencies, kept in a histogram and told as percentiles.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The percentiles that every report shows, with their names.
pub(crate) const SHOWN: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Longest latency that is told apart, in nanoseconds: ten minutes. Longer ones count as this.
const LONGEST: u64 = 600_000_000_000;

/// Latencies in nanoseconds, exact to three digits. Recording allocates nothing.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Latency {
    /// An empty set.
    #[must_use]
    pub fn new() -> Latency {
        // The bounds are constants that the library accepts, so this cannot fail.
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("constant bounds");
        Latency { histogram }
    }

    /// Adds one latency in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos.clamp(1, LONGEST));
    }

    /// Adds all latencies of `other`.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// How many latencies were recorded.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.histogram.len()
    }

    /// Whether none was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latency in microseconds that `percent` of all do not exceed.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> f64 {
        self.histogram.value_at_percentile(percent) as f64 / 1e3
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.histogram.max() as f64 / 1e3
    }

    /// The shortest, in microseconds.
    #[must_use]
    pub fn min(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.histogram.min() as f64 / 1e3 }
    }

    /// The distribution in milliseconds, in the text format that HdrHistogram's plotter and other tools read.
    #[must_use]
    pub fn to_hgrm(&self) -> String {
        let histogram = &self.histogram;
        let ms = |nanos: f64| nanos / 1e6;
        let mut out = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        // Five ticks to each halving of the distance to all, as those tools do. Writing to a string cannot fail.
        let mut count = 0;
        for step in histogram.iter_quantiles(5) {
            let (value, share) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
            count += step.count_since_last_iteration();
            let _ = if share < 1.0 {
                writeln!(out, "{value:12.6} {share:2.12} {count:10} {:14.2}", 1.0 / (1.0 - share))
            } else {
                writeln!(out, "{value:12.6} {share:2.12} {count:10} {:>14}", "inf")
            };
        }
        let (mean, deviation) = (ms(histogram.mean()), ms(histogram.stdev()));
        let (max, total) = (ms(histogram.max() as f64), histogram.len());
        let _ = writeln!(out, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
        let _ = writeln!(out, "#[Max     = {max:12.6}, Total count    = {total:12}]");
        out
    }

    /// The percentiles in microseconds, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({ "count": self.len(), "min": self.min(), "max": self.max() });
        for (name, percent) in SHOWN {
            value[name] = json!(self.percentile(percent));
        }
        value
    }
}

impl Default for Latency {
    fn default() -> Self {
        Latency::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_ramp() {
        let mut latency = Latency::new();
        for micros in 1..=1000_u64 {
            latency.record(micros * 1000);
        }
        assert!((latency.percentile(50.0) - 500.0).abs() < 1.0);
        assert!((latency.percentile(99.0) - 990.0).abs() < 1.0);
        assert!((latency.max() - 1000.0).abs() < 1.0);
    }

    #[test]
    fn the_distribution_ends_with_all_of_them() {
        let mut latency = Latency::new();
        (1..=1000_u64).for_each(|micros| latency.record(micros * 1000));
        let text = latency.to_hgrm();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        let middle = lines.iter().find(|line| line.get(1) == Some(&"0.500000000000")).unwrap();
        assert_eq!((middle[2], middle[3]), ("500", "2.00"), "{text}");
        assert!((middle[0].parse::<f64>().unwrap() - 0.5).abs() < 0.001);
        let last = lines.iter().rev().find(|line| line.len() == 4 && line[1] == "1.000000000000").unwrap();
        assert_eq!((last[2], last[3]), ("1000", "inf"), "{text}");
    }

    #[test]
    fn extremes_are_kept_not_refused() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        assert_eq!(latency.len(), 2);
        assert!(latency.max() >= 6e8);
    }
}
