//! CloudWatch Logs: what functions wrote and what commands put out, by group and stream.
//!
//! A group and a stream come to be with their first line. A filter pattern is a list of terms; patterns over JSON fields
//! are refused, since nothing here reads them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pages::page;
use super::request::Turn;
use super::state::State;
use super::{Cloud, ServiceError};

const MOST_DESCRIBED: usize = 50;
const MOST_EVENTS: usize = 10_000;

/// One line.
#[derive(Clone, Debug)]
struct LogEvent {
    /// Counts all lines of all groups, so that lines of one time keep their order.
    number: u64,
    time: Timestamp,
    message: String,
}

type Streams = BTreeMap<String, Vec<LogEvent>>;

/// The groups by account, region and name.
#[derive(Debug, Default)]
pub(super) struct LogGroups {
    groups: BTreeMap<(String, String, String), Streams>,
    lines: u64,
}

impl LogGroups {
    pub(super) fn put(
        &mut self,
        (account, region, group): (&str, &str, &str),
        stream: &str,
        time: Timestamp,
        message: &str,
    ) {
        self.lines += 1;
        let event = LogEvent { number: self.lines, time, message: message.to_owned() };
        let group = self.groups.entry((account.to_owned(), region.to_owned(), group.to_owned())).or_default();
        group.entry(stream.to_owned()).or_default().push(event);
    }
}

impl Cloud {
    /// Appends a line to a stream of a group in an account and region.
    pub fn put_log_event(&self, (account, region): (&str, &str), group: &str, stream: &str, message: &str) {
        let now = self.clock().now();
        self.state().log_groups.put((account, region, group), stream, now, message);
    }
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "DescribeLogGroups" => describe_log_groups(state, turn),
        "DescribeLogStreams" => describe_log_streams(state, turn),
        "GetLogEvents" => get_log_events(state, turn),
        "FilterLogEvents" => filter_log_events(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn invalid_token(turn: &Turn<'_>) -> ServiceError {
    turn.invalid("The specified nextToken is invalid.")
}

fn missing(what: &str) -> ServiceError {
    ServiceError::new(400, "ResourceNotFoundException", format!("The specified log {what} does not exist."))
}

/// The group that a call names, by its name or its ARN.
fn group_named<'a>(state: &'a State, turn: &Turn<'_>) -> Result<(String, &'a Streams), ServiceError> {
    let identifier = turn.optional_text("logGroupIdentifier");
    let name = match identifier.as_deref().map(|arn| arn.split(':').nth(6).unwrap_or(arn)) {
        Some(name) => name.to_owned(),
        None => turn.text("logGroupName")?,
    };
    let place = (turn.account.to_owned(), turn.region.to_owned(), name.clone());
    let streams = state.log_groups.groups.get(&place).ok_or_else(|| missing("group"))?;
    Ok((name, streams))
}

fn milliseconds(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::from(time.as_millisecond()))
}

fn stored_bytes(events: &[LogEvent]) -> usize {
    // CloudWatch counts 26 bytes for each event besides its message.
    events.iter().map(|event| event.message.len() + 26).sum()
}

fn describe_log_groups(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("limit", MOST_DESCRIBED, 1, MOST_DESCRIBED)?;
    let prefix = turn.optional_text("logGroupNamePrefix").unwrap_or_default();
    let pattern = turn.optional_text("logGroupNamePattern").unwrap_or_default();
    let groups = state.log_groups.groups.iter().filter(|((account, region, name), _)| {
        account == turn.account && region == turn.region && name.starts_with(&prefix) && name.contains(&pattern)
    });
    let token = turn.optional_text("nextToken");
    let page = page(groups.collect(), |((.., name), _)| name.clone(), size, token.as_deref(), || invalid_token(turn))?;
    let groups = page.items.into_iter().map(|((account, region, name), streams)| {
        let arn = format!("arn:aws:logs:{region}:{account}:log-group:{name}");
        let first = streams.values().filter_map(|events| Some(events.first()?.time)).min();
        json!({
            "logGroupName": name,
            "creationTime": milliseconds(first),
            "metricFilterCount": 0,
            "arn": format!("{arn}:*"),
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "storedBytes": streams.values().map(|events| stored_bytes(events)).sum::<usize>(),
        })
    });
    Ok(with_token(json!({ "logGroups": groups.collect::<Vec<_>>() }), page.next_token))
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["nextToken"] = Value::from(token);
    }
    answer
}

fn describe_log_streams(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (group, streams) = group_named(state, turn)?;
    let size = turn.number("limit", MOST_DESCRIBED, 1, MOST_DESCRIBED)?;
    let prefix = turn.optional_text("logStreamNamePrefix").unwrap_or_default();
    let by_time = match turn.optional_text("orderBy").as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") if prefix.is_empty() => true,
        Some("LastEventTime") => return Err(turn.invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")),
        Some(other) => return Err(turn.invalid(format!("{other} is no order of log streams."))),
    };
    let mut listed: Vec<(&String, &Vec<LogEvent>)> =
        streams.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    if by_time {
        listed.sort_by_key(|(name, events)| (events.last().map(|event| event.time), (*name).clone()));
    }
    if turn.flag("descending") {
        listed.reverse();
    }
    let token = turn.optional_text("nextToken");
    let page = page(listed, |(name, _)| (*name).clone(), size, token.as_deref(), || invalid_token(turn))?;
    let shown = page.items.into_iter().map(|(name, events)| {
        let (first, last) = (events.first().map(|event| event.time), events.last().map(|event| event.time));
        json!({
            "logStreamName": name,
            "creationTime": milliseconds(first),
            "firstEventTimestamp": milliseconds(first),
            "lastEventTimestamp": milliseconds(last),
            "lastIngestionTime": milliseconds(last),
            "arn": format!("arn:aws:logs:{}:{}:log-group:{group}:log-stream:{name}", turn.region, turn.account),
            "storedBytes": 0,
        })
    });
    Ok(with_token(json!({ "logStreams": shown.collect::<Vec<_>>() }), page.next_token))
}

/// From startTime on, and before endTime.
struct Span {
    start: Option<i64>,
    end: Option<i64>,
}

impl Span {
    /// Both are milliseconds; a text in their place, which CloudWatch refuses, must not stand for no bound at all.
    fn of(turn: &Turn<'_>) -> Result<Span, ServiceError> {
        let bound = |name: &str| match turn.member(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                let message = format!("{value} at '{name}' can not be converted to a Long");
                ServiceError::new(400, "SerializationException", message)
            }),
        };
        Ok(Span { start: bound("startTime")?, end: bound("endTime")? })
    }

    fn holds(&self, event: &LogEvent) -> bool {
        let time = event.time.as_millisecond();
        self.start.is_none_or(|start| time >= start) && self.end.is_none_or(|end| time < end)
    }
}

/// Without a token the newest page, or the oldest with startFromHead. A forward token says how many events of the stream
/// were seen, a backward one how many come before: at either end the same token is given back, as CloudWatch does.
fn get_log_events(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (_, streams) = group_named(state, turn)?;
    let stream = streams.get(&turn.text("logStreamName")?).ok_or_else(|| missing("stream"))?;
    let span = Span::of(turn)?;
    let events: Vec<&LogEvent> = stream.iter().filter(|event| span.holds(event)).collect();
    let size = turn.number("limit", MOST_EVENTS, 1, MOST_EVENTS)?;
    let token = turn.optional_text("nextToken");
    let position = token.as_deref().map(|token| match token.split_once('/') {
        Some((way @ ("f" | "b"), number)) => number.parse().map(|number| (way == "f", number)).map_err(|_| ()),
        Some(_) | None => Err(()),
    });
    let (start, end) = match position.transpose().map_err(|()| invalid_token(turn))? {
        Some((true, seen)) => (events.len().min(seen), events.len().min(seen.saturating_add(size))),
        Some((false, before)) => (before.min(events.len()).saturating_sub(size), before.min(events.len())),
        None if turn.flag("startFromHead") => (0, events.len().min(size)),
        None => (events.len().saturating_sub(size), events.len()),
    };
    let shown = events[start..end].iter().map(|event| {
        let time = event.time.as_millisecond();
        json!({ "timestamp": time, "message": event.message, "ingestionTime": time })
    });
    Ok(json!({
        "events": shown.collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{end}"),
        "nextBackwardToken": format!("b/{start}"),
    }))
}

fn filter_log_events(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (_, streams) = group_named(state, turn)?;
    let size = turn.number("limit", MOST_EVENTS, 1, MOST_EVENTS)?;
    let names = turn.texts("logStreamNames");
    let prefix = turn.optional_text("logStreamNamePrefix").unwrap_or_default();
    let (pattern, span) = (Pattern::parse(turn)?, Span::of(turn)?);
    let mut found: Vec<(&String, &LogEvent)> = streams
        .iter()
        .filter(|(name, _)| (names.is_empty() || names.contains(name)) && name.starts_with(&prefix))
        .flat_map(|(name, events)| events.iter().map(move |event| (name, event)))
        .filter(|(_, event)| span.holds(event) && pattern.matches(&event.message))
        .collect();
    found.sort_by_key(|(_, event)| (event.time, event.number));
    let token = turn.optional_text("nextToken");
    let page = page(found, |(_, event)| event.number.to_string(), size, token.as_deref(), || invalid_token(turn))?;
    let events = page.items.into_iter().map(|(stream, event)| {
        let time = event.time.as_millisecond();
        json!({
            "logStreamName": stream,
            "timestamp": time,
            "message": event.message,
            "ingestionTime": time,
            "eventId": format!("{:056}", event.number),
        })
    });
    Ok(with_token(json!({ "events": events.collect::<Vec<_>>(), "searchedLogStreams": [] }), page.next_token))
}

/// Terms: `a b` means both, `?a ?b` either, `-a` none; quotes keep a phrase together.
struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    fn parse(turn: &Turn<'_>) -> Result<Pattern, ServiceError> {
        let text = turn.optional_text("filterPattern").unwrap_or_default();
        if text.trim_start().starts_with(['{', '[', '%']) {
            return Err(turn.invalid("the local AWS knows filter patterns of terms only, not of fields or expressions"));
        }
        let mut pattern = Pattern { all: Vec::new(), any: Vec::new(), none: Vec::new() };
        let (mut terms, mut term, mut quoted) = (Vec::new(), String::new(), false);
        for letter in text.chars() {
            match letter {
                '"' => quoted = !quoted,
                ' ' if !quoted => terms.push(std::mem::take(&mut term)),
                other => term.push(other),
            }
        }
        terms.push(term);
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            match (term.strip_prefix('?'), term.strip_prefix('-')) {
                (Some(term), _) => pattern.any.push(term.to_owned()),
                (None, Some(term)) => pattern.none.push(term.to_owned()),
                (None, None) => pattern.all.push(term),
            }
        }
        Ok(pattern)
    }

    fn matches(&self, message: &str) -> bool {
        let holds = |term: &String| message.contains(term.as_str());
        self.all.iter().all(holds)
            && (self.any.is_empty() || self.any.iter().any(holds))
            && !self.none.iter().any(holds)
    }
}
