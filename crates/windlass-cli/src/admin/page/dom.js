// Elements. Whatever comes from the server gets into the page through `textContent` only, since addresses and
// messages are written by strangers.

/** An element with properties and children; strings become text. */
export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets the text if it differs: what stays the same costs no layout. */
export function text(element, value) {
  const wanted = String(value ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Prose of our own, in which names stand between backticks. */
export function prose(element, said) {
  if (element.said === said) return;
  element.said = said;
  element.replaceChildren(...said.split("`").map((part, n) => (n % 2 ? el("code", {}, part) : part)));
}

export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/**
 * A table that keeps its rows from one update to the next, so that focus, selection and the reader's place
 * stay. A column is `{ name, of(row), kind, title, sort }`; `of` gives text, or fills the cell itself when it takes
 * `(row, cell)`. On narrow screens each row is shown as a card (see style.css), which takes a table's meaning
 * from it in some browsers: hence the roles.
 */
export class Table {
  constructor(place, { caption, columns, key, empty, hideCaption }) {
    this.columns = columns;
    this.key = key;
    this.rows = new Map();
    this.heads = columns.map((column) => el("th", {
      scope: "col", role: "columnheader", class: column.kind, title: column.title,
    }, column.head ?? column.name));
    this.body = el("tbody", { role: "rowgroup" });
    this.table = el("table", { role: "table" },
      el("caption", { class: hideCaption ? "hidden" : null }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...this.heads)),
      this.body);
    this.empty = el("p", { class: "empty" }, empty);
    place.append(el("div", { class: "wide-table" }, this.table), this.empty);
    this.update([]);
  }

  update(rows) {
    const seen = new Set();
    let before = this.body.firstElementChild;
    for (const row of rows) {
      const key = this.key(row);
      if (seen.has(key)) continue;
      seen.add(key);
      let kept = this.rows.get(key);
      if (!kept) {
        kept = this.make();
        this.rows.set(key, kept);
      }
      this.columns.forEach((column, n) => {
        const cell = kept.cells[n];
        if (column.of.length > 1) column.of(row, cell);
        else text(cell, column.of(row));
      });
      if (kept.tr === before) before = before.nextElementSibling;
      else this.body.insertBefore(kept.tr, before);
    }
    for (const [key, kept] of this.rows) {
      if (seen.has(key)) continue;
      kept.tr.remove();
      this.rows.delete(key);
    }
    this.table.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
  }

  make() {
    const cells = this.columns.map((column, n) => el(n === 0 ? "th" : "td", {
      scope: n === 0 ? "row" : null,
      role: n === 0 ? "rowheader" : "cell",
      class: column.kind,
      // The card's label, in place of the column's head.
      "data-name": n === 0 ? null : column.name,
    }));
    return { tr: el("tr", { role: "row" }, ...cells), cells };
  }
}

/** A bar for a share between nothing and one. What it says stands beside it as text. */
export class Bar {
  constructor() {
    this.fill = el("i");
    this.element = el("span", { class: "meter", "aria-hidden": "true" }, this.fill);
  }

  set(share) {
    const known = Number.isFinite(share);
    const width = known ? Math.min(1, Math.max(0, share)) : 0;
    this.fill.style.transform = `scaleX(${width.toFixed(4)})`;
    attribute(this.element, "data-level", width >= 0.9 ? "high" : width >= 0.7 ? "raised" : null);
  }
}

/** Asks before something that cannot be undone. Escape and Cancel say no. */
export function ask(title, explanation, yes) {
  const dialog = byId("ask");
  text(byId("ask-h"), title);
  text(byId("ask-text"), explanation);
  text(byId("ask-yes"), yes);
  dialog.showModal();
  return new Promise((answer) => {
    // Not the event `close`: it comes later, and may then be taken for the end of the next question.
    const settle = (is) => {
      dialog.removeEventListener("submit", submit);
      dialog.removeEventListener("cancel", cancel);
      answer(is);
    };
    const submit = (event) => settle(event.submitter?.value === "yes");
    const cancel = () => settle(false);
    dialog.addEventListener("submit", submit);
    dialog.addEventListener("cancel", cancel);
  });
}
