//! A connection whose incoming frames are mended.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
    time::Instant,
};

use futures::io::{AsyncRead, AsyncWrite};

use super::{
    frames::Frames,
    moderation::Moderation,
    returns::{Notice, Returns},
    socket::Quiet,
};

/// Reads from another stream and mends what it reads; writes as it is told.
#[derive(Debug)]
pub(super) struct Mended<S> {
    inner: S,
    frames: Frames,
    moderation: Moderation,
    quiet: Quiet,
}

impl<S> Mended<S> {
    /// Where nothing has been read yet. What the broker gives back is noted, and `quiet` set while readings rest.
    pub(super) fn new(inner: S, returns: Returns, quiet: Quiet) -> Self {
        let (frames, moderation) = (Frames::new(Notice::new(returns)), Moderation::new(Instant::now()));
        Self { inner, frames, moderation, quiet }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    // To be called again only after a waking, `Pending` must come from the inner stream.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { inner, frames, moderation, quiet } = self.get_mut();
        let rest = moderation.rest(Instant::now());
        if !rest.is_zero() {
            // The thread is lapin's, of this connection alone: what it is to write meanwhile waits as well.
            thread::sleep(rest);
        }
        let before = frames.begun();
        let read = read(Pin::new(inner), frames, context, to);
        if read.is_pending() {
            moderation.waits();
        } else {
            moderation.brought(frames.begun() - before, Instant::now());
            quiet.set(moderation.is_resting());
        }
        read
    }
}

fn read<S: AsyncRead + Unpin>(
    mut inner: Pin<&mut S>,
    frames: &mut Frames,
    context: &mut Context<'_>,
    to: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let released = frames.release(to);
        if released > 0 || to.is_empty() {
            return Poll::Ready(Ok(released));
        }
        if let Some(room) = frames.room() {
            let count = ready!(inner.as_mut().poll_read(context, room))?;
            frames.filled(count);
        } else {
            let count = ready!(inner.as_mut().poll_read(context, to))?;
            let passed = frames.follow(&mut to[..count]);
            if passed > 0 || count == 0 {
                return Poll::Ready(Ok(passed));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use proptest::prelude::*;

    use super::{
        super::{faults, samples},
        *,
    };

    /// Gives its pieces one after another, and is not ready before each.
    struct Pieces {
        pieces: VecDeque<Vec<u8>>,
        ready: bool,
    }

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if !self.ready {
                return Poll::Pending;
            }
            let Some(mut piece) = self.pieces.pop_front() else { return Poll::Ready(Ok(0)) };
            let count = piece.len().min(to.len());
            to[..count].copy_from_slice(&piece[..count]);
            if count < piece.len() {
                self.pieces.push_front(piece.split_off(count));
            }
            Poll::Ready(Ok(count))
        }
    }

    /// What comes out of the stream, in how many readings.
    fn read(stream: &[u8], cuts: &[usize], room: usize) -> (Vec<u8>, usize) {
        let (mut pieces, mut from) = (VecDeque::new(), 0);
        for cut in cuts {
            let to = (from + cut).min(stream.len());
            pieces.push_back(stream[from..to].to_vec());
            from = to;
        }
        pieces.push_back(stream[from..].to_vec());
        pieces.retain(|piece| !piece.is_empty());
        let mut mended = Mended::new(Pieces { pieces, ready: true }, Returns::default(), Quiet::default());
        let (mut all, mut buffer, mut readings) = (Vec::new(), vec![0; room], 0);
        loop {
            match Pin::new(&mut mended).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => return (all, readings),
                Poll::Ready(count) => {
                    all.extend(&buffer[..count.unwrap()]);
                    readings += 1;
                }
            }
        }
    }

    fn mended(frames: &[Vec<u8>]) -> Vec<u8> {
        let mended = frames.iter().map(|frame| {
            let mut frame = frame.clone();
            faults::mend(&mut frame);
            frame
        });
        mended.collect::<Vec<_>>().concat()
    }

    fn bad() -> Vec<u8> {
        samples::header(1 << 15, &samples::short(b"\xff"))
    }

    #[test]
    fn what_one_reading_brings_goes_out_in_one() {
        let body = samples::frame(3, &[0xff; 5000]);
        let frames = [bad(), body.clone(), samples::frame(8, b""), bad(), body];
        let stream = frames.concat();
        assert_eq!(read(&stream, &[], stream.len()), (mended(&frames), 1));
        // A body is not waited for.
        assert_eq!(read(&stream, &[100], stream.len()).1, 2);
    }

    #[test]
    fn after_what_is_no_frame_everything_passes() {
        let stream = [&b"AMQP\x00\x00\x09\x01"[..], &bad()].concat();
        assert_eq!(read(&stream, &[1, 1, 1], 64).0, stream);
    }

    #[test]
    fn a_frame_larger_than_any_passes() {
        let stream = [&[2, 0, 1, 0, 16, 0, 0][..], &vec![0xff; 1 << 20], &[0xce], &bad()].concat();
        let (passed, last) = (stream.len() - bad().len(), mended(&[bad()]));
        let (all, _) = read(&stream, &[5, 100], 4096);
        assert!(all[..passed] == stream[..passed] && all[passed..] == last);
    }

    #[test]
    fn what_ends_within_a_frame_comes_out_as_far_as_it_is() {
        let stream = bad();
        for end in 0..stream.len() {
            assert_eq!(read(&stream[..end], &[3], 5).0, &stream[..end]);
        }
    }

    proptest! {
        #[test]
        fn into_whatever_pieces_it_is_cut_the_same_comes_out(
            frames in proptest::collection::vec(samples::any_frame(), 0..8),
            cuts in proptest::collection::vec(1..60_usize, 0..60),
            room in 1..300_usize,
        ) {
            prop_assert_eq!(read(&frames.concat(), &cuts, room).0, mended(&frames));
        }
    }
}
