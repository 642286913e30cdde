// The browser of connections.

import { post, trouble } from "./api.js";
import { ask, byId, el, text } from "./dom.js";
import * as format from "./format.js";
import { figure, List, order } from "./list.js";
import { STATES } from "./words.js";

/** Columns that can be sorted by, and the server's word for it. */
const SORTS = { "in/s": "traffic", "out/s": "traffic", received: "received", sent: "sent", age: "age", idle: "idle", queued: "queued" };

export class Connections {
  constructor({ isPaused }) {
    this.list = new List({
      section: "connections",
      prefix: "connection",
      path: "api/connections",
      query: () => ({}),
      rows: ({ connections }) => connections,
      sorts: SORTS,
      words: { one: "connection", all: () => "connections", none: "Nobody is connected." },
      isPaused,
      caption: "Connections",
      key: (row) => row.id,
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
        order("Close", (row) => row.id, (row) => this.close(row)),
      ],
    });
  }

  states(row, cell) {
    const states = row.state ?? [];
    const all = states.join();
    if (cell.all === all) return;
    cell.all = all;
    cell.replaceChildren(...states.map((state) => el("span", { class: "chip", "data-state": state, title: STATES[state] }, state)));
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
    setTimeout(() => this.list.fetch(), 400);
  }
}
