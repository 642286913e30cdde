// The arena in a browser: finds a seat, predicts its own player, draws the others a moment ago.
//
// The own player is drawn where it will be once the server has seen all inputs (see predict.js). The others are drawn
// between two snapshots, some time back, so that one may be late.

import { Canvas, colour } from "/draw.js";
import { Prediction } from "/predict.js";
import { FAREWELL, Snapshots, saying, told, welcome, widen } from "/wire.js";

const $ = (id) => document.getElementById(id);
const canvas = new Canvas($("world"));
const rules = await (await fetch("/rules.json")).json();
const text = new TextDecoder();
// Where fingers are what there is to point with.
const thumbs = matchMedia("(pointer: coarse)");

let game = null;

/* -------- seats -------- */

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) throw new Error(json.error ?? `status ${answer.status}`);
  return json;
}

async function lobby() {
  if (game || document.hidden) return;
  try {
    const rooms = await (await fetch("/api/rooms?kind=arena")).json();
    $("rooms").replaceChildren(...rooms.map((room) => {
      const line = document.createElement("li"), what = document.createElement("span");
      const watching = room.spectators > 0 ? `, ${room.spectators} watching` : "";
      what.textContent = `${room.room}: ${room.players} of ${room.players_max}${watching}`;
      const button = (label, spectate, full) => {
        const it = document.createElement("button");
        it.type = "button";
        it.textContent = label;
        it.disabled = full;
        it.onclick = () => enter("/api/rooms/join", { room: room.room, spectate });
        return it;
      };
      line.append(what, button("Join", false, room.locked || room.players >= room.players_max),
        button("Watch", true, room.locked || room.spectators >= room.spectators_max));
      return line;
    }));
  } catch { /* The next time. */ }
}

async function enter(path, wish) {
  $("why").textContent = "";
  try {
    localStorage.setItem("name", $("name").value);
    connect(await post(path, { kind: "arena", name: $("name").value, ...wish }));
  } catch (error) {
    $("why").textContent = `No seat: ${error.message.replaceAll("_", " ")}.`;
  }
}

function connect(seat, tries = 0) {
  // Kept for as long as the tab lives: a page that is loaded anew comes back to the same seat.
  sessionStorage.setItem("seat", JSON.stringify(seat));
  const url = new URL(seat.path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, "windlass.room.1");
  socket.binaryType = "arraybuffer";
  const its = game = new Game(socket, seat);
  socket.onmessage = ({ data }) => its.hear(data);
  socket.onclose = ({ code, reason }) => {
    its.stop();
    if (game !== its) return;
    // Ours to say, and nothing to come back to; anything else is the network's doing.
    const over = code >= 4000 || code === 1000 || code === 1008;
    if (!over && (its.seat !== null || tries > 0) && tries < 20) {
      $("link").textContent = "connection lost, coming back …";
      setTimeout(() => { if (game === its) connect(seat, its.seat !== null ? 1 : tries + 1); }, 300 + tries * 200);
      return;
    }
    sessionStorage.removeItem("seat");
    game = null;
    $("why").textContent = reason ? `It is over: ${reason}.` : "";
    $("scores").replaceChildren();
    $("link").textContent = "";
    seated(false);
    lobby();
  };
}

/** What is there in a seat, and what is not. */
function seated(is_so) {
  $("door").hidden = is_so;
  $("play-bar").hidden = !is_so;
  $("dash").hidden = !is_so || game.spectator || !thumbs.matches;
  $("down").hidden = true;
}

/* -------- one game -------- */

class Game {
  constructor(socket, { spectator }) {
    Object.assign(this, { socket, spectator, seat: null, hz: 30, tick: 0, confirmed: null });
    this.snapshots = new Snapshots();
    this.views = [];
    this.names = new Map();
    this.shots = [];
    this.own = new Prediction(rules);
    this.offset = { x: 0, y: 0 };
    this.rtt = null;
    this.lag = null;
    this.received = [];
  }

  hear(buffer) {
    const now = performance.now();
    const { head, pieces } = told(buffer);
    this.tick = widen(this.tick, head.tick);
    this.received.push([now, buffer.byteLength]);
    const done = widen(this.own.next, head.input);
    const acknowledged = this.own.pending.find((input) => input.tick === done);
    if (acknowledged && head.age < 255) {
      const rtt = now - acknowledged.sent - head.age;
      this.rtt = this.rtt === null ? rtt : this.rtt + (rtt - this.rtt) / 8;
    }
    for (const { tag, body } of pieces) {
      if (tag === 0) this.begin(welcome(body));
      else if (tag === 4) this.snapshot(now, body, done);
      else if (tag <= 3) this.message(body);
    }
  }

  begin({ seat, hz, tick, room }) {
    Object.assign(this, { seat, hz, tick, room });
    seated(true);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.input(), 1000 / hz);
  }

  stop() { clearInterval(this.timer); }

  snapshot(now, bytes, done) {
    const view = this.snapshots.read(this.tick, bytes);
    if (!view) return;
    this.confirmed = view.tick;
    // How far behind the fastest of the last ones it came.
    const lag = now - view.tick * 1000 / this.hz;
    this.lag = this.lag === null || lag < this.lag ? lag : this.lag + (lag - this.lag) * 0.01;
    this.views.push({ ...view, at: view.tick * 1000 / this.hz });
    if (this.views.length > 32) this.views.shift();
    if (this.spectator) return;
    const before = this.own.body;
    this.own.take(view.tick, view.entities.get(this.seat), done);
    const { body } = this.own;
    if (before && body && before !== body) {
      // Where it was drawn wrongly it glides to where it is; further away it is somewhere else.
      const dx = before.x - body.x + this.offset.x, dy = before.y - body.y + this.offset.y;
      this.offset = Math.hypot(dx, dy) < 600 ? { x: dx, y: dy } : { x: 0, y: 0 };
    }
  }

  message(body) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    switch (body[0]) {
      case 1:
        this.shots.push({
          seat: body[1], x: view.getUint16(2, true), y: view.getUint16(4, true), aim: body[6],
          reach: view.getUint16(7, true), hit: body[9], born: performance.now(),
        });
        break;
      case 2:
        news(`${this.name(body[1])} brought down ${this.name(body[2])}`);
        if (body[2] === this.seat && !this.spectator) {
          $("down").textContent = `${this.name(body[1])} brought you down. Back in a moment …`;
        }
        if (this.names.has(body[1])) this.names.get(body[1]).score = view.getUint16(3, true);
        break;
      case 3: this.names.set(body[1], { score: view.getUint16(2, true), name: text.decode(body.subarray(4)) }); break;
      case 4: this.names.delete(body[1]); break;
    }
  }

  input() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (!this.spectator) {
      const { buttons, aim } = controls.read();
      const seen = Math.max(0, Math.floor(this.shown())) & 0xffff;
      this.own.press(buttons, aim, seen, performance.now());
    }
    const newest = this.own.newest();
    this.socket.send(saying(newest[0]?.tick ?? 0, newest.map((input) => input.bytes), this.confirmed));
    this.confirmed = null;
  }

  name(seat) { return this.names.get(seat)?.name ?? `player ${seat + 1}`; }

  /** Who is there: those whose names are known, and those who are seen. */
  scores(players) {
    const all = new Map([...this.names].map(([seat, { name, score }]) => [seat, { seat, name, score }]));
    for (const { seat, name, score } of players) all.set(seat, { seat, name, score });
    return [...all.values()];
  }

  /** The tick that the others are drawn at. */
  shown() {
    return this.lag === null ? this.tick : (performance.now() - this.lag) * this.hz / 1000 - 2.5;
  }

  players() {
    const tick = this.shown();
    const later = this.views.find((view) => view.tick >= tick) ?? this.views.at(-1);
    if (!later) return [];
    const earlier = this.views.findLast((view) => view.tick <= tick) ?? later;
    const part = later.tick > earlier.tick ? (tick - earlier.tick) / (later.tick - earlier.tick) : 0;
    return [...later.entities].map(([seat, now]) => {
      const was = earlier.entities.get(seat) ?? now;
      // Who is somewhere else at once has not walked there.
      const jumped = Math.hypot(now[0] - was[0], now[1] - was[1]) > 800;
      const between = (n) => jumped ? now[n] : was[n] + (now[n] - was[n]) * part;
      const turn = ((now[2] - was[2] + 384) % 256) - 128;
      return {
        seat, x: between(0), y: between(1), aim: Math.round(was[2] + turn * part) & 255, health: now[3], dash: now[4],
        score: now[5], name: this.name(seat),
      };
    });
  }

  leave() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(FAREWELL);
  }
}

function news(line) {
  const item = document.createElement("li");
  item.textContent = line;
  $("news").append(item);
  while ($("news").children.length > 5) $("news").firstChild.remove();
  setTimeout(() => item.remove(), 6000);
}

/* -------- keys, mouse, thumbs -------- */

const controls = {
  keys: new Set(), mouse: false, aim: 0, dash: false, touches: new Map(),

  read() {
    const { up, down, left, right, dash, shoot } = rules.buttons;
    let buttons = 0;
    const held = (...keys) => keys.some((key) => this.keys.has(key));
    if (held("KeyW", "ArrowUp")) buttons |= up;
    if (held("KeyS", "ArrowDown")) buttons |= down;
    if (held("KeyA", "ArrowLeft")) buttons |= left;
    if (held("KeyD", "ArrowRight")) buttons |= right;
    if (held("Space", "ShiftLeft") || this.dash) buttons |= dash;
    if (this.mouse) buttons |= shoot;
    for (const touch of this.touches.values()) {
      if (touch.moves && Math.hypot(touch.dx, touch.dy) > 12) {
        const turn = Math.round(Math.atan2(touch.dy, touch.dx) / Math.PI * 4) & 7;
        buttons |= [right, right | down, down, down | left, left, left | up, up, up | right][turn];
      }
      if (touch.shoots && Math.hypot(touch.dx, touch.dy) > 12) {
        buttons |= shoot;
        this.aim = Math.round(Math.atan2(touch.dy, touch.dx) / Math.PI * 128) & 255;
      }
    }
    this.dash = false;
    return { buttons, aim: this.aim };
  },

  /** Thumbs that are down: of the left hand, and of the right. */
  sticks() {
    const touches = [...this.touches.values()];
    return [touches.find((touch) => touch.moves), touches.find((touch) => touch.shoots)];
  },
};

const typing = ({ target }) => target instanceof HTMLInputElement;
addEventListener("keydown", (event) => {
  if (typing(event) || !game) return;
  if (event.code === "Escape") game.leave();
  controls.keys.add(event.code);
  if (event.code === "Space" || event.code.startsWith("Arrow")) event.preventDefault();
});
addEventListener("keyup", ({ code }) => controls.keys.delete(code));
addEventListener("blur", () => { controls.keys.clear(); controls.mouse = false; controls.touches.clear(); });

$("leave").onclick = () => game?.leave();
$("dash").addEventListener("pointerdown", (event) => { event.preventDefault(); controls.dash = true; });
thumbs.addEventListener("change", () => { if (game) seated($("door").hidden); });

const world = $("world");
world.addEventListener("contextmenu", (event) => event.preventDefault());
world.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "touch") { controls.mouse = event.button === 0 || controls.mouse; return; }
  const moves = event.clientX < innerWidth / 2, there = [...controls.touches.values()];
  if (there.some((touch) => touch.moves === moves)) controls.dash = true;
  else controls.touches.set(event.pointerId, { moves, shoots: !moves, x: event.clientX, y: event.clientY, dx: 0, dy: 0 });
});
world.addEventListener("pointermove", (event) => {
  const touch = controls.touches.get(event.pointerId);
  if (touch) {
    touch.dx = event.clientX - touch.x;
    touch.dy = event.clientY - touch.y;
  } else if (event.pointerType !== "touch") controls.aim = canvas.direction(event.clientX, event.clientY);
});
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, (event) => {
    controls.touches.delete(event.pointerId);
    if (event.pointerType !== "touch") controls.mouse = false;
  });
}

/* -------- every picture -------- */

let told_at = 0;
function picture(now) {
  requestAnimationFrame(picture);
  const players = game?.players() ?? [];
  let own = null;
  const body = game && !game.spectator ? game.own.body : null;
  if (body) {
    own = players.find((player) => player.seat === game.seat);
    game.offset.x *= 0.85;
    game.offset.y *= 0.85;
    if (own) Object.assign(own, {
      x: body.x + game.offset.x, y: body.y + game.offset.y, aim: body.aim, dash: body.dash,
    });
  }
  const shots = game?.shots ?? [];
  for (const shot of shots) shot.age = now - shot.born;
  if (game) game.shots = shots.filter((shot) => shot.age < 160);
  const sticks = game && !game.spectator && game.body && thumbs.matches ? controls.sticks() : null;
  canvas.draw(rules, players, shots, own, sticks);
  if (own) {
    $("down").hidden = game.health > 0;
    $("dash").style.setProperty("--ready", `${100 - own.dash / rules.dashEvery * 100}%`);
  }
  if (!game || now - told_at < 250) return;
  told_at = now;
  // For those who look at the page without eyes.
  $("world").dataset.players = players.map(({ seat, x, y }) => `${seat}:${Math.round(x)},${Math.round(y)}`).join(" ");
  const best = game.scores(players).toSorted((a, b) => b.score - a.score || a.seat - b.seat);
  // Where there is little room, the best ones, and oneself.
  const most = Math.min(innerWidth, innerHeight) < 600 ? 5 : 16;
  const shown = best.filter((player, at) => at < most || (player.seat === game.seat && !game.spectator));
  if (shown.length > most) shown.splice(most - 1, 1);
  $("scores").replaceChildren(...shown.map((player) => {
    const line = document.createElement("li"), name = document.createElement("span");
    name.textContent = player.name;
    name.style.color = player.seat === game.seat ? "" : colour(player.seat);
    line.className = player.seat === game.seat && !game.spectator ? "own" : "";
    line.append(name, String(player.score));
    return line;
  }));
  game.received = game.received.filter(([at]) => now - at < 1000);
  const bytes = game.received.reduce((sum, [, size]) => sum + size, 0);
  const rtt = game.rtt === null ? null : Math.max(0, Math.round(game.rtt));
  $("link").dataset.is = rtt === null || rtt < 80 ? "good" : rtt < 180 ? "fair" : "poor";
  const head = rtt === null ? "" : `${rtt} ms · `;
  $("link").textContent = `${head}${(bytes / 1024).toFixed(1)} KiB/s · ${game.received.length}/s`;
}

/* -------- begin -------- */

$("name").value = localStorage.getItem("name") ?? "";
$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  enter("/api/rooms/join-or-create", {});
});
$("watch").onclick = () => enter("/api/rooms/join-or-create", { spectate: true });
$("play").disabled = $("watch").disabled = false;
setInterval(lobby, 3000);
lobby();
requestAnimationFrame(picture);
const kept = sessionStorage.getItem("seat");
if (kept) connect(JSON.parse(kept), 19);
