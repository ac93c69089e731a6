//! Lists that the API gives a page at a time.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::client::{Client, Error};

// What the API gives at most at once.
const LARGEST_PAGE: usize = 500;

/// What was found, and where the rest begins.
#[derive(Debug)]
pub struct Found {
    name: &'static str,
    items: Vec<Value>,
    next: Option<String>,
}

/// A list of the API: its route, and the name under which it holds its items.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// The route.
    pub path: &'static [&'static str],
    /// The field of the answer.
    pub name: &'static str,
}

impl List {
    /// The first `limit` items after `cursor`, over as many pages as it takes: one may be empty and still name the next.
    pub async fn fetch(
        self,
        client: &Client,
        mut parameters: Vec<(&'static str, Option<String>)>,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Found, Error> {
        let mut found = Found { name: self.name, items: Vec::new(), next: cursor };
        let filters = parameters.len();
        loop {
            let wanted = (limit - found.items.len()).min(LARGEST_PAGE);
            parameters.truncate(filters);
            parameters.extend([("limit", Some(wanted.to_string())), ("cursor", found.next.take())]);
            let mut page: Map<String, Value> = client.get(self.path, &parameters).await?.read()?;
            if let Some(Value::Array(items)) = page.remove(self.name) {
                found.items.extend(items);
            }
            if let Some(Value::String(next)) = page.remove("next") {
                found.next = Some(next);
            }
            if found.next.is_none() || found.items.len() >= limit {
                return Ok(found);
            }
        }
    }
}

impl Found {
    /// As the API would give it, had it no limit.
    pub fn document(&self) -> Value {
        json!({ self.name: self.items, "next": self.next })
    }

    /// The items.
    pub fn read<T: DeserializeOwned>(&self, client: &Client) -> Result<Vec<T>, Error> {
        let items = serde_json::from_value(Value::Array(self.items.clone()));
        items.map_err(|source| Error::Unreadable { url: client.address().clone(), source })
    }

    /// A word on standard error about there being more.
    pub fn say_whether_all(&self) {
        if let Some(next) = &self.next {
            eprintln!("there are more: --limit {} or more, or --cursor {next}", self.items.len() * 2);
        }
    }
}
