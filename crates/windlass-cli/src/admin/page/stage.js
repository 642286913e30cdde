// The picture of a turn: connections on one side, the worker's wheel of steps in the middle, the services (your
// code) on the other. Dots are bytes and news on their way. On narrow screens the sides are above and below.

import { attribute, el, svg, text } from "./dom.js";
import * as format from "./format.js";
import { callOf, nameOf } from "./beats.js";

/** The steps in the order of a turn; what a server knows beyond these is put at the end. */
const ORDER = ["poll", "run", "datagrams", "accept", "timers", "ticks", "mail", "connect", "end", "drain"];
const CHIPS_MAX = 6;
const NARROW = 620;

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  constructor(place) {
    this.place = place;
    this.beats = [];
    this.at = 0;
    let width = 0;
    new ResizeObserver(() => {
      if (place.clientWidth === width || place.clientWidth === 0) return;
      width = place.clientWidth;
      this.build();
    }).observe(place);
  }

  load(list, turn) {
    this.beats = list;
    this.total = turn.took_micros;
    const distinct = (of) => [...new Set(list.map((beat) => beat.entry && of(beat.entry)).filter(Boolean))];
    this.conns = distinct((entry) => entry.conn);
    this.calls = distinct((entry) => callOf(entry)?.service);
    this.at = 0;
    this.build();
  }

  build() {
    const width = this.place.clientWidth;
    if (width === 0) return;
    const narrow = width < NARROW;
    const radius = narrow ? Math.min(92, width / 2 - 84) : 112;
    const height = narrow ? 2 * radius + 280 : 350;
    this.centre = narrow ? { x: width / 2, y: height / 2 } : { x: width * 0.48, y: height / 2 };
    this.radius = radius;
    this.dots = svg("g");
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const side = (names, many, title, where) => {
      const shown = names.length > many ? [...names.slice(0, many - 1), `${names.length - many + 1} more`] : names;
      const places = new Map();
      const group = svg("g");
      const [w, h] = [narrow ? (width - 8 * 2) / 3 : Math.min(150, width * 0.2), 26];
      const heading = narrow ? { x: width / 2, y: where === "from" ? 12 : height - 6 } : { x: where === "from" ? w / 2 + 2 : width - w / 2 - 2, y: 14 };
      group.append(svg("text", { class: "side", x: heading.x, y: heading.y, "text-anchor": "middle" }, title));
      shown.forEach((name, n) => {
        const spot = narrow
          ? { x: w / 2 + (n % 3) * (w + 8), y: (where === "from" ? 36 : height - 38 - 34 * Math.floor((shown.length - 1) / 3)) + Math.floor(n / 3) * 34 }
          : { x: heading.x, y: this.centre.y + (n - (shown.length - 1) / 2) * 42 };
        const fits = Math.floor((w - 12) / 6.7);
        const load = svg("rect", { class: "load", x: spot.x - w / 2, y: spot.y + h / 2 - 4, width: 0, height: 4, rx: 2 });
        const chip = svg("g", { class: `node ${where}` },
          svg("rect", { x: spot.x - w / 2, y: spot.y - h / 2, width: w, height: h, rx: 4 }),
          load,
          svg("text", { x: spot.x, y: spot.y + 4, "text-anchor": "middle" }, name.length > fits ? `${name.slice(0, fits - 1)}…` : name));
        group.append(chip);
        places.set(name, { ...spot, chip, load, width: w, port: narrow ? { x: spot.x, y: spot.y + (where === "from" ? h / 2 : -h / 2) } : { x: spot.x + (where === "from" ? w / 2 : -w / 2), y: spot.y } });
      });
      root.append(group);
      const last = [...places.values()].at(-1);
      // Those that have no place of their own share the last.
      return (name) => places.get(name) ?? (names.includes(name) ? last : null);
    };
    this.conn = side(this.conns ?? [], CHIPS_MAX, "connections", "from");
    this.call = side(this.calls ?? [], CHIPS_MAX, "your code (services)", "to");
    this.wheel(root);
    root.append(this.dots);
    this.place.replaceChildren(root);
    this.show(this.at, 0);
  }

  wheel(root) {
    const { x, y } = this.centre;
    const r = this.radius;
    const others = this.beats.map((beat) => beat.step).filter((step) => step && !ORDER.includes(step));
    this.steps = [...ORDER, ...new Set(others)];
    const angle = (n) => (n / this.steps.length) * 2 * Math.PI - Math.PI / 2;
    const point = (a, radius) => ({ x: x + Math.cos(a) * radius, y: y + Math.sin(a) * radius });
    this.segments = new Map();
    this.steps.forEach((step, n) => {
      const half = Math.PI / this.steps.length - 0.025;
      const [from, to, middle] = [angle(n) - half, angle(n) + half, angle(n)];
      const [a, b, label] = [point(from, r), point(to, r), point(middle, r + 16)];
      const side = Math.cos(middle);
      const arc = svg("path", { class: "segment", d: `M${a.x} ${a.y}A${r} ${r} 0 0 1 ${b.x} ${b.y}` });
      const name = svg("text", { class: "step-name", x: label.x, y: label.y + 4, "text-anchor": Math.abs(side) < 0.2 ? "middle" : side > 0 ? "start" : "end" }, nameOf(step));
      root.append(arc, name);
      this.segments.set(step, { arc, name, angle: middle, place: point(middle, r) });
    });
    // The drum and its handspikes turn to the step that runs.
    const inner = r * 0.5;
    this.spikes = svg("g", { class: "spikes" }, ...[0, 1, 2, 3].map((n) => {
      const a = (n / 4) * 2 * Math.PI;
      return svg("line", { class: n === 0 ? "hand" : null, x1: Math.cos(a) * inner, y1: Math.sin(a) * inner, x2: Math.cos(a) * (n === 0 ? r - 12 : r * 0.72), y2: Math.sin(a) * (n === 0 ? r - 12 : r * 0.72) });
    }));
    this.title = svg("text", { class: "drum-name", x, y: y - 2, "text-anchor": "middle" });
    this.took = svg("text", { class: "drum-time", x, y: y + 15, "text-anchor": "middle" });
    root.append(svg("g", { transform: `translate(${x} ${y})` }, this.spikes), svg("circle", { class: "drum", cx: x, cy: y, r: inner }), this.title, this.took);
    this.turned = -90;
    this.spikes.style.transform = "rotate(-90deg)";
  }

  /** Shows moment `at`, its movements within `ms`; at once if that is 0 or nothing shall move. */
  show(at, ms) {
    this.at = at;
    if (!this.segments) return;
    const beat = this.beats[at];
    const done = this.beats.slice(0, at).flatMap((b) => [b.step, ...b.passed]);
    const now = beat ? [beat.step, ...beat.passed] : [];
    for (const [step, { arc, name }] of this.segments) {
      const is = now.includes(step) ? "now" : done.includes(step) ? "done" : null;
      attribute(arc, "data-is", is);
      attribute(name, "data-is", is);
    }
    text(this.title, beat ? (beat.step ? nameOf(beat.step) : "over") : "turn");
    text(this.took, beat?.took !== null && beat?.took !== undefined ? format.time(beat.took / 1e6) : "");
    this.turnTo(beat?.step ?? "poll", ms);
    this.marks(at);
    this.dots.replaceChildren();
    if (beat?.entry) this.move(beat.entry, beat.step, ms);
  }

  turnTo(step, ms) {
    const segment = this.segments.get(step);
    if (!segment) return;
    // Always onwards, as a windlass does.
    let degrees = (segment.angle / Math.PI) * 180;
    while (degrees < this.turned - 0.5) degrees += 360;
    if (degrees - this.turned >= 350) degrees -= 360;
    this.spikes.style.transition = still.matches || ms === 0 ? "none" : `transform ${Math.min(600, ms * 0.5)}ms ease-in-out`;
    this.spikes.style.transform = `rotate(${degrees}deg)`;
    this.turned = degrees;
  }

  /** What has become of each connection up to this moment. */
  marks(at) {
    const noted = new Set();
    const closed = new Set();
    this.beats.slice(0, at + 1).forEach(({ entry }) => {
      if (!entry?.conn) return;
      if (entry.what === "readable" || entry.what === "writable") noted.add(entry.conn);
      if (entry.what === "read") noted.delete(entry.conn);
      if (entry.what === "close") closed.add(entry.conn);
    });
    const now = this.beats[at]?.entry;
    for (const name of this.conns ?? []) {
      const chip = this.conn(name)?.chip;
      if (!chip) continue;
      attribute(chip, "data-is", now?.conn === name ? "now" : closed.has(name) ? "closed" : noted.has(name) ? "noted" : null);
    }
    // A bar for each service: the share of the turn that its callbacks have taken so far.
    const total = this.total || 1;
    const called = now && callOf(now);
    const taken = new Map();
    for (const { entry } of this.beats.slice(0, at + 1)) {
      const call = entry && callOf(entry);
      const place = call && this.call(call.service);
      if (place) taken.set(place, (taken.get(place) ?? 0) + (entry.took_micros ?? 0));
    }
    for (const name of this.calls ?? []) {
      const place = this.call(name);
      if (!place) continue;
      attribute(place.load, "width", (place.width * Math.min(1, (taken.get(place) ?? 0) / total)).toFixed(1));
      attribute(place.chip, "data-is", called && this.call(called.service) === place ? "now" : null);
    }
  }

  /** A dot on its way. */
  move(entry, step, ms) {
    const { what, conn, bytes, took_micros: took } = entry;
    const drum = this.centre;
    const end = conn && this.conn(conn)?.port;
    const segment = this.segments.get(step)?.place ?? drum;
    const called = callOf(entry);
    const call = called && this.call(called.service)?.port;
    const [from, to] = called ? [what === "callback" ? drum : segment, call] : {
      readable: [end, segment], writable: [end, segment], read: [end, drum],
      flush: [drum, end], accept: [segment, drum], close: [drum, end],
    }[what] ?? [segment, end ?? drum];
    if (!from || !to) return;
    const line = svg("line", { class: "way", x1: from.x, y1: from.y, x2: to.x, y2: to.y });
    const dot = svg("g", { class: `dot ${what}` }, svg("circle", { r: bytes ? Math.min(11, 5 + Math.log10(bytes + 1)) : 5.5 }));
    const label = called ? `${called.callback} ${format.time((took ?? 0) / 1e6)}` : bytes ? format.bytes(bytes) : "";
    dot.append(svg("text", { y: -13, "text-anchor": "middle" }, label));
    const at = (place) => `translate(${place.x}px, ${place.y}px)`;
    dot.style.transform = at(to);
    this.dots.append(line, dot);
    if (ms === 0 || still.matches) {
      // Without movement the dot rests in the middle of its way, so that the way can be seen.
      dot.style.transform = at({ x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 });
      return;
    }
    dot.animate([{ transform: at(from) }, { transform: at(to) }], { duration: ms * 0.8, easing: "ease-in-out" });
  }
}

/** The turn along its time: above the steps, below what took part of them. The sleep before it is left out. */
export class TimeStrip {
  constructor(place) {
    this.place = place;
  }

  load(turn) {
    const steps = (turn.steps ?? []).filter((step) => step.took_micros > 0);
    this.span = Math.max(0.1, turn.took_micros);
    const put = (element, at, took) => {
      element.style.left = `${(this.share(at) * 100).toFixed(3)}%`;
      element.style.width = `${Math.max(0.15, (took / this.span) * 100).toFixed(3)}%`;
      return element;
    };
    const bar = (kind, label, at, took) => put(el("span", { class: `piece ${kind}`, title: `${label}, ${format.time(took / 1e6)}` }, took / this.span > 0.09 ? label : ""), at, took);
    const above = steps.map((step) => bar(`step`, nameOf(step.step), step.at_micros, step.took_micros));
    const below = steps.flatMap((step) => (step.entries ?? []).filter((entry) => entry.took_micros > 0))
      .map((entry) => bar(callOf(entry) ? "callback" : entry.what, callOf(entry)?.callback ?? entry.what, entry.at_micros, entry.took_micros));
    this.head = el("span", { class: "head" });
    this.place.replaceChildren(
      el("div", { class: "row", "aria-hidden": "true" }, ...above),
      el("div", { class: "row", "aria-hidden": "true" }, ...below, this.head),
      el("div", { class: "ends num" }, el("span", {}, "0"), el("span", {}, "what ran when, without the sleep"), el("span", {}, format.time(this.span / 1e6))));
  }

  share(at) {
    return Math.min(1, Math.max(0, at / this.span));
  }

  show(beat) {
    if (this.head) this.head.style.left = `${(this.share(beat.at) * 100).toFixed(3)}%`;
  }
}
