// What an operator may order: reload, log level, drain.

import { post, trouble } from "./api.js";
import { ask, byId, el, prose, text } from "./dom.js";
import * as format from "./format.js";

/** Orders that are under way, by their button. It is not disabled meanwhile, or it would lose the focus. */
const underWay = new Set();

/** Runs an order, one of a kind at a time. */
async function order(button, answerPlace, run) {
  if (underWay.has(button)) return;
  underWay.add(button);
  try {
    await run();
  } catch {
    text(answerPlace, "The server does not answer.");
  } finally {
    underWay.delete(button);
  }
}

export class Orders {
  constructor() {
    const reload = byId("reload");
    reload.addEventListener("click", () => order(reload, byId("reload-answer"), () => this.reload()));
    const drain = byId("drain");
    drain.addEventListener("click", () => order(drain, byId("drain-answer"), () => this.drain()));
    const form = byId("log-form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      order(form.querySelector("button"), byId("log-answer"), () => this.logLevel());
    });
  }

  update({ state }) {
    const { succeeded = 0, failed = 0, last_error: error } = state.reloads ?? {};
    text(byId("reloads"), succeeded + failed === 0 ? "not reloaded since the start"
      : `${format.count(succeeded)} succeeded, ${format.count(failed)} failed${error ? `; the last: ${error}` : ""}`);
    byId("drain").disabled = state.phase === "draining";
  }

  async reload() {
    const place = byId("reload-answer");
    text(place, "Reading the file…");
    const answer = await post("api/reload");
    if (answer.status === 422) {
      place.replaceChildren(...problems((await answer.json()).problems));
    } else if (!answer.ok) {
      text(place, await trouble(answer));
    } else {
      place.replaceChildren(...changes(await answer.json()));
    }
  }

  async drain() {
    const sure = await ask("Drain and stop this server?",
      "It accepts nobody any more and ends when its connections have. It does not start again by itself.", "Drain it");
    if (!sure) return;
    const answer = await post("api/drain");
    text(byId("drain-answer"), answer.ok ? "It is draining." : await trouble(answer));
  }

  async logLevel() {
    const level = byId("log-level").value;
    const answer = await post("api/log", { level });
    text(byId("log-answer"), answer.ok ? `It logs at ${level} now.` : await trouble(answer));
  }
}

function changes({ changed = [], restart_needed: later = [] }) {
  const list = (title, items, kind) => [el("p", { class: kind }, title), el("ul", { class: "changes" }, ...items.map((item) => el("li", {}, item)))];
  const all = [];
  if (changed.length) all.push(...list("Changed, and in effect:", changed, "good"));
  if (later.length) all.push(...list("Changed, but needs a restart:", later, "warn"));
  return all.length ? all : [el("p", { class: "good" }, "The file says what is in effect already: nothing changed.")];
}

/** As a compiler shows them: where, the line, a caret below what is wrong. */
function problems(list) {
  const many = list.length === 1 ? "One thing is" : `${list.length} things are`;
  return [el("p", { class: "wrong" }, `${many} wrong with the file; nothing has changed.`),
    el("ol", { class: "problems" }, ...list.map(problem))];
}

function problem({ message, file, line, column, help, source, width, label }) {
  const what = el("p", { class: "what" });
  prose(what, message);
  const item = el("li", {}, what);
  if (file) item.append(el("p", { class: "where code" }, `${file}:${line}:${column}`));
  if (typeof source === "string") {
    const number = String(line);
    // Tabs keep their width below themselves.
    const before = [...source].slice(0, column - 1).map((c) => (c === "\t" ? "\t" : " ")).join("");
    const caret = "^".repeat(Math.max(1, width ?? 1));
    item.append(el("pre", { tabindex: "0" }, `${number} | ${source}\n${" ".repeat(number.length)} | ${before}`,
      el("b", {}, `${caret}${label ? ` ${label}` : ""}`)));
  }
  if (help) {
    const say = el("p", { class: "help" });
    prose(say, help);
    item.append(say);
  }
  return item;
}
