// The heat strip: how long the turns of one worker took over the last minutes. Each column is a second, each row a
// range of durations (half a doubling), each colour how many turns fell there.
//
// The colours go from light to dark (or dark to light) in one hue, so that the order is seen without seeing hues.

import { KEPT } from "./live.js";

/** From a microsecond to four seconds, half a doubling to a row. */
const ROWS = 44;
const LOWEST = 1e-6;
/** Turns in a second that get the last colour; the steps between are tenfold each. */
export const STEPS = ["1", "10", "100", "1 k", "10 k", "100 k"];
const LABELS = [[1e-6, "1 µs"], [1e-5, "10 µs"], [1e-4, "100 µs"], [1e-3, "1 ms"], [1e-2, "10 ms"], [0.1, "100 ms"], [1, "1 s"]];

/** Room for the labels at the left and below. */
const LEFT = 46;
const BELOW = 16;

const row = (seconds) => Math.min(ROWS - 1, Math.max(0, Math.ceil(Math.log2(seconds / LOWEST) * 2 - 1e-6) - 1));

/** The colours of the strip, from the style sheet: they differ in the dark. */
export function colours() {
  // A property's own value is `light-dark(..)`; what an element makes of it is a colour.
  const probe = document.body.appendChild(document.createElement("i"));
  const of = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    steps: STEPS.map((_, n) => of(`--heat-${n + 1}`)), ground: of("--heat-0"), ink: of("--quiet"),
    rule: of("--rule"), mark: of("--mark"), font: getComputedStyle(document.body).fontFamily,
  };
  probe.remove();
  return palette;
}

/** Draws; `samples` as `Live` keeps them, `worker` its number. */
export function draw(canvas, samples, worker, palette) {
  const box = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(box.width * scale), Math.round(box.height * scale)];
  if (width === 0 || height === 0) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  const [right, bottom] = [box.width, box.height - BELOW];
  const [cell, line] = [(right - LEFT) / KEPT, bottom / ROWS];
  const y = (seconds) => bottom - (Math.log2(seconds / LOWEST) * 2) * line;
  // Whole pixels, or seams would show between the cells.
  const whole = (at) => Math.round(at * scale) / scale;
  const x = (n) => whole(LEFT + (KEPT - samples.length + n) * cell);
  const fill = (n, from, to) => pen.fillRect(x(n), whole(to), x(n + 1) - x(n), whole(from) - whole(to));

  samples.forEach((sample, n) => {
    const turns = sample?.rates?.workers[worker]?.turns;
    // Seconds of which nothing is known stay empty; those without a turn are ground.
    if (!turns) return;
    pen.fillStyle = palette.ground;
    fill(n, bottom, 0);
    const column = new Map();
    for (const [edge, many] of turns) column.set(row(edge), (column.get(row(edge)) ?? 0) + many);
    for (const [at, many] of column) {
      const step = Math.min(STEPS.length - 1, Math.floor(Math.log10(many)));
      pen.fillStyle = palette.steps[Math.max(0, step)];
      fill(n, bottom - at * line, bottom - (at + 1) * line);
    }
  });

  pen.strokeStyle = palette.mark;
  pen.lineWidth = 1.25;
  pen.beginPath();
  let down = false;
  samples.forEach((sample, n) => {
    const p99 = sample?.rates?.workers[worker]?.p99;
    if (!Number.isFinite(p99)) {
      down = false;
      return;
    }
    const [px, py] = [x(n), Math.max(1, y(p99))];
    if (down) pen.lineTo(px, py);
    else pen.moveTo(px, py);
    pen.lineTo(x(n + 1), py);
    down = true;
  });
  pen.stroke();

  pen.font = `11px ${palette.font}`;
  pen.fillStyle = palette.ink;
  pen.strokeStyle = palette.rule;
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const [seconds, label] of LABELS) {
    const at = Math.round(y(seconds)) - 0.5;
    if (seconds > LOWEST) {
      pen.globalAlpha = 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, at);
      pen.lineTo(right, at);
      pen.stroke();
      pen.globalAlpha = 1;
    }
    pen.fillText(label, LEFT - 6, Math.min(at, bottom - 6));
  }
  pen.strokeRect(LEFT + 0.5, 0.5, right - LEFT - 1, bottom - 1);
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText(`${KEPT / 60} min ago`, LEFT, box.height - 3);
  pen.textAlign = "right";
  pen.fillText("now", right, box.height - 3);
}
