//! A PostgreSQL server of this test run: its own data directory, on loopback, removed at the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The user that the server runs as if the tests run as root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// The programs of the newest PostgreSQL of this machine.
pub fn programs() -> Option<PathBuf> {
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let mut places: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    let version = |path: &PathBuf| path.parent().and_then(|p| p.file_name()?.to_str()?.parse::<u32>().ok());
    places.sort_by_key(version);
    places
        .into_iter()
        .rev()
        .chain(on_path)
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}

fn owner() -> Option<(u32, u32)> {
    let id = |flag: &str| -> Option<u32> {
        let out = Command::new("id").args([flag, USER]).output().ok()?;
        String::from_utf8(out.stdout).ok()?.trim().parse().ok()
    };
    Some((id("-u")?, id("-g")?))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// A command that runs as a user that PostgreSQL accepts.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}

pub struct Cluster {
    directory: TempDir,
    programs: PathBuf,
    pub port: u16,
    child: Option<Child>,
    ledgers: AtomicU64,
}

impl Cluster {
    /// Creates a cluster and starts it.
    pub fn start(programs: &Path, settings: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("ulpg").tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        for path in [directory.path(), &data] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            if let Some((user, group)) = owner().filter(|_| is_root()) {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let made = as_user(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "admin", "-E", "UTF8", "--locale", "C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut conf = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\nmax_connections = 120\n",
            directory.path().display()
        );
        conf.push_str(&settings.join("\n"));
        let mut file = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        std::io::Write::write_all(&mut file, conf.as_bytes()).unwrap();
        let mut cluster =
            Self { directory, programs: programs.to_owned(), port, child: None, ledgers: AtomicU64::new(0) };
        cluster.run();
        cluster
    }

    /// A replica that follows this server.
    pub fn replica(&self) -> Self {
        let directory = tempfile::Builder::new().prefix("ulpg").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = owner().filter(|_| is_root()) {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let copied = as_user(&self.programs.join("pg_basebackup"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "admin", "-R", "-c", "fast", "-D"])
            .arg(directory.path().join("data"))
            .current_dir("/")
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = format!("\nport = {port}\nunix_socket_directories = '{}'\n", directory.path().display());
        let mut file = fs::OpenOptions::new().append(true).open(directory.path().join("data/postgresql.conf")).unwrap();
        std::io::Write::write_all(&mut file, conf.as_bytes()).unwrap();
        let programs = self.programs.clone();
        let mut replica = Self { directory, programs, port, child: None, ledgers: AtomicU64::new(0) };
        replica.run();
        replica
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Puts a file into the data directory that only the server reads.
    pub fn give(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = owner().filter(|_| is_root()) {
            chown(&path, Some(user), Some(group)).unwrap();
        }
    }

    /// Starts the server and waits until it answers.
    pub fn run(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let child = as_user(&self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(60);
        while self.try_sql("postgres", "SELECT 1").is_err() {
            assert!(Instant::now() < end, "the server does not start: {}", self.log());
            // A backend that began as the old server died can use the shared memory a little longer.
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return self.run();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The process that all backends belong to.
    pub fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Kills the server without warning. Its backends end when they notice.
    pub fn kill(&mut self) {
        let backends = children(self.postmaster());
        signal("KILL", self.postmaster());
        let _ = self.child.take().unwrap().wait();
        // The next start needs the shared memory, which backends of the old server still use.
        let end = Instant::now() + Duration::from_secs(20);
        let running = || backends.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists());
        while running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal("INT", self.postmaster());
            let _ = child.wait();
        }
    }

    /// Runs statements as the administrator.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.sql_as("admin", database, sql)
    }

    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap()
    }

    pub fn sql_as(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let out = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", user, "-d", database, "-c", sql])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    pub fn create_database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
    }

    /// A name that no other ledger of this cluster has.
    pub fn fresh_name(&self) -> String {
        format!("l{}", self.ledgers.fetch_add(1, Ordering::Relaxed))
    }

    pub fn address_as(&self, user: &str, database: &str, ledger: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}?ledger={ledger}", self.port)
    }

    /// The address of a new ledger.
    pub fn fresh(&self, database: &str) -> String {
        self.address_as("admin", database, &self.fresh_name())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processes that a process started.
pub fn children(parent: u32) -> Vec<u32> {
    let out = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Sends a signal to one process.
pub fn signal(name: &str, process: u32) {
    let done = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(done.success(), "kill -{name} {process}");
}
