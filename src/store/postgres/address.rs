//! The address of a ledger in PostgreSQL: `postgres://USER@HOST:PORT/DATABASE?ledger=NAME`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::model::error::{Error, Result};

/// How long a connection attempt may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The maximal length of the name of a ledger, in bytes.
const NAME: usize = 40;
/// The parameters that this module reads itself.
const OWN: [&str; 3] = ["ledger", "sslmode", "sslrootcert"];

/// The address of a ledger in PostgreSQL.
///
/// It is shown without the name of the user and without the password.
///
/// ```
/// use usage_ledger::store::PostgresAddress;
/// let address: PostgresAddress = "postgres://me:secret@db.example/usage?ledger=team".parse()?;
/// assert_eq!(address.to_string(), "postgres://db.example/usage?ledger=team");
/// assert_eq!(address.ledger(), "team");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    ledger: String,
    shown: String,
    pub(super) transport: Transport,
}

/// How bytes reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Without encryption, on this machine only.
    Plain,
    /// With TLS. The server's certificate must be valid for its name; the file has the trusted roots, else the system does.
    Verified(Option<PathBuf>),
}

impl PostgresAddress {
    /// Whether a text is an address of this kind.
    ///
    /// ```
    /// use usage_ledger::store::PostgresAddress;
    /// assert!(PostgresAddress::is_one("postgresql://localhost/usage"));
    /// assert!(!PostgresAddress::is_one("usage.db"));
    /// ```
    pub fn is_one(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// The name of the ledger in the database.
    ///
    /// ```
    /// use usage_ledger::store::PostgresAddress;
    /// assert_eq!("postgres://localhost/usage".parse::<PostgresAddress>()?.ledger(), "default");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn ledger(&self) -> &str {
        &self.ledger
    }

    /// The same database with another ledger.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that no ledger can have.
    ///
    /// ```
    /// use usage_ledger::store::PostgresAddress;
    /// let address: PostgresAddress = "postgres://localhost/usage".parse()?;
    /// assert_eq!(address.with_ledger("team")?.to_string(), "postgres://localhost/usage?ledger=team");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn with_ledger(&self, name: &str) -> Result<Self> {
        let mut other = self.clone();
        name_of_ledger(name)?.clone_into(&mut other.ledger);
        other.shown = shown(&other.config, name);
        Ok(other)
    }

    /// Fails for a name that no ledger can have.
    #[cfg(feature = "cli")]
    pub(super) fn check_ledger(name: &str) -> Result<()> {
        name_of_ledger(name).map(drop)
    }

    /// The failure of a ledger that does not exist.
    pub(super) fn no_ledger(&self) -> Error {
        Error::NotALedger { path: self.as_path(), why: "the database has no ledger of this name".to_owned() }
    }

    /// The address as the path of the ledger in messages.
    pub(crate) fn as_path(&self) -> PathBuf {
        PathBuf::from(&self.shown)
    }

    /// Uses the user name and password of the environment where the address states none.
    #[cfg(any(feature = "cli", test))]
    #[must_use]
    pub(crate) fn or_credentials(mut self, user: Option<String>, password: Option<String>) -> Self {
        if let Some(user) = user.filter(|_| self.config.get_user().is_none()) {
            self.config.user(user);
        }
        if let Some(password) = password.filter(|_| self.config.get_password().is_none()) {
            self.config.password(password);
        }
        self
    }

    /// Uses the password in a file of passwords where the address and the environment state none.
    #[cfg(feature = "cli")]
    pub(crate) fn or_password_in(mut self, path: &Path) -> Result<Self> {
        if self.config.get_password().is_none()
            && let Some(text) = super::passfile::read(path)?
            && let Some(password) = super::passfile::password(&text, &self.config)
        {
            self.config.password(password);
        }
        Ok(self)
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({})", self.shown)
    }
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("the address of the PostgreSQL ledger {what}: write postgres://HOST/DATABASE?ledger=NAME"))
}

/// The same rule as the constraint of table `heads`.
fn name_of_ledger(name: &str) -> Result<&str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.bytes().next().is_some_and(plain);
    if first && name.len() <= NAME && name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte)) {
        return Ok(name);
    }
    Err(invalid(
        "has a `ledger` that is no name of up to 40 lower-case letters, digits, `.`, `_` and `-`, with a letter or digit first",
    ))
}

/// Decodes `%41` and the like.
fn decoded(text: &str) -> Result<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(invalid("has a `%` without two digits")) };
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|_| invalid("is not UTF-8"))
}

fn shown(config: &Config, ledger: &str) -> String {
    let hosts = config.get_hosts().iter().zip(config.get_ports().iter().chain(std::iter::repeat(&5432)));
    let hosts: Vec<String> = hosts
        .map(|(host, port)| {
            let host = match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string().replace('/', "%2F"),
            };
            if *port == 5432 { host } else { format!("{host}:{port}") }
        })
        .collect();
    format!("postgres://{}/{}?ledger={ledger}", hosts.join(","), config.get_dbname().unwrap_or(""))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

impl FromStr for PostgresAddress {
    type Err = Error;

    /// The message of a failure never repeats the address, which may contain a password.
    fn from_str(text: &str) -> Result<Self> {
        let (front, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut own, mut rest) = ([const { None }; OWN.len()], Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| invalid("has a parameter without `=`"))?;
            match own.iter_mut().zip(OWN).find(|(_, name)| *name == key) {
                Some((place, _)) => *place = Some(decoded(value)?),
                None => rest.push(pair),
            }
        }
        let [ledger, mode, roots] = own;
        let plain = if rest.is_empty() { front.to_owned() } else { format!("{front}?{}", rest.join("&")) };
        let mut config: Config = plain.parse().map_err(|_| invalid("cannot be read"))?;
        if config.get_hosts().is_empty() {
            config.host("localhost");
        }
        if config.get_dbname().is_none() {
            return Err(invalid("names no database"));
        }
        let local = config.get_hosts().iter().all(is_local);
        let roots = roots.map(PathBuf::from);
        let transport = match mode.as_deref() {
            None if local && roots.is_none() => Transport::Plain,
            Some("disable") if local => Transport::Plain,
            None | Some("verify-full") => Transport::Verified(roots),
            Some("disable") => {
                return Err(invalid(
                    "leaves a connection to another machine without encryption; use sslmode=verify-full",
                ));
            }
            Some(_) => {
                return Err(invalid("has an `sslmode` that does not check who answers; use sslmode=verify-full"));
            }
        };
        let ledger = name_of_ledger(ledger.as_deref().unwrap_or("default"))?.to_owned();
        config.ssl_mode(if transport == Transport::Plain { SslMode::Disable } else { SslMode::Require });
        config.connect_timeout(CONNECT).keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("usage-ledger");
        }
        Ok(Self { shown: shown(&config, &ledger), config, ledger, transport })
    }
}

impl Transport {
    pub(super) fn roots(&self) -> Option<&Path> {
        match self {
            Self::Verified(roots) => roots.as_deref(),
            Self::Plain => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresAddress> {
        text.parse()
    }

    #[test]
    fn no_form_of_an_address_shows_a_password_or_a_user() {
        let text = "postgres://me:s3cret@db.example:6432/usage?ledger=team&application_name=x";
        let address = parse(text).unwrap();
        assert_eq!(address.to_string(), "postgres://db.example:6432/usage?ledger=team");
        assert_eq!(address.as_path(), PathBuf::from(address.to_string()));
        assert!(!format!("{address:?}").contains("s3cret"));
        for broken in [
            "postgres://me:s3cret@db.example/usage?ledger",
            "postgres://me:s3cret@db.example/",
            "postgres://me:s3cret@db.example/u?ledger=Team",
            "postgres://me:s3cret@db.example/u?sslmode=require",
            "postgres://me:s3cret@db.example/u?sslmode=disable",
            "postgres://me:s3cret@db.example:port/u",
            "postgres://me:s3cret@db.example/u?nonsense=s3cret",
        ] {
            let error = parse(broken).unwrap_err().to_string();
            assert!(!error.contains("s3cret") && !error.contains("me:"), "{broken}: {error}");
        }
    }

    #[test]
    fn a_connection_to_another_machine_is_always_verified() {
        let transport = |text: &str| parse(text).unwrap().transport;
        assert_eq!(transport("postgres://db.example/u"), Transport::Verified(None));
        assert_eq!(
            transport("postgres://db.example/u?sslrootcert=/ca.pem"),
            Transport::Verified(Some("/ca.pem".into()))
        );
        assert_eq!(transport("postgres://127.0.0.1/u"), Transport::Plain);
        assert_eq!(transport("postgres:///u"), Transport::Plain);
        assert_eq!(transport("postgres://localhost/u?sslmode=verify-full"), Transport::Verified(None));
        assert_eq!(transport("postgres://localhost,db.example/u"), Transport::Verified(None));
        assert_eq!(transport("postgres://%2Frun%2Fpostgresql/u"), Transport::Plain);
    }

    #[test]
    fn the_environment_fills_in_only_what_the_address_leaves_out() {
        let of = |text: &str| parse(text).unwrap().or_credentials(Some("u".into()), Some("p".into())).config;
        assert_eq!(of("postgres://localhost/d").get_user(), Some("u"));
        assert_eq!(of("postgres://me:mine@localhost/d").get_user(), Some("me"));
        assert_eq!(of("postgres://me:mine@localhost/d").get_password(), Some(&b"mine"[..]));
        assert_eq!(of("postgres://me@localhost/d").get_password(), Some(&b"p"[..]));
    }
}
