//! The book, tried out: each chapter's claim against the plain server and against ours (`plain.rs`), and
//! every command of every page with what the page says it prints (`pages.rs`). Read `program.rs` first.
#![cfg(target_os = "linux")]

mod pages;
mod plain;
mod program;
mod stale;
