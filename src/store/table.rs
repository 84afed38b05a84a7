/// The table of a projection. Keys sort as bytes. Values are canonical: equal states have equal bytes.
///
/// ```
/// use usage_ledger::store::{EventStore, GO_ON, MemoryStore, Order, Table};
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let store = MemoryStore::new();
/// let ledger = Ledger::with_store(Box::new(store.clone()));
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let mut accounts = 0;
/// store.read()?.scan(Table::Accounts, b"", b"", Order::Ascending, &mut |_, _| {
///     accounts += 1;
///     GO_ON
/// })?;
/// assert_eq!(accounts, 1);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Table {
    /// Merkle tree nodes: (level, group) → child hashes.
    Tree,
    /// Counters by (UTC day, provider, account, model, agent), split by quarter of an hour.
    ByModel,
    /// The same, also by project.
    ByProject,
    /// The same, also by conversation and labels.
    ByConversation,
    /// Those by model, also by labels.
    ByLabel,
    /// Every instant at which a provider account was used, with its counts.
    UsageInstants,
    /// Where sessions of the default policy start, by (provider account, instant).
    SessionStarts,
    /// Events other than counts, by (kind, subject, time, id) → position.
    EventIndex,
    /// Amendments and voids by (target, time, id).
    Corrections,
    /// Further natural keys: (hash, position).
    Keys,
    /// How far each file was imported.
    Files,
    /// When each conversation's log begins.
    Conversations,
    /// Provider accounts that have records.
    Accounts,
    /// The content of each block of 1,024 positions: kinds, quarters of an hour, hashes of names, corrected records.
    Blocks,
    /// The times, names and counts of the records of each block.
    Columns,
    /// The blocks that contain events of each quarter of an hour: (quarter, group of 64 blocks) → a bit for each block.
    Quarters,
    /// The days that the events of each chapter of 16 blocks change.
    Chapters,
    /// How each chapter changes the rows by model and by project, by (row, chapter).
    History,
}

impl Table {
    /// Every table.
    ///
    /// ```
    /// # use usage_ledger::store::Table;
    /// let names: std::collections::BTreeSet<_> = Table::ALL.map(Table::name).into();
    /// assert_eq!(names.len(), Table::ALL.len()); // no two share a table
    /// ```
    pub const ALL: [Self; 18] = [
        Self::Tree,
        Self::ByModel,
        Self::ByProject,
        Self::ByConversation,
        Self::ByLabel,
        Self::UsageInstants,
        Self::SessionStarts,
        Self::EventIndex,
        Self::Corrections,
        Self::Keys,
        Self::Files,
        Self::Conversations,
        Self::Accounts,
        Self::Blocks,
        Self::Columns,
        Self::Quarters,
        Self::Chapters,
        Self::History,
    ];

    /// The tables that are a fold of the events and must equal a replay.
    pub(crate) const FOLDED: [Self; 12] = [
        Self::ByModel,
        Self::ByProject,
        Self::ByConversation,
        Self::ByLabel,
        Self::UsageInstants,
        Self::SessionStarts,
        Self::EventIndex,
        Self::Corrections,
        Self::Keys,
        Self::Files,
        Self::Conversations,
        Self::Accounts,
    ];

    /// The name of the table.
    ///
    /// ```
    /// # use usage_ledger::store::Table;
    /// assert_eq!(Table::ByModel.name(), "usage_by_model");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::ByModel => "usage_by_model",
            Self::ByProject => "usage_by_project",
            Self::ByConversation => "usage_by_conversation",
            Self::ByLabel => "usage_by_label",
            Self::UsageInstants => "uses",
            Self::SessionStarts => "session_openings",
            Self::EventIndex => "facts",
            Self::Corrections => "corrections",
            Self::Keys => "natural_keys",
            Self::Files => "imported_files",
            Self::Conversations => "conversations",
            Self::Accounts => "accounts",
            Self::Blocks => "blocks",
            Self::Columns => "block_calls",
            Self::Quarters => "block_quarters",
            Self::Chapters => "chapters",
            Self::History => "history",
        }
    }
}
