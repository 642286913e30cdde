// Proxies: for each a table with its clients first and then its backends, and orders about these.

import { post, trouble } from "./api.js";
import { attribute, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { BACKENDS } from "./words.js";

/** The route of those that no route leads to. */
const OTHERS = "backends";

const figure = (name, of, title) => ({ name, of, title, kind: "figure num" });

/** What only clients, or only backends, have. */
const ofClients = (of) => (row) => (row.clients ? of(row) : "");
const ofBackend = (of) => (row) => (row.clients ? "" : of(row));

const sum = (counts) => Object.values(counts ?? {}).reduce((total, n) => total + n, 0);
const key = (row) => (row.clients ? "" : `${row.route} ${row.address}`);

export class Proxies {
  constructor() {
    this.shown = new Map();
    const [dialog, form, kind] = ["backend", "backend-form", "backend-order"].map(byId);
    kind.addEventListener("change", () => this.explain());
    form.addEventListener("submit", (event) => {
      if (event.submitter?.value !== "yes") return;
      const body = kind.value === "weight" ? { weight: Number(byId("backend-weight").value) } : {};
      if (kind.value === "remove-now") body.force = true;
      this.order(this.asked.proxy, kind.value === "remove-now" ? "remove" : kind.value, { ...this.asked.of, ...body });
    });
    this.dialog = dialog;
  }

  update({ state }) {
    const proxies = state.proxies ?? [];
    byId("proxies").hidden = proxies.length === 0;
    byId("proxies-link").hidden = proxies.length === 0;
    for (const proxy of proxies) {
      if (!this.shown.has(proxy.name)) this.shown.set(proxy.name, this.make(proxy.name));
      const { table, reset, sources } = this.shown.get(proxy.name);
      table.update([{ ...proxy, clients: true, now: proxy.clients }, ...proxy.backends]);
      reset.hidden = !proxy.backends.some((backend) => backend.changed);
      this.sources(sources, proxy.sources ?? []);
    }
    for (const [name, { element }] of this.shown) {
      if (proxies.some((proxy) => proxy.name === name)) continue;
      element.remove();
      this.shown.delete(name);
    }
  }

  make(name) {
    const place = el("div");
    const table = new Table(place, {
      caption: name,
      key,
      empty: "It has no backend.",
      columns: [
        { name: "backend", kind: "title", of: (row, cell) => this.title(row, cell) },
        { name: "state", kind: "states", of: (row, cell) => this.state(row, cell) },
        figure("weight", ofBackend((row) => format.count(row.weight)), "Its share of new connections while it is enabled"),
        figure("queue", ofClients((row) => format.count(row.waiting)), "Clients that wait for a backend with room"),
        figure("now", (row) => format.count(row.clients ? row.now : row.connections), "Connections now"),
        figure("most", (row) => format.count(row.clients ? row.clients_peak : row.connections_peak), "The most there have been"),
        figure("limit", ofBackend((row) => (row.connections_max ? format.count(row.connections_max) : "none")), "The most there may be"),
        figure("opened", (row) => format.short(row.opened), "Since the start"),
        figure("to it", (row) => format.bytes(row.sent_bytes), "Bytes that clients have sent"),
        figure("from it", (row) => format.bytes(row.received_bytes), "Bytes that backends have sent"),
        { ...figure("failed", (row, cell) => this.failed(row, cell), "Connections that did not come about; of clients: refused, and tries beyond the first"), kind: "figure num failed" },
        { name: "last check", kind: "check", of: (row, cell) => this.check(row, cell) },
        figure("down", ofBackend((row) => (row.downs ? `${format.count(row.downs)}×, ${format.span(row.downtime_seconds)}` : "never")), "How often checks found it down, and for how long"),
        { name: "order", kind: "action", of: (row, cell) => this.actions(name, row, cell), head: el("span", { class: "hidden" }, "order") },
      ],
    });
    const answer = el("p", { class: "answer", role: "status" });
    const address = el("input", { type: "text", required: true, placeholder: "10.0.0.3:80", autocomplete: "off", spellcheck: "false" });
    const weight = el("input", { type: "number", min: "0", max: "65535", value: "1" });
    const form = el("form", { class: "tools" },
      el("label", {}, "Address ", address), el("label", {}, "Weight ", weight), el("button", { type: "submit" }, "Add"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const done = await this.order(name, "add", { backend: address.value.trim(), weight: Number(weight.value) });
      if (done) address.value = "";
    });
    const reset = el("button", { type: "button", onclick: () => this.order(name, "reset", {}) }, "Back to the file");
    const sources = el("ul", { class: "sources" });
    const element = el("div", { class: "proxy" }, place, sources,
      el("div", { class: "tools" }, el("details", {}, el("summary", {}, "Add a backend"), form), reset, answer));
    byId("proxy-list").append(element);
    return { element, table, reset, answer, sources };
  }

  /** Where more backends come from, each with what it names or why it does not. */
  sources(list, sources) {
    while (list.children.length > sources.length) list.lastElementChild.remove();
    while (list.children.length < sources.length) list.append(el("li", {}, el("code"), el("span")));
    sources.forEach((source, n) => {
      const [name, words] = list.children[n].children;
      text(name, source.source);
      const of = source.route === OTHERS ? "" : ` of ${source.route}`;
      const count = source.backends === 1 ? "one backend" : `${format.count(source.backends)} backends`;
      text(words, source.error ? `${of} ${source.error}; ${count} of before stay` : `${of} names ${count}`);
      attribute(words, "class", source.error ? "wrong" : "quiet");
    });
    list.hidden = sources.length === 0;
  }

  title(row, cell) {
    cell.parts ??= [cell.appendChild(el("span")), cell.appendChild(el("span", { class: "quiet under" }))];
    const [name, under] = cell.parts;
    text(name, row.clients ? "clients" : row.name);
    const route = row.clients || row.route === OTHERS ? "" : `of ${row.route}`;
    const address = row.clients || row.name === row.address ? "" : row.address;
    text(under, [address, route].filter(Boolean).join(" "));
  }

  state(row, cell) {
    if (row.clients) return;
    cell.parts ??= [cell.appendChild(el("span", { class: "chip" })), cell.appendChild(el("span", { class: "quiet" }))];
    const [chip, since] = cell.parts;
    text(chip, row.changed ? `${row.state}*` : row.state);
    attribute(chip, "data-backend", row.state);
    const words = BACKENDS[row.state] ?? "";
    attribute(chip, "title", row.changed ? `${words} It is not as the file says.` : words);
    const knows = typeof row.since_seconds === "number" && (row.state === "up" || row.state === "down");
    text(since, knows ? format.span(row.since_seconds) : "");
  }

  failed(row, cell) {
    const refused = sum(row.refused);
    const bad = row.clients ? refused : row.failed;
    text(cell, row.clients && row.retries ? `${format.short(bad)} + ${format.short(row.retries)}` : format.short(bad));
    attribute(cell, "data-bad", bad > 0 ? "yes" : null);
    const reasons = Object.entries(row.refused ?? {}).filter(([, n]) => n > 0).map(([reason, n]) => `${reason}: ${n}`);
    attribute(cell, "title", row.clients ? [`${refused} refused`, ...reasons, `${row.retries} retries`].join("\n") : null);
  }

  check(row, cell) {
    const check = row.last_check;
    if (row.clients || !check) {
      text(cell, row.clients ? "" : "–");
      attribute(cell, "data-bad", null);
      return;
    }
    text(cell, `${check.passed ? "passed" : "failed"}, ${format.time(check.took_seconds)}`);
    attribute(cell, "data-bad", check.passed ? null : "yes");
    attribute(cell, "title", `${format.span(check.ago_seconds)} ago; ${row.checks_passed} have passed, ${row.checks_failed} have failed`);
  }

  actions(proxy, row, cell) {
    if (row.clients) return;
    const out = ["draining", "disabled", "leaving"].includes(row.state);
    if (!cell.parts) {
      const of = { backend: row.address, route: row.route };
      const quick = el("button", { type: "button", class: "small", onclick: () => this.order(proxy, cell.quick, of) });
      const more = el("button", { type: "button", class: "small", onclick: () => this.more(proxy, of, cell.row) }, "Change…");
      cell.parts = [quick, more];
      cell.append(quick, " ", more);
    }
    cell.row = row;
    cell.quick = out ? "enable" : "drain";
    const [quick, more] = cell.parts;
    text(quick, out ? "Enable" : "Drain");
    attribute(quick, "aria-label", `${out ? "Enable" : "Drain"} ${row.name}`);
    attribute(more, "aria-label", `Change ${row.name}`);
  }

  /** The dialog with everything that can be ordered. */
  more(proxy, of, row) {
    this.asked = { proxy, of };
    text(byId("backend-h"), `${row.name} of ${proxy}`);
    byId("backend-weight").value = row.weight;
    byId("backend-order").value = "weight";
    this.explain();
    this.dialog.showModal();
  }

  explain() {
    const kind = byId("backend-order").value;
    byId("backend-weight-label").hidden = kind !== "weight";
    text(byId("backend-text"), {
      weight: "Its share of new connections, beside the others'. 0 is the same as to drain it.",
      drain: "It gets no new connections, and keeps those it has.",
      disable: "It gets no new connections, keeps those it has, and is not checked.",
      enable: "It gets connections again.",
      remove: "It gets no new connections, and is gone when the last one it has has ended.",
      "remove-now": "Its connections are reset, and it is gone.",
      reset: "What the file says of it, and nothing else. One that is not in the file is removed.",
    }[kind]);
    byId("backend-yes").className = kind.startsWith("remove") ? "grave" : "primary";
  }

  /** Gives an order, and says what came of it. */
  async order(proxy, kind, body) {
    const place = this.shown.get(proxy)?.answer;
    if (!place) return false;
    try {
      const answer = await post(`api/proxies/${kind}`, { proxy, ...body });
      text(place, answer.ok ? said(await answer.json()) : await trouble(answer));
      attribute(place, "class", answer.ok ? "answer" : "answer wrong");
      return answer.ok;
    } catch {
      text(place, "The server does not answer.");
      attribute(place, "class", "answer wrong");
      return false;
    }
  }
}

function said({ backend, gone, reset, lasts }) {
  if (!backend) return reset === 0 ? "Nothing was changed." : `As the file says again: ${format.count(reset)}.`;
  if (gone) return `${backend.name} is gone.`;
  const left = backend.connections === 0 ? "no connection" : `${format.count(backend.connections)} connections`;
  return `${backend.name} is ${backend.state}, weight ${backend.weight}, with ${left}${backend.changed ? `: ${lasts}` : ""}.`;
}
