//! Load generators and comparisons.
