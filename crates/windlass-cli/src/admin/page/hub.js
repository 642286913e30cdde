// Hubs: what they have counted, their rules, and a browser of their clients, sorted, filtered and paged by the server.
// What is said in them is in topics.js.

import { get, post, trouble } from "./api.js";
import { ask, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { choose, figure, List, order, tiles } from "./list.js";

/** Columns that can be sorted by, and the server's word for it. */
const SORTS = { client: "name", since: "age", filters: "subscriptions", queued: "queued", "in flight": "in_flight", received: "received", sent: "sent" };

const sum = (counts) => Object.values(counts ?? {}).reduce((total, n) => total + n, 0);

/** A payload as text; of bytes, their digits. */
export function payload({ text: words, hex, bytes, cut } = {}) {
  const more = cut ? "…" : "";
  if (words !== undefined) return words + more;
  return hex ? `${hex.replace(/(..)(?=.)/g, "$1 ")}${more}` : bytes === 0 ? "" : `${format.bytes(bytes)}`;
}

export class Hub {
  constructor({ isPaused }) {
    this.before = new Map();
    [this.choice, this.offline] = ["hub-name", "hub-offline"].map(byId);
    this.tile = tiles(byId("hub-totals"), ["clients", "subscriptions", "received", "sent", "retained", "queued", "dropped", "journal"]);
    this.rules = new Table(byId("hub-rules"), {
      caption: "Rules",
      key: (row) => row.name,
      empty: "It has none.",
      columns: [
        { name: "rule", of: (row) => row.name, kind: "title code" },
        figure("delivered", (row) => format.short(row.delivered)),
        figure("waiting", (row) => format.count(row.waiting)),
        figure("retries", (row) => format.count(row.retries)),
        figure("dropped", (row) => format.count(sum(row.dropped))),
        { name: "why", kind: "prose", of: (row) => Object.entries(row.dropped).map(([why, n]) => `${why.replace("_", " ")} ${format.count(n)}`).join(", ") },
      ],
    });
    this.detail = new Detail(() => this.list.fetch());
    this.list = new List({
      section: "hub",
      prefix: "hub",
      path: "api/hubs/clients",
      query: () => (this.name ? { hub: this.name, offline: this.offline.checked } : null),
      rows: ({ clients }) => clients,
      sorts: SORTS,
      also: [this.choice, this.offline],
      words: { one: "client", all: () => (this.offline.checked ? "sessions" : "clients"), none: "Nobody is there." },
      isPaused,
      caption: "Clients",
      key: (row) => row.id,
      columns: [
        { name: "client", of: (row) => row.id, kind: "title code" },
        { name: "user", of: (row) => row.user ?? "–" },
        { name: "address", of: (row) => (row.connected ? row.address ?? "–" : "away"), kind: "code" },
        { name: "MQTT", of: (row) => `${row.version}${row.websocket ? " WS" : ""}` },
        figure("since", (row) => format.span(row.since_seconds), "Since when it is connected, or away"),
        figure("filters", (row) => format.count(row.subscriptions), "What it subscribes to"),
        figure("queued", (row) => format.count(row.queued), "Messages that wait for it"),
        figure("in flight", (row) => format.count(row.in_flight), "Messages of QoS 1 and 2 on their way to it"),
        figure("received", (row) => format.short(row.received), "Messages that came from it"),
        figure("sent", (row) => format.short(row.sent), "Messages that went to it"),
        order("Inspect", (row) => row.id, (row) => this.detail.open(this.name, row.id)),
      ],
    });
  }

  /** The hub that is looked at. */
  get name() {
    return this.choice.value;
  }

  update({ state }) {
    const hubs = state.hubs ?? [];
    for (const id of ["hub", "hub-link", "topics", "topics-link"]) byId(id).hidden = hubs.length === 0;
    choose(this.choice, byId("hub-choice"), hubs.map((hub) => hub.name));
    const hub = hubs.find((hub) => hub.name === this.choice.value);
    if (!hub) return;
    const { counters: now } = hub;
    const before = this.before.get(hub.name);
    this.before.set(hub.name, { now, at: state.uptime_seconds, pid: state.pid });
    const seconds = before && before.pid === state.pid ? state.uptime_seconds - before.at : NaN;
    const all = (counters, names) => names.reduce((total, name) => total + (counters[name] ?? 0), 0);
    const rate = (...names) => (seconds > 0.1 ? (all(now, names) - all(before.now, names)) / seconds : NaN);
    const qos = (way) => [0, 1, 2].map((n) => `${way}_qos_${n}`);
    const split = (way) => `${qos(way).map((name) => format.short(now[name])).join(" · ")} by QoS`;
    const dropped = Object.keys(now).filter((name) => name.startsWith("dropped_"));
    this.tile.clients(format.count(now.clients), `${format.count(now.sessions)} sessions`);
    this.tile.subscriptions(format.count(now.subscriptions), `${format.short(now.denied_subscribe)} refused`);
    this.tile.received(`${format.short(rate(...qos("received")))}/s`, split("received"));
    this.tile.sent(`${format.short(rate(...qos("sent")))}/s`, split("sent"));
    this.tile.retained(format.count(now.retained), format.bytes(now.retained_bytes));
    this.tile.queued(format.count(now.queued), format.bytes(now.queued_bytes));
    this.tile.dropped(format.short(all(now, dropped)), dropped.filter((name) => now[name]).map((name) => name.slice(8).replace("_", " ")).join(", ") || "none since the start");
    this.tile.journal(now.journal_commits ? format.time(now.journal_commit_us / now.journal_commits / 1e6) : "–", now.journal_commits ? "a commit, on average" : "nothing committed");
    this.rules.update(hub.rules ?? []);
    byId("hub-rules").hidden = (hub.rules ?? []).length === 0;
  }
}

/** All about one client, and its end. */
class Detail {
  constructor(changed) {
    this.changed = changed;
    this.dialog = byId("client");
    byId("client-kick").addEventListener("click", () => this.kick(false));
    byId("client-end").addEventListener("click", () => this.kick(true));
    byId("client-close").addEventListener("click", () => this.dialog.close());
  }

  async open(hub, id) {
    this.asked = { hub, id };
    text(byId("client-h"), id);
    text(byId("client-answer"), "");
    byId("client-view").replaceChildren();
    if (!this.dialog.open) this.dialog.showModal();
    try {
      const answer = await get(`api/hubs/client?${new URLSearchParams({ hub, id })}`, { signal: AbortSignal.timeout(5000) });
      if (this.asked.id !== id) return;
      if (answer.ok) byId("client-view").replaceChildren(...this.view(await answer.json()));
      else text(byId("client-answer"), answer.status === 404 ? "It is not there any more." : await trouble(answer));
    } catch {
      text(byId("client-answer"), "The server does not answer.");
    }
  }

  view(it) {
    const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", { class: "num" }, String(value)));
    const facts = el("dl", { class: "facts" },
      fact("user", it.user ?? "anonymous"),
      fact("address", it.connected ? it.address ?? "–" : "away"),
      fact("protocol", `MQTT ${it.version}${it.websocket ? ", WebSocket" : ""}`),
      fact(it.connected ? "connected for" : "away for", format.span(it.since_seconds)),
      fact("session kept", it.expiry_seconds === null ? "for ever" : it.expiry_seconds === 0 ? "not at all" : `for ${format.span(it.expiry_seconds)}`),
      fact("keep-alive", it.keep_alive_seconds ? format.span(it.keep_alive_seconds) : "none"),
      fact("received", format.count(it.received)),
      fact("sent", format.count(it.sent)),
      fact("queued", `${format.count(it.queued)} of ${format.count(it.queue_max)}`),
      fact("bytes queued", `${format.bytes(it.queued_bytes)} of ${format.bytes(it.queue_bytes_max)}`),
      fact("in flight", `${format.count(it.in_flight)} of ${it.receive_max ? format.count(it.receive_max) : "–"}`),
      fact("longest packet", it.packet_max === null ? "any" : format.bytes(it.packet_max)));
    const parts = [facts, el("h3", {}, `Subscriptions: ${format.count(it.subscriptions)} of ${format.count(it.subscriptions_max)}`)];
    const options = (one) => [
      `QoS ${one.qos}`, one.id ? `id ${one.id}` : "", one.no_local ? "no local" : "", one.retain_as_published ? "retain as published" : "",
      one.retain_handling === "send" ? "" : one.retain_handling.replaceAll("_", " "),
    ].filter(Boolean).join(", ");
    const list = (items) => el("ul", { class: "plain-list" }, ...items);
    parts.push(it.filters.length ? list(it.filters.map((one) => el("li", {}, el("code", {}, one.filter), el("span", { class: "quiet" }, ` ${options(one)}`))))
      : el("p", { class: "quiet" }, "None."));
    if (it.will) {
      parts.push(el("h3", {}, "Will"), el("p", {}, el("code", {}, it.will.topic), " ", el("span", { class: "quiet" },
        `QoS ${it.will.qos}${it.will.retain ? ", retained" : ""}${it.will.delay_seconds ? `, after ${format.span(it.will.delay_seconds)}` : ""}: `), payload(it.will.value)));
    }
    if (it.waiting.length) {
      parts.push(el("h3", {}, "Waiting first"), list(it.waiting.map((one) => el("li", {}, el("code", {}, one.topic),
        el("span", { class: "quiet" }, ` QoS ${one.qos}, ${format.bytes(one.bytes)}`)))));
    }
    return parts;
  }

  async kick(end) {
    const { hub, id } = this.asked;
    const sure = await ask(end ? "End this session?" : "Disconnect this client?", end
      ? `${id} loses its connection, its subscriptions and all messages that wait for it.`
      : `${id} loses its connection. Its session stays as long as it was to stay; most clients come back at once.`, end ? "End it" : "Disconnect it");
    if (!sure) return;
    const place = byId("client-answer");
    try {
      const answer = await post("api/hubs/kick", { hub, client: id, end_session: end });
      text(place, answer.ok ? (end ? "Its session has ended." : "It is disconnected.") : answer.status === 404 ? "It was not connected." : await trouble(answer));
    } catch {
      text(place, "The server does not answer.");
    }
    setTimeout(this.changed, 300);
  }
}
