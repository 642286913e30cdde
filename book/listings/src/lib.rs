//! The programs of the tutorial: `src/bin` holds one file for each, printed in the book as it is.
//!
//! Nothing is shared between them, so that each can be read, copied and changed alone. Those named `plain_`
//! stand on mio and are wrong on purpose: their chapters say how. `tests/it` runs every program and every
//! command of the book.
