//! Tic-tac-toe for two, in rooms, at http://127.0.0.1:7780 (open it in two windows).

use std::sync::Arc;

use windlass::{Mailbox, serve};
use windlass_http::File;
use windlass_realtime::{
    Channel, Game, GameConfig, GameWatch, Guest, Key, Leave, Play, Reject, Room, RoomKind, Seat,
};

// ANCHOR: room
const LINES: [[usize; 3]; 8] =
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

/// Nine fields and whose turn it is. Seat 0 plays X, seat 1 plays O.
struct TicTacToe {
    fields: [u8; 9],
    turn: u16,
}

impl TicTacToe {
    /// Who is to play (`0` or `1`), or how it ended: `x`, `o`, or `=`.
    fn state(&self) -> u8 {
        let won = |mark: u8| LINES.iter().any(|line| line.iter().all(|&at| self.fields[at] == mark));
        match (won(b'X'), won(b'O'), self.fields.contains(&b'.')) {
            (true, ..) => b'x',
            (_, true, _) => b'o',
            (.., false) => b'=',
            _ => b'0' + self.turn as u8,
        }
    }

    fn tell(&self, play: &mut Play<'_>) {
        play.send_all(Channel::Reliable, &[&self.fields[..], &[self.state()]].concat());
    }
}

impl Room for TicTacToe {
    fn join(&mut self, play: &mut Play<'_>, _: Seat, _: &Guest) -> Result<(), Reject> {
        self.tell(play);
        Ok(())
    }
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, _: Channel, message: &[u8]) {
        let (&[at], b'0' | b'1') = (message, self.state()) else { return };
        let Some(mark) = self.fields.get_mut(usize::from(at)).filter(|mark| **mark == b'.') else { return };
        if seat.0 == self.turn && play.players().count() == 2 {
            *mark = [b'X', b'O'][usize::from(seat.0)];
            self.turn = 1 - self.turn;
            self.tell(play);
            if !self.state().is_ascii_digit() {
                play.after(3 * u64::from(play.hz()), 0);
            }
        }
    }
    fn timer(&mut self, play: &mut Play<'_>, _: u64) {
        self.fields = [b'.'; 9];
        self.tell(play);
    }
    fn leave(&mut self, play: &mut Play<'_>, _: Seat, _: Leave) {
        play.end();
    }
}
// ANCHOR_END: room

fn main() -> windlass::Result<()> {
    let kind = RoomKind::new("tic-tac-toe", |_| Box::new(TicTacToe { fields: [b'.'; 9], turn: 0 }));
    let key = Key::random().expect("the system has random numbers");
    let config = Arc::new(GameConfig::new(key, [kind.hz(10).players_max(2)]));
    let (mailbox, watch) = (Mailbox::new(), GameWatch::new(1, ["tic-tac-toe".to_string()]));
    let mail = mailbox.clone();
    let make = move || {
        Game::http(config.clone(), &mail, &watch, Default::default())
            .file("/", File::named("index.html", include_str!("tic_tac_toe/index.html")))
            .file("/page.js", File::named("page.js", include_str!("tic_tac_toe/page.js")))
    };
    serve(make).mailbox(&mailbox).movable().tick(Game::TICK).workers(1).tcp("127.0.0.1:7780").run()?;
    Ok(())
}
