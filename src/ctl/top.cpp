#include "top.hpp"

#include "answers.hpp"

#include <dualbus/base/printable.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

namespace dualbus::ctl {
namespace {

constexpr std::string_view help =
    "e engines  t types  c clients   r requests  f failed  n name   1 6 0 window   q quit";

// Lines have blanks for bytes that a terminal would obey, and end at the edge of the screen. A character may
// have several bytes.
std::string fitted(std::string_view line, std::size_t columns) {
  std::string result;
  for (std::size_t shown = 0; !line.empty() && shown < columns; ++shown) {
    const std::size_t bytes = base::printable_sequence(line);
    result += bytes == 0 ? std::string_view(" ") : line.substr(0, bytes);
    line.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return result;
}

console::table ask_table(const api_client& daemon, const std::string& name) {
  const http_answer answer = daemon.get("/api/v1/" + name);
  if (answer.status != 200) throw std::runtime_error(read_error(answer.body));
  return read_table(answer.body);
}

std::vector<std::string> columns_of(const top_view& view) {
  const auto rate = [&view](const std::string& name) { return name + "_" + view.window; };
  if (view.table == "types") return {"type", "bus", "messages", rate("messages")};
  if (view.table == "clients")
    return {"id", "address", "name", "engine", "age_s", "cmd", "owed", "unread_bytes", "memory_bytes"};
  return {"engine",       "connections",     "address",        rate("requests"),
          rate("failed"), rate("published"), rate("consumed"), rate("absorbed")};
}

// The terminal gives single keys while this lives, and the screen that was there comes back.
class raw_terminal {
 public:
  raw_terminal() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  }
  ~raw_terminal() {
    std::fputs("\x1b[?25h\x1b[?1049l", stdout);
    std::fflush(stdout);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  raw_terminal(const raw_terminal&) = delete;
  raw_terminal& operator=(const raw_terminal&) = delete;

 private:
  termios before_{};
};

volatile std::sig_atomic_t ended = 0;

void show(const api_client& daemon, const top_view& view) {
  winsize size{};
  ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  std::string screen;
  try {
    screen =
        top_screen(daemon, view, size.ws_row == 0 ? 24 : size.ws_row, size.ws_col == 0 ? 80 : size.ws_col);
  } catch (const std::exception& e) {
    screen = std::string(e.what()) + "\n";
  }
  std::string out = "\x1b[H";
  for (const char c : screen) out += c == '\n' ? "\x1b[K\n" : std::string(1, c);
  std::fputs((out + "\x1b[J").c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

std::string top_screen(const api_client& daemon, const top_view& view, std::size_t lines,
                       std::size_t columns) {
  std::vector<std::string> all{"dualbusd at " + daemon.address() + "   " + std::string(help), ""};
  const auto add = [&all](const console::table& t) {
    for (std::string& line : console::lines_of(t)) all.push_back(std::move(line));
    all.emplace_back();
  };
  add(with_columns(ask_table(daemon, "buses"),
                   {"bus", "state", "health", "endpoint", "server", "requests_" + view.window,
                    "p50_" + view.window + "_ms", "p99_" + view.window + "_ms"}));
  console::table below = ask_table(daemon, view.table);
  sort_by(below, view.order);
  add(with_columns(below, columns_of(view)));
  std::string screen;
  for (std::size_t i = 0; i + 1 < lines && i < all.size(); ++i) screen += fitted(all[i], columns) + "\n";
  return screen;
}

bool top_key(top_view& view, char key) {
  const auto order_by = [&view](std::string_view figure) {
    const std::string rate = "_" + view.window;
    if (view.table == "types") {
      view.order = figure == "name" ? "type" : "messages" + rate;
    } else if (view.table == "clients") {
      view.order = figure == "name" ? "name" : figure == "failed" ? "memory_bytes" : "id";
    } else {
      view.order = figure == "name" ? "engine" : std::string(figure) + rate;
    }
  };
  switch (key) {
    case 'q':
      return false;
    case 'e':
      view.table = "engines";
      break;
    case 't':
      view.table = "types";
      break;
    case 'c':
      view.table = "clients";
      break;
    case '1':
      view.window = "1s";
      break;
    case '6':
      view.window = "60s";
      break;
    case '0':
      view.window = "10s";
      break;
    case 'f':
      order_by("failed");
      return true;
    case 'n':
      order_by("name");
      return true;
    case 'r':
      break;
    default:
      return true;
  }
  order_by("requests");
  return true;
}

int run_top(const api_client& daemon) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, [](int) { ended = 1; });
  const raw_terminal terminal;
  for (top_view view; ended == 0;) {
    show(daemon, view);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 1000) <= 0) continue;
    char key = 0;
    if (::read(STDIN_FILENO, &key, 1) != 1 || !top_key(view, key)) break;
  }
  return 0;
}

}  // namespace dualbus::ctl
