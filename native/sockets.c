/* Stream sockets: Unix ones, by path or abstract, and TCP. None of them blocks, but for mh_socket_poll(). */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core.h"

int mh_address_unix(const void *path, size_t length, struct mh_address *address) {
  struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
  bool is_abstract = length > 0 && *(const char *)path == '\0';
  memset(address, 0, sizeof *address);
  /* A path ends with a NUL, which belongs to it; in an abstract name it would be one more character. */
  if (length == 0 || length + !is_abstract > sizeof un->sun_path) return -ENAMETOOLONG;
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, length);
  address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !is_abstract);
  return 0;
}

int mh_address_ip(const char *host, unsigned port, struct mh_address *address) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
  char service[12];
  memset(address, 0, sizeof *address);
  snprintf(service, sizeof service, "%u", port);
  if (getaddrinfo(host, service, &hints, &found) != 0) return -EADDRNOTAVAIL;
  memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
  address->length = found->ai_addrlen;
  freeaddrinfo(found);
  return 0;
}

static const struct sockaddr *plain(const struct mh_address *address) { return (const struct sockaddr *)&address->storage; }

static int open_socket(const struct mh_address *address) {
  int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

static int failed(int fd) {
  int err = errno; /* close() may overwrite it */
  close(fd);
  return -err;
}

static void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

/*
 * What is sent is wanted at once: frames are gathered before they come here. And a peer whose machine or network has failed is to be
 * found gone in some two minutes, also by those who only receive.
 */
static void prepare(int fd, int family) {
  if (family == AF_UNIX) return;
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

/* A Unix socket's file is its owner's alone from the first: it takes the mode of the socket, whatever the umask allows beyond. */
int mh_socket_listen(const struct mh_address *address, int backlog) {
  int fd = open_socket(address);
  if (fd < 0) return fd;
  if (address->storage.ss_family == AF_UNIX)
    fchmod(fd, 0600);
  else
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd, plain(address), address->length) < 0 || listen(fd, backlog) < 0) return failed(fd);
  return fd;
}

/* Connected if it becomes writable and mh_socket_error() is 0. -EAGAIN: a Unix socket's backlog is full. */
int mh_socket_connect(const struct mh_address *address) {
  int fd = open_socket(address);
  if (fd < 0) return fd;
  prepare(fd, address->storage.ss_family);
  if (connect(fd, plain(address), address->length) < 0 && errno != EINPROGRESS) return failed(fd);
  return fd;
}

int mh_socket_accept(int listener) {
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return -errno;
  prepare(fd, peer.ss_family);
  return fd;
}

int mh_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? -errno : -error;
}

/* The socket's own address, or that of its peer, as numbers. -EAFNOSUPPORT: it is no TCP socket. */
int mh_socket_address(int fd, bool peer, char host[MH_HOST_BYTES], unsigned *port) {
  struct sockaddr_storage storage;
  struct sockaddr *address = (struct sockaddr *)&storage;
  socklen_t length = sizeof storage;
  char service[12];
  if ((peer ? getpeername(fd, address, &length) : getsockname(fd, address, &length)) < 0) return -errno;
  if (storage.ss_family == AF_UNIX) return -EAFNOSUPPORT;
  if (getnameinfo(address, length, host, MH_HOST_BYTES, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return -EADDRNOTAVAIL;
  *port = storage.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&storage)->sin6_port)
                                        : ntohs(((struct sockaddr_in *)&storage)->sin_port);
  return 0;
}

/* How many bytes the kernel has taken. -EAGAIN: none now. */
int64_t mh_socket_send(int fd, const void *bytes, size_t length) {
  ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno : sent;
}

/* How many bytes have come; 0: no more will. -EAGAIN: none are there now. */
int64_t mh_socket_receive(int fd, void *bytes, size_t length) {
  ssize_t received = recv(fd, bytes, length, MSG_DONTWAIT);
  return received < 0 ? -errno : received;
}

/*
 * Blocks until `fd` is readable or writable, as asked, or `bell` (−1: none) is rung, `timeout` ms at most. What it is, as bits of
 * MH_SOCKET_*; 0: time ran out, or a signal came. An error or the end of the connection counts as both.
 */
int mh_socket_poll(int fd, int wanted, int bell, int timeout) {
  struct pollfd fds[2] = {{.fd = fd}, {.fd = bell, .events = POLLIN}};
  if (wanted & MH_SOCKET_READABLE) fds[0].events |= POLLIN;
  if (wanted & MH_SOCKET_WRITABLE) fds[0].events |= POLLOUT;
  if (poll(fds, 2, timeout) < 0) return errno == EINTR ? 0 : -errno;
  int result = 0;
  if (fds[0].revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL)) result |= MH_SOCKET_READABLE;
  if (fds[0].revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) result |= MH_SOCKET_WRITABLE;
  if (fds[1].revents) result |= MH_SOCKET_RUNG;
  return result;
}
