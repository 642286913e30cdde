// A list that the server sorts, filters and pages, in a section of the page: it is asked for again while it is looked at.

import { get } from "./api.js";
import { attribute, byId, el, Table, text } from "./dom.js";
import * as format from "./format.js";

const PER_PAGE = 25;
const AGAIN_MS = 2000;
/** So long after the last key the filter is what it is to be. */
const TYPED_MS = 250;

/** A column of numbers. */
export const figure = (name, of, title) => ({ name, of, title, kind: "figure num" });

/** The column of what can be done with a row: a button, and for those who do not see which row it is in, which one that is. */
export function order(label, which, act) {
  const of = (row, cell) => {
    cell.row = row;
    if (cell.firstChild) return;
    cell.append(el("button", { type: "button", class: "small", onclick: () => act(cell.row) },
      label, el("span", { class: "hidden" }, ` ${which(row)}`)));
  };
  return { name: "order", kind: "action", of, head: el("span", { class: "hidden" }, "order") };
}

/** Names of which one is looked at: the choice is hidden while there is only one. */
export function choose(choice, around, names) {
  if (names.join("\n") === choice.names) return;
  choice.names = names.join("\n");
  const chosen = choice.value;
  choice.replaceChildren(...names.map((name) => el("option", {}, name)));
  if (names.includes(chosen)) choice.value = chosen;
  around.hidden = names.length < 2;
}

/** Figures of which each has a name, a value, and a line below it. Gives back what sets them, by their names. */
export function tiles(place, names) {
  const tile = (name) => {
    const [value, below] = [el("span", { class: "value num" }, "–"), el("span", { class: "below" })];
    place.append(el("div", { class: "total" }, el("span", { class: "name" }, name), value, below));
    return (of, about) => {
      text(value, of);
      text(below, about);
    };
  };
  return Object.fromEntries(names.map((name) => [name, tile(name)]));
}

export class List {
  /**
   * `section` is the id of the section, `prefix` that of everything in it: `-form` with `-sort` and `-filter`, `-table`,
   * `-count`, and a pager of `-back`, `-page` and `-on`.
   *
   * `path` is asked with what `query()` has beside sort, filter and page, unless that is nothing. `rows(answer)` are its
   * rows, made of what it says. `sorts` has the server's word of each column that can be sorted by, `also` are more inputs
   * of the form. `words` are `{ one, all(), none }`: what a row is called, what all are, and what is said
   * where there is none. While `busy()`, something lies over the list, which asks for itself.
   */
  constructor({ section, prefix, path, query, rows, caption, key, columns, sorts, also = [], words, isPaused, busy }) {
    Object.assign(this, { path, query, rows, sorts, words });
    this.section = byId(section);
    [this.sort, this.filter, this.count, this.place, this.back, this.on] =
      ["sort", "filter", "count", "page", "back", "on"].map((name) => byId(`${prefix}-${name}`));
    this.page = 1;
    this.table = new Table(byId(`${prefix}-table`), {
      caption, hideCaption: true, key, empty: "Waiting for the first answer.", columns: columns.map((column) => this.head(column)),
    });
    for (const input of [this.sort, ...also]) input.addEventListener("change", () => this.from(1));
    this.filter.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.from(1), TYPED_MS);
    });
    byId(`${prefix}-form`).addEventListener("submit", (event) => {
      event.preventDefault();
      this.from(1);
    });
    this.back.addEventListener("click", () => this.from(this.page - 1));
    this.on.addEventListener("click", () => this.from(this.page + 1));
    // Asking costs the server something, so nobody asks for what nobody sees.
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen) this.fetch();
    }).observe(this.section);
    setInterval(() => {
      if (document.hidden || isPaused() || busy?.()) return;
      if (this.seen) this.fetch();
    }, AGAIN_MS);
  }

  head(column) {
    const sort = this.sorts[column.name];
    if (!sort) return column;
    const title = `Sort by ${sort.replace("_", " ")}`;
    const by = () => {
      this.sort.value = sort;
      this.from(1);
    };
    return { ...column, head: el("button", { type: "button", class: "sort", title, onclick: by }, column.name) };
  }

  from(page) {
    this.page = Math.max(1, page);
    this.fetch();
  }

  async fetch() {
    const more = this.query();
    if (this.section.hidden || !more) return;
    const query = new URLSearchParams({ ...more, sort: this.sort.value, filter: this.filter.value.trim(), page: this.page, per_page: PER_PAGE });
    // Answers may overtake each other: only the last question counts.
    const asked = this.asked = Symbol();
    try {
      const answer = await get(`${this.path}?${query}`, { signal: AbortSignal.timeout(5000) });
      if (asked !== this.asked || !answer.ok) return;
      this.show(await answer.json());
    } catch {
      // The head of the page says that the server does not answer.
    }
  }

  show(answer) {
    const { total, matched } = answer;
    const pages = Math.max(1, Math.ceil(matched / PER_PAGE));
    // The last page may have gone with its rows.
    if (this.page > pages) {
      this.from(pages);
      return;
    }
    this.table.update(this.rows(answer));
    const filtered = this.filter.value.trim() !== "";
    text(this.table.empty, filtered && total > 0 ? `No ${this.words.one} fits the filter.` : this.words.none);
    text(this.count, filtered ? `${format.count(matched)} of ${format.count(total)}` : `${format.count(total)} ${this.words.all()}`);
    text(this.place, `page ${this.page} of ${pages}`);
    this.back.disabled = this.page <= 1;
    this.on.disabled = this.page >= pages;
    this.section.querySelector(".pager").hidden = pages === 1;
    this.table.columns.forEach((column, n) => {
      const sort = this.sorts[column.name];
      if (sort) attribute(this.table.heads[n], "aria-sort", sort !== this.sort.value ? null : sort === "name" ? "ascending" : "descending");
    });
  }
}
