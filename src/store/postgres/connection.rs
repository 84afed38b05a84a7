//! Connections to the server: a pool of them, driven by one background thread, with blocking calls on top.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{PostgresAddress, Transport};
use super::failure::RequestFailure;
#[cfg(feature = "archive")]
use super::line_archive::LineArchive;
use crate::model::error::{Error, Result};

/// How long the server may take to answer one request. It is longer than any wait for a lock.
const PATIENCE: Duration = Duration::from_secs(120);
/// Connections that are kept open while nobody uses them. A new one costs the server a process.
const IDLE: usize = 32;

/// The connections of one ledger. Several ledgers of a database can share the idle ones.
pub(super) struct ServerConnections {
    pub address: PostgresAddress,
    tls: Option<Arc<ClientConfig>>,
    idle: Arc<Mutex<Vec<Client>>>,
    /// Whether the user moves the ledger, and so writes a copy that takes no commits of others.
    pub is_mover: bool,
    /// Where the older lines of the ledger are.
    #[cfg(feature = "archive")]
    pub archive: Arc<LineArchive>,
}

/// A connection that is used by one view or transaction.
pub(super) struct Connection {
    client: Option<Client>,
    pool: Arc<ServerConnections>,
}

/// The thread that reads and writes the sockets of all connections of this process.
fn driver() -> Result<&'static Handle> {
    static DRIVER: OnceLock<io::Result<Handle>> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let run = move || runtime.block_on(std::future::pending::<()>());
        thread::Builder::new().name("postgres".to_owned()).spawn(run)?;
        Ok(handle)
    };
    DRIVER.get_or_init(start).as_ref().map_err(|error| Error::Store {
        what: "starting the thread of the PostgreSQL connections".to_owned(),
        source: error.to_string().into(),
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a request on this thread; `None` if the server does not answer in time. The sockets are driven elsewhere, so
/// this also works on a thread of another runtime.
fn wait<T>(request: impl Future<Output = T>, patience: Duration) -> Option<T> {
    let mut request = pin!(request);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let end = Instant::now().checked_add(patience)?;
    loop {
        if let Poll::Ready(done) = request.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// The certificates that are trusted: those of a file, or of the system.
fn roots(transport: &Transport) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = transport.roots() {
        let unreadable =
            |why: String| Error::Io { path: path.to_owned(), source: io::Error::new(io::ErrorKind::InvalidData, why) };
        let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
    } else {
        // A system may have certificates that no library reads; the others do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(Error::invalid(
            "no certificate of an authority is found to check the PostgreSQL server with: name a file with sslrootcert=PATH in the address",
        ));
    }
    Ok(roots)
}

fn tls(transport: &Transport) -> Result<Option<Arc<ClientConfig>>> {
    if *transport == Transport::Plain {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::Store { what: "preparing TLS".to_owned(), source: error.into() })?;
    Ok(Some(Arc::new(config.with_root_certificates(roots(transport)?).with_no_client_auth())))
}

async fn connect(address: PostgresAddress, tls: Option<Arc<ClientConfig>>) -> Result<Client, tokio_postgres::Error> {
    // The task ends with the connection; the client reports why.
    match tls {
        None => {
            let (client, connection) = address.config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
        Some(tls) => {
            let tls = MakeRustlsConnect::new(ClientConfig::clone(&tls));
            let (client, connection) = address.config.connect(tls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

impl ServerConnections {
    pub fn new(address: PostgresAddress) -> Result<Self> {
        Ok(Self {
            tls: tls(&address.transport)?,
            address,
            idle: Arc::default(),
            is_mover: false,
            #[cfg(feature = "archive")]
            archive: Arc::default(),
        })
    }

    /// The connections of another ledger of the same database.
    #[cfg(feature = "cli")]
    pub fn of_ledger(&self, name: &str) -> Result<Self> {
        Ok(Self {
            address: self.address.with_ledger(name)?,
            tls: self.tls.clone(),
            idle: Arc::clone(&self.idle),
            is_mover: false,
            #[cfg(feature = "archive")]
            archive: Arc::default(),
        })
    }

    /// The connections of a program that moves the ledger.
    #[cfg(feature = "cli")]
    pub fn for_mover(&self) -> Result<Self> {
        Ok(Self { is_mover: true, ..self.of_ledger(self.address.ledger())? })
    }

    /// A connection: an idle one, or a new one.
    pub fn lease(self: &Arc<Self>) -> Result<Connection, RequestFailure> {
        let idle = loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(client) if client.is_closed() => {}
                other => break other,
            }
        };
        match idle {
            Some(client) => Ok(Connection { client: Some(client), pool: Arc::clone(self) }),
            None => self.lease_new(),
        }
    }

    /// A new connection.
    pub fn lease_new(self: &Arc<Self>) -> Result<Connection, RequestFailure> {
        let driver = driver().map_err(RequestFailure::Other)?;
        let (done, is_done) = mpsc::channel();
        let (address, tls) = (self.address.clone(), self.tls.clone());
        driver.spawn(async move { done.send(connect(address, tls).await) });
        let client = is_done.recv_timeout(PATIENCE).map_err(|_| RequestFailure::Late)?;
        Ok(Connection { client: Some(client.map_err(RequestFailure::from)?), pool: Arc::clone(self) })
    }
}

impl Connection {
    pub fn address(&self) -> &PostgresAddress {
        &self.pool.address
    }

    /// Where the older lines of the ledger are.
    #[cfg(feature = "archive")]
    pub fn archive(&self) -> Arc<LineArchive> {
        Arc::clone(&self.pool.archive)
    }

    /// Whether the user moves the ledger.
    pub fn is_mover(&self) -> bool {
        self.pool.is_mover
    }

    /// Gives the connection back: its transaction has ended.
    pub fn finish(&mut self) {
        let Some(client) = self.client.take().filter(|client| !client.is_closed()) else { return };
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(client);
        }
    }

    /// Waits for the answer to a request, or to several that are sent at once.
    pub fn run<'c, T, F>(&'c mut self, request: impl FnOnce(&'c Client) -> F) -> Result<T, RequestFailure>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>> + 'c,
    {
        self.run_within(PATIENCE, request)
    }

    /// As [`run`](Self::run), with another limit of time.
    pub fn run_within<'c, T, F>(
        &'c mut self,
        patience: Duration,
        request: impl FnOnce(&'c Client) -> F,
    ) -> Result<T, RequestFailure>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>> + 'c,
    {
        let client = self.client.as_ref().ok_or(RequestFailure::Late)?;
        wait(request(client), patience).ok_or(RequestFailure::Late)?.map_err(RequestFailure::from)
    }

    /// Closes the connection: its state is not known any more.
    pub fn discard(&mut self) {
        self.client = None;
    }

    /// Sends a rollback and gives the connection back without waiting for the answer. What the next user of the connection
    /// sends is answered after it.
    pub fn roll_back(&mut self) {
        let Some(client) = self.client.take().filter(|client| !client.is_closed()) else { return };
        {
            let mut request = pin!(client.batch_execute("ROLLBACK"));
            // A request is sent when it is first polled.
            if let Poll::Ready(Err(_)) = request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return;
            }
        }
        self.client = Some(client);
        self.finish();
    }
}
