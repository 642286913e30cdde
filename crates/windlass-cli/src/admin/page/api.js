// Requests to the server. Where it has a token and the browser has shown none, it answers 401, and then the
// login form comes up; once the cookie is there, whoever waited is asked again.

import { byId, el, text } from "./dom.js";

let waiting = null;

/** Resolves when somebody has logged in. However many ask, there is one form. */
export function login() {
  waiting ??= new Promise((done) => {
    const [dialog, form, token, wrong, notice] =
      ["login", "login-form", "login-token", "login-wrong", "notice"].map(byId);
    const show = () => {
      notice.hidden = true;
      if (!dialog.open) dialog.showModal();
      token.focus();
    };
    // Escape puts the form away; the page says how to get it back.
    const away = () => {
      notice.replaceChildren("Not logged in. ", el("button", { type: "button", onclick: show }, "Log in"));
      notice.hidden = false;
    };
    const submit = async (event) => {
      event.preventDefault();
      text(wrong, "");
      try {
        const answer = await send("api/login", { token: token.value });
        if (!answer.ok) {
          text(wrong, answer.status < 500 ? "That is not the token." : await trouble(answer));
          token.select();
          return;
        }
      } catch {
        text(wrong, "The server does not answer.");
        return;
      }
      token.value = "";
      form.removeEventListener("submit", submit);
      dialog.removeEventListener("close", away);
      dialog.close();
      waiting = null;
      done();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", away);
    show();
  });
  return waiting;
}

function send(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
}

async function asked(request) {
  for (;;) {
    const answer = await request();
    if (answer.status !== 401) return answer;
    await login();
  }
}

/** Fetches; throws when the server cannot be reached. */
export const get = (path, options) => asked(() => fetch(path, { cache: "no-store", ...options }));

/** Orders. */
export const post = (path, body) => asked(() => send(path, body));

/** What to tell of an answer that is no success. */
export async function trouble(answer) {
  const said = (await answer.text().catch(() => "")).trim();
  return said ? `${said.slice(0, 300)}` : `The server answers ${answer.status}.`;
}
