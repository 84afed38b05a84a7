//! Which events a shredding is about, and what stays of each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Carried, Mentions, Shred};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, EventKind, Imported, ImportedFile, Payload, Position, SkippedLine, Stub};
use crate::projection::{corrections_of, file_states};
use crate::store::{GO_ON, ReadView};

/// What is to be shredded.
pub(super) struct Plan {
    positions: BTreeSet<Position>,
    /// Those that were named one by one: of these all goes that can.
    named: BTreeSet<Position>,
    /// The files whose names go.
    paths: HashSet<String>,
    imports: bool,
}

impl Plan {
    /// Looks up what is asked for, and the corrections of it.
    pub fn make(view: &dyn ReadView, shred: &Shred) -> Result<Self> {
        let mut plan =
            Self { positions: BTreeSet::new(), named: BTreeSet::new(), paths: HashSet::new(), imports: false };
        for id in &shred.events {
            let position = view.position_of(*id)?.ok_or_else(|| Error::NotFound { what: format!("with id {id}") })?;
            plan.named.insert(position);
            plan.name(view, position)?;
        }
        if !shred.carried.is_empty() {
            let conversations = plan.find(view, &shred.carried)?;
            plan.find_files(view, &conversations, &Mentions::of(&shred.carried))?;
        }
        plan.follow(view)?;
        Ok(plan)
    }

    /// The events, in order.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.positions.iter().copied()
    }

    /// Whether something of an import goes.
    pub const fn has_imports(&self) -> bool {
        self.imports
    }

    /// What stays of an event; `None` when all of it does.
    pub fn kept(&self, position: Position, event: &Event) -> Option<Event> {
        let goes = match &event.payload {
            Payload::Imported(run) => self.named.contains(&position) || self.concerns(run),
            _ => true,
        };
        if goes { event.withdrawn() } else { None }
    }

    fn concerns(&self, run: &Imported) -> bool {
        run.files.iter().any(|file| self.paths.contains(&file.path))
            || run.skipped.iter().any(|line| self.paths.contains(&line.file))
    }

    /// What runs of importers that go say of other files, and no later run says anew, by importer. It is to be told
    /// again, in events of its own that can go as well one day.
    pub fn restated(&self, view: &dyn ReadView) -> Result<Vec<Imported>> {
        let mut again: BTreeMap<String, Imported> = BTreeMap::new();
        let mut states = BTreeMap::new();
        for position in &self.positions {
            let event = Event::from_line(*position, &view.expect_line(*position)?)?;
            let Payload::Imported(run) = event.payload else { continue };
            if self.named.contains(position) {
                continue;
            }
            let latest = match states.entry(run.source.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(file_states(view, &run.source)?),
            };
            let other = |path: &String| !self.paths.contains(path);
            let files = run.files.into_iter().filter(|file| other(&file.path) && latest.get(&file.path) == Some(file));
            let skipped = run.skipped.into_iter().filter(|line: &SkippedLine| other(&line.file));
            let (files, skipped): (Vec<_>, Vec<_>) = (files.collect(), skipped.collect());
            let told = again.entry(run.source.clone()).or_insert_with(|| Imported::new(run.source));
            told.version = told.version.max(run.version);
            told.files.extend(files);
            told.skipped.extend(skipped);
        }
        again.retain(|_, run| {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.files.dedup_by(|a, b| a.path == b.path);
            !run.files.is_empty()
        });
        Ok(again.into_values().collect())
    }

    /// Adds an event when something of it is to go.
    fn add(&mut self, position: Position, event: &Event) -> bool {
        let goes = self.kept(position, event).is_some();
        if goes {
            self.imports |= matches!(event.payload, Payload::Imported(_));
            self.positions.insert(position);
        }
        goes
    }

    /// Adds an event that was named.
    fn name(&mut self, view: &dyn ReadView, position: Position) -> Result<()> {
        let line = view.expect_line(position)?;
        let event = Event::from_line(position, &line)?;
        if self.add(position, &event) || Stub::is(&line) {
            return Ok(());
        }
        let why = match &event.payload {
            Payload::EventShredded(_) => "it states what was shredded and why, which must stay".to_owned(),
            Payload::PeriodSealed(_) => "it is a signed statement of totals".to_owned(),
            _ => "it holds numbers and what counters go by, and nothing else".to_owned(),
        };
        Err(Error::invalid(format!("position {position} is a {}: {why}", event.payload.kind())))
    }

    /// Adds the records that carry one of the names; gives their conversations.
    fn find(&mut self, view: &dyn ReadView, carried: &[Carried]) -> Result<HashSet<String>> {
        let written: Vec<String> = carried.iter().map(Carried::written).collect::<Result<_>>()?;
        let mut conversations: HashSet<String> = HashSet::new();
        conversations.extend(carried.iter().filter_map(|carried| match carried {
            Carried::Conversation(id) => Some(id.clone()),
            _ => None,
        }));
        view.rows(Position::START.next(), &mut |position, row| {
            if !written.iter().any(|name| row.body.contains(name.as_str())) {
                return GO_ON;
            }
            let event = Event::from_line(position, row.body)?;
            let record = match &event.payload {
                Payload::TokensRecorded(record) => record,
                Payload::TokensAmended(amend) => &amend.replacement,
                _ => return GO_ON,
            };
            if carried.iter().any(|carried| carried.by(record)) {
                conversations.extend(record.conversation.clone());
                self.add(position, &event);
            }
            GO_ON
        })?;
        Ok(conversations)
    }

    /// Adds what importers wrote down of the logs of conversations, and of those whose paths mention a name: of a log
    /// that told nothing new no record tells.
    fn find_files(&mut self, view: &dyn ReadView, conversations: &HashSet<String>, mentions: &Mentions) -> Result<()> {
        let mut runs = Vec::new();
        view.rows(Position::START.next(), &mut |position, row| {
            if row.is_kind(EventKind::Imported) {
                let event = Event::from_line(position, row.body)?;
                if let Payload::Imported(run) = &event.payload {
                    let theirs = |file: &&ImportedFile| {
                        file.conversation.as_ref().is_some_and(|conversation| conversations.contains(conversation))
                            || mentions.is_in(&file.path)
                    };
                    self.paths.extend(run.files.iter().filter(theirs).map(|file| file.path.clone()));
                    let lines = run.skipped.iter().filter(|line| mentions.is_in(&line.file));
                    self.paths.extend(lines.map(|line| line.file.clone()));
                }
                runs.push(position);
            }
            GO_ON
        })?;
        if !self.paths.is_empty() {
            for position in runs {
                let event = Event::from_line(position, &view.expect_line(position)?)?;
                self.add(position, &event);
            }
        }
        Ok(())
    }

    /// Adds the corrections of what is there, and the corrections of those. A call goes as a whole, or the next import
    /// would tell its names again.
    fn follow(&mut self, view: &dyn ReadView) -> Result<()> {
        let mut waiting: Vec<Position> = self.positions.iter().chain(&self.named).copied().collect();
        let mut seen: HashSet<EventId> = HashSet::new();
        while let Some(position) = waiting.pop() {
            let event = Event::from_line(position, &view.expect_line(position)?)?;
            self.add(position, &event);
            let mut ids = vec![event.id];
            if let Payload::TokensAmended(amend) = &event.payload {
                // Its record may not have arrived.
                waiting.extend(view.position_of(amend.target)?.filter(|_| !seen.contains(&amend.target)));
                ids.push(amend.target);
            }
            for id in ids {
                if seen.insert(id) {
                    waiting.extend(corrections_of(view, id)?);
                }
            }
        }
        Ok(())
    }
}
