// One recorded turn as a list of moments, each with a sentence that says what happens to somebody who has never
// seen an event loop. What is shown (stage.js) and what is read (the list) come from the same moments.

import * as format from "./format.js";
import { STEPS } from "./words.js";

/** Entries of one step that are told one by one; the rest is told together. */
const TOLD_MAX = 40;

const micros = (n) => format.time((n ?? 0) / 1e6);

/**
 * A moment: `{ step, passed, entry, at, took, text }`. `passed` are steps without anything to do, told together;
 * `at` is in microseconds, as the server counts them.
 */
export function beats(turn) {
  const list = [];
  const steps = turn.steps ?? [];
  const last = steps.at(-1);
  let idle = [];
  const tellIdle = () => {
    if (idle.length === 0) return;
    const names = idle.map((step) => nameOf(step.step));
    list.push({
      step: idle.at(-1).step, passed: idle.map((step) => step.step), entry: null, at: idle[0].at_micros,
      took: idle.reduce((sum, step) => sum + (step.took_micros ?? 0), 0),
      text: `${upper(joined(names))}: nothing to do there in this turn. It has only looked.`,
    });
    idle = [];
  };
  for (const step of steps) {
    const entries = step.entries ?? [];
    if (entries.length === 0 && step.step !== "poll") {
      idle.push(step);
      continue;
    }
    tellIdle();
    list.push({ step: step.step, passed: [], entry: null, at: step.at_micros, took: step.took_micros, text: opening(step) });
    for (const entry of entries.slice(0, TOLD_MAX)) {
      list.push({ step: step.step, passed: [], entry, at: entry.at_micros, took: entry.took_micros, text: told(entry) });
    }
    if (entries.length > TOLD_MAX) {
      list.push({ step: step.step, passed: [], entry: null, at: entries[TOLD_MAX].at_micros, took: null,
        text: `And ${format.count(entries.length - TOLD_MAX)} more of the same kind in this step.` });
    }
  }
  tellIdle();
  list.push({ step: null, passed: [], entry: null, at: last ? last.at_micros + last.took_micros : turn.took_micros, took: null,
    text: `The turn is over after ${micros(turn.took_micros)}. The worker begins the next one: it asks the system again.` });
  return list;
}

/** When the sleep was over and the work began. */
export function awake(turn) {
  const [first] = turn.steps ?? [];
  return first?.step === "poll" ? first.at_micros + first.took_micros : 0;
}

export const nameOf = (step) => STEPS[step]?.[0] ?? step;

function opening(step) {
  const [name, meaning] = STEPS[step.step] ?? [step.step, ""];
  if (step.step !== "poll") return `${upper(name)}. ${meaning}`;
  const ready = step.entries ?? [];
  const conns = [...new Set(ready.filter((entry) => entry.conn).map((entry) => entry.conn))];
  const slept = step.took_micros >= 20 ? `The worker slept ${micros(step.took_micros)}` : "The worker asked the system who is ready, without sleeping";
  if (ready.length === 0) return `${slept}, and woke without news of any connection: a deadline, a tick or a message.`;
  if (conns.length === 1) return `${slept} until the system said: ${conns[0]} has something for you.`;
  return `${slept} until the system said: ${conns.length || ready.length} of them have something for you.`;
}

/** One entry in a sentence. */
function told({ what, conn, detail, bytes, took_micros: took }) {
  const who = conn ?? "it";
  const size = format.bytes(bytes ?? 0);
  const more = detail ? ` (${detail})` : "";
  switch (what) {
    case "readable": return `${upper(who)} has something to read. The worker makes a note of that and touches nothing yet.`;
    case "writable": return `${upper(who)} has room for output again. The worker makes a note of that.`;
    case "read": return `It reads ${size} from ${who}${more}.`;
    case "callback": return `It calls the service${conn ? ` for ${conn}` : ""}: ${detail || "a callback"}. That takes ${micros(took)}, and nothing else on this worker runs meanwhile.`;
    case "flush": return `It hands ${size} to the system for ${who}, all that was written, in one go${more}.`;
    case "accept": return `A newcomer is let in: ${who}${more}.`;
    case "close": return `${upper(who)} is closed${detail ? `: ${detail}` : ""}.`;
    case "timer": return `A deadline of ${conn ?? "a service"} has passed${more}.`;
    case "tick": return `It is time for the beat of a service${more}.`;
    case "message": return `A message from another thread is delivered${conn ? ` to ${conn}` : ""}${more}.`;
    default: return `${upper(what)}${conn ? ` of ${conn}` : ""}${more}.`;
  }
}

const upper = (s) => s.charAt(0).toUpperCase() + s.slice(1);
const joined = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
