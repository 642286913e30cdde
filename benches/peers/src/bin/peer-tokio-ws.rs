//! WebSocket echo with tokio-tungstenite, on tokio's current-thread runtime.

use anyhow::Result;
use futures_util::{SinkExt as _, StreamExt as _};
use peers::Args;
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let args = Args::from_env();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(&args)));
    if let Err(error) = outcome {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

async fn serve(args: &Args) -> Result<()> {
    let listener = TcpListener::from_std(args.listen()?)?;
    peers::announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // One that fails ends, and the others go on.
        tokio::spawn(async { drop(echo(stream).await) });
    }
}

async fn echo(stream: TcpStream) -> Result<()> {
    let (mut sink, mut messages) = tokio_tungstenite::accept_async(stream).await?.split();
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            // As it comes: one write for all that is there is left to whoever knows that there is more.
            sink.send(message).await?;
        }
    }
    Ok(())
}
