//! The queue of writers: first come, first served.
//!
//! SQLite lets waiters sleep for growing times and then gives the write lock to whoever asks next, so a busy program
//! starves the others. Here each writer draws a ticket and waits for the one before. Only fairness depends on the queue:
//! SQLite's own lock keeps writers apart, also those of other programs, and where no queue can be kept there is none.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::identity::Identity;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use whole as tickets;

/// How the name of the queue's file ends.
const SUFFIX: &str = "-queue";

/// The queue of one ledger, as one of its handles sees it.
#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    file: Option<Arc<File>>,
}

/// The right to write. It passes to the next one when it is dropped, or when its process is killed.
#[derive(Debug)]
pub(super) struct Turn {
    file: Arc<File>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // What cannot be released here is released when the file is closed.
        let _ = tickets::release(&self.file);
    }
}

/// How waiting for a turn ended.
#[derive(Debug)]
pub(super) enum Waited {
    Turn(Turn),
    /// Nobody can queue here; SQLite's lock decides.
    NoQueue,
    TooLong,
}

impl Queue {
    /// The queue of the ledger at a path without links.
    pub fn of(ledger: &Path) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(SUFFIX);
        Self { path: path.into(), file: None }
    }

    /// Waits for a turn until a moment.
    pub fn wait(&mut self, until: Instant) -> Waited {
        match self.open().and_then(|file| wait(&file, until).map(|done| done.then_some(Turn { file }))) {
            Ok(Some(turn)) => Waited::Turn(turn),
            Ok(None) => Waited::TooLong,
            // A read-only directory, a full disk, a file system without locks.
            Err(_) => Waited::NoQueue,
        }
    }

    /// The file that all writers queue at.
    fn open(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file
            && Identity::at(&self.path)? == Some(Identity::of(&file.metadata()?))
        {
            return Ok(Arc::clone(file));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = Arc::new(options.open(&self.path)?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

/// Waits for a turn; false when it took too long.
fn wait(file: &Arc<File>, until: Instant) -> io::Result<bool> {
    let Some(ticket) = tickets::draw(file, until)? else { return Ok(false) };
    if tickets::is_next(file, ticket)? {
        return Ok(true);
    }
    if until <= Instant::now() {
        tickets::release(file)?;
        return Ok(false);
    }
    // The system's wait knows no end, so a thread waits, and this one waits for the thread.
    let (tell, told) = channel();
    let waiting = Arc::clone(file);
    std::thread::Builder::new().spawn(move || {
        let done = tickets::wait(&waiting, ticket);
        if tell.send(done).is_err() {
            // Given up meanwhile: what was locked while waiting stands in nobody's way.
            let _ = tickets::release_before(&waiting, ticket);
        }
    })?;
    match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(done) => done.map(|()| true),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            tickets::release(file)?;
            Ok(false)
        }
    }
}

/// Tickets as bytes of the queue's file, each locked by the descriptor that drew it (open file description locks). The
/// first eight bytes hold the number of the next ticket.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tickets {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc::{self, off_t};

    /// Bytes of the number, which are locked while a ticket is drawn.
    const NUMBER: off_t = 8;
    /// How often drawing is tried again: it takes a few microseconds.
    const AGAIN: Duration = Duration::from_micros(50);

    #[derive(Clone, Copy)]
    enum Kind {
        Exclusive,
        Shared,
        None,
    }

    fn range(kind: Kind, start: off_t, len: off_t) -> libc::flock {
        let kind = match kind {
            Kind::Exclusive => libc::F_WRLCK,
            Kind::Shared => libc::F_RDLCK,
            Kind::None => libc::F_UNLCK,
        };
        let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        libc::flock { l_type, l_whence, l_start: start, l_len: len, l_pid: 0 }
    }

    /// Locks without waiting; false when another holds it.
    fn try_lock(file: &File, kind: Kind, start: off_t, len: off_t) -> io::Result<bool> {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&range(kind, start, len))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    fn lock(file: &File, kind: Kind, start: off_t, len: off_t) -> io::Result<()> {
        loop {
            match fcntl(file, FcntlArg::F_OFD_SETLKW(&range(kind, start, len))) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Draws a ticket and locks it; none when that is not possible until a moment.
    pub fn draw(file: &File, until: Instant) -> io::Result<Option<off_t>> {
        while !try_lock(file, Kind::Exclusive, 0, NUMBER)? {
            if until <= Instant::now() {
                return Ok(None);
            }
            std::thread::sleep(AGAIN);
        }
        let mut number = [0; 8];
        if let Err(error) = file.read_exact_at(&mut number, 0)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            release(file)?;
            return Err(error);
        }
        // A number that somebody else wrote may be any; then counting starts anew.
        let next = u64::from_le_bytes(number);
        let ticket = off_t::try_from(next).ok().filter(|ticket| *ticket < off_t::MAX / 2).unwrap_or(0);
        let drawn = file
            .write_all_at(&(ticket + 1).to_le_bytes(), 0)
            .and_then(|()| try_lock(file, Kind::Exclusive, NUMBER + ticket, 1))
            .and_then(|locked| if locked { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) });
        if let Err(error) = drawn {
            release(file)?;
            return Err(error);
        }
        try_lock(file, Kind::None, 0, NUMBER)?;
        Ok(Some(ticket))
    }

    /// Whether all earlier tickets have been given back.
    pub fn is_next(file: &File, ticket: off_t) -> io::Result<bool> {
        Ok(ticket == 0 || try_lock(file, Kind::Shared, NUMBER, ticket)?)
    }

    /// Waits until all earlier tickets have been given back.
    pub fn wait(file: &File, ticket: off_t) -> io::Result<()> {
        // Only one waits for each, so only one wakes up. That one may have given up or been killed out of turn.
        lock(file, Kind::Shared, NUMBER + ticket - 1, 1)?;
        lock(file, Kind::Shared, NUMBER, ticket)
    }

    pub fn release_before(file: &File, ticket: off_t) -> io::Result<()> {
        try_lock(file, Kind::None, NUMBER, ticket).map(|_| ())
    }

    /// Gives back a ticket and whatever else is locked.
    pub fn release(file: &File) -> io::Result<()> {
        try_lock(file, Kind::None, 0, 0).map(|_| ())
    }
}

/// One lock for the whole file, where ranges cannot be locked by descriptor: whoever asks at the right moment gets it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod whole {
    use std::fs::{File, TryLockError};
    use std::io;
    use std::time::{Duration, Instant};

    const AGAIN: Duration = Duration::from_millis(1);

    pub fn draw(file: &File, until: Instant) -> io::Result<Option<()>> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(())),
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(AGAIN),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    pub fn is_next(_: &File, (): ()) -> io::Result<bool> {
        Ok(true)
    }

    pub fn wait(_: &File, (): ()) -> io::Result<()> {
        Ok(())
    }

    pub fn release_before(_: &File, (): ()) -> io::Result<()> {
        Ok(())
    }

    pub fn release(file: &File) -> io::Result<()> {
        file.unlock()
    }
}

/// The moment until which an operation may wait that waits for a number of seconds.
pub(super) fn after(seconds: u64) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_secs(seconds)).unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::Mutex;

    use super::*;

    fn drawn(queue: &Queue) -> u64 {
        let mut number = [0; 8];
        File::open(&queue.path).unwrap().read_exact_at(&mut number, 0).unwrap();
        u64::from_le_bytes(number)
    }

    fn turn(queue: &mut Queue, seconds: u64) -> Turn {
        match queue.wait(after(seconds)) {
            Waited::Turn(turn) => turn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn turns_are_in_order_of_arrival() {
        const WAITERS: u64 = 32;
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("usage.db");
        let mut first = Queue::of(&ledger);
        let held = turn(&mut first, 60);
        let served = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for waiter in 0..WAITERS {
                let mut queue = Queue::of(&ledger);
                let served = &served;
                scope.spawn(move || {
                    let _turn = turn(&mut queue, 60);
                    served.lock().unwrap().push(waiter);
                });
                // The next one arrives when this one has its ticket.
                while drawn(&first) < waiter + 2 {
                    std::thread::yield_now();
                }
            }
            assert!(served.lock().unwrap().is_empty());
            drop(held);
        });
        assert!(served.into_inner().unwrap().into_iter().eq(0..WAITERS));
    }

    #[test]
    fn a_writer_that_just_wrote_waits_for_earlier_ones() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("usage.db");
        let (mut busy, mut other) = (Queue::of(&ledger), Queue::of(&ledger));
        let held = turn(&mut busy, 60);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| turn(&mut other, 60));
            while drawn(&Queue::of(&ledger)) < 2 {
                std::thread::yield_now();
            }
            drop(held);
            // It asks again at once, and has to wait until the other one is done.
            assert!(matches!(busy.wait(Instant::now()), Waited::TooLong));
            drop(waits.join().unwrap());
            turn(&mut busy, 60);
        });
    }

    #[test]
    fn a_writer_that_gives_up_does_not_change_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("usage.db");
        let (mut first, mut second, mut third) = (Queue::of(&ledger), Queue::of(&ledger), Queue::of(&ledger));
        let held = turn(&mut first, 60);
        std::thread::scope(|scope| {
            // Its ticket is between the two.
            let gives_up = scope.spawn(|| {
                let soon = Instant::now() + Duration::from_millis(200);
                matches!(second.wait(soon), Waited::TooLong)
            });
            while drawn(&Queue::of(&ledger)) < 2 {
                std::thread::yield_now();
            }
            let waits = scope.spawn(|| turn(&mut third, 60));
            assert!(gives_up.join().unwrap());
            assert!(!waits.is_finished(), "it did not wait for the first");
            drop(held);
            drop(waits.join().unwrap());
        });
        drop(turn(&mut second, 60));
    }

    #[test]
    fn a_queue_continues_after_its_file_is_removed_or_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("usage.db");
        let mut queue = Queue::of(&ledger);
        drop(turn(&mut queue, 60));
        std::fs::remove_file(&queue.path).unwrap();
        drop(turn(&mut queue, 60));
        std::fs::write(&queue.path, [0xFF; 40]).unwrap();
        drop(turn(&mut queue, 60));
        assert_eq!(drawn(&queue), 1);
        std::fs::remove_file(&queue.path).unwrap();
        std::fs::create_dir(&queue.path).unwrap();
        assert!(matches!(queue.wait(after(60)), Waited::NoQueue));
    }
}
