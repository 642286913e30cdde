//! Latencies, kept in a histogram and told as percentiles.

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
    fn extremes_are_kept_not_refused() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        assert_eq!(latency.len(), 2);
        assert!(latency.max() >= 6e8);
    }
}
