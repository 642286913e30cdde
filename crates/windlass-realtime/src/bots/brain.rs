//! What a bot wants: the nearest other, at a distance that changes, and out of walls.

use crate::arena::rules::{DASH, DOWN, LEFT, RIGHT, SHOOT, UP, direction};
use crate::random::Random;
use crate::snapshot::View;

#[derive(Debug)]
pub(super) struct Brain {
    random: Random,
    own: Option<(i32, i32)>,
    target: Option<(i32, i32)>,
    buttons: u8,
    /// Inputs until it thinks again.
    left: u64,
}

/// In the fields of [`Arena::schema`](crate::Arena::schema).
const X: usize = 0;
const Y: usize = 1;
const HEALTH: usize = 3;

impl Brain {
    pub(super) fn new(seed: u64) -> Brain {
        Brain { random: Random::new(seed), own: None, target: None, buttons: 0, left: 0 }
    }

    pub(super) fn see(&mut self, view: &View, seat: u16) {
        let place = |id| Some((view.field(id, X)?, view.field(id, Y)?));
        self.own = place(seat);
        let Some((x, y)) = self.own else { return };
        let alive = view.ids().iter().filter(|&&id| id != seat && view.field(id, HEALTH) > Some(0));
        let far = |&(ox, oy): &(i32, i32)| (ox - x).pow(2) + (oy - y).pow(2);
        self.target = alive.filter_map(|&id| place(id)).min_by_key(far);
    }

    /// Buttons and aim of the next input.
    pub(super) fn act(&mut self) -> (u8, u8) {
        if self.left == 0 {
            self.left = 5 + self.random.below(25);
            let ways = [UP, UP | RIGHT, RIGHT, DOWN | RIGHT, DOWN, DOWN | LEFT, LEFT, UP | LEFT];
            self.buttons = ways[self.random.below(8) as usize];
            if self.random.below(6) == 0 {
                self.buttons |= DASH;
            }
        }
        self.left -= 1;
        let (Some((x, y)), Some((tx, ty))) = (self.own, self.target) else { return (self.buttons, 0) };
        let aim = direction(tx - x, ty - y).wrapping_add(self.random.between(-3, 3) as u8);
        let near = (tx - x).abs().max((ty - y).abs()) < 2_000;
        let shoot = if near && self.random.below(2) == 0 { SHOOT } else { 0 };
        (self.buttons | shoot, aim)
    }
}
