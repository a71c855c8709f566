/*
 * The end of real processes. Older kernels are played by a seccomp filter, which gives their errors: each test is a
 * process of its own.
 */
#include "redlockd/net/process.h"

#include "redlockd/base/mem.h"
#include "unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEERPIDFD 77
#define MANY      1000

/* The errors that SO_PEERPIDFD and pidfd_open() give from now on; 0: they are as they are. */
static void kernel_without(int peerpidfd_error, int pidfd_open_error)
{
        const unsigned peerpidfd = peerpidfd_error ? SECCOMP_RET_ERRNO | (unsigned)peerpidfd_error : SECCOMP_RET_ALLOW;
        const unsigned pidfd_open =
                pidfd_open_error ? SECCOMP_RET_ERRNO | (unsigned)pidfd_open_error : SECCOMP_RET_ALLOW;
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 3, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PEERPIDFD, 2, 1),
                BPF_STMT(BPF_RET | BPF_K, pidfd_open),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                BPF_STMT(BPF_RET | BPF_K, peerpidfd),
        };
        const struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

        ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void kernel_5_3(void)
{
        kernel_without(ENOPROTOOPT, 0);
}

/* Descriptors that this process has open, the one that counts them included. */
static unsigned descriptors(void)
{
        DIR *folder = opendir("/proc/self/fd");
        unsigned n = 0;

        ck_assert_ptr_nonnull(folder);
        while (readdir(folder))
                ++n;
        closedir(folder);
        return n;
}

struct stage {
        uv_loop_t loop;
        int listener;
        pid_t pid;  /* who connected, then waits for its end */
        int socket; /* accepted from it */
        unsigned told_n;
        uint64_t live;
        unsigned descriptors_n;
};

/* A child of the one that connects inherits the connection, and lives on. */
static void stage_connect(struct stage *s)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t size = sizeof(sa_family_t); /* the kernel chooses a name */
        int fd;

        s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(listen(s->listener, 1), 0);
        size = sizeof(address);
        ck_assert_int_eq(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
        s->pid = fork();
        ck_assert_int_ge(s->pid, 0);
        if (s->pid == 0) {
                fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (connect(fd, (struct sockaddr *)&address, size) < 0 || fork() < 0)
                        _exit(1);
                /* Until the test has closed its end, or is gone. */
                if (write(fd, "x", 1) == 1)
                        while (read(fd, &address, 1) > 0)
                                ;
                _exit(0);
        }
        s->socket = accept(s->listener, NULL, NULL);
        ck_assert_int_ge(s->socket, 0);
        ck_assert_int_eq(recv(s->socket, &address, 2, MSG_WAITALL), 2); /* both are there */
}

static void stage_init(struct stage *s)
{
        *s = (struct stage){ 0 };
        ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* whose child is dead is ours to wait for */
        ck_assert_int_eq(uv_loop_init(&s->loop), 0);
        stage_connect(s);
        s->live = mem_live();
        s->descriptors_n = descriptors();
}

static void stage_kill(struct stage *s)
{
        ck_assert_int_eq(kill(s->pid, SIGKILL), 0);
}

static void stage_wait(const struct stage *s)
{
        ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
}

static void stage_on_exit(void *userdata)
{
        struct stage *s = userdata;

        ++s->told_n;
}

static struct process *stage_watch(struct stage *s)
{
        struct process *p = NULL;

        ck_assert_int_eq(process_new(&p, &s->loop, s->socket, stage_on_exit, s), 0);
        return p;
}

/* Turns of the loop in which nothing may happen. */
static void stage_turn(struct stage *s)
{
        for (unsigned i = 0; i < 10; ++i)
                uv_run(&s->loop, UV_RUN_NOWAIT);
}

/* Waits until that many ends were told. */
static void stage_expect(struct stage *s, unsigned told_n)
{
        while (s->told_n < told_n && uv_run(&s->loop, UV_RUN_ONCE))
                ;
        stage_turn(s);
        ck_assert_uint_eq(s->told_n, told_n);
}

/* The watchers were closed: nothing of them is left. */
static void stage_deinit(struct stage *s)
{
        uv_run(&s->loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(descriptors(), s->descriptors_n);
        ck_assert_uint_eq(mem_live(), s->live);
        ck_assert_int_eq(uv_loop_close(&s->loop), 0);
        close(s->socket);
        close(s->listener);
        while (wait(NULL) > 0)
                ;
}

/* kill -9, while a child of the process keeps the connection; with or without having been waited for. */
static void check_end(bool waited_for)
{
        struct process *p;
        struct stage s;
        char byte;

        stage_init(&s);
        p = stage_watch(&s);
        stage_turn(&s);
        ck_assert_uint_eq(s.told_n, 0);
        stage_kill(&s);
        if (waited_for)
                stage_wait(&s);
        stage_expect(&s, 1);
        ck_assert_int_eq(recv(s.socket, &byte, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, EAGAIN); /* no end of the connection: the child has it */
        if (!waited_for)
                stage_wait(&s);
        process_close(p);
        stage_deinit(&s);
}

START_TEST(the_end_of_a_process_is_told_once_whoever_inherited_the_connection)
{
        check_end(true);
}
END_TEST

START_TEST(a_process_that_nobody_waited_for_has_ended)
{
        check_end(false);
}
END_TEST

START_TEST(a_kernel_that_knows_processes_by_their_pids_only_will_do)
{
        kernel_5_3();
        check_end(true);
}
END_TEST

/* One that is gone when it is to be watched. */
static void check_gone(void)
{
        struct process *p;
        struct stage s;

        stage_init(&s);
        stage_kill(&s);
        stage_wait(&s);
        p = stage_watch(&s);
        ck_assert_uint_eq(s.told_n, 0);
        stage_expect(&s, 1);
        process_close(p);
        stage_deinit(&s);
}

START_TEST(a_process_that_is_gone_already_has_ended)
{
        check_gone();
}
END_TEST

START_TEST(a_process_that_is_gone_already_has_ended_for_linux_5_3)
{
        kernel_5_3();
        check_gone();
}
END_TEST

START_TEST(a_process_that_is_gone_already_has_ended_for_linux_6_5)
{
        kernel_without(EINVAL, ENOSYS);
        check_gone();
}
END_TEST

START_TEST(a_process_that_is_gone_already_has_ended_for_linux_6_15)
{
        kernel_without(ESRCH, ENOSYS);
        check_gone();
}
END_TEST

START_TEST(closed_it_tells_nothing)
{
        struct stage s;

        stage_init(&s);
        process_close(stage_watch(&s));
        process_close(NULL);
        stage_kill(&s);
        stage_wait(&s);
        stage_turn(&s);
        process_close(stage_watch(&s)); /* and not the end that was due */
        stage_turn(&s);
        ck_assert_uint_eq(s.told_n, 0);
        stage_deinit(&s);
}
END_TEST

START_TEST(a_thousand_may_watch_one_process)
{
        static struct process *watchers[MANY];
        struct stage s;

        stage_init(&s);
        for (unsigned i = 0; i < MANY; ++i)
                watchers[i] = stage_watch(&s);
        stage_kill(&s);
        stage_wait(&s);
        stage_expect(&s, MANY);
        for (unsigned i = 0; i < MANY; ++i)
                process_close(watchers[i]);
        stage_deinit(&s);
}
END_TEST

static void check_refused(int error)
{
        struct process *p = NULL;
        struct stage s;

        stage_init(&s);
        ck_assert_int_eq(process_new(&p, &s.loop, s.socket, stage_on_exit, &s), -error);
        ck_assert_int_eq(process_supported(), -error);
        ck_assert_ptr_null(p);
        stage_deinit(&s);
}

START_TEST(a_kernel_without_pidfd_says_so)
{
        kernel_without(ENOPROTOOPT, ENOSYS);
        check_refused(ENOSYS);
}
END_TEST

START_TEST(a_filter_that_never_heard_of_pidfd_is_such_a_kernel)
{
        kernel_without(ENOPROTOOPT, EPERM);
        check_refused(ENOSYS);
}
END_TEST

START_TEST(where_the_socket_knows_its_process_no_pid_is_opened)
{
        struct stage s;

        kernel_without(0, ENOSYS);
        ck_assert_int_eq(process_supported(), 0);
        stage_init(&s);
        process_close(stage_watch(&s));
        stage_deinit(&s);
}
END_TEST

/* `left` descriptors can still be had. */
static void check_descriptors(unsigned left, int expected)
{
        struct rlimit files, few;
        struct process *p = NULL;
        struct stage s;
        int r;

        stage_init(&s);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
        few = files;
        few.rlim_cur = (rlim_t)dup(s.socket); /* the lowest that is free */
        close((int)few.rlim_cur);
        few.rlim_cur += left;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        r = process_new(&p, &s.loop, s.socket, stage_on_exit, &s);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
        ck_assert_int_eq(r, expected);
        process_close(p);
        stage_deinit(&s);
}

START_TEST(it_costs_one_descriptor)
{
        check_descriptors(0, -EMFILE);
        check_descriptors(1, 0);
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
        struct process *p = NULL;
        struct stage s;

        stage_init(&s);
        mem_fail_at(1);
        ck_assert_int_eq(process_new(&p, &s.loop, s.socket, stage_on_exit, &s), -ENOMEM);
        mem_fail_at(0);
        stage_deinit(&s);
}
END_TEST

UNIT_MAIN("process", the_end_of_a_process_is_told_once_whoever_inherited_the_connection,
          a_process_that_nobody_waited_for_has_ended, a_kernel_that_knows_processes_by_their_pids_only_will_do,
          a_process_that_is_gone_already_has_ended, a_process_that_is_gone_already_has_ended_for_linux_5_3,
          a_process_that_is_gone_already_has_ended_for_linux_6_5,
          a_process_that_is_gone_already_has_ended_for_linux_6_15, closed_it_tells_nothing,
          a_thousand_may_watch_one_process, a_kernel_without_pidfd_says_so,
          a_filter_that_never_heard_of_pidfd_is_such_a_kernel, where_the_socket_knows_its_process_no_pid_is_opened,
          it_costs_one_descriptor, without_memory_nothing_is_left)
