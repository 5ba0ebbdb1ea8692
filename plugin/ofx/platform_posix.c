/* Linux and macOS. On Linux no symbol newer than glibc 2.17 is wanted, the oldest of the hosts'
 * platforms: what came later is reached by system call or done without.
 */
#define _GNU_SOURCE
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#else
#include <dlfcn.h>
#endif

enum { ROOM = 1024, WATCH_FD = 3, STACK = 1 << 16 };

#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static void explain(struct platform_why *why, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(why->text, sizeof why->text, format, values);
    va_end(values);
}

/* --- clocks, numbers, the lock --------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void platform_lock(void) { pthread_mutex_lock(&lock); }
void platform_unlock(void) { pthread_mutex_unlock(&lock); }
int64_t platform_process(void) { return (int64_t)getpid(); }

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double platform_now(void) { return seconds(CLOCK_MONOTONIC); }

void platform_sleep(double length)
{
    struct timespec pause = {(time_t)length, (long)(1e9 * (length - (double)(time_t)length))};
    nanosleep(&pause, NULL);
}

uint64_t platform_random(void)
{
    uint64_t number = 0;
    int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, &number, sizeof number) != (ssize_t)sizeof number)
            number = 0;
        close(file);
    }
    return number ^ ((uint64_t)getpid() << 40) ^ (uint64_t)(1e9 * seconds(CLOCK_REALTIME));
}

/* --- files ----------------------------------------------------------------------------------- */

/* glibc has these functions as symbols only since 2.33. */
static int status_of_link(const char *path, struct stat *found)
{
#ifdef __linux__
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW);
#else
    return lstat(path, found);
#endif
}

static int close_on_exec(int file)
{
    return fcntl(file, F_SETFD, FD_CLOEXEC);
}

static int joined(char *path, size_t room, const char *folder, const char *name)
{
    size_t first = strlen(folder), second = strlen(name);
    path[0] = '\0';
    if (first + second >= room)
        return 0;
    memcpy(path, folder, first);
    memcpy(path + first, name, second + 1);
    return 1;
}

static void runtime_folder(char *path, size_t room)
{
    const char *named = getenv("SEMBLANCE_RUNTIME"), *session = getenv("XDG_RUNTIME_DIR");
    if (named != NULL && named[0] != '\0')
        snprintf(path, room, "%s", named);
    else if (session != NULL && session[0] != '\0')
        snprintf(path, room, "%s/semblance", session);
    else
        snprintf(path, room, "/tmp/semblance-%lu", (unsigned long)geteuid());
}

void platform_log_path(char *path, size_t room)
{
    char folder[ROOM];
    runtime_folder(folder, sizeof folder);
    joined(path, room, folder, "/worker-1.log");
}

/* Whoever may write to the folder could listen in our worker's place. */
static enum platform_status check_folder(const char *folder, struct platform_why *why)
{
    struct stat found;
    if (status_of_link(folder, &found) != 0)
        return PLATFORM_NOBODY;
    if (S_ISDIR(found.st_mode) && found.st_uid == geteuid() && (found.st_mode & 077) == 0)
        return PLATFORM_OK;
    explain(why, "The folder %s is not this user's alone (a folder of mode 0700), so what listens "
            "there is not trusted. Remove it, or name another by SEMBLANCE_RUNTIME.", folder);
    return PLATFORM_REFUSED;
}

/* --- the channel ----------------------------------------------------------------------------- */

static int open_socket(void)
{
    int file = socket(AF_UNIX, SOCK_STREAM, 0);
    if (file < 0)
        return -1;
    int on = 1;
#ifdef SO_NOSIGPIPE
    setsockopt(file, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    (void)on;
    if (close_on_exec(file) != 0 || fcntl(file, F_SETFL, O_NONBLOCK) != 0) {
        close(file);
        return -1;
    }
    return file;
}

/* The user and the process at the other end. */
static int peer_of(int file, uid_t *user, int64_t *process)
{
#ifdef __linux__
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(file, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return 0;
    *user = peer.uid;
    *process = peer.pid;
#else
    gid_t group;
    pid_t number = 0;
    socklen_t size = sizeof number;
    if (getpeereid(file, user, &group) != 0
        || getsockopt(file, SOL_LOCAL, LOCAL_PEERPID, &number, &size) != 0)
        return 0;
    *process = number;
#endif
    return 1;
}

enum platform_status platform_connect(platform_channel *channel, int64_t *peer,
                                      struct platform_why *why)
{
    char folder[ROOM];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    runtime_folder(folder, sizeof folder);
    if (!joined(address.sun_path, sizeof address.sun_path, folder, "/worker-1.sock")) {
        explain(why, "The path of the worker's socket is too long: %.200s. "
                "Name a shorter folder by SEMBLANCE_RUNTIME.", folder);
        return PLATFORM_REFUSED;
    }
    enum platform_status status = check_folder(folder, why);
    if (status != PLATFORM_OK)
        return status;
    if (status_of_link(address.sun_path, &found) != 0)
        return PLATFORM_NOBODY;
    if (!S_ISSOCK(found.st_mode) || found.st_uid != geteuid() || (found.st_mode & 022) != 0) {
        explain(why, "%s is not a socket of this user alone, so what listens there is not trusted. "
                "Remove it.", address.sun_path);
        return PLATFORM_REFUSED;
    }
    int file = open_socket();
    if (file < 0) {
        explain(why, "This host can't open another socket (%s). Restart it.", strerror(errno));
        return PLATFORM_REFUSED;
    }
    if (connect(file, (const struct sockaddr *)&address, sizeof address) != 0) {
        /* EAGAIN: a worker is there, but does not accept as fast as we ask. */
        status = errno == EAGAIN || errno == EINTR ? PLATFORM_AGAIN : PLATFORM_NOBODY;
        close(file);
        return status;
    }
    uid_t user = 0;
    if (!peer_of(file, &user, peer) || user != geteuid()) {
        explain(why, "The worker at %s belongs to another user and is not trusted. Stop it.",
                address.sun_path);
        close(file);
        return PLATFORM_REFUSED;
    }
    *channel = file;
    return PLATFORM_OK;
}

void platform_disconnect(platform_channel channel) { close((int)channel); }

int platform_wait(platform_channel channel, int writing, double length)
{
    struct pollfd watched = {(int)channel, writing ? POLLOUT : POLLIN, 0};
    return poll(&watched, 1, (int)(1e3 * length + 0.999)) > 0;
}

static enum platform_status moved(ssize_t count, size_t *done)
{
    *done = count > 0 ? (size_t)count : 0;
    if (count > 0)
        return PLATFORM_OK;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return PLATFORM_AGAIN;
    return PLATFORM_NOBODY;
}

enum platform_status platform_receive(platform_channel channel, void *bytes, size_t count,
                                      size_t *done)
{
    return moved(recv((int)channel, bytes, count, 0), done);
}

enum platform_status platform_send(platform_channel channel, const void *bytes, size_t count,
                                   const struct platform_memory *memory, size_t *done)
{
#ifdef MSG_NOSIGNAL
    const int flags = MSG_NOSIGNAL;
#else
    const int flags = 0;
#endif
    if (memory == NULL)
        return moved(send((int)channel, bytes, count, flags), done);
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {(void *)(uintptr_t)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    int file = (int)memory->handle;
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(rights), &file, sizeof file);
    return moved(sendmsg((int)channel, &message, flags), done);
}

/* --- shared memory --------------------------------------------------------------------------- */

#ifdef __linux__
enum { SEALED_SIZE = 0x0001 | 0x0002 | 0x0004 }; /* F_SEAL_SEAL, _SHRINK, _GROW */

/* Sealed, because a file that shrank under a mapping would kill the host that reads it. */
static int anonymous_file(void)
{
    return (int)syscall(SYS_memfd_create, "semblance", 0x0001u | 0x0002u); /* CLOEXEC, SEALING */
}

static void seal(int file) { (void)fcntl(file, 1033 /* F_ADD_SEALS */, SEALED_SIZE); }
#else
static int anonymous_file(void) { return -1; }
static void seal(int file) { (void)file; }
#endif

/* A file without a name in a folder of temporary files. */
static int nameless_file(const char *folder)
{
    char path[ROOM];
    if (folder == NULL || folder[0] == '\0'
        || !joined(path, sizeof path, folder, "/semblance-XXXXXX"))
        return -1;
    int file = mkstemp(path); /* mode 0600 */
    if (file >= 0) {
        unlink(path);
        close_on_exec(file);
    }
    return file;
}

/* Claim every page now. A file that is merely long dies with SIGBUS at the first full disk, and
 * one beyond the limit of file sizes with SIGXFSZ: both inside the host. */
static int claim(int file, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
        && (uint64_t)size > (uint64_t)limit.rlim_cur)
        return EFBIG;
#ifdef __APPLE__
    fstore_t store = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, (off_t)size, 0};
    return fcntl(file, F_PREALLOCATE, &store) != 0 || ftruncate(file, (off_t)size) != 0 ? errno : 0;
#else
    int error;
    do
        error = posix_fallocate(file, 0, (off_t)size);
    while (error == EINTR);
    return error;
#endif
}

int platform_share(struct platform_memory *memory, size_t size, struct platform_why *why)
{
    int error = ENOENT;
    for (int place = 0; place < 3; place++) {
        const char *folder = place == 1 ? "/dev/shm" : getenv("TMPDIR");
        int file = place == 0 ? anonymous_file()
                              : nameless_file(folder != NULL && folder[0] ? folder : "/tmp");
        if (file < 0) {
            error = errno;
            continue;
        }
        if ((error = claim(file, size)) == 0) {
            int populate = 0;
#ifdef MAP_POPULATE
            populate = MAP_POPULATE;
#endif
            void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | populate, file, 0);
            if (bytes != MAP_FAILED) {
                seal(file);
                *memory = (struct platform_memory){bytes, size, file, ""};
                return 1;
            }
            error = errno;
        }
        close(file);
    }
    memset(memory, 0, sizeof *memory);
    explain(why, "There are no %lu MiB of shared memory (%s; tried memory, /dev/shm and TMPDIR). "
            "Free memory, or name a folder with space by TMPDIR.", (unsigned long)(size >> 20),
            strerror(error));
    return 0;
}

void platform_unshare(struct platform_memory *memory)
{
    if (memory->bytes != NULL) {
        munmap(memory->bytes, memory->size);
        close((int)memory->handle);
    }
    memset(memory, 0, sizeof *memory);
}

/* --- the worker's process -------------------------------------------------------------------- */

extern char **environ;

/* What hosts set for their own Python and libraries breaks any other. */
static const char *const HOSTS_OWN[] = {
    "PYTHONHOME=", "PYTHONPATH=", "PYTHONEXECUTABLE=", "PYTHONSTARTUP=", "LD_LIBRARY_PATH=",
    "LD_PRELOAD=", "DYLD_", "QT_PLUGIN_PATH=", "SSL_CERT_FILE=", NULL
};

static char **worker_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        const char *const *prefix = HOSTS_OWN;
        while (*prefix != NULL && strncmp(environ[i], *prefix, strlen(*prefix)) != 0)
            prefix++;
        if (*prefix == NULL)
            copy[kept++] = environ[i];
    }
    return copy;
}

/* The path of the binary that this function lies in. */
static int own_path(char *path, size_t room)
{
#ifdef __linux__
    /* dladdr would bring a symbol of glibc 2.34, or a second library. A line of the maps reads
     * "from-to rwxp offset device inode   path". */
    uintptr_t here = (uintptr_t)&platform_share;
    char line[ROOM + 256];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t bounds[2] = {0, 0};
        const char *at = line;
        for (int i = 0; i < 2; i++, at++)
            for (; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); at++)
                bounds[i] = bounds[i] * 16 + (uintptr_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        const char *name = strchr(line, '/');
        if (here >= bounds[0] && here < bounds[1] && name != NULL) {
            line[strcspn(line, "\n")] = '\0';
            found = joined(path, room, name, "");
        }
    }
    if (maps != NULL)
        fclose(maps);
    return found;
#else
    Dl_info found;
    return dladdr((void *)(uintptr_t)&platform_share, &found) != 0 && found.dli_fname != NULL
           && joined(path, room, found.dli_fname, "");
#endif
}

/* The first line of Contents/Resources/worker.path beside the binary's own folder. */
static int installed_worker(char *path, size_t room)
{
    char place[ROOM];
    if (!own_path(place, sizeof place))
        return 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(place, '/');
        if (slash == NULL)
            return 0;
        *slash = '\0';
    }
    char file[ROOM + 32];
    if (!joined(file, sizeof file, place, "/Resources/worker.path"))
        return 0;
    FILE *named = fopen(file, "r");
    if (named == NULL)
        return 0;
    int found = fgets(path, (int)room, named) != NULL;
    fclose(named);
    if (found)
        path[strcspn(path, "\r\n")] = '\0';
    return found && path[0] != '\0';
}

static int worker_in_path(char *path, size_t room)
{
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != '\0') {
        size_t length = strcspn(folders, ":");
        int written = snprintf(path, room, "%.*s/semblance", (int)length, folders);
        if (length > 0 && written > 0 && (size_t)written < room && access(path, X_OK) == 0)
            return 1;
        folders += length + (folders[length] == ':');
    }
    return 0;
}

static int worker_path(char *path, size_t room)
{
    const char *named = getenv("SEMBLANCE_WORKER");
    if (named != NULL && named[0] != '\0')
        return joined(path, room, named, "");
    return installed_worker(path, room) || worker_in_path(path, room);
}

/* Everything that the new process needs, made before it exists: between fork and exec of a
 * process with threads only system calls are safe. */
struct launch {
    const char *path;
    char *const *arguments;
    char *const *environment;
    int null, log, watch;
    int last_file;
    sigset_t no_signals;
    char *stacks[2]; /* of STACK bytes each */
};

/* Sanitizers know one stack of a thread; these run on others. */
#ifdef __GNUC__
#define ON_OTHER_STACK __attribute__((no_sanitize_address))
#else
#define ON_OTHER_STACK
#endif

ON_OTHER_STACK static void become_worker(const struct launch *launch)
{
    struct sigaction plain;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &plain, NULL);
    dup2(launch->null, 0);
    dup2(launch->null, 1);
    dup2(launch->log, 2);
    dup2(launch->watch, WATCH_FD);
#if defined(__linux__) && defined(SYS_close_range)
    if (syscall(SYS_close_range, (unsigned)WATCH_FD + 1, ~0u, 0u) != 0)
#endif
        for (int file = WATCH_FD + 1; file < launch->last_file; file++)
            close(file);
    if (chdir("/") == 0) {
        umask(077);
        sigprocmask(SIG_SETMASK, &launch->no_signals, NULL);
        execve(launch->path, launch->arguments, launch->environment);
    }
    int error = errno;
    ssize_t told = write(WATCH_FD, &error, sizeof error);
    (void)told;
    _exit(127);
}

/* A grandchild, so that the host neither sees its end nor gets a zombie. On Linux parent and child
 * share memory until exec, each on a stack of its own, as posix_spawn does it: copying the page
 * tables of a host that holds a hundred gigabytes takes long, and may be refused.
 */
#ifdef __linux__
ON_OTHER_STACK static int grandchild(void *launch)
{
    become_worker(launch);
    return 127;
}

ON_OTHER_STACK static int child_of(void *launch)
{
    setsid();
    (void)clone(grandchild, ((struct launch *)launch)->stacks[1] + STACK,
                CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    _exit(0);
}

static pid_t detach(struct launch *launch)
{
    return clone(child_of, launch->stacks[0] + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
}
#else
static pid_t detach(struct launch *launch)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    setsid();
    if (fork() == 0)
        become_worker(launch);
    _exit(0);
}
#endif

static int high_copy(int file)
{
    int copy = file < 0 ? -1 : fcntl(file, F_DUPFD, 16); /* out of the way of 0 to 3 */
    if (file >= 0)
        close(file);
    if (copy >= 0)
        close_on_exec(copy);
    return copy;
}

static int last_possible_file(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
        return 65536;
    return (int)limit.rlim_cur;
}

static enum platform_status launch_worker(struct platform_worker *worker,
                                          struct platform_why *why)
{
    char log[ROOM];
    char argument[] = "serve";
    char *arguments[] = {worker->path, argument, NULL};
    int ends[2] = {-1, -1};
    sigset_t all, before;
    platform_log_path(log, sizeof log);
    if (pipe(ends) != 0)
        ends[0] = ends[1] = -1;
    struct launch launch = {
        .path = worker->path,
        .arguments = arguments,
        .environment = worker_environment(),
        .null = high_copy(open("/dev/null", O_RDWR)),
        .log = high_copy(open(log, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600)),
        .watch = high_copy(ends[1]),
        .last_file = last_possible_file(),
    };
    char *stacks = malloc(2 * (size_t)STACK);
    if (stacks != NULL) {
        launch.stacks[0] = stacks;
        launch.stacks[1] = stacks + STACK;
    }
    int watch = high_copy(ends[0]);
    pid_t child = -1;
    if (stacks != NULL && launch.environment != NULL && launch.null >= 0 && launch.log >= 0
        && launch.watch >= 0 && watch >= 0 && fcntl(watch, F_SETFL, O_NONBLOCK) == 0) {
        sigemptyset(&launch.no_signals);
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before); /* of this thread: no host's handler runs in both */
        child = detach(&launch);
        int error = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
        errno = error;
    }
    if (child < 0)
        explain(why, "The worker %.300s can't be started (%s).", worker->path, strerror(errno));
    const int ours[] = {launch.null, launch.log, launch.watch, child < 0 ? watch : -1};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i] >= 0)
            close(ours[i]);
    free((void *)(uintptr_t)launch.environment);
    free(stacks);
    worker->watch = watch;
    return child < 0 ? PLATFORM_REFUSED : PLATFORM_OK;
}

enum platform_status platform_start(struct platform_worker *worker, struct platform_why *why)
{
    char folder[ROOM];
    if (!worker_path(worker->path, sizeof worker->path)) {
        explain(why, "No worker is installed: neither SEMBLANCE_WORKER, nor worker.path in the "
                "plug-in's bundle, nor `semblance` in PATH names one. Run `semblance "
                "install-host`.");
        return PLATFORM_REFUSED;
    }
    runtime_folder(folder, sizeof folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        explain(why, "The worker's folder %.300s can't be made (%s). Name another by "
                "SEMBLANCE_RUNTIME.", folder, strerror(errno));
        return PLATFORM_REFUSED;
    }
    enum platform_status status = check_folder(folder, why);
    return status == PLATFORM_OK ? launch_worker(worker, why) : PLATFORM_REFUSED;
}

enum platform_status platform_watch(const struct platform_worker *worker,
                                    struct platform_why *why)
{
    int error = 0;
    ssize_t count = read((int)worker->watch, &error, sizeof error);
    if (count == (ssize_t)sizeof error) {
        explain(why, "The worker %.300s can't be run (%s). Run `semblance install-host` again.",
                worker->path, strerror(error));
        return PLATFORM_REFUSED;
    }
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? PLATFORM_AGAIN : PLATFORM_NOBODY;
}

void platform_unwatch(struct platform_worker *worker) { close((int)worker->watch); }

void platform_kill(int64_t peer)
{
    if (peer > 1)
        kill((pid_t)peer, SIGKILL);
}
