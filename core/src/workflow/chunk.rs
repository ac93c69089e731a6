//! A list cut into chunks, and the results of the chunks as one list again.

use std::ops::Range;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::LARGEST;

/// How a list is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Into chunks of this size; the last may be smaller.
    Size(u32),
    /// Into so many chunks, of sizes that differ by one at most; of a shorter list into one for each item.
    Count(u32),
}

impl Cut {
    /// How many chunks a list of this length gives.
    pub fn chunks(self, length: u32) -> u32 {
        match self {
            Self::Size(size) => length.div_ceil(size.max(1)),
            Self::Count(count) => count.max(1).min(length),
        }
    }

    /// How long a list in JSON is that can be cut so. Its items are not looked at.
    ///
    /// # Errors
    /// Where it is no list, or would give too many chunks, with what was expected.
    pub fn measure(self, list: &[u8]) -> Result<u32, String> {
        let items = std::str::from_utf8(list).ok().and_then(|list| serde_json::from_str::<Vec<IgnoredAny>>(list).ok());
        let length = u32::try_from(items.ok_or("expected a list")?.len()).unwrap_or(u32::MAX);
        match self.chunks(length) as usize {
            chunks if chunks > LARGEST => Err(format!("expected at most {LARGEST} chunks, got {chunks}")),
            _ => Ok(length),
        }
    }
}

/// Which items of a list of this length are in a chunk.
pub fn slice(cut: Cut, length: u32, chunk: u32) -> Range<usize> {
    let (length, chunk) = (u64::from(length), u64::from(chunk));
    let bound = |chunk: u64| match cut {
        Cut::Size(size) => chunk * u64::from(size.max(1)),
        Cut::Count(count) => chunk * length / u64::from(count.max(1)).min(length).max(1),
    };
    let place = |chunk| usize::try_from(bound(chunk).min(length)).expect("a list in memory has a length in memory");
    place(chunk)..place(chunk + 1)
}

/// The results of all chunks as one: where each is a list, the items of all of them; else a list of the results.
pub fn join(results: Vec<Value>) -> Value {
    if results.iter().all(Value::is_array) {
        let items = results.into_iter().flat_map(|result| match result {
            Value::Array(items) => items,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Vec::new(),
        });
        Value::Array(items.collect())
    } else {
        Value::Array(results)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_joined_and_other_results_are_listed() {
        assert_eq!(join(vec![json!([1, 2]), json!([]), json!([3])]), json!([1, 2, 3]));
        assert_eq!(join(vec![json!([1]), json!(null), json!("x")]), json!([[1], null, "x"]));
        assert_eq!(join(vec![]), json!([]));
    }

    proptest! {
        #[test]
        fn the_chunks_are_the_list_in_order(length in 0_u32..3_000, number in 1_u32..500, by_size: bool) {
            let cut = if by_size { Cut::Size(number) } else { Cut::Count(number) };
            let chunks: Vec<_> = (0..cut.chunks(length)).map(|chunk| slice(cut, length, chunk)).collect();
            let joined: Vec<_> = chunks.iter().cloned().flatten().collect();
            prop_assert_eq!(joined, (0..length as usize).collect::<Vec<_>>());
            let sizes: Vec<_> = chunks.iter().map(ExactSizeIterator::len).collect();
            prop_assert!(sizes.iter().all(|size| *size > 0));
            match cut {
                Cut::Size(size) => prop_assert!(sizes.iter().rev().skip(1).all(|one| *one == size as usize)),
                Cut::Count(_) => prop_assert!(sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0) <= 1),
            }
        }
    }
}
