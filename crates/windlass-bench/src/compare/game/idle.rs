//! What a player costs in memory who does nothing, or next to nothing.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::GameArgs;
use super::bars::{Bar, Is};
use super::quiet::Quiet;
use super::serving::{BY_UDP, Program};
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
const MOST_BY_UDP: f64 = 4_096.0;

pub(super) fn section(args: &GameArgs, program: &Program) -> Result<(String, Vec<Bar>)> {
    let counts = [FIRST, MORE].map(|count| if args.quick { count / 4 } else { count });
    let (mut sockets, mut datagrams) = (Vec::new(), Vec::new());
    for nth in 0..args.rounds {
        sockets.push(by_websocket(program, counts)?);
        datagrams.push(by_udp(program, counts)?);
        let last = [&sockets, &datagrams].map(|all| all.last().copied().unwrap_or(f64::NAN));
        eprintln!(
            "round {} idle: {:.0} B of a player by WebSocket, {:.0} B by UDP",
            nth + 1,
            last[0],
            last[1]
        );
    }
    let [first, more] = counts.map(|count| text::thousands(count as i64));
    let text = format!(
        "\n## A player who does nothing\n\n{} bytes by WebSocket, {} bytes by UDP: resident memory of the server with \
         {more} players more than with {first}, all of them seated, in rooms of 16 that tick {HZ} times a second. Those by \
         WebSocket say nothing at all; those by UDP, where who is silent is gone, acknowledge what is to be acknowledged. \
         Rooms are in it, and frames; the system's sockets are not.\n",
        spread(&sockets),
        spread(&datagrams),
    );
    let each = |all: &[f64]| median(all).unwrap_or(f64::NAN);
    let bars = vec![
        Bar::new("bytes of an idle player, by WebSocket", each(&sockets), Is::AtMost(MOST)),
        Bar::new("bytes of an idle player, by UDP", each(&datagrams), Is::AtMost(MOST_BY_UDP)),
    ];
    Ok((text, bars))
}

/// What each of the second lot of players adds.
fn added(more: usize, [before, after]: [u64; 2]) -> f64 {
    (after as f64 - before as f64) * 1024.0 / more as f64
}

fn by_websocket(program: &Program, counts: [usize; 2]) -> Result<f64> {
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
    Ok(added(counts[1], [grow(counts[0])?, grow(counts[1])?]))
}

fn by_udp(program: &Program, counts: [usize; 2]) -> Result<f64> {
    let game = program.game_with(HZ, BY_UDP, &[])?;
    let mut lobby = Lobby::connect(game.at)?;
    let mut players = Quiet::new()?;
    let mut grow = |count| -> Result<u64> {
        for _ in 0..count {
            players.sit(&lobby.keep("join-or-create", &json!({}))?)?;
        }
        players.rest(REST)?;
        resident_kib(game.pid())
    };
    Ok(added(counts[1], [grow(counts[0])?, grow(counts[1])?]))
}
