//! The HTTP load generator: one page over connections that are kept, or over one connection each; status
//! and body of every response are compared with those of the first.

mod talk;

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::ArgAction;
use clap::builder::FalseyValueParser;
use serde_json::json;

pub(crate) use self::talk::HttpSpeech;
use self::talk::{Page, Request};
use crate::load::{self, Bench, LoadArgs, Options, StreamArgs};
use crate::net::Dialer;
use crate::url::Url;
use crate::{args, clock, text};

/// The options of `http`.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpArgs {
    /// The page: an URL, HOST:PORT/PATH or unix:PATH; https:// means --tls
    #[arg(
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/",
        env = "WINDLASS_TARGET",
        hide_env = true
    )]
    pub target: Url,
    /// Connections at once
    #[arg(short, long, value_name = "N", value_parser = args::count, default_value = "64", env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: u64,
    /// Ask for this path, whatever the URL says
    #[arg(long, env = "WINDLASS_PATH", hide_env = true)]
    pub path: Option<String>,
    /// Add a header, as in 'Accept: text/html'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// The status that is wanted
    #[arg(long, default_value = "200", value_parser = clap::value_parser!(u16).range(200..600))]
    #[arg(env = "WINDLASS_STATUS", hide_env = true)]
    pub status: u16,
    /// The body may differ from one response to the next: compare the status only
    #[arg(long, env = "WINDLASS_ANY_BODY", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub any_body: bool,
    /// One request on each connection: connect, ask, be answered, close
    #[arg(long, conflicts_with_all = ["depth", "rate"], env = "WINDLASS_CLOSE", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub close: bool,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
    /// What every load over connections has
    #[command(flatten)]
    pub stream: StreamArgs,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("`{text}` is not NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Runs the load as a command.
///
/// # Errors
/// The server cannot be reached, a response was wrong, or nothing was served.
pub fn main(args: HttpArgs) -> Result<()> {
    let (url, stream) = (&args.target, args.stream.clone().over(&args.target)?);
    let mut options = Options {
        connections: args.connections as usize,
        churn: args.close,
        ..Options::new(&url.place, &args.load, &stream)
    };
    let request = Request {
        host: url.authority.clone(),
        path: args.path.clone().unwrap_or_else(|| url.path.clone()),
        headers: args.headers.clone(),
        close: args.close,
        // A client that is to send at a given rate waits for each answer all the same.
        flight: if args.load.rate.is_some() { 1 } else { options.depth as usize },
    };
    let speech = HttpSpeech { request: Arc::new(request), page: None };
    load::command(&args.load, |tell| {
        let page = first(&speech, &options, args.status, args.any_body)?;
        options.size = page.body.len();
        let (status, length) = (page.status, page.body.len());
        let speech = HttpSpeech { page: Some(Arc::new(page)), ..speech.clone() };
        let mut report = load::run(&speech, &options, tell)?;
        report.unit = "requests";
        let path = &speech.request.path;
        let what =
            format!("{path} of {}{}", text::bytes(length as f64), if args.close { ", close" } else { "" });
        let more = json!({
            "kind": "http",
            "path": path,
            "status": status,
            "body_bytes": length,
            "body_compared": !args.any_body,
            "close": args.close,
        });
        Ok(Bench::new(options.headline(&what), report, more))
    })
}

impl HttpSpeech {
    /// Asks `localhost` for `path`, once on each connection if it is to close.
    pub(crate) fn to_ask(path: &str, close: bool) -> HttpSpeech {
        let (host, path) = ("localhost".into(), path.into());
        HttpSpeech {
            request: Arc::new(Request { host, path, headers: Vec::new(), close, flight: 1 }),
            page: None,
        }
    }

    /// The same, once the response is known that all others are compared with: it must be a success.
    pub(crate) fn learn(self, options: &Options) -> Result<HttpSpeech> {
        let page = first(&self, options, 200, false)?;
        Ok(HttpSpeech { page: Some(Arc::new(page)), ..self })
    }
}

/// The response that all others are compared with.
fn first(speech: &HttpSpeech, options: &Options, wanted: u16, any_body: bool) -> Result<Page> {
    let dialer = Dialer::of(options)?;
    let line = load::open(speech, &dialer, 0)?;
    let talk = line.exchange(clock::now()).map_err(|fault| anyhow!("{}: {fault}", dialer.target()))?;
    let (status, body) = talk.into_seen().context("the server answered nothing")?;
    ensure!(
        status == wanted,
        "{} answers {status} to {}; if that is meant, say --status {status}",
        dialer.target(),
        speech.request.path
    );
    Ok(Page { status, body, any_body })
}
