// The head of the page and the totals, each with the line of its last minute.

import { attribute, byId, el, svg, text } from "./dom.js";
import * as format from "./format.js";

/** Seconds that the lines show. */
const SHOWN = 60;
const WIDTH = 180;
const HEIGHT = 30;

const PHASES = {
  serving: ["serving", "It accepts connections and serves them."],
  draining: ["draining", "It accepts nobody any more, and ends when its connections have."],
  superseded: ["superseded", "A successor has taken its listeners over; it serves the connections it still has."],
};

/** What is shown: the figure of a sample, how it is written, and what stands below it. */
const TOTALS = [
  { name: "Connections", line: (s) => s.rates?.connections, value: (s) => format.count(s.state.connections),
    below: (s) => `${format.short(s.rates?.opened)} opened/s` },
  { name: "Messages", unit: "/s", line: (s) => s.rates?.messages, value: (s) => format.short(s.rates?.messages),
    below: (s) => `${format.short(s.state.messages)} in all` },
  { name: "Received", unit: "/s", line: (s) => s.rates?.received, value: (s) => format.bytes(s.rates?.received),
    below: (s) => `${format.bytes(sum(s, "received_bytes"))} in all` },
  { name: "Sent", unit: "/s", line: (s) => s.rates?.sent, value: (s) => format.bytes(s.rates?.sent),
    below: (s) => `${format.bytes(sum(s, "sent_bytes"))} in all` },
  { name: "Busy", line: (s) => s.rates?.busy, value: (s) => format.share(s.rates?.busy), top: 1,
    below: (s) => `of ${s.state.workers.length} worker${s.state.workers.length === 1 ? "" : "s"}` },
  { name: "Turn, 99 % below", line: (s) => s.rates?.p99, value: (s) => format.time(s.rates?.p99),
    below: (s) => `longest ${format.time(s.rates?.longest)}` },
  { name: "Stalls", line: (s) => s.rates?.stalls, value: (s) => format.count(s.state.counters?.stalls),
    below: () => "since start", bad: (s) => s.rates?.stalls > 0 },
  { name: "Overload", line: (s) => worst(s), value: (s) => {
    const n = s.state.workers.filter((worker) => worker.overloaded).length;
    return n === 0 ? "none" : n === s.state.workers.length ? "all" : `${n} of ${s.state.workers.length}`;
  }, below: (s) => `lag ${format.time(worst(s))}`, bad: (s) => s.state.workers.some((worker) => worker.overloaded) },
];

const sum = (sample, field) => sample.state.workers.reduce((total, worker) => total + worker[field], 0);
const worst = (sample) => {
  const lags = (sample.rates?.workers ?? []).map((worker) => worker.lag).filter(Number.isFinite);
  return lags.length ? Math.max(...lags) : NaN;
};

export class Overview {
  constructor() {
    this.cells = TOTALS.map((total) => {
      const [value, below, line, area] = [
        el("span", {}, "–"), el("span", { class: "below num" }, "–"), svg("path", { class: "line" }), svg("path", { class: "area" })];
      const cell = el("div", { class: "total" },
        el("span", { class: "name" }, total.name),
        el("span", { class: "value num" }, value, el("span", { class: "unit" }, total.unit ?? "")),
        svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line),
        below);
      byId("totals").append(cell);
      return { total, cell, value, below, line, area };
    });
  }

  update(sample, samples) {
    const { state } = sample;
    text(byId("version"), state.version);
    text(byId("uptime"), format.span(state.uptime_seconds));
    text(byId("pid"), state.pid);
    const [phase, meaning] = PHASES[state.phase] ?? [state.phase, ""];
    text(byId("phase"), phase);
    attribute(byId("phase"), "data-phase", state.phase);
    attribute(byId("phase"), "title", meaning);
    for (const { total, cell, value, below, line, area } of this.cells) {
      text(value, total.value(sample));
      text(below, total.below(sample));
      attribute(cell, "data-bad", total.bad?.(sample) ? "yes" : null);
      const path = sparkline(samples.slice(-SHOWN).map((s) => (s ? total.line(s) : NaN)), total.top);
      attribute(line, "d", path);
      attribute(area, "d", path && closed(path));
    }
  }
}

/** The newest at the right; a gap where nothing is known. */
function sparkline(values, top) {
  const highest = top ?? Math.max(1e-9, ...values.filter(Number.isFinite));
  const from = SHOWN - values.length;
  let path = "";
  let down = false;
  values.forEach((value, n) => {
    if (!Number.isFinite(value)) {
      down = false;
      return;
    }
    const x = ((from + n) / (SHOWN - 1)) * WIDTH;
    const y = HEIGHT - 1 - (Math.min(value, highest) / highest) * (HEIGHT - 3);
    path += `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    down = true;
  });
  return path;
}

/** Each unbroken piece, down to the ground. */
function closed(path) {
  return path.split("M").slice(1).map((piece) => {
    const points = piece.split("L");
    const [first, last] = [points[0].split(" ")[0], points.at(-1).split(" ")[0]];
    return `M${first} ${HEIGHT}L${piece}L${last} ${HEIGHT}Z`;
  }).join("");
}
