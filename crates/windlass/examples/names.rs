//! Tells the addresses of names, and never waits for one: `cargo run --example names`, then type host
//! names into `nc 127.0.0.1 7003`. The answer to a slow name comes when it comes; nobody else notices.

use windlass::proto::{Decode, Lines};
use windlass::{
    Close, Conn, Input, Lookup, Resolve, ResolveError, Resolved, Resolver, Scope, Service, Sessions, serve,
};

struct Names {
    resolver: Resolver,
}

fn tell(conn: &mut Conn<'_>, host: &str, result: Result<Vec<std::net::SocketAddr>, ResolveError>) {
    let text = match result {
        Ok(addrs) => addrs.iter().map(|addr| addr.ip().to_string()).collect::<Vec<_>>().join(" "),
        Err(why) => why.to_string(),
    };
    conn.write(format!("{host}: {text}\n").as_bytes());
}

impl Service for Names {
    type Session = Lines;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Lines, Close> {
        Ok(Lines::max(300))
    }

    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            let host = String::from_utf8_lossy(line).into_owned();
            match self.resolver.lookup(conn, &host, 0) {
                Ok(Lookup::Ready(addrs)) => tell(conn, &host, Ok(addrs)),
                Ok(Lookup::Pending(_)) => {}
                Err(why) => tell(conn, &host, Err(why)),
            }
        }
        Ok(())
    }
}

impl Resolve for Names {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, resolved: Resolved) {
        if let Some(mut conn) = resolved.conn.and_then(|id| scope.conn(id)) {
            tell(&mut conn, &resolved.host, resolved.result);
        }
    }
}

fn main() -> windlass::Result<()> {
    let resolver = Resolver::default();
    let in_service = resolver.clone();
    serve(move || Names { resolver: in_service.clone() })
        .resolver(&resolver)
        .tcp("127.0.0.1:7003")
        .run()
        .map(drop)
}
