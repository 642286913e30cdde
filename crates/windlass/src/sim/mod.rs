//! A whole server under a simulated network, in virtual time, from a seed.
#![allow(dead_code)]

mod end;
mod errno;
mod net;
mod plan;
mod poller;
mod sys;
#[cfg(test)]
mod tests;
mod trace;
mod world;
