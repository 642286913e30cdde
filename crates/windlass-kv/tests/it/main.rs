//! The service under the harness and on a simulated network.

mod commands;
mod limits;
mod messages;
mod sim;
mod talk;
