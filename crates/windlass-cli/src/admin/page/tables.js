// Services, listeners, closes, stalls, limits: one table each.

import { attribute, Bar, byId, el, prose, Table, text } from "./dom.js";
import * as format from "./format.js";
import { listenerKey } from "./live.js";
import { CLOSES, FAULTS } from "./words.js";

const figure = (name, of, title) => ({ name, of, kind: "figure num", title });

/** A cell with elements of its own, made the first time it is filled. */
const parts = (make, fill) => (row, cell) => {
  cell.parts ??= make(cell);
  fill(row, cell.parts);
};

export class Tables {
  constructor(live) {
    this.live = live;
    this.services = new Table(byId("service-table"), {
      caption: "Services",
      key: (row) => row.name,
      empty: "No service is known yet.",
      columns: [
        { name: "service", of: (row) => row.name, kind: "title" },
        { name: "kind", of: (row) => row.kind ?? "" },
        figure("connections", (row) => format.count(row.connections)),
        figure("opened", (row) => format.short(row.opened), "Since the start"),
        figure("messages/s", (row) => format.short(row.rates?.messages)),
        figure("received/s", (row) => format.bytes(row.rates?.received)),
        figure("sent/s", (row) => format.bytes(row.rates?.sent)),
      ],
    });
    this.listeners = new Table(byId("listener-table"), {
      caption: "Listeners",
      key: listenerKey,
      empty: "It listens nowhere.",
      columns: [
        { name: "address", of: (row) => row.address, kind: "title code" },
        { name: "service", of: (row) => row.service ?? "" },
        { name: "TLS", of: (row) => (row.tls ? "TLS" : "plain") },
        figure("connections", (row) => format.count(row.connections)),
        figure("opened", (row) => format.short(row.opened), "Since the start"),
        figure("received/s", (row) => format.bytes(row.rates?.received)),
        figure("sent/s", (row) => format.bytes(row.rates?.sent)),
      ],
    });
    this.closes = new Table(byId("close-table"), {
      caption: "Closes by reason",
      hideCaption: true,
      key: (row) => row.reason,
      empty: "No connection has ended yet.",
      columns: [
        { name: "reason", of: (row) => row.reason, kind: "title code" },
        { name: "whose", kind: "fault", of: parts(
          (cell) => cell.appendChild(el("span", { class: "chip" })),
          (row, chip) => {
            text(chip, FAULTS[row.fault] ?? row.fault);
            attribute(chip, "data-fault", row.fault);
            chip.hidden = row.fault === "";
          }) },
        figure("last minute", (row) => format.count(row.minute), "As far back as this page has watched"),
        figure("since start", (row) => format.count(row.total)),
        { name: "what happened", of: (row) => row.words, kind: "prose" },
      ],
    });
    this.stalls = new Table(byId("stall-table"), {
      caption: "Stalls, the newest first",
      hideCaption: true,
      key: (row) => row.key,
      empty: "No callback has held its worker for too long.",
      columns: [
        { name: "when", of: (row) => row.when, kind: "title num" },
        { name: "callback", of: (row) => row.callback, kind: "code" },
        { name: "where", of: (row) => row.where ?? "", kind: "code" },
        { name: "connection", of: (row) => row.conn ?? "none", kind: "code" },
        figure("worker", (row) => row.worker),
        figure("held it for", (row) => format.time(row.took_seconds)),
      ],
    });
    const limits = (place, caption, used) => new Table(place, {
      caption,
      hideCaption: true,
      key: (row) => row.name,
      empty: "Nothing is known of their use.",
      columns: [
        { name: "limit", of: (row) => row.name, kind: "title code" },
        ...(used ? [
          { name: "use", kind: "use", of: parts(
            (cell) => {
              const [bar, label] = [new Bar(), el("span", { class: "num" })];
              cell.append(bar.element, label);
              return { bar, label };
            },
            (row, { bar, label }) => {
              const share = typeof row.max === "number" && row.max > 0 ? row.used / row.max : NaN;
              bar.set(share);
              text(label, format.share(share));
            }) },
          figure("used", (row) => format.limit(row.used, row.unit)),
        ] : []),
        figure(used ? "of" : "value", (row) => (row.max === 0 && used ? "no limit" : format.limit(row.max, row.unit))),
        { name: "reached", kind: "figure num reached", of: (row, cell) => {
          text(cell, row.unit === "text" || typeof row.reached !== "number" ? "–" : row.reached === 0 ? "never" : `${format.count(row.reached)}×`);
          attribute(cell, "data-bad", row.reached > 0 ? "yes" : null);
        } },
        { name: "what it bounds", of: (row, cell) => prose(cell, row.about ?? ""), kind: "prose" },
      ],
    });
    this.limits = limits(byId("limit-table"), "Limits and their use", true);
    this.otherLimits = limits(byId("limit-other-table"), "Limits without a count of their use", false);
  }

  update({ state, rates }) {
    this.services.update((state.services ?? []).map((row) => ({ ...row, rates: rates?.services.get(row.name) })));
    this.listeners.update((state.listeners ?? []).map((row) => ({ ...row, rates: rates?.listeners.get(listenerKey(row)) })));
    this.updateCloses(state);
    // Two stalls may have ended at one moment; then their order tells them apart.
    const seen = new Map();
    this.stalls.update((state.stalls ?? []).map((row) => {
      const same = `${row.at_seconds} ${row.worker} ${row.callback} ${row.conn}`;
      seen.set(same, (seen.get(same) ?? 0) + 1);
      return { ...row, key: `${same} ${seen.get(same)}`, when: `${format.span(state.uptime_seconds - row.at_seconds)} ago` };
    }));
    const known = (row) => typeof row.used === "number";
    this.limits.update((state.limits ?? []).filter(known));
    this.otherLimits.update((state.limits ?? []).filter((row) => !known(row)));
  }

  updateCloses(state) {
    const before = this.live.ago(60).state;
    // A server that started less than a minute ago had closed nothing before.
    const young = state.uptime_seconds < 60;
    const rows = Object.entries(state.closes ?? {}).filter(([, total]) => total > 0).map(([reason, total]) => {
      const [fault, words] = CLOSES[reason] ?? ["", ""];
      return { reason, total, fault, words, minute: total - (young ? 0 : before.closes?.[reason] ?? 0) };
    });
    rows.sort((a, b) => b.total - a.total);
    // Rows change places only when somebody overtakes: not with every figure.
    this.closes.update(rows);
    const others = Object.entries(CLOSES).filter(([reason]) => !state.closes?.[reason]);
    const names = others.map(([reason]) => reason).join();
    byId("close-others").hidden = others.length === 0;
    if (names === this.names) return;
    this.names = names;
    byId("close-words").replaceChildren(...others.map(([reason, [fault, words]]) => el("div", {},
      el("dt", {}, reason), el("dd", {}, `${words} `, el("span", { class: "quiet" }, `(${FAULTS[fault]})`)))));
  }
}
