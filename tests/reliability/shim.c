/* Preloaded into a process under test. It counts the system calls that change files below one directory, records them,
 * and makes a chosen one fail or kill the process.
 *
 * SHIM_DIR    the directory; calls on other files pass through untouched
 * SHIM_LOG    a file to which every call is appended with its data, and what the process writes to its standard output
 * SHIM_COUNT  a file to which the number of matching calls is written when the process ends by itself
 * SHIM_HIT    a file that is made when the chosen call is reached
 * SHIM_MASK   which calls match: o open, w write, s sync, t truncate, n link, unlink, rename and mkdir, r read, m map,
 *             a allocation
 * SHIM_AT     the number of the matching call that is chosen, from 1
 * SHIM_HOW    before: it fails and does nothing; after: it is done and fails; half: a write is half done and fails;
 *             kill: the process dies before it; killafter: the process dies after it
 * SHIM_ERRNO  the error number of a failure
 * SHIM_STICKY when set, all later matching calls fail too
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096
#define LOG_FD 900

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static char dir[4096];
static size_t dir_len;
static char mask[32];
static long at;
static char how[16];
static int error_number = EIO;
static int sticky;
static char hit_path[4096], count_path[4096];
static int log_fd = -1;
static atomic_long counted;
static atomic_long allocations;
static int counts_allocations;
static atomic_int ready;
/* 1: a file below the directory, 2: a directory below it or it itself. */
static unsigned char tracked[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...)                                                                                        \
    static result (*real_##name)(__VA_ARGS__);                                                                         \
    if (!real_##name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static int raw_open(const char *path, int flags, int mode) {
    REAL(int, open64, const char *, int, ...);
    return real_open64(path, flags, mode);
}

static ssize_t raw_write(int fd, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    return real_write(fd, data, length);
}

static void copy_env(const char *name, char *to, size_t room) {
    const char *value = getenv(name);
    if (value) snprintf(to, room, "%s", value);
}

__attribute__((constructor)) static void begin(void) {
    copy_env("SHIM_DIR", dir, sizeof dir);
    dir_len = strlen(dir);
    copy_env("SHIM_MASK", mask, sizeof mask);
    copy_env("SHIM_HOW", how, sizeof how);
    copy_env("SHIM_HIT", hit_path, sizeof hit_path);
    copy_env("SHIM_COUNT", count_path, sizeof count_path);
    const char *value = getenv("SHIM_AT");
    at = value ? atol(value) : 0;
    value = getenv("SHIM_ERRNO");
    if (value) error_number = atoi(value);
    sticky = getenv("SHIM_STICKY") != NULL;
    counts_allocations = strchr(mask, 'a') != NULL;
    value = getenv("SHIM_LOG");
    if (value) {
        int fd = raw_open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        log_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
        close(fd);
    }
    atomic_store(&ready, 1);
}

__attribute__((destructor)) static void end(void) {
    if (!count_path[0]) return;
    int fd = raw_open(count_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", counts_allocations ? (long)allocations : (long)counted);
    if (fd >= 0 && raw_write(fd, text, (size_t)length) < 0) abort();
    atomic_store(&ready, 0);
}

static void mark_hit(void) {
    if (!hit_path[0]) return;
    int fd = raw_open(hit_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

/* What is to become of a call. */
enum fate { PASS, BEFORE, AFTER, HALF, KILL_AFTER };

static enum fate fate(char kind) {
    if (!atomic_load(&ready) || !at || !strchr(mask, kind)) {
        if (atomic_load(&ready) && strchr(mask, kind)) atomic_fetch_add(&counted, 1);
        return PASS;
    }
    long number = atomic_fetch_add(&counted, 1) + 1;
    if (number != at && !(sticky && number > at)) return PASS;
    mark_hit();
    if (!strcmp(how, "kill")) raise(SIGKILL);
    if (!strcmp(how, "killafter")) return KILL_AFTER;
    if (!strcmp(how, "after")) return AFTER;
    if (!strcmp(how, "half")) return HALF;
    return BEFORE;
}

/* Ends a call that was done. */
static long ended(enum fate what, long result) {
    if (what == KILL_AFTER) raise(SIGKILL);
    if (what == AFTER && result >= 0) {
        errno = error_number;
        return -1;
    }
    return result;
}

#define FAIL_BEFORE(what)                                                                                              \
    if (what == BEFORE || what == HALF) {                                                                              \
        errno = error_number;                                                                                          \
        return -1;                                                                                                     \
    }

static void record(char kind, uint64_t inode, uint64_t offset, const void *data, size_t length) {
    if (log_fd < 0) return;
    unsigned char head[21];
    uint32_t short_length = (uint32_t)length;
    head[0] = (unsigned char)kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &short_length, 4);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)data, length}};
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (real_writev(log_fd, parts, 2) != (ssize_t)(sizeof head + length)) abort();
}

static int below(const char *path) {
    return dir_len && path && !strncmp(path, dir, dir_len) && (path[dir_len] == '/' || !path[dir_len]);
}

static uint64_t inode_of(int fd) {
    struct stat about;
    return fstat(fd, &about) ? 0 : (uint64_t)about.st_ino;
}

static int is(int fd, unsigned char what) {
    return fd >= 0 && fd < FDS && tracked[fd] == what;
}

static int open_it(int (*real)(const char *, int, ...), const char *path, int flags, int mode) {
    if (!below(path)) return real(path, flags, mode);
    enum fate what = fate('o');
    FAIL_BEFORE(what);
    pthread_mutex_lock(&lock);
    struct stat about;
    int was_there = !stat(path, &about);
    int fd = real(path, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < FDS && !fstat(fd, &about)) {
        tracked[fd] = S_ISDIR(about.st_mode) ? 2 : S_ISREG(about.st_mode) ? 1 : 0;
        if (tracked[fd] == 1 && !was_there) record('C', (uint64_t)about.st_ino, 0, path, strlen(path));
        else if (tracked[fd] == 1 && (flags & O_TRUNC)) record('T', (uint64_t)about.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    if (what == AFTER && fd >= 0) {
        close(fd);
        errno = error_number;
        return -1;
    }
    return (int)ended(what, fd);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;                                              \
        va_end(rest);                                                                                                  \
        REAL(int, name, const char *, int, ...);                                                                       \
        return open_it(real_##name, path, flags, mode);                                                                \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name, plain)                                                                                            \
    int name(int at_fd, const char *path, int flags, ...) {                                                            \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;                                              \
        va_end(rest);                                                                                                  \
        REAL(int, name, int, const char *, int, ...);                                                                  \
        REAL(int, plain, const char *, int, ...);                                                                      \
        if (path[0] == '/') return open_it(real_##plain, path, flags, mode);                                   \
        return real_##name(at_fd, path, flags, mode);                                                                  \
    }
OPENAT(openat, open)
OPENAT(openat64, open64)

int close(int fd) {
    REAL(int, close, int);
    if (fd >= 0 && fd < FDS) tracked[fd] = 0;
    return real_close(fd);
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    enum fate what = fate('w');
    if (what == BEFORE) {
        errno = error_number;
        return -1;
    }
    size_t done = what == HALF ? length / 2 : length;
    pthread_mutex_lock(&lock);
    ssize_t result = real_pwrite64(fd, data, done, offset);
    if (result > 0) record('W', inode_of(fd), (uint64_t)offset, data, (size_t)result);
    pthread_mutex_unlock(&lock);
    if (what == HALF) {
        errno = error_number;
        return -1;
    }
    return (ssize_t)ended(what, result);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    return is(fd, 1) ? write_at(fd, data, length, offset) : real_pwrite64(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
    return is(fd, 1) ? write_at(fd, data, length, offset) : real_pwrite64(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length) {
    if (is(fd, 1)) {
        off_t offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
        ssize_t result = write_at(fd, data, length, offset);
        if (result > 0) {
            int error = errno;
            lseek(fd, offset + result, SEEK_SET);
            errno = error;
        }
        return result;
    }
    /* An answer is on record before anybody can read it. */
    if (fd == 1 && log_fd >= 0) {
        pthread_mutex_lock(&lock);
        record('A', 0, 0, data, length);
        pthread_mutex_unlock(&lock);
    }
    return raw_write(fd, data, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (!is(fd, 1) || count < 1) return real_writev(fd, parts, count);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}

#define READ_FATE(fd)                                                                                                  \
    if (is(fd, 1)) {                                                                                                   \
        enum fate what = fate('r');                                                                                    \
        if (what == KILL_AFTER) raise(SIGKILL);                                                                        \
        if (what != PASS) {                                                                                            \
            errno = error_number;                                                                                      \
            return -1;                                                                                                 \
        }                                                                                                              \
    }

ssize_t read(int fd, void *data, size_t length) {
    REAL(ssize_t, read, int, void *, size_t);
    READ_FATE(fd);
    return real_read(fd, data, length);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset) {
    REAL(ssize_t, pread64, int, void *, size_t, off_t);
    READ_FATE(fd);
    return real_pread64(fd, data, length, offset);
}

ssize_t pread64(int fd, void *data, size_t length, off_t offset) {
    REAL(ssize_t, pread64, int, void *, size_t, off_t);
    READ_FATE(fd);
    return real_pread64(fd, data, length, offset);
}

static int truncate_it(int fd, off_t length) {
    REAL(int, ftruncate64, int, off_t);
    if (!is(fd, 1)) return real_ftruncate64(fd, length);
    enum fate what = fate('t');
    FAIL_BEFORE(what);
    pthread_mutex_lock(&lock);
    int result = real_ftruncate64(fd, length);
    if (!result) record('T', inode_of(fd), (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return (int)ended(what, result);
}

int ftruncate(int fd, off_t length) { return truncate_it(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_it(fd, length); }

static int sync_it(int (*real)(int), int fd) {
    if (!is(fd, 1) && !is(fd, 2)) return real(fd);
    enum fate what = fate('s');
    if (what == BEFORE || what == HALF) {
        /* The kernel reports a failed sync once and may drop the data: the log tells. */
        pthread_mutex_lock(&lock);
        record('F', inode_of(fd), 0, "", 0);
        pthread_mutex_unlock(&lock);
    }
    FAIL_BEFORE(what);
    pthread_mutex_lock(&lock);
    int result = real(fd);
    if (!result) record(is(fd, 2) ? 'Y' : 'S', inode_of(fd), 0, "", 0);
    pthread_mutex_unlock(&lock);
    return (int)ended(what, result);
}

int fsync(int fd) {
    REAL(int, fsync, int);
    return sync_it(real_fsync, fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return sync_it(real_fdatasync, fd);
}

/* Names: the log has both paths of a call with a zero byte between them. */
static void record_names(char kind, const char *from, const char *to) {
    char both[8192];
    size_t one = strlen(from), other = strlen(to);
    if (one + other + 1 > sizeof both) abort();
    memcpy(both, from, one + 1);
    memcpy(both + one + 1, to, other);
    record(kind, 0, 0, both, one + 1 + other);
}

#define NAMES(kind, from, to, call)                                                                                    \
    enum fate what = fate('n');                                                                                        \
    FAIL_BEFORE(what);                                                                                                 \
    pthread_mutex_lock(&lock);                                                                                         \
    int result = call;                                                                                                 \
    if (!result) record_names(kind, from, to);                                                                         \
    pthread_mutex_unlock(&lock);                                                                                       \
    return (int)ended(what, result)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (!below(path)) return real_unlink(path);
    NAMES('U', path, "", real_unlink(path));
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (!below(to)) return real_rename(from, to);
    NAMES('R', from, to, real_rename(from, to));
}

int link(const char *from, const char *to) {
    REAL(int, link, const char *, const char *);
    if (!below(to)) return real_link(from, to);
    NAMES('L', from, to, real_link(from, to));
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    if (!below(to)) return real_linkat(from_fd, from, to_fd, to, flags);
    NAMES('L', from, to, real_linkat(from_fd, from, to_fd, to, flags));
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    if (!below(path)) return real_mkdir(path, mode);
    NAMES('D', path, "", real_mkdir(path, mode));
}

static void *map_it(void *(*real)(void *, size_t, int, int, int, off_t), void *where, size_t length, int protection,
                    int flags, int fd, off_t offset) {
    if (is(fd, 1)) {
        enum fate what = fate('m');
        if (what == KILL_AFTER) raise(SIGKILL);
        if (what != PASS) {
            errno = error_number == ENOSPC ? ENOMEM : error_number;
            return MAP_FAILED;
        }
    }
    return real(where, length, protection, flags, fd, offset);
}

void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t offset) {
    REAL(void *, mmap, void *, size_t, int, int, int, off_t);
    return map_it(real_mmap, where, length, protection, flags, fd, offset);
}

void *mmap64(void *where, size_t length, int protection, int flags, int fd, off_t offset) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off_t);
    return map_it(real_mmap64, where, length, protection, flags, fd, offset);
}

/* Without these a copy of a file goes through read and write. */
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length, unsigned flags) {
    (void)in, (void)in_at, (void)out, (void)out_at, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) {
    (void)out, (void)in, (void)offset, (void)length;
    errno = ENOSYS;
    return -1;
}

static int refuses_memory(void) {
    if (!counts_allocations || !atomic_load(&ready)) return 0;
    long number = atomic_fetch_add(&allocations, 1) + 1;
    if (!at || (number != at && !(sticky && number > at))) return 0;
    mark_hit();
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t length) { return refuses_memory() ? NULL : __libc_malloc(length); }
void *calloc(size_t count, size_t length) { return refuses_memory() ? NULL : __libc_calloc(count, length); }
void *realloc(void *old, size_t length) { return refuses_memory() ? NULL : __libc_realloc(old, length); }
