/*
 * What a runtime starts: hands the call to the agent and prints the answer. Where no agent listens it becomes the engine.
 *
 * It does not think. Everything that it can say by itself comes from the Python sources (cni/header.py). The one rule
 * that matters: after the first byte has gone to the agent the call may have been done, so the engine is not run any
 * more, but for a DEL, which may be done twice. One document goes out, or none where the specification says so, and
 * never two.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conf_scan.h"
#include "launcher-texts.h"

extern char **environ;

enum { PATH_BYTES = 4096, FIRST_ROOM = 1 << 14 };

struct buffer {
    char *data;
    size_t size, room;
};

static struct {
    const char *verb;
    char variables[ENVIRONMENT_BYTES + sizeof MAGIC + 1];
    size_t variables_size;
    struct buffer input, answer;
    int input_read, complete; /* whether standard input was read; whether every variable is there that the verb needs */
    struct conf conf;
    struct timespec deadline;
    const char *too_low; /* a limit with which the engine could not run, if there is one */
} call;

/* What the engine needs of what setrlimit(2) limits: enough for an ADD, with room. */
static const struct {
    int resource;
    rlim_t least;
    const char *said;
} NEEDS[] = {
    {RLIMIT_NOFILE, 64, "the runtime's RLIMIT_NOFILE is under 64 and must be raised"},
    {RLIMIT_FSIZE, 64 << 20, "the runtime's RLIMIT_FSIZE is under 64 MiB and must be raised"},
    {RLIMIT_AS, 512 << 20, "the runtime's RLIMIT_AS is under 512 MiB and must be raised"},
    {RLIMIT_DATA, 128 << 20, "the runtime's RLIMIT_DATA is under 128 MiB and must be raised"},
    {RLIMIT_STACK, 1 << 20, "the runtime's RLIMIT_STACK is under 1 MiB and must be raised"},
    {RLIMIT_CPU, 30, "the runtime's RLIMIT_CPU is under 30 s and must be raised"},
};

/* Raises the limits with which the engine would end without an answer; names one that this process may not raise. */
static const char *raise_limits(void)
{
    const char *too_low = 0;
    for (size_t i = 0; i < sizeof NEEDS / sizeof *NEEDS; i++) {
        struct rlimit limit;
        if (getrlimit(NEEDS[i].resource, &limit) || limit.rlim_cur >= NEEDS[i].least)
            continue;
        limit.rlim_cur = limit.rlim_max; /* as everybody may */
        int failed = setrlimit(NEEDS[i].resource, &limit);
        if (limit.rlim_max < NEEDS[i].least) { /* with CAP_SYS_RESOURCE */
            limit.rlim_cur = limit.rlim_max = NEEDS[i].least;
            failed = setrlimit(NEEDS[i].resource, &limit);
        }
        if (failed)
            too_low = NEEDS[i].said;
    }
    return too_low;
}

static long remaining(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (call.deadline.tv_sec - now.tv_sec) * 1000 + (call.deadline.tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? left : 0;
}

static void expire_in(long seconds)
{
    clock_gettime(CLOCK_MONOTONIC, &call.deadline);
    call.deadline.tv_sec += seconds;
}

/* Waits until the descriptor can be read or written; gives 0, or -1 with errno, ETIMEDOUT at the deadline. */
static int wait_for(int descriptor, short events)
{
    for (;;) {
        struct pollfd which = {descriptor, events, 0};
        int found = poll(&which, 1, (int)remaining());
        if (found > 0)
            return 0;
        if (!found)
            errno = ETIMEDOUT;
        if (errno != EINTR)
            return -1;
    }
}

static int write_all(int descriptor, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(descriptor, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        data += done, size -= (size_t)done;
    }
    return 0;
}

/* Has room for a further byte, of `most` in all; gives 0, or -1 with errno. */
static int grow(struct buffer *buffer, size_t most)
{
    if (buffer->size < buffer->room)
        return 0;
    size_t room = buffer->room ? 4 * buffer->room : FIRST_ROOM;
    char *data = realloc(buffer->data, room = room < most ? room : most);
    if (data)
        buffer->data = data, buffer->room = room;
    return data ? 0 : -1;
}

static int complain(const char *sentence)
{
    char text[512];
    int length = snprintf(text, sizeof text, sentence, strerror(errno));
    if (write_all(2, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1) || write_all(2, "\n", 1))
        return 1; /* it cannot be delivered: the exit code must do */
    return 1;
}

/* Prints the error document, in the configuration's version if that is one; gives the exit code. */
static int fail(int code, const char *sentence, const char *reason)
{
    char msg[1024], text[8 * sizeof msg + 128];
    const char *version = NEWEST;
    for (int i = 0; SUPPORTED[i]; i++)
        if (!strcmp(call.conf.version, SUPPORTED[i]))
            version = SUPPORTED[i];
    snprintf(msg, sizeof msg, sentence, reason);
    int size = snprintf(text, sizeof text, "{\"cniVersion\": \"%s\", \"code\": %d, \"msg\": \"", version, code);
    for (const unsigned char *c = (const unsigned char *)msg; *c; c++)
        size += snprintf(text + size, 8, *c < 0x20 || *c > 0x7E ? "\\u%04x" : *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    size += snprintf(text + size, 8, "\"}\n");
    return write_all(1, text, (size_t)size) ? complain(SAY_UNWRITABLE) : 1;
}

static int unavailable(const char *sentence, const char *reason)
{
    return fail(strcmp(call.verb, "STATUS") ? TRY_AGAIN : NOT_READY, sentence, reason);
}

/* Gathers what the agent gets: the variables, and whether those are all that the verb needs. */
static int gather(void)
{
    size_t size = sizeof MAGIC;
    memcpy(call.variables, MAGIC, size);
    for (char **variable = environ; *variable; variable++) {
        size_t length = strlen(*variable) + 1;
        if (strncmp(*variable, "CNI_", 4))
            continue;
        if (size + length + 1 > sizeof MAGIC + ENVIRONMENT_BYTES)
            return -1;
        memcpy(call.variables + size, *variable, length);
        size += length;
    }
    call.variables[size++] = 0;
    call.variables_size = size;
    char verb[16];
    call.complete = snprintf(verb, sizeof verb, " %s ", call.verb) < (int)sizeof verb;
    for (int i = 0; call.complete && NEEDED[i].name; i++) {
        const char *value = getenv(NEEDED[i].name);
        if (strstr(NEEDED[i].verbs, verb) && (!value || !*value))
            call.complete = 0;
    }
    return 0;
}

/* Reads standard input to its end or one byte beyond what is allowed, which the agent and the engine will refuse. */
static const char *read_input(void)
{
    struct buffer *input = &call.input;
    expire_in(INPUT_SECONDS);
    while (!grow(input, INPUT_BYTES + 1)) {
        ssize_t done = -1;
        if (!wait_for(0, POLLIN))
            done = read(0, input->data + input->size, input->room - input->size);
        if (!done || (done > 0 && (input->size += (size_t)done) == INPUT_BYTES + 1)) {
            call.input_read = 1;
            return 0;
        }
        if (done < 0 && errno == ETIMEDOUT)
            return SAY_LATE_INPUT;
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            break;
    }
    return strerror(errno);
}

/* Opens the pod's namespace; -1 without one. Anything else is not opened, which might have effects. */
static int open_namespace(void)
{
    const char *path = getenv("CNI_NETNS");
    struct stat found, own;
    if (!path || !*path || stat(path, &found) || stat("/proc/self/ns/net", &own) || found.st_dev != own.st_dev)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

static const char *state_dir(void)
{
    return call.conf.state_dir[0] == '/' ? call.conf.state_dir : STATE_DIR;
}

/* Connects to the agent; gives the socket, or -1 with errno. A full backlog is waited for. */
static int connect_to_agent(void)
{
    char path[CONF_TEXT + sizeof SOCKET_NAME + 1];
    if (call.conf.socket[0] == '/')
        snprintf(path, sizeof path, "%s", call.conf.socket);
    else
        snprintf(path, sizeof path, "%s/%s", state_dir(), SOCKET_NAME);
    char *name = strrchr(path, '/');
    *name++ = 0;
    int folder = open(*path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    /* an address has 108 bytes, the way to the folder may have more */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, name);
    int agent = length < (int)sizeof address.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (length >= (int)sizeof address.sun_path)
        errno = ENOENT; /* so long a name has no agent's socket */
    if (agent < 0)
        return -1;
    for (;;) {
        long left = remaining() + 1;
        struct timeval wait = {left / 1000, left % 1000 * 1000};
        setsockopt(agent, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); /* bounds connect() too, unix(7) */
        if (!connect(agent, (struct sockaddr *)&address, sizeof address))
            return agent;
        if (errno == EAGAIN)
            errno = ETIMEDOUT;
        if (errno != EINTR) {
            int reason = errno;
            close(agent);
            errno = reason;
            return -1;
        }
    }
}

/* Sends the whole request; gives 0, or -1 with errno. An agent that hangs up may have answered before. */
static int send_request(int agent, int netns)
{
    struct iovec parts[2] = {{call.variables, call.variables_size}, {call.input.data, call.input.size}};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (netns >= 0) {
        message.msg_control = &control, message.msg_controllen = sizeof control.room;
        control.header =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &netns, sizeof netns);
    }
    while (parts[0].iov_len || parts[1].iov_len) {
        ssize_t done = sendmsg(agent, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (done < 0 && errno == EAGAIN && !wait_for(agent, POLLOUT))
            continue;
        if (done < 0 && errno != EINTR)
            return -1;
        if (done < 0)
            continue;
        message.msg_control = 0, message.msg_controllen = 0; /* the descriptor went with the first byte */
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)done < parts[i].iov_len ? (size_t)done : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part, parts[i].iov_len -= part, done -= (ssize_t)part;
        }
    }
    shutdown(agent, SHUT_WR);
    return 0;
}

/* Receives the answer to its end, or one byte too many; gives 0, or -1 with errno. */
static int receive_answer(int agent)
{
    struct buffer *answer = &call.answer;
    while (!grow(answer, ANSWER_BYTES + 2)) {
        ssize_t done = recv(agent, answer->data + answer->size, answer->room - answer->size, MSG_DONTWAIT);
        if (!done || (done > 0 && (answer->size += (size_t)done) == ANSWER_BYTES + 2))
            return 0;
        if (done < 0 && (errno == EAGAIN ? wait_for(agent, POLLIN) : errno != EINTR))
            break;
    }
    return -1;
}

/* Says what is wrong with an answer; nothing if it can be handed on: an exit code and one document, or none. */
static const char *wrong_with(const struct buffer *answer)
{
    const char *text = answer->data + 1;
    size_t size = answer->size;
    if (!size)
        return "it hung up";
    if (size > ANSWER_BYTES + 1)
        return "it is too long";
    if (answer->data[0] != 0 && answer->data[0] != 1)
        return "its exit code is neither 0 nor 1";
    if (size == 1)
        return answer->data[0] || !strcmp(call.verb, "ADD") ? "it was cut short" : 0;
    if (text[0] != '{' || memchr(text, 0, size - 1))
        return "it is not a JSON document";
    return size < 4 || memcmp(answer->data + size - 2, "}\n", 2) ? "it was cut short" : 0;
}

/* Becomes the engine, which finds standard input as it was; comes back only if that is impossible, with errno. */
static void become_engine(char **arguments)
{
    char path[PATH_BYTES + sizeof ".slash80/engine"] = "";
    if (readlink("/proc/self/exe", path, PATH_BYTES - 1) < 0 && !realpath((char *)getauxval(AT_EXECFN), path))
        return; /* a node may have no /proc */
    strcpy(strrchr(path, '/') + 1, ".slash80/engine");
    if (access(path, X_OK))
        return;
    if (call.input_read) {
        int copy = memfd_create("stdin", MFD_CLOEXEC);
        if (copy < 0 || write_all(copy, call.input.data, call.input.size) || lseek(copy, 0, SEEK_SET) || dup2(copy, 0) < 0)
            return;
    }
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execv(path, arguments);
}

/* Leaves a DEL for the next agent, whole or not at all; gives 0, or -1 with errno. */
static int leave_note(void)
{
    char folder[CONF_TEXT + 16], new[CONF_TEXT + 64], path[CONF_TEXT + 64];
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    umask(077); /* the caller's might leave no permission at all */
    snprintf(folder, sizeof folder, "%s/%s", state_dir(), NOTES);
    snprintf(new, sizeof new, "%s/.%d", folder, (int)getpid());
    snprintf(path, sizeof path, "%s/%lld-%d", folder, now.tv_sec * 1000000000LL + now.tv_nsec, (int)getpid());
    if ((mkdir(state_dir(), 0700) && errno != EEXIST) || (mkdir(folder, 0700) && errno != EEXIST))
        return -1;
    int note = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (note < 0)
        return -1;
    int failed = write_all(note, call.variables, call.variables_size) || write_all(note, call.input.data, call.input.size);
    failed = close(note) || failed || rename(new, path);
    if (!failed)
        return 0;
    int reason = errno;
    unlink(new);
    errno = reason;
    return -1;
}

/* Does without an agent. The message names the reason of the engine's failure, since that is what must be fixed. */
static int go_alone(char **arguments)
{
    if (!call.too_low)
        become_engine(arguments);
    const char *reason = call.too_low ? call.too_low : strerror(errno);
    if (strcmp(call.verb, "DEL") || !call.complete)
        return unavailable(SAY_ALONE, reason);
    return leave_note() ? unavailable(SAY_UNNOTED, strerror(errno)) : 0;
}

/* Has the agent do the call. Where it has died over a DEL that is done without it: a DEL may be done twice, and some
 * runtimes send it only once. Not where it hangs: it may do the DEL yet, and holds the locks that the engine needs. */
static int hand_over(int agent, char **arguments)
{
    int netns = strstr(" ADD CHECK DEL ", call.verb) ? open_namespace() : -1;
    int lost = send_request(agent, netns) || receive_answer(agent);
    const char *wrong = lost ? strerror(errno) : wrong_with(&call.answer);
    if (!wrong)
        return write_all(1, call.answer.data + 1, call.answer.size - 1) ? complain(SAY_UNWRITABLE) : call.answer.data[0];
    if (lost && errno == ETIMEDOUT)
        return unavailable(SAY_UNANSWERED, "it did not come in time");
    return strcmp(call.verb, "DEL") ? unavailable(SAY_UNANSWERED, wrong) : go_alone(arguments);
}

/* Says who forbids to reach the agent: its owner, if that is another user, as a rootless runtime meets it; else a policy. */
static int forbidden(void)
{
    const char *path = call.conf.socket[0] == '/' ? call.conf.socket : state_dir();
    struct stat found;
    if (!stat(path, &found) && found.st_uid == geteuid())
        return unavailable(SAY_UNREACHABLE, strerror(EACCES));
    return fail(strcmp(call.verb, "STATUS") ? IO_FAILURE : NOT_READY, SAY_FORBIDDEN, path);
}

/* Takes the numbers of standard streams that are closed, or a file that is opened here would become one. */
static int occupy_streams(void)
{
    for (int number = 0; number <= 2; number++)
        if (fcntl(number, F_GETFD) < 0 && open("/dev/null", O_PATH) < 0 &&
            open((char *)getauxval(AT_EXECFN), O_PATH) < 0) /* a bare root has no /dev, but this program */
            return -1;
    return 0;
}

#ifndef FUZZING
int main(int count, char **arguments)
{
    (void)count;
    int unwritable = fcntl(1, F_GETFD) < 0 ? errno : 0;
    signal(SIGPIPE, SIG_IGN); /* what cannot be written is told instead */
    signal(SIGXFSZ, SIG_IGN);
    call.too_low = raise_limits();
    call.verb = getenv("CNI_COMMAND");
    if (!call.verb || !*call.verb) {
        become_engine(arguments);
        return complain("slash80: the engine cannot be run: %s; install the plugin again");
    }
    if (unwritable) {
        errno = unwritable;
        return complain(SAY_CLOSED);
    }
    if (occupy_streams())
        return complain("slash80: /dev/null cannot be opened: %s");
    if (!strcmp(call.verb, "VERSION"))
        return write_all(1, VERSION_DOCUMENT, sizeof VERSION_DOCUMENT - 1) ? complain(SAY_UNWRITABLE) : 0;
    if (gather())
        return fail(BAD_ENVIRONMENT, SAY_LARGE_ENVIRONMENT, "");
    if (call.complete) { /* otherwise the rest cannot matter, and need not be waited for */
        const char *reason = read_input();
        if (reason)
            return fail(IO_FAILURE, SAY_UNREADABLE, reason);
        read_conf(call.input.data, call.input.size, &call.conf);
    }
    int limit = 0;
    while (LIMITS[limit].verb && strcmp(LIMITS[limit].verb, call.verb))
        limit++;
    expire_in(LIMITS[limit].seconds);
    int agent = connect_to_agent();
    if (agent >= 0)
        return hand_over(agent, arguments);
    /* no agent listens; the last two mean that none can */
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR || errno == ENAMETOOLONG)
        return go_alone(arguments);
    return errno == EACCES ? forbidden() : unavailable(SAY_UNREACHABLE, strerror(errno));
}
#endif
