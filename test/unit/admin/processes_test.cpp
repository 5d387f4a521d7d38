#include "processes.hpp"

#include <dualbus/base/clock.hpp>

#include <arpa/inet.h>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <utility>

#include <gtest/gtest.h>

// The processes that the admin tests start and talk to; the one test here is theirs.
namespace dualbus::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

temporary_directory::temporary_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "dualbus-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}

temporary_directory::~temporary_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string temporary_directory::write(const std::string& name, std::string_view text) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

child_process::child_process(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

child_process::child_process(child_process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

child_process& child_process::operator=(child_process&& other) noexcept {
  end();
  pid_ = std::exchange(other.pid_, -1);
  return *this;
}

void child_process::signal(int number) const {
  ::kill(pid_, number);
}

void child_process::end() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

redis_process::redis_process(std::vector<std::string> options, std::uint16_t port)
    : options_(std::move(options)), port_(port == 0 ? free_port() : port) {
  begin();
}

void redis_process::begin() {
  std::vector<std::string> arguments = {
      "redis-server", "--port",          std::to_string(port_), "--bind",     "127.0.0.1", "--save", "",
      "--dir",        directory_.path(), "--unixsocket",        socket_path()};
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  process_ = child_process(std::move(arguments));
  // PING is answered in some way by a Redis that wants a password, too.
  const bool up = eventually([&] { return command("PING").find_first_of("PN") == 0; });
  if (!up) throw std::runtime_error("redis-server does not answer");
}

std::string redis_process::command(const std::string& words) const {
  return run("redis-cli -p " + std::to_string(port_) + " " + words).output;
}

std::uint16_t free_port() {
  const base::unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) throw std::runtime_error("bind");
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout) {
  const base::time_point deadline = base::clock::now() + timeout;
  while (!condition()) {
    if (base::clock::now() >= deadline) return condition();
    ::poll(nullptr, 0, 5);
  }
  return true;
}

command_result run(const std::string& shell_command) {
  FILE* pipe = ::popen((shell_command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  command_result result{0, {}};
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
    result.output.append(buffer, size);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path);
  return text.str();
}

tcp_client::tcp_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{10, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const sockaddr_in address = loopback(port);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect");
  }
}

bool tcp_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool tcp_client::read_more() {
  char buffer[16 * 1024];
  const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (got <= 0) return false;
  buffer_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string tcp_client::read_all() {
  while (read_more()) {
  }
  return std::exchange(buffer_, {});
}

std::string tcp_client::read_response() {
  std::size_t body = std::string::npos;
  while ((body = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!read_more()) return std::exchange(buffer_, {});
  }
  body += 4;
  const std::size_t length_field = buffer_.find("Content-Length: ");
  const std::size_t length = length_field < body ? std::stoul(buffer_.substr(length_field + 16)) : 0;
  while (buffer_.size() < body + length) {
    if (!read_more()) break;
  }
  std::string response = buffer_.substr(0, body + length);
  buffer_.erase(0, response.size());
  return response;
}

bool tcp_client::closed_within(std::chrono::milliseconds timeout) {
  const base::time_point deadline = base::clock::now() + timeout;
  char dropped[4096];
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - base::clock::now()).count();
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return false;
    if (::recv(fd_.get(), dropped, sizeof dropped, 0) <= 0) return true;
  }
}

std::string http_get(std::uint16_t port, const std::string& path) {
  tcp_client client(port);
  client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return client.read_all();
}

TEST(RedisProcessTest, AnswersAndStartsAgainOnItsPort) {
  redis_process redis;
  EXPECT_EQ(redis.command("SET a 1"), "OK\n");
  redis.kill();
  redis.begin();
  EXPECT_EQ(redis.command("EXISTS a"), "0\n");
}

}  // namespace dualbus::test
