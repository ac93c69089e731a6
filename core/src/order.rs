//! Tasks that run one after the other: which of a queue's lanes those of a key go by.
//!
//! Each lane is consumed by one worker at a time, which starts no task before the last of the same key has ended. So more
//! lanes spread the keys over more workers.

use crate::OrderKey;

/// How many lanes a queue has. All processes of a pool must agree on it.
pub const LANES: u8 = 8;

/// The lane of a key, from 0 on: its FNV-1a hash of 64 bits, modulo the number of lanes.
pub fn lane(key: &OrderKey) -> u8 {
    let hash = key
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    u8::try_from(hash % u64::from(LANES)).expect("it is smaller than the number of lanes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> u8 {
        lane(&OrderKey::parse(key).unwrap())
    }

    // Processes of different versions must agree: two workers would run tasks of one key at once.
    #[test]
    fn a_key_keeps_its_lane_for_ever() {
        let lanes = ["a", "foobar", "customer-42", "42", "ü"].map(of);
        assert_eq!(lanes, [4, 0, 6, 3, 2]);
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = [0; LANES as usize];
        for n in 0..8_000 {
            counts[usize::from(of(&format!("customer-{n}")))] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
