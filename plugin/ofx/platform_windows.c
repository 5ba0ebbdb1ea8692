/* Windows: a named pipe of this user's, a section of the page file, a process without a window.
 * Compiled for this project, but not run: see docs/hosts.md.
 */
#define WIN32_LEAN_AND_MEAN
#ifndef UNICODE
#define UNICODE
#endif
#include <windows.h>
#include <sddl.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "platform.h"

enum { ROOM = 1024, SEND_MS = 20 };

static void explain(struct platform_why *why, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(why->text, sizeof why->text, format, values);
    va_end(values);
}

/* --- clocks, numbers, the lock --------------------------------------------------------------- */

static SRWLOCK lock = SRWLOCK_INIT;
static volatile LONG last_section;

void platform_lock(void) { AcquireSRWLockExclusive(&lock); }
void platform_unlock(void) { ReleaseSRWLockExclusive(&lock); }
int64_t platform_process(void) { return (int64_t)GetCurrentProcessId(); }

double platform_now(void)
{
    LARGE_INTEGER count, rate;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&rate);
    return (double)count.QuadPart / (double)rate.QuadPart;
}

void platform_sleep(double seconds) { Sleep((DWORD)(1e3 * seconds + 0.999)); }

uint64_t platform_random(void)
{
    static volatile LONG calls;
    LARGE_INTEGER count;
    FILETIME now;
    QueryPerformanceCounter(&count);
    GetSystemTimeAsFileTime(&now);
    uint64_t number = ((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime)
                      ^ ((uint64_t)GetCurrentProcessId() << 40) ^ (uint64_t)count.QuadPart
                      ^ ((uint64_t)InterlockedIncrement(&calls) << 20);
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9u;
    return number ^ (number >> 31);
}

/* --- names ----------------------------------------------------------------------------------- */

static int utf8(const wchar_t *wide, char *text, size_t room)
{
    return WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, (int)room, NULL, NULL) > 0;
}

static int wide(const char *text, wchar_t *to, size_t room)
{
    return MultiByteToWideChar(CP_UTF8, 0, text, -1, to, (int)room) > 0;
}

static int variable(const wchar_t *name, wchar_t *value, size_t room)
{
    DWORD length = GetEnvironmentVariableW(name, value, (DWORD)room);
    return length > 0 && length < room;
}

static int log_path(wchar_t *path, size_t room)
{
    wchar_t folder[ROOM];
    if (!variable(L"SEMBLANCE_RUNTIME", folder, ROOM)) {
        wchar_t local[ROOM];
        if (!variable(L"LOCALAPPDATA", local, ROOM))
            return 0;
        _snwprintf(folder, ROOM, L"%ls\\semblance", local);
        folder[ROOM - 1] = L'\0';
    }
    CreateDirectoryW(folder, NULL);
    int length = _snwprintf(path, room, L"%ls\\worker-1.log", folder);
    return length > 0 && (size_t)length < room;
}

void platform_log_path(char *path, size_t room)
{
    wchar_t found[ROOM + 32];
    path[0] = '\0';
    if (log_path(found, ROOM + 32))
        utf8(found, path, room);
}

/* The user of a process, as text; 0 where it can't be told. */
static int user_of(HANDLE process, char *text, size_t room)
{
    HANDLE token = NULL;
    union {
        TOKEN_USER user;
        char room[256];
    } found;
    DWORD size = 0;
    LPSTR sid = NULL;
    int told = OpenProcessToken(process, TOKEN_QUERY, &token)
               && GetTokenInformation(token, TokenUser, &found, sizeof found, &size)
               && ConvertSidToStringSidA(found.user.User.Sid, &sid);
    if (told) {
        told = strlen(sid) < room;
        if (told)
            memcpy(text, sid, strlen(sid) + 1);
        LocalFree(sid);
    }
    if (token != NULL)
        CloseHandle(token);
    return told;
}

/* --- the channel ----------------------------------------------------------------------------- */

enum platform_status platform_connect(platform_channel *channel, int64_t *peer,
                                      struct platform_why *why)
{
    char own[256], other[256] = "", name[320];
    if (!user_of(GetCurrentProcess(), own, sizeof own)) {
        explain(why, "Windows does not tell which user this is. Restart the host.");
        return PLATFORM_REFUSED;
    }
    snprintf(name, sizeof name, "\\\\.\\pipe\\semblance-1-%s", own);
    HANDLE pipe = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                              FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT
                                  | SECURITY_IDENTIFICATION, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        if (error == ERROR_PIPE_BUSY)
            return PLATFORM_AGAIN;
        if (error != ERROR_ACCESS_DENIED)
            return PLATFORM_NOBODY;
        explain(why, "The pipe %s is closed to this user, so what listens there is not trusted. "
                "Stop it.", name);
        return PLATFORM_REFUSED;
    }
    ULONG number = 0;
    HANDLE process = NULL;
    int same = GetNamedPipeServerProcessId(pipe, &number)
               && (process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, number)) != NULL
               && user_of(process, other, sizeof other) && strcmp(own, other) == 0;
    if (process != NULL)
        CloseHandle(process);
    if (!same) {
        CloseHandle(pipe);
        explain(why, "The worker at %s belongs to another user and is not trusted. Stop it.", name);
        return PLATFORM_REFUSED;
    }
    *peer = number;
    *channel = (platform_channel)pipe;
    return PLATFORM_OK;
}

void platform_disconnect(platform_channel channel) { CloseHandle((HANDLE)channel); }

/* A pipe has no poll: look once a millisecond. Writing is tried without asking. */
int platform_wait(platform_channel channel, int writing, double seconds)
{
    double end = platform_now() + seconds;
    for (;;) {
        DWORD there = 0;
        if (writing || !PeekNamedPipe((HANDLE)channel, NULL, 0, NULL, &there, NULL) || there > 0)
            return 1;
        if (platform_now() >= end)
            return 0;
        Sleep(1);
    }
}

/* Finish an overlapped operation within SEND_MS, or take back what has not happened. */
static enum platform_status finish(HANDLE pipe, BOOL begun, OVERLAPPED *how, size_t *done)
{
    DWORD count = 0, error = begun ? ERROR_SUCCESS : GetLastError();
    if (!begun && error != ERROR_IO_PENDING)
        return PLATFORM_NOBODY;
    if (!begun && WaitForSingleObject(how->hEvent, SEND_MS) != WAIT_OBJECT_0)
        CancelIoEx(pipe, how);
    if (!GetOverlappedResult(pipe, how, &count, TRUE)
        && GetLastError() != ERROR_OPERATION_ABORTED)
        return PLATFORM_NOBODY;
    *done = count;
    return count > 0 ? PLATFORM_OK : PLATFORM_AGAIN;
}

enum platform_status platform_receive(platform_channel channel, void *bytes, size_t count,
                                      size_t *done)
{
    HANDLE pipe = (HANDLE)channel;
    DWORD there = 0;
    *done = 0;
    if (!PeekNamedPipe(pipe, NULL, 0, NULL, &there, NULL))
        return PLATFORM_NOBODY;
    if (there == 0)
        return PLATFORM_AGAIN;
    OVERLAPPED how = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    BOOL begun = ReadFile(pipe, bytes, count < there ? (DWORD)count : there, NULL, &how);
    enum platform_status status = finish(pipe, begun, &how, done);
    CloseHandle(how.hEvent);
    return status;
}

/* Memory is opened by its name, which the message holds: nothing travels beside it. */
enum platform_status platform_send(platform_channel channel, const void *bytes, size_t count,
                                   const struct platform_memory *memory, size_t *done)
{
    (void)memory;
    *done = 0;
    OVERLAPPED how = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    BOOL begun = WriteFile((HANDLE)channel, bytes, (DWORD)count, NULL, &how);
    enum platform_status status = finish((HANDLE)channel, begun, &how, done);
    CloseHandle(how.hEvent);
    return status;
}

/* --- shared memory --------------------------------------------------------------------------- */

int platform_share(struct platform_memory *memory, size_t size, struct platform_why *why)
{
    memset(memory, 0, sizeof *memory);
    snprintf(memory->name, sizeof memory->name, "Local\\semblance-%lu-%ld",
             (unsigned long)GetCurrentProcessId(), (long)InterlockedIncrement(&last_section));
    /* Committed: the page file holds a place for every page, or this fails here and now. */
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_COMMIT,
                                        (DWORD)((uint64_t)size >> 32), (DWORD)size, memory->name);
    int ours = section != NULL && GetLastError() != ERROR_ALREADY_EXISTS;
    char *bytes = ours ? MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, size) : NULL;
    if (bytes == NULL) {
        if (section != NULL)
            CloseHandle(section);
        memset(memory, 0, sizeof *memory);
        explain(why, "There are no %lu MiB of shared memory (error %lu). Free memory, or enlarge "
                "the page file.", (unsigned long)(size >> 20), (unsigned long)GetLastError());
        return 0;
    }
    for (size_t at = 0; at < size; at += 4096)
        ((volatile char *)bytes)[at] = 0;
    memory->bytes = bytes;
    memory->size = size;
    memory->handle = (intptr_t)section;
    return 1;
}

void platform_unshare(struct platform_memory *memory)
{
    if (memory->bytes != NULL) {
        UnmapViewOfFile(memory->bytes);
        CloseHandle((HANDLE)memory->handle);
    }
    memset(memory, 0, sizeof *memory);
}

/* --- the worker's process -------------------------------------------------------------------- */

/* What hosts set for their own Python and libraries breaks any other. */
static const wchar_t *const HOSTS_OWN[] = {
    L"PYTHONHOME=", L"PYTHONPATH=", L"PYTHONEXECUTABLE=", L"PYTHONSTARTUP=", L"QT_PLUGIN_PATH=",
    L"SSL_CERT_FILE=", NULL
};

static wchar_t *worker_environment(void)
{
    wchar_t *all = GetEnvironmentStringsW();
    if (all == NULL)
        return NULL;
    size_t length = 0;
    while (all[length] != L'\0')
        length += wcslen(all + length) + 1;
    wchar_t *kept = calloc(length + 2, sizeof *kept), *to = kept;
    for (const wchar_t *from = all; kept != NULL && *from != L'\0'; from += wcslen(from) + 1) {
        const wchar_t *const *prefix = HOSTS_OWN;
        while (*prefix != NULL && _wcsnicmp(from, *prefix, wcslen(*prefix)) != 0)
            prefix++;
        if (*prefix == NULL) {
            memcpy(to, from, (wcslen(from) + 1) * sizeof *to);
            to += wcslen(from) + 1;
        }
    }
    FreeEnvironmentStringsW(all);
    return kept;
}

/* The first line of Contents\Resources\worker.path beside the binary's own folder. */
static int installed_worker(char *path, size_t room)
{
    HMODULE own = NULL;
    wchar_t place[ROOM], file[ROOM + 32];
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS
                                | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            (LPCWSTR)(uintptr_t)&platform_share, &own)
        || GetModuleFileNameW(own, place, ROOM) >= ROOM)
        return 0;
    for (int up = 0; up < 2; up++) {
        wchar_t *slash = wcsrchr(place, L'\\');
        if (slash == NULL)
            return 0;
        *slash = L'\0';
    }
    _snwprintf(file, ROOM + 32, L"%ls\\Resources\\worker.path", place);
    FILE *named = _wfopen(file, L"r");
    if (named == NULL)
        return 0;
    int found = fgets(path, (int)room, named) != NULL;
    fclose(named);
    if (found)
        path[strcspn(path, "\r\n")] = '\0';
    return found && path[0] != '\0';
}

static int worker_path(char *path, size_t room)
{
    wchar_t found[ROOM];
    if (variable(L"SEMBLANCE_WORKER", found, ROOM))
        return utf8(found, path, room);
    if (installed_worker(path, room))
        return 1;
    DWORD length = SearchPathW(NULL, L"semblance.exe", NULL, ROOM, found, NULL);
    return length > 0 && length < ROOM && utf8(found, path, room);
}

/* Start with two inherited handles and no other of the host's. */
static int create(const wchar_t *path, wchar_t *line, wchar_t *environment, HANDLE nothing,
                  HANDLE log, PROCESS_INFORMATION *made)
{
    HANDLE inherited[2] = {nothing, log};
    STARTUPINFOEXW start = {0};
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    LPPROC_THREAD_ATTRIBUTE_LIST list = malloc(size);
    int done = list != NULL && InitializeProcThreadAttributeList(list, 1, 0, &size);
    if (done) {
        start.StartupInfo.cb = sizeof start;
        start.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        start.StartupInfo.hStdInput = start.StartupInfo.hStdOutput = nothing;
        start.StartupInfo.hStdError = log;
        start.lpAttributeList = list;
        done = UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited,
                                         sizeof inherited, NULL, NULL)
               && CreateProcessW(path, line, NULL, NULL, TRUE,
                                 CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
                                     | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT,
                                 environment, NULL, &start.StartupInfo, made);
        DeleteProcThreadAttributeList(list);
    }
    free(list);
    return done;
}

enum platform_status platform_start(struct platform_worker *worker, struct platform_why *why)
{
    wchar_t path[ROOM], line[ROOM + 16], log_name[ROOM + 32];
    if (!worker_path(worker->path, sizeof worker->path) || !wide(worker->path, path, ROOM)
        || !log_path(log_name, ROOM + 32)) {
        explain(why, "No worker is installed: neither SEMBLANCE_WORKER, nor worker.path in the "
                "plug-in's bundle, nor semblance.exe in PATH names one. Run `semblance "
                "install-host`.");
        return PLATFORM_REFUSED;
    }
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    HANDLE nothing = CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ
                                 | FILE_SHARE_WRITE, &inherit, OPEN_EXISTING, 0, NULL);
    HANDLE log = CreateFileW(log_name, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE,
                             &inherit, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    wchar_t *environment = worker_environment();
    PROCESS_INFORMATION made = {0};
    _snwprintf(line, ROOM + 16, L"\"%ls\" serve", path);
    int done = nothing != INVALID_HANDLE_VALUE && log != INVALID_HANDLE_VALUE
               && environment != NULL && create(path, line, environment, nothing, log, &made);
    if (!done)
        explain(why, "The worker %.300s can't be run (error %lu). Run `semblance install-host` "
                "again.", worker->path, (unsigned long)GetLastError());
    else
        CloseHandle(made.hThread);
    worker->watch = (intptr_t)made.hProcess;
    free(environment);
    if (nothing != INVALID_HANDLE_VALUE)
        CloseHandle(nothing);
    if (log != INVALID_HANDLE_VALUE)
        CloseHandle(log);
    return done ? PLATFORM_OK : PLATFORM_REFUSED;
}

enum platform_status platform_watch(const struct platform_worker *worker,
                                    struct platform_why *why)
{
    (void)why;
    return WaitForSingleObject((HANDLE)worker->watch, 0) == WAIT_TIMEOUT ? PLATFORM_AGAIN
                                                                         : PLATFORM_NOBODY;
}

void platform_unwatch(struct platform_worker *worker) { CloseHandle((HANDLE)worker->watch); }

void platform_kill(int64_t peer)
{
    HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, (DWORD)peer);
    if (process != NULL) {
        TerminateProcess(process, 1);
        CloseHandle(process);
    }
}
