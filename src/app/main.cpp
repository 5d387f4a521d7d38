#include "daemon.hpp"
#include "log_settings.hpp"
#include "manual.hpp"
#include "service_manager.hpp"

#include <dualbus/admin/metrics_reference.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_reference.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/config/reference.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace {

using dualbus::config::load_result;

// Programs and timers send these signals for purposes of their own; by default they end a process.
constexpr int meaningless_signals[] = {SIGALRM, SIGVTALRM};

// Standard error may be a pipe that nobody reads; the daemon ends all the same.
constexpr std::chrono::seconds last_words_time{1};

int check(const std::string& path) {
  const load_result loaded = dualbus::config::load(path);
  for (const std::string& warning : loaded.warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  for (const std::string& mistake : loaded.mistakes) std::fprintf(stderr, "%s\n", mistake.c_str());
  if (!loaded.value) return 1;
  std::printf("%s: ok\n", path.c_str());
  return 0;
}

// SIGHUP would end the daemon before its handler is there; so the signal is held until then.
void hold_reloads(bool hold) {
  sigset_t reload;
  sigemptyset(&reload);
  sigaddset(&reload, SIGHUP);
  pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &reload, nullptr);
}

// The file from which this process was started. Later another one may be there.
std::string own_program() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length))
                    : std::string("/usr/local/bin/dualbusd");
}

// SIGUSR2: the program is started anew, and takes this process's place.
void hand_over(const std::string& program, const std::string& configuration,
               const std::string& control_socket) {
  if (control_socket.empty())
    return spdlog::error("SIGUSR2: no hand-over without 'control.socket' in the configuration");
  try {
    const int successor = dualbus::app::start_successor(program, configuration, control_socket);
    spdlog::info("SIGUSR2: process {} is to take over: {}", successor, program);
  } catch (const std::exception& error) {
    spdlog::error("SIGUSR2: no hand-over: {}", error.what());
  }
}

// Successors that have failed; the others outlive this process.
void reap_successors() {
  int status = 0;
  while (const pid_t ended = ::waitpid(-1, &status, WNOHANG)) {
    if (ended < 0) return;
    spdlog::error("process {}, which was to take over, has ended with status {}: its log says why", ended,
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

// Serves until SIGTERM or SIGINT, for a while after SIGUSR1, or until another process has taken over; SIGHUP
// reloads, SIGUSR2 hands over.
void serve(std::shared_ptr<const dualbus::config::configuration> configuration, const std::string& path,
           const std::string& take_over) {
  boost::asio::io_context io(1);
  std::function<void()> stop;
  dualbus::app::daemon daemon(io, path, [&] { stop(); });
  stop = [&] {
    daemon.stop();
    io.stop();
  };
  const std::string program = own_program();
  // The sets are separate so that no number of reloads keeps the daemon from stopping.
  boost::asio::signal_set stop_signals(io, SIGTERM, SIGINT);
  boost::asio::signal_set reload_signals(io, SIGHUP);
  boost::asio::signal_set drain_signals(io, SIGUSR1);
  daemon.start(std::move(configuration), take_over);
  // These signals mean nothing to the daemon, and must not end it.
  boost::asio::signal_set other_signals(io);
  for (const int signal : meaningless_signals) other_signals.add(signal);
  std::function<void(const boost::system::error_code&, int)> on_other = [&](const auto& error, int signal) {
    if (error) return;
    dualbus::base::info_limited({}, "signal {} means nothing to dualbusd: ignored", sigabbrev_np(signal));
    other_signals.async_wait(on_other);
  };
  other_signals.async_wait(on_other);
  std::function<void(const boost::system::error_code&, int)> on_reload = [&](const auto& error, int) {
    if (error) return;
    daemon.reload();
    reload_signals.async_wait(on_reload);
  };
  reload_signals.async_wait(on_reload);
  std::function<void(const boost::system::error_code&, int)> on_drain = [&](const auto& error, int) {
    if (error) return;
    daemon.drain();
    drain_signals.async_wait(on_drain);
  };
  drain_signals.async_wait(on_drain);
  boost::asio::signal_set hand_over_signals(io, SIGUSR2, SIGCHLD);
  std::function<void(const boost::system::error_code&, int)> on_hand_over = [&](const auto& error,
                                                                                int signal) {
    if (error) return;
    signal == SIGUSR2 ? hand_over(program, path, daemon.control_socket_path()) : reap_successors();
    hand_over_signals.async_wait(on_hand_over);
  };
  hand_over_signals.async_wait(on_hand_over);
  hold_reloads(false);
  stop_signals.async_wait([&](const auto&, int) { stop(); });
  io.run();
  // Asio restores the default action: without this, a second signal would end the daemon while it stops, as
  // if it had failed. Only this thread, and threads that block every signal, are left.
  sigset_t told;
  sigemptyset(&told);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&told, signal);
  for (const int signal : meaningless_signals) sigaddset(&told, signal);
  pthread_sigmask(SIG_BLOCK, &told, nullptr);
}

// Options that print something that is made from the tables of the program, and leave: `wanted` is the one
// given. Those in no group are for the build, and not in the help.
void add_documents(CLI::App& options, std::function<std::string()>& wanted) {
  const auto add = [&](const char* name, const char* description, std::function<std::string()> text) {
    return options.add_flag_callback(
        name, [&wanted, text = std::move(text)] { wanted = text; }, description);
  };
  add("--config-reference", "print the documentation of every configuration key, and leave",
      dualbus::config::reference_markdown);
  add("--config-schema", "print a JSON Schema of the configuration file, for editors, and leave",
      dualbus::config::schema_json);
  add("--command-reference", "print what becomes of every command, and leave",
      dualbus::command::command_reference_markdown);
  add("--metrics-reference", "print the documentation of every metric, and leave",
      dualbus::admin::metrics_reference_markdown);
  add("--man-page", "print dualbusd(8)", [&options] {
    return dualbus::app::program_manual(options);
  })->group("");
  add("--config-man-page", "print dualbus.yaml(5)", dualbus::config::reference_manual)->group("");
  add("--bash-completion", "print the completion for bash", [&options] {
    return dualbus::app::bash_completion(options);
  })->group("");
}

}  // namespace

int main(int argc, char** argv) {
  hold_reloads(true);
  CLI::App options("dualbusd: one Redis for its clients, several buses behind it");
  std::string path = "/etc/dualbus/dualbus.yaml";
  std::string to_check;
  options.add_option("-c,--config", path, "YAML configuration file")->capture_default_str();
  const CLI::Option* check_only =
      options
          .add_option("--check-config", to_check,
                      "check a configuration file (without one, --config's), report every "
                      "mistake, and leave")
          ->expected(0, 1)
          ->type_name("[FILE]");
  std::string take_over;
  options
      .add_option("--take-over", take_over,
                  "take the place of the running daemon whose 'control.socket' this is, without its clients "
                  "noticing")
      ->type_name("SOCKET");
  std::function<std::string()> document;
  add_documents(options, document);
  options.set_version_flag("-v,--version", std::string("dualbusd ") + dualbus::base::version);
  CLI11_PARSE(options, argc, argv);

  if (document) {
    std::fputs(document().c_str(), stdout);
    return 0;
  }
  if (check_only->count() > 0) return check(to_check.empty() ? path : to_check);

  for (const int signal : {SIGPIPE, SIGUSR1}) std::signal(signal, SIG_IGN);
  for (const int signal : meaningless_signals) std::signal(signal, SIG_IGN);
  std::signal(SIGUSR2, SIG_IGN);
  const struct last_words {
    ~last_words() { dualbus::base::flush_log(last_words_time); }
  } flush_at_the_end;
  try {
    dualbus::base::init_log("info");
    const load_result loaded = dualbus::config::load(path);
    if (loaded.value) dualbus::base::set_log_output(dualbus::app::log_output_of(*loaded.value));
    for (const std::string& warning : loaded.warnings)
      dualbus::base::log_event(spdlog::level::warn, "configuration_warning", warning);
    for (const std::string& mistake : loaded.mistakes)
      dualbus::base::log_event(spdlog::level::err, "configuration_mistake", mistake);
    if (!loaded.value) return 1;
    dualbus::app::apply_log_settings(*loaded.value);
    spdlog::info("dualbusd {} starting, configuration {}", dualbus::base::version, path);
    serve(loaded.value, path, take_over);
    return 0;
  } catch (const std::exception& error) {
    spdlog::error("cannot start: {}", error.what());
    return 1;
  }
}
