//! Checks that need more than the compiler.
fn main() {}
