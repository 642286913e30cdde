//! A player of the arena, whatever carries what it says: reads snapshots, walks around the middle, and tells what it sees.
//!
//! Written from the documentation of `windlass_realtime::wire` and `snapshot/delta.rs`, and from nothing else of them: what
//! is agreed on is what both say.

mod wire;

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::{Snapshots, View, pieces, varint};

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// Places around the middle from where all see each other, with a free way from each to the next.
pub const RING: [(i32, i32); 8] = [
    (4100, 3200),
    (3836, 3836),
    (3200, 4100),
    (2564, 3836),
    (2300, 3200),
    (2564, 2564),
    (3200, 2300),
    (3836, 2564),
];

/// Who walks from place to place.
#[derive(Default)]
struct Walk {
    goal: Option<usize>,
    last: (i32, i32),
    still: u32,
    aside: u32,
    tries: usize,
}

impl Walk {
    fn buttons(&mut self, at: (i32, i32)) -> u8 {
        let far = |&(x, y): &(i32, i32)| (x - at.0).pow(2) + (y - at.1).pow(2);
        let nearest = || (0..RING.len()).min_by_key(|&n| far(&RING[n])).unwrap_or(0);
        let goal = *self.goal.get_or_insert_with(nearest);
        if far(&RING[goal]) < 60 * 60 {
            self.goal = Some((goal + 1) % RING.len());
        } else if far(&RING[goal]) > 2_000 * 2_000 {
            // Brought down, and back somewhere else.
            self.goal = Some(nearest());
        }
        self.still = if at == self.last { self.still + 1 } else { 0 };
        self.last = at;
        if self.still > 8 {
            // Something stands in the way: aside for a while, each time elsewhere.
            (self.still, self.aside, self.tries) = (0, 20, self.tries + 1);
        }
        if self.aside > 0 {
            self.aside -= 1;
            return [RIGHT, UP, LEFT, DOWN][self.tries % 4];
        }
        let (dx, dy) = (RING[goal].0 - at.0, RING[goal].1 - at.1);
        let along = |by: i32, less: u8, more: u8| match by {
            ..-30 => less,
            31.. => more,
            _ => 0,
        };
        along(dx, LEFT, RIGHT) | along(dy, UP, DOWN)
    }
}

/// One player.
pub struct Player {
    seat: Option<u16>,
    tick: u64,
    snapshots: Snapshots,
    walk: Walk,
    newest: u32,
    inputs: Vec<[u8; 4]>,
}

impl Default for Player {
    fn default() -> Player {
        Player::new()
    }
}

impl Player {
    pub fn new() -> Player {
        Player {
            seat: None,
            tick: 0,
            snapshots: Snapshots::default(),
            walk: Walk::default(),
            newest: 0,
            inputs: Vec::new(),
        }
    }

    /// What the room has said, and what is said to that: inputs, and which snapshot came.
    pub fn hear(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let [low, high, _, _, _, rest @ ..] = message else { panic!("a message without a head") };
        let ahead = u16::from_le_bytes([*low, *high]).wrapping_sub(self.tick as u16) as i16;
        // Datagrams overtake each other.
        let mut tick = self.tick.saturating_add_signed(ahead.into());
        self.tick = self.tick.max(tick);
        let (mut came, mut own) = (None, None);
        for (tag, body) in pieces(rest) {
            match tag {
                0 => {
                    let seat = u16::from_le_bytes([body[0], body[1]]);
                    tick = u64::from_le_bytes(body[5..13].try_into().unwrap());
                    self.tick = tick;
                    self.seat = Some(seat);
                    say(&format!("seat {seat}"));
                }
                2 if body.first() == Some(&1) => say(&format!("shot {}", body[1])),
                3 if body.first() == Some(&3) => {
                    say(&format!("name {} {}", body[1], String::from_utf8_lossy(&body[4..])));
                }
                4 => {
                    let Some(view) = self.snapshots.read(tick, body) else { continue };
                    tell(tick, view);
                    came = Some(tick as u16);
                    own = self.seat.and_then(|seat| {
                        let fields = view.get(&seat)?;
                        Some((fields[0] as i32, fields[1] as i32))
                    });
                }
                5 => panic!("the seat has ended: {}", String::from_utf8_lossy(body)),
                _ => {}
            }
        }
        let came = came?;
        let buttons = own.map_or(0, |at| self.walk.buttons(at));
        self.newest += 1;
        self.inputs.insert(0, [buttons, 0, self.tick as u8, (self.tick >> 8) as u8]);
        self.inputs.truncate(3);
        let mut body = self.newest.to_le_bytes().to_vec();
        for input in &self.inputs {
            varint(&mut body, input.len());
            body.extend(input);
        }
        let mut out = vec![4];
        varint(&mut out, body.len());
        out.extend(body);
        out.extend([5, 2]);
        out.extend(came.to_le_bytes());
        Some(out)
    }
}

/// The seat is given up.
pub const FAREWELL: [u8; 2] = [6, 0];

/// What is seen behind a tick, and its hash.
fn tell(tick: u64, view: &View) {
    let of = |fields: &[i64]| fields.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let places: Vec<String> = view.iter().map(|(id, fields)| format!("{id}:{}", of(fields))).collect();
    say(&format!("tick {tick} {:016x} {}", wire::hash(view), places.join(" ")));
}

/// One line, at once; whoever reads may be gone.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Becomes true when nobody wants this player any more: its input has ended.
pub fn until_told() -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    over
}
