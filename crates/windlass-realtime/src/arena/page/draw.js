// The arena on a canvas. Lengths are quarters of a pixel, scaled so that as much is seen on a phone as on a screen.

const COLOURS = ["#5ad1a4", "#ff8f6b", "#6bb8ff", "#ffd166", "#c792ea", "#ff6b9d", "#9be15d", "#4dd0e1",
  "#f4a261", "#a3b1ff", "#e57373", "#81c784", "#ffb74d", "#ba68c8", "#64b5f6", "#dce775"];
const SEEN = 4200;

export const colour = (seat) => COLOURS[seat % COLOURS.length];

export class Canvas {
  constructor(element) {
    this.element = element;
    this.pen = element.getContext("2d");
    this.centre = { x: 3200, y: 3200 };
    this.resize();
    addEventListener("resize", () => this.resize());
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.width = innerWidth;
    this.height = innerHeight;
    this.element.width = this.width * ratio;
    this.element.height = this.height * ratio;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.scale = Math.max(this.width, this.height) / SEEN;
  }

  /** From a place on the screen to the direction as seen from the middle, 256 to the circle. */
  direction(x, y) {
    return Math.round(Math.atan2(y - this.height / 2, x - this.width / 2) / Math.PI * 128) & 255;
  }

  /**
   * Draws one picture: `players` with x, y, aim, health, dash, name, seat; `shots` with x, y, aim, reach, age; where thumbs
   * play, `sticks` of the left and of the right one, each with x, y, dx, dy if it is down.
   */
  draw(rules, players, shots, own, sticks) {
    const { pen, scale, centre } = this;
    if (own) Object.assign(centre, { x: own.x, y: own.y });
    const at = (x, y) => [(x - centre.x) * scale + this.width / 2, (y - centre.y) * scale + this.height / 2];
    pen.fillStyle = "#0d111a";
    pen.fillRect(0, 0, this.width, this.height);
    const [left, top] = at(0, 0), side = rules.side * scale;
    pen.fillStyle = "#141a27";
    pen.fillRect(left, top, side, side);
    pen.strokeStyle = "#1d2536";
    pen.lineWidth = 1;
    pen.beginPath();
    for (let n = 0; n <= rules.side; n += 400) {
      const [x, y] = at(n, n);
      pen.moveTo(x, top);
      pen.lineTo(x, top + side);
      pen.moveTo(left, y);
      pen.lineTo(left + side, y);
    }
    pen.stroke();
    pen.fillStyle = "#2b3650";
    for (const [l, t, r, b] of rules.walls) {
      const [x, y] = at(l, t);
      pen.beginPath();
      pen.roundRect(x, y, (r - l) * scale, (b - t) * scale, 6);
      pen.fill();
    }
    for (const shot of shots) {
      const [x, y] = at(shot.x, shot.y), reach = shot.reach * scale / 4096;
      const [ex, ey] = [x + rules.cos[shot.aim] * reach, y + rules.cos[shot.aim - 64 & 255] * reach];
      pen.globalAlpha = Math.max(0, 1 - shot.age / 160);
      pen.strokeStyle = colour(shot.seat);
      pen.lineWidth = 3;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(ex, ey);
      pen.stroke();
      if (shot.hit !== 255) {
        pen.beginPath();
        pen.arc(ex, ey, 6 + shot.age / 10, 0, 7);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
    for (const player of players) this.player(rules, player, at(player.x, player.y), player === own);
    if (sticks) sticks.forEach((stick, right) => this.stick(stick, right === 1));
  }

  player(rules, player, [x, y], isOwn) {
    const { pen, scale } = this, radius = rules.radius * scale;
    pen.globalAlpha = player.health > 0 ? 1 : 0.18;
    if (player.dash > rules.dashEvery - rules.dashTicks) {
      pen.fillStyle = "#ffffff30";
      pen.beginPath();
      pen.arc(x, y, radius * 1.5, 0, 7);
      pen.fill();
    }
    const [dx, dy] = [rules.cos[player.aim] / 4096, rules.cos[player.aim - 64 & 255] / 4096];
    pen.strokeStyle = "#e8ecf4";
    pen.lineWidth = radius / 2.5;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(x + dx * radius * 0.6, y + dy * radius * 0.6);
    pen.lineTo(x + dx * radius * 1.5, y + dy * radius * 1.5);
    pen.stroke();
    pen.fillStyle = colour(player.seat);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
    if (isOwn) {
      pen.strokeStyle = "#e8ecf4";
      pen.lineWidth = 2;
      pen.stroke();
      if (player.dash > 0) {
        // Until the next dash: a ring that closes.
        pen.strokeStyle = "#ffffff80";
        pen.beginPath();
        pen.arc(x, y, radius + 5, -Math.PI / 2, (1.5 - 2 * player.dash / rules.dashEvery) * Math.PI);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
    pen.fillStyle = "#e8ecf4";
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText(player.name, x, y - radius - 14);
    for (let n = 0; n < rules.health; n++) {
      pen.fillStyle = n < player.health ? colour(player.seat) : "#2b3650";
      pen.fillRect(x - 15 + n * 11, y - radius - 9, 8, 3);
    }
  }

  /** A stick under a thumb, or where one may be put down. */
  stick(stick, isRight) {
    const { pen } = this, size = 52;
    const rest = { x: isRight ? this.width - 92 : 92, y: this.height - 120, dx: 0, dy: 0 };
    const { x, y, dx, dy } = stick ?? rest;
    const far = Math.max(1, Math.hypot(dx, dy) / size);
    pen.globalAlpha = stick ? 1 : 0.45;
    pen.fillStyle = "#ffffff0d";
    pen.strokeStyle = "#ffffff50";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, size, 0, 7);
    pen.fill();
    pen.stroke();
    pen.fillStyle = isRight ? "#ff8f6b90" : "#5ad1a490";
    pen.beginPath();
    pen.arc(x + dx / far, y + dy / far, 22, 0, 7);
    pen.fill();
    if (!stick) {
      pen.fillStyle = "#e8ecf4";
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.fillText(isRight ? "shoot" : "move", x, y + 4);
    }
    pen.globalAlpha = 1;
  }
}
