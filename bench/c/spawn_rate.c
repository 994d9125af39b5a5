// How many children a C program can start and wait for per second: what any library is measured against.
//
// spawn_rate vfork|posix_spawn SECONDS AT_ONCE     prints {"per_s": ...}
//
// The child is /bin/true with an empty environment; up to AT_ONCE are alive at any moment.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *const arguments[] = {"/bin/true", NULL};
static char *const environment[] = {NULL};

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void start(int by_vfork) {
  pid_t child;
  if (!by_vfork) {
    if (posix_spawn(&child, arguments[0], NULL, NULL, arguments, environment)) fail("posix_spawn");
    return;
  }
  child = vfork();
  if (child < 0) fail("vfork");
  if (child == 0) {
    execve(arguments[0], arguments, environment);
    _exit(127);
  }
}

static void await_one(void) {
  int status;
  if (wait(&status) < 0) fail("wait");
  if (status != 0) {
    fprintf(stderr, "a child ended with status %d\n", status);
    exit(1);
  }
}

int main(int count, char **words) {
  if (count != 4) {
    fputs("usage: spawn_rate vfork|posix_spawn SECONDS AT_ONCE\n", stderr);
    return 2;
  }
  int by_vfork = strcmp(words[1], "vfork") == 0, at_once = atoi(words[3]), alive = 0;
  long ended = 0;
  double begun = now(), ends = begun + atof(words[2]);
  for (;;) {
    for (; alive < at_once && now() < ends; alive++) start(by_vfork);
    if (alive == 0) break;
    await_one();
    alive--;
    ended++;
  }
  printf("{\"per_s\": %.1f}\n", ended / (now() - begun));
  return 0;
}
