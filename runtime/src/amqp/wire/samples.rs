//! Frames to test with.

use proptest::{collection::vec, prelude::*};

use super::faults::HEAD;

pub(super) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 1][..], &bytes(payload), &[0xce]].concat()
}

pub(super) fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    frame(1, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat())
}

pub(super) fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(
        2,
        &[&[0, 60, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &flags.to_be_bytes(), properties]
            .concat(),
    )
}

/// The properties within a header, flags first.
pub(super) fn properties(frame: &[u8]) -> &[u8] {
    &frame[HEAD + 12..frame.len() - 1]
}

pub(super) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// With their length, as a long string, a table and an array have it.
pub(super) fn bytes(content: &[u8]) -> Vec<u8> {
    [&u32::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag], content].concat()
}

/// Text that is good, and text that is not.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![".{0,20}".prop_map(String::into_bytes), vec(any::<u8>(), 0..20)].prop_map(|text| short(&text))
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let sizes = [(0, &b"V"[..]), (1, b"tbB"), (2, b"sUu"), (4, b"Iif"), (5, b"D"), (8, b"LldT")];
    let fixed = sizes.into_iter().flat_map(|(size, tags)| tags.iter().map(move |tag| (size, *tag)));
    let fixed = proptest::sample::select(fixed.collect::<Vec<_>>());
    let fixed = fixed.prop_flat_map(|(size, tag)| vec(any::<u8>(), size).prop_map(move |content| value(tag, &content)));
    let long = (proptest::sample::select(&b"Sx"[..]), vec(any::<u8>(), 0..20));
    let leaf = prop_oneof![fixed, long.prop_map(|(tag, content)| value(tag, &bytes(&content)))];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let table = vec((any_text(), inner.clone()), 0..4).prop_map(|entries| value(b'F', &table(entries)));
        prop_oneof![table, vec(inner, 0..4).prop_map(|values| value(b'A', &bytes(&values.concat())))]
    })
}

fn table(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let entries = entries.into_iter().map(|(name, value)| [name, value].concat());
    bytes(&entries.collect::<Vec<_>>().concat())
}

/// A header whose grammar is right.
pub(super) fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let table = vec((any_text(), any_value()), 0..4).prop_map(table);
    (any::<u16>(), vec(any_text(), 14), table, any::<[u8; 8]>()).prop_map(|(flags, texts, table, octets)| {
        let mut content = Vec::new();
        for (index, text) in texts.iter().enumerate().filter(|(index, _)| flags & (1 << (15 - index)) != 0) {
            content.extend_from_slice(match index {
                2 => &table,
                3 | 4 => &octets[..1],
                9 => &octets,
                _ => text,
            });
        }
        header(flags, &content)
    })
}

/// Any frame that a broker sends.
pub(super) fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let deliver = (any_text(), any_text(), any::<[u8; 9]>())
        .prop_map(|(exchange, key, tag)| method(60, 60, &[&short(b"tag")[..], &tag, &exchange, &key].concat()));
    prop_oneof![
        3 => any_header(),
        2 => deliver,
        2 => vec(any::<u8>(), 0..200).prop_map(|body| frame(3, &body)),
        1 => Just(frame(8, b"")),
        1 => Just(method(60, 80, &[0xff; 9])),
    ]
}
