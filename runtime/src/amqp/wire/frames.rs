//! Follows the frames of AMQP 0-9-1 in a stream of bytes, and mends each that needs it once it is whole.
//!
//! Whole frames are mended where they lie and the others pass in any pieces, so bytes are copied only for a frame that one
//! reading did not bring to its end. After something that is no frame nothing is followed any more: everything passes.

use super::{
    faults::{self, AROUND, HEAD},
    returns::Notice,
};

const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
// Eight times what RabbitMQ allows unless told otherwise (frame_max); larger frames are not looked into.
const LARGEST: usize = 1 << 20;
const FOR_EVER: usize = usize::MAX;

/// Where in the stream we are.
#[derive(Debug)]
enum Place {
    /// This many bytes are nothing to us; after them a frame begins.
    Passing(usize),
    /// Within a frame that is not whole: so many bytes of the buffer are there, all of it is wanted.
    Holding(usize),
    /// The buffer goes out from here on; after it so many bytes pass.
    Releasing { from: usize, then: usize },
}

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    place: Place,
    buffer: Vec<u8>,
    notice: Notice,
    begun: u64,
}

/// What the beginning of a frame says.
enum Kind {
    /// Fewer bytes are there than say anything.
    Unknown,
    /// It has to be whole, which is so many bytes.
    Mended(usize),
    /// So many bytes pass.
    Passed(usize),
}

impl Frames {
    pub(super) fn new(notice: Notice) -> Self {
        Self { place: Place::Passing(0), buffer: Vec::new(), notice, begun: 0 }
    }

    /// How many frames have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// The room that the next bytes of the stream go to, where a frame is held. Whoever fills it says so.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        match self.place {
            Place::Holding(have) => Some(&mut self.buffer[have..]),
            Place::Passing(_) | Place::Releasing { .. } => None,
        }
    }

    /// So many bytes were put into [`Frames::room`]; none means that no more will come.
    pub(super) fn filled(&mut self, count: usize) {
        let Place::Holding(have) = &mut self.place else { return };
        *have += count;
        if count == 0 {
            self.buffer.truncate(*have);
            self.place = Place::Releasing { from: 0, then: FOR_EVER };
        } else if *have == self.buffer.len() {
            self.place = self.complete();
        }
    }

    // The buffer is full, with the beginning of a frame or with all of it.
    fn complete(&mut self) -> Place {
        match measure(&self.buffer) {
            Kind::Mended(size) if self.buffer.len() < size => {
                self.buffer.resize(size, 0);
                Place::Holding(HEAD)
            }
            Kind::Mended(_) => {
                faults::mend(&mut self.buffer);
                self.notice.of(&self.buffer);
                Place::Releasing { from: 0, then: 0 }
            }
            Kind::Passed(size) => Place::Releasing { from: 0, then: size.saturating_sub(self.buffer.len()) },
            Kind::Unknown => Place::Releasing { from: 0, then: FOR_EVER },
        }
    }

    /// Moves what has become whole to where it belongs; says how much that is.
    pub(super) fn release(&mut self, to: &mut [u8]) -> usize {
        let Place::Releasing { from, then } = &mut self.place else { return 0 };
        let waiting = &self.buffer[*from..];
        let count = waiting.len().min(to.len());
        to[..count].copy_from_slice(&waiting[..count]);
        *from += count;
        if *from == self.buffer.len() {
            self.place = Place::Passing(*then);
        }
        count
    }

    /// Goes through the next bytes of the stream, where no frame is held; says how many are fit to be passed on. The others
    /// are kept.
    pub(super) fn follow(&mut self, bytes: &mut [u8]) -> usize {
        let Place::Passing(passing) = &mut self.place else { return 0 };
        let mut at = 0;
        loop {
            let step = (*passing).min(bytes.len() - at);
            at += step;
            if *passing != FOR_EVER {
                *passing -= step;
            }
            let rest = &mut bytes[at..];
            if rest.is_empty() {
                return at;
            }
            self.begun += 1;
            match measure(rest) {
                Kind::Passed(size) => *passing = size,
                Kind::Mended(size) if size <= rest.len() => {
                    faults::mend(&mut rest[..size]);
                    self.notice.of(&rest[..size]);
                    at += size;
                }
                Kind::Mended(size) => {
                    self.hold(&bytes[at..], size);
                    return at;
                }
                Kind::Unknown => {
                    self.hold(&bytes[at..], HEAD);
                    return at;
                }
            }
        }
    }

    fn hold(&mut self, begun: &[u8], wanted: usize) {
        self.buffer.clear();
        self.buffer.extend_from_slice(begun);
        self.buffer.resize(wanted, 0);
        self.place = Place::Holding(begun.len());
    }
}

fn measure(beginning: &[u8]) -> Kind {
    let &[frame_type, _, _, a, b, c, d, ..] = beginning else { return Kind::Unknown };
    let size = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_add(AROUND);
    match frame_type {
        BODY | HEARTBEAT => Kind::Passed(size),
        other if faults::may_have(other) && size > LARGEST => Kind::Passed(size),
        other if faults::may_have(other) => Kind::Mended(size),
        _ => Kind::Passed(FOR_EVER),
    }
}
