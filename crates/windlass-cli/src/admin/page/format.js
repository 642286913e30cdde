// Figures as people read them. A narrow space stands before each unit; no figure has more than four digits
// in front of it, so that columns keep their width.

const SPACE = "\u202f";
const NONE = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Three digits that mean something: 1.23, 12.3, 123. */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 99.95 || size === 0) return value.toFixed(0);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

/** A whole number, with its thousands apart. */
export function count(value) {
  if (!known(value)) return NONE;
  return Math.round(value).toLocaleString("en").replaceAll(",", SPACE);
}

/** A count that may be large: 987, 12.3 k, 4.56 M. */
export function short(value) {
  if (!known(value)) return NONE;
  let unit = "";
  for (unit of ["", "k", "M", "G", "T"]) {
    if (Math.abs(value) < 999.5) break;
    if (unit !== "T") value /= 1000;
  }
  if (unit === "") return Number.isInteger(value) || value >= 99.95 ? value.toFixed(0) : digits(value);
  return digits(value) + SPACE + unit;
}

/** Bytes: 512 B, 1.50 KiB. */
export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let n = 0;
  for (; Math.abs(value) >= 999.5 && n < units.length - 1; n++) value /= 1024;
  return (n === 0 ? value.toFixed(0) : digits(value)) + SPACE + units[n];
}

/** A short time in seconds: 850 ns, 12.3 µs, 4.56 ms, 1.20 s. */
export function time(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds === 0) return "0" + SPACE + "µs";
  if (seconds < 0.9995e-6) return digits(seconds * 1e9) + SPACE + "ns";
  if (seconds < 0.9995e-3) return digits(seconds * 1e6) + SPACE + "µs";
  if (seconds < 0.9995) return digits(seconds * 1e3) + SPACE + "ms";
  if (seconds < 120) return digits(seconds) + SPACE + "s";
  return span(seconds);
}

/** A long time in seconds, in its two largest units: 42 s, 3 min 05 s, 2 d 4 h. */
export function span(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [whole / 86400, (whole / 3600) % 24, (whole / 60) % 60, whole % 60].map(Math.floor);
  const two = (n) => String(n).padStart(2, "0");
  if (d > 0) return `${d}${SPACE}d ${h}${SPACE}h`;
  if (h > 0) return `${h}${SPACE}h ${two(m)}${SPACE}min`;
  if (m > 0) return `${m}${SPACE}min ${two(s)}${SPACE}s`;
  return `${s}${SPACE}s`;
}

/** A share of one as per cent. */
export function share(value) {
  if (!known(value)) return NONE;
  const percent = value * 100;
  return (percent >= 99.95 ? percent.toFixed(0) : percent.toFixed(1)) + SPACE + "%";
}

/** The time of day of a moment in milliseconds since 1970. */
export function clock(moment) {
  return new Date(moment).toLocaleTimeString("en-GB");
}

/** The value of a limit, in its unit. */
export function limit(value, unit) {
  if (typeof value !== "number") return value === null || value === undefined ? NONE : String(value);
  if (unit === "bytes") return bytes(value);
  if (unit === "seconds") return time(value);
  return count(value);
}
