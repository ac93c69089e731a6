//! What in a frame the client library could not read, and what to put there instead.
//!
//! A frame keeps its length, so that nothing else in it changes. One whose grammar is not followed to its end is left as it
//! is: what follows is a guess then. The grammar is that of amq-protocol, which is RabbitMQ's: `s` is a number in it.

const END: u8 = 0xCE;
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
/// Bytes before the payload: type, channel, size.
pub(super) const HEAD: usize = 7;
/// Bytes around the payload.
pub(super) const AROUND: usize = HEAD + 1;

const REPLACEMENT: u8 = b'?';
// Far above what anybody writes, far below what a stack holds.
const DEEPEST: usize = 32;

/// Whether a frame of this type may have to be changed.
pub(super) fn may_have(frame_type: u8) -> bool {
    matches!(frame_type, METHOD | CONTENT_HEADER)
}

/// Replaces what cannot be read in a whole frame.
pub(super) fn mend(frame: &mut [u8]) {
    for (at, byte) in find(frame).unwrap_or_default() {
        frame[at] = byte;
    }
}

/// A place in the frame, and what belongs there.
type Repair = (usize, u8);

fn find(frame: &[u8]) -> Option<Vec<Repair>> {
    let (&END, payload) = frame.split_last()? else { return None };
    let mut reader = Reader { frame: payload, at: HEAD, repairs: Vec::new() };
    match *payload.first()? {
        METHOD => reader.method()?,
        CONTENT_HEADER => reader.content_header()?,
        _ => return None,
    }
    (reader.at == payload.len()).then_some(reader.repairs)
}

enum Field {
    Octets(usize),
    Text,
}

// Those in which bytes of others come to us. A reply text is cut at 255 bytes, perhaps within a character.
fn fields(class: u16, method: u16) -> &'static [Field] {
    use Field::{Octets, Text};
    match (class, method) {
        // connection.close and channel.close: code, reason, class and method at fault
        (10, 50) | (20, 40) => &[Octets(2), Text, Octets(4)],
        // basic.return: code, reason, exchange, routing key
        (60, 50) => &[Octets(2), Text, Text, Text],
        // basic.deliver: consumer tag, delivery tag, redelivered, exchange, routing key
        (60, 60) => &[Text, Octets(9), Text, Text],
        // basic.get-ok: delivery tag, redelivered, exchange, routing key, messages left
        (60, 71) => &[Octets(9), Text, Text, Octets(4)],
        _ => &[],
    }
}

#[derive(Clone, Copy)]
enum Property {
    Text,
    Table,
    Octets(usize),
}

// basic's, from the highest bit of the flags downward.
const PROPERTIES: [Property; 14] = {
    use Property::{Octets, Table, Text};
    // content type and encoding, headers, delivery mode, priority, correlation id, reply-to, expiration, message id,
    // timestamp, type, user id, app id, cluster id
    [Text, Text, Table, Octets(1), Octets(1), Text, Text, Text, Text, Octets(8), Text, Text, Text, Text]
};

/// Goes through a frame; each step is `None` where the frame is not what it should be.
struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
    repairs: Vec<Repair>,
}

impl Reader<'_> {
    fn method(&mut self) -> Option<()> {
        let (class, method) = (self.number()?, self.number()?);
        let fields = fields(class, method);
        if fields.is_empty() {
            return None;
        }
        fields.iter().try_for_each(|field| match field {
            Field::Octets(count) => self.skip(*count),
            Field::Text => self.text(),
        })
    }

    fn content_header(&mut self) -> Option<()> {
        // Class, weight, size of the body.
        self.skip(12)?;
        let flags = self.number()?;
        let present = PROPERTIES.iter().enumerate().filter(|(index, _)| flags & (1 << (15 - index)) != 0);
        present.map(|(_, property)| property).try_for_each(|property| match property {
            Property::Text => self.text(),
            Property::Table => self.table(0),
            Property::Octets(count) => self.skip(*count),
        })
    }

    fn table(&mut self, depth: usize) -> Option<()> {
        let end = self.end_of_long()?;
        while self.at < end {
            self.text()?;
            self.value(depth)?;
        }
        (self.at == end).then_some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let end = self.end_of_long()?;
        while self.at < end {
            self.value(depth)?;
        }
        (self.at == end).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let tag = self.at;
        match self.octet()? {
            b'F' | b'A' if depth == DEEPEST => {
                // The same bytes as a value that holds bytes.
                self.repairs.push((tag, b'x'));
                self.long()
            }
            b'F' => self.table(depth + 1),
            b'A' => self.array(depth + 1),
            b'S' | b'x' => self.long(),
            b'V' => Some(()),
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'U' | b'u' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'L' | b'l' | b'd' | b'T' => self.skip(8),
            _ => None,
        }
    }

    /// A short string.
    fn text(&mut self) -> Option<()> {
        let length = self.octet()?;
        let mut at = self.at;
        self.skip(length.into())?;
        let text = &self.frame[at..self.at];
        // Nearly always, and told in half the time.
        if str::from_utf8(text).is_ok() {
            return Some(());
        }
        for chunk in text.utf8_chunks() {
            let bad = at + chunk.valid().len();
            at = bad + chunk.invalid().len();
            self.repairs.extend((bad..at).map(|at| (at, REPLACEMENT)));
        }
        Some(())
    }

    /// A long string, which may hold any bytes.
    fn long(&mut self) -> Option<()> {
        self.at = self.end_of_long()?;
        Some(())
    }

    fn end_of_long(&mut self) -> Option<usize> {
        let (length, _) = self.frame.get(self.at..)?.split_first_chunk()?;
        self.skip(4)?;
        let end = self.at.checked_add(u32::from_be_bytes(*length) as usize)?;
        (end <= self.frame.len()).then_some(end)
    }

    fn number(&mut self) -> Option<u16> {
        let (number, _) = self.frame.get(self.at..)?.split_first_chunk()?;
        self.skip(2)?;
        Some(u16::from_be_bytes(*number))
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = self.frame.get(self.at).copied();
        self.skip(1)?;
        octet
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.frame.len())?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use lapin::{protocol::basic::parse_properties, types::AMQPValue};
    use proptest::prelude::*;

    use super::{
        super::samples::{self, bytes, header, method, short, value},
        *,
    };

    fn mended(mut frame: Vec<u8>) -> Vec<u8> {
        mend(&mut frame);
        frame
    }

    #[test]
    fn what_is_not_utf_8_in_a_short_string_becomes_question_marks() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"", b""),
            ("fine \u{e9}\u{1f980}".as_bytes(), "fine \u{e9}\u{1f980}".as_bytes()),
            (b"bad\xff", b"bad?"),
            (b"\xe9t\xe9", b"?t?"),
            (b"\xf0\x9f\xa6", b"???"),
            (b"\xed\xa0\x80", b"???"),
            (b"\x80ok\xc3", b"?ok?"),
            (&[0xff; 255], &[b'?'; 255]),
        ];
        for (bad, good) in cases {
            // Every property that is text, before and after a table whose names and nested names are.
            let properties = |text: &[u8]| {
                let nested = value(b'F', &bytes(&[short(text), value(b'V', b"")].concat()));
                let array = value(b'A', &bytes(&[value(b't', b"\x01"), nested].concat()));
                let table = bytes(&[short(text), array, short(b"n"), value(b's', b"\xff\xff")].concat());
                let text = short(text);
                let four = text.repeat(4);
                let parts = [&text, &text, &table, &b"\x02\xff"[..], &four, &[0xff; 8], &four];
                header(0xfffc, &parts.concat())
            };
            assert_eq!(mended(properties(bad)), properties(good));
            let deliver =
                |text: &[u8]| method(60, 60, &[short(b"ours"), vec![0xff; 9], short(text), short(text)].concat());
            assert_eq!(mended(deliver(bad)), deliver(good));
            let got = |text: &[u8]| method(60, 71, &[vec![0xff; 9], short(text), short(text), vec![0xff; 4]].concat());
            assert_eq!(mended(got(bad)), got(good));
            let returned =
                |text: &[u8]| method(60, 50, &[vec![0xff; 2], short(text), short(text), short(text)].concat());
            assert_eq!(mended(returned(bad)), returned(good));
            let closed = |text: &[u8]| method(20, 40, &[vec![0xff; 2], short(text), vec![0xff; 4]].concat());
            assert_eq!(mended(closed(bad)), closed(good));
        }
    }

    #[test]
    fn a_value_that_is_bytes_keeps_them() {
        for tag in [b'S', b'x'] {
            let frame = header(1 << 13, &bytes(&[short(b"name"), value(tag, &bytes(b"\xff\xfe"))].concat()));
            assert_eq!(mended(frame.clone()), frame);
        }
    }

    #[test]
    fn what_is_nested_too_deeply_becomes_bytes() {
        let nested = |depth: usize, tag: u8| {
            let mut inner = value(b'V', b"");
            for level in (0..depth).rev() {
                let tag = if level == DEEPEST { tag } else { b'A' };
                inner = value(tag, &bytes(&inner));
            }
            header(1 << 13, &bytes(&[short(b"name"), inner].concat()))
        };
        assert_eq!(mended(nested(DEEPEST, b'A')), nested(DEEPEST, b'A'));
        assert_eq!(mended(nested(20_000, b'A')), nested(20_000, b'x'));
        let (_, properties) = parse_properties(samples::properties(&mended(nested(20_000, b'A')))).unwrap();
        let mut deepest = properties.headers().as_ref().unwrap().inner()["name"].clone();
        while let AMQPValue::FieldArray(array) = &deepest {
            deepest = array.as_slice()[0].clone();
        }
        assert!(matches!(deepest, AMQPValue::ByteArray(_)));
    }

    #[test]
    fn what_cannot_be_followed_stays_as_it_is() {
        let name = short(b"\xff");
        let frames = [
            header(1 << 13, &bytes(&[name.clone(), value(b'?', b"")].concat())),
            header(1 << 13, &bytes(&name)),
            header(1 << 13, &[&[0, 0, 0, 200][..], &name, b"V"].concat()),
            header(1 << 15, &[9, 0xff]),
            header(1 << 15, &[&name[..], b"more"].concat()),
            header(1 << 2 | 1 << 5, &name),
            method(60, 60, &name),
            method(60, 61, &name),
            method(60, 60, &[]),
            samples::frame(1, &[60]),
            samples::frame(2, &[]),
            samples::frame(3, &name),
        ];
        for frame in frames {
            assert_eq!(mended(frame.clone()), frame);
            let mut endless = frame;
            *endless.last_mut().unwrap() = 0;
            assert_eq!(mended(endless.clone()), endless);
        }
    }

    proptest! {
        #[test]
        fn lapin_reads_every_frame_afterwards(frame in samples::any_header()) {
            let mended = mended(frame.clone());
            let (rest, _) = parse_properties(samples::properties(&mended)).expect("properties");
            prop_assert!(rest.is_empty());
            if parse_properties(samples::properties(&frame)).is_ok() {
                prop_assert_eq!(mended, frame);
            }
        }

        #[test]
        fn any_bytes_at_all_are_borne(payload in proptest::collection::vec(any::<u8>(), 0..200), kind in 1..4_u8) {
            let frame = samples::frame(kind, &payload);
            prop_assert_eq!(mended(frame.clone()).len(), frame.len());
            mend(&mut payload.clone());
        }
    }
}
