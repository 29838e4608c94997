//! Inputs and outputs without their repetitions: the settings are in every state's input, and most of a state's output
//! is its input again.
//!
//! Every larger object or array is kept once in a table and referred to as `{"@": place}`. What looks like a reference
//! itself is always put into the table, where nothing is read as one at the top; so nothing can be mistaken for one.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// What is shorter as JSON is cheaper to repeat than to refer to.
const WORTH_SHARING: usize = 48;
const REFERENCE: &str = "@";

/// The table while it is filled.
#[derive(Default)]
pub(super) struct Payloads {
    table: Vec<Value>,
    places: HashMap<String, usize>,
}

impl Payloads {
    /// Takes a payload in; where it is kept.
    pub(super) fn keep(&mut self, payload: &Value) -> usize {
        let packed = self.pack_members(payload);
        self.place_of(packed)
    }

    /// The table, complete.
    pub(super) fn into_table(self) -> Vec<Value> {
        self.table
    }

    fn pack(&mut self, value: &Value) -> Value {
        let looks_like_a_reference = value.as_object().is_some_and(|members| members.contains_key(REFERENCE));
        let packed = self.pack_members(value);
        let is_large = (value.is_object() || value.is_array()) && packed.to_string().len() > WORTH_SHARING;
        if looks_like_a_reference || is_large { json!({ REFERENCE: self.place_of(packed) }) } else { packed }
    }

    fn pack_members(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let packed: Map<_, _> =
                    members.iter().map(|(name, member)| (name.clone(), self.pack(member))).collect();
                Value::Object(packed)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.pack(item)).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn place_of(&mut self, packed: Value) -> usize {
        let Payloads { table, places } = self;
        *places.entry(packed.to_string()).or_insert_with(|| {
            table.push(packed);
            table.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the page does it.
    fn unpack(table: &[Value], value: &Value) -> Value {
        match value {
            Value::Object(members) => match members.get(REFERENCE).and_then(Value::as_u64) {
                Some(place) => unpack_members(table, &table[usize::try_from(place).unwrap()]),
                None => unpack_members(table, value),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                unpack_members(table, value)
            }
        }
    }

    fn unpack_members(table: &[Value], value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), unpack(table, member))).collect()
            }
            Value::Array(items) => items.iter().map(|item| unpack(table, item)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    #[test]
    fn every_payload_comes_back_as_it_was_even_one_that_looks_like_a_reference() {
        let settings =
            json!({"rotation": "sql-backups", "credentials": ["s3://one.example", "s3://two.example"], "n": 1});
        let all = [
            json!({"settings": settings, "mode": "rotate"}),
            json!({"settings": settings, "more": {"@": 0}, "list": [{"@": {"@": 1}}, [], {}, null]}),
            json!({"@": 0}),
            json!("a text"),
        ];
        let mut payloads = Payloads::default();
        let places: Vec<usize> = all.iter().map(|payload| payloads.keep(payload)).collect();
        let table = payloads.into_table();
        for (payload, place) in all.iter().zip(places) {
            assert_eq!(unpack_members(&table, &table[place]), *payload);
        }
    }

    #[test]
    fn what_is_said_twice_is_kept_once() {
        let settings = json!({"text": "x".repeat(1000)});
        let mut payloads = Payloads::default();
        (0..100).for_each(|number| {
            payloads.keep(&json!({"settings": settings, "number": number}));
        });
        assert!(serde_json::to_string(&payloads.into_table()).unwrap().len() < 6_000);
    }
}
