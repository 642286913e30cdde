// What travels between a seat and its room. The tables are in the documentation of `windlass_realtime::wire`, those of
// snapshots in `snapshot/delta.rs`.

/** The number whose lowest 16 bits are `low`, of those nearest to `near`. */
export function widen(near, low) {
  let ahead = (low - near) & 0xffff;
  if (ahead >= 0x8000) ahead -= 0x10000;
  return Math.max(0, near + ahead);
}

class Bits {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }

  take(count) {
    let value = 0;
    for (let n = 0; n < count; n++, this.at++) {
      const byte = this.bytes[this.at >> 3];
      if (byte === undefined) throw new Error("a snapshot ends too soon");
      value += (byte >> (this.at & 7) & 1) * 2 ** n;
    }
    return value;
  }
}

/** Fields of an entity: from a least value, in steps, in so many bits, a short difference in fewer. */
export const FIELDS = [[0, 1, 13, 6], [0, 1, 13, 6], [0, 1, 8, 5], [0, 1, 2, 2], [0, 1, 5, 2], [0, 1, 10, 6]];

/** Reads snapshots: entities as arrays of numbers, by their names. */
export class Snapshots {
  constructor(fields = FIELDS) { this.fields = fields; this.views = []; }

  read(tick, bytes) {
    const offset = bytes[0];
    let baseline = { entities: new Map() };
    if (offset > 0) {
      baseline = this.views.find((view) => view.tick === tick - offset);
      if (!baseline) return null;
    }
    const bits = new Bits(bytes.subarray(1));
    const entities = new Map();
    for (const [id, was] of baseline.entities) {
      if (!bits.take(1)) entities.set(id, was);
      else if (!bits.take(1)) {
        entities.set(id, this.fields.map(([min, step, size, small], at) => {
          if (!bits.take(1)) return was[at];
          if (bits.take(1)) return min + bits.take(size) * step;
          const whole = 2 ** size, old = (was[at] - min) / step;
          return min + (((old + bits.take(small) - 2 ** (small - 1)) % whole + whole) % whole) * step;
        }));
      }
    }
    while (bits.take(1)) {
      const id = bits.take(16);
      entities.set(id, this.fields.map(([min, step, size]) => min + bits.take(size) * step));
    }
    // In the order of names: the next one counts on it.
    const view = { tick, entities: new Map([...entities].sort(([a], [b]) => a - b)) };
    // One that comes again takes its own place: else repeated messages would push out what others stand on.
    this.views = this.views.filter((old) => old.tick !== tick);
    this.views.push(view);
    // A byte tells how far back a baseline is.
    this.views = this.views.filter((old) => tick - old.tick < 256);
    return view;
  }
}

/** What two ends that see the same have in common: FNV-1a of names and fields, each as eight bytes. In hexadecimal. */
export function hash({ entities }) {
  let hash = 0xcbf29ce484222325n;
  for (const [id, fields] of entities) {
    for (const number of [id, ...fields]) {
      let bytes = BigInt.asUintN(64, BigInt(number));
      for (let n = 0; n < 8; n++, bytes >>= 8n) hash = BigInt.asUintN(64, (hash ^ bytes & 255n) * 0x100000001b3n);
    }
  }
  return hash.toString(16).padStart(16, "0");
}

/** The head of a message, and its pieces. */
export function told(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(buffer);
  const head = { tick: view.getUint16(0, true), input: view.getUint16(2, true), age: bytes[4] };
  const pieces = [];
  for (let at = 5; at < bytes.length;) {
    const tag = bytes[at++];
    let len = 0, shift = 0, byte;
    do {
      byte = bytes[at++];
      if (byte === undefined) throw new Error("a message ends too soon");
      len += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte & 0x80);
    if (at + len > bytes.length) throw new Error("a message ends too soon");
    pieces.push({ tag, body: bytes.subarray(at, at + len) });
    at += len;
  }
  return { head, pieces };
}

/** What is in a welcome. */
export function welcome(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  return {
    seat: view.getUint16(0, true), hz: view.getUint8(2), players: view.getUint16(3, true),
    tick: Number(view.getBigUint64(5, true)), room: new TextDecoder().decode(body.subarray(13)),
  };
}

/** Inputs of consecutive ticks, the newest first, and which snapshot has come. */
export function saying(newest, inputs, confirmed) {
  const out = [];
  if (inputs.length > 0) {
    const body = [newest & 255, newest >> 8 & 255, newest >> 16 & 255, newest >>> 24];
    for (const input of inputs) body.push(input.length, ...input);
    out.push(4, body.length, ...body);
  }
  if (confirmed !== null) out.push(5, 2, confirmed & 255, confirmed >> 8 & 255);
  return new Uint8Array(out);
}

/** The seat is given up. */
export const FAREWELL = new Uint8Array([6, 0]);
