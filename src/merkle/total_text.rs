//! A self-contained proof of one total of a seal: the total, some or all of its rows, and the signed seal.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::blinding::{Blinding, Salt, blinded_leaf};
use super::proof_text::{bad, halves};
use super::subset_proof::{prove_subset, root_from_subset, root_of};
use super::text::{decode, decode_hash, decode_number, encode, encode_hash};
use super::{Checkpoint, Hash, Note, SealedRow, SealedSums, SealedTotal, Verifier};
use crate::model::error::{Error, Result};

/// The first line of a proof of a total. C2SP defines no such text, so this format is our own.
pub(crate) const KIND: &str = "usage-ledger/total@v1";

/// A leaf that a proof reveals.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RevealedLeaf {
    index: u64,
    salt: Salt,
    content: String,
}

impl RevealedLeaf {
    fn leaf(&self) -> (u64, Hash) {
        (self.index, blinded_leaf(&self.salt, &self.content))
    }

    /// Parses `INDEX SALT CONTENT`.
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let index = decode_number(parts.next()?)?;
        let salt = decode(parts.next()?)?.try_into().ok()?;
        Some(Self { index, salt, content: parts.next()?.to_owned() })
    }
}

impl fmt::Display for RevealedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.index, encode(&self.salt), self.content)
    }
}

/// Blinded leaves, in the order of their hashes.
pub(crate) struct BlindedLeaves(Vec<(Hash, Option<(Salt, String)>)>);

impl BlindedLeaves {
    /// Blinds contents. `padded` fills the tree up to a power of two.
    pub fn new(blinding: &Blinding, contents: Vec<String>, padded: bool) -> Result<Self> {
        let size = contents.len() as u64;
        let mut leaves = contents
            .into_iter()
            .map(|content| {
                let salt = blinding.salt(&content)?;
                Ok((blinded_leaf(&salt, &content), Some((salt, content))))
            })
            .collect::<Result<Vec<_>>>()?;
        if padded {
            for number in size..size.next_power_of_two() {
                leaves.push((blinding.padding(number)?, None));
            }
        }
        leaves.sort_by_key(|(hash, _)| *hash);
        Ok(Self(leaves))
    }

    pub fn hashes(&self) -> Vec<Hash> {
        self.0.iter().map(|(hash, _)| *hash).collect()
    }

    /// Other leaves, with the contents of these ones where the hashes are equal.
    pub fn among(&self, hashes: &[Hash]) -> Self {
        let known: HashMap<&Hash, &Option<(Salt, String)>> = self.0.iter().map(|(hash, leaf)| (hash, leaf)).collect();
        Self(hashes.iter().map(|hash| (*hash, known.get(hash).copied().cloned().flatten())).collect())
    }

    pub fn root(&self) -> Hash {
        root_of(&self.hashes())
    }

    /// The leaves with a content that is shown, in order.
    fn revealed(&self, show: impl Fn(&str) -> Result<bool>) -> Result<Vec<RevealedLeaf>> {
        let mut shown = Vec::new();
        for (index, (_, leaf)) in (0_u64..).zip(&self.0) {
            if let Some((salt, content)) = leaf
                && show(content)?
            {
                shown.push(RevealedLeaf { index, salt: *salt, content: content.clone() });
            }
        }
        Ok(shown)
    }
}

/// A proof of one total of a seal. It reveals that total and its rows, and no other.
///
/// ```text
/// usage-ledger/total@v1
/// by project
/// total 3 SALT {"name":"acme","sums":{"requests":1,"tokens":{"input":3}},"rows":1,"root":"…"}
/// beside WOWzi9l7…=
/// row 0 SALT {"day":"2026-05-10","provider":"openai","sums":{"requests":1,"tokens":{"input":3}}}
///
/// usage-ledger.example/alice
/// 120
/// nqB2bE…=
/// seal from the beginning until 2026-06-01T00:00:00.000Z
/// …
///
/// — usage-ledger.example/alice DHhOZl…=
/// ```
///
/// ```
/// use usage_ledger::{Ledger, ReportKey, TokenRecord, merkle::{Signer, TotalProofText}, report::TotalRequest};
/// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(4).project("globex"), now.plus(-1))?;
/// ledger.seal(None, now, &signer, now)?;
/// let proof = ledger.prove_total(&TotalRequest::of(ReportKey::Project, "acme"), &signer, now)?.to_string();
/// assert!(!proof.contains("globex"));
/// let proven = proof.parse::<TotalProofText>()?.verify(signer.verifier())?;
/// assert_eq!((proven.total.sums.requests, proven.total.sums.tokens[0]), (1, 3));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalProofText {
    by: String,
    total: RevealedLeaf,
    beside: Vec<Hash>,
    rows: Vec<RevealedLeaf>,
    hidden: Vec<Hash>,
    seal: Note,
}

/// What a valid proof shows.
///
/// ```
/// # use usage_ledger::{Ledger, ReportKey, TokenRecord, merkle::Signer, report::TotalRequest};
/// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
/// # ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
/// # ledger.seal(None, now, &signer, now)?;
/// let proof = ledger.prove_total(&TotalRequest::of(ReportKey::Project, "acme"), &signer, now)?;
/// let proven = proof.verify(signer.verifier())?;
/// assert_eq!((proven.by.as_str(), proven.rows.len(), proven.checkpoint.size()), ("project", 1, 1));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenTotal {
    /// The key of the seal's totals.
    pub by: String,
    /// The period, as the seal states it.
    pub period: String,
    /// The total.
    pub total: SealedTotal,
    /// The rows that the proof shows.
    pub rows: Vec<SealedRow>,
    /// The sums of these rows. If all rows are shown, they are the total's.
    pub shown: SealedSums,
    /// The checkpoint that the seal is.
    pub checkpoint: Checkpoint,
}

impl TotalProofText {
    /// Makes the proof of the total with a content. `None` if no leaf has it. Without `show` no row is revealed.
    pub(crate) fn make(
        by: String,
        content: &str,
        totals: &BlindedLeaves,
        rows: &BlindedLeaves,
        show: &dyn Fn(&SealedRow) -> bool,
        seal: Note,
    ) -> Result<Option<Self>> {
        let Some(total) = totals.revealed(|other| Ok(other == content))?.pop() else { return Ok(None) };
        let beside = prove_subset(&totals.hashes(), &[total.index]);
        let shown = rows.revealed(|row| Ok(show(&SealedRow::from_content(row)?)))?;
        let indices: Vec<u64> = shown.iter().map(|row| row.index).collect();
        let hidden = if shown.is_empty() { Vec::new() } else { prove_subset(&rows.hashes(), &indices) };
        Ok(Some(Self { by, total, beside, rows: shown, hidden, seal }))
    }

    /// The signed seal.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, ReportKey, TokenRecord, merkle::Signer, report::TotalRequest};
    /// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// # ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
    /// # ledger.seal(None, now, &signer, now)?;
    /// let proof = ledger.prove_total(&TotalRequest::of(ReportKey::Project, "acme"), &signer, now)?;
    /// assert!(proof.seal().text().contains("\nseal from the beginning until 2026-06-01"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn seal(&self) -> &Note {
        &self.seal
    }

    /// Verifies the whole proof: the signature of the seal, the total under the seal's root, the rows under the
    /// total's root, and the sums.
    ///
    /// # Errors
    /// [`Error::Unproven`] if anything does not fit.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, ReportKey, TokenRecord, merkle::{Signer, TotalProofText}, report::TotalRequest};
    /// # let now = "2026-06-01T00:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let (ledger, signer) = (Ledger::in_memory()?, Signer::generate("a.example/log")?);
    /// # ledger.record(TokenRecord::new("openai", "gpt-5").input(3).project("acme"), now.plus(-1))?;
    /// # ledger.seal(None, now, &signer, now)?;
    /// let proof = ledger.prove_total(&TotalRequest::of(ReportKey::Project, "acme"), &signer, now)?.to_string();
    /// let forged: TotalProofText = proof.replace("acme", "evil").parse()?;
    /// assert!(forged.verify(signer.verifier()).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn verify(&self, verifier: &Verifier) -> Result<ProvenTotal> {
        let checkpoint = Checkpoint::open(&self.seal, verifier)?;
        let statement = SealedStatement::read(self.seal.text())?;
        if self.by != statement.by {
            return Err(Error::unproven(format!("it is by {}, the seal has totals by {}", self.by, statement.by)));
        }
        if root_from_subset(statement.size, &[self.total.leaf()], &self.beside) != Some(statement.root) {
            return Err(Error::unproven("the total is not one of those that the seal signs"));
        }
        let total = SealedTotal::from_content(&self.total.content).map_err(|error| unproven(&error))?;
        let leaves: Vec<(u64, Hash)> = self.rows.iter().map(RevealedLeaf::leaf).collect();
        if leaves.is_empty() {
            if !self.hidden.is_empty() {
                return Err(Error::unproven("it has hashes beside rows that it does not show"));
            }
        } else if root_from_subset(total.rows, &leaves, &self.hidden)
            != Some(total.rows_root().map_err(|error| unproven(&error))?)
        {
            return Err(Error::unproven("the rows are not those of the total"));
        }
        let rows = self.rows.iter().map(|row| SealedRow::from_content(&row.content).map_err(|error| unproven(&error)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let mut shown = SealedSums::default();
        for row in &rows {
            shown.add(&row.sums)?;
        }
        if rows.len() as u64 == total.rows && shown != total.sums {
            return Err(Error::unproven("the sums of the rows are not those of the total"));
        }
        Ok(ProvenTotal { by: statement.by, period: statement.period, total, rows, shown, checkpoint })
    }
}

fn unproven(error: &Error) -> Error {
    Error::unproven(error.to_string())
}

/// What a seal states about its rows.
struct SealedStatement {
    period: String,
    size: u64,
    by: String,
    root: Hash,
}

impl SealedStatement {
    /// Reads the extension lines of a seal. Each of them must be there exactly once.
    fn read(text: &str) -> Result<Self> {
        let only = |start: &str| {
            let mut found = text.lines().skip(3).filter_map(|line| line.strip_prefix(start));
            found.next().filter(|_| found.next().is_none())
        };
        let missing = || Error::unproven("its seal has no rows: it was made by an earlier build");
        let root = only("rows root ").ok_or_else(missing)?.parse().map_err(|error| unproven(&error))?;
        let mut sizes =
            text.lines().skip(3).filter(|line| line.starts_with("rows ") && !line.starts_with("rows root "));
        let (Some(line), None) = (sizes.next(), sizes.next()) else { return Err(missing()) };
        let (size, by) = line.strip_prefix("rows ").and_then(|rest| rest.split_once(" by ")).ok_or_else(missing)?;
        let period = only("seal ").ok_or_else(missing)?;
        let size = decode_number(size).ok_or_else(missing)?;
        Ok(Self { period: period.to_owned(), size, by: by.to_owned(), root })
    }
}

impl fmt::Display for TotalProofText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KIND}\nby {}\ntotal {}", self.by, self.total)?;
        self.beside.iter().try_for_each(|hash| writeln!(f, "beside {}", encode_hash(hash)))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "row {row}"))?;
        self.hidden.iter().try_for_each(|hash| writeln!(f, "hidden {}", encode_hash(hash)))?;
        write!(f, "\n{}", self.seal)
    }
}

impl FromStr for TotalProofText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, seal) = halves(text, KIND)?;
        let mut lines = head.split('\n').skip(1).peekable();
        let by =
            lines.next().and_then(|line| line.strip_prefix("by ")).ok_or_else(|| bad("its second line is `by KEY`"))?;
        let total = lines.next().and_then(|line| RevealedLeaf::read(line.strip_prefix("total ")?));
        let total = total.ok_or_else(|| bad("its third line is `total INDEX SALT CONTENT`"))?;
        let mut beside = Vec::new();
        while let Some(hash) = lines.peek().and_then(|line| line.strip_prefix("beside ")) {
            beside.push(decode_hash(hash)?);
            lines.next();
        }
        let mut rows = Vec::new();
        while let Some(row) = lines.peek().and_then(|line| line.strip_prefix("row ")) {
            rows.push(RevealedLeaf::read(row).ok_or_else(|| bad("a row is written `row INDEX SALT CONTENT`"))?);
            lines.next();
        }
        let mut hidden = Vec::new();
        while let Some(hash) = lines.peek().and_then(|line| line.strip_prefix("hidden ")) {
            hidden.push(decode_hash(hash)?);
            lines.next();
        }
        match lines.next() {
            None => Ok(Self { by: by.to_owned(), total, beside, rows, hidden, seal }),
            Some(line) => Err(bad(format!("`{line}` does not belong there"))),
        }
    }
}
