//! A wire between a process and its server, which a test can cut, slow down and leave hanging.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinSet,
};

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Carries everything.
    Open,
    /// Carries everything, each piece this much later.
    Slow(Duration),
    /// Closes what is open and refuses what comes.
    Cut,
    /// Swallows everything for good, while both sides still believe in their connections. What connects after the wire
    /// is open again is carried.
    Silent,
    /// Swallows what clients say on the connections that bear this word in what they said first, as AMQP's connections
    /// do their names. What the server says arrives, and so does the end of a client.
    Mute(&'static str),
}

// AMQP's names of connections come well before.
const GREETING: usize = 2_000;

/// A proxy for TCP.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    wire: Arc<watch::Sender<Wire>>,
    // Ends with the proxy.
    _serving: JoinSet<()>,
}

impl Proxy {
    /// In front of the server of this URL.
    pub async fn to(url: &str) -> Self {
        let address = address(url);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("a bound address").to_string();
        let wire = Arc::new(watch::Sender::new(Wire::Open));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, address.to_owned(), wire.clone()));
        Self { url: url.replacen(address, &here, 1), wire, _serving: serving }
    }

    /// The server's URL, through the wire.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes what the wire does, for the connections that there are as well.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

// `scheme://user:password@HOST:PORT/path`
fn address(url: &str) -> &str {
    let rest = url.split_once("://").expect("a URL").1;
    let host = rest.split('/').next().expect("the first of at least one piece");
    host.rsplit('@').next().expect("the last of at least one piece")
}

async fn serve(listener: TcpListener, target: String, wire: Arc<watch::Sender<Wire>>) {
    let mut carried = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while carried.try_join_next().is_some() {}
        if *wire.borrow() != Wire::Cut {
            carried.spawn(carry(client, target.clone(), wire.subscribe()));
        }
    }
}

async fn carry(client: TcpStream, target: String, mut wire: watch::Receiver<Wire>) {
    if *wire.borrow() == Wire::Silent {
        return hang(client, wire).await;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut pumps = JoinSet::new();
    pumps.spawn(pump(from_client, to_server, wire.clone(), Side::Client));
    pumps.spawn(pump(from_server, to_client, wire.clone(), Side::Server));
    tokio::select! {
        // The end of one direction is passed on by its pump; the other may still have something to say.
        () = async { while pumps.join_next().await.is_some() {} } => {}
        _ = wire.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

// Accepted, and never answered.
async fn hang(mut client: TcpStream, mut wire: watch::Receiver<Wire>) {
    let mut buffer = [0; 4096];
    tokio::select! {
        () = async { while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {} } => {}
        _ = wire.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>, side: Side) {
    let mut first = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut silent = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            Ok(_) = wire.wait_for(|wire| *wire == Wire::Silent), if !silent => { silent = true; continue }
        };
        let Ok(read @ 1..) = read else { break };
        let now = *wire.borrow();
        if let Wire::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if side == Side::Client && first.len() < GREETING {
            first.extend_from_slice(&buffer[..read]);
        }
        if let (Wire::Mute(word), Side::Client) = (now, side)
            && String::from_utf8_lossy(&first).contains(word)
        {
            continue;
        }
        if !silent && to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    if silent {
        // The other side learns nothing of this end either.
        std::future::pending::<()>().await;
    }
}
