// The server's state as it comes, once a second, and what follows from two of them: rates.
//
// The stream may end at any time: the server is restarted, replaced by a successor, or cannot be reached. Then
// the page says so, and tries again until somebody answers.

import { get } from "./api.js";

/** Seconds that are kept: what the strips and sparklines show. */
export const KEPT = 180;
/** Without news for so long, the connection is taken for dead; there should be some every second. */
const SILENCE_MS = 5000;
const RETRY_MS = [300, 1000, 2000, 4000];

/**
 * `sample` is called with each new sample, `status` with what the page should say: `{ is, since }`, where `is` is
 * "connecting", "live" or "lost", and `since` the time of day in milliseconds.
 */
export class Live {
  constructor({ sample, status }) {
    this.onSample = sample;
    this.onStatus = status;
    /** The last `KEPT` seconds, oldest first; `null` for a second about which nothing is known. */
    this.samples = [];
    this.last = null;
    this.tries = 0;
    this.is = null;
  }

  tell(is) {
    if (is === this.is) return;
    this.is = is;
    this.onStatus({ is, since: this.last?.at ?? Date.now() });
  }

  /** To be called once; from then on it looks after itself. */
  async connect() {
    if (this.is === null) this.tell("connecting");
    // A stream that fails does not tell why. Asking for the state first does: it may be for want of a token.
    try {
      const answer = await get("api/state", { signal: AbortSignal.timeout(SILENCE_MS) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.take(await answer.json());
    } catch {
      this.again();
      return;
    }
    if (this.isSuperseded()) return;
    const stream = new EventSource("api/live");
    this.stream = stream;
    this.listen();
    stream.addEventListener("state", (event) => {
      this.listen();
      this.take(JSON.parse(event.data));
      this.isSuperseded();
    });
    stream.addEventListener("error", () => this.again());
  }

  /**
   * Whether whoever answered has a successor: then that is who to look at. Connections that the browser has kept
   * still lead to the old one, each for one more answer, so this may take some tries.
   */
  isSuperseded() {
    if (this.last.state.phase !== "superseded") return false;
    this.again(1000);
    return true;
  }

  /** Waits for the next event, not forever. */
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.again(), SILENCE_MS);
  }

  again(pause = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)]) {
    clearTimeout(this.silence);
    this.stream?.close();
    this.stream = null;
    clearTimeout(this.retry);
    // A stream that has just ended may be a successor's doing, who answers at once: no alarm for that.
    if (this.tries > 0 || !this.last) this.tell("lost");
    this.tries += 1;
    this.retry = setTimeout(() => this.connect(), pause);
  }

  take(state) {
    const now = { at: Date.now(), state };
    const before = this.last;
    const same = before && before.state.pid === state.pid && before.state.uptime_seconds <= state.uptime_seconds;
    // The two requests of a connect may come within one second.
    if (same && state.uptime_seconds - before.state.uptime_seconds < 0.2) {
      this.arrived();
      return;
    }
    now.restarted = Boolean(before) && !same;
    now.rates = same ? rates(before.state, state) : null;
    if (before) {
      const missed = Math.min(KEPT, Math.round((now.at - before.at) / 1000) - 1);
      for (let n = 0; n < missed; n++) this.keep(null);
    }
    this.last = now;
    this.keep(now);
    this.arrived();
    this.onSample(now);
  }

  arrived() {
    this.tries = 0;
    this.tell("live");
  }

  keep(sample) {
    this.samples.push(sample);
    // What is shown of old samples is a few figures; their whole states would be megabytes.
    const old = this.samples[this.samples.length - 2];
    if (old) old.state = { pid: old.state.pid, closes: old.state.closes, uptime_seconds: old.state.uptime_seconds };
    if (this.samples.length > KEPT) this.samples.shift();
  }

  /** The sample of about so many seconds ago, if the server was the same then. */
  ago(seconds) {
    const wanted = this.last.state.uptime_seconds - seconds;
    return this.samples.find((sample) => sample && sample.state.pid === this.last.state.pid
      && sample.state.uptime_seconds >= wanted) ?? this.last;
  }
}

/** What changed between two states of one server, per second. */
function rates(before, now) {
  const seconds = now.uptime_seconds - before.uptime_seconds;
  const rate = (of) => {
    const [a, b] = [of(before), of(now)];
    return Number.isFinite(a) && Number.isFinite(b) ? Math.max(0, b - a) / seconds : NaN;
  };
  const sum = (of) => (state) => state.workers.reduce((total, worker) => total + of(worker), 0);
  const workers = now.workers.map((worker, n) => {
    const one = (of) => rate((state) => (state.workers[n] ? of(state.workers[n]) : NaN));
    const turns = newTurns(before.workers[n]?.turn_buckets ?? [], worker.turn_buckets ?? []);
    return {
      busy: Math.min(1, one((w) => w.busy_seconds)),
      received: one((w) => w.received_bytes),
      sent: one((w) => w.sent_bytes),
      messages: one((w) => w.messages),
      turns,
      ...quantiles(turns),
      lag: worker.lag_seconds,
    };
  });
  const each = (list, key) => new Map((now[list] ?? []).map((item) => {
    const of = (field) => rate((state) => state[list]?.find((other) => key(other) === key(item))?.[field]);
    return [key(item), {
      messages: of("messages"), received: of("received_bytes"), sent: of("sent_bytes"), opened: of("opened"),
    }];
  }));
  const turns = merged(workers.map((worker) => worker.turns));
  return {
    seconds,
    messages: rate((state) => state.messages),
    received: rate(sum((worker) => worker.received_bytes)),
    sent: rate(sum((worker) => worker.sent_bytes)),
    opened: rate((state) => state.counters?.opened),
    stalls: rate((state) => state.counters?.stalls),
    busy: workers.length ? workers.reduce((total, worker) => total + worker.busy, 0) / workers.length : 0,
    connections: now.connections,
    ...quantiles(turns),
    workers,
    services: each("services", (service) => service.name),
    listeners: each("listeners", listenerKey),
  };
}

export const listenerKey = (listener) => `${listener.service} ${listener.address}`;

/** Of two cumulative histograms, what was added: pairs of a bucket's upper edge and its count. */
function newTurns(before, now) {
  const old = new Map(before);
  return now.map(([edge, n]) => [edge, n - (old.get(edge) ?? 0)]).filter(([, n]) => n > 0);
}

function merged(histograms) {
  const all = new Map();
  for (const [edge, n] of histograms.flat()) all.set(edge, (all.get(edge) ?? 0) + n);
  return [...all].sort(([a], [b]) => a - b);
}

/** The times that so much of the turns stayed below; none without turns. */
function quantiles(turns) {
  const total = turns.reduce((sum, [, n]) => sum + n, 0);
  const at = (share) => {
    let seen = 0;
    for (const [edge, n] of turns) {
      seen += n;
      if (seen >= Math.max(1, Math.ceil(total * share))) return edge;
    }
    return NaN;
  };
  return { turnCount: total, p50: at(0.5), p99: at(0.99), p999: at(0.999), longest: at(1) };
}
