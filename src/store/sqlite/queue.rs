//! The queue of writers: first come, first served.
//!
//! SQLite lets waiting writers sleep for growing times and gives the lock to the first one that retries, so a busy
//! program starves the others. Here each writer draws a ticket and waits for the previous one. The queue only provides
//! fairness: SQLite's own lock excludes writers, and it alone decides where no queue can be kept.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::identity::Identity;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use whole as tickets;

/// The suffix of the queue's file.
const SUFFIX: &str = "-queue";

/// The queue of one ledger, as seen by one of its handles.
#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    file: Option<Arc<File>>,
}

/// The permission to write. It passes to the next writer when it is dropped, or when its process is killed.
#[derive(Debug)]
pub(super) struct WriterTurn {
    file: Arc<File>,
}

impl Drop for WriterTurn {
    fn drop(&mut self) {
        // A lock that cannot be released here is released when the file is closed.
        let _ = tickets::release(&self.file);
    }
}

/// The result of waiting for a turn.
#[derive(Debug)]
pub(super) enum WaitResult {
    Turn(WriterTurn),
    /// No queue is possible here; SQLite's lock decides.
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
    pub fn wait(&mut self, until: Instant) -> WaitResult {
        match self.open().and_then(|file| wait(&file, until).map(|done| done.then_some(WriterTurn { file }))) {
            Ok(Some(turn)) => WaitResult::Turn(turn),
            Ok(None) => WaitResult::TooLong,
            // A read-only directory, a full disk, or a file system without locks.
            Err(_) => WaitResult::NoQueue,
        }
    }

    /// The file of the queue.
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
            // A link could lead to the ledger itself.
            options.mode(0o600).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        }
        let file = Arc::new(options.open(&self.path)?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

/// Waits for a turn; false after a timeout.
fn wait(file: &Arc<File>, until: Instant) -> io::Result<bool> {
    let Some(ticket) = tickets::draw(file, until)? else { return Ok(false) };
    if tickets::is_next(file, ticket)? {
        return Ok(true);
    }
    if until <= Instant::now() {
        tickets::release(file)?;
        return Ok(false);
    }
    // The system call has no timeout, so another thread waits, and this one waits for that thread.
    let (wake, woken) = channel();
    let waiting = Arc::clone(file);
    std::thread::Builder::new().spawn(move || {
        let done = tickets::wait(&waiting, ticket);
        if wake.send(done).is_err() {
            // The wait was given up: releasing the ticket lets others pass.
            let _ = tickets::release_before(&waiting, ticket);
        }
    })?;
    match woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Ok(done) => done.map(|()| true),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            tickets::release(file)?;
            Ok(false)
        }
    }
}

/// Tickets as bytes of the queue's file, each locked by the descriptor that drew it (open file description locks). The
/// first eight bytes contain the number of the next ticket.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tickets {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc::{self, off_t};

    /// The bytes of the number, which are locked while a ticket is drawn.
    const NUMBER: off_t = 8;
    /// The delay between attempts to draw, which takes a few microseconds.
    const AGAIN: Duration = Duration::from_micros(50);

    #[derive(Clone, Copy)]
    enum LockKind {
        Exclusive,
        Shared,
        None,
    }

    fn range(kind: LockKind, start: off_t, len: off_t) -> libc::flock {
        let kind = match kind {
            LockKind::Exclusive => libc::F_WRLCK,
            LockKind::Shared => libc::F_RDLCK,
            LockKind::None => libc::F_UNLCK,
        };
        let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        libc::flock { l_type, l_whence, l_start: start, l_len: len, l_pid: 0 }
    }

    /// Locks without waiting; false if another descriptor holds the lock.
    fn try_lock(file: &File, kind: LockKind, start: off_t, len: off_t) -> io::Result<bool> {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&range(kind, start, len))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    fn lock(file: &File, kind: LockKind, start: off_t, len: off_t) -> io::Result<()> {
        loop {
            match fcntl(file, FcntlArg::F_OFD_SETLKW(&range(kind, start, len))) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Draws and locks a ticket; `None` if that is not possible in time.
    pub fn draw(file: &File, until: Instant) -> io::Result<Option<off_t>> {
        while !try_lock(file, LockKind::Exclusive, 0, NUMBER)? {
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
        // Another program may have written any number; counting then restarts.
        let next = u64::from_le_bytes(number);
        let ticket = off_t::try_from(next).ok().filter(|ticket| *ticket < off_t::MAX / 2).unwrap_or(0);
        let drawn = file
            .write_all_at(&(ticket + 1).to_le_bytes(), 0)
            .and_then(|()| try_lock(file, LockKind::Exclusive, NUMBER + ticket, 1))
            .and_then(|locked| if locked { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) });
        if let Err(error) = drawn {
            release(file)?;
            return Err(error);
        }
        try_lock(file, LockKind::None, 0, NUMBER)?;
        Ok(Some(ticket))
    }

    /// Whether all earlier tickets are released.
    pub fn is_next(file: &File, ticket: off_t) -> io::Result<bool> {
        Ok(ticket == 0 || try_lock(file, LockKind::Shared, NUMBER, ticket)?)
    }

    /// Waits until all earlier tickets are released.
    pub fn wait(file: &File, ticket: off_t) -> io::Result<()> {
        // Only one writer waits for each ticket, so only one wakes up. The previous one may have given up or been
        // killed out of order, so the caller checks again.
        lock(file, LockKind::Shared, NUMBER + ticket - 1, 1)?;
        lock(file, LockKind::Shared, NUMBER, ticket)
    }

    pub fn release_before(file: &File, ticket: off_t) -> io::Result<()> {
        try_lock(file, LockKind::None, NUMBER, ticket).map(|_| ())
    }

    /// Releases a ticket and all other locks of this descriptor.
    pub fn release(file: &File) -> io::Result<()> {
        try_lock(file, LockKind::None, 0, 0).map(|_| ())
    }
}

/// One lock for the whole file, on systems without descriptor locks on ranges. It gives no order.
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

/// The deadline of an operation that may wait for a number of seconds.
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

    fn turn(queue: &mut Queue, seconds: u64) -> WriterTurn {
        match queue.wait(after(seconds)) {
            WaitResult::Turn(turn) => turn,
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
                // The next writer starts after this one has its ticket.
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
            // It requests the lock again immediately, and must wait until the other writer is done.
            assert!(matches!(busy.wait(Instant::now()), WaitResult::TooLong));
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
            // Its ticket is between the other two.
            let gives_up = scope.spawn(|| {
                let soon = Instant::now() + Duration::from_millis(200);
                matches!(second.wait(soon), WaitResult::TooLong)
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
        assert!(matches!(queue.wait(after(60)), WaitResult::NoQueue));
    }

    #[test]
    fn a_link_is_no_queue() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("usage.db");
        std::fs::write(&ledger, "events").unwrap();
        let mut queue = Queue::of(&ledger);
        std::os::unix::fs::symlink(&ledger, &queue.path).unwrap();
        assert!(matches!(queue.wait(after(60)), WaitResult::NoQueue));
        assert_eq!(std::fs::read(&ledger).unwrap(), b"events");
    }
}
