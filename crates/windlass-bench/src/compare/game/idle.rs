//! What a player costs in memory who does nothing.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::GameArgs;
use super::bars::{Bar, Is};
use super::serving::Program;
use super::witness::Lobby;
use crate::compare::figures::{median, spread};
use crate::proc::resident_kib;
use crate::text;

const HZ: u32 = 30;
/// Players before anything is looked at, and behind them.
const FIRST: usize = 512;
const MORE: usize = 2_048;
/// Until nothing grows any more: a room keeps 64 frames, and confirms that do not come are waited for.
const REST: Duration = Duration::from_secs(5);
const MOST: f64 = 8_192.0;

pub(super) fn section(args: &GameArgs, program: &Program) -> Result<(String, Vec<Bar>)> {
    let [first, more] = [FIRST, MORE].map(|count| if args.quick { count / 4 } else { count });
    let mut all = Vec::new();
    for nth in 0..args.rounds {
        let game = program.game(HZ, &[])?;
        let mut lobby = Lobby::connect(game.at)?;
        let mut players = Vec::new();
        let mut grow = |count| -> Result<u64> {
            for _ in 0..count {
                players.push(lobby.sit("join-or-create", &json!({}))?);
            }
            std::thread::sleep(REST);
            resident_kib(game.pid())
        };
        let before = grow(first)?;
        let each = (grow(more)? as f64 - before as f64) * 1024.0 / more as f64;
        eprintln!("round {} idle: {each:.0} B of a player", nth + 1);
        all.push(each);
    }
    let text = format!(
        "\n## A player who does nothing\n\n{} bytes: resident memory of the server with {} players more than with {}, all \
         of them seated, by WebSocket, in rooms of 16 that tick {HZ} times a second. Rooms are in it, and frames; the \
         system's sockets are not.\n",
        spread(&all),
        text::thousands(more as i64),
        text::thousands(first as i64),
    );
    let each = median(&all).unwrap_or(f64::NAN);
    Ok((text, vec![Bar::new("bytes of an idle player, by WebSocket", each, Is::AtMost(MOST))]))
}
