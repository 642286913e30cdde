//! What moves how in the arena: whole numbers alone, so that a page that computes the same comes to the same.
//!
//! Lengths are quarters of a pixel. The page is given these numbers as JSON ([`json`]) and has the same few lines.

/// The side of the arena.
pub(crate) const SIDE: i32 = 6_400;
/// Half of a player's width.
pub(crate) const RADIUS: i32 = 56;
/// What a player moves by with an input, along an axis and along both.
const SPEED: (i32, i32) = (27, 19);
/// The same in a dash.
const DASH_SPEED: (i32, i32) = (75, 53);
/// Inputs that a dash lasts.
const DASH_TICKS: u8 = 6;
/// Inputs from one dash to the next.
pub(crate) const DASH_EVERY: u8 = 30;
/// How far a shot reaches.
pub(crate) const RANGE: i32 = 2_800;
/// Inputs from one shot to the next.
pub(crate) const SHOT_EVERY: u8 = 10;
/// Hits that somebody takes.
pub(crate) const HEALTH: u8 = 3;
/// Ticks until somebody who was hit so often is back.
pub(crate) const RESPAWN_TICKS: u64 = 60;

pub(crate) const UP: u8 = 1;
pub(crate) const DOWN: u8 = 2;
pub(crate) const LEFT: u8 = 4;
pub(crate) const RIGHT: u8 = 8;
pub(crate) const DASH: u8 = 16;
pub(crate) const SHOOT: u8 = 32;

/// What stands in the way: left, top, right, bottom.
pub(crate) const WALLS: [(i32, i32, i32, i32); 11] = [
    (1_200, 1_200, 2_000, 1_440),
    (1_200, 1_440, 1_440, 2_000),
    (4_400, 1_200, 5_200, 1_440),
    (4_960, 1_440, 5_200, 2_000),
    (1_200, 4_960, 2_000, 5_200),
    (1_200, 4_400, 1_440, 4_960),
    (4_400, 4_960, 5_200, 5_200),
    (4_960, 4_400, 5_200, 4_960),
    (2_800, 2_960, 3_600, 3_440),
    (3_080, 900, 3_320, 1_500),
    (3_080, 4_900, 3_320, 5_500),
];

/// Of a circle in 256 parts, the cosines of the first quarter, times 4,096.
const QUARTER: [i32; 65] = [
    4_096, 4_095, 4_091, 4_085, 4_076, 4_065, 4_052, 4_036, 4_017, 3_996, 3_973, 3_948, 3_920, 3_889, 3_857,
    3_822, 3_784, 3_745, 3_703, 3_659, 3_612, 3_564, 3_513, 3_461, 3_406, 3_349, 3_290, 3_229, 3_166, 3_102,
    3_035, 2_967, 2_896, 2_824, 2_751, 2_675, 2_598, 2_520, 2_440, 2_359, 2_276, 2_191, 2_106, 2_019, 1_931,
    1_842, 1_751, 1_660, 1_567, 1_474, 1_380, 1_285, 1_189, 1_092, 995, 897, 799, 700, 601, 501, 401, 301,
    201, 101, 0,
];

/// The cosine of a direction (256 to the circle, clockwise from the right), times 4,096.
pub(crate) fn cos(direction: u8) -> i32 {
    let at = usize::from(direction);
    match direction {
        0..=64 => QUARTER[at],
        65..=128 => -QUARTER[128 - at],
        129..=192 => -QUARTER[at - 128],
        193..=255 => QUARTER[256 - at],
    }
}

/// The sine of it.
pub(crate) fn sin(direction: u8) -> i32 {
    cos(direction.wrapping_sub(64))
}

/// The direction of a vector: the one of 256 that lies next to it.
pub(crate) fn direction(dx: i32, dy: i32) -> u8 {
    let along = |direction: &u8| {
        i64::from(dx) * i64::from(cos(*direction)) + i64::from(dy) * i64::from(sin(*direction))
    };
    (0..=255).max_by_key(along).unwrap_or(0)
}

/// What of a player moves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Body {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) aim: u8,
    /// Inputs until the next dash.
    pub(crate) dash: u8,
}

/// Whether a player cannot stand there.
pub(crate) fn blocked(x: i32, y: i32) -> bool {
    WALLS.iter().any(|&(left, top, right, bottom)| {
        x + RADIUS > left && x - RADIUS < right && y + RADIUS > top && y - RADIUS < bottom
    })
}

/// Whether a shot does not get through there.
fn solid(x: i32, y: i32) -> bool {
    let outside = x < 0 || y < 0 || x > SIDE || y > SIDE;
    outside || WALLS.iter().any(|&(left, top, right, bottom)| x > left && x < right && y > top && y < bottom)
}

impl Body {
    pub(crate) fn is_dashing(&self) -> bool {
        self.dash > DASH_EVERY - DASH_TICKS
    }

    /// Moves with one input.
    pub(crate) fn step(&mut self, buttons: u8, aim: u8) {
        self.aim = aim;
        self.dash = self.dash.saturating_sub(1);
        if buttons & DASH != 0 && self.dash == 0 {
            self.dash = DASH_EVERY;
        }
        let axis = |less: u8, more: u8| i32::from(buttons & more != 0) - i32::from(buttons & less != 0);
        let (x, y) = (axis(LEFT, RIGHT), axis(UP, DOWN));
        let dashing = self.is_dashing();
        let (straight, both) = if dashing { DASH_SPEED } else { SPEED };
        let (dx, dy) = match (x, y) {
            (0, 0) if dashing => (cos(aim) * straight / 4_096, sin(aim) * straight / 4_096),
            (0, y) => (0, y * straight),
            (x, 0) => (x * straight, 0),
            (x, y) => (x * both, y * both),
        };
        // One axis after the other, so that a wall is slid along.
        let to = |at: i32, by: i32| (at + by).clamp(RADIUS, SIDE - RADIUS);
        let x = to(self.x, dx);
        if !blocked(x, self.y) {
            self.x = x;
        }
        let y = to(self.y, dy);
        if !blocked(self.x, y) {
            self.y = y;
        }
    }
}

/// How far a shot gets before a wall stops it.
pub(crate) fn reach(x: i32, y: i32, aim: u8) -> i32 {
    const STEP: i32 = 20;
    let (cos, sin) = (cos(aim), sin(aim));
    let free = |far: &i32| !solid(x + cos * far / 4_096, y + sin * far / 4_096);
    (0..=RANGE / STEP).map(|n| n * STEP).take_while(free).last().unwrap_or(0)
}

/// How far along a shot somebody is hit who stands there, if they are.
pub(crate) fn hit(from: (i32, i32), aim: u8, at: (i32, i32)) -> Option<i32> {
    let (dx, dy) = (i64::from(at.0 - from.0), i64::from(at.1 - from.1));
    let (cos, sin) = (i64::from(cos(aim)), i64::from(sin(aim)));
    let along = (dx * cos + dy * sin) / 4_096;
    let aside = (dx * sin - dy * cos) / 4_096;
    (along > 0 && aside.abs() <= i64::from(RADIUS)).then_some(along as i32)
}

/// All of it, for the page.
pub(crate) fn json() -> String {
    serde_json::json!({
        "side": SIDE, "radius": RADIUS, "speed": SPEED, "dashSpeed": DASH_SPEED, "dashTicks": DASH_TICKS,
        "dashEvery": DASH_EVERY, "range": RANGE, "shotEvery": SHOT_EVERY, "health": HEALTH, "walls": WALLS,
        "cos": (0..=255).map(cos).collect::<Vec<i32>>(),
        "buttons": { "up": UP, "down": DOWN, "left": LEFT, "right": RIGHT, "dash": DASH, "shoot": SHOOT },
    })
    .to_string()
}
