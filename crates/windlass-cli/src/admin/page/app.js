// The dashboard. It has no state but what the server tells once a second (live.js); each part of the page takes
// a sample and shows it. Read live.js first, then whichever part you are after.

import { Connections } from "./connections.js";
import { attribute, byId, text } from "./dom.js";
import * as format from "./format.js";
import { Games } from "./games.js";
import { Hub } from "./hub.js";
import { Live } from "./live.js";
import { Orders } from "./orders.js";
import { Overview } from "./overview.js";
import { Proxies } from "./proxies.js";
import { Tables } from "./tables.js";
import { Topics } from "./topics.js";
import { Turn } from "./turn.js";
import { Workers } from "./workers.js";

let paused = null;
let status = { is: "connecting" };
const isPaused = () => paused !== null;

const overview = new Overview();
const workers = new Workers();
const proxies = new Proxies();
const hub = new Hub({ isPaused });
const topics = new Topics({ isPaused, hub });
const games = new Games({ isPaused });
const orders = new Orders();
const turn = new Turn();
new Connections({ isPaused });

const live = new Live({ sample: () => show(), status: (status) => say(status) });
const tables = new Tables(live);

/** Shows the last sample, if anybody looks. While it is paused or hidden, samples are only kept. */
function show() {
  const sample = live.last;
  if (!sample || isPaused() || document.hidden) return;
  overview.update(sample, live.samples);
  workers.update(sample, live.samples);
  tables.update(sample);
  proxies.update(sample);
  hub.update(sample);
  games.update(sample);
  turn.update(sample);
  orders.update(sample);
  if (sample.restarted) {
    text(byId("notice"), `The server was restarted or replaced at ${format.clock(sample.at)}; what is counted began anew.`);
    byId("notice").hidden = false;
  }
}

/** The one line about the connection. It is read out when it changes, so it does not count seconds. */
function say(now) {
  status = now ?? status;
  const words = { connecting: "connecting", live: "live", lost: `disconnected since ${format.clock(status.since)}` };
  const is = status.is === "live" && isPaused() ? "paused" : status.is;
  text(byId("live-text"), is === "paused" ? `paused at ${format.clock(paused)}` : words[is]);
  attribute(byId("live"), "data-is", is);
  attribute(document.body, "data-live", is);
}

byId("pause").addEventListener("click", () => {
  paused = isPaused() ? null : Date.now();
  byId("pause").setAttribute("aria-pressed", String(isPaused()));
  text(byId("pause"), isPaused() ? "Go on" : "Pause");
  say();
  show();
  topics.paused();
});
document.addEventListener("visibilitychange", show);

// The theme: the button names what it switches to.
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
function themed() {
  text(byId("theme"), isDark() ? "Light" : "Dark");
  workers.repaint();
}
byId("theme").addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  // What the system says anyway is no choice: follow it again.
  const follow = (chosen === "dark") === dark.matches;
  if (follow) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    if (follow) localStorage.removeItem("windlass-theme");
    else localStorage.setItem("windlass-theme", chosen);
  } catch {
    // Then it lasts as long as the page.
  }
  themed();
});
dark.addEventListener("change", themed);
themed();

// The section in view is marked in the navigation.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const inView = new Set();
const spy = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inView.add(target.id);
    else inView.delete(target.id);
  }
  const first = [...links.keys()].find((id) => inView.has(id));
  for (const [id, link] of links) attribute(link, "aria-current", id === first ? "true" : null);
  // On a narrow screen the navigation scrolls; only it shall, not the page.
  const link = links.get(first);
  if (link) link.parentElement.scrollTo({ left: link.offsetLeft - 40 });
}, { rootMargin: "-110px 0px -55% 0px" });
for (const id of links.keys()) spy.observe(byId(id));

live.connect();
