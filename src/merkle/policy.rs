//! Trust policies: which logs and witnesses must have signed a checkpoint, `c2sp.org/tlog-policy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::text::decode_number;
use super::{Checkpoint, Note, Verifier, Witness};
use crate::model::error::{Error, Result};

/// A policy has at most this many lines, so that no file can consume a reader's time.
const MOST_LINES: usize = 10_000;

/// A policy: the accepted logs, the known witnesses, and the quorum of cosignatures.
///
/// ```text
/// log usage-ledger.example/alice+…
/// witness W1 witness.example/w1+… https://witness.example/w1
/// witness W2 witness.example/w2+…
/// witness W3 witness.example/w3+…
/// group two-of-three 2 W1 W2 W3
/// quorum two-of-three
/// ```
///
/// ```
/// use usage_ledger::merkle::{Checkpoint, Hash, Note, Signer, WitnessPolicy};
/// let signer = Signer::generate("a.example/log")?;
/// let witness = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
/// let policy: WitnessPolicy = format!("log {}\nwitness A {witness}\nquorum A\n", signer.verifier()).parse()?;
/// let note: Note = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.sign(&signer)?.parse()?;
/// assert!(policy.check(&note, &[]).is_err()); // its witness has not cosigned it
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<Verifier>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<PolicyGroup>,
    quorum: PolicyQuorum,
}

/// A witness of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct PolicyWitness {
    /// Its name within the policy.
    pub name: String,
    /// Its public key.
    pub key: Witness,
    /// Its submission prefix, if the policy states one.
    pub url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PolicyGroup {
    least: usize,
    members: Vec<PolicyMember>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PolicyMember {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PolicyQuorum {
    None,
    Of(PolicyMember),
}

/// What a policy found in a checkpoint.
///
/// ```
/// # use usage_ledger::merkle::{Checkpoint, Hash, Note, WitnessPolicy, Signer};
/// let signer = Signer::generate("a.example/log")?;
/// let note: Note = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.sign(&signer)?.parse()?;
/// let policy: WitnessPolicy = format!("log {}\nquorum none\n", signer.verifier()).parse()?;
/// assert!(policy.check(&note, &[])?.witnesses.is_empty());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Witnessed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The witnesses that cosigned it, with the times in seconds since 1970.
    pub witnesses: Vec<(String, u64)>,
}

impl WitnessPolicy {
    /// The known witnesses.
    #[cfg(feature = "cli")]
    pub(crate) fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Checks that one of the policy's logs, or of further keys, signed a checkpoint, and that the quorum cosigned it.
    ///
    /// # Errors
    /// [`Error::Unproven`] if a signature is missing or invalid, [`Error::Invalid`] if the note is not a checkpoint.
    ///
    /// ```
    /// # use usage_ledger::merkle::{Checkpoint, Hash, Note, WitnessPolicy, Signer};
    /// let signer = Signer::generate("a.example/log")?;
    /// let note: Note = Checkpoint::new("a.example/log", 0, Hash::EMPTY)?.sign(&signer)?.parse()?;
    /// let policy: WitnessPolicy = "quorum none\n".parse()?;
    /// assert!(policy.check(&note, &[]).is_err()); // it accepts no log
    /// assert!(policy.check(&note, &[signer.verifier().clone()]).is_ok());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn check(&self, note: &Note, further: &[Verifier]) -> Result<Witnessed> {
        let mut checkpoint = Err(Error::unproven("the policy accepts no log: name its key"));
        for verifier in self.logs.iter().chain(further) {
            checkpoint = Checkpoint::open(note, verifier);
            if checkpoint.is_ok() {
                break;
            }
        }
        let checkpoint = checkpoint?;
        let mut witnesses = Vec::new();
        let mut cosigned = Vec::with_capacity(self.witnesses.len());
        for witness in &self.witnesses {
            let time = witness.key.cosigned(note)?;
            cosigned.push(time.is_some());
            witnesses.extend(time.map(|time| (witness.name.clone(), time)));
        }
        let is_met = match self.quorum {
            PolicyQuorum::None => true,
            PolicyQuorum::Of(member) => self.is_witnessed(&cosigned)(member),
        };
        if is_met {
            return Ok(Witnessed { checkpoint, witnesses });
        }
        let names: Vec<&str> = witnesses.iter().map(|(name, _)| name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Error::unproven(format!(
            "the quorum of the policy is not met: of its {} witnesses, these cosigned it: {names}",
            self.witnesses.len()
        )))
    }

    /// Whether a member has witnessed a checkpoint, given which witnesses cosigned it.
    fn is_witnessed(&self, cosigned: &[bool]) -> impl Fn(PolicyMember) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let found = |groups: &[bool], member: PolicyMember| match member {
            PolicyMember::Witness(index) => cosigned.get(index).copied().unwrap_or(false),
            PolicyMember::Group(index) => groups.get(index).copied().unwrap_or(false),
        };
        // A group refers only to witnesses and groups before it.
        for group in &self.groups {
            let count = group.members.iter().filter(|member| found(&groups, **member)).count();
            groups.push(count >= group.least);
        }
        let cosigned = cosigned.to_vec();
        move |member| match member {
            PolicyMember::Witness(index) => cosigned.get(index).copied().unwrap_or(false),
            PolicyMember::Group(index) => groups.get(index).copied().unwrap_or(false),
        }
    }
}

impl fmt::Display for WitnessPolicy {
    /// Describes the quorum: `2 witnesses, quorum of 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} logs, {} witnesses, {} groups", self.logs.len(), self.witnesses.len(), self.groups.len())
    }
}

/// A policy that is being read.
#[derive(Default)]
struct PolicyReader {
    logs: Vec<Verifier>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<PolicyGroup>,
    names: BTreeMap<String, PolicyMember>,
    /// Names that are members of a group.
    used: BTreeSet<String>,
    keys: BTreeSet<[u8; 32]>,
    log_keys: BTreeSet<[u8; 32]>,
    quorum: Option<PolicyQuorum>,
}

impl PolicyReader {
    fn line(&mut self, line: &str) -> std::result::Result<(), String> {
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => {
                let log: Verifier = key.parse().map_err(|error: Error| error.to_string())?;
                if !self.log_keys.insert(*log.key()) {
                    return Err("this key is that of another log already".to_owned());
                }
                self.logs.push(log);
                Ok(())
            }
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, least, members @ ..] if !members.is_empty() => self.group(name, least, members),
            ["quorum", name] => {
                let quorum = match *name {
                    "none" => PolicyQuorum::None,
                    name => PolicyQuorum::Of(self.find(name)?),
                };
                match self.quorum.replace(quorum) {
                    None => Ok(()),
                    Some(_) => Err("there is a quorum already".to_owned()),
                }
            }
            _ => Err("write log, witness, group or quorum with what belongs to it".to_owned()),
        }
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> std::result::Result<(), String> {
        let key: Witness = key.parse().map_err(|error: Error| error.to_string())?;
        if !self.keys.insert(*key.key()) {
            return Err("this key is that of another witness already".to_owned());
        }
        self.define(name, PolicyMember::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, least: &str, names: &[&str]) -> std::result::Result<(), String> {
        let mut members = Vec::new();
        for member in names {
            members.push(self.find(member)?);
            if !self.used.insert((*member).to_owned()) {
                return Err(format!("{member} is a member of a group already"));
            }
        }
        let least = match least {
            "all" => members.len(),
            "any" => 1,
            number => decode_number(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or_else(|| format!("`{number}` is not all, any, or a number from 1 to {}", members.len()))?,
        };
        self.define(name, PolicyMember::Group(self.groups.len()))?;
        self.groups.push(PolicyGroup { least, members });
        Ok(())
    }

    fn define(&mut self, name: &str, member: PolicyMember) -> std::result::Result<(), String> {
        if name == "none" || self.names.insert(name.to_owned(), member).is_some() {
            return Err(format!("the name {name} is taken"));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> std::result::Result<PolicyMember, String> {
        self.names.get(name).copied().ok_or_else(|| format!("{name} is not defined on a line before"))
    }
}

impl FromStr for WitnessPolicy {
    type Err = Error;

    /// Parses a policy file. Names are compared byte for byte.
    fn from_str(text: &str) -> Result<Self> {
        let mut reader = PolicyReader::default();
        for (number, line) in (1..).zip(text.split_terminator('\n')) {
            let place = |what: String| Error::invalid(format!("line {number} of the policy: {what}"));
            if number > MOST_LINES {
                return Err(place("a policy has fewer lines".to_owned()));
            }
            if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
                return Err(place("it has control characters".to_owned()));
            }
            reader.line(line).map_err(place)?;
        }
        let PolicyReader { logs, witnesses, groups, quorum, .. } = reader;
        let quorum = quorum.ok_or_else(|| Error::invalid("a policy has a line `quorum NAME`, or `quorum none`"))?;
        Ok(Self { logs, witnesses, groups, quorum })
    }
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::merkle::{Cosigner, Hash, Signer};

    struct Cast {
        signer: Signer,
        cosigners: Vec<Cosigner>,
    }

    impl Cast {
        fn new(count: usize) -> Self {
            let cosigner = |number| Cosigner::generate(&format!("w.example/{number}")).unwrap();
            Self { signer: Signer::generate("a.example/log").unwrap(), cosigners: (0..count).map(cosigner).collect() }
        }

        /// A policy with the log, witnesses named W0, W1 … and further lines.
        fn policy(&self, lines: &str) -> Result<WitnessPolicy> {
            let mut text = format!("# the log\nlog {}\n\n", self.signer.verifier());
            for (number, cosigner) in self.cosigners.iter().enumerate() {
                let key = cosigner.witness();
                writeln!(text, " witness\tW{number}  {key} https://w.example/{number} ").unwrap();
            }
            (text + lines).parse()
        }

        fn note(&self, cosigned: &[usize]) -> Note {
            let checkpoint = Checkpoint::new("a.example/log", 0, Hash::EMPTY).unwrap();
            let note: Note = checkpoint.sign(&self.signer).unwrap().parse().unwrap();
            cosigned.iter().fold(note, |note, index| {
                note.with_signatures(&self.cosigners[*index].cosign(&note, 1).unwrap()).unwrap()
            })
        }
    }

    #[test]
    fn a_quorum_of_two_levels_is_met_exactly_when_each_threshold_is() {
        let cast = Cast::new(6);
        let lines = "group X 2 W0 W1 W2\ngroup Y any W3 W4 W5\ngroup both all X Y\nquorum both\n";
        let policy = cast.policy(lines).unwrap();
        for mask in 0_u32..64 {
            let cosigned: Vec<usize> = (0..6).filter(|index| mask >> index & 1 == 1).collect();
            let expected = (mask & 7).count_ones() >= 2 && (mask >> 3).count_ones() >= 1;
            let found = policy.check(&cast.note(&cosigned), &[]);
            assert_eq!(found.is_ok(), expected, "{cosigned:?} {found:?}");
        }
        let single = cast.policy("quorum W4").unwrap();
        assert!(single.check(&cast.note(&[4]), &[]).is_ok() && single.check(&cast.note(&[3, 5]), &[]).is_err());
    }

    #[test]
    fn cosignatures_of_strangers_and_repeated_ones_do_not_count() {
        let (cast, strangers) = (Cast::new(2), Cast::new(2));
        let policy = cast.policy("group both 2 W0 W1\nquorum both\n").unwrap();
        let mut note = cast.note(&[0]);
        for cosigner in &strangers.cosigners {
            note = note.with_signatures(&cosigner.cosign(&note, 1).unwrap()).unwrap();
        }
        note = note.with_signatures(&cast.cosigners[0].cosign(&note, 2).unwrap()).unwrap();
        let error = policy.check(&note, &[]).unwrap_err().to_string();
        assert!(error.contains("quorum") && error.contains("W0") && !error.contains("W1"), "{error}");
        // A log that the policy does not name.
        let error = policy.check(&strangers.note(&[]), &[]).unwrap_err();
        assert!(matches!(error, Error::Unproven { .. }), "{error}");
        assert!(policy.check(&cast.note(&[1, 0]), &[]).is_ok());
    }

    #[test]
    fn malformed_policies_are_refused_with_their_line() {
        let cast = Cast::new(3);
        let again = cast.cosigners[0].witness().to_string();
        // The same key under another name is the same witness.
        let renamed = Cosigner::generate("x").unwrap().secret();
        let renamed: Cosigner = renamed.parse().unwrap();
        for (lines, what) in [
            ("", "quorum"),
            ("quorum W9\n", "not defined"),
            ("quorum W0\nquorum W0\n", "already"),
            ("group g 0 W0\nquorum g\n", "from 1 to 1"),
            ("group g 2 W0\nquorum g\n", "from 1 to 1"),
            ("group g 01 W0\nquorum g\n", "from 1 to 1"),
            ("group g any\nquorum g\n", "write log"),
            ("group g any W0 none\nquorum g\n", "not defined"),
            ("group g any W0 W0\nquorum g\n", "member of a group already"),
            ("group g any W0\ngroup h any W0\nquorum g\n", "member of a group already"),
            ("group W0 any W1\nquorum W0\n", "taken"),
            ("group none any W1\nquorum none\n", "taken"),
            ("quorum g\ngroup g any W1\n", "not defined"),
            ("group g any h\ngroup h any W1\nquorum g\n", "not defined"),
            ("quorum W0 W1\n", "write log"),
            ("witnes W8 x\nquorum W0\n", "write log"),
            ("quorum W0\r\n", "control"),
            (&*format!("witness W8 {again}\nquorum W0\n"), "another witness already"),
            (&*format!("witness W8 {}\nquorum W0\n", cast.signer.verifier()), "type is 1"),
            (&*format!("log {}\nquorum W0\n", cast.signer.verifier()), "another log already"),
            (&*format!("log {}\nquorum W0\n", renamed.witness()), "witness"),
        ] {
            let error = cast.policy(lines).unwrap_err().to_string();
            assert!(error.contains(what), "{lines:?}: {error}");
        }
        assert_eq!(cast.policy("quorum none").unwrap().logs.len(), 1);
    }
}
