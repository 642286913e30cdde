// Games: what they have counted, their rooms, sorted, filtered and paged by the server, and who sits in one of them.

import { get, post, trouble } from "./api.js";
import { ask, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";
import { choose, figure, List, order, tiles } from "./list.js";

const AGAIN_MS = 2000;

/** Columns that can be sorted by, and the server's word for it. */
const SORTS = { room: "name", players: "players", open: "age", skipped: "skipped", overruns: "overruns", "99 %": "late", sent: "sent" };

const rate = (value) => (Number.isFinite(value) ? `${format.bytes(value)}/s` : "–");

/** What has been counted since the last time, in a second. */
class Rates {
  constructor() {
    this.before = new Map();
    this.now = new Map();
  }

  /** To be called before each round, with the moment of it in seconds. */
  begin(at) {
    this.before = this.now;
    this.now = new Map();
    this.at = at;
  }

  of(key, value) {
    this.now.set(key, { value, at: this.at });
    const before = this.before.get(key);
    // What counts less than before is another one of the same name.
    if (!before || this.at - before.at < 0.1 || value < before.value) return NaN;
    return (value - before.value) / (this.at - before.at);
  }
}

export class Games {
  constructor({ isPaused }) {
    [this.totals, this.rates] = [new Rates(), new Rates()];
    this.choice = byId("games-name");
    this.tile = tiles(byId("games-totals"), ["rooms", "players", "here", "ticks", "late, 99 %", "overruns", "from players", "to players"]);
    this.detail = new Detail(isPaused, () => this.list.fetch());
    this.list = new List({
      section: "games",
      prefix: "games",
      path: "api/games/rooms",
      query: () => (this.name ? { game: this.name } : null),
      rows: ({ rooms }) => this.rows(rooms),
      sorts: SORTS,
      also: [this.choice],
      words: { one: "room", all: () => `rooms${this.more > 0 ? `, and ${format.count(this.more)} that are not shown one by one` : ""}`, none: "There is no room: the first player opens one." },
      isPaused,
      busy: () => this.detail.dialog.open,
      caption: "Rooms",
      key: (row) => row.room,
      columns: [
        { name: "room", of: (row) => row.room, kind: "title code" },
        { name: "kind", of: (row) => row.kind },
        figure("players", (row) => `${row.players}/${row.players_max}`, "Players, and seats for them"),
        figure("watching", (row) => format.count(row.spectators), "Spectators"),
        figure("open", (row) => format.span(row.age_seconds), "How long it is open"),
        figure("rate", (row) => `${row.hz}/s`, "Ticks a second, as they should be"),
        figure("ticks", (row) => format.short(row.ticks), "Ticks made"),
        figure("skipped", (row) => format.short(row.skipped), "Ticks skipped, since their time was long past"),
        figure("overruns", (row) => format.short(row.overruns), "Ticks longer than their period"),
        figure("half", (row) => format.time(row.lateness_seconds[0]), "Half of all ticks were no later than this"),
        figure("99 %", (row) => format.time(row.lateness_seconds[1]), "How late all ticks but one in a hundred were at most"),
        figure("latest", (row) => format.time(row.lateness_seconds[2]), "How late the latest tick was"),
        figure("received", (row) => rate(row.received_rate), "From players, in a second"),
        figure("sent", (row) => rate(row.sent_rate), "Bytes sent to players and spectators, in a second"),
        order("Inspect", (row) => row.room, (row) => this.detail.open(this.name, row.room)),
      ],
    });
  }

  /** The game that is looked at. */
  get name() {
    return this.choice.value;
  }

  update({ state }) {
    const games = state.games ?? [];
    for (const id of ["games", "games-link"]) byId(id).hidden = games.length === 0;
    choose(this.choice, byId("games-choice"), games.map((game) => game.name));
    this.totals.begin(state.uptime_seconds);
    const game = games.find((game) => game.name === this.choice.value);
    if (!game) return;
    const { counters: now, lateness_seconds: late } = game;
    const per = (name) => this.totals.of(`${state.pid} ${game.name} ${name}`, now[name] ?? 0);
    const gateways = Object.entries(now).filter(([name]) => name.startsWith("here_"));
    const here = gateways.reduce((sum, [, n]) => sum + n, 0);
    this.tile.rooms(format.count(now.rooms), `${format.short(now.rooms_opened)} opened`);
    this.tile.players(format.count(now.players), `${format.count(now.spectators)} watching`);
    this.tile.here(format.count(here), gateways.map(([name, n]) => `${format.count(n)} by ${name.slice(5)}`).join(", "));
    this.tile.ticks(`${format.short(per("ticks"))}/s`, `${format.short(now.ticks_skipped)} skipped`);
    this.tile["late, 99 %"](format.time(late[1]), `latest ${format.time(late[2])}`);
    this.tile.overruns(format.short(now.overruns), "ticks too long");
    this.tile["from players"](rate(per("bytes_in")), `${format.short(per("messages_in"))} messages/s`);
    this.tile["to players"](rate(per("bytes_out")), `${format.short(per("snapshots_stale"))} left out/s`);
    this.more = now.rooms - game.rooms_shown;
  }

  /** With what they have received and sent in a second. */
  rows(rooms) {
    this.rates.begin(performance.now() / 1000);
    return rooms.map((row) => ({
      ...row,
      received_rate: this.rates.of(`${row.room} in`, row.received_bytes),
      sent_rate: this.rates.of(`${row.room} out`, row.sent_bytes),
    }));
  }
}

/** All about one room, its end, and the end of a seat. */
class Detail {
  constructor(isPaused, changed) {
    this.changed = changed;
    this.dialog = byId("room");
    this.facts = byId("room-facts");
    this.seats = new Table(byId("room-seats"), {
      caption: "Seats",
      key: (row) => row.seat,
      empty: "Nobody has a seat.",
      columns: [
        { name: "seat", of: (row) => `${row.seat}`, kind: "title num" },
        { name: "name", of: (row) => (row.name || "–") + (row.subject ? ` (${row.subject})` : "") },
        { name: "is", of: (row) => `${row.spectator ? "watching" : "playing"}${{ kept: ", expected", away: ", away" }[row.state] ?? ""}` },
        { name: "address", of: (row) => row.address ?? "–", kind: "code" },
        { name: "by", of: (row) => row.gateway ?? "–" },
        figure("since", (row) => format.span(row.since_seconds), "How long it has been theirs"),
        figure("kept", (row) => (row.until_seconds === null ? "" : format.span(row.until_seconds)), "For how long it is kept, while nobody is there"),
        figure("waiting", (row) => format.bytes(row.waiting), "Bytes that their connection has not taken yet"),
        figure("received", (row) => format.short(row.messages_in), "Messages from them"),
        figure("dropped", (row) => format.short(row.messages_dropped), "Of those, messages that were too many"),
        figure("sent", (row) => format.bytes(row.bytes_out), "Bytes to them"),
        figure("left out", (row) => format.short(row.snapshots_stale), "Snapshots left out, since they do not keep up"),
        order("Kick…", (row) => `seat ${row.seat}`, (row) => this.kick(row)),
      ],
    });
    byId("room-end").addEventListener("click", () => this.end());
    byId("room-close").addEventListener("click", () => this.dialog.close());
    setInterval(() => {
      if (this.dialog.open && !document.hidden && !isPaused()) this.fetch();
    }, AGAIN_MS);
  }

  open(game, room) {
    this.asked = { game, room };
    text(byId("room-h"), room);
    text(byId("room-answer"), "");
    this.facts.replaceChildren();
    this.seats.update([]);
    if (!this.dialog.open) this.dialog.showModal();
    this.fetch();
  }

  async fetch() {
    const { game, room } = this.asked;
    try {
      const answer = await get(`api/games/room?${new URLSearchParams({ game, room })}`, { signal: AbortSignal.timeout(5000) });
      if (this.asked.room !== room) return;
      byId("room-end").disabled = !answer.ok;
      if (answer.ok) this.show(await answer.json());
      else {
        this.seats.update([]);
        text(byId("room-answer"), answer.status === 404 ? "It is over." : await trouble(answer));
      }
    } catch {
      text(byId("room-answer"), "The server does not answer.");
    }
  }

  show(it) {
    const [half, most, latest] = it.lateness_seconds;
    const facts = {
      kind: it.kind,
      "open for": format.span(it.age_seconds),
      rate: `${it.hz} ticks/s`,
      tick: format.count(it.tick),
      "ticks made": format.count(it.ticks),
      skipped: format.count(it.skipped),
      overruns: format.count(it.overruns),
      "longest tick": format.time(it.longest_seconds),
      "late, half": format.time(half),
      "late, 99 %": format.time(most),
      "late, latest": format.time(latest),
      "seats": `${it.players_max} players, ${it.spectators_max} spectators`,
      inputs: `${format.short(it.inputs)}, ${format.short(it.inputs_dropped)} pushed out`,
      snapshots: `${format.short(it.snapshots)}, ${format.short(it.snapshots_whole)} whole`,
      "messages lost": format.short(it.messages_lost),
      bytes: `${format.bytes(it.bytes_in)} in, ${format.bytes(it.bytes_out)} out`,
      newcomers: it.stopping ? "none: the server stops" : it.locked ? "none: it is locked" : "let in",
      record: it.recorded ? "is written" : "none",
    };
    if (!this.facts.firstChild) {
      this.facts.append(...Object.keys(facts).map((name) => el("div", {}, el("dt", {}, name), el("dd", { class: "num" }))));
    }
    Object.values(facts).forEach((value, n) => text(this.facts.children[n].lastChild, value));
    this.seats.update(it.seats);
  }

  async kick({ seat, name }) {
    const sure = await ask("Kick this seat?", `${name || `Seat ${seat}`} is told that the operator has ended it, and the seat is free. Nothing keeps them from asking for another.`, "Kick it");
    if (!sure) return;
    await this.order("api/games/kick", { ...this.asked, seat }, `Seat ${seat} is free.`, "Nobody had it any more.");
    this.fetch();
  }

  async end() {
    const sure = await ask("End this room?", `Everybody in ${this.asked.room} is told that the operator has ended it, and leaves. The match is over.`, "End it");
    if (!sure) return;
    await this.order("api/games/end", this.asked, "It has ended.", "It was over already.");
    byId("room-end").disabled = true;
    this.seats.update([]);
    setTimeout(this.changed, 300);
  }

  async order(path, body, done, gone) {
    const place = byId("room-answer");
    try {
      const answer = await post(path, body);
      text(place, answer.ok ? done : answer.status === 404 ? gone : await trouble(answer));
    } catch {
      text(place, "The server does not answer.");
    }
  }
}
