//! How a tale is told: its chapters one after the other, then the days in which everything must come right.
//!
//! At the end faults stop and every host comes home. From then on only the schedule's daily run happens; and where that
//! run refuses, a person does the one thing that its message names ([`crate::remedy`]), and nothing else.

use std::pin::Pin;

use sandbox::cloud::InstanceState;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::WorldError;
use serde_json::Value;

use crate::acts::Act;
use crate::beginning::{ARCHIVE, fleet_of, host, name_archive, settings};
use crate::chance::{Chapter, HOSTS, Tale};
use crate::history::History;
use crate::judgement::undone;
use crate::remedy::remedied;

/// Days between the runs after the last fault: belief, an orphan, an overdue rotation; then each wait in its turn. A
/// history that began a rotation late may need them all.
const DAYS: [u32; 14] = [1, 1, 1, 2, 8, 8, 8, 8, 8, 8, 8, 8, 21, 21];
/// So many things at most does a person do after all that was done by hand.
const REMEDIES: usize = 6;

/// One thing that goes on in a chapter.
type Part<'a> = Pin<Box<dyn Future<Output = Option<Execution>> + Send + 'a>>;

/// Tells a tale. Call it inside [`crate::history::in_its_own_time`].
///
/// # Errors
/// Says what could not be made or deployed.
pub async fn told(tale: &Tale) -> Result<History, WorldError> {
    let mut entries: Vec<Value> = (1..=HOSTS).map(host).collect();
    let mut settings = settings();
    settings["schedule"] = Value::Object(serde_json::Map::new());
    settings["proof"] = settings["schedule"].clone();
    if tale.archive {
        name_archive(&mut settings, false);
        entries
            .iter_mut()
            .for_each(|entry| entry["sqlServers"][0]["furtherCredentials"] = serde_json::json!([ARCHIVE]));
    }
    let mut file = fleet_of(entries).map_err(|error| WorldError::Definition(error.to_string()))?;
    file.late_visibility = tale.late;
    let mut history = History::begin(tale.seed, &file, settings.clone(), [].into())?;
    for (number, chapter) in tale.chapters.iter().enumerate() {
        history.world.pass_days(chapter.days).await;
        if let Some(change) = chapter.change {
            change.made(&mut settings);
            history.deploy(settings.clone(), &format!("{change:?}"))?;
        }
        chapter.before.iter().for_each(|act| history.happens(act));
        live(&mut history, number, chapter).await;
    }
    come_home(&history);
    come_right(&mut history).await;
    Ok(history)
}

/// The runs of a chapter, and what happens meanwhile.
async fn live(history: &mut History, number: usize, chapter: &Chapter) {
    history.wire.heal();
    chapter.faults.iter().for_each(|(call, fault)| history.wire.strike(*call, *fault));
    let told = &*history;
    let clock = &told.world.clock;
    let started = clock.now();
    let mut parts: Vec<Part<'_>> = vec![Box::pin(told.start(format!("chapter-{number}"), &chapter.run))];
    if let Some((after, input)) = &chapter.beside {
        parts.push(Box::pin(async move {
            clock.sleep(std::time::Duration::from_millis(*after)).await;
            told.start(format!("beside-{number}"), input).await
        }));
    }
    parts.push(Box::pin(async move {
        for (after, act) in &chapter.during {
            let passed = u64::try_from(clock.now().duration_since(started).as_millis()).unwrap_or_default();
            clock.sleep(std::time::Duration::from_millis(after.saturating_sub(passed))).await;
            told.happens(act);
        }
        None
    }));
    let ended = clock.join_all(parts).await;
    ended.iter().flatten().for_each(|execution| history.note(execution));
}

/// Faults stop, and whoever is silent, stopped, broken or outside the fleet comes back. A host that stayed outside would
/// go on using the old key every night, which rightly keeps it.
fn come_home(history: &History) {
    history.wire.heal();
    let world = &history.world;
    for (number, instance) in (1..)
        .map(|number| (number, crate::beginning::id(number)))
        .map_while(|(number, id)| (number <= 99).then(|| (number, world.cloud.instance(&id))))
    {
        let Some(instance) = instance.filter(|instance| instance.state != InstanceState::Terminated) else { continue };
        history.happens(&Act::Cure(number));
        if !instance.tags.contains_key("SQL") {
            history.happens(&Act::Tag(number));
        }
        if instance.state == InstanceState::Stopped {
            history.happens(&Act::Start(number));
        } else if !instance.online {
            history.happens(&Act::Answer(number));
        }
    }
}

/// The daily runs, and a person who does what a refusal asks for.
async fn come_right(history: &mut History) {
    let (mut days, mut remedies) = (DAYS.iter(), 0);
    let mut refused: Option<Option<String>> = None;
    while let Some(some) = days.next() {
        let execution = history.converge_after(*some).await;
        if undone(&history.world).is_empty() {
            return;
        }
        let error = execution.error.clone().filter(|_| execution.status != ExecutionStatus::Succeeded);
        // What passes by itself is not there the next day.
        let lasts = refused.as_ref() == Some(&error);
        refused = Some(error);
        if lasts && remedies < REMEDIES && remedied(history, &execution).await {
            remedies += 1;
            (days, refused) = (DAYS.iter(), None);
        }
    }
}
