//! Determines which events a shredding affects, and what remains of each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Mentions, Selector, Shred};
use crate::model::error::{Error, Result};
use crate::model::event::{
    Event, EventId, EventKind, Imported, ImportedFile, NUMBERS_ALONE, Payload, Position, SkippedLine, Tombstone,
};
use crate::projection::past::chapter_of;
use crate::projection::{corrections_of, file_states};
use crate::store::{GO_ON, ReadView};

/// The affected events and files.
pub(super) struct ShredPlan {
    positions: BTreeSet<Position>,
    /// Events that were named individually: everything erasable is erased.
    named: BTreeSet<Position>,
    /// Files whose names are erased.
    paths: HashSet<String>,
    imports: bool,
    /// The chapters whose changes carry names that go: those of the events, and of all corrections of a record that goes.
    chapters: BTreeSet<u64>,
}

impl ShredPlan {
    /// Finds the selected events and their corrections.
    pub fn make(view: &dyn ReadView, shred: &Shred) -> Result<Self> {
        let mut plan = Self {
            positions: BTreeSet::new(),
            named: BTreeSet::new(),
            paths: HashSet::new(),
            imports: false,
            chapters: BTreeSet::new(),
        };
        for id in &shred.events {
            let position = view.position_of(*id)?.ok_or_else(|| Error::NotFound { what: format!("with id {id}") })?;
            plan.named.insert(position);
            plan.name(view, position)?;
        }
        if !shred.selector.is_empty() {
            let conversations = plan.find(view, &shred.selector)?;
            plan.find_files(view, &conversations, &Mentions::of(&shred.selector))?;
        }
        plan.follow(view)?;
        Ok(plan)
    }

    /// The chapters of the past that mention events which were shredded in another copy of the ledger.
    #[cfg(feature = "cli")]
    pub fn chapters_of(view: &dyn ReadView, positions: BTreeSet<Position>) -> Result<BTreeSet<u64>> {
        let mut plan = Self {
            positions,
            named: BTreeSet::new(),
            paths: HashSet::new(),
            imports: false,
            chapters: BTreeSet::new(),
        };
        plan.follow(view)?;
        Ok(plan.chapters)
    }

    /// The events, in order.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.positions.iter().copied()
    }

    /// The chapters of the past to write again.
    pub const fn chapters(&self) -> &BTreeSet<u64> {
        &self.chapters
    }

    /// Whether import events are affected.
    pub const fn has_imports(&self) -> bool {
        self.imports
    }

    /// The event without the erased names; `None` if it contains no name to erase.
    pub fn kept(&self, position: Position, event: &Event) -> Option<Event> {
        let goes = match &event.payload {
            Payload::Imported(run) => self.named.contains(&position) || self.concerns(run),
            _ => true,
        };
        if goes { event.redacted() } else { None }
    }

    fn concerns(&self, run: &Imported) -> bool {
        run.files.iter().any(|file| self.paths.contains(&file.path))
            || run.skipped.iter().any(|line| self.paths.contains(&line.file))
    }

    /// The data of affected import events about other files, if no later run states them again, by importer. They are
    /// appended as new events, so that they can be shredded separately later.
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
            let repeated = again.entry(run.source.clone()).or_insert_with(|| Imported::new(run.source));
            repeated.version = repeated.version.max(run.version);
            repeated.files.extend(files);
            repeated.skipped.extend(skipped);
        }
        again.retain(|_, run| {
            run.files.sort_by(|a, b| a.path.cmp(&b.path));
            run.files.dedup_by(|a, b| a.path == b.path);
            !run.files.is_empty()
        });
        Ok(again.into_values().collect())
    }

    /// Adds an event if something of it is erased.
    fn add(&mut self, position: Position, event: &Event) -> bool {
        let goes = self.kept(position, event).is_some();
        if goes {
            self.imports |= matches!(event.payload, Payload::Imported(_));
            self.positions.insert(position);
        }
        goes
    }

    /// Adds an event that was named individually.
    fn name(&mut self, view: &dyn ReadView, position: Position) -> Result<()> {
        let line = view.expect_line(position)?;
        let event = Event::from_line(position, &line)?;
        if self.add(position, &event) || Tombstone::is(&line) {
            return Ok(());
        }
        let why = event.payload.redacted().err().unwrap_or(NUMBERS_ALONE);
        Err(Error::invalid(format!("position {position} is a {}: {why}", event.payload.kind())))
    }

    /// Adds the selected records, and returns their conversations.
    fn find(&mut self, view: &dyn ReadView, selector: &[Selector]) -> Result<HashSet<String>> {
        let written: Vec<String> = selector.iter().map(Selector::written).collect::<Result<_>>()?;
        let mut conversations: HashSet<String> = HashSet::new();
        conversations.extend(selector.iter().filter_map(|selector| match selector {
            Selector::Conversation(id) => Some(id.clone()),
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
            if selector.iter().any(|selector| selector.by(record)) {
                conversations.extend(record.conversation.clone());
                self.add(position, &event);
            }
            GO_ON
        })?;
        Ok(conversations)
    }

    /// Adds import events about the logs of conversations, and about logs whose paths mention a name: no record refers
    /// to a log without calls.
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

    /// Adds the corrections of the selected events, recursively. All events of a call are affected; otherwise the next
    /// import would record its names again.
    fn follow(&mut self, view: &dyn ReadView) -> Result<()> {
        let mut waiting: Vec<Position> = self.positions.iter().chain(&self.named).copied().collect();
        let mut seen: HashSet<EventId> = HashSet::new();
        while let Some(position) = waiting.pop() {
            let event = Event::from_line(position, &view.expect_line(position)?)?;
            self.add(position, &event);
            self.chapters.insert(chapter_of(position));
            let mut ids = vec![event.id];
            if let Payload::TokensAmended(amend) = &event.payload {
                // The record may not have arrived.
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
