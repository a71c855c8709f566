/*
 * Preloaded into the daemon: the k-th allocation of its life fails ($FAIL_AT), whoever asks for it, and who that was is
 * written to $FAIL_TRACE. How many there were is written there at exit where none failed.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);

static unsigned long failing_at, failing_n;
static const char *failing_trace;
static int failing_on;

static int failing_write_to(void)
{
        return open(failing_trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int failing_refuse(void)
{
        void *frames[24];
        int fd, n;

        if (!failing_on || __atomic_add_fetch(&failing_n, 1, __ATOMIC_RELAXED) != failing_at)
                return 0;
        n = backtrace(frames, 24);
        fd = failing_write_to();
        if (fd >= 0) {
                backtrace_symbols_fd(frames, n, fd);
                close(fd);
        }
        errno = ENOMEM;
        return 1;
}

void *malloc(size_t size)
{
        return failing_refuse() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
        return failing_refuse() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
        return failing_refuse() ? NULL : __libc_realloc(block, size);
}

/* What the program itself asks the system for, as base/slab does; malloc() does not come by here. */
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
        if (flags & MAP_ANONYMOUS && failing_refuse())
                return MAP_FAILED;
        return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

__attribute__((constructor)) static void failing_begin(void)
{
        const char *at = getenv("FAIL_AT");
        void *frame;

        failing_trace = getenv("FAIL_TRACE");
        failing_at = at ? strtoul(at, NULL, 10) : 0;
        backtrace(&frame, 1); /* it allocates the first time */
        failing_on = failing_trace != NULL;
}

__attribute__((destructor)) static void failing_end(void)
{
        int fd = failing_n < failing_at || failing_at == 0 ? failing_write_to() : -1;

        if (fd < 0)
                return;
        dprintf(fd, "%lu allocations\n", failing_n);
        close(fd);
}
