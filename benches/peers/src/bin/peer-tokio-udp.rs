//! UDP echo on tokio's current-thread runtime.

use anyhow::Result;
use peers::Args;
use tokio::net::UdpSocket;

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
    let socket = UdpSocket::bind(args.addr).await?;
    peers::announce(socket.local_addr()?);
    let mut bytes = vec![0; 65_536];
    loop {
        let (n, from) = socket.recv_from(&mut bytes).await?;
        // What cannot be sent is lost, as datagrams are.
        let _ = socket.send_to(&bytes[..n], from).await;
    }
}
