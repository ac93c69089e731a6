//! The socket of a connection, which can be read without anybody being woken for what arrives.
//!
//! The system tells the runtime of every arrival, though whoever reads rests, and that wakes a thread each time. So while
//! readings rest, the runtime does not watch the socket: what is there is read, and only when nothing is there the runtime
//! is to say when there is.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead, AsyncWrite};
use tokio::{
    io::{self as watched, ReadBuf},
    net::TcpStream as Watched,
    runtime::Handle,
};

/// Whether readings rest; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<AtomicBool>);

impl Quiet {
    /// Says so.
    pub(super) fn set(&self, is_quiet: bool) {
        self.0.store(is_quiet, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A connected socket that does not block.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    // The same, while the runtime watches it.
    watched: Option<Watched>,
    runtime: Handle,
    quiet: Quiet,
    // Whoever writes is to be woken when there is room.
    waits_for_room: bool,
}

impl Socket {
    /// Of a stream in tokio's present runtime.
    pub(super) fn new(stream: Watched, quiet: Quiet) -> io::Result<Self> {
        let runtime = Handle::current();
        Ok(Self { stream: stream.into_std()?, watched: None, runtime, quiet, waits_for_room: false })
    }

    fn watched(&mut self) -> io::Result<Pin<&mut Watched>> {
        let watched = match self.watched.take() {
            Some(watched) => watched,
            None => {
                // lapin's thread is none of the runtime's.
                let _context = self.runtime.enter();
                Watched::from_std(self.stream.try_clone()?)?
            }
        };
        Ok(Pin::new(self.watched.insert(watched)))
    }
}

fn unless_blocked(result: io::Result<usize>) -> Option<io::Result<usize>> {
    Some(result).filter(|result| !matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock))
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if socket.quiet.is_set() && !socket.waits_for_room {
            socket.watched = None;
            if let Some(read) = unless_blocked((&socket.stream).read(to)) {
                return Poll::Ready(read);
            }
        }
        let mut buffer = ReadBuf::new(to);
        ready!(watched::AsyncRead::poll_read(socket.watched()?, context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if socket.watched.is_none()
            && let Some(written) = unless_blocked((&socket.stream).write_vectored(from))
        {
            return Poll::Ready(written);
        }
        let written = watched::AsyncWrite::poll_write_vectored(socket.watched()?, context, from);
        socket.waits_for_room = written.is_pending();
        written
    }

    // A socket keeps nothing back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.shutdown(Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt, future::join};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinSet,
        time::{Duration, timeout},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    // More than the system keeps for one connection.
    const MUCH: usize = 32 << 20;
    const ANSWER: usize = 1_000;

    async fn pair(quiet: &Quiet) -> (Socket, Watched) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = join(Watched::connect(address), listener.accept()).await;
        (Socket::new(ours.unwrap(), quiet.clone()).unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn what_arrives_is_read_whether_readings_rest_or_not() {
        let quiet = Quiet::default();
        let (mut ours, mut theirs) = pair(&quiet).await;
        for turn in 0..40_u8 {
            quiet.set(turn / 2 % 2 == 0);
            let (sent, mut read) = ([turn; 100], [0; 100]);
            if turn % 3 == 0 {
                theirs.write_all(&sent).await.unwrap();
                ours.read_exact(&mut read).await.unwrap();
            } else {
                // Nothing is there at first.
                let sending = async {
                    tokio::task::yield_now().await;
                    theirs.write_all(&sent).await
                };
                let (read, sent) = join(ours.read_exact(&mut read), sending).await;
                read.and(sent).unwrap();
            }
            assert_eq!(read, sent);
        }
        quiet.set(true);
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn whoever_waits_for_room_is_woken_while_readings_rest() {
        let quiet = Quiet::default();
        quiet.set(true);
        let (ours, theirs) = pair(&quiet).await;
        let ((mut reading, mut writing), (mut theirs, mut back)) = (ours.split(), theirs.into_split());
        // Each half has a task of its own, as each has a waker of lapin's.
        let mut halves = JoinSet::new();
        halves.spawn(async move { writing.write_all(&vec![7; MUCH]).await });
        halves.spawn(async move { reading.read_exact(&mut [0; ANSWER]).await });
        // One byte after another, so that it is read again and again while the other half waits.
        for _ in 0..ANSWER {
            back.write_all(&[9]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut taken = vec![0; MUCH];
        timeout(PATIENCE, theirs.read_exact(&mut taken)).await.unwrap().unwrap();
        assert!(taken.iter().all(|byte| *byte == 7));
        while let Some(half) = halves.join_next().await {
            half.unwrap().unwrap();
        }
    }
}
