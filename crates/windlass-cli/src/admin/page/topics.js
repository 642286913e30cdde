// What is said in a hub: topics by rate, and a tree to go down in, with values as they change. The server tells both
// once a second over a stream that is there only while they are looked at, and knows which levels are open.

import { byId, attribute, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { payload } from "./hub.js";

const RETRY_MS = 2000;
/** Levels that may be open: the server's own bound, and that of an address. */
const OPEN_MAX = 64;
const ADDRESS_MAX = 6000;

const figure = (name, of, title) => ({ name, of, title, kind: "figure num" });
const perSecond = (rate) => (rate < 0.005 ? "–" : `${format.short(rate)}/s`);
const ago = (seconds) => (seconds === undefined || seconds === null ? "" : seconds < 2 ? "now" : `${format.span(seconds)} ago`);
const below = (above, name) => (above === null ? name : `${above}/${name}`);

export class Topics {
  constructor({ isPaused, hub }) {
    this.isPaused = isPaused;
    this.hub = hub;
    this.open = new Set();
    /** Lists of levels, by what is above them. */
    this.lists = new Map();
    this.filter = byId("topic-filter");
    this.table = new Table(byId("topic-table"), {
      caption: "Topics by rate",
      hideCaption: true,
      key: (row) => row.topic,
      empty: "Nothing has been published since somebody looks.",
      columns: [
        { name: "topic", of: (row) => row.topic, kind: "title code" },
        { name: "value", of: (row) => payload(row.value), kind: "value code" },
        figure("rate", (row) => perSecond(row.rate), "Of the last seconds"),
        figure("messages", (row) => format.short(row.messages), "Since somebody looks"),
        figure("bytes", (row) => format.bytes(row.bytes), "Of their payloads"),
        figure("last", (row) => ago(row.ago_seconds)),
      ],
    });
    this.root = this.list(null);
    byId("topic-tree").append(this.root.element);
    this.filter.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.look(), 250);
    });
    byId("topic-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.look();
    });
    byId("hub-name").addEventListener("change", () => {
      this.open.clear();
      for (const above of [...this.lists.keys()]) if (above !== null) this.shut(above);
      this.look();
    });
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.look();
    }).observe(byId("topics"));
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Pause and go on. */
  paused() {
    this.look();
  }

  /** Begins the stream, or ends it, as it should be now. */
  look() {
    clearTimeout(this.retry);
    this.stream?.close();
    this.stream = null;
    if (!this.seen || document.hidden || this.isPaused() || byId("topics").hidden || !this.hub.name) return;
    const query = () => new URLSearchParams({ hub: this.hub.name, filter: this.filter.value.trim(), open: JSON.stringify([...this.open]) });
    let asked = query();
    // What was opened first is shut first.
    while (this.open.size > OPEN_MAX || String(asked).length > ADDRESS_MAX) {
      this.shut([...this.open][0]);
      asked = query();
    }
    const stream = this.stream = new EventSource(`api/hubs/live?${asked}`);
    stream.addEventListener("topics", (event) => this.rates(JSON.parse(event.data)));
    stream.addEventListener("levels", (event) => {
      for (const level of JSON.parse(event.data)) this.lists.get(level.above)?.update(level);
    });
    stream.addEventListener("error", () => {
      stream.close();
      if (this.stream !== stream) return;
      this.stream = null;
      this.retry = setTimeout(() => this.look(), RETRY_MS);
    });
  }

  rates({ followed, matched, left_out: left, for_seconds: since, topics }) {
    this.table.update(topics);
    const fits = this.filter.value.trim() ? `${format.count(matched)} of ${format.count(followed)}` : format.count(followed);
    text(byId("topic-count"), `${fits} ${followed === 1 ? "topic" : "topics"} in ${format.span(since)}${left ? `; ${format.short(left)} messages of others are not followed` : ""}`);
    text(this.table.empty, followed > 0 ? "No topic fits the filter." : "Nothing has been published since somebody looks.");
  }

  shut(above) {
    for (const open of [...this.open]) if (open === above || open.startsWith(`${above}/`)) this.open.delete(open);
    for (const [key, list] of [...this.lists]) {
      if (key === null || (key !== above && !key.startsWith(`${above}/`))) continue;
      list.element.remove();
      this.lists.delete(key);
      attribute(list.toggle, "aria-expanded", "false");
    }
  }

  turn(above, row) {
    if (this.open.has(above)) {
      this.shut(above);
    } else {
      this.open.add(above);
      const list = this.list(above, row.toggle);
      row.item.append(list.element);
      attribute(row.toggle, "aria-expanded", "true");
    }
    this.look();
  }

  /** The list of names below a level. */
  list(above, toggle) {
    const element = el("ul", { class: "levels" });
    const more = el("li", { class: "quiet more" }, "There are more than these 200: use a filter above.");
    const empty = el("li", { class: "quiet more" }, above === null ? "Nothing is retained, and nothing has been published since somebody looks." : "…");
    element.append(empty);
    const rows = new Map();
    const update = (level) => {
      const names = new Set(level.entries.map((entry) => entry.name));
      for (const [name, row] of rows) {
        if (names.has(name)) continue;
        this.shut(below(above, name));
        row.item.remove();
        rows.delete(name);
      }
      let place = element.firstElementChild;
      for (const entry of level.entries) {
        let row = rows.get(entry.name);
        if (!row) {
          row = this.row(below(above, entry.name), entry.name);
          rows.set(entry.name, row);
        }
        if (row.item === place) place = place.nextElementSibling;
        else element.insertBefore(row.item, place);
        row.show(entry);
      }
      if (level.more) element.append(more);
      else more.remove();
      if (level.entries.length) empty.remove();
      else element.append(empty);
    };
    const list = { element, update, toggle };
    this.lists.set(above, list);
    return list;
  }

  row(topic, name) {
    const toggle = el("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-label": `Levels below ${topic}` });
    const label = el("span", { class: "level code", title: topic }, name === "" ? "(empty)" : name);
    const [value, rate, when] = [el("span", { class: "level-value code" }), el("span", { class: "num rate" }), el("span", { class: "num when" })];
    const kept = el("span", { class: "chip", title: "This value is retained: who subscribes gets it at once" }, "retained");
    const line = el("div", { class: "level-line" }, toggle, label, value, kept, rate, when);
    const item = el("li", {}, line);
    const row = { item, toggle };
    toggle.addEventListener("click", () => this.turn(topic, row));
    let messages = null;
    row.show = (entry) => {
      toggle.hidden = !entry.has_children;
      const words = entry.value ? payload(entry.value) : "";
      // It has changed since it was shown last: that is seen for a moment.
      if (messages !== null && entry.messages > messages) this.flash(line);
      messages = entry.messages;
      text(value, words);
      attribute(value, "title", words || null);
      kept.hidden = !entry.retained;
      text(rate, entry.rate < 0.005 ? "" : perSecond(entry.rate));
      text(when, ago(entry.ago_seconds));
    };
    return row;
  }

  flash(line) {
    line.classList.remove("changed");
    // Begun anew only if it was away for one layout.
    requestAnimationFrame(() => line.classList.add("changed"));
  }
}
