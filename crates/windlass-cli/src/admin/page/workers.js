// One card per worker: how busy it is, how long its turns take, what waits in its queues.

import { attribute, Bar, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { colours, draw, STEPS } from "./heat.js";

/** What a card lists, with what it means for those who rest the pointer on it. */
const FACTS = [
  ["connections", "Connections open on this worker", (w) => format.count(w.connections)],
  ["messages/s", "Messages its services counted, in their own terms", (w, r) => format.short(r?.messages)],
  ["received/s", "Bytes read from connections", (w, r) => format.bytes(r?.received)],
  ["sent/s", "Bytes the system took for connections", (w, r) => format.bytes(r?.sent)],
  ["turns/s", "Rounds of its loop", (w, r) => format.short(r && r.turnCount / r.seconds)],
  ["run queue", "Connections that have more to do, and wait for the next turn: their budget was spent", (w) => format.count(w.run_queue)],
  ["buffered", "Bytes of input and output that wait", (w) => format.bytes(w.buffered_bytes)],
  ["lag", "How late it gets to what is ready", (w) => format.time(w.lag_seconds)],
];

export class Workers {
  constructor() {
    this.cards = [];
    this.visible = new Set();
    this.palette = null;
    // Strips that nobody sees are not drawn.
    this.watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.visible.add(target);
        else this.visible.delete(target);
      }
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(byId("worker-list"));
    this.legend();
  }

  legend() {
    const steps = STEPS.map((step, n) => el("span", { class: "step" }, el("i", { class: `heat-${n + 1}` }), step));
    byId("legend").append(el("span", {}, "turns in a second:"), ...steps,
      el("span", { class: "step" }, el("i", { class: "mark" }), "99 % were below"));
  }

  /** After the colours have changed. */
  repaint() {
    this.palette = null;
    this.draw();
  }

  update(sample, samples) {
    this.samples = samples;
    const { workers } = sample.state;
    if (workers.length !== this.cards.length) this.make(workers.length);
    workers.forEach((worker, n) => this.fill(this.cards[n], worker, withSeconds(sample.rates, n), n));
    this.draw();
  }

  make(many) {
    this.cards.forEach((card) => this.watch.unobserve(card.canvas));
    this.visible.clear();
    this.cards = Array.from({ length: many }, (_, n) => this.card(n));
    byId("worker-list").replaceChildren(...this.cards.map((card) => card.element));
  }

  card(n) {
    const [busy, share, flag, turns] = [new Bar(), el("span", { class: "num" }), el("span", { class: "chip bad", hidden: true }, "overloaded"), el("p", { class: "turns num" })];
    const values = FACTS.map(() => el("dd", { class: "num" }));
    const canvas = el("canvas", { role: "img" });
    const details = el("details", {}, el("summary", {}, "As a table"));
    const table = new Table(details, {
      caption: `Turn times of worker ${n}, each line ten seconds`,
      hideCaption: true,
      key: (row) => row.when,
      empty: "Nothing yet.",
      columns: [
        { name: "when", of: (row) => row.when },
        { name: "turns", kind: "figure", of: (row) => format.short(row.turns) },
        { name: "half below", kind: "figure", of: (row) => format.time(row.p50) },
        { name: "99 % below", kind: "figure", of: (row) => format.time(row.p99) },
        { name: "longest", kind: "figure", of: (row) => format.time(row.longest) },
      ],
    });
    const element = el("article", { class: "worker" },
      el("h3", {}, `Worker ${n}`, " ", flag),
      el("div", { class: "busy" }, el("span", { class: "name" }, "busy"), busy.element, share),
      canvas, turns,
      el("dl", { class: "facts" }, ...FACTS.map(([name, title], at) => el("div", { title }, el("dt", {}, name), values[at]))),
      details);
    this.watch.observe(canvas);
    details.addEventListener("toggle", () => this.samples && this.table({ details, table }, n));
    return { element, busy, share, flag, turns, values, canvas, details, table };
  }

  fill(card, worker, rates, n) {
    card.busy.set(rates?.busy);
    text(card.share, format.share(rates?.busy));
    card.flag.hidden = !worker.overloaded;
    FACTS.forEach(([, , of], at) => text(card.values[at], of(worker, rates)));
    // Not every server counts messages by worker.
    card.values[1].parentElement.hidden = worker.messages === undefined;
    const last = rates && rates.turnCount > 0;
    text(card.turns, last
      ? `last second: half below ${format.time(rates.p50)}, 99 % ${format.time(rates.p99)}, 99.9 % ${format.time(rates.p999)}`
      : rates ? "last second: no turn; it slept" : "last second: –");
    this.table(card, n);
  }

  table(card, n) {
    const lines = [];
    // The label is for those who cannot see the strip; it changes as rarely as the table's lines.
    for (let end = this.samples.length; end > 0 && lines.length < 6; end -= 10) {
      const some = this.samples.slice(Math.max(0, end - 10), end).map((s) => s?.rates?.workers[n]).filter(Boolean);
      const highest = (of) => Math.max(...some.map(of).filter(Number.isFinite));
      const middle = some.map((r) => r.p50).filter(Number.isFinite).sort((a, b) => a - b);
      const from = lines.length * 10;
      lines.push({
        when: from === 0 ? "last 10 s" : `${from} to ${from + 10} s ago`,
        turns: some.reduce((total, r) => total + r.turnCount, 0),
        p50: middle[Math.floor(middle.length / 2)],
        p99: highest((r) => r.p99),
        longest: highest((r) => r.longest),
      });
    }
    const [now] = lines;
    if (card.canvas && now) {
      attribute(card.canvas, "aria-label", `Turn times of worker ${n}. In the last ten seconds ${format.short(now.turns)} turns, `
        + `99 % of them below ${format.time(now.p99)}. The table below has the minute.`);
    }
    if (card.details.open) card.table.update(lines);
  }

  draw() {
    if (!this.samples || this.visible.size === 0) return;
    this.palette ??= colours();
    this.cards.forEach((card, n) => this.visible.has(card.canvas) && draw(card.canvas, this.samples, n, this.palette));
  }
}

const withSeconds = (rates, n) => rates?.workers[n] && { ...rates.workers[n], seconds: rates.seconds };
