// The browser of connections: sorted, filtered and paged by the server, asked for again while it is looked at.

import { get, post, trouble } from "./api.js";
import { ask, attribute, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { STATES } from "./words.js";

const PER_PAGE = 25;
const AGAIN_MS = 2000;

/** Columns that can be sorted by, and the server's word for it. */
const SORTS = { "in/s": "traffic", "out/s": "traffic", received: "received", sent: "sent", age: "age", idle: "idle", queued: "queued" };

const figure = (name, of, title) => ({ name, of, title, kind: "figure num" });

export class Connections {
  constructor({ isPaused }) {
    this.isPaused = isPaused;
    this.page = 1;
    this.sort = byId("connection-sort");
    this.filter = byId("connection-filter");
    const heads = (column) => {
      const sort = SORTS[column.name];
      if (!sort) return column;
      const button = el("button", { type: "button", class: "sort", title: `Sort by ${sort}`, onclick: () => this.sortBy(sort) }, column.name);
      return { ...column, head: button };
    };
    this.table = new Table(byId("connection-table"), {
      caption: "Connections",
      hideCaption: true,
      key: (row) => row.id,
      empty: "Nobody is connected.",
      columns: [
        { name: "peer", of: (row) => row.peer || "unnamed", kind: "title code" },
        { name: "id", of: (row) => row.id, kind: "code" },
        { name: "service", of: (row) => row.service ?? "" },
        { name: "listener", of: (row) => row.listener ?? "–", kind: "code" },
        figure("in/s", (row) => format.bytes(row.received_rate)),
        figure("out/s", (row) => format.bytes(row.sent_rate)),
        figure("received", (row) => format.bytes(row.received_bytes)),
        figure("sent", (row) => format.bytes(row.sent_bytes)),
        figure("age", (row) => format.span(row.age_seconds)),
        figure("idle", (row) => format.span(row.idle_seconds)),
        figure("queued", (row) => format.bytes((row.output_bytes ?? 0) + (row.input_bytes ?? 0)), "Output that waits to be sent, and input that waits to be taken"),
        { name: "state", kind: "states", of: (row, cell) => this.states(row, cell) },
        { name: "order", kind: "action", of: (row, cell) => this.action(row, cell), head: el("span", { class: "hidden" }, "order") },
      ].map(heads),
    });
    this.sort.addEventListener("change", () => this.from(1));
    this.filter.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.from(1), 250);
    });
    byId("connection-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.from(1);
    });
    byId("connection-back").addEventListener("click", () => this.from(this.page - 1));
    byId("connection-on").addEventListener("click", () => this.from(this.page + 1));
    // Asking costs every worker something, so nobody asks for what nobody sees.
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen) this.fetch();
    }).observe(byId("connections"));
    setInterval(() => {
      if (this.seen && !document.hidden && !this.isPaused()) this.fetch();
    }, AGAIN_MS);
    this.show({ connections: [], total: 0, matched: 0, page: 1 });
  }

  sortBy(sort) {
    this.sort.value = sort;
    this.from(1);
  }

  from(page) {
    this.page = Math.max(1, page);
    this.fetch();
  }

  async fetch() {
    const query = new URLSearchParams({ sort: this.sort.value, filter: this.filter.value.trim(), page: this.page, per_page: PER_PAGE });
    // Answers may overtake each other: only the last question counts.
    const asked = this.asked = Symbol();
    try {
      const answer = await get(`api/connections?${query}`, { signal: AbortSignal.timeout(5000) });
      if (asked !== this.asked || !answer.ok) return;
      this.show(await answer.json());
    } catch {
      // The head of the page says that the server does not answer.
    }
  }

  show(found) {
    const pages = Math.max(1, Math.ceil(found.matched / PER_PAGE));
    // The last page may have gone with its connections.
    if (this.page > pages) {
      this.from(pages);
      return;
    }
    this.table.update(found.connections);
    const filtered = this.filter.value.trim() !== "";
    text(this.table.empty, filtered && found.total > 0 ? "No connection fits the filter." : "Nobody is connected.");
    text(byId("connection-count"), filtered
      ? `${format.count(found.matched)} of ${format.count(found.total)}` : `${format.count(found.total)} connections`);
    text(byId("connection-page"), `page ${this.page} of ${pages}`);
    byId("connection-back").disabled = this.page <= 1;
    byId("connection-on").disabled = this.page >= pages;
    byId("connections").querySelector(".pager").hidden = pages === 1;
    this.table.columns.forEach((column, n) => {
      if (SORTS[column.name]) attribute(this.table.heads[n], "aria-sort", SORTS[column.name] === this.sort.value ? "descending" : null);
    });
  }

  states(row, cell) {
    const states = row.state ?? [];
    const all = states.join();
    if (cell.all === all) return;
    cell.all = all;
    cell.replaceChildren(...states.map((state) => el("span", { class: "chip", "data-state": state, title: STATES[state] }, state)));
  }

  action(row, cell) {
    cell.row = row;
    if (cell.firstChild) return;
    cell.append(el("button", { type: "button", class: "small", onclick: () => this.close(cell.row) },
      "Close", el("span", { class: "hidden" }, ` ${row.id}`)));
  }

  async close({ id, peer, service }) {
    const sure = await ask("Close this connection?",
      `${id}, from ${peer || "an unnamed peer"} to ${service ?? "this server"}. What is queued for it is still sent; its service is told.`, "Close it");
    if (!sure) return;
    const notice = byId("connection-count");
    try {
      const answer = await post("api/close", { conn: id });
      text(notice, answer.ok ? `${id} is being closed` : answer.status === 404 ? `${id} was gone already` : await trouble(answer));
    } catch {
      text(notice, "The server does not answer.");
    }
    setTimeout(() => this.fetch(), 400);
  }
}
