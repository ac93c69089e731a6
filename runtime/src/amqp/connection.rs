//! Making a connection, and noticing what becomes of it.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, Event,
    options::{BasicQosOptions, ConfirmSelectOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    tcp::OwnedTLSConfig,
    types::FrameSize,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tracing::warn;

use super::{
    Config,
    node::{Node, Turns},
    session::chain,
    wire::{self, Returns},
};
use crate::clock;

// A dead peer is noticed after two missed heartbeats (RabbitMQ documentation, "Detecting Dead TCP Connections").
const HEARTBEAT_SECONDS: u16 = 10;
// What RabbitMQ allows unless told otherwise. The client library keeps room for 64 frames: known beforehand it is set aside
// and used as needed, learned from the broker it would be filled with zeros at once, 8 MiB for each connection.
const FRAME_MAX: FrameSize = 131_072;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What went wrong between us and the broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("cannot use the broker's address: {0}")]
    Address(String),
    /// The certificate authority cannot be read.
    #[error("cannot read the certificate authority")]
    Authority(#[source] std::io::Error),
    /// The broker does not answer in time.
    #[error("cannot connect to the broker at {node} within {patience:?}")]
    ConnectTimeout {
        /// Where it was asked.
        node: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Something on an open connection failed.
    #[error("cannot {what}")]
    Broker {
        /// What was attempted.
        what: String,
        /// What the broker said.
        source: lapin::Error,
    },
    /// A queue or an exchange exists with other arguments.
    #[error(
        "{object} exists with other arguments than this process wants: {difference}. Either configure this process as the \
         others are (amqp.profile), or, when it is empty, delete it and let it be made anew"
    )]
    Mismatch {
        /// Which one.
        object: String,
        /// What the broker says of the difference.
        difference: String,
    },
    /// The connection is gone.
    #[error("the connection was lost")]
    Lost,
    /// The channel is closed, the connection perhaps not.
    #[error("the channel was closed")]
    ChannelClosed,
    /// The broker cancelled a consumer: its queue was deleted, or it took too long.
    #[error("the broker cancelled the consumer of {queue}")]
    Cancelled {
        /// The queue.
        queue: String,
    },
}

impl Error {
    pub(crate) fn broker(what: impl Into<String>) -> impl FnOnce(lapin::Error) -> Self {
        let what = what.into();
        |source| Self::Broker { what, source }
    }

    /// Whether the object that was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Broker { source, .. } if is_soft(source, &AMQPSoftError::NOTFOUND))
    }
}

pub(super) fn is_soft(error: &lapin::Error, expected: &AMQPSoftError) -> bool {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => matches!(error.kind(), AMQPErrorKind::Soft(soft) if soft == expected),
        _ => false,
    }
}

/// Knows how to reach the broker.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<Config>,
    process: Arc<str>,
    turns: Arc<Turns>,
}

impl Connector {
    /// For the process of this name, which the broker's own pages show.
    pub fn new(config: Config, process: &str) -> Self {
        let turns = Turns::new(clock::any_number());
        Self { config: Arc::new(config), process: process.into(), turns: Arc::new(turns) }
    }

    /// The configuration that it uses.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Opens a connection for one purpose, to the first of the broker's nodes that answers. Each is tried once.
    pub async fn connect(&self, purpose: &str) -> Result<Link, Error> {
        self.connect_within(CONNECT_TIMEOUT, purpose).await
    }

    pub(super) async fn connect_within(&self, patience: Duration, purpose: &str) -> Result<Link, Error> {
        let nodes = self.config.nodes().map_err(Error::Address)?;
        let first = self.turns.present();
        let mut turn = first;
        loop {
            let node = &nodes[turn % nodes.len()];
            let error = match self.connect_to(node, turn, patience, purpose).await {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            self.turns.leave(turn);
            turn += 1;
            if turn == first + nodes.len() {
                return Err(error);
            }
            warn!(purpose, error = chain(&error), "this node of the broker is not reached: trying the next");
        }
    }

    /// The work on this link has failed: the next connection is to another node, where there is one.
    pub(super) fn leave(&self, link: &Link) {
        self.turns.leave(link.turn);
    }

    async fn connect_to(&self, node: &Node, turn: usize, patience: Duration, purpose: &str) -> Result<Link, Error> {
        let mut uri = node.uri();
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        let cert_chain = match &self.config.ca_file {
            Some(path) => Some(tokio::fs::read_to_string(path).await.map_err(Error::Authority)?),
            None => None,
        };
        let tls = OwnedTLSConfig { identity: None, cert_chain };
        let name = format!("{} {purpose}", self.process);
        let properties = ConnectionProperties::default().with_connection_name(name.as_str().into());
        let connecting = timeout(patience, wire::connect(uri, properties, tls)).await;
        let connection = connecting.map_err(|_| Error::ConnectTimeout { node: node.to_string(), patience })?;
        let (connection, returns) = connection.map_err(Error::broker(format!("connect to the broker at {node}")))?;
        Ok(Link::new(connection, returns, node.clone(), turn))
    }

    /// Asks whether anybody answers at the address of the node whose turn it is. Whatever is said counts, a refusal as
    /// well: only silence is an error.
    pub(super) async fn knock(&self, patience: Duration) -> Result<(), Error> {
        let (nodes, turn) = (self.config.nodes().map_err(Error::Address)?, self.turns.present());
        let node = &nodes[turn % nodes.len()];
        let authority = node.uri().authority;
        let asking = async {
            let mut stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
            // To one who expects TLS this is an error, and an answer.
            stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
            stream.read(&mut [0]).await
        };
        timeout(patience, asking).await.map(drop).map_err(|_| {
            self.turns.leave(turn);
            Error::ConnectTimeout { node: node.to_string(), patience }
        })
    }
}

/// An open connection.
#[derive(Debug, Clone)]
pub struct Link {
    connection: Arc<Connection>,
    returns: Returns,
    node: Node,
    turn: usize,
    blocked: Arc<watch::Sender<bool>>,
}

impl Link {
    fn new(connection: Connection, returns: Returns, node: Node, turn: usize) -> Self {
        Self { connection: Arc::new(connection), returns, node, turn, blocked: Arc::new(watch::Sender::new(false)) }
    }

    /// The node that it goes to.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Opens a channel on which each consumer holds at most `prefetch` unacknowledged deliveries.
    pub async fn consuming_channel(&self, prefetch: u16) -> Result<Channel, Error> {
        let channel = self.channel().await?;
        let set = channel.basic_qos(prefetch, BasicQosOptions::default()).await;
        set.map_err(Error::broker("set the prefetch"))?;
        Ok(channel)
    }

    /// Opens a channel whose publishes are confirmed.
    pub async fn publishing_channel(&self) -> Result<Channel, Error> {
        let channel = self.channel().await?;
        let selected = channel.confirm_select(ConfirmSelectOptions::default()).await;
        selected.map_err(Error::broker("ask for confirms"))?;
        Ok(channel)
    }

    /// Opens a plain channel.
    pub async fn channel(&self) -> Result<Channel, Error> {
        self.connection.create_channel().await.map_err(Error::broker("open a channel"))
    }

    /// What the broker gives back of what is published here.
    pub(super) fn returns(&self) -> Returns {
        self.returns.clone()
    }

    /// Whether the broker has blocked this connection, because it is short of memory or disk.
    pub fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.subscribe()
    }

    /// Returns when the connection has broken, and keeps [`Link::blocked`] true to the facts until then. Cancel safe.
    pub async fn broken(&self) -> Error {
        let mut events = self.connection.events_listener();
        // What happened before we listened is not told again.
        while self.connection.status().connected() {
            let event = timeout(Duration::from_millis(500), events.next()).await;
            match event {
                Ok(Some(Event::ConnectionBlocked(reason))) => {
                    tracing::warn!(reason, "the broker has blocked this connection");
                    self.blocked.send_replace(true);
                }
                Ok(Some(Event::ConnectionUnblocked)) => {
                    tracing::info!("the broker has unblocked this connection");
                    self.blocked.send_replace(false);
                }
                Ok(Some(Event::Error(source))) if !self.connection.status().connected() => {
                    return Error::Broker { what: "keep the connection".to_owned(), source };
                }
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => break,
            }
        }
        Error::Lost
    }

    /// Does work on this connection for as long as it holds, wherever the work waits when that ends. The work must bear to
    /// be dropped anywhere.
    pub fn during<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        // Whatever a process does for the broker is in there.
        let work = Box::pin(work);
        async move {
            tokio::select! {
                done = work => done,
                error = self.broken() => Err(error.into()),
            }
        }
    }

    /// Closes the connection in good order. A broken one is closed already.
    pub async fn close(&self) {
        let closing = self.connection.close(200, "done".into());
        drop(timeout(Duration::from_secs(2), closing).await);
    }
}
