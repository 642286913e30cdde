// One recorded turn as a list of moments, each with a sentence that says what happens to somebody who has never
// seen an event loop. What is shown (stage.js) and what is read (the list) come from the same moments.

import * as format from "./format.js";
import { CALLBACKS, STEPS } from "./words.js";

/** Entries of one step that are told one by one; the rest is told together. */
const TOLD_MAX = 60;

const micros = (n) => format.time((n ?? 0) / 1e6);

/**
 * A moment: `{ step, passed, entry, at, took, text }`. `passed` are steps without anything to do, told together;
 * `at` counts microseconds from when the worker woke.
 */
export function beats(turn) {
  const list = [];
  let idle = [];
  const tellIdle = () => {
    if (idle.length === 0) return;
    list.push({
      step: idle.at(-1).step, passed: idle.map((step) => step.step), entry: null, at: idle[0].at_micros,
      took: idle.reduce((sum, step) => sum + (step.took_micros ?? 0), 0),
      text: `${upper(joined(idle.map((step) => nameOf(step.step))))}: nothing to do there in this turn.`,
    });
    idle = [];
  };
  for (const step of turn.steps ?? []) {
    const entries = step.entries ?? [];
    if (entries.length === 0 && step.step !== "poll") {
      idle.push(step);
      continue;
    }
    tellIdle();
    const text = step.step === "poll" ? awoke(turn, entries) : opening(step);
    list.push({ step: step.step, passed: [], entry: null, at: step.at_micros, took: step.step === "poll" ? turn.waited_micros : step.took_micros, text });
    for (const entry of entries.slice(0, TOLD_MAX)) {
      list.push({ step: step.step, passed: [], entry, at: entry.at_micros, took: entry.took_micros, text: told(entry) });
    }
    if (entries.length > TOLD_MAX) {
      list.push({ step: step.step, passed: [], entry: null, at: entries[TOLD_MAX].at_micros, took: null,
        text: `And so on: ${format.count(entries.length - TOLD_MAX)} more in this step.` });
    }
  }
  tellIdle();
  const more = turn.left_out > 0 ? ` (${format.count(turn.left_out)} more things happened than were written down.)` : "";
  list.push({ step: null, passed: [], entry: null, at: turn.took_micros, took: turn.took_micros,
    text: `The turn is over after ${micros(turn.took_micros)}. The worker asks the system again, and the next turn begins.${more}` });
  return list;
}

export const nameOf = (step) => STEPS[step]?.[0] ?? step;

/** What an entry's `detail` says of a callback: "data echo". */
export function callOf({ what, detail }) {
  if (!["callback", "timer", "tick", "message"].includes(what)) return null;
  const [callback, ...service] = (detail || what).split(" ");
  return { callback, service: service.join(" ") || callback };
}

/** Every turn begins with a sleep, or with not having to. */
function awoke(turn, events) {
  const conns = [...new Set(events.map((event) => event.conn).filter(Boolean))];
  const who = conns.length === 1 && events.length === 1 ? conns[0] : conns.length === 0 ? "somebody" : `${conns.length} connections`;
  const many = conns.length > 1;
  if (!isSleep(turn)) {
    const asked = "The worker did not have to sleep. It asked the system who is ready";
    return events.length === 0 ? `${asked}: nobody was.` : `${asked}: ${who} had something for it already.`;
  }
  const slept = `The worker slept ${micros(turn.waited_micros)}`;
  return events.length === 0 ? `${slept}, until it was time for something of its own.`
    : `${slept}, until the system said: ${who} ${many ? "have" : "has"} something for you.`;
}

/** Whether it slept before, as far as one can say so: asking takes a few microseconds too. */
export const isSleep = (turn) => turn.waited_micros >= 20;

function opening(step) {
  const [name, meaning] = STEPS[step.step] ?? [step.step, ""];
  return `${upper(name)}. ${meaning}`;
}

/** One entry in a sentence. */
function told(entry) {
  const { what, conn, detail, bytes, took_micros: took } = entry;
  const size = format.bytes(bytes ?? 0);
  const call = callOf(entry);
  if (call) {
    const meaning = CALLBACKS[call.callback] ? ` – “${CALLBACKS[call.callback]}”` : "";
    return `It calls ${call.callback} of the service ${call.service}${conn ? ` for ${conn}` : ""}${meaning}. `
      + `That took ${micros(took)}; nothing else on this worker ran meanwhile.`;
  }
  const more = detail ? ` (${detail})` : "";
  switch (what) {
    case "readable":
      if (detail === "listener") return "Somebody knocks at a listener. The worker makes a note of that.";
      if (!conn) return `There is something to read${more}. The worker makes a note of that.`;
      if (detail === "readable and writable") return `${conn} has something to read, and room for output. The worker makes a note of that, and touches nothing yet.`;
      return `${conn} has something to read${more}. The worker makes a note of that, and touches nothing yet.`;
    case "writable": return `${conn ?? "A socket"} has room for output again${more}. The worker makes a note of that.`;
    case "read": return bytes > 0 ? `It reads ${size} from ${conn ?? "a socket"}${more}.`
      : `It reads from ${conn ?? "a socket"}, and finds nothing more${more}.`;
    case "flush": return `It hands ${size} to the system for ${conn ?? "a socket"}${more}: all that was written, in one go.`;
    case "accept": return `It lets a newcomer in${detail ? ` at ${detail}` : ""}.`;
    case "close": return `${conn ?? "A connection"} is closed${detail ? `: ${detail}` : ""}.`;
    default: return `${upper(what)}${conn ? ` of ${conn}` : ""}${more}.`;
  }
}

const upper = (s) => s.charAt(0).toUpperCase() + s.slice(1);
const joined = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
