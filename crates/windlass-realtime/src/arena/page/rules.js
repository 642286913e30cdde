// What moves how: the same few lines as in `arena/rules.rs`, with the numbers that the server gives out.

/** Whether a player cannot stand there. */
function blocked(rules, x, y) {
  const r = rules.radius;
  return rules.walls.some(([left, top, right, bottom]) =>
    x + r > left && x - r < right && y + r > top && y - r < bottom);
}

/** Moves a body ({ x, y, aim, dash }) with one input. */
export function step(rules, body, buttons, aim) {
  const { up, down, left, right, dash } = rules.buttons;
  body.aim = aim;
  body.dash = Math.max(0, body.dash - 1);
  if (buttons & dash && body.dash === 0) body.dash = rules.dashEvery;
  const axis = (less, more) => (buttons & more ? 1 : 0) - (buttons & less ? 1 : 0);
  const x = axis(left, right), y = axis(up, down);
  const dashing = body.dash > rules.dashEvery - rules.dashTicks;
  const [straight, both] = dashing ? rules.dashSpeed : rules.speed;
  let dx, dy;
  if (x === 0 && y === 0 && dashing) {
    dx = Math.trunc(rules.cos[aim] * straight / 4096);
    dy = Math.trunc(rules.cos[aim - 64 & 255] * straight / 4096);
  } else {
    const by = x !== 0 && y !== 0 ? both : straight;
    dx = x * by;
    dy = y * by;
  }
  const to = (at, by) => Math.min(Math.max(at + by, rules.radius), rules.side - rules.radius);
  const nx = to(body.x, dx);
  if (!blocked(rules, nx, body.y)) body.x = nx;
  const ny = to(body.y, dy);
  if (!blocked(rules, body.x, ny)) body.y = ny;
}
