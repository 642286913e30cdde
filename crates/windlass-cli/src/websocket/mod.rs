//! `[[websocket]]`: every message comes back, and a page in the browser to try it with.

use windlass::proto::http::Status;
use windlass::{Close, Peer, Serve, serve};
use windlass_http::ws::{
    self, Accept, Message, Upgrade, Ws, WsApp, WsServer, WsServerConfig, WsService, WsUpgraded,
};
use windlass_http::{App, File, Http};

use crate::args::WebsocketArgs;
use crate::config::shape::WebsocketTable;
use crate::config::value::{Count, Listen};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags, tls_from_flags,
};

/// Where it speaks WebSocket; the page is at `/`.
const PATH: &str = "/ws";

/// Serves until told to stop.
pub(crate) fn run(args: &WebsocketArgs) -> anyhow::Result<()> {
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(args.workers);
    file.websocket = vec![WebsocketTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        tls: tls_from_flags(&args.serving),
        access_log: access_from_flags(&args.serving),
        ..WebsocketTable::default()
    }];
    run_flags(&file, &args.serving)
}

/// The service of one table.
pub(crate) fn service(table: &WebsocketTable, told: &Told) -> anyhow::Result<Serve<Watched<Http<Page>>>> {
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "websocket");
    let service = serve(move || Watched::new(pages(), &its, ends.clone())).name(&table.name);
    let owner = owner("websocket", &table.name);
    listening(service, told, &owner, (&table.listen, table.tls.as_ref(), 0))
}

fn pages() -> Http<Page> {
    let page = Page { echo: WsServer::new(Echo::default(), WsServerConfig::default()) };
    Http::new(page)
        .file("/", File::new("text/html; charset=utf-8", include_str!("index.html")))
        .file("/icon.svg", File::new("image/svg+xml", include_str!("icon.svg")))
        .file("/page.css", File::new("text/css; charset=utf-8", include_str!("page.css")))
        .file("/page.js", File::new("text/javascript; charset=utf-8", include_str!("page.js")))
        .upgrade(PATH, "websocket", ws::upgrade)
}

/// Sends back what arrives, and counts it.
#[derive(Default)]
pub(crate) struct Echo {
    messages: u64,
}

impl WsService for Echo {
    type Session = ();

    fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
        Ok(Accept::new(()))
    }

    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        ws.send(message);
        self.messages += 1;
        Ok(())
    }
}

/// The state behind the page.
pub(crate) struct Page {
    echo: WsServer<Echo>,
}

impl App for Page {
    type Upgraded = WsUpgraded<()>;
}

impl WsApp for Page {
    type Ws = Echo;

    fn ws(&mut self) -> &mut WsServer<Echo> {
        &mut self.echo
    }
}

impl Tally for Http<Page> {
    fn messages(&self) -> u64 {
        self.app().echo.service().messages
    }
}

#[cfg(test)]
#[path = "../tests/websocket.rs"]
mod tests;
