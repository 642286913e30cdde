// The own player, where it will be once the server has seen all inputs: with every snapshot it is put where the server says
// it was, and the inputs the server has not seen yet are done again.

import { step } from "/rules.js";

/** Inputs that wait for the server's answer. With more, something is wrong, and the oldest are forgotten. */
const PENDING_MAX = 120;
/** Inputs in one message: what is lost with it comes with the next. */
const REPEATED = 3;

export class Prediction {
  constructor(rules) {
    Object.assign(this, { rules, body: null, health: 0, pending: [], next: 1, tick: -1 });
  }

  /** Does what a player wants at once, and keeps it until the server has. `seen` is the tick that is shown. */
  press(buttons, aim, seen, sent) {
    const input = { tick: this.next++, buttons, aim, sent, bytes: [buttons, aim, seen & 255, seen >> 8 & 255] };
    this.pending.push(input);
    if (this.pending.length > PENDING_MAX) this.pending.shift();
    if (this.body && this.health > 0) step(this.rules, this.body, buttons, aim);
  }

  /** What is to be sent: the newest inputs, the newest first. */
  newest() { return this.pending.slice(-REPEATED).reverse(); }

  /**
   * A snapshot of this tick says where the own player was, or that there is none (`undefined`); the last input that the
   * server had done then is `done`. One that comes behind a newer one says nothing new.
   */
  take(tick, own, done) {
    if (tick <= this.tick) return;
    this.tick = tick;
    this.pending = this.pending.filter((input) => input.tick > done);
    if (!own) {
      this.body = null;
      return;
    }
    const [x, y, aim, health, dash] = own;
    this.body = { x, y, aim, dash };
    this.health = health;
    if (health > 0) for (const input of this.pending) step(this.rules, this.body, input.buttons, input.aim);
  }
}
