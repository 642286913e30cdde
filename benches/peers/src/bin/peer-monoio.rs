//! Echo on monoio: io_uring (`--driver uring`, the default) or its epoll fallback (`--driver legacy`).

use anyhow::{Result, bail};
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use peers::Args;

fn main() {
    let args = Args::from_env();
    if let Err(error) = run(&args) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    match args.driver.as_deref() {
        None | Some("uring") => {
            RuntimeBuilder::<IoUringDriver>::new().with_entries(4096).build()?.block_on(serve(args))
        }
        Some("legacy") => RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(serve(args)),
        Some(other) => bail!("unknown driver `{other}`, there are uring and legacy"),
    }
}

async fn serve(args: &Args) -> Result<()> {
    let buffer = args.buffer.unwrap_or(16 * 1024);
    let listener = TcpListener::from_std(args.listen()?)?;
    peers::announce(listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        monoio::spawn(echo(socket, buffer));
    }
}

async fn echo(mut socket: TcpStream, buffer: usize) {
    let mut bytes = vec![0; buffer];
    loop {
        let (read, filled) = socket.read(bytes).await;
        let Ok(read @ 1..) = read else { return };
        // The runtime takes the buffer and gives it back, so only `read` bytes of it may count.
        let slice = monoio::buf::IoBuf::slice(filled, ..read);
        let (written, slice) = socket.write_all(slice).await;
        if written.is_err() {
            return;
        }
        bytes = slice.into_inner();
    }
}
