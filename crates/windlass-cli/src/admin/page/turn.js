// "One turn, slowly": records one turn of a worker and plays it, moment by moment.

import { get, trouble } from "./api.js";
import { attribute, byId, el, text } from "./dom.js";
import { beats, isSleep } from "./beats.js";
import * as format from "./format.js";
import { Stage, TimeStrip } from "./stage.js";

/** How long a moment lasts on the screen, from the slowest pace to the fastest. */
const PACES_MS = [5000, 3400, 2200, 1300, 700];

export class Turn {
  constructor() {
    this.list = [];
    this.at = 0;
    this.stage = new Stage(byId("turn-stage"));
    this.strip = new TimeStrip(byId("turn-time"));
    byId("turn-fetch").addEventListener("click", () => this.record());
    byId("turn-play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    byId("turn-step").addEventListener("click", () => this.step(1));
    byId("turn-back").addEventListener("click", () => this.step(-1));
    byId("turn-view").addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.target.matches("input, select")) return;
      event.preventDefault();
      this.step(by);
    });
    document.addEventListener("visibilitychange", () => document.hidden && this.pause());
    this.controls();
  }

  /** Keeps the choice of workers as many as there are. */
  update({ state }) {
    const choice = byId("turn-worker");
    if (choice.length === state.workers.length) return;
    const chosen = choice.value;
    choice.replaceChildren(...state.workers.map((_, n) => el("option", { value: n }, String(n))));
    choice.value = Number(chosen) < state.workers.length ? chosen : "0";
  }

  async record() {
    const button = byId("turn-fetch");
    const status = byId("turn-status");
    this.pause();
    button.disabled = true;
    text(status, "Waiting for a turn with something to do…");
    try {
      const answer = await get(`api/turn?worker=${encodeURIComponent(byId("turn-worker").value)}`);
      if (answer.status === 204) text(status, "This worker had nothing to do: it sleeps. Send it something, or try again.");
      else if (!answer.ok) text(status, await trouble(answer));
      else this.load(await answer.json());
    } catch {
      text(status, "The server does not answer.");
    } finally {
      button.disabled = false;
    }
  }

  load(turn) {
    text(byId("turn-status"), `Turn ${format.count(turn.turn)} of worker ${turn.worker} took ${format.time(turn.took_micros / 1e6)}.`);
    this.list = beats(turn);
    this.slept = isSleep(turn);
    this.items = this.list.map((beat, n) => el("li", {},
      el("button", { type: "button", onclick: () => this.jump(n) },
        el("span", { class: "at num" }, this.when(beat)), el("span", {}, beat.text))));
    byId("turn-list").replaceChildren(...this.items);
    this.stage.load(this.list, turn);
    this.strip.load(turn);
    byId("turn-view").classList.remove("blank");
    this.at = 0;
    this.show(this.pace());
    // Nothing moves by itself for those who asked their system for that.
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.controls();
    else this.play();
  }

  /** Since the worker woke: that is when anybody began to wait for it. */
  when(beat) {
    return beat.step === "poll" && !beat.entry && this.slept ? "asleep" : `+${format.time(Math.max(0, beat.at) / 1e6)}`;
  }

  pace() {
    return PACES_MS[byId("turn-pace").value - 1] ?? PACES_MS[2];
  }

  play() {
    if (this.list.length === 0) return;
    if (this.at >= this.list.length - 1) this.at = 0;
    this.playing = true;
    this.show(this.pace());
    this.wait();
    this.controls();
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.at >= this.list.length - 1) {
        this.pause();
        return;
      }
      this.at += 1;
      this.show(this.pace());
      this.controls();
      this.wait();
    }, this.pace());
  }

  pause() {
    this.playing = false;
    clearTimeout(this.timer);
    this.controls();
  }

  step(by) {
    this.jump(this.at + by, by > 0);
  }

  jump(at, animated) {
    this.pause();
    if (this.list.length === 0) return;
    this.at = Math.min(this.list.length - 1, Math.max(0, at));
    this.show(animated ? Math.min(1200, this.pace()) : 0);
    this.controls();
  }

  show(ms) {
    const beat = this.list[this.at];
    // Read out for those who step, not while it plays.
    attribute(byId("turn-sentence"), "aria-live", this.playing ? "off" : "polite");
    text(byId("turn-sentence"), beat.text);
    text(byId("turn-clock"), `${this.at + 1} of ${this.list.length}, ${this.when(beat)}`);
    this.stage.show(this.at, ms);
    this.strip.show(beat);
    this.items.forEach((item, n) => attribute(item, "aria-current", n === this.at ? "step" : null));
    // Only the list scrolls, never the page.
    const [list, item] = [byId("turn-list"), this.items[this.at]];
    const [top, bottom] = [item.offsetTop, item.offsetTop + item.offsetHeight];
    if (top < list.scrollTop || bottom > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
  }

  controls() {
    const none = this.list.length === 0;
    text(byId("turn-play"), this.playing ? "Pause" : this.at > 0 && this.at >= this.list.length - 1 ? "Again" : "Play");
    byId("turn-play").disabled = none;
    byId("turn-step").disabled = none || this.at >= this.list.length - 1;
    byId("turn-back").disabled = none || this.at === 0;
  }
}
