//! A connection of lapin's over a stream of ours.
//!
//! lapin takes a connection from whoever makes it, but only of the type that its runtime makes. So there is a runtime of our
//! own, which is tokio's in everything but that type.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_rs::{
    Runtime, Tokio,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, ErrorKind,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::{
    returns::Returns,
    socket::{Quiet, Socket},
    stream::Mended,
};

/// Connects as [`Connection::connect_uri_with_config`] does, in tokio's present runtime. What the broker gives back is noted.
///
/// # Panics
///
/// Outside of a runtime of tokio's.
pub async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
) -> Result<(Connection, Returns), lapin::Error> {
    let returns = Returns::default();
    let kit = Kit { tokio: Tokio::current(), returns: returns.clone() };
    let noted = returns.clone();
    let connect = async move |uri: AMQPUri, runtime: Runtime<Kit>| {
        let stream = opened(&uri, &tls, noted.clone()).await;
        Ok(AsyncTcpStream::Plain(stream.map_err(|error| failure(error, &runtime))?))
    };
    Ok((Connection::connector(uri, Runtime::new(kit), connect, properties).await?, returns))
}

async fn opened(uri: &AMQPUri, tls: &OwnedTLSConfig, returns: Returns) -> io::Result<Mended<AsyncTcpStream<Socket>>> {
    let (authority, quiet) = (&uri.authority, Quiet::default());
    let socket = socket((authority.host.as_str(), authority.port), quiet.clone()).await?;
    let stream = match uri.scheme {
        AMQPScheme::AMQP => socket,
        AMQPScheme::AMQPS => socket.into_tls(&authority.host, tls.as_ref()).await?,
    };
    Ok(Mended::new(stream, returns, quiet))
}

async fn socket(address: impl ToSocketAddrs, quiet: Quiet) -> io::Result<AsyncTcpStream<Socket>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(AsyncTcpStream::Plain(Socket::new(stream, quiet)?))
}

// As lapin tells them apart itself.
fn failure(error: io::Error, runtime: &Runtime<Kit>) -> lapin::Error {
    if runtime.is_runtime_shutdown_error(&error) {
        return ErrorKind::RuntimeShutdownError(Arc::new(error)).into();
    }
    error.into()
}

/// tokio's runtime, with our streams.
#[derive(Debug, Clone)]
struct Kit {
    tokio: Tokio,
    returns: Returns,
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Mended<AsyncTcpStream<Socket>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    // lapin has no sockets to register, and the trait that would make one of `H` is not public.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Self::TcpStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (returns, quiet) = (self.returns.clone(), Quiet::default());
        async move { Ok(Mended::new(socket(address, quiet.clone()).await?, returns, quiet)) }
    }
}
