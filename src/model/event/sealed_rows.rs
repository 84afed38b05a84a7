use serde::{Deserialize, Serialize};

/// The blinded rows of a seal: one total for each project, or for each value of another key.
///
/// The order of the leaves is that of their hashes, and further hashes fill the tree up to a power of two. So neither
/// names nor their order nor their exact number follow from it.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::Payload, merkle::Signer};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(10).project("acme"), now)?;
/// ledger.seal(None, now.plus(1), &signer, now.plus(1))?;
/// let Payload::PeriodSealed(sealed) = ledger.event(2)?.payload else { unreachable!() };
/// assert_eq!(sealed.rows.map(|rows| rows.by), Some("project".to_owned()));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealedRows {
    /// The key that separates the totals, as `report --by` names it.
    pub by: String,
    /// The root of the tree over the leaves, in hex.
    pub root: String,
    /// The leaf hashes, in hex. They stay provable when the names of a row are shredded.
    pub leaves: Vec<String>,
}

impl SealedRows {
    /// The rows of a seal: their key, the root, and the leaf hashes.
    ///
    /// ```
    /// use usage_ledger::{event::SealedRows, merkle::Hash};
    /// let leaf = Hash::of_line("a blinded row").to_string();
    /// assert_eq!(SealedRows::new("project", leaf.clone(), vec![leaf]).leaves.len(), 1);
    /// ```
    pub fn new(by: impl Into<String>, root: impl Into<String>, leaves: Vec<String>) -> Self {
        Self { by: by.into(), root: root.into(), leaves }
    }

    /// The lines of the statement.
    pub(crate) fn lines(&self) -> String {
        format!("rows {} by {}\nrows root {}\n", self.leaves.len(), self.by, self.root)
    }
}
