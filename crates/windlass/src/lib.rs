//! The engine.
#![allow(dead_code, unused)]
mod planted;
pub mod sim;
mod sys;
