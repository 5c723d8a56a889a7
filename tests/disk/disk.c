/* A disk below libc, to be preloaded: it keeps what a power cut would leave of the files in one folder.
 *
 * What is written to a watched file stays in memory until that file is synced; then it is written to the
 * file of the same name in the folder of the image. A sync can fail: then a part of what waited is
 * written and the rest is lost for ever, the caller gets EIO, and so does everybody else who has the file
 * open, once, at the next sync. Linux does the same.
 *
 *   DISK_FOLDER   the watched folder
 *   DISK_IMAGE    the folder of the image; without one nothing is kept
 *   DISK_SEED     chooses which syncs fail and what they lose
 *   DISK_FAILS    how many of a thousand syncs fail
 *   DISK_SPARES   how many syncs go well first
 *   DISK_LISTING  a file that gets a line for each sync, with the name of the synced file
 *   DISK_READ_ONLY  a file: while it exists, whatever would write to the folder fails with EROFS, also by
 *                 what is open already, as after an error for which Linux remounts a disk read-only
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 64
#define FDS_MAX 4096

struct change {
  int is_length;
  off_t at;
  size_t bytes;
  char *data;
  struct change *next;
};

struct file {
  char name[256];
  struct change *first, *last;
  int errors;
};

static struct file files[FILES_MAX];
static int file_count;
static struct { struct file *file; int seen; } open_fds[FDS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t random_state;
static long syncs;

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
typedef int (*open_type)(const char *, int, ...);
typedef ssize_t (*pwrite_type)(int, const void *, size_t, off_t);
typedef ssize_t (*write_type)(int, const void *, size_t);
typedef int (*fd_type)(int);
typedef int (*unlink_type)(const char *);
typedef int (*truncate_type)(int, off_t);

static long setting(const char *name) {
  const char *value = getenv(name);
  return value ? atol(value) : 0;
}

static unsigned chance(unsigned of) {
  if (!random_state) random_state = 0x9e3779b97f4a7c15u ^ ((uint64_t)setting("DISK_SEED") * 0xbf58476d1ce4e5b9u);
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)(random_state % of);
}

/* The name of a watched file, or NULL. The shared memory is never synced and means nothing later. */
static const char *watched(const char *path) {
  const char *folder = getenv("DISK_FOLDER");
  size_t length = folder ? strlen(folder) : 0;
  if (!length || strncmp(path, folder, length) || path[length] != '/') return NULL;
  const char *name = path + length + 1;
  size_t end = strlen(name);
  if (!end || end > 255 || strchr(name, '/')) return NULL;
  return end > 4 && !strcmp(name + end - 4, "-shm") ? NULL : name;
}

static int is_read_only(void) {
  const char *flag = getenv("DISK_READ_ONLY");
  if (!flag || access(flag, F_OK)) return 0;
  errno = EROFS;
  return 1;
}

static int is_inside(const char *path) {
  const char *folder = getenv("DISK_FOLDER");
  return folder && !strncmp(path, folder, strlen(folder));
}

static void remember(int fd, const char *path) {
  const char *name = watched(path);
  if (fd < 0 || fd >= FDS_MAX) return;
  pthread_mutex_lock(&mutex);
  open_fds[fd].file = NULL;
  if (name) {
    struct file *file = NULL;
    for (int i = 0; i < file_count; i++)
      if (!strcmp(files[i].name, name)) file = &files[i];
    if (!file && file_count < FILES_MAX) {
      file = &files[file_count++];
      strcpy(file->name, name);
    }
    open_fds[fd].file = file;
    open_fds[fd].seen = file ? file->errors : 0;
  }
  pthread_mutex_unlock(&mutex);
}

static struct file *file_of(int fd) { return fd >= 0 && fd < FDS_MAX ? open_fds[fd].file : NULL; }

static int open_as(const char *real, const char *path, int flags, mode_t mode) {
  if (flags & (O_WRONLY | O_RDWR | O_CREAT) && is_inside(path) && is_read_only()) return -1;
  int fd = REAL(real, open_type)(path, flags, mode);
  remember(fd, path);
  return fd;
}

#define OPEN(name)                                        \
  int name(const char *path, int flags, ...) {            \
    mode_t mode = 0;                                      \
    if (flags & (O_CREAT | O_TMPFILE)) {                  \
      va_list arguments;                                  \
      va_start(arguments, flags);                         \
      mode = va_arg(arguments, mode_t);                   \
      va_end(arguments);                                  \
    }                                                     \
    return open_as(#name, path, flags, mode);             \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  pthread_mutex_lock(&mutex);
  if (fd >= 0 && fd < FDS_MAX) open_fds[fd].file = NULL;
  pthread_mutex_unlock(&mutex);
  return REAL("close", fd_type)(fd);
}

static void wait_for_sync(int fd, int is_length, off_t at, const void *data, size_t bytes) {
  pthread_mutex_lock(&mutex);
  struct file *file = file_of(fd);
  if (file && getenv("DISK_IMAGE")) {
    struct change *change = calloc(1, sizeof *change);
    change->is_length = is_length;
    change->at = at;
    change->bytes = bytes;
    if (bytes) {
      change->data = malloc(bytes);
      memcpy(change->data, data, bytes);
    }
    if (file->last) file->last->next = change;
    else file->first = change;
    file->last = change;
  }
  pthread_mutex_unlock(&mutex);
}

ssize_t write(int fd, const void *data, size_t bytes) {
  if (file_of(fd) && is_read_only()) return -1;
  off_t at = file_of(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
  ssize_t written = REAL("write", write_type)(fd, data, bytes);
  if (written > 0 && file_of(fd)) wait_for_sync(fd, 0, at, data, (size_t)written);
  return written;
}

static ssize_t pwrite_as(const char *real, int fd, const void *data, size_t bytes, off_t at) {
  if (file_of(fd) && is_read_only()) return -1;
  ssize_t written = REAL(real, pwrite_type)(fd, data, bytes, at);
  if (written > 0 && file_of(fd)) wait_for_sync(fd, 0, at, data, (size_t)written);
  return written;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) { return pwrite_as("pwrite", fd, data, bytes, at); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at) { return pwrite_as("pwrite64", fd, data, bytes, at); }

static int truncate_as(const char *real, int fd, off_t length) {
  if (file_of(fd) && is_read_only()) return -1;
  int done = REAL(real, truncate_type)(fd, length);
  if (!done && file_of(fd)) wait_for_sync(fd, 1, length, NULL, 0);
  return done;
}

int ftruncate(int fd, off_t length) { return truncate_as("ftruncate", fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_as("ftruncate64", fd, length); }

static void put(struct file *file, int is_lossy) {
  char path[4096];
  if (!file->first) return;
  snprintf(path, sizeof path, "%s/%s", getenv("DISK_IMAGE"), file->name);
  int image = REAL("open", open_type)(path, O_RDWR | O_CREAT, 0600);
  while (file->first) {
    struct change *change = file->first;
    file->first = change->next;
    if (!is_lossy || chance(2)) {
      if (change->is_length) REAL("ftruncate", truncate_type)(image, change->at);
      else REAL("pwrite", pwrite_type)(image, change->data, change->bytes, change->at);
    }
    free(change->data);
    free(change);
  }
  file->last = NULL;
  REAL("close", fd_type)(image);
}

static void list(struct file *file) {
  const char *listing = getenv("DISK_LISTING");
  if (!listing) return;
  char line[300];
  int bytes = snprintf(line, sizeof line, "%s\n", file->name);
  int fd = REAL("open", open_type)(listing, O_WRONLY | O_CREAT | O_APPEND, 0600);
  REAL("write", write_type)(fd, line, (size_t)bytes);
  REAL("close", fd_type)(fd);
}

static int sync_as(const char *real, int fd) {
  pthread_mutex_lock(&mutex);
  struct file *file = file_of(fd);
  int fails = 0;
  if (file) {
    list(file);
    fails = ++syncs > setting("DISK_SPARES") && chance(1000) < (unsigned)setting("DISK_FAILS");
    if (getenv("DISK_IMAGE")) put(file, fails);
    if (fails) file->errors++;
    fails |= open_fds[fd].seen != file->errors;
    open_fds[fd].seen = file->errors;
  }
  pthread_mutex_unlock(&mutex);
  if (fails) {
    errno = EIO;
    return -1;
  }
  /* What the image has is what counts; the real disk need not be waited for. */
  return file ? 0 : REAL(real, fd_type)(fd);
}

/* A name that is gone is taken to be gone from the disk. */
int unlink(const char *path) {
  if (is_inside(path) && is_read_only()) return -1;
  const char *name = watched(path);
  pthread_mutex_lock(&mutex);
  for (int i = 0; name && getenv("DISK_IMAGE") && i < file_count; i++) {
    if (strcmp(files[i].name, name)) continue;
    put(&files[i], 0);
    char image[4096];
    snprintf(image, sizeof image, "%s/%s", getenv("DISK_IMAGE"), name);
    REAL("unlink", unlink_type)(image);
  }
  pthread_mutex_unlock(&mutex);
  return REAL("unlink", unlink_type)(path);
}

int fsync(int fd) { return sync_as("fsync", fd); }
int fdatasync(int fd) { return sync_as("fdatasync", fd); }
