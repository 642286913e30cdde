//! The dashboard: files of one page, kept in the binary and served as they are. They load nothing from
//! elsewhere, and there is no build step between `page/` and the browser. Read `page/app.js` first.

use windlass_http::{App, File, Http};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every file with its name; `index.html` is the page itself.
        const FILES: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("page/", $name)))),*];
    };
}

files![
    "index.html",
    "style.css",
    "icon.svg",
    "theme.js",
    "app.js",
    "api.js",
    "live.js",
    "dom.js",
    "format.js",
    "words.js",
    "overview.js",
    "workers.js",
    "heat.js",
    "tables.js",
    "proxies.js",
    "hub.js",
    "topics.js",
    "games.js",
    "list.js",
    "connections.js",
    "turn.js",
    "beats.js",
    "stage.js",
    "orders.js",
];

/// Adds a route for each of its files. They are the same for everybody and hold no secret, so they are served
/// without a token: the page has to be there to ask for it.
pub(crate) fn routes<A: App>(http: Http<A>) -> Http<A> {
    FILES.iter().fold(http, |http, (name, bytes)| {
        let path = if *name == "index.html" { "/".into() } else { format!("/{name}") };
        http.file(&path, File::named(name, *bytes))
    })
}

#[cfg(test)]
#[path = "../tests/admin/page.rs"]
mod tests;
