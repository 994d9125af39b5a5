// What a pair of Unix sockets between two processes can carry at all: no framing, no parsing, one write per message.
//
// ipc_rate BYTES SECONDS     prints {"one_per_s": ..., "window_per_s": ..., "oneway_per_s": ..., "broadcast_per_s": ...}
//
// one: round trips, one at a time; window: round trips, 64 in flight; oneway: messages to a child that only reads;
// broadcast: the same to 8 children, each message to all of them. SECONDS for each of the four.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 64, CHILDREN = 8, ROOM = 1 << 20, TURNS_PER_LOOK_AT_THE_CLOCK = 32 };

static char buffer[ROOM];
static size_t bytes;
static double seconds;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int send_all(int socket, const char *from, size_t length) {
  while (length > 0) {
    ssize_t some = send(socket, from, length, MSG_NOSIGNAL);
    if (some <= 0) return -1;
    from += some;
    length -= some;
  }
  return 0;
}

static void write_all(int socket, const char *from, size_t length) {
  if (send_all(socket, from, length)) fail("send");
}

static void read_all(int socket, size_t length) {
  while (length > 0) {
    ssize_t some = read(socket, buffer, length);
    if (some <= 0) fail("read");
    length -= some;
  }
}

// A child at the other end of a new pair: it sends back what it reads, or only reads.
static int child(int echoes) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    close(pair[1]);
    return pair[0];
  }
  close(pair[0]);
  for (;;) {
    ssize_t some = read(pair[1], buffer, ROOM);
    if (some <= 0) _exit(0);
    // The other end may close while answers are on their way.
    if (echoes && send_all(pair[1], buffer, some)) _exit(0);
  }
}

static double one_at_a_time(void) {
  int socket = child(1);
  long turns = 0;
  double begun = now();
  do {
    for (int i = 0; i < TURNS_PER_LOOK_AT_THE_CLOCK; i++, turns++) {
      write_all(socket, buffer, bytes);
      read_all(socket, bytes);
    }
  } while (now() - begun < seconds);
  double rate = turns / (now() - begun);
  close(socket);
  wait(NULL);
  return rate;
}

// Never waits to write: two processes that both wait to write to each other would wait for ever.
static double in_flight(void) {
  int socket = child(1);
  if (fcntl(socket, F_SETFL, O_NONBLOCK)) fail("fcntl");
  size_t to_write = WINDOW * bytes, back = 0;
  double begun = now();
  do {
    for (int i = 0; i < TURNS_PER_LOOK_AT_THE_CLOCK; i++) {
      struct pollfd one = {.fd = socket, .events = POLLIN | (to_write ? POLLOUT : 0)};
      if (poll(&one, 1, -1) < 0) fail("poll");
      while (to_write > 0) {
        // Up to the end of a message at most: one write per message, as everybody else does.
        size_t length = to_write % bytes ? to_write % bytes : bytes;
        ssize_t some = write(socket, buffer, length);
        if (some < 0 && errno == EAGAIN) break;
        if (some < 0) fail("write");
        to_write -= some;
      }
      ssize_t some = read(socket, buffer, ROOM);
      if (some < 0 && errno == EAGAIN) continue;
      if (some <= 0) fail("read");
      size_t whole = (back + some) / bytes - back / bytes;
      back += some;
      to_write += whole * bytes;
    }
  } while (now() - begun < seconds);
  double rate = back / bytes / (now() - begun);
  close(socket);
  wait(NULL);
  return rate;
}

static double one_way(int children) {
  int sockets[CHILDREN];
  for (int i = 0; i < children; i++) sockets[i] = child(0);
  long messages = 0;
  double begun = now();
  do {
    for (int turn = 0; turn < TURNS_PER_LOOK_AT_THE_CLOCK; turn++)
      for (int i = 0; i < children; i++, messages++) write_all(sockets[i], buffer, bytes);
  } while (now() - begun < seconds);
  for (int i = 0; i < children; i++) close(sockets[i]);
  for (int i = 0; i < children; i++) wait(NULL);
  return messages / (now() - begun);
}

int main(int count, char **words) {
  if (count != 3 || atoi(words[1]) < 1 || atoi(words[1]) > ROOM) {
    fputs("usage: ipc_rate BYTES SECONDS\n", stderr);
    return 2;
  }
  bytes = atoi(words[1]);
  seconds = atof(words[2]);
  double one = one_at_a_time(), window = in_flight(), oneway = one_way(1), broadcast = one_way(CHILDREN);
  printf("{\"one_per_s\": %.1f, \"window_per_s\": %.1f, \"oneway_per_s\": %.1f, \"broadcast_per_s\": %.1f}\n", one, window,
         oneway, broadcast);
  return 0;
}
