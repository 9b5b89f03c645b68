/*
 * Uses a mounted tree as the benchmarks want it used and prints "<operations> <seconds>". In C, so that
 * little of what is measured is its own.
 *
 * usage: client ROOT SEED THREADS MEASURE
 * The tree is that of tests/bench/fuse.ts: d<0…499>/f<0…99>, and `big`.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORIES 500
#define FILES 100
#define SMALL (DIRECTORIES * FILES)
#define READS 40000
#define PAGE 4096

static int threads;
static uint32_t order[SMALL + READS];
static const char *measure;
static long counts[64];

static void fail(const char *what) { perror(what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static const char *small(char *into, uint32_t number) {
  sprintf(into, "d%u/f%u", number / FILES, number % FILES);
  return into;
}

static long list_folder(const char *folder, int with_stat) {
  DIR *d = opendir(folder);
  if (!d) fail(folder);
  struct dirent *e;
  struct stat st;
  long n = 0;
  while ((e = readdir(d))) {
    if (e->d_name[0] == '.') continue;
    if (with_stat && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) fail(e->d_name);
    n++;
  }
  closedir(d);
  return n;
}

static void *work(void *arg) {
  int me = (int)(intptr_t)arg;
  char path[64], page[PAGE], value[64];
  struct stat st;
  long n = 0;
  if (!strcmp(measure, "stat") || !strcmp(measure, "missing") || !strcmp(measure, "small") || !strcmp(measure, "xattr")) {
    for (int i = me; i < SMALL; i += threads, n++) {
      small(path, order[i]);
      if (measure[0] == 'm') {
        strcat(path, "-");
        if (lstat(path, &st) == 0) fail(path);
      } else if (measure[1] == 't') {
        if (lstat(path, &st)) fail(path);
      } else if (measure[0] == 'x') {
        if (lgetxattr(path, "security.capability", value, sizeof value) >= 0) fail(path);
      } else {
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, page, PAGE) != 100) fail(path);
        close(fd);
      }
    }
  } else if (!strcmp(measure, "walk") || !strcmp(measure, "list")) {
    for (int d = me; d < DIRECTORIES; d += threads) {
      sprintf(path, "d%d", d);
      n += list_folder(path, measure[0] == 'w');
    }
  } else if (!strcmp(measure, "random")) {
    int fd = open("big", O_RDONLY);
    if (fd < 0) fail("big");
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (int i = me; i < READS; i += threads, n++)
      if (pread(fd, page, PAGE, (off_t)order[SMALL + i] * PAGE) != PAGE) fail("big");
  } else if (!strcmp(measure, "sequential")) {
    static char buffer[1 << 20];
    int fd = open("big", O_RDONLY);
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0) n += got;
    if (got < 0) fail("big");
  } else exit(2);
  counts[me] = n;
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 5 || chdir(argv[1])) fail("usage: client ROOT SEED THREADS MEASURE");
  srandom(atoi(argv[2]));
  threads = atoi(argv[3]);
  measure = argv[4];
  struct stat st;
  if (stat("big", &st)) fail("big");
  uint32_t pages = st.st_size / PAGE;
  for (int i = 0; i < SMALL; i++) order[i] = i;
  for (int i = SMALL - 1; i > 0; i--) {
    uint32_t j = random() % (i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  /* Different pages each, scattered: an odd stride walks through all of a power of two. */
  uint32_t stride = (uint32_t)random() * 2 + 1, at = random();
  for (int i = 0; i < READS; i++) order[SMALL + i] = (at += stride) % pages;
  pthread_t ids[64];
  double start = now();
  for (intptr_t i = 1; i < threads; i++) pthread_create(&ids[i], NULL, work, (void *)i);
  work(NULL);
  for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
  double seconds = now() - start;
  long n = 0;
  for (int i = 0; i < threads; i++) n += counts[i];
  printf("%ld %.9f\n", n, seconds);
  return 0;
}
