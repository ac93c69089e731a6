//! The nodes of the broker: where each is, and which one is next.
//!
//! The address of a node holds its password, so a node shows itself as host and port only.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use lapin::uri::AMQPUri;

/// Where one node is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Node(AMQPUri);

impl Node {
    /// Reads addresses that are separated by commas, at least one; each is a node or what is wrong with it.
    pub fn parse_all(text: &str) -> Vec<Result<Self, String>> {
        let addresses: Vec<_> = text.split(',').map(str::trim).collect();
        let count = addresses.len();
        let parsed = addresses.into_iter().enumerate().map(|(index, address)| {
            Self::parse(address).map_err(|problem| match count {
                1 => problem,
                _ => format!("address {} of {count}: {problem} (a comma inside an address is %2C)", index + 1),
            })
        });
        parsed.collect()
    }

    fn parse(address: &str) -> Result<Self, String> {
        let parsed: Result<AMQPUri, String> = address.parse();
        let literal = |mut uri: AMQPUri| {
            // The parser takes an IPv6 literal for no host at all, and means localhost by that.
            if let Some(host) = ipv6(address) {
                uri.authority.host = host.into();
            }
            Self(uri)
        };
        parsed.map(literal).map_err(|problem| {
            // Some of the parser's messages repeat the whole address, and with it the password.
            let problem = if problem.contains(address) { "it is not a URL" } else { &problem };
            format!("expected amqp://user:password@host:port/vhost: {problem}")
        })
    }

    /// For the client library.
    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.0.authority.host, self.0.authority.port);
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

// What stands in brackets where the host is (RFC 3986, 3.2.2).
fn ipv6(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    host.strip_prefix('[')?.split_once(']').map(|(literal, _)| literal)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({self})")
    }
}

/// Whose turn it is, for all connections of a process together: what one has found out, the others need not.
///
/// A turn is a number that only grows; which node it means, its remainder says.
#[derive(Debug)]
pub struct Turns(AtomicUsize);

impl Turns {
    /// Beginning anywhere, so that the processes of a pool spread over the nodes.
    pub fn new(start: u16) -> Self {
        Self(AtomicUsize::new(start.into()))
    }

    /// The present turn.
    pub fn present(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// This turn has failed: the next is tried, unless another connection has moved on already.
    pub fn leave(&self, turn: usize) {
        // That another has moved on is as good.
        let _ = self.0.compare_exchange(turn, turn + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |node: Result<Node, String>| node.map_or_else(|problem| problem, |node| node.to_string());
        Node::parse_all(text).into_iter().map(show).collect()
    }

    #[test]
    fn addresses_are_separated_by_commas_and_shown_without_their_secrets() {
        assert_eq!(shown("amqp://u:secret@one:5673/%2f"), ["one:5673"]);
        assert_eq!(shown(" amqp://one/%2f , amqps://u:a%2Cb@two:1/v"), ["one:5672", "two:1"]);
        assert_eq!(
            shown("amqp://u:s[x]@[::1]:5673/v,amqp://[fe80::2],amqp://one/[::1]"),
            ["[::1]:5673", "[fe80::2]:5672", "one:5672"]
        );
        let node = Node::parse_all("amqp://u:secret@one/v").remove(0).unwrap();
        assert_eq!(format!("{node:?}"), "Node(one:5672)");
        assert_eq!(node.uri().authority.userinfo.password, "secret");
    }

    #[test]
    fn each_bad_address_is_told_by_its_place_and_none_with_its_secret() {
        assert_eq!(shown("amqp:u:secret@one"), ["expected amqp://user:password@host:port/vhost: it is not a URL"]);
        let bad = shown("amqp://one,two:secret@two,,http://three,amqp://u:secret,x@four");
        assert_eq!(bad.len(), 6);
        assert_eq!(bad[0], "one:5672");
        for (index, problem) in bad.iter().enumerate().skip(1) {
            assert!(problem.starts_with(&format!("address {} of 6: expected amqp://", index + 1)), "{problem}");
            assert!(problem.ends_with("(a comma inside an address is %2C)"), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn a_turn_is_left_once_however_many_connections_fail_in_it() {
        let turns = Turns::new(5);
        turns.leave(5);
        turns.leave(5);
        assert_eq!(turns.present(), 6);
        turns.leave(7);
        assert_eq!(turns.present(), 6);
    }
}
