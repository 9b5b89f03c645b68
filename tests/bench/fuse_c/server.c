/*
 * The least a FUSE server for our layer tree file (lib/layers/tree/format.ts) costs in C: raw /dev/fuse,
 * no libfuse, the same mount options, INIT flags, timeouts and answers as lib/fuse, all spans present.
 * For the benchmarks only.
 *
 * usage: server MOUNTPOINT LAYERS_DIRECTORY SLOTS THREADS
 * Prints its mountpoint when it serves; unmounts when standard input ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_READ (1 << 20)
#define MAX_WRITE (128 * 1024)
#define FOREVER 3153600000ull
#define NODE(slot, inode) (((uint64_t)(slot) << 32) | ((inode) + 1))

static int device, data_fd;
static uint32_t slots; /* 1 … slots, all with the same tree */

/* The tree's columns, as lib/layers/tree/tree.ts lays them over the file. */
static uint32_t inodes, dirents, xattrs, spans;
static const double *size_of, *data_offset, *mtime_seconds, *span_starts;
static const uint32_t *mode_of, *uid_of, *gid_of, *nlink_of, *rdev_of, *mtime_nanos, *first_of, *count_of;
static const uint32_t *name_offset, *name_length, *dirent_inode;
static const uint8_t *names;
static volatile uint8_t *presence;

static size_t align8(size_t n) { return (n + 7) & ~(size_t)7; }

static void load_tree(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0) { perror(path); exit(1); }
  const uint8_t *bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  const uint32_t *header = (const uint32_t *)bytes;
  inodes = header[3]; dirents = header[4]; xattrs = header[5]; spans = header[6];
  size_t doubles = 64, starts = doubles + (size_t)inodes * 24, columns = starts + ((size_t)spans + 1) * 8;
  size_t xattr_first = align8(columns + (size_t)inodes * 32);
  size_t dirent_columns = align8(xattr_first + ((size_t)inodes + 1) * 4);
  size_t xattr_columns = align8(dirent_columns + (size_t)dirents * 12);
  size_t name_bytes = align8(xattr_columns + (size_t)xattrs * 16);
  size_of = (const double *)(bytes + doubles);
  data_offset = size_of + inodes;
  mtime_seconds = data_offset + inodes;
  span_starts = (const double *)(bytes + starts);
  const uint32_t *c = (const uint32_t *)(bytes + columns);
  mode_of = c; uid_of = c + inodes; gid_of = c + 2 * (size_t)inodes; nlink_of = c + 3 * (size_t)inodes;
  rdev_of = c + 4 * (size_t)inodes; mtime_nanos = c + 5 * (size_t)inodes;
  first_of = c + 6 * (size_t)inodes; count_of = c + 7 * (size_t)inodes;
  name_offset = (const uint32_t *)(bytes + dirent_columns);
  name_length = name_offset + dirents;
  dirent_inode = name_length + dirents;
  names = bytes + name_bytes;
  presence = malloc(spans + 1);
  memset((void *)presence, 1, spans + 1);
}

static uint32_t span_at(double offset) {
  uint32_t low = 0, high = spans - 1;
  while (low < high) {
    uint32_t middle = (low + high + 1) >> 1;
    if (span_starts[middle] <= offset) low = middle; else high = middle - 1;
  }
  return low;
}

static int64_t find_child(uint32_t directory, const uint8_t *name, uint32_t length) {
  uint32_t low = first_of[directory], high = low + count_of[directory];
  while (low < high) {
    uint32_t middle = (low + high) >> 1, n = name_length[middle];
    int order = memcmp(names + name_offset[middle], name, n < length ? n : length);
    if (order == 0) order = (int)n - (int)length;
    if (order == 0) return dirent_inode[middle];
    if (order < 0) low = middle + 1; else high = middle;
  }
  return -1;
}

static void fill_attr(struct fuse_attr *a, uint64_t node) {
  memset(a, 0, sizeof *a);
  a->ino = node;
  a->blksize = 4096;
  if (node >> 32 == 0) { a->size = 4096; a->blocks = 8; a->mode = S_IFDIR | 0711; a->nlink = 2; return; }
  uint32_t i = (uint32_t)node - 1;
  a->size = (uint64_t)size_of[i];
  a->blocks = (a->size + 511) / 512;
  a->atime = a->mtime = a->ctime = (uint64_t)(int64_t)mtime_seconds[i];
  a->atimensec = a->mtimensec = a->ctimensec = mtime_nanos[i];
  a->mode = mode_of[i]; a->nlink = nlink_of[i]; a->uid = uid_of[i]; a->gid = gid_of[i]; a->rdev = rdev_of[i];
}

static void fill_entry(struct fuse_entry_out *e, uint64_t node) {
  memset(e, 0, sizeof *e);
  e->nodeid = node;
  e->entry_valid = e->attr_valid = FOREVER;
  fill_attr(&e->attr, node);
}

static void reply(uint8_t *out, uint64_t unique, int error, size_t payload) {
  struct fuse_out_header *h = (struct fuse_out_header *)out;
  h->len = sizeof *h + payload; h->error = -error; h->unique = unique;
  ssize_t ignored = write(device, out, h->len);
  (void)ignored;
}

/* One item of a directory page; 0 when it does not fit. */
static size_t put(uint8_t *at, size_t room, int plus, uint64_t ino, uint64_t node, uint64_t next,
                  const uint8_t *name, uint32_t length, uint32_t type) {
  size_t bytes = align8((plus ? sizeof(struct fuse_entry_out) : 0) + FUSE_NAME_OFFSET + length);
  if (bytes > room) return 0;
  uint8_t *p = at;
  if (plus) {
    if (node) fill_entry((struct fuse_entry_out *)p, node); else memset(p, 0, sizeof(struct fuse_entry_out));
    p += sizeof(struct fuse_entry_out);
  }
  struct fuse_dirent *d = (struct fuse_dirent *)p;
  d->ino = ino; d->off = next; d->namelen = length; d->type = type;
  memcpy(d->name, name, length);
  memset(d->name + length, 0, at + bytes - (uint8_t *)d->name - length);
  return bytes;
}

static size_t list(uint64_t node, const struct fuse_read_in *in, int plus, uint8_t *payload) {
  size_t limit = in->size < MAX_READ ? in->size : MAX_READ, at = 0, n;
  uint64_t next = in->offset;
  for (; next < 2; next++, at += n) {
    n = put(payload + at, limit - at, plus, node, 0, next + 1, (const uint8_t *)"..", next + 1, 4);
    if (!n) return at;
  }
  if (node >> 32 == 0) {
    for (; next - 2 < slots; next++, at += n) {
      char name[12];
      uint64_t child = NODE(next - 1, 0);
      int length = snprintf(name, sizeof name, "%u", (uint32_t)next - 1);
      n = put(payload + at, limit - at, plus, child, child, next + 1, (const uint8_t *)name, length, 4);
      if (!n) break;
    }
    return at;
  }
  uint32_t directory = (uint32_t)node - 1;
  for (uint64_t i = next - 2; i < count_of[directory]; i++, at += n) {
    uint32_t d = first_of[directory] + i, child = dirent_inode[d];
    n = put(payload + at, limit - at, plus, NODE(node >> 32, child), NODE(node >> 32, child), i + 3,
            names + name_offset[d], name_length[d], (mode_of[child] & S_IFMT) >> 12);
    if (!n) break;
  }
  return at;
}

static void *serve(void *unused) {
  (void)unused;
  uint8_t *in = aligned_alloc(4096, MAX_WRITE + 8192), *out = aligned_alloc(4096, MAX_READ + 4096);
  uint8_t *payload = out + sizeof(struct fuse_out_header);
  for (;;) {
    ssize_t length = read(device, in, MAX_WRITE + 8192);
    if (length < 0) {
      if (errno == EINTR || errno == ENOENT || errno == EAGAIN) continue;
      return NULL; /* unmounted */
    }
    struct fuse_in_header *h = (struct fuse_in_header *)in;
    uint8_t *arg = in + sizeof *h;
    uint64_t node = h->nodeid;
    switch (h->opcode) {
      case FUSE_LOOKUP: {
        uint64_t child = 0;
        if (node >> 32 == 0) {
          uint32_t slot = atoi((char *)arg);
          if (slot < 1 || slot > slots) { reply(out, h->unique, ENOENT, 0); break; }
          child = NODE(slot, 0);
        } else {
          int64_t found = find_child((uint32_t)node - 1, arg, length - sizeof *h - 1);
          if (found >= 0) child = NODE(node >> 32, found);
        }
        struct fuse_entry_out *e = (struct fuse_entry_out *)payload;
        if (child) fill_entry(e, child); else { memset(e, 0, sizeof *e); e->entry_valid = FOREVER; }
        reply(out, h->unique, 0, sizeof *e);
        break;
      }
      case FUSE_GETATTR: {
        struct fuse_attr_out *a = (struct fuse_attr_out *)payload;
        memset(a, 0, sizeof *a);
        a->attr_valid = FOREVER;
        fill_attr(&a->attr, node);
        reply(out, h->unique, 0, sizeof *a);
        break;
      }
      case FUSE_READ: {
        struct fuse_read_in *r = (struct fuse_read_in *)arg;
        uint32_t i = (uint32_t)node - 1;
        int64_t want = (int64_t)size_of[i] - (int64_t)r->offset;
        if (want > r->size) want = r->size;
        if (want <= 0) { reply(out, h->unique, 0, 0); break; }
        double position = data_offset[i] + r->offset;
        uint32_t last = span_at(position + want - 1), here = 1;
        for (uint32_t s = span_at(position); s <= last; s++) here &= presence[s];
        int whole = here && pread(data_fd, payload, want, (off_t)position) == want;
        reply(out, h->unique, whole ? 0 : EIO, whole ? want : 0);
        break;
      }
      case FUSE_READDIR:
      case FUSE_READDIRPLUS:
        reply(out, h->unique, 0,
              list(node, (struct fuse_read_in *)arg, h->opcode == FUSE_READDIRPLUS, payload));
        break;
      case FUSE_READLINK: {
        uint32_t i = (uint32_t)node - 1;
        memcpy(payload, names + first_of[i], count_of[i]);
        reply(out, h->unique, 0, count_of[i]);
        break;
      }
      case FUSE_STATFS: {
        struct fuse_statfs_out *s = (struct fuse_statfs_out *)payload;
        memset(s, 0, sizeof *s);
        s->st.bsize = s->st.frsize = 4096; s->st.namelen = 255; s->st.files = inodes;
        reply(out, h->unique, 0, sizeof *s);
        break;
      }
      case FUSE_INIT: {
        struct fuse_init_in *i = (struct fuse_init_in *)arg;
        struct fuse_init_out *o = (struct fuse_init_out *)payload;
        memset(o, 0, sizeof *o);
        o->major = 7; o->minor = 41; o->max_readahead = MAX_READ;
        o->flags = i->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
          FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT);
        o->max_background = 512; o->congestion_threshold = 384;
        o->max_write = MAX_WRITE; o->time_gran = 1; o->max_pages = MAX_READ / 4096;
        reply(out, h->unique, 0, sizeof *o);
        break;
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        break;
      case FUSE_DESTROY:
        reply(out, h->unique, 0, 0);
        break;
      default: /* OPEN, OPENDIR, xattrs: the kernel stops asking */
        reply(out, h->unique, ENOSYS, 0);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) { fputs("usage: server MOUNTPOINT LAYERS SLOTS THREADS\n", stderr); return 2; }
  char path[4096], options[256];
  slots = atoi(argv[3]);
  snprintf(path, sizeof path, "%s/1/tree", argv[2]);
  load_tree(path);
  snprintf(path, sizeof path, "%s/1/data", argv[2]);
  data_fd = open(path, O_RDONLY | O_CLOEXEC);
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(options, sizeof options,
           "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d", device, MAX_READ);
  if (data_fd < 0 || device < 0 || mount("c", argv[1], "fuse.soci-deno", MS_RDONLY, options) < 0) {
    perror(argv[1]);
    return 1;
  }
  for (int i = 0; i < atoi(argv[4]); i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
    pthread_detach(thread);
  }
  puts(argv[1]);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  umount2(argv[1], MNT_DETACH);
  return 0;
}
