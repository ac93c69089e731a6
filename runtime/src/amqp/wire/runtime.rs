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
    Runtime, Tokio, TokioRuntime,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, ErrorKind,
    tcp::{AMQPUriTcpExt, OwnedTLSConfig},
    uri::AMQPUri,
};

use super::{returns::Returns, stream::Mended};

type TcpStream = <Tokio as Reactor>::TcpStream;

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
    let tokio = TokioRuntime::tokio_current();
    let returns = Returns::default();
    let kit = Kit { tokio: Tokio::current(), returns: returns.clone() };
    let noted = returns.clone();
    let connect = async move |uri: AMQPUri, _: Runtime<Kit>| {
        let connected = AMQPUriTcpExt::connect_with_config_async(&uri, tls.as_ref(), &tokio).await;
        let stream = connected.map_err(|error| failure(error, &tokio))?;
        Ok(AsyncTcpStream::Plain(Mended::new(stream, noted.clone())))
    };
    Ok((Connection::connector(uri, Runtime::new(kit), connect, properties).await?, returns))
}

// As lapin tells them apart itself.
fn failure(error: io::Error, runtime: &TokioRuntime) -> lapin::Error {
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
    type TcpStream = Mended<AsyncTcpStream<TcpStream>>;
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
        let connecting = self.tokio.tcp_connect_addr(address);
        let returns = self.returns.clone();
        async { Ok(Mended::new(AsyncTcpStream::Plain(connecting.await?), returns)) }
    }
}
