//! The map of clusters, `shards.toml`: which ledger is on which cluster.
//!
//! A ledger is on the cluster for which the hash of both names is highest (rendezvous hashing), unless the map names another one.
//! So a cluster that is added takes ledgers from all others, and no ledger changes between the others.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml_edit::{Document, DocumentMut, Item, TableLike};

use super::super::address::PostgresAddress;
use crate::model::error::{Error, Result};

/// The tables of the file.
const CLUSTERS: &str = "clusters";
const MOVED: &str = "moved";
/// The maximal length of the name of a cluster.
const NAME: usize = 40;

/// Clusters with their addresses, and the ledgers that are not on the cluster of their hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardMap {
    clusters: BTreeMap<String, PostgresAddress>,
    moved: BTreeMap<String, String>,
}

/// The address of a ledger in a map of clusters: `shards:PATH?ledger=NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardAddress {
    pub map: PathBuf,
    pub ledger: String,
}

impl ShardAddress {
    const SCHEME: &'static str = "shards:";

    pub fn is_one(text: &str) -> bool {
        text.starts_with(Self::SCHEME)
    }
}

impl std::str::FromStr for ShardAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(format!(
                "the address of the ledger {what}: write shards:PATH?ledger=NAME, with the path of the map"
            ))
        };
        let rest = text.strip_prefix(Self::SCHEME).ok_or_else(|| wrong("is none of a map of clusters"))?;
        let (path, ledger) = match rest.split_once('?') {
            None => (rest, "default"),
            Some((path, query)) => (path, query.strip_prefix("ledger=").ok_or_else(|| wrong("has another parameter"))?),
        };
        if path.is_empty() {
            return Err(wrong("names no map"));
        }
        PostgresAddress::check_ledger(ledger)?;
        Ok(Self { map: path.into(), ledger: ledger.to_owned() })
    }
}

impl std::fmt::Display for ShardAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}?ledger={}", Self::SCHEME, self.map.display(), self.ledger)
    }
}

/// How strongly a ledger belongs to a cluster: the first 8 bytes of the SHA-256 of `CLUSTER`, a zero byte, and `LEDGER`, as a
/// number. It never changes, because stored ledgers depend on it.
fn weight(cluster: &str, ledger: &str) -> u64 {
    let hash = Sha256::new().chain_update(cluster).chain_update([0]).chain_update(ledger).finalize();
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl ShardMap {
    /// Reads a map. `complete` adds user and password to an address that has none.
    pub fn read(path: &Path, complete: &dyn Fn(PostgresAddress) -> Result<PostgresAddress>) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::parse(&text, complete).map_err(|why| Error::invalid(format!("{}: {why}", path.display())))
    }

    /// The failure never quotes an address, which could contain a password.
    fn parse(text: &str, complete: &dyn Fn(PostgresAddress) -> Result<PostgresAddress>) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|error| error.message().to_owned())?;
        let mut map = Self::default();
        for (key, item) in document.iter() {
            let table = || item.as_table_like().ok_or_else(|| format!("`{key}` is no table: write [{key}]"));
            match key {
                CLUSTERS => map.clusters = entries(table()?, |name, text| cluster(name, text, complete))?,
                MOVED => map.moved = entries(table()?, |_, text| Ok(text.to_owned()))?,
                other => return Err(format!("unknown table `{other}`: the tables are clusters and moved")),
            }
        }
        if map.clusters.is_empty() {
            return Err(
                "it names no cluster: write [clusters] and a line such as a = \"postgres://db1.example/usage\""
                    .to_owned(),
            );
        }
        for (ledger, cluster) in &map.moved {
            if !map.clusters.contains_key(cluster) {
                return Err(format!("the ledger `{ledger}` is on the cluster `{cluster}`, which is not in [clusters]"));
            }
        }
        Ok(map)
    }

    /// The clusters with their addresses, by name.
    pub const fn clusters(&self) -> &BTreeMap<String, PostgresAddress> {
        &self.clusters
    }

    /// The cluster that the hash gives for a ledger.
    pub fn hashed(&self, ledger: &str) -> &str {
        // Of equal weights the first name counts.
        let names = self.clusters.keys().rev();
        names.max_by_key(|cluster| weight(cluster, ledger)).map_or("", String::as_str)
    }

    /// The cluster that the map gives for a ledger.
    pub fn place(&self, ledger: &str) -> &str {
        self.moved.get(ledger).map_or_else(|| self.hashed(ledger), String::as_str)
    }

    /// Notes in the file where a ledger is, and replaces the file in one step. Returns whether that changed it.
    pub fn write_place(path: &Path, ledger: &str, cluster: &str) -> Result<bool> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        // Links lead to the file that several programs share.
        let path = &fs::canonicalize(path).map_err(failed)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = fs::File::options().create(true).append(true).open(&lock).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let before = fs::read_to_string(path).map_err(failed)?;
        let map = Self::parse(&before, &|address| Ok(address))
            .map_err(|why| Error::invalid(format!("{}: {why}", path.display())))?;
        if map.place(ledger) == cluster {
            return Ok(false);
        }
        let mut document: DocumentMut =
            before.parse().map_err(|_| Error::invalid(format!("{} is no TOML", path.display())))?;
        if map.hashed(ledger) == cluster {
            if let Some(moved) = document.get_mut(MOVED).and_then(Item::as_table_like_mut) {
                moved.remove(ledger);
            }
        } else {
            let moved = document.entry(MOVED).or_insert(toml_edit::table());
            if let Some(moved) = moved.as_table_like_mut() {
                moved.insert(ledger, toml_edit::value(cluster));
            }
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        file.as_file().set_permissions(fs::metadata(path).map_err(failed)?.permissions()).map_err(failed)?;
        std::io::Write::write_all(&mut file, document.to_string().as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        match fs::File::open(directory).and_then(|directory| directory.sync_all()) {
            // Some systems sync no directories.
            Err(error) if error.kind() != ErrorKind::InvalidInput && cfg!(unix) => Err(failed(error)),
            _ => Ok(true),
        }
    }
}

fn entries<T>(
    table: &dyn TableLike,
    read: impl Fn(&str, &str) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    let entry = |(name, item): (&str, &Item)| {
        let text = item.as_str().ok_or_else(|| format!("`{name}` is no text: write {name} = \"…\""))?;
        Ok((name.to_owned(), read(name, text)?))
    };
    table.iter().map(entry).collect()
}

fn cluster(
    name: &str,
    text: &str,
    complete: &dyn Fn(PostgresAddress) -> Result<PostgresAddress>,
) -> Result<PostgresAddress, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > NAME || !name.bytes().all(plain) {
        return Err("a cluster has a name of up to 40 lower-case letters, digits, `-` and `_`".to_owned());
    }
    if text.contains("ledger=") {
        return Err(format!("the address of the cluster `{name}` names a ledger: leave that out"));
    }
    let address: PostgresAddress = text.parse().map_err(|error: Error| format!("cluster `{name}`: {error}"))?;
    if address.config.get_password().is_some() {
        return Err(format!(
            "the address of the cluster `{name}` has a password: give it with PGPASSWORD or in a file that PGPASSFILE names"
        ));
    }
    complete(address).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &[&str]) -> ShardMap {
        let line = |name: &&str| format!("{name} = \"postgres://{name}.example/usage\"\n");
        let clusters = names.iter().map(line).collect::<Vec<_>>().concat();
        ShardMap::parse(&format!("[clusters]\n{clusters}"), &|address| Ok(address)).unwrap()
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        let map = map(&["a", "b", "c"]);
        let places: String = (0..24).map(|number| map.hashed(&format!("ledger-{number}")).to_owned()).collect();
        assert_eq!(weight("a", "team"), 12_559_421_022_580_803_051);
        assert_eq!(places, "cccbbacbcbababbbccabcaac");
    }

    #[test]
    fn a_new_cluster_takes_its_share_and_no_other_ledger_changes() {
        let (three, four) = (map(&["a", "b", "c"]), map(&["a", "b", "c", "d"]));
        let names: Vec<String> = (0..4_000).map(|number| format!("ledger-{number}")).collect();
        let taken = names.iter().filter(|name| three.hashed(name) != four.hashed(name)).inspect(|name| {
            assert_eq!(four.hashed(name), "d");
        });
        let taken = taken.count();
        assert!((900..1_100).contains(&taken), "{taken}");
        for cluster in ["a", "b", "c"] {
            let share = names.iter().filter(|name| three.hashed(name) == cluster).count();
            assert!((1_230..1_440).contains(&share), "{cluster} {share}");
        }
    }

    #[test]
    fn a_place_is_noted_only_where_the_hash_gives_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shards.toml");
        let text =
            "# ours\n[clusters]\na = \"postgres://me@a.example/usage\" # first\nb = \"postgres://b.example/usage\"\n";
        fs::write(&path, text).unwrap();
        let read = || ShardMap::read(&path, &|address| Ok(address)).unwrap();
        let hashed = read().hashed("team").to_owned();
        let other = if hashed == "a" { "b" } else { "a" };
        assert!(!ShardMap::write_place(&path, "team", &hashed).unwrap());
        assert!(ShardMap::write_place(&path, "team", other).unwrap());
        assert_eq!((read().place("team"), read().hashed("team")), (other, hashed.as_str()));
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.starts_with(text), "{now}");
        assert!(now.contains(&format!("[moved]\nteam = \"{other}\"")), "{now}");
        assert!(ShardMap::write_place(&path, "team", &hashed).unwrap());
        assert_eq!(read().place("team"), hashed);
    }

    #[test]
    fn what_a_map_cannot_say_is_refused_without_quoting_it() {
        for (text, why) in [
            ("", "names no cluster"),
            ("[clusters]\n", "names no cluster"),
            ("[clusters]\na = 1\n", "is no text"),
            ("[clusters]\nA = \"postgres://a/usage\"\n", "lower-case"),
            ("[clusters]\na = \"postgres://me:s3cret@a/usage\"\n", "has a password"),
            ("[clusters]\na = \"postgres://s3cret\"\n", "cluster `a`"),
            ("[clusters]\na = \"postgres://a/usage?ledger=x\"\n", "names a ledger"),
            ("[clusters]\na = \"postgres://a/usage\"\n[moved]\nteam = \"b\"\n", "not in [clusters]"),
            ("[other]\n", "unknown table"),
            ("clusters = 3\n", "is no table"),
        ] {
            let error = ShardMap::parse(text, &|address| Ok(address)).unwrap_err();
            assert!(error.contains(why) && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_are_read_and_printed() {
        let address: ShardAddress = "shards:/etc/shards.toml?ledger=team".parse().unwrap();
        assert_eq!((address.map.as_path(), address.ledger.as_str()), (Path::new("/etc/shards.toml"), "team"));
        assert_eq!(address.to_string(), "shards:/etc/shards.toml?ledger=team");
        assert_eq!("shards:m.toml".parse::<ShardAddress>().unwrap().ledger, "default");
        for wrong in ["shards:", "shards:?ledger=a", "shards:m?name=a", "shards:m?ledger=A", "m.toml"] {
            assert!(wrong.parse::<ShardAddress>().is_err(), "{wrong}");
        }
    }
}
