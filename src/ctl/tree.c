/*
 * A walk down /proc/PID/task/TID/children, parents first: who is killed first cannot fork any more when its children
 * are looked for.
 */
#include "redlockd/ctl/tree.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define TREE_PATH_MAX 64

static void tree_signal_children(const char *path, int signum)
{
        FILE *file = fopen(path, "re");
        int pid;

        if (!file)
                return; /* the thread is gone */
        while (fscanf(file, "%d", &pid) == 1) {
                kill(pid, signum);
                tree_signal(pid, signum);
        }
        fclose(file);
}

void tree_signal(pid_t root, int signum)
{
        char path[TREE_PATH_MAX];
        const struct dirent *entry;
        DIR *tasks;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)root);
        tasks = opendir(path);
        if (!tasks)
                return;
        while ((entry = readdir(tasks))) {
                snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)root, entry->d_name);
                if (entry->d_name[0] != '.')
                        tree_signal_children(path, signum);
        }
        closedir(tasks);
}
