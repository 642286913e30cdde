//! Tests of the codec.

mod commands;
mod replies;

use alloc::vec::Vec;

use super::*;
use crate::testing::{self, Run};

/// The words of a command, as lists of bytes.
fn words(command: Command<'_>) -> Vec<Vec<u8>> {
    let words: Vec<Vec<u8>> = command.args().map(<[u8]>::to_vec).collect();
    assert_eq!(words.len(), command.len());
    words
}

fn commands(limits: RespLimits, bytes: &[u8]) -> Run<Vec<Vec<u8>>, RespError> {
    testing::any_split(|| Commands::new(limits), bytes, words)
}
