//! Echo on tokio's current-thread runtime: a task and a buffer for each connection.

use anyhow::Result;
use peers::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
    let buffer = args.buffer.unwrap_or(16 * 1024);
    let listener = TcpListener::from_std(args.listen()?)?;
    peers::announce(listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(echo(socket, buffer));
    }
}

async fn echo(mut socket: TcpStream, buffer: usize) {
    let mut bytes = vec![0; buffer];
    // An error ends this connection only, and there is nobody to tell.
    while let Ok(read @ 1..) = socket.read(&mut bytes).await {
        if socket.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
