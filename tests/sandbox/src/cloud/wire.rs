//! The shapes of the query protocols: forms in, XML out.
//!
//! Behind the wire every service speaks JSON with the API reference's member names; awsQuery (IAM, STS, SNS) and
//! ec2Query (EC2) differ only in how lists and names are spelled, so one pair of functions serves all actions.

use serde_json::{Map, Value};

/// A form's fields as a structure: `Tags.member.1.Key=a` and `Filter.1.Value.2=b` become lists.
pub(super) fn parse_form(body: &[u8]) -> (String, Value) {
    let mut action = String::new();
    let mut root = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        match name.as_ref() {
            "Action" => action = value.into_owned(),
            "Version" => {}
            _ => insert(&mut root, &name.split('.').collect::<Vec<_>>(), value.into_owned()),
        }
    }
    (action, lists(Value::Object(root)))
}

fn insert(map: &mut Map<String, Value>, path: &[&str], value: String) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        map.insert((*first).to_owned(), Value::from(value));
        return;
    }
    let child = map.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(child) = child {
        insert(child, rest, value);
    }
}

/// Maps whose keys are numbers are lists, and `member` is only a word of the protocol.
fn lists(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    if map.len() == 1
        && let Some(members) = map.remove("member")
    {
        return lists(members);
    }
    let mut numbered: Vec<(usize, Value)> = Vec::new();
    for (key, value) in &map {
        match key.parse() {
            Ok(number) => numbered.push((number, value.clone())),
            Err(_) => return Value::Object(map.into_iter().map(|(key, value)| (key, lists(value))).collect()),
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    Value::Array(numbered.into_iter().map(|(_, value)| lists(value)).collect())
}

/// EC2 sends lists under singular names.
pub(super) fn with_ec2_names(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(with_ec2_names).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let listed = value.is_array();
                    let name = match key.as_str() {
                        "Filter" => "Filters",
                        "InstanceId" if listed => "InstanceIds",
                        "ResourceId" => "Resources",
                        "Tag" => "Tags",
                        "Value" if listed => "Values",
                        other => other,
                    };
                    (name.to_owned(), with_ec2_names(value))
                })
                .collect(),
        ),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}

/// How a protocol spells names and list items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `<Tags><member>…</member></Tags>`
    Query,
    /// `<tagSet><item>…</item></tagSet>`
    Ec2,
    /// `<Contents>…</Contents><Contents>…</Contents>`
    Flat,
}

impl Spelling {
    fn name(self, member: &str) -> String {
        match (self, member) {
            (Spelling::Query | Spelling::Flat, _) => member.to_owned(),
            (Spelling::Ec2, "Reservations") => "reservationSet".to_owned(),
            (Spelling::Ec2, "Instances" | "StartingInstances" | "StoppingInstances" | "TerminatingInstances") => {
                "instancesSet".to_owned()
            }
            (Spelling::Ec2, "InstanceStatuses") => "instanceStatusSet".to_owned(),
            (Spelling::Ec2, "Tags") => "tagSet".to_owned(),
            (Spelling::Ec2, "BlockDeviceMappings") => "blockDeviceMapping".to_owned(),
            (Spelling::Ec2, other) => lower_first(other),
        }
    }

    fn item(self) -> &'static str {
        match self {
            Spelling::Query | Spelling::Flat => "member",
            Spelling::Ec2 => "item",
        }
    }
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_lowercase().to_string() + characters.as_str()).unwrap_or_default()
}

/// The members of a structure as XML elements.
pub(super) fn xml_members(value: &Value, spelling: Spelling) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(|item| element(spelling.item(), item, spelling)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| member(name, value, spelling)).collect(),
    }
}

fn member(name: &str, value: &Value, spelling: Spelling) -> String {
    // A map is a list of entries; SNS alone has one here.
    if let (Spelling::Query, "Attributes", Value::Array(entries)) = (spelling, name, value) {
        let entries: String = entries.iter().map(|entry| element("entry", entry, spelling)).collect();
        return format!("<Attributes>{entries}</Attributes>");
    }
    if let (Spelling::Flat, Value::Array(items)) = (spelling, value) {
        return items.iter().map(|item| element(name, item, spelling)).collect();
    }
    // An instance's state is the one structure whose EC2 name is not its member's.
    let name = match (spelling, name, value.is_object()) {
        (Spelling::Ec2, "State", true) => "instanceState".to_owned(),
        _ => spelling.name(name),
    };
    element(&name, value, spelling)
}

fn element(name: &str, value: &Value, spelling: Spelling) -> String {
    format!("<{name}>{}</{name}>", xml_members(value, spelling))
}

/// Text between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
