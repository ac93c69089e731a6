use proptest::{prelude::*, sample::select};

use super::*;

const ABOUT: [(&str, &str); 6] = [
    ("task", r#""t1""#),
    ("at", "15"),
    ("kind", r#""resize""#),
    ("queue", r#""default""#),
    ("priority", "5"),
    ("later", "[]"),
];
const SUBMITTED: [(&str, &str); 8] = [
    ("type", r#""submitted""#),
    ("size", "3"),
    ("due", "20"),
    ("deadline", "30"),
    ("app", r#""shop \u00e9""#),
    ("order_key", r#""user-7""#),
    ("transient", "true"),
    ("preview", r#"{"ct":"text/plain","txt":"a\"b"}"#),
];
const STARTED: [(&str, &str); 6] = [
    ("type", r#""started""#),
    ("attempt", "1"),
    ("worker", r#""host-1""#),
    ("limit", "300"),
    ("traceparent", r#""00-4b-00-01""#),
    ("transient", "false"),
];
const ENDED: [(&str, &str); 11] = [
    ("type", r#""ended""#),
    ("attempt", "2"),
    ("started", "10"),
    ("worker", r#""host-1""#),
    ("outcome", r#""success""#),
    ("output", r#"{"json":{"a":[1,2.5,null]}}"#),
    ("error", r#""no route""#),
    ("after_ms", "7"),
    ("limit_ms", "8"),
    ("verdict", r#""complete""#),
    ("due", "1015"),
];
// What stands in the place of something else.
const VALUES: [&str; 24] = [
    "null",
    "5",
    "-1",
    "1e3",
    "true",
    r#""a b""#,
    r#""default""#,
    "[1]",
    r#"{"txt":"a","bin":"b"}"#,
    r#"{"text":"done"}"#,
    r#""success""#,
    r#""retryable""#,
    r#""permanent""#,
    r#""timeout""#,
    r#""cancelled""#,
    r#""crashed""#,
    r#""retry""#,
    r#""dead_letter""#,
    r#""cancel""#,
    r#""poison""#,
    r#""submitted""#,
    r#""heartbeat""#,
    r#""teleported""#,
    r#""\u0065nded""#,
];

type Field = (&'static str, &'static str);

#[derive(Debug, Clone)]
enum Oddity {
    Without(usize),
    Twice(usize),
    Instead(usize, &'static str),
    Moved(usize, usize),
}

fn oddity() -> impl Strategy<Value = Oddity> {
    prop_oneof![
        any::<usize>().prop_map(Oddity::Without),
        any::<usize>().prop_map(Oddity::Twice),
        (any::<usize>(), select(&VALUES[..])).prop_map(|(place, value)| Oddity::Instead(place, value)),
        any::<(usize, usize)>().prop_map(|(from, to)| Oddity::Moved(from, to)),
    ]
}

fn change(fields: &mut Vec<Field>, oddity: &Oddity) {
    let count = fields.len();
    match *oddity {
        Oddity::Without(place) => drop(fields.remove(place % count)),
        Oddity::Twice(place) => fields.push(fields[place % count]),
        Oddity::Instead(place, value) => fields[place % count].1 = value,
        Oddity::Moved(from, to) => {
            let field = fields.remove(from % count);
            fields.insert(to % count, field);
        }
    }
}

fn batch(fields: &[Field]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    let stopped = r#"{"type":"worker_stopped","worker":"w","at":5}"#;
    format!(r#"{{"v":1,"source":"s","seq":7,"events":[{{{}}},{stopped}]}}"#, fields.join(","))
}

fn usual(kind: &[Field]) -> Vec<Field> {
    let mut fields = kind.to_vec();
    fields.splice(1..1, ABOUT);
    fields
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_is_what_the_tagged_event_makes_of_it(
        kind in select(vec![&SUBMITTED[..], &STARTED[..], &ENDED[..]]),
        oddities in prop::collection::vec(oddity(), 0..4),
    ) {
        let mut fields = usual(kind);
        for oddity in &oddities {
            change(&mut fields, oddity);
        }
        let text = batch(&fields);
        let (read, tagged) = (Batch::decode(text.as_bytes()), serde_json::from_str::<Batch>(&text));
        prop_assert_eq!(read.map_err(|error| error.to_string()), tagged.map_err(|error| error.to_string()), "{}", text);
    }
}

#[test]
fn the_usual_events_are_read_here_and_not_left_to_the_tagged_one() {
    for kind in [&SUBMITTED[..], &STARTED[..], &ENDED[..]] {
        let text = batch(&usual(kind));
        assert!(read(text.as_bytes()).is_some(), "{text}");
    }
    for (outcome, verdict) in
        [("retryable", "retry"), ("permanent", "complete"), ("timeout", "cancel"), ("crashed", "retry")]
    {
        let mut fields = usual(&ENDED);
        let (outcome, verdict) = (format!("{outcome:?}").leak(), format!("{verdict:?}").leak());
        fields.retain(|(name, _)| !["outcome", "verdict"].contains(name));
        fields.extend([("outcome", &*outcome), ("verdict", &*verdict)]);
        let text = batch(&fields);
        assert_eq!(read(text.as_bytes()), serde_json::from_str(&text).ok(), "{text}");
    }
}
