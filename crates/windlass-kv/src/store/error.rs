//! Why the store refuses.

use std::error::Error;
use std::fmt;

/// Why the store did not do what it was asked; it has changed nothing then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Memory is full and the policy found nothing to evict.
    OutOfMemory,
    /// The key holds a value of another type.
    WrongType,
    /// The key is longer than `max` bytes.
    KeyTooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// The value is longer than `max` bytes.
    ValueTooLong {
        /// The limit, in bytes.
        max: usize,
    },
}

impl StoreError {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            StoreError::OutOfMemory => "out_of_memory",
            StoreError::WrongType => "wrong_type",
            StoreError::KeyTooLong { .. } => "key_too_long",
            StoreError::ValueTooLong { .. } => "value_too_long",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::OutOfMemory => f.write_str("no room left within the memory limit"),
            StoreError::WrongType => f.write_str("the key holds a value of another type"),
            StoreError::KeyTooLong { max } => write!(f, "key longer than {max} bytes"),
            StoreError::ValueTooLong { max } => write!(f, "value longer than {max} bytes"),
        }
    }
}

impl Error for StoreError {}
